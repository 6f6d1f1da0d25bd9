"""Screens as snapshots: 80 and 120 columns, without colour. `pytest --update-golden` writes them anew."""

import dataclasses
from datetime import timedelta
from pathlib import Path

import pytest
from rich.console import RenderableType
from rich.text import Text

from anneal_cli.checks import Finding
from anneal_cli.history import Event
from anneal_cli.resource import resource_of
from anneal_cli.verbs.status import screen
from anneal_cli.views import chat, events, explanation, listing
from anneal_cli.views.findings import checklist
from anneal_cli.views.text import ASCII, UNICODE, Symbols, duration
from tests.unit.cli import samples
from tests.unit.cli.samples import START
from tests.unit.cli.terminal import NOW, console, text

GOLDEN = Path(__file__).parents[2] / "golden" / "cli"
RESOURCES = {"training": samples.training(), "succeeded": samples.succeeded(), "failed": samples.failed(),
             "unschedulable": samples.unschedulable(), "suspended": samples.suspended(), "unseen": samples.job(),
             "serving": samples.serving(), "starting": samples.starting(), "verifying": samples.verifying()}
WARNING = Event(NOW - timedelta(seconds=40), True, "FailedScheduling", "pod/support-1234-train-0",
                "0/1 nodes are available: 1 Insufficient nvidia.com/gpu.", 7, {})
NORMAL = Event(NOW - timedelta(seconds=90), False, "StageSucceeded", "finetunejob/support", "prepare finished in 13s",
               1, {})
ANSWERS = [("base", "I am not sure which shop you mean. " * 4), ("tuned", "Returns are free within 45 days. " * 3)]

FINDINGS = [Finding("ok", "cluster", "v1.36.2 answers"),
            Finding("warning", "gpus", "no node offers nvidia.com/gpu", "Install the device plugin, or run on CPU."),
            Finding("failed", "operator", "deployment anneal is not ready: 0/1", "kubectl logs deploy/anneal")]


def _doctor(symbols: Symbols) -> Text:
    return Text("\n").join(line for line in checklist(FINDINGS, symbols).renderables if isinstance(line, Text))


def _explain(name: str) -> RenderableType:
    return explanation.explanation(resource_of(RESOURCES[name]), [NORMAL, WARNING])


SCREENS: dict[str, RenderableType] = {
    **{f"status-{name}": screen([resource_of(raw)], NOW, UNICODE) for name, raw in RESOURCES.items()},
    "status-both": screen([resource_of(samples.training()), resource_of(samples.serving())], NOW, UNICODE),
    "status-ascii": screen([resource_of(samples.training())], NOW, ASCII),
    **{f"explain-{name}": _explain(name) for name in ("failed", "unschedulable", "succeeded", "unseen", "serving")},
}
LONG = Event(NOW - timedelta(seconds=80), False, "Scheduled", "pod/support-1234-train-0",
             "Successfully assigned team-a/support-1234-train-0 to node-with-eight-accelerators-17", 1, {})
NARROW = ("status-training", "status-serving", "explain-failed")
CASES = [(name, width) for name in SCREENS for width in (80, 120)] + [(name, 40) for name in NARROW]
TABLES: dict[str, Text] = {
    "list": listing.table([resource_of(raw) for raw in RESOURCES.values()], NOW, namespaces=True),
    "events": events.table([NORMAL, WARNING], NOW),
    "doctor": _doctor(UNICODE),
    "doctor-ascii": _doctor(ASCII),
}


def rendered(renderable: RenderableType, width: int) -> str:
    terminal = console(width)
    terminal.print(renderable)
    return text(terminal) + "\n"


def compare(name: str, found: str, *, update: bool) -> None:
    path = GOLDEN / f"{name}.txt"
    if update:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(found)
    assert found == path.read_text(), f"{path} differs; look at it and run pytest --update-golden"


@pytest.mark.parametrize(("name", "width"), CASES, ids=[f"{name}-{width}" for name, width in CASES])
def test_screens_look_as_they_did(name: str, width: int, request: pytest.FixtureRequest) -> None:
    found = rendered(SCREENS[name], width)
    assert max(map(len, found.splitlines())) <= width
    compare(f"{name}-{width}", found, update=request.config.getoption("--update-golden"))


