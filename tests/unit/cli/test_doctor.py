"""`anneal doctor` and shell completion."""

import json
import subprocess
from pathlib import Path

import pytest

from anneal_cli.__main__ import main, parser
from anneal_cli.checks import DEFAULT_CLASS, GPU
from anneal_cli.completing import candidates
from anneal_cli.errors import CliError, Unavailable
from anneal_cli.session import Session
from anneal_cli.verbs.completion import SCRIPTS
from tests.unit.cli import samples
from tests.unit.cli.fake import FakeCluster
from tests.unit.cli.terminal import anneal
from tests.unit.cli.test_verbs import crds


def operator(ready: int) -> samples.Object:
    return {"kind": "Deployment", "metadata": {"name": "anneal", "namespace": "anneal-system",
                                               "labels": {"app.kubernetes.io/name": "anneal"}},
            "spec": {"template": {"spec": {"containers": [{"image": "anneal/operator:1"}]}}},
            "status": {"readyReplicas": ready}}


def healthy() -> FakeCluster:
    return FakeCluster(
        *crds(), operator(1),
        {"kind": "StorageClass", "metadata": {"name": "standard", "annotations": {DEFAULT_CLASS: "true"}}},
        {"kind": "PersistentVolumeClaim", "metadata": {"name": "models", "namespace": "default"}},
        {"kind": "Node", "metadata": {"name": "n"}, "status": {"allocatable": {GPU: "2"}}})


def levels(cluster: FakeCluster) -> dict[str, str]:
    found = json.loads(anneal(cluster, "doctor", "-o", "json").out)
    return {finding["subject"]: finding["level"] for finding in found}


def test_a_healthy_cluster_is_all_ok() -> None:
    done = anneal(healthy(), "doctor")
    assert done.code == 0
    assert done.out.count("✔") == len(done.out.splitlines()) == 8


def test_an_empty_cluster_fails_and_every_finding_has_a_fix() -> None:
    done = anneal(FakeCluster(), "doctor", "-o", "json")
    assert done.code == 1
    found = json.loads(done.out)
    assert {f["subject"] for f in found if f["level"] == "failed"} == {"CRD", "operator"}
    assert all(f["fix"] for f in found if f["level"] != "ok")


def test_an_operator_without_a_ready_pod_fails() -> None:
    cluster = healthy()
    cluster.put(operator(0))
    assert levels(cluster)["operator"] == "failed"


def test_a_missing_right_is_a_warning_that_names_the_command() -> None:
    cluster = healthy()
    cluster.forbidden = {("create", "pods")}
    done = anneal(cluster, "doctor")
    assert done.code == 0
    assert "You may not create pods/portforward (anneal chat)." in done.out


def test_a_check_that_may_not_read_is_a_warning_not_the_end() -> None:
    cluster = healthy()
    cluster.failures["deployments"] = CliError("You may not list deployments.", "Ask.")
    found = levels(cluster)
    assert (found["operator"], found["GPUs"]) == ("warning", "ok")


def test_no_answer_is_one_finding() -> None:
    cluster = healthy()
    cluster.read = lambda path: (_ for _ in ()).throw(Unavailable("refused", "start it"))  # type: ignore[method-assign]
    done = anneal(cluster, "doctor")
    assert (done.code, len(done.out.splitlines())) == (1, 2)


@pytest.mark.parametrize(("words", "expected"), [
    (["sta"], ["status"]),
    (["-n", "x", "su"], ["suspend"]),
    (["status", ""], ["ftj/support", "mdep/support", "support"]),
    (["chat", ""], ["support"]),
    (["logs", "support", "--stage", "p"], ["prepare", "publish"]),
    (["logs", "--foll"], ["--follow"]),
    (["completion", "z"], ["zsh"]),
    (["status", "-n", ""], ["team-a"]),
    (["status", "--timeout", ""], []),
    (["list", ""], []),
])
def test_completion_offers_what_may_come_next(words: list[str], expected: list[str]) -> None:
    cluster = FakeCluster(samples.training(), samples.serving(), {"kind": "Namespace", "metadata": {"name": "team-a"}})
    assert candidates(parser(), words, Session(lambda: cluster)) == expected


def test_completion_without_a_cluster_is_silent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["__complete", "--kubeconfig", str(tmp_path / "none"), "status", ""]) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("shell", SCRIPTS)
def test_scripts_ask_the_program_itself(shell: str) -> None:
    assert "__complete" in anneal(FakeCluster(), "completion", shell).out


def test_bash_takes_the_script_and_completes(tmp_path: Path) -> None:
    program = tmp_path / "anneal"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@" > "$0.args"; echo status\n')
    program.chmod(0o755)
    script = f"""{SCRIPTS["bash"]}
COMP_WORDS=(anneal -n team st) COMP_CWORD=3
_anneal
echo "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(["bash", "-c", script], env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, check=True, text=True,
                          capture_output=True)
    assert done.stdout == "status\n"
    assert (tmp_path / "anneal.args").read_text().split() == ["__complete", "-n", "team", "st"]
