"""The whole entry point with a real, tiny model on a CPU: prepare, train, publish as processes of their own."""

import json
import os
import signal
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the torch stack: run by `make test-trainer`")

from anneal_api.artifact import Manifest, digest_of, model_digest, verify_files
from anneal_api.run import METRICS_PORT, Stage, parse_progress
from anneal_api.termination import ExitCode
from tests.unit.trainer.tiny import CHATML, Outcome, World, give_model, make_world, write_lines

pytestmark = pytest.mark.torch

STALL_SECONDS = 15
STEPS = 20
"""36 rows of 40 are trained on, 8 per step, for 4 epochs."""
COMMON = {
    "README.md",
    "chat_template.jinja",
    "loss.svg",
    "manifest.json",
    "metrics.jsonl",
    "report.html",
    "tokenizer.json",
    "tokenizer_config.json",
}


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> World:
    """A run with an adapter, from start to artifact."""
    return published(make_world(tmp_path_factory.mktemp("adapter")), tiny_model)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> World:
    """A run that trains all weights, from start to artifact."""
    training = {"epochs": 2, "batchSize": 4, "gradientAccumulation": 2, "learningRate": 0.02, "loggingSteps": 4}
    world = make_world(tmp_path_factory.mktemp("full"), method={"type": "full"}, training=training, evaluation={})
    return published(world, tiny_model)


def published(world: World, model: Path) -> World:
    give_model(world, model)
    for stage in (Stage.PREPARE, Stage.TRAIN, Stage.PUBLISH):
        outcome = world.run(stage)
        assert outcome.code == ExitCode.OK, outcome.log
    return world


def losses(world: World) -> list[float]:
    return [row["loss"] for row in world.metrics() if "loss" in row]


def test_the_loss_falls_and_every_step_is_there(adapter: World) -> None:
    steps = [row["step"] for row in adapter.metrics() if "loss" in row]
    curve = losses(adapter)

    assert steps == list(range(1, STEPS + 1))
    assert curve[0] > 5.5  # no better than a guess among 512 tokens, ln 512 = 6.2
    assert curve[-1] < 0.7 * curve[0]
    assert [row["step"] for row in adapter.metrics() if "evalLoss" in row] == [5, 10, 15, 20]


def test_the_adapter_is_published_with_exactly_these_files(adapter: World) -> None:
    files = {path.name for path in adapter.artifact.iterdir()}
    manifest = Manifest.model_validate_json((adapter.artifact / "manifest.json").read_bytes())

    assert files == COMMON | {"adapter_model.safetensors", "adapter_config.json"}
    assert {entry.path for entry in manifest.files} == files - {"manifest.json"}
    verify_files(adapter.artifact, manifest.files)
    assert (manifest.kind, manifest.lora_rank, manifest.run_hash) == ("adapter", 8, adapter.artifact.name)
    assert (
        json.loads((adapter.artifact / "adapter_config.json").read_bytes())["base_model_name_or_path"]
        == "pvc://models/base"
    )
    assert (adapter.artifact / "chat_template.jinja").read_text() == CHATML
    assert all(path.stat().st_mode & 0o444 == 0o444 for path in adapter.artifact.iterdir())


def test_a_full_model_is_published_with_exactly_these_files_and_loads(full: World) -> None:
    from transformers import AutoModelForCausalLM

    files = {path.name for path in full.artifact.iterdir()}
    manifest = Manifest.model_validate_json((full.artifact / "manifest.json").read_bytes())

    assert files == COMMON | {"model.safetensors", "config.json", "generation_config.json"}
    assert manifest.kind == "model"
    assert losses(full)[-1] < 0.8 * losses(full)[0]
    tuned = AutoModelForCausalLM.from_pretrained(full.artifact)
    base = AutoModelForCausalLM.from_pretrained(full.claims / "models/base")
    assert tuned.dtype == base.dtype
    assert not all(a.equal(b) for a, b in zip(tuned.parameters(), base.parameters(), strict=True))


def test_publishing_again_changes_nothing(adapter: World) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in adapter.artifact.iterdir()}

    outcome = adapter.run(Stage.PUBLISH)

    assert outcome.code == ExitCode.OK
    assert outcome.result.publish is not None
    artifact = outcome.result.publish.artifact
    assert artifact.uri == f"pvc://models/tuned/runs/{adapter.artifact.name}"
    assert artifact.digest == digest_of((adapter.artifact / "manifest.json").read_bytes())
    assert {path.name: path.stat().st_mtime_ns for path in adapter.artifact.iterdir()} == before


