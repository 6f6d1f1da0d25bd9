"""Every example is in the table of examples/README.md, and is accepted where Pod Security *restricted* is enforced."""

import re
from pathlib import Path

import pytest

from tests.apiserver.api.conftest import ROOT, Kubectl

EXAMPLES = ROOT / "examples"
GITOPS = EXAMPLES / "gitops"
# A repository as a whole, with files for Flux and Argo CD, whose kinds this API server does not know.
FILES = sorted(path for path in EXAMPLES.rglob("*.yaml") if not path.is_relative_to(GITOPS))
NAMESPACE = "anneal-demo"

pytestmark = pytest.mark.apiserver


def name(path: Path) -> str:
    return str(path.relative_to(EXAMPLES))


@pytest.fixture(scope="module", autouse=True)
def namespace(kubectl: Kubectl) -> None:
    kubectl.must("apply", "-f", str(EXAMPLES / "quickstart" / "namespace.yaml"))
    labels = kubectl.must("get", "namespace", NAMESPACE, "-o", "jsonpath={.metadata.labels}")
    assert '"pod-security.kubernetes.io/enforce":"restricted"' in labels


@pytest.mark.parametrize("path", FILES, ids=name)
def test_example_is_accepted_without_a_warning(kubectl: Kubectl, path: Path) -> None:
    # A Job whose pods Pod Security would refuse is accepted, but with a warning.
    text = path.read_text().replace("SEED_IMAGE", "example.com/seed:1")
    scope = () if path.name == "namespace.yaml" else ("--namespace", NAMESPACE)
    answer = kubectl("apply", *scope, "--dry-run=server", "-f", "-", stdin=text)
    assert answer.ok, answer.text
    assert "Warning" not in answer.text


def test_the_table_lists_every_example() -> None:
    listed = set(re.findall(r"\]\(([^)]+\.yaml)\)", (EXAMPLES / "README.md").read_text()))
    assert listed == set(map(name, FILES))


def test_the_models_of_the_gitops_repository_are_accepted_without_a_warning(kubectl: Kubectl) -> None:
    kubectl.must("apply", "--server-side", "-f", str(GITOPS / "models" / "namespace.yaml"))
    answer = kubectl("apply", "--server-side", "--dry-run=server", "-k", str(GITOPS / "models"))
    assert answer.ok, answer.text
    assert "Warning" not in answer.text
