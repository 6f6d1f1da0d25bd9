"""docs/faults.md speaks of every row, and of tests that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
ROWS = [line.split("|")[1:-1] for line in (ROOT / "docs" / "faults.md").read_text().splitlines()
        if re.match(r"\| F\d", line)]


def test_every_row_is_there_once() -> None:
    assert [row[0].strip() for row in ROWS] == [f"F{number}" for number in range(1, 44)]


def test_every_test_that_is_named_exists() -> None:
    source = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    named = {name for row in ROWS for name in re.findall(r"`(test_\w+)`", row[3])}
    assert {name for name in named if f"def {name}(" not in source} == set()


def test_a_row_without_a_test_says_why() -> None:
    untested = [row[2].strip() for row in ROWS if "`test_" not in row[3]]
    assert all(re.match(r"(does not apply|not built)", why) for why in untested), untested