def test_the_same_run_in_a_new_cluster_finds_its_artifact(adapter: World, tmp_path: Path) -> None:
    again = World(tmp_path, adapter.spec | {"uid": "99999999-0000-0000-0000-000000000000", "name": "other"})
    (tmp_path / "claims").symlink_to(adapter.claims)

    prepare = again.run(Stage.PREPARE).result.prepare

    assert prepare is not None
    assert prepare.already_published is not None
    assert prepare.already_published.uri.endswith(adapter.artifact.name)
    base = adapter.claims / "models/base"
    names = ("config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
    digests = {name: digest_of((base / name).read_bytes()).removeprefix("sha256:") for name in names}
    assert prepare.already_published.base_digest == model_digest(digests)


def test_an_artifact_that_was_changed_is_not_taken_for_published(
    adapter: World, tmp_path: Path, world: Callable[..., World]
) -> None:
    copy = world()
    runs = copy.claims / "models/tuned/runs"
    runs.mkdir(parents=True)
    folder = runs / adapter.artifact.name
    folder.mkdir()
    for path in adapter.artifact.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "adapter_model.safetensors").write_bytes(b"rotten")
    copy.workspace.symlink_to(adapter.workspace)

    outcome = copy.run(Stage.PUBLISH)

    assert outcome.code == ExitCode.STORAGE_UNAVAILABLE
    assert "adapter_model.safetensors has 6 bytes, the manifest says" in outcome.result.message


def test_after_sigterm_the_next_pod_goes_on_with_the_very_same_curve(
    adapter: World, world: Callable[..., World]
) -> None:
    interrupted = world()
    assert interrupted.run(Stage.PREPARE).code == ExitCode.OK

    stop_at_step(interrupted, 7)
    resumed = interrupted.run(Stage.TRAIN)

    assert resumed.code == ExitCode.OK, resumed.log
    train = resumed.result.train
    assert train is not None
    assert 7 <= train.resumed_from_step < STEPS
    assert train.steps == STEPS
    assert resumed.progress[0].step == train.resumed_from_step + 1
    assert [row["step"] for row in interrupted.metrics() if "loss" in row] == list(range(1, STEPS + 1))
    # Data order, dropout and optimizer go on as if nothing had happened.
    assert losses(interrupted) == pytest.approx(losses(adapter), rel=1e-4)


def stop_at_step(world: World, step: int) -> None:
    """Start train and send SIGTERM as soon as the step is logged."""
    process = world.start(Stage.TRAIN)
    assert process.stdout is not None
    for line in process.stdout:
        if f'"step":{step},' in line:
            process.send_signal(signal.SIGTERM)
            break
    outcome = world.finish(process)
    assert outcome.code == ExitCode.PREEMPTED, outcome.log
    assert "the checkpoint is saved" in outcome.result.message


def test_a_run_that_stands_still_is_ended_and_the_next_pod_goes_on(world: Callable[..., World]) -> None:
    hanging = world(training={"epochs": 2, "batchSize": 4, "gradientAccumulation": 2, "loggingSteps": 1,
                              "checkpoint": {"every": "steps", "steps": 2}})  # fmt: skip
    assert hanging.run(Stage.PREPARE).code == ExitCode.OK

    outcome = stand_still_at_step(hanging, 4)

    assert outcome.code == ExitCode.NO_PROGRESS, outcome.log
    assert outcome.result.message.startswith(f"no sign of life for {STALL_SECONDS} s (spec.stallTimeout)")
    assert "on_log (callbacks.py:" in outcome.result.message  # where it waits for the file
    assert "Current thread" in outcome.log  # the stacks of all threads
    resumed = hanging.run(Stage.TRAIN)
    assert resumed.code == ExitCode.OK, resumed.log
    assert resumed.result.train is not None
    assert resumed.result.train.resumed_from_step >= 2


def stand_still_at_step(world: World, step: int) -> Outcome:
    """Start train, and once the step is logged make its metrics file one whose opening waits for ever."""
    process = world.start(Stage.TRAIN, "--stall-seconds", str(STALL_SECONDS))
    metrics = world.workspace / "metrics.jsonl"
    assert process.stdout is not None
    for line in process.stdout:
        if f'"step":{step},' in line:
            metrics.rename(metrics.with_suffix(".kept"))
            os.mkfifo(metrics)  # a volume that does not answer looks like this to the process
            break
    outcome = world.finish(process)
    metrics.with_suffix(".kept").replace(metrics)
    return outcome


