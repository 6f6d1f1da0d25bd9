"""Commands of the documentation that need running pods, run as they stand on the page, on what `make demo` left up."""

from pathlib import Path

import pytest
import yaml

from anneal_dev.demo import NAMESPACE
from tests.rig.pages import clone, execute, of_rig

pytestmark = pytest.mark.e2e

SECONDS = 300
"""For one block: the slowest waits for a pod that fails on purpose."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clone(tmp_path_factory.mktemp("clone"))


@pytest.fixture(scope="module")
def in_the_demo(
    environment: dict[str, str], kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, str]:
    """The demo's namespace is the default one, as for somebody who works in it."""
    config = yaml.safe_load(kubeconfig.read_text())
    for context in config["contexts"]:
        context["context"]["namespace"] = NAMESPACE
    path = tmp_path_factory.mktemp("kube") / "config"
    path.write_text(yaml.safe_dump(config))
    return {**environment, "KUBECONFIG": str(path)}


@pytest.mark.parametrize("page", of_rig("e2e"))
def test_commands_that_need_pods_run(page: str, in_the_demo: dict[str, str], folder: Path) -> None:
    for block in of_rig("e2e")[page]:
        execute(block, folder, in_the_demo, SECONDS)
