"""Every verb says what it needs; that it is enough is tested against a real API server (tests/apiserver)."""

from pathlib import Path

import anneal_cli.verbs
from anneal_cli.__main__ import parser
from anneal_cli.rights import RIGHTS, needs


def test_every_verb_is_there_and_has_its_rights_listed() -> None:
    modules = {path.stem for path in Path(anneal_cli.verbs.__file__).parent.glob("*.py")} - {"__init__"}
    assert modules == set(RIGHTS)


def test_the_help_of_the_command_lists_every_verb() -> None:
    text = parser().format_help()
    assert all(f"    {verb} " in text for verb in RIGHTS)


def test_rights_read_as_a_sentence() -> None:
    assert needs("chat") == "Needs get on modeldeployments; list on pods; create and get on pods/portforward."
    assert needs("init") == "Asks no cluster."


def test_no_verb_asks_for_secrets_or_wildcards() -> None:
    rights = [right for rights in RIGHTS.values() for right in rights]
    assert rights
    assert not any("secrets" in right.resources or "*" in (*right.resources, *right.verbs) for right in rights)
