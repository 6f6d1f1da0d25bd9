"""The documentation keeps its promises: commands run somewhere, manifests are valid, the site builds."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from anneal_api import API_VERSION
from anneal_api.finetunejob import FineTuneJobSpec
from anneal_api.modeldeployment import ModelDeploymentSpec
from anneal_cli.__main__ import parser
from anneal_dev.demo import programs
from anneal_localcluster import build
from tests.rig.pages import PROGRAM, RIGS, ROOT, Block, blocks, clone, execute, of_rig, pages

PAGES = pages()
SPECS = {"FineTuneJob": FineTuneJobSpec, "ModelDeployment": ModelDeploymentSpec}
MINIMAL = {
    "FineTuneJob": {"model": {"uri": "pvc://m/m"}, "dataset": {"uri": "pvc://d/r.jsonl"}, "output": {"uri": "pvc://m/o"}},
    "ModelDeployment": {"model": {"uri": "pvc://m/o"}},
}


def test_there_are_pages_and_blocks_of_every_rig() -> None:
    assert len(PAGES) > 10
    assert all(of_rig(rig) for rig in RIGS)


@pytest.mark.parametrize("page", PAGES)
def test_every_block_of_commands_says_where_it_runs(page: str) -> None:
    for block in blocks(page):
        assert block.language not in ("", "bash") or not PROGRAM.search(block.text), f"{block.place}: call it `sh`"
        if block.is_commands:
            assert bool(block.rig) != bool(block.reason), (
                f"{block.place}: put `<!-- run: {'|'.join(RIGS)} -->` or `<!-- not run: why -->` above the block")
            assert not block.rig or block.rig in RIGS, f"{block.place}: there is no rig {block.rig}"


@pytest.mark.parametrize("page", of_rig("unit"))
def test_commands_that_need_no_cluster_run(page: str, tmp_path: Path) -> None:
    path = f"{programs()}{os.pathsep}{build.tool_folder()}{os.pathsep}{os.environ['PATH']}"
    folder = clone(tmp_path)
    for block in of_rig("unit")[page]:
        execute(block, folder, {**os.environ, "PATH": path, "KUBECONFIG": str(tmp_path / "no-cluster")})


def anneal_commands() -> Iterator[tuple[str, list[str]]]:
    """Every `anneal VERB ...` on the pages, whichever rig runs it, and also where none does."""
    for page in PAGES:
        for block in (block for block in blocks(page) if block.is_commands):
            for line in block.text.replace("\\\n", " ").splitlines():
                if found := ANNEAL.match(line):
                    yield f"{block.place}: {line.strip()}", shlex.split(found["words"], comments=True)


ANNEAL = re.compile(r"(?:kubectl )?anneal (?P<words>[^|>&]*)")
COMMANDS = list(anneal_commands())


@pytest.mark.parametrize(("line", "words"), COMMANDS, ids=[line for line, _ in COMMANDS])
def test_the_command_line_knows_the_words(line: str, words: list[str]) -> None:
    try:
        parser().parse_args(words)
    except SystemExit as refused:
        raise AssertionError(line) from refused


def documents() -> Iterator[tuple[Block, Any]]:
    for page in PAGES:
        for block in blocks(page):
            if block.language == "yaml":
                yield from ((block, document) for document in yaml.safe_load_all(block.text) if document)


@pytest.mark.parametrize(("block", "document"), list(documents()), ids=lambda value: getattr(value, "place", ""))
def test_yaml_is_what_the_project_reads(block: Block, document: dict[str, Any]) -> None:
    if document.get("kind") in SPECS:
        assert document["apiVersion"] == API_VERSION
        SPECS[document["kind"]].model_validate(document["spec"])
    elif "kind" not in document:
        assert any(fits(document) for fits in (_fits_job, _fits_deployment, _fits_chart)), (
            f"{block.place} is no part of a FineTuneJob's or ModelDeployment's spec and no chart values")


def _fits_job(fragment: dict[str, Any]) -> bool:
    return _fits("FineTuneJob", fragment)


def _fits_deployment(fragment: dict[str, Any]) -> bool:
    return _fits("ModelDeployment", fragment)


def _fits(kind: str, fragment: dict[str, Any]) -> bool:
    try:
        SPECS[kind].model_validate({**MINIMAL[kind], **fragment})
    except ValueError:
        return False
    return True


def _fits_chart(fragment: dict[str, Any]) -> bool:
    schema = json.loads((ROOT / "charts/anneal/values.schema.json").read_text())
    return not list(jsonschema.Draft202012Validator(schema).iter_errors(fragment))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as `make docs` builds it: a warning, such as a link to nowhere, is an error."""
    folder = tmp_path_factory.mktemp("site")
    argv = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False,
                          env={**os.environ, "NO_MKDOCS_2_WARNING": "1"})
    assert done.returncode == 0, done.stderr
    return folder


def test_every_page_is_in_the_site(site: Path) -> None:
    missing = [page for page in pages() if page.startswith("docs/")
               and not (site / page.removeprefix("docs/")).with_suffix(".html").is_file()]
    assert not missing


LOADED = re.compile(r"""<(?:script|link|img|iframe)[^>]+(?:src|href)=["'](?P<url>(?:https?:)?//[^"']+)""")


def test_no_page_loads_anything_from_the_network(site: Path) -> None:
    loaded = {(page.name, found["url"]) for page in site.rglob("*.html") for found in LOADED.finditer(page.read_text())}
    assert not loaded
