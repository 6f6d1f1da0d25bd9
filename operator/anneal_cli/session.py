"""What every verb is given: the cluster, the terminal, the clock."""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from rich.console import Console, RenderableType

from anneal_cli.cluster import Cluster
from anneal_cli.errors import CliError, NotFound
from anneal_cli.kinds import KINDS, Kind, Target
from anneal_cli.resource import Resource, by_name, resource_of


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Session:
    """One run of a command."""

    open_cluster: Callable[[], Cluster]
    """Called once, when a verb first needs the cluster: some never do."""
    out: Console = field(default_factory=lambda: Console(highlight=False))
    notes: Console = field(default_factory=lambda: Console(stderr=True, highlight=False))
    """For people only, on stderr, so that stdout stays readable for programs."""
    now: Callable[[], datetime] = _now
    monotonic: Callable[[], float] = time.monotonic
    pause: Callable[[float], object] = time.sleep

    @cached_property
    def cluster(self) -> Cluster:
        """The cluster of the chosen context."""
        return self.open_cluster()

    @property
    def interactive(self) -> bool:
        """Whether a person sits at both ends."""
        return self.out.is_terminal and sys.stdin.isatty()

    def say(self, text: str) -> None:
        """A plain line on stdout, never wrapped: people copy from it."""
        self.out.print(text, markup=False, soft_wrap=True)

    def show(self, view: RenderableType) -> None:
        """A view of long lines: wrapped between words on a terminal, and never where a program reads."""
        self.out.print(view, soft_wrap=not self.out.is_terminal)

    def note(self, text: str, style: str = "") -> None:
        """A plain line on stderr, for people only."""
        self.notes.print(text, style=style, markup=False, soft_wrap=True)

    def print_json(self, value: Any, indent: int | None = 2) -> None:
        """JSON for programs: never wrapped or coloured; on one line without an indent."""
        self.out.file.write(json.dumps(value, indent=indent, ensure_ascii=False) + "\n")
        self.out.file.flush()

    def all(self, kinds: tuple[Kind, ...] = KINDS, *, everywhere: bool = False) -> list[Resource]:
        """All resources of these kinds."""
        return by_name(resource_of(item) for kind in kinds
                       for item in self.cluster.list(kind.collection, {}, everywhere=everywhere).items)

    def find(self, target: Target) -> list[Resource]:
        """Every resource the target names, FineTuneJobs first; NotFound with a hint when there is none."""
        found = [r for kind in target.kinds if (r := self._get(kind, target.name))]
        if not found:
            raise self._not_found(target)
        return found

    def find_one(self, target: Target) -> Resource:
        """The resource; the FineTuneJob where a bare name fits both kinds."""
        return self.find(target)[0]

    def _get(self, kind: Kind, name: str) -> Resource | None:
        try:
            return Resource(kind, self.cluster.get(kind.collection, name))
        except NotFound:
            return None

    def _not_found(self, target: Target) -> NotFound:
        kinds = " or ".join(kind.kind for kind in target.kinds)
        where = f"namespace {self.cluster.namespace} (context {self.cluster.context})"
        return NotFound(f"No {kinds} named {target.name!r} in {where}.", self._hint(target))

    def _hint(self, target: Target) -> str:
        """Where the name does exist, or which names do."""
        try:
            others = self.all(target.kinds, everywhere=True)
        except CliError:
            return "Choose the namespace with -n; `anneal list` shows what is there."
        same = sorted({r.namespace for r in others if r.name == target.name})
        if same:
            return f"It exists in {', '.join(same)}: add -n {same[0]}."
        here = sorted({r.name for r in others if r.namespace == self.cluster.namespace})
        return f"There are: {', '.join(here[:10])}." if here else "`anneal list -A` shows what there is."
