"""Builds the twin, and writes down the children that it makes: those that Anneal makes."""

import hashlib
import json
from pathlib import Path

from anneal_api.finetunejob import FineTuneJobSpec
from anneal_api.run import Stage
from anneal_localcluster import build
from anneal_localcluster.settings import cache_root
from anneal_localcluster.shell import exclusive, run
from anneal_operator.desired import run as run_children
from anneal_operator.desired import stage as stage_children
from anneal_operator.desired.owner import Owner
from anneal_operator.settings import PodSettings
from tests.rig.operator import IMAGES
from tests.rig.world import finetunejob

SOURCE = Path(__file__).with_name("twin")
OWNER = Owner("anneal.dev/v1alpha1", "FineTuneJob", "the-namespace", "owner-name", "00000000-owner")
"""Placeholders, which main.go knows."""


def ensure_twin() -> Path:
    """The twin's binary. It shares the packages that the local cluster's build has compiled already."""
    files = sorted([*SOURCE.glob("*.go"), SOURCE / "go.mod", SOURCE / "go.sum"])
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]
    target = cache_root() / f"twin-{digest}" / "twin"
    with exclusive("build"):
        if not target.exists():
            go = build.ensure_go()
            run(["nice", go, "build", "-C", str(SOURCE), "-trimpath", "-o", str(target.with_suffix(".new")), "."],
                environment=build.go_environment())
            target.with_suffix(".new").rename(target)
    return target


def write_children(path: Path) -> None:
    """The children of a run, for any owner."""
    spec = FineTuneJobSpec.model_validate(finetunejob("any")["spec"])
    settings = PodSettings(IMAGES["ANNEAL_TRAINER_IMAGE"], IMAGES["ANNEAL_VLLM_IMAGE"],
                           IMAGES["ANNEAL_TRANSFORMERS_IMAGE"])
    run_id = run_children.run_id(spec, 1)
    stages = []
    for stage in Stage:
        config = [stage_children.serve_config(OWNER, spec, run_id, 0)] if stage is Stage.EVALUATE else []
        job = stage_children.job(OWNER, spec, run_id, stage, 0, settings)
        stages.append({"name": stage.value, "children": [*config, job]})
    shared = [run_children.workspace(OWNER, spec, run_id), run_children.config_map(OWNER, spec, run_id)]
    path.write_text(json.dumps({"shared": shared, "stages": stages}))
