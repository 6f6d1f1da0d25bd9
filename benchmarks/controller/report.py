"""Pure: rounds of two contenders, the goals they are held to, and the table that a person reads."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

Figures = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """One figure of both contenders, all rounds: mean, smallest and largest."""

    name: str
    ours: str
    twin: str


@dataclass(frozen=True)
class Goal:
    """What is asked of us, and what was found."""

    name: str
    limit: float
    found: float

    @property
    def met(self) -> bool:
        """Found at most the limit."""
        return self.found <= self.limit


_FIGURES: tuple[tuple[str, str], ...] = (
    ("create -> first Job, p50 (s)", "createToJob.p50"), ("create -> first Job, p99 (s)", "createToJob.p99"),
    ("converge after release (s)", "convergeSeconds"), ("converged per second", "convergedPerSecond"),
    ("writes per resource", "writesPerResource"), ("reads per resource", "readsPerResource"),
    ("refused writes", "refusedWrites"), ("CPU seconds per 1,000", "cpuSecondsPerThousand"),
    ("memory now (MB)", "cost.rss_mb"), ("memory at most (MB)", "cost.peak_mb"),
    ("requests/s, all running", "running.requestsPerSecond"), ("requests/s, all settled", "settled.requestsPerSecond"),
    ("event loop lag, p99 at most (s)", "loopLag.p99AtMost"),
    ("p99 of 100 without poison (s)", "poison.clean.p99"), ("p99 of 100 beside poison (s)", "poison.beside.p99"),
    ("restart -> first new Job (s)", "restart.firstJobSeconds"),
    ("restart: writes for settled", "restart.writesForSettled"),
)


def pick(figures: Figures, path: str) -> float | None:
    """A figure by its path, or None where a contender has none."""
    found: Any = figures
    for part in path.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return None if found is None else float(found)


def mean(rounds: Iterable[Figures], path: str) -> float:
    """Over the rounds."""
    values = [value for one in rounds if (value := pick(one, path)) is not None]
    return sum(values) / len(values)


def rows(ours: list[Figures], twin: list[Figures]) -> list[Row]:
    """The table."""
    return [Row(name, _cell(ours, path), _cell(twin, path)) for name, path in _FIGURES]


def _cell(rounds: list[Figures], path: str) -> str:
    values = [value for one in rounds if (value := pick(one, path)) is not None]
    if not values:
        return "-"
    text = _number(sum(values) / len(values))
    return text if len(values) == 1 else f"{text} ({_number(min(values))} to {_number(max(values))})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def goals(ours: list[Figures], twin: list[Figures]) -> list[Goal]:
    """What issue and design ask for; the comparison only where the twin ran."""
    count = ours[0]["count"]

    def of(path: str) -> float:
        return mean(ours, path)

    found = [
        Goal("create -> first Job, p99 (s)", 1.0, of("createToJob.p99")),
        Goal("memory at most (MB): 150 + 20 kB each", 150 + 0.02 * count, of("cost.peak_mb")),
        Goal("requests/s, all settled", 5.0, of("settled.requestsPerSecond")),
        Goal("restart: writes for settled", 0.0, of("restart.writesForSettled")),
        Goal("restart -> first new Job (s)", 30.0, of("restart.firstJobSeconds")),
        Goal("p99 beside poison / without", 2.0, of("poison.beside.p99") / of("poison.clean.p99")),
        Goal("p50 beside poison / without", 2.0, of("poison.beside.p50") / of("poison.clean.p50")),
    ]
    if twin:
        ratio = of("convergeSeconds") / mean(twin, "convergeSeconds")
        found += [Goal("time to converge / the twin's", 1.5, ratio),
                  Goal("writes per resource / the twin's", 1.0,
                       of("writesPerResource") / mean(twin, "writesPerResource"))]
    return found


def title(figures: Figures) -> str:
    """What went over the course."""
    count, released, rate = figures["count"], figures.get("released", figures["count"]), figures.get("rate")
    pace = f", {rate:g} a second" if rate else ""
    return f"{count:,} FineTuneJobs{pace}" + (f", {released:,} to the end" if released < count else "")


def table(ours: list[Figures], twin: list[Figures]) -> str:
    """Markdown, which is as readable on a terminal."""
    lines = [f"| {title(ours[0])} | Anneal | twin in Go |", "|---|---|---|"]
    lines += [f"| {row.name} | {row.ours} | {row.twin} |" for row in rows(ours, twin)]
    lines += ["", "| goal | limit | found | |", "|---|---|---|---|"]
    lines += [f"| {goal.name} | {goal.limit:.3g} | {goal.found:.3g} | {'met' if goal.met else 'MISSED'} |"
              for goal in goals(ours, twin)]
    return "\n".join(lines)
