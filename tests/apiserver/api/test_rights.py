"""The operator as its own ServiceAccount: what the chart grants is enough for the work, in both modes."""

import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from anneal_localcluster import build
from anneal_localcluster.control_plane import ControlPlane
from tests.apiserver.api.conftest import ROOT, Kubectl
from tests.rig.helm import CHART, SYSTEM, Helm
from tests.rig.operator import Operator

EXAMPLES = Path(__file__).parent / "examples" / "good"
MODES = {"cluster": (), "namespaced": ("--values", str(CHART / "ci" / "namespaced-values.yaml"))}
WAIT = "--timeout=60s"

pytestmark = pytest.mark.apiserver


def as_account(kubectl: Kubectl, folder: Path) -> Path:
    """A kubeconfig with the token of the operator's ServiceAccount and nothing else."""
    config = yaml.safe_load(kubectl.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": kubectl.must("create", "token", "anneal", "--namespace", SYSTEM).strip()}
    path = folder / "account.kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture(params=sorted(MODES))
def working(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Kubectl, Operator]]:
    """The chart in one of its modes, and the real operator with exactly the rights that it grants."""
    with ControlPlane(tmp_path / "plane") as plane:
        kubectl = Kubectl(build.tool_folder() / "kubectl", plane.kubeconfig)
        kubectl.must("apply", "--server-side", "-k", str(ROOT / "manifests" / "crds"))
        for name in (SYSTEM, "team-a", "team-b"):
            kubectl.must("create", "namespace", name)
        values = ("--set", "crds.enabled=false", *MODES[request.param])
        Helm(plane.kubeconfig).must("install", "anneal", str(CHART), *values)
        namespaces = "team-a,team-b" if request.param == "namespaced" else ""
        operator = Operator(as_account(kubectl, tmp_path), tmp_path / "log", ANNEAL_NAMESPACE=SYSTEM,
                            ANNEAL_WATCH_NAMESPACES=namespaces)
        operator.start()
        try:
            yield kubectl, operator
        finally:
            operator.kill()


def claims(kubectl: Kubectl, namespace: str) -> None:
    kubectl.must("apply", "--namespace", namespace, "-f", str(ROOT / "examples" / "quickstart" / "claims.yaml"))


def test_the_rights_are_enough(working: tuple[Kubectl, Operator]) -> None:
    kubectl, operator = working
    space = ("--namespace", "team-a")
    claims(kubectl, "team-a")
    for example in ("minimal.yaml", "deployment-every-field.yaml"):
        kubectl.must("apply", *space, "-f", str(EXAMPLES / example))
    jobs = ("wait", "job", *space, "--selector")
    kubectl.must(*jobs, "anneal.dev/stage=prepare", "--for=create", WAIT)
    kubectl.must(*jobs, "anneal.dev/stage=resolve", "--for=create", WAIT)
    kubectl.must("patch", "ftj", "minimal", *space, "--type=merge", "-p", '{"spec": {"suspend": true}}')
    kubectl.must(*jobs, "anneal.dev/stage=prepare", "--for=delete", WAIT)
    reason = "jsonpath={.status.conditions[?(@.type=='Ready')].reason}=Suspended"
    kubectl.must("wait", "ftj", "minimal", *space, f"--for={reason}", WAIT)
    with urllib.request.urlopen(f"http://127.0.0.1:{operator.port}/metrics") as answer:
        metrics = answer.read().decode()
    assert "anneal_api_writes_total" in metrics
    assert [line for line in metrics.splitlines() if 'status="403"' in line] == []
    assert "cannot" not in operator.text(), "the words of a missing right"
