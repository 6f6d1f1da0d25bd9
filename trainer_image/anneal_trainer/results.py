"""What a stage tells: its result file on the workspace, then the summary in the termination message, last of all."""

import json
import logging

from anneal_api.run import PrepareSummary, RunSpec, Stage, StageResult, TrainSummary
from anneal_api.termination import MAX_TERMINATION_BYTES
from anneal_trainer.errors import StorageUnavailable
from anneal_trainer.files import write_atomic
from anneal_trainer.places import Places

log = logging.getLogger(__name__)
RESULT_FILE = "result.json"


def report(result: StageResult, places: Places) -> None:
    """Store the result, then give the operator its summary."""
    write_atomic(places.stage(result.stage) / RESULT_FILE, (json.dumps(result.to_wire(), indent=2) + "\n").encode())
    report_summary(result, places)


def report_summary(result: StageResult, places: Places) -> None:
    """Write the termination message, cut to what Kubernetes keeps."""
    try:
        places.termination_log.write_bytes(summary_bytes(result))
    except OSError as error:
        log.error("cannot write the termination message: %s", error)


def summary_bytes(result: StageResult) -> bytes:
    """The result as JSON of at most MAX_TERMINATION_BYTES; only `message` can be long, so only it is cut."""
    kept = result.message
    while len(data := _compact(result)) > MAX_TERMINATION_BYTES and kept:
        kept = kept[: len(kept) * 3 // 4]
        result = result.model_copy(update={"message": f"{kept} ..."})
    return data


def _compact(result: StageResult) -> bytes:
    return json.dumps(result.to_wire(), ensure_ascii=False, separators=(",", ":")).encode()


def prepared(run: RunSpec, places: Places) -> PrepareSummary:
    """What prepare found, for the later stages."""
    summary = _stored(run, places, Stage.PREPARE).prepare
    if summary is None:
        raise StorageUnavailable(
            "the workspace holds no successful result of prepare. Fix: run the job again with a new runId."
        )
    return summary


def trained(run: RunSpec, places: Places) -> TrainSummary:
    """What train reached."""
    summary = _stored(run, places, Stage.TRAIN).train
    if summary is None:
        raise StorageUnavailable(
            "the workspace holds no successful result of train. Fix: run the job again with a new runId."
        )
    return summary


def finished(run: RunSpec, places: Places) -> list[StageResult]:
    """The results of the stages that are done, in order; a stage with nothing to do has none."""
    return [_stored(run, places, stage) for stage in Stage if (places.stage(stage) / RESULT_FILE).is_file()]


def _stored(run: RunSpec, places: Places, stage: Stage) -> StageResult:
    path = places.stage(stage) / RESULT_FILE
    try:
        result = StageResult.model_validate_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise StorageUnavailable(f"the result of {stage} cannot be read from {path}: {error}") from error
    if result.uid != run.uid:
        raise StorageUnavailable(
            f"{path} belongs to the FineTuneJob with uid {result.uid}, not to {run.uid}. "
            "Fix: give every job its own workspace."
        )
    return result
