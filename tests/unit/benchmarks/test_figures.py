"""Figures on pages are those of the kept files, with their machine; without a file there is no figure."""

import json
from pathlib import Path
from typing import Any

import pytest

from anneal_dev import walltimes
from anneal_dev.steps import Outcome
from anneal_generate import figures
from anneal_generate.sections import replace
from benchmarks.report import from_log, keep

MACHINE = {"cpu": "Example 3000", "cpus": 2, "memory_gib": 15, "kernel": "6.1.0", "time": "2026-11-24T20:00:00+00:00",
           "commit": "abc1234"}
TAX = {"command": "make bench-tax", "machine": MACHINE, "results": [
    {"name": "apply to first step", "seconds": {"anneal": [21.0, 20.0, 24.0], "by hand": [20.0, 19.0, 19.5]},
     "added": 1.5, "goal": 1.5}]}


def write(folder: Path, name: str, content: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(content))


@pytest.mark.parametrize("make", [figures.tax, figures.methods, figures.walltimes, figures.controller])
def test_without_a_file_there_is_no_figure(make: Any, tmp_path: Path) -> None:
    assert make(tmp_path) == figures.NOTHING


def test_the_tax_has_median_spread_goal_and_machine(tmp_path: Path) -> None:
    write(tmp_path, "tax.json", TAX)
    text = figures.tax(tmp_path)
    assert "| 21.00 (20.00 to 24.00, 3 times) | 19.50 (19.00 to 20.00, 3 times) | +1.50 s | 1.5 s |" in text
    assert "`make bench-tax`, 2026-11-24, commit abc1234: 2 CPUs (Example 3000), 15 GiB, Linux 6.1.0." in text


def test_the_controller_has_both_contenders_and_says_which_goal_is_missed(tmp_path: Path) -> None:
    goals = [{"name": "p99", "limit": 1.0, "found": 0.25, "met": True}, {"name": "time", "limit": 1.5, "found": 2.0,
                                                                        "met": False}]
    write(tmp_path, "controller-1000.json", {
        "command": "make bench-controller N=1000", "machine": MACHINE, "rounds": {"anneal": [{"count": 1000}] * 2},
        "rows": [{"name": "writes", "ours": "28", "twin": "27 (26 to 28)"}], "goals": goals})
    text = figures.controller(tmp_path)
    assert "| 1,000 FineTuneJobs | Anneal | twin in Go |" in text
    assert "| writes | 28 | 27 (26 to 28) |" in text
    assert "| time | 1.5 | 2 | **missed** |" in text
    assert "Mean of 2 rounds each" in text


def test_wall_times_of_a_run_that_ended_well_are_kept_and_shown(tmp_path: Path) -> None:
    outcomes = [Outcome("cluster", True, 400.4), Outcome("images", True, 61.0)]
    (tmp_path / "build" / "demo").mkdir(parents=True)
    walltimes.keep(tmp_path / "build" / "demo", "make demo", "cold", outcomes, 900.04)
    assert keep(tmp_path / "build", tmp_path / "results", MACHINE) == ["walltimes-demo-cold.json"]
    text = figures.walltimes(tmp_path / "results")
    assert "| cluster | 400 |" in text
    assert "| **all** | **900** |" in text


def test_wall_times_of_a_run_that_failed_are_not_kept(tmp_path: Path) -> None:
    walltimes.keep(tmp_path, "make test", "warm", [Outcome("unit", False, 3.0)], 4.0)
    assert not list(tmp_path.iterdir())


def test_what_benchmarks_wrote_is_kept(tmp_path: Path) -> None:
    write(tmp_path / "build" / "bench", "tax.json", TAX)
    assert keep(tmp_path / "build", tmp_path / "results", MACHINE) == ["tax.json"]
    assert json.loads((tmp_path / "results" / "tax.json").read_text()) == TAX


def test_a_part_of_a_page_is_replaced_and_the_rest_stays() -> None:
    page = "a\n<!-- begin generated: x -->\nold\n<!-- end generated: x -->\nb"
    made = replace(page, "x", "new")
    assert made == "a\n<!-- begin generated: x -->\n\nnew\n\n<!-- end generated: x -->\nb"
    assert replace(made, "x", "new") == made
    with pytest.raises(ValueError, match="no part 'y'"):
        replace(page, "y", "new")


LOG = """\
     0s  lint       All checks passed!
  1805s  cleanup    nothing is left

step        result    seconds  tests                       where
lint        ok            2.1                              no cluster
unit        ok           61.0  700 passed, 0 skipped       pure code and fakes

1200 passed, 0 failed, 3 skipped
"""


def test_wall_times_are_read_from_what_make_test_printed() -> None:
    found = from_log(LOG, "cold")
    assert found["parts"] == [{"name": "lint", "seconds": 2.1}, {"name": "unit", "seconds": 61.0}]
    assert found["seconds"] == 1805.0
    with pytest.raises(ValueError, match="ended well"):
        from_log(LOG.replace("0 failed", "2 failed"), "cold")
