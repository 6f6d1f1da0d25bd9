"""The files that a new user applies are accepted where Pod Security *restricted* is enforced, without a warning."""

from pathlib import Path

import pytest

from tests.apiserver.api.conftest import ROOT, Kubectl

QUICKSTART = ROOT / "examples" / "quickstart"
NAMESPACE = "anneal-demo"
FILES = sorted(path for path in QUICKSTART.glob("*.yaml") if path.name != "namespace.yaml")

pytestmark = pytest.mark.apiserver


@pytest.fixture(scope="module", autouse=True)
def namespace(kubectl: Kubectl) -> None:
    kubectl.must("apply", "-f", str(QUICKSTART / "namespace.yaml"))
    labels = kubectl.must("get", "namespace", NAMESPACE, "-o", "jsonpath={.metadata.labels}")
    assert '"pod-security.kubernetes.io/enforce":"restricted"' in labels


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_file_is_accepted_without_a_warning(kubectl: Kubectl, path: Path) -> None:
    # A Job whose pods Pod Security would refuse is accepted, but with a warning.
    text = path.read_text().replace("SEED_IMAGE", "example.com/seed:1")
    answer = kubectl("apply", "--namespace", NAMESPACE, "--dry-run=server", "-f", "-", stdin=text)
    assert answer.ok, answer.text
    assert "Warning" not in answer.text
