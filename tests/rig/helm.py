"""Helm 4 and Helm 3 against one API server, and the chart that they install."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from anneal_localcluster import build, charttools
from tests.rig.operator import ROOT

CHART = ROOT / "charts" / "anneal"
PREVIOUS = ROOT / "tests" / "apiserver" / "previous" / "anneal-0.1.0.tgz"
SYSTEM = "anneal-system"
VERSIONS = ("v3", "v4")


@dataclass(frozen=True)
class Answer:
    """What a command said."""

    ok: bool
    text: str


@dataclass(frozen=True)
class Helm:
    """One version of Helm against one API server."""

    kubeconfig: Path
    version: str = "v4"
    namespace: str = SYSTEM

    @property
    def program(self) -> Path:
        """The binary, compiled on first use."""
        return (build.tool_folder() if self.version == "v4" else charttools.folder()) / "helm"

    def __call__(self, *arguments: str) -> Answer:
        argv = [str(self.program), "--kubeconfig", str(self.kubeconfig), "--namespace", self.namespace, *arguments]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        # Warnings are not part of what was asked for: values and manifests are read back from here.
        return Answer(done.returncode == 0, done.stdout + (done.stderr if done.returncode else ""))

    def must(self, *arguments: str) -> str:
        """The output of a command that has to work."""
        answer = self(*arguments)
        assert answer.ok, f"helm {' '.join(arguments)}: {answer.text}"
        return answer.text
