"""The real cluster class against a local HTTP server, and what a refusal means."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlparse

import pytest
import yaml

from anneal_cli.__main__ import main
from anneal_cli.errors import CliError, Expired, NotFound, Unavailable
from anneal_cli.kinds import CRDS, FINE_TUNE_JOB, MODEL_DEPLOYMENT, PODS
from anneal_cli.kube import KubeCluster
from anneal_cli.refusals import explain_refusal

JOBS = FINE_TUNE_JOB.collection
JOBS_PATH = "/apis/anneal.dev/v1alpha1/namespaces/team/finetunejobs"
Answer = tuple[int, Any]


class Api(BaseHTTPRequestHandler):
    """Answers by method and path; a list of answers is given one by one."""

    answers: ClassVar[dict[str, list[Answer]]] = {}
    requests: ClassVar[list[dict[str, Any]]] = []

    def do_GET(self) -> None:
        self._answer("GET", None)

    def do_PATCH(self) -> None:
        self._answer("PATCH", json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _answer(self, method: str, body: Any) -> None:
        url = urlparse(self.path)
        self.requests.append({"path": url.path, "query": parse_qs(url.query), "body": body,
                              "type": self.headers.get("Content-Type"), "token": self.headers.get("Authorization")})
        answers = self.answers[f"{method} {url.path}"]
        status, content = answers.pop(0) if len(answers) > 1 else answers[0]
        data = content.encode() if isinstance(content, str) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: Any) -> None:
        """Quiet."""


@pytest.fixture
def kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(Api, "answers", {})
    monkeypatch.setattr(Api, "requests", [])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield write_kubeconfig(tmp_path / "config", f"http://127.0.0.1:{server.server_port}")
    server.shutdown()
    thread.join()
    server.server_close()


def write_kubeconfig(path: Path, server: str) -> Path:
    path.write_text(yaml.safe_dump({
        "apiVersion": "v1", "kind": "Config", "current-context": "here",
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {"token": "secret-token"}}],
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "team"}},
                     {"name": "there", "context": {"cluster": "c", "user": "u"}}]}))
    return path


@pytest.fixture
def cluster(kubeconfig: Path) -> KubeCluster:
    return KubeCluster(str(kubeconfig), None, None)


def test_context_and_namespace_come_from_the_kubeconfig(kubeconfig: Path) -> None:
    chosen = [KubeCluster(str(kubeconfig), context, namespace) for context, namespace in
              ((None, None), ("there", None), ("there", "other"))]
    assert [(c.context, c.namespace) for c in chosen] == [("here", "team"), ("there", "default"), ("there", "other")]


def test_a_list_reads_every_page_and_gives_items_their_kind(cluster: KubeCluster) -> None:
    page = {"apiVersion": "anneal.dev/v1alpha1", "kind": "FineTuneJobList"}
    Api.answers[f"GET {JOBS_PATH}"] = [
        (200, {**page, "metadata": {"continue": "more"}, "items": [{"metadata": {"name": "a"}}]}),
        (200, {**page, "metadata": {"resourceVersion": "7"}, "items": [{"metadata": {"name": "b"}}]})]
    listing = cluster.list(JOBS, {"labelSelector": "a=b,c"})
    assert [(i["metadata"]["name"], i["kind"]) for i in listing.items] == [("a", "FineTuneJob"), ("b", "FineTuneJob")]
    assert listing.version == "7"
    assert [r["query"].get("continue") for r in Api.requests] == [None, ["more"]]
    assert {r["query"]["labelSelector"][0] for r in Api.requests} == {"a=b,c"}
    assert {r["token"] for r in Api.requests} == {"Bearer secret-token"}


def test_a_watch_yields_changes_and_ends_with_expired(cluster: KubeCluster) -> None:
    events = [{"type": "ADDED", "object": {"metadata": {"name": "ä"}}},
              {"type": "ERROR", "object": {"code": 410, "message": "too old"}}]
    Api.answers[f"GET {JOBS_PATH}"] = [(200, "\n".join(json.dumps(e, ensure_ascii=False) for e in events) + "\n")]
    changes = cluster.watch(JOBS, {}, "7")
    assert next(changes).object["metadata"]["name"] == "ä"
    with pytest.raises(Expired, match="too old"):
        next(changes)
    assert Api.requests[0]["query"]["resourceVersion"] == ["7"]


def test_a_patch_is_a_merge_patch(cluster: KubeCluster) -> None:
    Api.answers[f"PATCH {JOBS_PATH}/support"] = [(200, {"metadata": {"name": "support"}})]
    cluster.patch(JOBS, "support", {"spec": {"suspend": True}})
    assert Api.requests[0]["type"] == "application/merge-patch+json"
    assert Api.requests[0]["body"] == {"spec": {"suspend": True}}


def test_a_log_comes_line_by_line_without_a_last_newline(cluster: KubeCluster) -> None:
    Api.answers["GET /api/v1/namespaces/team/pods/p/log"] = [(200, "one\ntwo\nthree")]
    assert list(cluster.log("p", {"container": "main"})) == ["one", "two", "three"]


@pytest.mark.parametrize(("status", "expected"), [(404, "pods gone"), (403, "You may not create pods/portforward")])
def test_a_refused_port_forward_says_what_the_server_said(cluster: KubeCluster, status: int, expected: str) -> None:
    refusal = {"kind": "Status", "message": "pods gone"}
    Api.answers["GET /api/v1/namespaces/team/pods/p/portforward"] = [(status, refusal)]
    with pytest.raises(CliError, match=expected), cluster.connect("p", 8000):
        pytest.fail("there is no such pod")


def test_a_server_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    cluster = KubeCluster(str(write_kubeconfig(tmp_path / "config", "http://127.0.0.1:1")), None, None)
    with pytest.raises(Unavailable, match=r"context here does not answer: .*refused"):
        cluster.get(PODS, "p")


def test_no_kubeconfig_is_an_error_that_names_the_ways_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--kubeconfig", str(tmp_path / "none")]) == 1
    captured = capsys.readouterr()
    assert "No cluster to talk to" in captured.err
    assert "KUBECONFIG" in captured.err
    assert "Traceback" not in captured.err


PLUGIN = "{exec: {apiVersion: client.authentication.k8s.io/v1, command: no-such-plugin, interactiveMode: Never}}"
KUBECONFIG = """
current-context: here
contexts: [{name: here, context: {cluster: here, user: me}}]
clusters: [{name: here, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: me, user: %s}]
"""


@pytest.mark.parametrize(("text", "expected"), [
    ("{{{{", "while parsing a flow node expected the node content"), ("", "file is empty"),
    (KUBECONFIG.replace("contexts:", "context:") % "{token: x}", "contexts"),
    (KUBECONFIG.replace("server", "certificate-authority: /none, server") % "{token: x}", "/none"),
    (KUBECONFIG % PLUGIN, "No credentials for the cluster: [Errno 2] No such file or directory: 'no-such-plugin'"),
])
def test_a_broken_kubeconfig_is_one_line_that_says_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, expected: str,
) -> None:
    (tmp_path / "config").write_text(text)
    assert main(["list", "--kubeconfig", str(tmp_path / "config")]) == 1
    error, fix = capsys.readouterr().err.replace("\n", " ").split("Fix: ")
    assert expected in error
    assert fix


def test_an_unknown_context_is_named(kubeconfig: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--kubeconfig", str(kubeconfig), "--context", "nowhere"]) == 1
    assert "nowhere" in capsys.readouterr().err


def test_the_whole_way_from_the_command_line(kubeconfig: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for plural in ("finetunejobs", "modeldeployments"):
        Api.answers[f"GET /apis/anneal.dev/v1alpha1/namespaces/team/{plural}"] = [(404, "404 page not found\n")]
    assert main(["list", "--kubeconfig", str(kubeconfig)]) == 1
    assert "Anneal is not installed" in capsys.readouterr().err


REFUSALS: list[tuple[int, str, type[CliError], str, str]] = [
    (401, "", CliError, "does not accept your credentials", "Log in again"),
    (403, '{"message": "User \\"eve\\" cannot list"}', CliError,
     "You may not list finetunejobs.anneal.dev in namespace team",
     "kubectl auth can-i list finetunejobs.anneal.dev -n team"),
    (404, "404 page not found", CliError, "Anneal is not installed", "helm upgrade --install"),
    (404, '{"message": "finetunejobs \\"x\\" not found"}', NotFound, 'finetunejobs "x" not found', ""),
    (410, "", Expired, "has expired", ""),
    (429, '{"message": "slow down"}', Unavailable, "slow down", "Try again"),
    (503, "bad gateway", Unavailable, "bad gateway", "Try again"),
    (422, '{"message": "spec.runId is fixed"}', CliError, "refused to list finetunejobs: spec.runId is fixed", ""),
]


@pytest.mark.parametrize(("status", "body", "kind", "message", "fix"), REFUSALS, ids=[str(r[:2]) for r in REFUSALS])
def test_refusals_in_plain_words(status: int, body: str, kind: type[CliError], message: str, fix: str) -> None:
    error = explain_refusal(status, body, "list", JOBS, "team", "here")
    assert type(error) is kind
    assert message in error.message
    assert fix in error.fix


def test_paths_are_those_of_the_api() -> None:
    assert JOBS.path("team", "x") == f"{JOBS_PATH}/x"
    assert MODEL_DEPLOYMENT.collection.path(None) == "/apis/anneal.dev/v1alpha1/modeldeployments"
    assert CRDS.path("", "c") == "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/c"
    assert PODS.path("team", "p", "log") == "/api/v1/namespaces/team/pods/p/log"
