"""The loss curve as SVG: one self-contained file, readable on light and on dark pages."""

from html import escape

from anneal_cli.curve import Points

WIDTH, HEIGHT = 720, 360
LEFT, RIGHT, TOP, BOTTOM = 60, 20, 44, 40
COLOURS = ("#2f7ed8", "#d9822b", "#3a9d5d", "#a05ac9")
STYLE = """<style>
text{font:13px system-ui,sans-serif;fill:#333}.axis{stroke:#bbb;stroke-width:1}.paper{fill:#fff}
@media(prefers-color-scheme:dark){text{fill:#ddd}.axis{stroke:#555}.paper{fill:#16181d}}
</style>"""


def svg(title: str, series: list[tuple[str, Points]]) -> str:
    """All series, each (name, points), on common axes."""
    points = [point for _, line in series for point in line]
    steps, values = [x for x, _ in points], [y for _, y in points]
    bounds = (min(steps), max(steps), min(values), max(values))
    lines = [_line(index, line, bounds) for index, (_, line) in enumerate(series)]
    names = [f'<text x="{LEFT + 130 * index}" y="36"><tspan fill="{_colour(index)}">━ </tspan>{escape(name)}</text>'
             for index, (name, _) in enumerate(series)]
    root = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
    return "\n".join([
        f'{root} aria-label="{escape(title)}">', STYLE, f'<rect class="paper" width="{WIDTH}" height="{HEIGHT}"/>',
        f'<text x="{LEFT}" y="18" font-weight="600">{escape(title)}</text>',
        *names, *_axes(bounds), *lines, "</svg>", ""])


def _colour(index: int) -> str:
    return COLOURS[index % len(COLOURS)]


def _axes(bounds: tuple[int, int, float, float]) -> list[str]:
    first, last, low, high = bounds
    bottom = HEIGHT - BOTTOM
    return [f'<path class="axis" fill="none" d="M{LEFT} {TOP}V{bottom}H{WIDTH - RIGHT}"/>',
            *(f'<text x="{LEFT - 8}" y="{_y(value, bounds) + 4:.1f}" text-anchor="end">{value:.2f}</text>'
              for value in (low, (low + high) / 2, high)),
            f'<text x="{LEFT}" y="{bottom + 20}">{first}</text>',
            f'<text x="{WIDTH - RIGHT}" y="{bottom + 20}" text-anchor="end">step {last}</text>']


def _line(index: int, line: Points, bounds: tuple[int, int, float, float]) -> str:
    dots = " ".join(f"{_x(x, bounds):.1f},{_y(y, bounds):.1f}" for x, y in line)
    return f'<polyline fill="none" stroke="{_colour(index)}" stroke-width="2" points="{dots}"/>'


def _x(step: float, bounds: tuple[int, int, float, float]) -> float:
    share = (step - bounds[0]) / (bounds[1] - bounds[0]) if bounds[1] > bounds[0] else 0.5
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def _y(value: float, bounds: tuple[int, int, float, float]) -> float:
    share = (value - bounds[2]) / (bounds[3] - bounds[2]) if bounds[3] > bounds[2] else 0.5
    return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
