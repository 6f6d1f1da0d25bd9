"""How a stage tells its result."""

from pathlib import Path

from anneal_api.run import Stage, StageResult
from anneal_api.termination import MAX_TERMINATION_BYTES
from anneal_trainer.places import Places
from anneal_trainer.results import report, summary_bytes
from tests.unit.trainer.tiny import UID


def test_a_long_message_is_cut_to_what_kubernetes_keeps() -> None:
    result = StageResult(stage=Stage.PREPARE, uid=UID, exit_code=11, message='"' * 2048)

    data = summary_bytes(result)

    assert len(data) <= MAX_TERMINATION_BYTES
    assert StageResult.model_validate_json(data).message.endswith('" ...')


def test_the_result_is_on_the_workspace_and_in_the_termination_message(tmp_path: Path) -> None:
    places = Places(workspace=tmp_path / "workspace", termination_log=tmp_path / "message")
    result = StageResult(stage=Stage.TRAIN, uid=UID, message="ok")

    report(result, places)

    assert StageResult.model_validate_json((tmp_path / "message").read_bytes()) == result
    assert StageResult.model_validate_json((places.stage("train") / "result.json").read_bytes()) == result
