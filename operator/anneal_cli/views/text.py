"""Small texts that several views share: times, numbers, symbols and their styles."""

from dataclasses import dataclass
from datetime import datetime

from anneal_cli.resource import State


@dataclass(frozen=True)
class Symbols:
    """The signs in front of lines."""

    done: str
    failed: str
    running: str
    pending: str
    skipped: str
    paused: str
    filled: str
    empty: str
    arrow: str


UNICODE = Symbols("✔", "✘", "●", "○", "–", "‖", "█", "░", "→")
ASCII = Symbols("+", "x", "*", ".", "-", "=", "#", ".", "->")

STYLES = {"Succeeded": "green", "Failed": "red", "Running": "cyan", "Pending": "dim", "Skipped": "dim"}
STATE_STYLES = {State.READY: "green", State.STALLED: "red", State.ROLLED_BACK: "red", State.PROGRESSING: "cyan",
                State.SUSPENDED: "yellow", State.UNSEEN: "dim", State.DELETING: "dim"}


def symbols_for(encoding: str) -> Symbols:
    """Signs that the terminal can show."""
    return UNICODE if encoding.lower().replace("-", "").startswith("utf") else ASCII


def of_stage(symbols: Symbols, state: str) -> str:
    """The sign of a stage's state."""
    return {"Succeeded": symbols.done, "Failed": symbols.failed, "Running": symbols.running,
            "Skipped": symbols.skipped}.get(state, symbols.pending)


def duration(seconds: float) -> str:
    """Two units at most: 9s, 1m05s, 2h03m, 3d04h."""
    total = max(0, round(seconds))
    minutes, hours, days = total // 60, total // 3600, total // 86400
    if total < 60:
        return f"{total}s"
    if hours == 0:
        return f"{minutes}m{total % 60:02}s"
    return f"{hours}h{minutes % 60:02}m" if days == 0 else f"{days}d{hours % 24:02}h"


def between(start: datetime | None, end: datetime | None) -> str:
    """The duration between two moments, empty when one is unknown."""
    return duration((end - start).total_seconds()) if start and end else ""


def count(number: int, noun: str) -> str:
    """`1 row`, `1,204 rows`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def join(*parts: str) -> str:
    """The parts that are not empty, with room between them."""
    return "  ".join(part for part in parts if part)
