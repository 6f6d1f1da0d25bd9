"""What the local cluster promises to everything that runs on it, asked of the running one."""

import json
import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from anneal_localcluster import build, cluster, images, processes
from anneal_localcluster.control_plane import ControlPlane
from anneal_localcluster.options import Wishes
from anneal_localcluster.settings import NODE_NAME, Folders

pytestmark = pytest.mark.e2e

NAMESPACE = "localcluster-e2e"
IMAGE = "localhost/anneal/probe:1"
GPU = "nvidia.com/gpu"
SOURCE = Path(__file__).parents[2] / "localcluster" / "probe"


class Kubectl:
    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = dict(environment)

    def __call__(self, *arguments: str, given: Any = None, namespace: str = NAMESPACE) -> str:
        done = self.attempt(*arguments, given=given, namespace=namespace)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def attempt(
        self, *arguments: str, given: Any = None, namespace: str = NAMESPACE
    ) -> subprocess.CompletedProcess[str]:
        text = None if given is None else json.dumps(given)
        argv = ["kubectl", "--namespace", namespace, *arguments]
        return subprocess.run(argv, input=text, env=self.environment, capture_output=True, text=True, check=False)

    def apply(self, *objects: dict[str, Any]) -> None:
        self("apply", "-f", "-", given={"apiVersion": "v1", "kind": "List", "items": objects})

    def wait(self, condition: str, *names: str) -> None:
        self("wait", f"--for={condition}", "--timeout=60s", *names)


@pytest.fixture(scope="module")
def kubectl(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    load_probe(tmp_path_factory.mktemp("probe"))
    client = Kubectl(environment)
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    client.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}})
    client.wait("create", "serviceaccount/default")
    yield client
    client("delete", "namespace", NAMESPACE, "--wait=true", "--timeout=120s")


def load_probe(folder: Path) -> None:
    program = folder / "probe"
    argv = [build.ensure_go(), "build", "-o", str(program), str(SOURCE / "main.go")]
    subprocess.run(argv, check=True, env=build.go_environment())
    archive = folder / "probe.tar"
    archive.write_bytes(images.scratch_image(IMAGE, "probe", program.read_bytes()))
    assert images.load(Folders(), archive) == [IMAGE]


def pod(name: str, *arguments: str, limits: dict[str, str] | None = None, claim: str = "") -> dict[str, Any]:
    """One that passes Pod Security *restricted* and runs as nobody in particular."""
    container = {
        "name": "main",
        "image": IMAGE,
        "args": list(arguments),
        "resources": {"limits": {"cpu": "100m", "memory": "64Mi", **(limits or {})}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "data", "mountPath": "/data"}] if claim else [],
    }
    spec = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 1,
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 1000,
            "runAsGroup": 1000,
            "fsGroup": 2000,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}] if claim else [],
    }
    metadata = {"name": name, "namespace": NAMESPACE, "labels": {"app": name}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def claim(name: str) -> dict[str, Any]:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}


