"""docs/bad-input.md speaks of every row of the corpus, and of no file that is not there."""

import re
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).parents[3]
BAD = ROOT / "tests" / "apiserver" / "api" / "examples" / "bad"
PAGE = (ROOT / "docs" / "bad-input.md").read_text()
ROWS = dict(line.strip("| ").split(" | ", 1) for line in PAGE.splitlines() if re.match(r"\| [SDM]\d", line))
LAST = {"S": 53, "D": 25, "M": 8}


def spelt(first: str) -> set[str]:
    return set(first.split(", "))


def test_every_row_is_answered() -> None:
    wanted = {f"{letter}{number}" for letter, last in LAST.items() for number in range(1, last + 1)}
    assert set(chain.from_iterable(spelt(row) for row in ROWS)) == wanted


def test_rows_and_example_files_agree() -> None:
    named = {f"s{int(number):02d}" for number in re.findall(r"\bfile s(\d\d)", PAGE)}
    there = {path.name[:3] for path in BAD.glob("s[0-9][0-9]-*.yaml")}
    assert named == there


def test_every_test_that_is_named_exists() -> None:
    known = {path.name for path in (ROOT / "tests").rglob("test_*.py")}
    assert set(re.findall(r"test_\w+\.py", PAGE)) <= known
