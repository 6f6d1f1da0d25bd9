"""What `make demo` promised, held against what it measured and left behind."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from anneal_api.artifact import MANIFEST, digest_of, read_manifest, verify_files
from tests.rig.api import Api, condition

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
DEMO = "anneal-demo"
VOLUMES = Path("/var/lib/anneal-localcluster/volumes")


@pytest.fixture(scope="module")
def summary() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "build" / "demo" / "summary.json").read_text())
    return found


def test_tuning_beats_the_base_on_held_out_prompts(summary: dict[str, Any]) -> None:
    job = summary["finetunejob"]
    assert job["loss"]["last"] < 0.7 * job["loss"]["first"]
    assert job["perplexity"]["tuned"] < 0.5 * job["perplexity"]["base"]
    assert job["exact_match"]["tuned"] >= job["exact_match"]["base"] + 0.3


def test_the_served_answers_are_those_of_two_models(summary: dict[str, Any]) -> None:
    answers = summary["modeldeployment"]["answers"]
    assert len(answers) >= 4
    for answer in answers:
        assert answer["base"].strip()
        assert answer["tuned"].strip()
    assert sum(answer["base"] != answer["tuned"] for answer in answers) >= len(answers) - 1


def test_the_run_report_is_the_published_one(summary: dict[str, Any]) -> None:
    place = summary["finetunejob"]["artifact"]["uri"].removeprefix("pvc://models/")
    (published,) = VOLUMES.glob(f"*/{place}/report.html")
    assert (ROOT / "build" / "demo" / "report.html").read_bytes() == published.read_bytes()


def test_times_were_measured(summary: dict[str, Any]) -> None:
    seconds = summary["finetunejob"]["seconds"]
    assert 0 < seconds["apply_to_first_step"] < seconds["total"]
    assert 0 < seconds["train"] < seconds["total"]
    assert summary["modeldeployment"]["seconds_to_ready"] > 0


def test_the_artifact_is_whole_and_is_what_the_status_says(summary: dict[str, Any]) -> None:
    artifact = summary["finetunejob"]["artifact"]
    run = artifact["uri"].rsplit("/", 1)[-1]
    folders = [path.parent for path in VOLUMES.glob(f"*/**/runs/{run}/{MANIFEST}")]
    assert len(folders) == 1
    found = read_manifest(folders[0])
    assert found
    manifest, digest = found
    assert digest == artifact["digest"] == digest_of((folders[0] / MANIFEST).read_bytes())
    verify_files(folders[0], manifest.files)
    listed = {entry.path for entry in manifest.files} | {MANIFEST}
    there = {str(path.relative_to(folders[0])) for path in folders[0].rglob("*") if path.is_file()}
    assert there == listed


def test_the_report_beside_the_artifact_tells_of_this_run(summary: dict[str, Any]) -> None:
    run = summary["finetunejob"]["artifact"]["uri"].rsplit("/", 1)[-1]
    (path,) = VOLUMES.glob(f"*/**/runs/{run}/report.html")
    page = path.read_text()
    assert page.count("<article") == 40  # the prompts of examples/support
    for told in ("Answers, before and after", "Held-out perplexity", "Where the time went", "CPU (", "evaluated with"):
        assert told in page
    for stage in ("prepare", "train", "evaluate"):
        assert f"<span>{stage}</span>" in page


async def test_both_resources_end_ready_and_quiet(api: Api) -> None:
    for kind in ("FineTuneJob", "ModelDeployment"):
        resource = await api.get(kind, DEMO, "support")
        assert condition(resource, "Ready")["status"] == "True", resource["status"]
        assert condition(resource, "Reconciling") == {}
        assert condition(resource, "Stalled") == {}
        assert resource["status"]["observedGeneration"] == resource["metadata"]["generation"]


async def test_every_pod_we_made_passes_restricted_and_has_no_token(api: Api) -> None:
    namespace = await api.get("Namespace", "", DEMO)
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    pods = await api.list("Pod", DEMO, "app.kubernetes.io/managed-by=anneal")
    assert pods
    for pod in pods:
        assert pod["spec"]["automountServiceAccountToken"] is False
        assert not any("projected" in volume for volume in pod["spec"]["volumes"])


def test_the_timeline_shows_where_the_time_went(environment: dict[str, str]) -> None:
    text = subprocess.run(
        ["kubectl", "get", "ftj", "support", "-n", DEMO, "-o", "json"], env=environment, check=True, capture_output=True
    ).stdout
    events = [entry["event"] for entry in json.loads(text)["status"]["timeline"]]
    wanted = ["created", "accepted", "prepareStarted", "trainStarted", "firstStep", "trainFinished", "publishFinished"]
    assert [event for event in events if event in wanted] == wanted


def test_the_timeline_of_a_deployment_goes_on_to_the_first_token(environment: dict[str, str]) -> None:
    text = subprocess.run(
        ["kubectl", "get", "mdep", "support", "-n", DEMO, "-o", "json"],
        env=environment, check=True, capture_output=True,
    ).stdout
    entries = json.loads(text)["status"]["timeline"]
    wanted = ["created", "resolved", "started", "serverStarted", "weightsVerified", "firstToken", "ready"]
    assert [entry["event"] for entry in entries] == wanted
    assert [entry["time"] for entry in entries] == sorted(entry["time"] for entry in entries)