def service(name: str, port: int) -> dict[str, Any]:
    spec = {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": port}]}
    metadata = {"name": f"{name}-service", "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


@pytest.fixture(scope="module")
def web(kubectl: Kubectl) -> str:
    kubectl.apply(pod("web", "serve", ":8080", "hello from web"), service("web", 8080))
    kubectl.wait("condition=Ready", "pod/web")
    return "web"


def test_a_pod_that_is_not_root_writes_to_a_volume_that_lives_and_dies_with_its_claim(kubectl: Kubectl) -> None:
    kubectl.apply(claim("data"), pod("writer", "write", "/data/file", "kept", claim="data"))
    kubectl.wait("jsonpath={.status.phase}=Succeeded", "pod/writer")
    assert kubectl("logs", "writer") == "wrote /data/file as 1000:1000\n"
    volume = kubectl("get", "pvc", "data", "-o", "jsonpath={.spec.volumeName}")
    file = Folders().volumes / volume / "file"
    assert (file.read_text(), file.stat().st_gid) == ("kept", 2000)
    kubectl("delete", "pod/writer", "pvc/data")
    kubectl.wait("delete", f"pv/{volume}")
    assert not file.parent.exists()


def test_a_pod_finds_another_by_the_name_of_its_service(kubectl: Kubectl, web: str) -> None:
    short, full = "http://web-service/", f"http://web-service.{NAMESPACE}.svc.cluster.local/"
    kubectl.apply(pod("short", "get", short), pod("full", "get", full))
    kubectl.wait("jsonpath={.status.phase}=Succeeded", "pod/short", "pod/full")
    assert [kubectl("logs", name) for name in ("short", "full")] == ["hello from web\n"] * 2


def test_a_pod_reaches_itself_through_its_service(kubectl: Kubectl, web: str) -> None:
    assert kubectl("exec", web, "--", "/probe", "get", "http://web-service/") == "hello from web\n"


def test_a_port_is_forwarded_to_this_machine(kubectl: Kubectl, web: str) -> None:
    argv = ["kubectl", "--namespace", NAMESPACE, "port-forward", f"pod/{web}", ":8080"]
    with subprocess.Popen(argv, env=kubectl.environment, stdout=subprocess.PIPE, text=True) as forward:
        assert forward.stdout is not None
        address = forward.stdout.readline().split()[2]
        with urllib.request.urlopen(f"http://{address}/", timeout=10) as answer:
            body = answer.read()
        forward.terminate()
    assert body == b"hello from web\n"


def test_an_address_nobody_serves_is_refused_at_once(kubeconfig: Path) -> None:
    """Else the packet would leave by the default route, and the caller would wait for minutes."""
    begin = time.monotonic()
    with pytest.raises(OSError, match=r"(?i)no route|unreachable"):
        socket.create_connection(("10.96.255.254", 80), timeout=30)
    assert time.monotonic() - begin < 5


def test_pod_security_is_enforced(kubectl: Kubectl) -> None:
    bad = pod("bad", "hold")
    bad["spec"]["containers"][0]["securityContext"] = {"privileged": True}
    refused = kubectl.attempt("apply", "-f", "-", given=bad)
    assert refused.returncode == 1
    assert 'violates PodSecurity "restricted' in refused.stderr


def test_a_pod_gets_a_fake_gpu_and_the_node_keeps_it_when_the_kubelet_restarts(kubectl: Kubectl) -> None:
    """`up` starts again what has ended; the pod that runs is not touched."""
    kubectl.apply(pod("gpu", "hold", limits={GPU: "1"}))
    kubectl.wait("condition=Ready", "pod/gpu")
    kubelet = processes.recorded(Folders().pids)["kubelet"]
    processes.stop([kubelet])
    cluster.up(Folders(), Wishes())
    assert processes.recorded(Folders().pids)["kubelet"] != kubelet
    allocatable = f"jsonpath={{.status.allocatable.{GPU.replace('.', chr(92) + '.')}}}"
    assert int(kubectl("get", "node", NODE_NAME, "-o", allocatable)) >= 1
    kubectl.wait("condition=Ready", "pod/gpu")
    assert kubectl("get", "pod", "gpu", "-o", "jsonpath={.status.containerStatuses[0].restartCount}") == "0"


def test_a_second_up_changes_nothing(kubeconfig: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = processes.recorded(Folders().pids)
    cluster.up(Folders(), Wishes())
    assert processes.recorded(Folders().pids) == before
    assert "was up already" in capsys.readouterr().err


def test_control_planes_run_side_by_side_and_leave_no_process(tmp_path: Path) -> None:
    with ControlPlane(tmp_path / "a") as first, ControlPlane(tmp_path / "b") as second:
        assert first.url != second.url
        for each in (first, second):
            client = Kubectl({**os.environ, "KUBECONFIG": str(each.kubeconfig), "PATH": str(build.tool_folder())})
            assert client("get", "namespaces", "-o", "name").splitlines()[0] == "namespace/default"
        pids = [child.pid for each in (first, second) for child in each.children.values()]
    assert len(pids) == 8
    assert [pid for pid in pids if processes.start_time(pid) is not None] == []
