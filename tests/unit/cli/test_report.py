"""`anneal report`: what is in the bundle, and what never is."""

import tarfile
from pathlib import Path

import pytest
import yaml

from anneal_api.redaction import HIDDEN, redact_object, redact_text
from anneal_cli.errors import CliError
from tests.unit.cli import samples
from tests.unit.cli.fake import FakeCluster
from tests.unit.cli.terminal import anneal
from tests.unit.cli.test_logs import pod

TOKEN = "hf_" + "a1B2" * 6


def unpack(path: Path) -> dict[str, str]:
    with tarfile.open(path) as bundle:
        files = {member.name.partition("/")[2]: bundle.extractfile(member) for member in bundle.getmembers()}
        return {name: file.read().decode() for name, file in files.items() if file}


def test_a_bundle_holds_everything_and_no_secret(tmp_path: Path) -> None:
    training = pod("a", "train")
    training["spec"]["containers"][0]["env"] = [{"name": "API_KEY", "value": "swordfish"},
                                                {"name": "HOME", "value": "/tmp"}]
    cluster = FakeCluster(samples.failed(), training)
    cluster.logs["a", "main"] = [[f"login with {TOKEN}", "loss 1.2"]]
    done = anneal(cluster, "report", "support", "-f", str(tmp_path / "bundle.tar.gz"))
    assert done.code == 0
    files = unpack(tmp_path / "bundle.tar.gz")
    assert set(files) == {"version.json", "doctor.json", *(f"finetunejob-support/{name}" for name in (
        "resource.yaml", "events.yaml", "pods.yaml", "logs/a-main.log"))}
    assert files["finetunejob-support/logs/a-main.log"] == f"login with {HIDDEN}\nloss 1.2\n"
    env = yaml.safe_load(files["finetunejob-support/pods.yaml"])[0]["spec"]["containers"][0]["env"]
    assert env == [{"name": "API_KEY", "value": HIDDEN}, {"name": "HOME", "value": "/tmp"}]
    assert not any(secret in text for text in files.values() for secret in (TOKEN, "swordfish"))


def test_the_loss_is_in_the_bundle_as_a_picture(tmp_path: Path) -> None:
    cluster = FakeCluster(samples.failed(), pod("a", "train"))
    cluster.logs["a", "main"] = [[samples.progress_line(1), samples.progress_line(2, loss=1.0)]]
    anneal(cluster, "report", "support", "-f", str(tmp_path / "bundle.tar.gz"))
    picture = unpack(tmp_path / "bundle.tar.gz")["finetunejob-support/loss.svg"]
    assert "training loss 1.25 to 1.00" in picture


def test_what_may_not_be_read_is_listed(tmp_path: Path) -> None:
    cluster = FakeCluster(samples.failed())
    cluster.failures["events"] = CliError("You may not list events.")
    anneal(cluster, "report", "support", "-f", str(tmp_path / "bundle.tar.gz"))
    assert "You may not list events." in unpack(tmp_path / "bundle.tar.gz")["missing.txt"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    done = anneal(FakeCluster(samples.failed()), "report", "support", "-f", str(tmp_path / "no" / "bundle.tar.gz"))
    assert done.code == 1
    assert "Cannot write" in done.notes


@pytest.mark.parametrize(("text", "expected"), [
    (f"token={TOKEN} next", f"token={HIDDEN} next"),
    ("Authorization: Bearer abc.def", f"Authorization: Bearer {HIDDEN}"),
    ("https://user:pass@host/x", f"https://{HIDDEN}@host/x"),
    ("AKIAABCDEFGHIJKLMNOP", HIDDEN),
    ('{"token": "abc", "tokensPerSecond": 380}', f'{{"token": "{HIDDEN}", "tokensPerSecond": 380}}'),
    ("max_tokens=128", "max_tokens=128"),
    ("24,022 trained tokens, 381 tok/s", "24,022 trained tokens, 381 tok/s"),
    ("step 4 loss: 1.2", "step 4 loss: 1.2"),
])
def test_texts_lose_what_looks_like_a_secret(text: str, expected: str) -> None:
    assert redact_text(text) == expected


def test_references_to_secrets_stay_and_values_go() -> None:
    found = redact_object({"secretRef": {"name": "hf"}, "password": "x", "trainedTokens": 5, "metadata": {
        "managedFields": [1], "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"}}})
    assert found == {"secretRef": {"name": "hf"}, "password": HIDDEN, "trainedTokens": 5,
                     "metadata": {"annotations": {}}}
