"""Every verb of `anneal` on a real API server, as a user who may do what its help says and nothing else."""

import json
from pathlib import Path

import pytest
import yaml

from anneal_cli.__main__ import main
from anneal_cli.errors import NotFound
from anneal_cli.kinds import FINE_TUNE_JOB, MODEL_DEPLOYMENT, NAMESPACES, Collection
from anneal_cli.kube import KubeCluster
from anneal_cli.resource import Object
from anneal_cli.rights import RIGHTS

pytestmark = pytest.mark.apiserver
RBAC = "rbac.authorization.k8s.io"
NAMESPACE = "cli-rights"
JOB = {"model": {"uri": "pvc://models/base"}, "dataset": {"uri": "pvc://data/rows.jsonl"},
       "output": {"uri": "pvc://models/tuned"}}
DIGEST = "sha256:" + "ab" * 32
ARGUMENTS = {
    "init": ["support", "--model", "pvc://m/b", "--dataset", "pvc://d/r.jsonl", "--output", "pvc://m/t"],
    "list": [], "doctor": [], "version": [], "completion": ["bash"], "status": ["support", "-w", "--timeout", "1s"],
    "chat": ["support", "-p", "hello"],
}
ENDS = {"status": 124, "logs": 1, "plot": 1, "chat": 1, "doctor": 1}
"""Exit codes other than 0: nothing runs here, so there is no log, no server and no operator."""


@pytest.fixture(scope="module")
def admin(kubeconfig: Path) -> KubeCluster:
    """A namespace with one resource of each kind that no operator looks at."""
    cluster = KubeCluster(str(kubeconfig), None, NAMESPACE)
    cluster.create(NAMESPACES, {"metadata": {"name": NAMESPACE}})
    for kind, spec in ((FINE_TUNE_JOB, JOB), (MODEL_DEPLOYMENT, {"model": {"uri": "pvc://models/tuned"}})):
        body = {"apiVersion": "anneal.dev/v1alpha1", "kind": kind.kind, "metadata": {"name": "support"}, "spec": spec}
        cluster.create(_inside(kind.collection), body)
    _roll_out(cluster)
    return cluster


def _roll_out(cluster: KubeCluster) -> None:
    """What an operator would say of a deployment whose second revision serves: `rollback` needs one to go back to."""
    artifact = {"uri": "pvc://models/old", "digest": DIGEST, "kind": "model"}
    revision = {"name": "support-1", "hash": "1", "artifact": artifact, "settings": json.dumps({"servedName": "old"})}
    status = Collection(MODEL_DEPLOYMENT.collection.api, f"{MODEL_DEPLOYMENT.collection.plural}/support")
    cluster.patch(status, "status", {"status": {"stable": revision, "previous": revision}})


def _inside(collection: Collection) -> Collection:
    """The collection of the test's namespace, for `create`, which knows none."""
    return Collection(f"{collection.api}/namespaces/{NAMESPACE}", collection.plural)


@pytest.fixture
def user(admin: KubeCluster, kubeconfig: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A kubeconfig of a service account with exactly these rights."""
    name, verb = request.param
    _grant(admin, name, verb)
    account = f"api/v1/namespaces/{NAMESPACE}/serviceaccounts"
    admin.create(Collection(f"api/v1/namespaces/{NAMESPACE}", "serviceaccounts"), {"metadata": {"name": name}})
    token = admin.create(Collection(f"{account}/{name}", "token"), {"spec": {}})["status"]["token"]
    config = yaml.safe_load(kubeconfig.read_text())
    config["users"] = [{**entry, "user": {"token": token}} for entry in config["users"]]
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return path


def _grant(admin: KubeCluster, name: str, verb: str | None) -> None:
    """The rights as a ClusterRole: nodes and CRDs are in no namespace."""
    rules = [{"apiGroups": [r.group], "resources": list(r.resources), "verbs": list(r.verbs)}
             for r in (RIGHTS[verb] if verb else ())]
    role: Object = {"metadata": {"name": f"cli-{name}"}, "rules": rules}
    subject = {"kind": "ServiceAccount", "name": name, "namespace": NAMESPACE}
    binding = {"metadata": {"name": f"cli-{name}"}, "subjects": [subject],
               "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": f"cli-{name}"}}
    admin.create(Collection(f"apis/{RBAC}/v1", "clusterroles"), role)
    admin.create(Collection(f"apis/{RBAC}/v1", "clusterrolebindings"), binding)


def anneal(verb: str, user: Path, folder: Path) -> int:
    argv = [verb, *ARGUMENTS.get(verb, ["support"]), "--kubeconfig", str(user), "-n", NAMESPACE]
    return main([*argv, "-f", str(folder / "report.tar.gz")] if verb == "report" else argv)


@pytest.mark.parametrize(("user", "verb"), [((verb, verb), verb) for verb in RIGHTS], indirect=["user"],
                         ids=list(RIGHTS))
def test_the_rights_that_the_help_names_are_enough(user: Path, verb: str, tmp_path: Path,
                                                   capsys: pytest.CaptureFixture[str]) -> None:
    code = anneal(verb, user, tmp_path)
    captured = capsys.readouterr()
    assert "may not" not in captured.err, captured.err
    assert code == ENDS.get(verb, 0), captured.err


NEEDY = [verb for verb, rights in RIGHTS.items() if rights and verb != "doctor"]


@pytest.mark.parametrize(("user", "verb"), [((f"no-{verb}", None), verb) for verb in NEEDY], indirect=["user"],
                         ids=NEEDY)
def test_without_them_the_missing_right_is_named(user: Path, verb: str, tmp_path: Path,
                                                 capsys: pytest.CaptureFixture[str]) -> None:
    assert anneal(verb, user, tmp_path) == 1
    captured = capsys.readouterr()
    assert "Error: You may not " in captured.err
    assert "kubectl auth can-i" in captured.err


@pytest.mark.parametrize("user", [("doctor-no", None)], indirect=True)
def test_the_doctor_goes_on_where_it_may_not_read(user: Path, tmp_path: Path,
                                                  capsys: pytest.CaptureFixture[str]) -> None:
    anneal("doctor", user, tmp_path)
    out = capsys.readouterr().out
    assert "You may not get customresourcedefinitions" in out
    assert "You may not list nodes" in out


def test_a_name_that_is_not_there_is_told_from_an_api_that_is_not_there(admin: KubeCluster) -> None:
    with pytest.raises(NotFound, match="not found"):
        admin.get(FINE_TUNE_JOB.collection, "nobody")
