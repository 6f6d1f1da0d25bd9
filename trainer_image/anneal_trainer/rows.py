"""Rows of a dataset, in either format, become conversations; a row that cannot be trained on is refused by name."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from anneal_trainer.jsonfile import Problems, read_rows, type_name

ROLES = ("system", "user", "assistant")
Format = Literal["instruction", "messages"]


@dataclass(frozen=True)
class Message:
    """One turn."""

    role: str
    content: str

    def as_dict(self) -> dict[str, str]:
        """What chat templates and engines take."""
        return {"role": self.role, "content": self.content}


@dataclass(frozen=True)
class Conversation:
    """One row: the line it came from, for messages, and its turns. The last turn is the assistant's."""

    line: int
    messages: tuple[Message, ...]


class _Wrong(ValueError):
    """What is wrong with a row; goes behind the name of file and line."""


def load_conversations(path: Path, wanted: str) -> list[Conversation]:
    """All rows of the file, in the wanted format ("auto": told from the first row). Raises BadData that lists what
    is wrong.
    """
    problems = Problems(path.name)
    found = list(_conversations(path, wanted, problems))
    problems.raise_if_any()
    return found


def _conversations(path: Path, wanted: str, problems: Problems) -> Iterator[Conversation]:
    chosen = wanted
    for line, row in read_rows(path, problems):
        try:
            if chosen == "auto":
                chosen = _format_of(row)
            yield Conversation(line, _messages_of(row, chosen, told=wanted == "auto"))
        except _Wrong as error:
            problems.add(line, str(error))


def _format_of(row: Any) -> Format:
    if isinstance(row, dict) and "messages" in row:
        return "messages"
    if isinstance(row, dict) and "instruction" in row and "output" in row:
        return "instruction"
    keys = f"has the keys {sorted(row)[:8]}" if isinstance(row, dict) else f"is {type_name(row)}"
    raise _Wrong(
        f"{keys}, so its format cannot be told. Fix: use {{messages: [{{role, content}}, ...]}} or "
        f"{{instruction, input, output}}."
    )


def _messages_of(row: Any, chosen: str, told: bool) -> tuple[Message, ...]:
    if not isinstance(row, dict):
        raise _Wrong(f"is {type_name(row)}, not an object. Fix: every row is one JSON object.")
    key = "messages" if chosen == "messages" else "instruction"
    if key not in row:
        other = "instruction" if key == "messages" else "messages"
        why = " like the first row" if told else ""
        mixed = f", though it has {other}: formats may not be mixed" if other in row else ""
        raise _Wrong(f"has no {key}{mixed}. Fix: give every row the format {chosen}{why}.")
    return _from_messages(row["messages"]) if chosen == "messages" else _from_instruction(row)


def _from_instruction(row: dict[str, Any]) -> tuple[Message, ...]:
    question = text(row["instruction"], "instruction")
    if row.get("input") not in (None, ""):
        question = f"{question}\n\n{text(row['input'], 'input')}"
    return Message("user", question), Message("assistant", text(row.get("output"), "output"))


def _from_messages(value: Any) -> tuple[Message, ...]:
    turns = parse_messages(value)
    if not any(turn.role == "assistant" for turn in turns):
        raise _Wrong("has no assistant message, so there is nothing to learn. Fix: add the answer.")
    if turns[-1].role != "assistant":
        raise _Wrong(
            f'messages[{len(turns) - 1}].role is "{turns[-1].role}": the last message must be the assistant\'s. '
            "Fix: add the answer or remove the message."
        )
    return turns


def parse_messages(value: Any) -> tuple[Message, ...]:
    """The turns of a `messages` list, of rows and of prompts. Raises a ValueError that names the wrong place."""
    if not isinstance(value, list):
        raise _Wrong(f"messages is {type_name(value)}, not an array. Fix: messages: [{{role, content}}, ...].")
    if not value:
        raise _Wrong("messages is empty. Fix: add a user message and the answer.")
    turns = tuple(_message(item, f"messages[{index}]") for index, item in enumerate(value))
    _check_order(turns)
    return turns


def _message(item: Any, where: str) -> Message:
    if not isinstance(item, dict):
        raise _Wrong(f"{where} is {type_name(item)}, not an object. Fix: {{role, content}}.")
    role = item.get("role")
    if role not in ROLES:
        shown = f'"{role}"' if isinstance(role, str) else ("missing" if role is None else type_name(role))
        raise _Wrong(
            f"{where}.role is {shown}; allowed: {', '.join(ROLES)}. Fix: rename the role or remove the message."
        )
    if item.get("tool_calls"):
        raise _Wrong(f"{where}.tool_calls: tool calls cannot be trained yet. Fix: remove the row.")
    return Message(role, text(item.get("content"), f"{where}.content"))


def text(value: Any, where: str) -> str:
    """A string with something in it."""
    if value is None:
        raise _Wrong(f"{where} is missing or null; a string is needed. Fix: fill it in or remove the row.")
    if not isinstance(value, str):
        raise _Wrong(f"{where} is {type_name(value)}; a string is needed. Fix: write it as text.")
    if not value.strip():
        raise _Wrong(f"{where} is empty. Fix: fill it in or remove the row.")
    if "\0" in value:
        raise _Wrong(f"{where} contains a NUL character. Fix: remove it.")
    return value


def _check_order(turns: tuple[Message, ...]) -> None:
    for index, turn in enumerate(turns):
        if turn.role == "system" and index > 0:
            raise _Wrong(
                f'messages[{index}].role is "system": only the first message may be. Fix: join the system messages.'
            )
    start = 1 if turns[0].role == "system" else 0
    if start < len(turns) and turns[start].role == "assistant":
        raise _Wrong(
            f'messages[{start}].role is "assistant": a conversation starts with the user. Fix: add the question.'
        )
