"""`status`: what runs, and where to look when it does not."""

from __future__ import annotations

from anneal_localcluster.processes import recorded
from anneal_localcluster.settings import Folders
from anneal_localcluster.shell import say


def status(folders: Folders) -> int:
    known = sorted(file.stem for file in folders.pids.glob("*.json"))
    if not known:
        say("no cluster; start one with `make cluster-up`")
        return 1
    running = recorded(folders.pids)
    for name in known:
        state = f"running, pid {running[name].pid}" if name in running else "ended"
        print(f"{name:24} {state:20} {folders.logs / name}.log")
    print(f"{'kubeconfig':24} {folders.kubeconfig}")
    return 0 if len(running) == len(known) else 1
