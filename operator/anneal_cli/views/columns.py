"""Columns as kubectl prints them: never cut or wrapped, so that grep and awk work."""

from collections.abc import Sequence

from rich.text import Text

GAP = 3


def columns(header: Sequence[str], rows: Sequence[Sequence[str | Text]]) -> Text:
    """Left-aligned columns; the last one is not padded."""
    cells = [[cell if isinstance(cell, Text) else Text(cell) for cell in row] for row in (header, *rows)]
    widths = [max(row[index].cell_len for row in cells) + GAP for index in range(len(header))]
    return Text("\n").join(_line(row, widths) for row in cells)


def _line(row: Sequence[Text], widths: Sequence[int]) -> Text:
    line = Text()
    for cell, width in zip(row, widths, strict=True):
        line.append_text(cell)
        line.append(" " * (width - cell.cell_len))
    line.rstrip()
    return line
