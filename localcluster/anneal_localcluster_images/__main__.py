"""python -m anneal_localcluster_images build|load|tags|push|model|lock"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

from anneal_localcluster.errors import ClusterError
from anneal_localcluster.settings import cache_root
from anneal_localcluster_images import builder, handover, locks, model, store
from anneal_localcluster_images.catalog import PREFIX, RUNNABLE, reference, tags
from anneal_localcluster_images.programs import ImageError, say

DEFAULT_MODEL = "smollm2-135m-instruct"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="anneal_localcluster_images", description="Anneal's container images.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb, text in (("build", "build what changed"), ("load", "give the images to the local cluster")):
        command = verbs.add_parser(verb, help=text)
        command.add_argument("images", nargs="*", default=list(RUNNABLE), metavar="IMAGE",
                             help=f"of {', '.join(RUNNABLE)}; default: all")
    verbs.add_parser("tags", help="print the image references as JSON").add_argument("--registry", default=PREFIX)
    verbs.add_parser("push", help="push to a registry of yours").add_argument("registry", metavar="REGISTRY")
    verbs.add_parser("model", help="put the demo's model into a folder").add_argument(
        "folder", nargs="?", type=Path, default=cache_root() / "models" / DEFAULT_MODEL)
    lock = verbs.add_parser("lock", help="compile requirements/*.txt; what is pinned and still fits stays")
    lock.add_argument("--upgrade", action="store_true", help="take the newest releases instead")
    return parser.parse_args()


def act(chosen: argparse.Namespace) -> None:
    match chosen.verb:
        case "build":
            builder.build(known(chosen.images))
        case "load":
            handover.load([reference(name) for name in known(chosen.images)])
        case "tags":
            print(json.dumps(tags(chosen.registry)))
        case "push":
            builder.push(chosen.registry)
        case "model":
            model.extract(chosen.folder)
        case "lock":
            locks.lock(chosen.upgrade)


def known(names: list[str]) -> list[str]:
    if unknown := [name for name in names if name not in RUNNABLE]:
        raise ImageError(f"no image is called {unknown[0]}; there are {', '.join(RUNNABLE)}")
    return names


def stop(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def main() -> int:
    signal.signal(signal.SIGTERM, stop)
    try:
        act(arguments())
    except (ImageError, ClusterError) as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say("stopped; what was built stays")
        return 130
    finally:
        store.release()
    return 0


if __name__ == "__main__":
    sys.exit(main())
