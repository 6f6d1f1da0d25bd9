"""What makes a run another run."""

from pathlib import Path
from typing import Any

from anneal_api.run import RunSpec
from anneal_trainer.run_hash import run_hash
from tests.unit.trainer.tiny import make_world


def run(tmp_path: Path, **changes: Any) -> RunSpec:
    return RunSpec.model_validate(make_world(tmp_path, **changes).spec)


def test_what_shapes_the_result_counts_and_places_do_not(tmp_path: Path) -> None:
    def value(model: str = "m", **changes: Any) -> str:
        return run_hash(run(tmp_path, **changes), model, "t", "d", "p")

    assert len(value()) == 16
    assert value() == value(name="other", uid="2", output={"uri": "pvc://else/where"})
    assert value() == value(dataset={"uri": "pvc://moved/rows.jsonl"})
    different = [
        value("other model"),
        value(runId="2"),
        value(method={"type": "full"}),
        value(training={"seed": 1}),
    ]
    assert len({value(), *different}) == 5
