"""`python -m anneal_trainer STAGE --run run.json`: run one stage, say how it went, exit with the code that says why."""

import argparse
import logging
import signal
import sys
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NoReturn

from pydantic import ValidationError

from anneal_api.run import (
    RUN_FILE,
    TOKEN_FILE,
    WORKSPACE,
    EvaluateSummary,
    PrepareSummary,
    PublishSummary,
    RunSpec,
    Stage,
    StageResult,
    TrainSummary,
)
from anneal_api.termination import TERMINATION_LOG
from anneal_api.uri import CLAIM_ROOT
from anneal_trainer import log as logs
from anneal_trainer.errors import CRASHED, BadConfig, Preempted, StageError, storage_error
from anneal_trainer.places import Places
from anneal_trainer.results import report, report_summary
from anneal_trainer.secrecy import hide

log = logging.getLogger("anneal_trainer")

Summary = PrepareSummary | TrainSummary | EvaluateSummary | PublishSummary


def main(argv: list[str] | None = None) -> int:
    """Run a stage; the exit code is an ExitCode."""
    arguments = _parser().parse_args(argv)
    stage = Stage(arguments.stage)
    places = Places(workspace=arguments.workspace, claims=arguments.claims, termination_log=arguments.termination_log,
                    token_file=arguments.token_file)
    logs.set_up()
    # The container's first process ignores SIGTERM unless it asks for it.
    signal.signal(signal.SIGTERM, _stop)
    uid, began = "", logs.now()
    try:
        run = _read_run(arguments.run)
        uid = run.uid
        summary = _stage(stage, arguments.stall_seconds)(run, places)
        done = {"stage": stage, "uid": uid, "started": began, "finished": logs.now(), stage.value: summary}
        report(StageResult.model_validate(done), places)
    except BaseException as error:
        return _failed(error, StageResult(stage=stage, uid=uid, started=began, finished=logs.now()), places)
    log.info("%s is done", stage)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m anneal_trainer", description=__doc__)
    parser.add_argument("stage", choices=[stage.value for stage in Stage])
    parser.add_argument("--run", type=Path, default=Path(RUN_FILE), help="the RunSpec (default: %(default)s)")
    parser.add_argument(
        "--workspace", type=Path, default=Path(WORKSPACE), help="shared by all stages (default: %(default)s)"
    )
    parser.add_argument(
        "--claims", type=Path, default=Path(CLAIM_ROOT), help="where claims are mounted (default: %(default)s)"
    )
    parser.add_argument(
        "--termination-log", type=Path, default=Path(TERMINATION_LOG), help="for the summary (default: %(default)s)"
    )
    parser.add_argument(
        "--token-file", type=Path, default=Path(TOKEN_FILE), help="the hub's token, if any (default: %(default)s)"
    )
    parser.add_argument(
        "--stall-seconds", type=float, default=3600.0, help="end train when it stands still for so long (%(default)s)"
    )
    return parser


def _stage(stage: Stage, stall_seconds: float) -> Callable[[RunSpec, Places], Summary]:
    """The stage's function; imported on demand, because train needs torch and prepare must not wait for it."""
    match stage:
        case Stage.PREPARE:
            from anneal_trainer.prepare import prepare

            return prepare
        case Stage.TRAIN:
            from anneal_trainer.train import train

            return partial(train, stall_seconds=stall_seconds)
        case Stage.EVALUATE:
            from anneal_trainer.evaluate import evaluate

            return evaluate
        case Stage.PUBLISH:
            from anneal_trainer.publish import publish

            return publish


def _read_run(path: Path) -> RunSpec:
    try:
        return RunSpec.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise BadConfig(
            f"{path} is not a run of schema 1: {error}. Fix: use the operator and trainer image of one release."
        ) from None


def _stop(*_: object) -> NoReturn:
    raise Preempted("told to stop; the next pod starts the stage again")


def _failed(error: BaseException, result: StageResult, places: Places) -> int:
    """Report a failure and give its exit code. A second SIGTERM must not cut the report short."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    known = error if isinstance(error, StageError | Preempted) else storage_error(error)
    if known is None:
        sys.stdout.write(hide("".join(traceback.format_exception(error))))
    else:
        log.error("%s: %s", type(known).__name__, known)
    message = hide(str(known) if known else f"{type(error).__name__}: {error}")
    code = int(known.exit_code) if known else CRASHED
    result = result.model_copy(update={"exit_code": code, "message": message[:2048]})
    try:
        report(result, places)
    except OSError:  # the volume may be what failed; the summary does not need it
        report_summary(result, places)
    return code


if __name__ == "__main__":
    sys.exit(main())
