"""A FineTuneJob as a tree: its stages, how far training is, what it found, and what came out."""

from collections.abc import Iterator
from datetime import datetime

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text
from rich.tree import Tree

from anneal_api.conditions import Reason
from anneal_api.finetunejob_status import ArtifactStatus, DatasetStatus, ProgressStatus, StageStatus
from anneal_api.run import Stage
from anneal_cli.resource import Resource, State, parse_time
from anneal_cli.views import evaluation
from anneal_cli.views.text import STYLES, Symbols, between, count, duration, join, of_stage
from anneal_cli.views.trouble import trouble, unseen

BAR_WIDTH = 24
ORDINARY = {"", Reason.WAITING, Reason.RUNNING, Reason.STAGE_SUCCEEDED, Reason.ACCEPTED}
"""Reasons that say no more than the state of the stage."""


def tree(resource: Resource, now: datetime, symbols: Symbols) -> RenderableType:
    """Everything the status tells."""
    status = resource.job
    root = Tree(heading(resource, now, symbols), guide_style="dim")
    for stage in status.stages or [StageStatus(name=name) for name in Stage]:
        details = Padding(Group(*_details(resource, stage, symbols)), (0, 0, 0, 2))
        root.add(Group(stage_line(stage, now, symbols), details))
    return Group(root, *_results(resource), *trouble(resource), *unseen(resource, now))


def heading(resource: Resource, now: datetime, symbols: Symbols) -> Text:
    """Name, phase and how long it has taken."""
    first = resource.seconds_to("firstStep")
    return Text.assemble(("FineTuneJob ", "bold"), (resource.name, "bold"), "  ", phase(resource, symbols),
                         f"  {between(resource.created, _end(resource) or now)}",
                         (f"  first step after {duration(first)}" if first is not None else "", "dim"))


def phase(resource: Resource, symbols: Symbols) -> tuple[str, str]:
    """The phase with its sign and style."""
    text = resource.status.phase or "Pending"
    signs = {State.READY: (symbols.done, "green"), State.STALLED: (symbols.failed, "red"),
             State.ROLLED_BACK: (symbols.failed, "red"),
             State.SUSPENDED: (symbols.paused, "yellow"), State.UNSEEN: (symbols.pending, "dim")}
    sign, style = signs.get(resource.state, (symbols.running, "cyan"))
    return f"{sign} {text}", style


def stage_line(stage: StageStatus, now: datetime, symbols: Symbols) -> Text:
    """One stage: sign, name, time, attempt, and the reason where it says something."""
    style = STYLES.get(stage.state, "")
    running = stage.state in ("Running", "Failed")
    started, ended = parse_time(stage.start_time), parse_time(stage.finish_time)
    took = between(started, ended or (now if running else None))
    extra = join(f"attempt {stage.attempt + 1}" if stage.attempt else "",
                 count(stage.disruptions, "disruption") if stage.disruptions else "",
                 stage.reason if stage.reason not in ORDINARY else "")
    line = Text.assemble((f"{of_stage(symbols, stage.state)} {stage.name:<9}", style), f" {took:>6}",
                         (f"  {extra}" if extra else "", "yellow" if stage.state == "Running" else style))
    line.rstrip()
    return line


def bar(progress: ProgressStatus, symbols: Symbols) -> Text:
    """Bar, steps and time to go."""
    filled = round(BAR_WIDTH * min(progress.percent, 100) / 100)
    eta = f"ETA {duration(progress.eta_seconds)}" if progress.eta_seconds else ""
    numbers = join(f"{progress.step}/{progress.total_steps}", f"{progress.percent}%", eta)
    return Text.assemble((symbols.filled * filled, "cyan"), (symbols.empty * (BAR_WIDTH - filled), "dim"),
                         f" {numbers}")


def losses(progress: ProgressStatus, symbols: Symbols) -> str:
    """`loss 3.01 → 1.20  eval 1.31`."""
    first = f"{progress.first_loss:.2f} {symbols.arrow} " if progress.first_loss is not None else ""
    return join(f"loss {first}{progress.loss:.2f}" if progress.loss is not None else "",
                f"eval {progress.eval_loss:.2f}" if progress.eval_loss is not None else "")


def speed(progress: ProgressStatus) -> str:
    """`380 tok/s`."""
    return f"{progress.tokens_per_second:,.0f} tok/s" if progress.tokens_per_second else ""


def _details(resource: Resource, stage: StageStatus, symbols: Symbols) -> Iterator[Text]:
    """What stands below a stage."""
    status = resource.job
    if stage.name == Stage.PREPARE and status.dataset and stage.state == "Succeeded":
        yield Text(dataset_line(status.dataset), "dim")
    if stage.name == Stage.TRAIN and status.progress and status.progress.total_steps:
        yield bar(status.progress, symbols)
        yield Text(join(losses(status.progress, symbols), speed(status.progress)))
    stuck = stage.state == "Running" and stage.reason not in ORDINARY
    told_below = resource.trouble and resource.trouble.message == stage.message
    if stage.message and not told_below and (stuck or stage.state == "Failed"):
        yield Text(stage.message, "yellow" if stuck else "red")


def dataset_line(dataset: DatasetStatus) -> str:
    """How many rows went where."""
    parts = [f"{dataset.train:,} train", f"{dataset.validation:,} validation", f"{dataset.test:,} test"]
    parts += [f"{dataset.dropped:,} dropped"] if dataset.dropped else []
    return f"{count(dataset.rows, 'row')} ({', '.join(parts)}), {dataset.trained_tokens:,} trained tokens"


def _results(resource: Resource) -> Iterator[RenderableType]:
    status = resource.job
    if status.evaluation:
        yield Text()
        yield evaluation.table(status.evaluation)
    if status.artifact:
        # The table ends with an empty line of its own.
        yield from () if status.evaluation else (Text(),)
        yield artifact_lines(status.artifact)


def artifact_lines(artifact: ArtifactStatus) -> Text:
    """Where the published model is. Not cut: people copy these."""
    return Text.assemble(("Artifact  ", "bold"), f"{artifact.kind}  {artifact.uri}\n",
                         (f"  {artifact.digest}", "dim"))


def _end(resource: Resource) -> datetime | None:
    """When the run ended: the last change of the conditions of a final resource."""
    if not resource.final:
        return None
    times = [t for c in resource.status.conditions if (t := parse_time(c.last_transition_time))]
    return max(times, default=None)
