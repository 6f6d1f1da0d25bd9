"""A line chart in braille dots: two columns and four rows of dots per character."""

from collections.abc import Sequence

from rich.text import Text

from anneal_api.curve import Points

AXIS_WIDTH = 8
BLANK = 0x2800
DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))


class Canvas:
    """Dots with a colour per character."""

    def __init__(self, columns: int, rows: int) -> None:
        self._columns, self._rows = columns, rows
        self._dots = [[0] * columns for _ in range(rows)]
        self._styles = [[""] * columns for _ in range(rows)]

    def line(self, start: tuple[float, float], end: tuple[float, float], style: str) -> None:
        """A straight line between two points of the unit square, whose origin is at the bottom left."""
        width, height = self._columns * 2 - 1, self._rows * 4 - 1
        count = max(1, round(max(abs(end[0] - start[0]) * width, abs(end[1] - start[1]) * height)))
        for n in range(count + 1):
            x, y = (a + (b - a) * n / count for a, b in zip(start, end, strict=True))
            self._dot(round(x * width), round((1 - y) * height), style)

    def _dot(self, x: int, y: int, style: str) -> None:
        self._dots[y // 4][x // 2] |= DOTS[x % 2][y % 4]
        self._styles[y // 4][x // 2] = style

    def row(self, index: int) -> Text:
        """One line of characters."""
        line = Text()
        for dots, style in zip(self._dots[index], self._styles[index], strict=True):
            line.append(chr(BLANK + dots) if dots else " ", style)
        return line


def chart(series: Sequence[tuple[str, Points, str]], columns: int, rows: int) -> Text:
    """All series, each (name, points, style), on common axes, with a legend."""
    points = [point for _, line, _ in series for point in line]
    low, high = min(y for _, y in points), max(y for _, y in points)
    first, last = min(x for x, _ in points), max(x for x, _ in points)
    canvas = Canvas(max(8, columns - AXIS_WIDTH - 1), rows)
    for _, line, style in series:
        unit = [(_place(x, first, last), _place(y, low, high)) for x, y in line]
        for start, end in zip(unit, unit[1:] or unit, strict=False):
            canvas.line(start, end, style)
    return Text("\n").join([_legend(series, columns), *_plot(canvas, low, high, rows), _steps(first, last, columns)])


def _place(value: float, low: float, high: float) -> float:
    """Where a value stands between two bounds, 0 to 1."""
    return (value - low) / (high - low) if high > low else 0.5


def _plot(canvas: Canvas, low: float, high: float, rows: int) -> list[Text]:
    marks = {0: f"{high:.2f}", rows // 2: f"{(high + low) / 2:.2f}", rows - 1: f"{low:.2f}"}
    return [Text.assemble((f"{marks.get(row, ''):>{AXIS_WIDTH - 1}} │", "dim"), canvas.row(row)) for row in range(rows)]


def _steps(first: int, last: int, columns: int) -> Text:
    right = f"step {last}"
    room = max(1, columns - AXIS_WIDTH - 1 - len(str(first)) - len(right))
    return Text(f"{'':>{AXIS_WIDTH + 1}}{first}{'':>{room}}{right}", "dim")


def _legend(series: Sequence[tuple[str, Points, str]], columns: int) -> Text:
    """On one line where there is room."""
    parts = [Text.assemble(("━ ", style), f"{name} {line[0][1]:.2f} to {line[-1][1]:.2f}")
             for name, line, style in series]
    indent = " " * (AXIS_WIDTH + 1)
    line = Text.assemble(indent, Text("   ").join(parts))
    return line if line.cell_len <= columns else Text("\n").join([Text.assemble(indent, part) for part in parts])
