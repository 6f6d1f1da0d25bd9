"""The loss curve as PNG, for slides and chats that take no SVG: the same picture, twice as large."""

import io

from PIL import Image, ImageDraw, ImageFont

from anneal_api.curve import BOTTOM, LEFT, RIGHT, WIDE, Curve, Points, Scale, thinned

ZOOM = 2
SMOOTH = 3
"""Lines are drawn this much larger and then shrunk: Pillow draws none that are smooth."""
PAPER, GRID, TEXT, TITLE = "#ffffff", "#d8dee4", "#57606a", "#1f2328"
COLOURS = ("#0969da", "#bc4c00")


def png(title: str, curve: Curve) -> bytes:
    """A PNG file."""
    lines = [(name, thinned(points)) for name, points in curve.series]
    scale = Scale.of([point for _, points in lines for point in points], WIDE)
    picture = _lines([points for _, points in lines], scale)
    _texts(ImageDraw.Draw(picture), title, lines, scale)
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()


def _lines(lines: list[Points], scale: Scale) -> Image.Image:
    zoom = ZOOM * SMOOTH
    large = Image.new("RGB", (scale.width * zoom, scale.height * zoom), PAPER)
    draw = ImageDraw.Draw(large)
    for mark in scale.marks:
        y = scale.y(mark) * zoom
        draw.line([(LEFT * zoom, y), ((scale.width - RIGHT) * zoom, y)], GRID, zoom)
    for points, colour in zip(lines, COLOURS, strict=False):
        places = [(scale.x(step) * zoom, scale.y(value) * zoom) for step, value in points]
        draw.line(places, colour, 2 * zoom, joint="curve")
        for x, y in places if len(places) <= 20 else ():
            draw.circle((x, y), 3 * zoom, colour)
    return large.resize((scale.width * ZOOM, scale.height * ZOOM), Image.Resampling.LANCZOS)


def _texts(draw: ImageDraw.ImageDraw, title: str, lines: list[tuple[str, Points]], scale: Scale) -> None:
    font = ImageFont.load_default(12 * ZOOM)
    draw.text((LEFT * ZOOM, 18 * ZOOM), title, TITLE, ImageFont.load_default(14 * ZOOM), anchor="ls")
    for index, ((name, points), colour) in enumerate(zip(lines, COLOURS, strict=False)):
        y = (38 + 18 * index) * ZOOM
        draw.circle(((LEFT + 5) * ZOOM, y - 4 * ZOOM), 4 * ZOOM, colour)
        draw.text(((LEFT + 15) * ZOOM, y), f"{name} {points[0][1]:.2f} to {points[-1][1]:.2f}", TEXT, font, anchor="ls")
    for mark in scale.marks:
        draw.text(((LEFT - 8) * ZOOM, scale.y(mark) * ZOOM), f"{mark:.4g}", TEXT, font, anchor="rm")
    for step in scale.steps:
        last = step == scale.last > scale.first
        draw.text((scale.x(step) * ZOOM, (scale.height - BOTTOM + 16) * ZOOM), f"step {step}" if last else str(step),
                  TEXT, font, anchor="rs" if last else "ms")
