"""`anneal plot`: the curve from the logs, drawn in three ways."""

import csv
import io
import json
from pathlib import Path
from typing import TextIO
from xml.etree import ElementTree

from PIL import Image
from rich.console import Console

from anneal_api.curve import curve_of
from anneal_api.run import Progress
from anneal_cli.__main__ import parser, run
from anneal_cli.session import Session
from anneal_cli.views.chart import chart
from anneal_cli.views.png import png
from tests.unit.cli import samples
from tests.unit.cli.fake import FakeCluster
from tests.unit.cli.terminal import NOW, Clock, anneal, console
from tests.unit.cli.test_logs import pod


def cluster() -> FakeCluster:
    """Two attempts; the second one repeats step 3."""
    found = FakeCluster(samples.succeeded(), pod("a", "train"), pod("b", "train", attempt=1))
    found.logs |= {("a", "main"): [["hello", *(samples.progress_line(step, 6, 3.0 - step / 2) for step in (1, 2, 3))]],
                   ("b", "main"): [[*(samples.progress_line(step, 6, 3.0 - step / 3) for step in (3, 4, 5, 6))]]}
    return found


def test_the_last_attempt_wins_where_steps_repeat() -> None:
    found = json.loads(anneal(cluster(), "plot", "support", "-o", "json").out)
    assert [(row["step"], row["loss"]) for row in found] == [
        (1, 2.5), (2, 2.0), (3, 2.0), (4, 3.0 - 4 / 3), (5, 3.0 - 5 / 3), (6, 1.0)]


def test_the_terminal_chart_fits_and_falls_from_left_to_right() -> None:
    done = anneal(cluster(), "plot", "support", width=60)
    lines = done.out.splitlines()
    assert max(map(len, lines)) <= 60
    assert "loss 2.50 to 1.00" in lines[0]
    top, bottom = (line.partition("│")[2] for line in (lines[1], lines[-2]))
    assert len(top) - len(top.lstrip()) < len(bottom) - len(bottom.lstrip())
    assert (lines[1].split()[0], lines[-2].split()[0]) == ("2.50", "1.00")
    assert lines[-1].split() == ["1", "step", "6"]


def test_the_legend_takes_a_line_for_each_curve_where_both_do_not_fit() -> None:
    curves = [("training loss", [(1, 4.28), (9, 1.11)], "cyan"), ("validation loss", [(9, 1.16)], "yellow")]
    wide, narrow = (chart(curves, columns, 4).plain.splitlines() for columns in (80, 44))
    assert wide[0].strip() == "━ training loss 4.28 to 1.11   ━ validation loss 1.16 to 1.16"
    assert [line.split()[1] for line in narrow[:2]] == ["training", "validation"]
    assert len(narrow) == len(wide) + 1


def test_svg_is_well_formed_and_has_a_point_per_step() -> None:
    root = ElementTree.fromstring(anneal(cluster(), "plot", "support", "-o", "svg").out)
    line = root.find("{http://www.w3.org/2000/svg}polyline")
    assert line is not None
    assert len(line.attrib["points"].split()) == 6


def test_csv_has_a_header_and_a_row_per_step() -> None:
    rows = list(csv.reader(io.StringIO(anneal(cluster(), "plot", "support", "-o", "csv").out)))
    assert rows[:2] == [["step", "loss", "eval_loss"], ["1", "2.5", ""]]


def test_validation_loss_is_a_line_of_its_own() -> None:
    curve = curve_of([Progress(step=1, total_steps=2, epoch=0.5, loss=2.0, eval_loss=2.5)])
    assert (curve.loss, curve.eval_loss) == ([(1, 2.0)], [(1, 2.5)])


def test_a_single_point_is_still_a_chart() -> None:
    found = FakeCluster(samples.training(), pod("a", "train"))
    found.logs["a", "main"] = [[samples.progress_line(1)]]
    assert anneal(found, "plot", "support").code == 0


def test_no_loss_yet_is_an_error_with_a_way_on() -> None:
    done = anneal(FakeCluster(samples.training()), "plot", "support")
    assert done.code == 1
    assert "holds a loss" in done.notes


def test_png_is_a_picture_with_both_lines_in_their_colours() -> None:
    curve = curve_of(Progress(step=step, total_steps=9, epoch=0.1, loss=3 / step, eval_loss=3.5 / step)
                     for step in range(1, 10))
    with Image.open(io.BytesIO(png("support", curve))) as picture:
        picture.load()
        assert (picture.format, picture.size) == ("PNG", (1440, 720))
        colours = {colour for _, colour in picture.getcolors(1 << 20) or []}
    assert {(9, 105, 218), (188, 76, 0), (255, 255, 255)} <= colours


def test_png_goes_to_standard_output_as_bytes(tmp_path: Path) -> None:
    path = tmp_path / "loss.png"
    with path.open("w") as file:
        done = anneal_to(file, cluster(), "plot", "support", "-o", "png")
    assert done == 0
    assert path.read_bytes().startswith(b"\x89PNG\r\n")


def anneal_to(file: TextIO, fake: FakeCluster, *argv: str) -> int:
    """Run a command with its output in a file, as after `>`."""
    out, notes, clock = Console(file=file), console(80), Clock()
    session = Session(lambda: fake, out, notes, lambda: NOW, clock.monotonic, clock.pause)
    try:
        return run(parser().parse_args(argv), session)
    finally:
        fake.close()
