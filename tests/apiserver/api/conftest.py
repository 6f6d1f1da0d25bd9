"""The API server is asked through the user's own tool: kubectl."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from anneal_localcluster import build
from tests.rig.helm import Answer

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Kubectl:
    """kubectl against one API server."""

    program: Path
    kubeconfig: Path

    def __call__(self, *arguments: str, stdin: str | None = None) -> Answer:
        argv = [str(self.program), "--kubeconfig", str(self.kubeconfig), *arguments]
        done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False)
        return Answer(done.returncode == 0, done.stdout + done.stderr)

    def must(self, *arguments: str, stdin: str | None = None) -> str:
        """The output of a command that has to work."""
        answer = self(*arguments, stdin=stdin)
        assert answer.ok, f"kubectl {' '.join(arguments)}: {answer.text}"
        return answer.text


@pytest.fixture(scope="session")
def kubectl(kubeconfig: Path) -> Kubectl:
    """kubectl on the session's API server, which knows our kinds."""
    return Kubectl(build.tool_folder() / "kubectl", kubeconfig)
