"""Checkable prompts: read and judged by the same code in prepare (so that mistakes show early) and in evaluate."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anneal_trainer.jsonfile import Problems, read_rows, type_name
from anneal_trainer.rows import Message, parse_messages, text

KINDS = ("contains", "containsAny", "equals", "regex")
MAX_PROMPTS = 10_000
MAX_REGEX = 1000


@dataclass(frozen=True)
class Check:
    """How an answer is judged; letter case and runs of white space do not count.

    contains: every text is in the answer. containsAny: one is. equals: the answer is the text. regex: the pattern is
    found.
    """

    kind: str
    values: tuple[str, ...]

    def passes(self, answer: str) -> bool:
        """Whether the answer is right."""
        if self.kind == "regex":
            return re.search(self.values[0], answer, re.IGNORECASE) is not None
        given, wanted = _plain(answer), [_plain(value) for value in self.values]
        if self.kind == "equals":
            return given == wanted[0]
        return (all if self.kind == "contains" else any)(value in given for value in wanted)


@dataclass(frozen=True)
class Prompt:
    """One question with its check."""

    id: str
    messages: tuple[Message, ...]
    check: Check


def load_prompts(path: Path) -> list[Prompt]:
    """All prompts of the file. Raises BadData that lists what is wrong."""
    problems, found, ids = Problems(path.name), [], dict[str, int]()
    for line, row in read_rows(path, problems):
        try:
            prompt = _prompt(row)
            if (first := ids.setdefault(prompt.id, line)) != line:
                raise ValueError(f'id "{prompt.id}" is taken by line {first}. Fix: give every prompt its own id.')
        except ValueError as error:
            problems.add(line, str(error))
        else:
            found.append(prompt)
        if line > MAX_PROMPTS:
            problems.add(line, f"is beyond the limit of {MAX_PROMPTS} prompts. Fix: use fewer.")
            problems.raise_if_any()
    problems.raise_if_any()
    return found


def _prompt(row: Any) -> Prompt:
    if not isinstance(row, dict):
        raise ValueError(f"is {type_name(row)}, not an object. Fix: {{id, messages, check}}.")
    turns = parse_messages(row.get("messages", []))
    if turns[-1].role != "user":
        raise ValueError(
            f'messages[{len(turns) - 1}].role is "{turns[-1].role}": a prompt ends with the user. Fix: remove the '
            f"answer."
        )
    return Prompt(text(row.get("id"), "id"), turns, _check(row.get("check")))


def _check(value: Any) -> Check:
    kinds = ", ".join(KINDS)
    if not isinstance(value, dict) or len(value) != 1 or next(iter(value)) not in KINDS:
        shown = f"has the keys {sorted(value)}" if isinstance(value, dict) else f"is {type_name(value)}"
        raise ValueError(
            f'check {shown}; exactly one of {kinds} is needed. Fix: for example {{"contains": ["45 days"]}}.'
        )
    kind, wanted = next(iter(value.items()))
    if kind in ("contains", "containsAny"):
        if not isinstance(wanted, list) or not wanted:
            raise ValueError(f'check.{kind} is {type_name(wanted)}; a list of texts is needed. Fix: ["45 days"].')
        return Check(kind, tuple(text(item, f"check.{kind}[{index}]") for index, item in enumerate(wanted)))
    return Check(kind, (_pattern(text(wanted, f"check.{kind}")) if kind == "regex" else text(wanted, f"check.{kind}"),))


def _pattern(pattern: str) -> str:
    if len(pattern) > MAX_REGEX:
        raise ValueError(f"check.regex has {len(pattern)} characters; at most {MAX_REGEX}. Fix: shorten it.")
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"check.regex does not compile: {error}. Fix: correct the pattern.") from None
    return pattern


def _plain(value: str) -> str:
    return " ".join(value.split()).casefold()
