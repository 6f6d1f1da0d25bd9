"""`anneal plot`: the loss curve in the terminal, or as SVG or CSV."""

import argparse
import csv
from collections.abc import Iterator

from anneal_api.curve import NAMES, Curve, svg
from anneal_cli.curve import read_curve
from anneal_cli.errors import OK
from anneal_cli.session import Session
from anneal_cli.steering import find_job
from anneal_cli.views.chart import chart

HELP = "Draw the loss curve of a run in the terminal, or write it as SVG or CSV."
EPILOG = "Reads the logs of the train pods."
ROWS = 14
STYLES = dict(zip(NAMES, ("cyan", "yellow"), strict=True))


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.add_argument("name", metavar="NAME", help="name of a FineTuneJob")
    parser.add_argument("-o", "--output", choices=("svg", "csv", "json"), help="write this to stdout instead")


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
    else:
        lines = [(name, points, STYLES[name]) for name, points in curve.series]
        session.out.print(chart(lines, session.out.width, ROWS))
    return OK


def rows(curve: Curve) -> Iterator[tuple[int, float | None, float | None]]:
    """(step, loss, validation loss) of every step that has one of them."""
    loss, eval_loss = dict(curve.loss), dict(curve.eval_loss)
    for step in sorted(loss | eval_loss):
        yield step, loss.get(step), eval_loss.get(step)
