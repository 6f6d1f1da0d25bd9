"""`anneal status`: where a run or a deployment stands; with -w until it is ready or has failed."""

import argparse
from collections.abc import Callable
from datetime import datetime

from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from anneal_cli import arguments
from anneal_cli.cluster import Change
from anneal_cli.errors import FAILED, OK, TIMEOUT, CliError
from anneal_cli.following import Merged, follow
from anneal_cli.kinds import FINE_TUNE_JOB, parse_target
from anneal_cli.resource import Resource, by_name, listing, resource_of
from anneal_cli.session import Session
from anneal_cli.views import finetunejob, modeldeployment
from anneal_cli.views.lines import line
from anneal_cli.views.text import Symbols, symbols_for

HELP = "Show where FineTuneJobs and ModelDeployments stand; -w follows them until they are ready or have failed."
EPILOG = "With -w the exit code is 0 when all are ready and 1 when one has stalled or was deleted."
REDRAWS_PER_SECOND = 4


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="NAME, ftj/NAME or mdep/NAME; default: all")
    parser.add_argument("-w", "--watch", action="store_true", help="follow until ready (exit 0) or stalled (exit 1)")
    arguments.add_timeout(parser)
    arguments.add_output(parser)


def run(args: argparse.Namespace, session: Session) -> int:
    """Show or follow."""
    resources = session.find(parse_target(args.name)) if args.name else session.all()
    if not resources and args.output != "json":
        session.note(f"No FineTuneJobs or ModelDeployments in namespace {session.cluster.namespace}.")
    if args.watch and resources:
        return _follow(args, session, resources)
    if args.output == "json":
        raw = [resource.raw for resource in resources]
        session.print_json(raw[0] if args.name and len(raw) == 1 else listing(raw))
    else:
        session.out.print(screen(resources, session.now(), symbols_for(session.out.encoding)))
    return FAILED if args.name and any(r.failed for r in resources) else OK


def screen(resources: list[Resource], now: datetime, symbols: Symbols) -> RenderableType:
    """All trees, one below the other."""
    trees = [(finetunejob if r.kind == FINE_TUNE_JOB else modeldeployment).tree(r, now, symbols) for r in resources]
    return Group(*(part for index, each in enumerate(trees) for part in ((Text(), each) if index else (each,))))


def _follow(args: argparse.Namespace, session: Session, resources: list[Resource]) -> int:
    known = {r.uid: r for r in resources}
    if args.output == "json":
        return _until_final(args, session, known, lambda r: session.print_json(r.raw, None))
    if session.out.is_terminal:
        return _follow_live(args, session, known)
    said: dict[str, str] = {}
    return _until_final(args, session, known, lambda r: _say(session, said, r))


def _follow_live(args: argparse.Namespace, session: Session, known: dict[str, Resource]) -> int:
    symbols = symbols_for(session.out.encoding)

    def draw() -> RenderableType:
        return screen(by_name(known.values()), session.now(), symbols)

    # What does not fit is cut while it moves; the last picture stays whole in the scrollback.
    with Live(get_renderable=draw, console=session.out, refresh_per_second=REDRAWS_PER_SECOND) as live:
        code = _until_final(args, session, known, lambda _: live.refresh())
        live.vertical_overflow = "visible"
    return code


def _say(session: Session, said: dict[str, str], resource: Resource) -> None:
    """A line per change that is worth one."""
    text = line(resource)
    if said.get(resource.uid) != text:
        said[resource.uid] = text
        session.say(f"{session.now():%H:%M:%S}  {text}")


def _until_final(args: argparse.Namespace, session: Session, known: dict[str, Resource],
                 show: Callable[[Resource], object]) -> int:
    """Apply changes to `known` until all of them are final."""
    changes: Merged[Change] = Merged()
    for kind in {r.kind for r in known.values()}:
        only = {"fieldSelector": f"metadata.name={args.name.rpartition('/')[2]}"} if args.name else {}
        changes.add(follow(session.cluster, kind.collection, only, session.pause))
    deadline = session.monotonic() + args.timeout if args.timeout else None
    for resource in known.values():
        show(resource)
    while not all(r.final for r in known.values()):
        left = None if deadline is None else deadline - session.monotonic()
        change = changes.next(left) if left is None or left > 0 else None
        if change is None:
            session.note(f"Not ready after {args.timeout} s.", "yellow")
            return TIMEOUT
        _apply(known, change, show)
    return FAILED if any(r.failed for r in known.values()) else OK


def _apply(known: dict[str, Resource], change: Change, show: Callable[[Resource], object]) -> None:
    resource = resource_of(change.object)
    if resource.uid not in known:
        return
    if change.type == "DELETED":
        raise CliError(f"{resource.ref} was deleted while we watched it.")
    known[resource.uid] = resource
    show(resource)
