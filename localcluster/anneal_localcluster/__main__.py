"""The command line: python -m anneal_localcluster {up,down,status,kubeconfig,load-image,tools}."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from anneal_localcluster import build, cluster, images, report, teardown
from anneal_localcluster.control_plane import loopback_site
from anneal_localcluster.errors import ClusterError
from anneal_localcluster.options import Wishes
from anneal_localcluster.settings import Folders
from anneal_localcluster.shell import exclusive, say


def main(arguments: list[str] | None = None) -> int:
    chosen = parser().parse_args(arguments)
    try:
        return int(chosen.run(chosen) or 0)
    except ClusterError as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say("interrupted; `down` removes what was started")
        return 130


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(prog="anneal_localcluster", description=__doc__)
    commands = root.add_subparsers(required=True, metavar="COMMAND")
    add_up(commands.add_parser("up", help="start the cluster, or start again what of it has ended"))
    down = commands.add_parser("down", help="remove every trace of the cluster but the cache")
    down.set_defaults(run=run_down)
    status = commands.add_parser("status", help="what runs; exit code 1 unless all of it does")
    status.set_defaults(run=lambda chosen: report.status(folders(chosen)))
    kubeconfig = commands.add_parser("kubeconfig", help="print the path of the kubeconfig")
    kubeconfig.set_defaults(run=run_kubeconfig)
    for command in (down, status, kubeconfig):
        add_state_dir(command)
    load = commands.add_parser("load-image", help="import image archives (OCI or docker; - for standard input)")
    load.add_argument("archive", nargs="+", type=Path)
    load.set_defaults(run=run_load)
    tools = commands.add_parser("tools", help="print the folder with kubectl and helm, built if need be")
    tools.set_defaults(run=run_tools)
    return root


def add_up(command: argparse.ArgumentParser) -> None:
    command.add_argument("--fake-gpus", type=int, metavar="N", help="pretend to have N GPUs")
    command.add_argument("--cpus", type=int, metavar="N", help="CPUs that pods may use (default: all)")
    command.add_argument("--pod-range", metavar="CIDR", help="addresses of pods (default 10.244.0.0/16)")
    command.add_argument("--service-range", metavar="CIDR", help="addresses of Services (default 10.96.0.0/16)")
    command.add_argument("--control-plane-only", action="store_true", help="no node; needs no root; give --state-dir")
    add_state_dir(command)
    command.set_defaults(run=run_up)


def add_state_dir(command: argparse.ArgumentParser) -> None:
    command.add_argument("--state-dir", type=Path, help="folder of a control plane without a node")


def folders(chosen: argparse.Namespace) -> Folders:
    if chosen.state_dir is None:
        return Folders()
    state = chosen.state_dir.resolve()
    return Folders(state=state, run=state / "run")


def run_up(chosen: argparse.Namespace) -> None:
    if chosen.control_plane_only:
        if chosen.state_dir is None:
            raise ClusterError("--control-plane-only needs a folder of its own", "add --state-dir FOLDER")
        cluster.up_control_plane(loopback_site(chosen.state_dir))
        return
    cluster.up(folders(chosen), Wishes(chosen.fake_gpus, chosen.cpus, chosen.pod_range, chosen.service_range))


def run_down(chosen: argparse.Namespace) -> None:
    with exclusive("cluster"):
        teardown.down(folders(chosen))


def run_kubeconfig(chosen: argparse.Namespace) -> None:
    path = folders(chosen).kubeconfig
    if not path.exists():
        raise ClusterError("there is no cluster", "start one with `make cluster-up`")
    print(path)


def run_load(chosen: argparse.Namespace) -> None:
    for archive in chosen.archive:
        for name in images.load(Folders(), archive):
            print(name)


def run_tools(_: argparse.Namespace) -> None:
    print(build.tool_folder())


if __name__ == "__main__":
    sys.exit(main())
