"""`anneal report`: everything a helper needs to see, in one file, without secrets."""

import argparse
import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from anneal_api.curve import svg
from anneal_api.redaction import redact_object, redact_text
from anneal_cli.checks import findings
from anneal_cli.curve import read_curve
from anneal_cli.errors import OK, CliError
from anneal_cli.history import events_of
from anneal_cli.kinds import FINE_TUNE_JOB, PODS, parse_target
from anneal_cli.podlogs import read, selector, sources
from anneal_cli.resource import Resource
from anneal_cli.session import Session
from anneal_cli.verbs.version import client_version

HELP = "Write a bundle for a bug report: resources, pods, events, logs and the doctor's findings, without secrets."
EPILOG = ("Never reads Secrets. Values that are named or look like tokens and passwords are replaced; still look "
          "through the bundle before you share it. What you may not read is left out and listed in missing.txt.")
LOG_LINES = 2000

File = tuple[str, str]


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.add_argument("name", metavar="NAME", help="NAME, ftj/NAME or mdep/NAME")
    parser.add_argument("-f", "--file", type=Path, metavar="FILE", help="default: anneal-report-NAME-TIME.tar.gz here")


def run(args: argparse.Namespace, session: Session) -> int:
    """Collect, then write all at once."""
    resources = session.find(parse_target(args.name))
    folder = f"anneal-report-{resources[0].name}-{session.now():%Y%m%d-%H%M%S}"
    path: Path = args.file or Path(f"{folder}.tar.gz")
    files = list(_files(session, resources))
    try:
        _write(path, folder, files, session.now().timestamp())
    except OSError as error:
        raise CliError(f"Cannot write {path}: {error.strerror}.", "Choose a place with -f FILE.") from error
    session.say(f"{path}: {len(files)} files. Look through it before you share it.")
    return OK


def _files(session: Session, resources: list[Resource]) -> Iterator[File]:
    missing: list[str] = []
    yield "version.json", _json({"anneal": client_version(), "time": session.now().isoformat()})
    yield "doctor.json", _json([asdict(finding) for finding in findings(session.cluster)])
    for resource in resources:
        folder = f"{resource.kind.singular}-{resource.name}"
        yield f"{folder}/resource.yaml", _yaml(resource.raw)
        for name, collect in (("events.yaml", _events), ("pods.yaml", _pods)):
            try:
                yield f"{folder}/{name}", collect(session, resource)
            except CliError as error:
                missing.append(f"{folder}/{name}: {error.message}")
        yield from _logs(session, resource, folder, missing)
        yield from _curve(session, resource, folder)
    if missing:
        yield "missing.txt", "\n".join(missing) + "\n"


def _events(session: Session, resource: Resource) -> str:
    return _yaml([event.raw for event in events_of(session.cluster, resource)])


def _pods(session: Session, resource: Resource) -> str:
    return _yaml(session.cluster.list(PODS, selector(resource)).items)


def _logs(session: Session, resource: Resource, folder: str, missing: list[str]) -> Iterator[File]:
    try:
        pods = session.cluster.list(PODS, selector(resource)).items
        for source in sources(pods, None, sidecars=True):
            lines = (redact_text(line) for line in read(session.cluster, source, LOG_LINES))
            yield f"{folder}/logs/{source.pod}-{source.container}.log", "\n".join(lines) + "\n"
    except CliError as error:
        missing.append(f"{folder}/logs: {error.message}")


def _curve(session: Session, resource: Resource, folder: str) -> Iterator[File]:
    if resource.kind != FINE_TUNE_JOB:
        return
    try:
        yield f"{folder}/loss.svg", svg(resource.name, read_curve(session.cluster, resource))
    except CliError:
        return  # there is no step yet, or its log cannot be read: then the logs are missing, too, and listed


def _yaml(value: Any) -> str:
    return yaml.safe_dump(redact_object(value), sort_keys=False, allow_unicode=True)


def _json(value: Any) -> str:
    return json.dumps(redact_object(value), indent=2) + "\n"


def _write(path: Path, folder: str, files: list[File], time: float) -> None:
    with tarfile.open(path, "w:gz") as bundle:
        for name, text in files:
            data = text.encode()
            entry = tarfile.TarInfo(f"{folder}/{name}")
            entry.size, entry.mtime, entry.mode = len(data), int(time), 0o644
            bundle.addfile(entry, io.BytesIO(data))
