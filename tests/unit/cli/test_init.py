"""`anneal init`: what it prints is accepted, and what it refuses it explains."""

import pytest
import yaml

from anneal_api.finetunejob import FineTuneJobSpec
from anneal_api.modeldeployment import ModelDeploymentSpec
from tests.unit.cli.fake import FakeCluster
from tests.unit.cli.terminal import Done, anneal

URIS = ("--model", "pvc://models/smollm2", "--dataset", "pvc://data/train.jsonl", "--output", "pvc://models/support")


def init(*argv: str) -> Done:
    return anneal(FakeCluster(), "init", *argv)


def test_both_resources_are_valid_and_fit_together() -> None:
    done = init("support", *URIS, "--prompts", "pvc://data/p.jsonl", "--method", "full", "--gpus", "1", "--epochs", "5")
    assert done.code == 0
    job, deployment = yaml.safe_load_all(done.out)
    spec = FineTuneJobSpec.model_validate(job["spec"])
    assert (spec.method.type, spec.resources.gpus, spec.training.epochs) == ("full", 1, 5)
    served = ModelDeploymentSpec.model_validate(deployment["spec"]).model.fine_tune_job_ref
    assert served is not None
    assert served.name == job["metadata"]["name"] == "support"


def test_the_output_begins_with_what_to_do_next() -> None:
    assert "# Follow it with: anneal status support -w" in init("support", *URIS).out.splitlines()


def test_what_is_missing_is_named_without_a_terminal() -> None:
    done = init("support", "--model", "hf://owner/name")
    assert (done.code, done.out) == (2, "")
    assert "Missing: --dataset, --output." in done.notes


@pytest.mark.parametrize(("argv", "message"), [
    (("support", *URIS[:2], "--dataset", "s3://bucket/x", *URIS[4:]), "'s3://bucket/x' is not valid: write pvc://"),
    (("support", *URIS, "--epochs", "0"), "spec.training.epochs: 0 is not valid"),
    (("Support", *URIS), "'Support' cannot be the name"),
    (("a" * 41, *URIS), "cannot be the name"),
])
def test_what_is_wrong_is_named_before_a_cluster_sees_it(argv: tuple[str, ...], message: str) -> None:
    done = init(*argv)
    assert (done.code, done.out) == (2, "")
    assert message in done.notes
