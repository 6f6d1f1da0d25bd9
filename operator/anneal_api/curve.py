"""The loss curve of a run, drawn the same way everywhere: `anneal plot`, the model card and the run report."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

from anneal_api.run import Progress

Points = list[tuple[int, float]]

WIDE, NARROW = (720, 360), (340, 300)
"""Width and height; the narrow one is for phones, where a wide one shrinks until nobody can read it."""
LEFT, RIGHT, TOP, BOTTOM = 44, 14, 72, 34
NAMES = ("training loss", "validation loss")
MOST_POINTS = 600
"""A screen has no room for more, and a file should not carry what nobody sees."""
STYLE = """<style>
.curve text{font:12px system-ui,-apple-system,"Segoe UI",sans-serif;fill:#57606a}
.curve .title{font-weight:600;fill:#1f2328}.curve .paper{fill:#fff}.curve .grid{stroke:#d8dee4}
.curve .line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
.curve .s0{stroke:#0969da}.curve .s1{stroke:#bc4c00}.curve .d0{fill:#0969da}.curve .d1{fill:#bc4c00}
@media(prefers-color-scheme:dark){.curve text{fill:#9da7b3}.curve .title{fill:#e6edf3}.curve .paper{fill:#151b23}
.curve .grid{stroke:#30363d}.curve .s0{stroke:#58a6ff}.curve .s1{stroke:#f0883e}.curve .d0{fill:#58a6ff}
.curve .d1{fill:#f0883e}}
</style>"""


@dataclass(frozen=True)
class Curve:
    """Training and validation loss by step."""

    loss: Points
    eval_loss: Points

    @property
    def series(self) -> list[tuple[str, Points]]:
        """The lines that have points."""
        return [(name, line) for name, line in zip(NAMES, (self.loss, self.eval_loss), strict=True) if line]


def curve_of(progress: Iterable[Progress]) -> Curve:
    """A later attempt repeats steps from its checkpoint on; the last value of a step counts."""
    loss, eval_loss = dict[int, float](), dict[int, float]()
    for one in progress:
        loss |= {one.step: one.loss} if one.loss is not None else {}
        eval_loss |= {one.step: one.eval_loss} if one.eval_loss is not None else {}
    return Curve(sorted(loss.items()), sorted(eval_loss.items()))


def thinned(points: Points, most: int = MOST_POINTS) -> Points:
    """At most `most` points, evenly chosen; first and last stay."""
    if len(points) <= most:
        return points
    return [points[round(index * (len(points) - 1) / (most - 1))] for index in range(most)]


def svg(title: str, curve: Curve, size: tuple[int, int] = WIDE) -> str:
    """One self-contained SVG, readable on light and on dark pages; empty of lines where the curve is."""
    lines = [(name, thinned(points)) for name, points in curve.series]
    scale = Scale.of([point for _, points in lines for point in points], size)
    width, height = size
    said = ", ".join(f"{name} {points[0][1]:.3g} to {points[-1][1]:.3g}" for name, points in lines)
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" class="curve" viewBox="0 0 {width} {height}" '
        f'width="{width}" role="img" aria-label="{escape(f"{title}: {said}" if said else title)}">',
        STYLE, f'<rect class="paper" width="{width}" height="{height}"/>',
        f'<text class="title" x="{LEFT}" y="18">{escape(title)}</text>',
        *(part for index, line in enumerate(lines) for part in _legend(index, *line)),
        *scale.grid(), *(_line(index, points, scale) for index, (_, points) in enumerate(lines)), "</svg>", ""])


def _legend(index: int, name: str, points: Points) -> list[str]:
    y = 38 + 18 * index
    return [f'<circle class="d{index}" cx="{LEFT + 5}" cy="{y - 4}" r="4"/>',
            f'<text x="{LEFT + 15}" y="{y}">{name} {points[0][1]:.2f} to {points[-1][1]:.2f}</text>']


def _line(index: int, points: Points, scale: "Scale") -> str:
    """The line, and a dot at each point where they are few: a line through one point shows nothing."""
    places = [(scale.x(step), scale.y(value)) for step, value in points]
    dots = "".join(f'<circle class="d{index}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in places)
    line = f'<polyline class="line s{index}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in places)}"/>'
    return line + (dots if len(places) <= 20 else "")


@dataclass(frozen=True)
class Scale:
    """From steps and values to places on the paper."""

    first: int
    last: int
    low: float
    high: float
    tick: float
    width: int
    height: int

    @staticmethod
    def of(points: Points, size: tuple[int, int]) -> "Scale":
        """Axes that hold all points, with round numbers at the ends of the upright one."""
        steps, values = [x for x, _ in points] or [0], [y for _, y in points] or [0.0]
        tick = _round_step((max(values) - min(values) or 1.0) / 4)
        return Scale(min(steps), max(steps), math.floor(min(values) / tick) * tick,
                      math.ceil(max(values) / tick + 1e-9) * tick, tick, *size)

    def x(self, step: float) -> float:
        share = (step - self.first) / (self.last - self.first) if self.last > self.first else 0.5
        return LEFT + share * (self.width - LEFT - RIGHT)

    def y(self, value: float) -> float:
        return self.height - BOTTOM - (value - self.low) / (self.high - self.low) * (self.height - TOP - BOTTOM)

    @property
    def marks(self) -> list[float]:
        """Round values for lines across."""
        return [self.low + self.tick * n for n in range(round((self.high - self.low) / self.tick) + 1)]

    @property
    def steps(self) -> list[int]:
        """Steps to be named below: the first, the last, and as many between as have room with six digits."""
        parts = 4 if self.width >= WIDE[0] else 2
        return sorted({round(self.first + (self.last - self.first) * n / parts) for n in range(parts + 1)})

    def grid(self) -> list[str]:
        """Upright marks with lines, and the steps below."""
        return [*(f'<path class="grid" d="M{LEFT} {self.y(mark):.1f}H{self.width - RIGHT}"/>'
                  f'<text x="{LEFT - 8}" y="{self.y(mark) + 4:.1f}" text-anchor="end">{mark:.4g}</text>'
                  for mark in self.marks),
                *(f'<text x="{self.x(step):.1f}" y="{self.height - 12}" text-anchor="{self._anchor(step)}">'
                  f'{"step " if step == self.last else ""}{step}</text>' for step in self.steps)]

    def _anchor(self, step: int) -> str:
        return "end" if step == self.last > self.first else "middle"


def _round_step(wanted: float) -> float:
    """1, 2 or 5 times a power of ten, at least what is wanted."""
    power = 10.0 ** math.floor(math.log10(wanted))
    return next(power * n for n in (1, 2, 5, 10) if power * n >= wanted * 0.999)
