"""Answers: side by side where there is room, else one below the other."""

from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

SIDE_BY_SIDE_WIDTH = 70


def screen(answers: Sequence[tuple[str, str]], width: int) -> RenderableType:
    """The answers under the names of their models; one answer alone needs no name."""
    if len(answers) == 1:
        return Text(answers[0][1], "green")
    if width < SIDE_BY_SIDE_WIDTH:
        return Group(*(part for title, answer in answers for part in (Text(title, "bold"), Text(f"{answer}\n"))))
    table = Table(box=box.ROUNDED, expand=True, border_style="dim", show_lines=False)
    for title, _ in answers:
        table.add_column(title, ratio=1, overflow="fold")
    table.add_row(*(Text(answer) for _, answer in answers))
    return table
