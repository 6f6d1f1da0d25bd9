"""How far training is, from the train pod's log."""

from datetime import datetime, timedelta

from anneal_api.conditions import timestamp
from anneal_api.finetunejob_status import ProgressStatus
from anneal_api.run import Progress, TrainSummary
from anneal_operator.decide import objects

EVERY = timedelta(seconds=10)
"""Each reading is a status patch that every watcher receives."""
SELDOM = timedelta(seconds=60)
MILESTONES = (25, 50, 75)


def interval(since: datetime | None, now: datetime) -> timedelta:
    """How often to look at what has been under way since then. What lasts for an hour need not be looked at six times
    a minute: a thousand runs that train or wait for a GPU would be a hundred reads and writes a second."""
    return min(max(EVERY, (now - since) / 30), SELDOM) if since else EVERY


def due(progress: ProgressStatus | None, since: datetime | None, now: datetime) -> bool:
    """Is it time to read again, in a stage that began then?"""
    last = objects.parse_time(progress.time) if progress else None
    return last is None or now - last >= interval(since, now)


def read(old: ProgressStatus | None, found: Progress, now: datetime) -> ProgressStatus:
    """The status that a progress line stands for; what the line lacks stays as it was."""
    known = old or ProgressStatus()
    percent = _percent(found.step, found.total_steps)
    return ProgressStatus(
        step=found.step, total_steps=found.total_steps, epoch=round(found.epoch, 3), percent=percent,
        first_loss=known.first_loss if known.first_loss is not None else found.loss,
        loss=found.loss if found.loss is not None else known.loss,
        eval_loss=found.eval_loss if found.eval_loss is not None else known.eval_loss,
        learning_rate=found.learning_rate if found.learning_rate is not None else known.learning_rate,
        tokens_per_second=found.tokens_per_second or known.tokens_per_second, eta_seconds=found.eta_seconds,
        summary=_summary(percent, found.step, found.total_steps), time=timestamp(now))


def finished(old: ProgressStatus | None, summary: TrainSummary, epochs: int, now: datetime) -> ProgressStatus:
    """The status once all steps are done; the result knows better than the log."""
    known = old or ProgressStatus()
    # An attempt that resumed saw its own first step only.
    first = known.first_loss if summary.resumed_from_step and known.first_loss is not None else summary.first_loss
    return known.model_copy(update={
        "step": summary.steps, "total_steps": summary.steps, "epoch": float(epochs), "percent": 100,
        "first_loss": first, "loss": summary.last_loss, "tokens_per_second": summary.tokens_per_second,
        "eta_seconds": 0, "summary": _summary(100, summary.steps, summary.steps), "time": timestamp(now)})


def passed(old: ProgressStatus | None, new: ProgressStatus | None) -> list[int]:
    """Milestones between two readings; the newest is enough, and the end says so itself."""
    before, after = (old.percent if old else 0), (new.percent if new else 0)
    return [mark for mark in MILESTONES if before < mark <= after < 100][-1:]


def _percent(step: int, total: int) -> int:
    return min(100, 100 * step // total) if total > 0 else 0


def _summary(percent: int, step: int, total: int) -> str:
    return f"{percent}% ({step}/{total})"