def test_a_loss_that_is_not_finite_ends_the_run_before_it_touches_the_weights(world: Callable[..., World]) -> None:
    training = {"epochs": 3, "batchSize": 4, "gradientAccumulation": 1, "learningRate": 1.0, "scheduler": "constant",
                "warmupRatio": 0.0, "loggingSteps": 1, "precision": "fp32"}  # fmt: skip
    poisoned = world(method={"type": "full"}, training=training, runId="poisoned")
    assert poisoned.run(Stage.PREPARE).code == ExitCode.OK
    poison(poisoned)

    outcome = poisoned.run(Stage.TRAIN)

    assert outcome.code == ExitCode.LOSS_NOT_FINITE, outcome.log
    assert "the loss of step 1 of 27 is nan; the weights were left as they were before it." in outcome.result.message
    assert not poisoned.checkpoints.exists() or not list(poisoned.checkpoints.iterdir())


def poison(world: World) -> None:
    """Make one weight of the run's model not a number."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(world.claims / "models/base")
    with torch.no_grad():
        model.model.norm.weight[0] = float("nan")
    model.save_pretrained(world.claims / "models/base")


def test_damaged_checkpoints_are_passed_over_and_without_a_whole_one_the_run_stops(world: Callable[..., World]) -> None:
    interrupted = world(training={"epochs": 2, "batchSize": 4, "gradientAccumulation": 2, "loggingSteps": 1})
    assert interrupted.run(Stage.PREPARE).code == ExitCode.OK
    assert interrupted.run(Stage.TRAIN).code == ExitCode.OK
    newest, older = interrupted.checkpoints / "checkpoint-10", interrupted.checkpoints / "checkpoint-5"
    (newest / "optimizer.pt").write_bytes(b"rotten")

    passed_over = interrupted.run(Stage.TRAIN)
    assert passed_over.code == ExitCode.OK, passed_over.log
    assert passed_over.result.train is not None
    assert passed_over.result.train.resumed_from_step == 5

    for folder in (newest, older):
        (folder / "trainer_state.json").write_bytes(b"{}")
    stopped = interrupted.run(Stage.TRAIN)
    assert stopped.code == ExitCode.NO_VALID_CHECKPOINT
    assert "checkpoint-10: " in stopped.result.message
    assert "trainer_state.json has 2 bytes, the manifest says" in stopped.result.message


def test_bad_rows_end_prepare_with_their_line_in_the_termination_message(world: Callable[..., World]) -> None:
    bad = world()
    write_lines(bad.claims / "data/rows.jsonl", [{"messages": [{"role": "bot", "content": "Hi"}]}])

    outcome = bad.run(Stage.PREPARE)

    assert outcome.code == ExitCode.BAD_DATA
    assert outcome.result.message.startswith(
        'rows.jsonl:1 messages[0].role is "bot"; allowed: system, user, assistant.'
    )
    assert json.loads((bad.workspace / "stages/prepare/result.json").read_bytes())["exitCode"] == ExitCode.BAD_DATA


def test_prepare_imports_neither_torch_nor_transformers(world: Callable[..., World]) -> None:
    import subprocess
    import sys

    command = world().command(Stage.PREPARE)
    code = (
        "import sys; from anneal_trainer.__main__ import main; "
        f"code = main({command[3:]!r}); heavy = [m for m in ('torch', 'transformers') if m in sys.modules]; "
        "sys.exit(f'{code} {heavy}')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment())
    assert done.stderr.strip() == "0 []"


def environment() -> dict[str, str]:
    import os

    from tests.unit.trainer.tiny import REPOSITORY

    return os.environ | {"PYTHONPATH": f"{REPOSITORY}/operator:{REPOSITORY}/trainer_image"}


def test_the_report_tells_what_the_stages_left_on_the_workspace(adapter: World) -> None:
    page = (adapter.artifact / "report.html").read_text()

    assert f"in {STEPS} steps" in page
    assert "Where the time went" in page
    assert "CPU (" in page
    assert "<polyline" in (adapter.artifact / "loss.svg").read_text()


def test_a_training_process_shows_its_progress_to_prometheus(world: Callable[..., World]) -> None:
    made = world(training={"epochs": 60, "batchSize": 4, "loggingSteps": 1, "precision": "fp32"}, evaluation={})
    assert made.run(Stage.PREPARE).code == ExitCode.OK
    process = made.start(Stage.TRAIN)
    assert process.stdout is not None
    seen = next(found for line in process.stdout if (found := parse_progress(line)) and found.step >= 2)
    with urllib.request.urlopen(f"http://127.0.0.1:{METRICS_PORT}/metrics", timeout=10) as answer:
        shown = dict(line.split() for line in answer.read().decode().splitlines() if not line.startswith("#"))
    process.kill()
    process.communicate()
    assert float(shown["anneal_train_step"]) >= seen.step
    assert float(shown["anneal_train_loss"]) > 0
