"""`anneal plot`: the loss curve in the terminal, or as SVG, PNG or CSV."""

import argparse
import csv
from collections.abc import Iterator

from anneal_api.curve import NAMES, Curve, svg
from anneal_cli.curve import read_curve
from anneal_cli.errors import OK, USAGE, CliError
from anneal_cli.session import Session
from anneal_cli.steering import find_job
from anneal_cli.views.chart import chart

HELP = "Draw the loss curve of a run in the terminal, or write it as SVG, PNG or CSV."
EPILOG = "Reads the logs of the train pods. Example: anneal plot support -o png > loss.png."
ROWS = 14
STYLES = dict(zip(NAMES, ("cyan", "yellow"), strict=True))


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.add_argument("name", metavar="NAME", help="name of a FineTuneJob")
    parser.add_argument("-o", "--output", choices=("svg", "png", "csv", "json"), help="write this to stdout instead")


def run(args: argparse.Namespace, session: Session) -> int:
    """Read the curve and show it."""
    job = find_job(session, args.name)
    curve = read_curve(session.cluster, job)
    if args.output == "json":
        session.print_json([dict(zip(("step", "loss", "evalLoss"), row, strict=True)) for row in rows(curve)])
    elif args.output == "csv":
        csv.writer(session.out.file, lineterminator="\n").writerows([("step", "loss", "eval_loss"), *rows(curve)])
    elif args.output == "svg":
        session.out.file.write(svg(job.name, curve))
    elif args.output == "png":
        _write_png(session, job.name, curve)
    else:
        lines = [(name, points, STYLES[name]) for name, points in curve.series]
        session.out.print(chart(lines, session.out.width, ROWS))
    return OK


def _write_png(session: Session, title: str, curve: Curve) -> None:
    # Imported here: no other verb has to wait for an image library.
    from anneal_cli.views.png import png

    if session.out.is_terminal:
        raise CliError("A PNG is not for a terminal.", f"anneal plot {title} -o png > {title}.png", USAGE)
    binary = getattr(session.out.file, "buffer", None)
    assert binary is not None, "standard output that is no terminal takes bytes"
    binary.write(png(title, curve))


def rows(curve: Curve) -> Iterator[tuple[int, float | None, float | None]]:
    """(step, loss, validation loss) of every step that has one of them."""
    loss, eval_loss = dict(curve.loss), dict(curve.eval_loss)
    for step in sorted(loss | eval_loss):
        yield step, loss.get(step), eval_loss.get(step)
