"""Log lines for people: a coloured prefix, and progress lines in words."""

from rich.text import Text

from anneal_api.run import Progress, parse_progress
from anneal_api.serve import parse_verified
from anneal_cli.views.text import duration, join

STAGE_STYLES = {"prepare": "blue", "train": "cyan", "evaluate": "magenta", "publish": "green", "serve": "yellow"}


def render(label: str, line: str) -> Text:
    """`[train-0] text`."""
    return Text.assemble((f"[{label}]", _style(label)), " ", readable(line))


def readable(line: str) -> str:
    """What programs read, in words; every other line as it is, without its control characters."""
    if progress := parse_progress(line):
        return in_words(progress)
    if verified := parse_verified(line):
        return f"every file is as pinned, checked in {verified.seconds:.1f} s"
    # Progress bars overwrite themselves with carriage returns; the last state is the one to see.
    shown = line.rstrip("\r").rpartition("\r")[2]
    return "".join(c for c in shown if c.isprintable() or c == "\t")


def in_words(progress: Progress) -> str:
    """`step 42/69  epoch 1.83  loss 1.2034  380 tok/s  ETA 1m10s`."""
    return join(f"step {progress.step}/{progress.total_steps}", f"epoch {progress.epoch:.2f}",
                _number("loss", progress.loss, ".4f"), _number("eval", progress.eval_loss, ".4f"),
                _number("lr", progress.learning_rate, ".1e"),
                f"{progress.tokens_per_second:,.0f} tok/s" if progress.tokens_per_second else "",
                f"ETA {duration(progress.eta_seconds)}" if progress.eta_seconds else "")


def _number(name: str, value: float | None, form: str) -> str:
    return "" if value is None else f"{name} {value:{form}}"


def _style(label: str) -> str:
    return STAGE_STYLES.get(label.partition("-")[0], "")
