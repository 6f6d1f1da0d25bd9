"""`make demo`: from nothing to a tuned model that answers, in pods of a real Kubernetes, on this machine.

Everything a user would type is a real command here: helm, kubectl and the project's own CLI. What is measured goes to
build/demo/summary.json, and the run's report to build/demo/report.html.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType
from typing import Any

from anneal_dev import report, walltimes
from anneal_dev.environment import ROOT
from anneal_dev.steps import Console, Step, StepError, run

OUT = ROOT / "build" / "demo"
NAMESPACE = "anneal-demo"
NAME = "support"
QUICKSTART = ROOT / "examples" / "quickstart"
DATA = ROOT / "examples" / "support" / "data"
PROMPTS = DATA / "prompts.jsonl"
SHOWN_PROMPTS = 5
LAST = ("answers",)
EXISTING = os.environ.get("CLUSTER") == "existing"

LOCALCLUSTER = ("python3", "-m", "anneal_localcluster")
IMAGES = ("python3", "-m", "anneal_localcluster_images")
CLUSTER_UP = (*LOCALCLUSTER, "up", "--fake-gpus", "1")
CLUSTER_DOWN = (*LOCALCLUSTER, "down")


def cluster_is_up() -> bool:
    """Whether the local cluster already runs."""
    return subprocess.run([*LOCALCLUSTER, "status"], capture_output=True, check=False).returncode == 0


def steps(needs: tuple[str, ...] = ()) -> list[Step]:
    """The demo as steps; cluster and images are made side by side."""
    cluster = () if EXISTING else CLUSTER_UP
    return [
        Step("cluster", cluster or _existing_cluster, needs=needs),
        Step("images", (*IMAGES, "build"), needs=needs),
        Step("load", _push if EXISTING else (*IMAGES, "load"), needs=("cluster", "images")),
        Step("operator", _install, needs=("load",)),
        Step("data", _seed, needs=("operator",)),
        Step("finetune", _finetune, needs=("data",)),
        Step("serve", _serve, needs=("finetune",)),
        Step("answers", _answers, needs=("serve",)),
    ]


def tool_environment() -> dict[str, str]:
    """PATH with kubectl, helm and anneal, and the cluster's KUBECONFIG; also written to build/env.sh for the user."""
    tools = subprocess.run([*LOCALCLUSTER, "tools"], check=True, capture_output=True, text=True).stdout.strip()
    path = f"{programs()}{os.pathsep}{tools}{os.pathsep}{os.environ['PATH']}"
    if EXISTING:
        return {"PATH": path}
    config = subprocess.run([*LOCALCLUSTER, "kubeconfig"], check=True, capture_output=True, text=True).stdout.strip()
    (ROOT / "build" / "env.sh").write_text(f'export PATH="{programs()}:{tools}:$PATH"\nexport KUBECONFIG="{config}"\n')
    return {"PATH": path, "KUBECONFIG": config}


def programs() -> Path:
    """A folder with `anneal` and `kubectl-anneal`, run from this clone."""
    folder = ROOT / "build" / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("anneal", "kubectl-anneal"):
        program = folder / name
        program.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}/operator" exec "{sys.executable}" -m anneal_cli "$@"\n')
        program.chmod(0o755)
    return folder


def images() -> dict[str, str]:
    """Image references by part; in a registry with CLUSTER=existing."""
    registry = ("--registry", os.environ["REGISTRY"]) if EXISTING else ()
    done = subprocess.run([*IMAGES, "tags", *registry], check=True, capture_output=True, text=True)
    result: dict[str, str] = json.loads(done.stdout)
    return result


def _existing_cluster(console: Console) -> None:
    if not os.environ.get("REGISTRY"):
        raise StepError(
            "CLUSTER=existing needs REGISTRY, a registry that this machine can push to and the cluster can "
            "pull from, for example: make demo CLUSTER=existing REGISTRY=registry.example.com/anneal"
        )
    console.call("cluster", ("kubectl", "cluster-info"), env=tool_environment())


def _push(console: Console) -> None:
    console.call("load", (*IMAGES, "push", os.environ["REGISTRY"]))


def _install(console: Console) -> None:
    env, image = tool_environment(), images()
    values = [
        argument
        for part in ("operator", "trainer", "vllm", "transformers")
        for argument in ("--set-string", f"images.{part}.reference={image[part]}")
    ]
    console.call(
        "operator",
        (
            "helm",
            "upgrade",
            "--install",
            "anneal",
            "charts/anneal",
            "--namespace",
            "anneal-system",
            "--create-namespace",
            *values,
            "--wait",
            "--timeout",
            "5m",
        ),
        env=env,
        show=False,
    )
    console.say("operator", "the operator is installed and Ready in namespace anneal-system")


def kubectl(console: Console, step: str, *argv: str, stdin: str | None = None, show: bool = True) -> str:
    """Run kubectl in the demo's namespace."""
    return console.call(
        step, ("kubectl", "--namespace", NAMESPACE, *argv), env=tool_environment(), stdin=stdin, show=show
    )


