"""Bad data is refused by line, with what is wrong and how to fix it; odd but right data is read."""

import json
from pathlib import Path

import pytest

from anneal_trainer import jsonfile
from anneal_trainer.errors import BadData, DatasetNotFound
from anneal_trainer.rows import Message, load_conversations

GOOD = '{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]}'


def messages(*turns: tuple[str, object], **more: object) -> str:
    return json.dumps({"messages": [{"role": role, "content": content} for role, content in turns], **more})


def refusal(tmp_path: Path, content: bytes | str, name: str = "rows.jsonl", wanted: str = "auto") -> str:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(BadData) as caught:
        load_conversations(path, wanted)
    return str(caught.value)


BAD_FILES: dict[str, tuple[bytes | str, str]] = {
    "empty file": ("", "rows.jsonl has no rows. Fix: put one JSON object per line into it."),
    "only newlines": ("\n\n\r\n", "rows.jsonl has no rows. Fix: put one JSON object per line into it."),
    "truncated last line": (f"{GOOD}\n{GOOD[:37]}", "rows.jsonl:2 is not valid JSON: Unterminated string"),
    "truncated object": (f"{GOOD}\n{GOOD[:-1]}", "(cut off?). Fix: correct or remove it."),
    "array in jsonl": (f"[{GOOD}]", "rows.jsonl:1 is a JSON array, not an object. Fix: name the file .json"),
    "parquet": (b"PAR1\x15\x04", "rows.jsonl is a Parquet file, not JSONL. Fix: convert it"),
    "gzip": (b"\x1f\x8b\x08\x00", "rows.jsonl is gzip, not JSONL."),
    "zip": (b"PK\x03\x04", "rows.jsonl is a zip archive, not JSONL."),
    "zstd": (b"\x28\xb5\x2f\xfd", "rows.jsonl is zstd, not JSONL."),
    "Arrow": (b"ARROW1\x00\x00", "rows.jsonl is an Arrow file, not JSONL."),
    "NumPy": (b"\x93NUMPY\x01\x00", "rows.jsonl:1 is not UTF-8 at byte 0 (0x93)."),
    "minus nothing": ('{"messages": [], "x": -0}', "messages is empty."),
    "pickle": (b"\x80\x04\x95\x00", "rows.jsonl is a Python pickle, not JSONL."),
    "csv": ("instruction,output\nHi,Hello\n", "rows.jsonl:1 is not valid JSON: Expecting value at column 1. Fix:"),
    "deep nesting": ("[" * 100_000, "rows.jsonl:1 is nested too deeply."),
    "infinite number": ('{"messages": [], "x": 1e400}', "contains the number 1e400, which is too large."),
    "NaN": ('{"messages": [], "x": NaN}', "contains the number NaN, which is not JSON."),
    "huge integer": ('{"x": ' + "9" * 5000 + "}", "rows.jsonl:1 is not valid JSON: Exceeds the limit"),
    "not UTF-8": (GOOD.encode() + b'\n{"messages": "\xff"}', "rows.jsonl:2 is not UTF-8 at byte 14 (0xff). Fix: save"),
    "UTF-16": (GOOD.encode("utf-16"), "rows.jsonl is UTF-16, not JSONL."),
    "lone surrogate": ('{"messages": "\\ud800"}', "contains half of a surrogate pair"),
    "NUL": (messages(("user", "a\0b"), ("assistant", "c")), "messages[0].content contains a NUL character."),
    "duplicate key": ('{"messages": [], "messages": []}', 'rows.jsonl:1 has the key "messages" twice in one object.'),
    "no known keys": ('{"text": "Hi"}', "rows.jsonl:1 has the keys ['text'], so its format cannot be told."),
    "a string": ('"Hi"', "rows.jsonl:1 is a string, so its format cannot be told."),
    "messages a string": ('{"messages": "Hi"}', "messages is a string, not an array."),
    "messages empty": ('{"messages": []}', "rows.jsonl:1 messages is empty."),
    "message a string": ('{"messages": ["Hi"]}', "messages[0] is a string, not an object."),
    "unknown role": (
        f"{GOOD}\n{messages(('user', 'Hi'), ('bot', 'Hello'))}",
        'rows.jsonl:2 messages[1].role is "bot"; allowed: system, user, assistant. Fix: rename the role',
    ),
    "no role": ('{"messages": [{"content": "Hi"}]}', "messages[0].role is missing; allowed: system, user, assistant."),
    "content null": (messages(("user", None), ("assistant", "a")), "messages[0].content is missing or null;"),
    "content a list": (messages(("user", ["Hi"]), ("assistant", "a")), "messages[0].content is an array; a string is"),
    "content a number": (
        messages(("user", 5), ("assistant", "a")),
        "messages[0].content is a number; a string is needed.",
    ),
    "content empty": (messages(("user", "Hi"), ("assistant", " ")), "messages[1].content is empty. Fix: fill it in"),
    "no assistant": (messages(("user", "Hi")), "has no assistant message, so there is nothing to learn."),
    "last is user": (
        messages(("user", "Hi"), ("assistant", "Hello"), ("user", "Bye")),
        'messages[2].role is "user": the last message must be the assistant\'s. Fix: add the answer',
    ),
    "assistant first": (
        messages(("assistant", "Hello")),
        'messages[0].role is "assistant": a conversation starts with',
    ),
    "two systems": (
        messages(("system", "Be kind"), ("system", "Be short"), ("user", "Hi"), ("assistant", "Hello")),
        'messages[1].role is "system": only the first message may be.',
    ),
    "tool calls": (
        '{"messages": [{"role": "assistant", "content": null, "tool_calls": [{}]}]}',
        "messages[0].tool_calls: tool calls cannot be trained yet.",
    ),
    "mixed formats": (
        f'{GOOD}\n{{"instruction": "Hi", "output": "Hello"}}',
        "rows.jsonl:2 has no messages, though it has instruction: formats may not be mixed. Fix: give every row the",
    ),
    "output missing": ('{"instruction": "Hi", "output": null}', "rows.jsonl:1 output is missing or null;"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_is_refused_with_place_and_fix(case: str, tmp_path: Path) -> None:
    content, expected = BAD_FILES[case]

    message = refusal(tmp_path, content)

    assert expected in message
    assert "Fix: " in message


def test_a_json_file_that_is_one_object_is_refused(tmp_path: Path) -> None:
    assert "rows.json is an object, not an array of rows." in refusal(tmp_path, GOOD, "rows.json")


def test_the_wanted_format_is_demanded(tmp_path: Path) -> None:
    message = refusal(tmp_path, '{"instruction": "Hi", "output": "Hello"}', wanted="messages")

    assert message.startswith("rows.jsonl:1 has no messages, though it has instruction")


def test_a_line_without_end_is_given_up_at_the_cap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonfile, "MAX_LINE_BYTES", 1 << 20)

    assert "rows.jsonl:1 is longer than 1 MiB." in refusal(tmp_path, b"x" * (3 << 20))


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFound, match=r"gone\.jsonl does not exist"):
        load_conversations(tmp_path / "gone.jsonl", "auto")
    with pytest.raises(DatasetNotFound, match="is a folder"):
        load_conversations(tmp_path, "auto")