@pytest.mark.parametrize("width", [60, 80, 120])
def test_answers_stand_side_by_side_where_there_is_room(width: int, request: pytest.FixtureRequest) -> None:
    found = rendered(chat.screen(ANSWERS, width), width)
    assert ("│" in found) == (width >= chat.SIDE_BY_SIDE_WIDTH)
    compare(f"chat-{width}", found, update=request.config.getoption("--update-golden"))


def test_events_without_room_for_a_line_each_get_two(request: pytest.FixtureRequest) -> None:
    found = rendered(events.table([NORMAL, LONG, WARNING], NOW, room=80), 80)
    assert max(map(len, found.splitlines())) <= 80
    compare("events-80", found, update=request.config.getoption("--update-golden"))
    assert rendered(events.table([NORMAL, WARNING], NOW, room=120), 120) == (GOLDEN / "events.txt").read_text()


def test_warnings_from_before_a_resource_was_ready_are_over() -> None:
    said = [dataclasses.replace(WARNING, time=START + timedelta(seconds=seconds), message=f"after {seconds} s")
            for seconds in (1, 99)]
    found = rendered(explanation.explanation(resource_of(samples.serving()), said), 80)
    assert "after 99 s" in found
    assert "after 1 s" not in found


def test_the_operator_s_own_words_are_said_once_and_not_interpreted() -> None:
    resource = resource_of(samples.failed())
    assert resource.trouble
    own = dataclasses.replace(WARNING, object=resource.ref, message="claim data does not exist")
    said = [dataclasses.replace(own, reason=resource.trouble.reason), dataclasses.replace(own, reason="Retrying")]
    found = rendered(explanation.explanation(resource, said), 120)
    assert found.count("claim data does not exist") == 1
    assert "VolumeNotReady" not in found


@pytest.mark.parametrize("name", TABLES)
def test_tables_are_never_wrapped(name: str, request: pytest.FixtureRequest) -> None:
    terminal = console(40)
    terminal.print(TABLES[name], soft_wrap=True)
    compare(name, text(terminal) + "\n", update=request.config.getoption("--update-golden"))


def test_no_golden_file_is_left_over() -> None:
    wanted = {f"{name}.txt" for name in TABLES} | {f"{name}-{width}.txt" for name, width in CASES} | {
        f"chat-{width}.txt" for width in (60, 80, 120)} | {"events-80.txt"}
    assert {path.name for path in GOLDEN.glob("*.txt")} == wanted


def test_a_digest_is_never_cut_at_80_columns() -> None:
    assert samples.DIGEST in rendered(SCREENS["status-succeeded"], 80)


def test_brackets_of_messages_are_not_markup() -> None:
    body = samples.failed()
    body["status"]["conditions"][1]["message"] = "row 3: [bold]role[/bold] is not allowed"
    assert "[bold]role[/bold]" in rendered(screen([resource_of(body)], NOW, UNICODE), 80)


@pytest.mark.parametrize(("seconds", "expected"), [
    (0, "0s"), (59.4, "59s"), (60, "1m00s"), (3599, "59m59s"), (3600, "1h00m"), (86400, "1d00h"), (-5, "0s")])
def test_durations_have_two_units_at_most(seconds: float, expected: str) -> None:
    assert duration(seconds) == expected


@pytest.mark.parametrize("name", ["unseen", "failed"])
def test_what_the_cluster_says_is_explained_once_where_no_condition_does(name: str) -> None:
    message = 'pods "x" is forbidden: exceeded quota: gpus, requested: cpu=8'
    quota = Event(NOW, True, "FailedCreate", "job/support-1234-train-0", message, 2, {})
    found = rendered(explanation.explanation(resource_of(RESOURCES[name]), [quota, quota]), 120)
    assert "QuotaExceeded: Free quota (kubectl describe quota gpus)" in found
    assert found.count("QuotaExceeded") == 1
