"""`anneal logs`: the logs of all stages, or of the servers, in order; with -f until the run has ended."""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

from anneal_cli.cluster import Change
from anneal_cli.errors import FAILED, OK, CliError
from anneal_cli.following import Merged, follow
from anneal_cli.kinds import FINE_TUNE_JOB, MODEL_DEPLOYMENT, PODS, Target, parse_target
from anneal_cli.podlogs import SERVE, STAGES, Source, follow_log, read, selector, sources
from anneal_cli.resource import Object, Resource, resource_of
from anneal_cli.session import Session
from anneal_cli.views.logline import render

HELP = "Print the logs of all stages in order; -f follows them across stages and restarts until the run has ended."
EPILOG = "A bare NAME means the FineTuneJob where both kinds have it; mdep/NAME or --stage serve means the servers."


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.add_argument("name", metavar="NAME", help="NAME, ftj/NAME or mdep/NAME")
    parser.add_argument("-f", "--follow", action="store_true",
                        help="go on until the run has ended (exit 0 ready, 1 stalled); servers never end")
    parser.add_argument("--stage", choices=STAGES, help="only this stage")
    parser.add_argument("--tail", type=int, metavar="N", help="only the last N lines of each container")
    parser.add_argument("--all-containers", action="store_true", help="sidecars too, such as the engine of evaluate")


def run(args: argparse.Namespace, session: Session) -> int:
    """Print or follow."""
    target = parse_target(args.name)
    if args.stage == SERVE:
        target = Target(target.name, (MODEL_DEPLOYMENT,))
    elif args.stage:
        target = Target(target.name, (FINE_TUNE_JOB,))
    resource = session.find_one(target)
    return Follower(args, session, resource).run() if args.follow else _print_all(args, session, resource)


def _print_all(args: argparse.Namespace, session: Session, resource: Resource) -> int:
    pods = session.cluster.list(PODS, selector(resource)).items
    found = sources(pods, args.stage, sidecars=args.all_containers)
    if not found:
        raise CliError(f"{resource.ref} has no container with a log{_of_stage(args.stage)}: it is "
                       f"{resource.status.phase or 'Pending'}, with {len(pods)} pods.",
                       f"`anneal explain {resource.kind.short}/{resource.name}` says why it waits; the pods of "
                       "finished stages may be gone.")
    for source in found:
        for line in read(session.cluster, source, args.tail):
            _say(session, source, line)
    return OK


def _of_stage(stage: str | None) -> str:
    return f" of stage {stage}" if stage else ""


def _say(session: Session, source: Source, line: str) -> None:
    session.out.print(render(source.label, line), soft_wrap=True)


@dataclass(frozen=True)
class Said:
    """A line of a log that is followed; None marks its end."""

    source: Source
    line: str | None


class Follower:
    """Reads pods, the resource and all running logs as one stream, until the run and every log have ended."""

    def __init__(self, args: argparse.Namespace, session: Session, resource: Resource) -> None:
        self._args = args
        self._session = session
        self._resource = resource
        self._pods: dict[str, Object] = {}
        self._seen: set[str] = set()
        self._open = 0
        self._merged: Merged[Change | Said] = Merged()

    def run(self) -> int:
        """Print until the end."""
        cluster, pause = self._session.cluster, self._session.pause
        name = {"fieldSelector": f"metadata.name={self._resource.name}"}
        self._take_pods(cluster.list(PODS, selector(self._resource)).items)
        self._merged.add(follow(cluster, PODS, selector(self._resource), pause))
        self._merged.add(follow(cluster, self._resource.kind.collection, name, pause))
        while not (self._ended() and self._open == 0):
            item = self._merged.next(None)
            if isinstance(item, Said):
                self._take_line(item)
            elif item is not None:
                self._take_change(item)
        return FAILED if self._resource.failed else OK

    def _ended(self) -> bool:
        """Servers of a deployment that is ready go on."""
        return self._resource.kind == FINE_TUNE_JOB and self._resource.final

    def _take_line(self, item: Said) -> None:
        if item.line is None:
            self._open -= 1
            # A restart may have happened while the old log was read.
            self._start_new()
        else:
            _say(self._session, item.source, item.line)

    def _take_change(self, change: Change) -> None:
        if "spec" in change.object and "containers" in change.object["spec"]:
            self._take_pods([] if change.type == "DELETED" else [change.object])
            return
        resource = resource_of(change.object)
        if resource.uid != self._resource.uid:
            return
        if change.type == "DELETED":
            raise CliError(f"{resource.ref} was deleted while we followed it.")
        self._resource = resource
        if self._ended():
            # The last pod may have come and gone between two events.
            self._take_pods(self._session.cluster.list(PODS, selector(resource)).items)

    def _take_pods(self, pods: list[Object]) -> None:
        self._pods.update({pod["metadata"]["uid"]: pod for pod in pods})
        self._start_new()

    def _start_new(self) -> None:
        """Open every log that is new: finished ones are printed whole, in order; running ones are followed."""
        for source in sources(self._pods.values(), self._args.stage, sidecars=self._args.all_containers):
            if source.container_id in self._seen:
                continue
            self._seen.add(source.container_id)
            if source.running:
                self._open += 1
                self._merged.add(self._stream(source))
            else:
                for line in read(self._session.cluster, source, self._args.tail):
                    _say(self._session, source, line)

    def _stream(self, source: Source) -> Iterator[Said]:
        for line in follow_log(self._session.cluster, source, self._args.tail, self._session.pause):
            yield Said(source, line)
        yield Said(source, None)
