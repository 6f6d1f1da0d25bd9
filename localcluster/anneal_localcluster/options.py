"""What was chosen at `up`, kept in the state folder, so that a later `up` need not say it again."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace

from anneal_localcluster.errors import ClusterError
from anneal_localcluster.settings import Folders, Network


@dataclass(frozen=True)
class Options:
    fake_gpus: int = 0
    cpus: int | None = None
    network: Network = field(default_factory=Network)


@dataclass(frozen=True)
class Wishes:
    """None: as it is, or the default for a new cluster."""

    fake_gpus: int | None = None
    cpus: int | None = None
    pods: str | None = None
    services: str | None = None


def stored(folders: Folders) -> Options | None:
    if not folders.options.exists():
        return None
    kept = json.loads(folders.options.read_text())
    return Options(**{**kept, "network": Network(**kept["network"])})


def store(folders: Folders, options: Options) -> None:
    folders.options.write_text(json.dumps(asdict(options)))


def merge(wishes: Wishes, kept: Options | None) -> Options:
    """Fake GPUs may change while the cluster runs; what every pod was started with may not."""
    base = kept or Options()
    network = Network(wishes.pods or base.network.pods, wishes.services or base.network.services)
    cpus = base.cpus if wishes.cpus is None else wishes.cpus
    fake_gpus = base.fake_gpus if wishes.fake_gpus is None else wishes.fake_gpus
    merged = Options(fake_gpus, cpus, network)
    if kept is not None and replace(merged, fake_gpus=kept.fake_gpus) != kept:
        raise ClusterError(
            f"the cluster that exists has other options ({describe(kept)}; asked for: {describe(merged)})",
            "leave the options out to keep them, or remove the cluster first with `make cluster-down`",
        )
    return merged


def describe(options: Options) -> str:
    cpus = "all" if options.cpus is None else options.cpus
    return f"CPUs {cpus}, pods {options.network.pods}, services {options.network.services}"
