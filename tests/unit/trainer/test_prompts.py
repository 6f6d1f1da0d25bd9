"""Prompts, and the checks of their answers."""

from pathlib import Path
from typing import Any

import pytest

from anneal_trainer.errors import BadData
from anneal_trainer.prompts import Check, load_prompts
from tests.unit.trainer.tiny import PROMPTS, write_lines


@pytest.mark.parametrize(
    ("check", "answer", "passes"),
    [
        (Check("contains", ("45 days", "free")), "Within 45  Days, for FREE.", True),
        (Check("contains", ("45 days", "free")), "Within 45 days.", False),
        (Check("containsAny", ("yes", "sure")), "Sure!", True),
        (Check("containsAny", ("yes", "sure")), "No.", False),
        (Check("equals", ("Yes.",)), " yes.\n", True),
        (Check("equals", ("Yes.",)), "Yes. Always.", False),
        (Check("regex", (r"\b4[25] days\b",)), "In 42 Days", True),
        (Check("regex", (r"^no\b",)), "Now", False),
    ],
)
def test_an_answer_is_judged(check: Check, answer: str, passes: bool) -> None:
    assert check.passes(answer) is passes


def test_good_prompts_are_read(tmp_path: Path) -> None:
    write_lines(tmp_path / "prompts.jsonl", PROMPTS)

    prompts = load_prompts(tmp_path / "prompts.jsonl")

    assert [prompt.id for prompt in prompts] == ["tent", "rope"]
    assert prompts[0].check == Check("contains", ("years",))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": ""}, "prompts.jsonl:1 id is empty."),
        ({"id": 5}, "prompts.jsonl:1 id is a number; a string is needed."),
        ({"check": None}, "check is null; exactly one of contains, containsAny, equals, regex is needed."),
        ({"check": {}}, "check has the keys []; exactly one of"),
        ({"check": {"contains": ["a"], "regex": "b"}}, "check has the keys ['contains', 'regex']; exactly one of"),
        ({"check": {"contains": "a"}}, "check.contains is a string; a list of texts is needed."),
        ({"check": {"contains": ["a", ""]}}, "check.contains[1] is empty."),
        ({"check": {"regex": "(a"}}, "check.regex does not compile: missing ), unterminated subpattern"),
        ({"messages": [{"role": "assistant", "content": "a"}]}, 'messages[0].role is "assistant"'),
        ({"messages": []}, "messages is empty."),
    ],
)
def test_a_bad_prompt_is_refused_with_its_line(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    write_lines(tmp_path / "prompts.jsonl", [PROMPTS[0] | change])

    with pytest.raises(BadData) as caught:
        load_prompts(tmp_path / "prompts.jsonl")
    assert message in str(caught.value)
    assert "Fix: " in str(caught.value)


def test_an_id_that_is_taken_is_refused(tmp_path: Path) -> None:
    write_lines(tmp_path / "prompts.jsonl", [PROMPTS[0], PROMPTS[0]])

    with pytest.raises(BadData, match=r'prompts\.jsonl:2 id "tent" is taken by line 1'):
        load_prompts(tmp_path / "prompts.jsonl")