def test_many_problems_are_counted_and_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    bad = messages(("user", "Hi"), ("bot", "Hello"))

    assert refusal(tmp_path, f"{GOOD}\n{bad}\n{bad}\n{bad}\n").endswith("(2 more: see the log)")
    assert [record.getMessage().split(" ")[0] for record in caplog.records] == [
        "rows.jsonl:2",
        "rows.jsonl:3",
        "rows.jsonl:4",
    ]
    assert refusal(tmp_path, f"{bad}\n" * 100).endswith("(at least 19 more: see the log)")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.jsonl", b"\xef\xbb\xbf" + GOOD.encode() + b"\r\n\r\n" + GOOD.encode()),
        ("rows.json", b"\xef\xbb\xbf[" + GOOD.encode() + b",\r\n" + GOOD.encode() + b"]"),
    ],
)
def test_a_byte_order_mark_windows_lines_and_no_last_newline_are_fine(
    name: str, content: bytes, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)

    rows = load_conversations(tmp_path / name, "auto")

    assert [row.messages for row in rows] == [(Message("user", "Hi"), Message("assistant", "Hello"))] * 2


def test_an_instruction_with_input_becomes_a_conversation(tmp_path: Path) -> None:
    row = {"instruction": "Translate", "input": "Haus", "output": "house"}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n" + json.dumps(row | {"input": ""}))

    first, second = load_conversations(tmp_path / "rows.jsonl", "auto")

    assert first.messages == (Message("user", "Translate\n\nHaus"), Message("assistant", "house"))
    assert second.messages == (Message("user", "Translate"), Message("assistant", "house"))
    assert (first.line, second.line) == (1, 2)