def _seed(console: Console) -> None:
    """Put the base model and the example rows into claims, as a user would with a Job of theirs."""
    for kind in ("modeldeployment", "finetunejob"):
        kubectl(console, "data", "delete", kind, NAME, "--ignore-not-found", "--wait=true", show=False)
    kubectl(console, "data", "apply", "-f", str(QUICKSTART / "namespace.yaml"))
    files = ("create", "configmap", "support-data", f"--from-file={DATA}", "--dry-run=client", "-o", "yaml")
    rows = kubectl(console, "data", *files, show=False)
    kubectl(console, "data", "apply", "--server-side", "-f", "-", stdin=rows)
    kubectl(console, "data", "apply", "-f", str(QUICKSTART / "claims.yaml"))
    kubectl(console, "data", "delete", "job", "seed", "--ignore-not-found", "--wait=true", show=False)
    job = (QUICKSTART / "seed-job.yaml").read_text().replace("SEED_IMAGE", images()["seed"])
    kubectl(console, "data", "apply", "-f", "-", stdin=job)
    kubectl(console, "data", "wait", "--for=condition=Complete", "--timeout=10m", "job/seed")


def _finetune(console: Console) -> None:
    kubectl(console, "finetune", "apply", "-f", str(QUICKSTART / "finetunejob.yaml"))
    _watch(console, "finetune", "finetunejob")


def _serve(console: Console) -> None:
    kubectl(console, "serve", "apply", "-f", str(QUICKSTART / "modeldeployment.yaml"))
    _watch(console, "serve", "modeldeployment")


def _watch(console: Console, step: str, kind: str) -> None:
    console.call(
        step,
        ("anneal", "status", f"{kind}/{NAME}", "--namespace", NAMESPACE, "--watch", "--timeout", "40m"),
        env=tool_environment(),
    )


def _answers(console: Console) -> None:
    """Ask base and tuned the first held-out prompts, all at once, and write the summary."""
    prompts = [json.loads(line)["messages"][-1]["content"] for line in PROMPTS.read_text().splitlines()[:SHOWN_PROMPTS]]
    env = tool_environment()
    with ThreadPoolExecutor(len(prompts)) as pool:
        answers = list(pool.map(lambda prompt: _compare(console, prompt, env), prompts))
    job, deployment = (_get(console, kind) for kind in ("finetunejob", "modeldeployment"))
    summary = report.summarize(job, deployment, answers, kubernetes=_version(console))
    _keep(summary)
    page = _run_report(console, summary["finetunejob"]["artifact"]["uri"])
    (OUT / "report.html").write_text(page, encoding="utf-8")


def _compare(console: Console, prompt: str, env: dict[str, str]) -> dict[str, str]:
    command = ("anneal", "chat", NAME, "--namespace", NAMESPACE, "--compare", "base", "--prompt", prompt, "-o", "json")
    answer: dict[str, str] = json.loads(console.call("answers", command, env=env, show=False))
    return answer


def _run_report(console: Console, artifact: str) -> str:
    """The page that lies beside the model, from the server that has mounted the claim."""
    page = f"/mnt/pvc/{artifact.removeprefix('pvc://')}/report.html"
    return kubectl(console, "answers", "exec", f"service/{NAME}", "-c", "server", "--", "cat", page, show=False)


def _get(console: Console, kind: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(kubectl(console, "answers", "get", kind, NAME, "-o", "json", show=False))
    return result


def _version(console: Console) -> str:
    return str(
        json.loads(kubectl(console, "answers", "version", "-o", "json", show=False))["serverVersion"]["gitVersion"]
    )


def _keep(summary: dict[str, Any]) -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "summary.json").write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n")


def _add_total(seconds: float) -> dict[str, Any]:
    """The demo's own wall time is known only at the end."""
    summary: dict[str, Any] = {**json.loads((OUT / "summary.json").read_text()), "seconds_total": round(seconds, 1)}
    _keep(summary)
    return summary


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> int:
    """Run the demo; leaves the cluster up, so that the user can go on."""
    signal.signal(signal.SIGTERM, _interrupt)
    os.chdir(ROOT)
    if not EXISTING and os.geteuid() != 0:
        sys.exit(
            "make demo starts a Kubernetes node on this machine, which needs root: sudo make demo\n"
            "Without root, use a cluster you have: make demo CLUSTER=existing REGISTRY=<registry>"
        )
    shutil.rmtree(OUT, ignore_errors=True)
    started, began = time.monotonic(), walltimes.temperature()
    try:
        outcomes = run(steps(), Console(OUT / "logs", started))
    except KeyboardInterrupt:
        print(
            "\nstopped; `make demo` goes on from what is built, `make cluster-down` removes the cluster",
            file=sys.stderr,
        )
        return 130
    if not all(outcome.ok for outcome in outcomes):
        return 1
    walltimes.keep(OUT, "make demo", began, outcomes, time.monotonic() - started)
    print(report.render(_add_total(time.monotonic() - started)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
