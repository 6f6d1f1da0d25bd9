"""`make test`: every rig, set-up and clean-up included, and a table of what ran where and how long.

The end-to-end rig runs the demo itself, as a user would, then the tests that need its cluster.
"""

import os
import shutil
import signal
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType

from anneal_dev import demo, walltimes
from anneal_dev.environment import ROOT, python_of
from anneal_dev.steps import Console, Outcome, Step, StepError, run
from anneal_localcluster import teardown
from anneal_localcluster.settings import Folders

OUT = ROOT / "build" / "test"
RIGS = {
    "lint": "no cluster",
    "types": "no cluster",
    "layers": "no cluster",
    "generated": "no cluster",
    "unit": "pure code and fakes",
    "apiserver": "real etcd, kube-apiserver, controller-manager, scheduler",
    "faults": "the same, with a proxy that kills, refuses, cuts and freezes",
    "trainer": "real torch on CPU",
    "browser": "real Chromium",
    "e2e": "real kubelet, pods, torch, vLLM",
}


@dataclass(frozen=True)
class Counts:
    """Tests of one rig, from pytest's own report."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0


def pytest_step(name: str, python: str, *arguments: str, needs: tuple[str, ...] = ()) -> Step:
    """A step that runs pytest and leaves its report in build/test/<name>.xml."""
    command = (python, "-m", "pytest", "-q", f"--junitxml={OUT / name}.xml", *arguments)
    return Step(name, command, needs=needs)


def steps() -> list[Step]:
    """All rigs; the cheap ones first, so that a broken build is told at once."""
    dev = sys.executable
    bin_dir = str(Path(dev).parent)

    def trainer(console: Console) -> None:
        # The environment with torch is made here, not at import: it takes a minute when cold.
        step = pytest_step("trainer", python_of("trainer"), "-m", "torch", "tests/unit/trainer", "tests/contract")
        assert not callable(step.command)
        console.call("trainer", step.command)

    return [
        Step("lint", (f"{bin_dir}/ruff", "check", ".")),
        Step("types", (f"{bin_dir}/mypy",), needs=("lint",)),
        Step("layers", (f"{bin_dir}/lint-imports", "--no-cache"), needs=("lint",), show=False),
        pytest_step(
            "unit", dev, "-m", "not apiserver and not e2e and not torch", "tests/unit", needs=("types", "layers")
        ),
        pytest_step("browser", dev, "-m", "browser", "tests/browser", needs=("unit",)),
        Step("node", ("python3", "-m", "anneal_localcluster", "tools")),
        Step("generated", (dev, "tools/generate.py", "--check"), needs=("node", "unit")),
        pytest_step("apiserver", dev, "-m", "apiserver", "tests/apiserver", needs=("node", "images", "unit")),
        # Faults wait more than they work.
        pytest_step("faults", dev, "-m", "apiserver and not exhaustive", "tests/faults", "-n", "4",
                    needs=("apiserver",)),
        Step("trainer", trainer, needs=("faults",)),
        # Images wait for networks and disks while Kubernetes is compiled; both are there before tests count seconds.
        *(replace(step, needs=("lint",)) if step.name == "images" else step
          for step in demo.steps(needs=("trainer", "generated"))),
        pytest_step("e2e", dev, "-m", "e2e", "tests/e2e", needs=demo.LAST),
    ]


def counts(name: str) -> Counts:
    """Read one rig's report; zero where the rig runs no tests."""
    path = OUT / f"{name}.xml"
    if not path.exists():
        return Counts()
    total = failed = skipped = 0
    for suite in ElementTree.parse(path).getroot().iter("testsuite"):
        total += int(suite.get("tests", 0))
        failed += int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped += int(suite.get("skipped", 0))
    return Counts(total - failed - skipped, failed, skipped)


def table(outcomes: Sequence[Outcome]) -> str:
    """What ran where and how long."""
    rows = [f"{'step':<12}{'result':<9}{'seconds':>8}  {'tests':<28}where"]
    for outcome in outcomes:
        found = counts(outcome.name)
        tests = f"{found.passed} passed, {found.skipped} skipped" if found != Counts() else ""
        rows.append(
            f"{outcome.name:<12}{'ok' if outcome.ok else 'FAILED':<9}{outcome.seconds:>8.1f}  {tests:<28}"
            f"{RIGS.get(outcome.name, '')}"
        )
    return "\n".join(rows)


def failures(outcomes: Sequence[Outcome]) -> str:
    """What failed, in its own last words: where only the end of the output is kept, this is it."""
    return "\n".join(f"\n{outcome.name} FAILED: {outcome.detail}" for outcome in outcomes if not outcome.ok)


def clean_up(console: Console, was_up: bool) -> Outcome:
    """Take down what this run started and prove that nothing is left."""
    if was_up:
        console.say(
            "cleanup", "the local cluster was up before this run, so it stays up (make cluster-down removes it)"
        )
        return Outcome("cleanup", True, 0.0)
    return run([Step("cleanup", _take_down)], console)[0]


def _take_down(console: Console) -> None:
    console.call("cleanup", demo.CLUSTER_DOWN)
    if left := teardown.traces(Folders()):
        raise StepError(f"left on this machine after the tests: {', '.join(left)}")


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> int:
    """Run everything; always clean up."""
    signal.signal(signal.SIGTERM, _interrupt)
    os.chdir(ROOT)
    shutil.rmtree(OUT, ignore_errors=True)
    console = Console(OUT)
    started, began = time.monotonic(), walltimes.temperature()
    was_up = demo.cluster_is_up()
    outcomes: list[Outcome] = []
    try:
        if not was_up and teardown.traces(Folders()):
            console.say("cleanup", "a local cluster that was not taken down is removed first")
            _take_down(console)
        outcomes = run(steps(), console, workers=3)
    except (KeyboardInterrupt, StepError) as error:
        console.say("test", f"stopped: {str(error) or 'interrupted'}; cleaning up")
        outcomes.append(Outcome("test", False, 0.0, "interrupted"))
    finally:
        outcomes.append(clean_up(Console(OUT), was_up))
    walltimes.keep(OUT, "make test", began, outcomes, time.monotonic() - started)
    print(failures(outcomes) + "\n\n" + table(outcomes))
    total = [counts(outcome.name) for outcome in outcomes]
    failed = sum(c.failed for c in total) + sum(not o.ok and counts(o.name).failed == 0 for o in outcomes)
    print(f"\n{sum(c.passed for c in total)} passed, {failed} failed, {sum(c.skipped for c in total)} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
