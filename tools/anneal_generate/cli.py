"""docs/reference: the page of the `anneal` command, from its own parser."""

import argparse

from anneal_cli.__main__ import EPILOG, parser
from anneal_cli.rights import RIGHTS
from anneal_generate.text import markdown_file, table

COMMON = ("help", "namespace", "context", "kubeconfig")
INTRO = (
    "`anneal VERB` or, as a kubectl plugin, `kubectl anneal VERB`; `--help` after a verb says what stands here. "
    "`-n NAMESPACE`, `--context NAME` and `--kubeconfig FILE` go before or after the verb. NAME is the name of a "
    "resource, with `ftj/` or `mdep/` in front to choose one kind.\n\n"
) + EPILOG.partition(" As a plugin")[0]


def files() -> dict[str, str]:
    """The page."""
    verbs = next(action for action in parser()._actions if isinstance(action, argparse._SubParsersAction))
    sections = [section for name in RIGHTS for section in _sections(name, verbs.choices[name])]
    return {"docs/reference/cli.md": markdown_file("The anneal command", INTRO, *sections)}


def _sections(name: str, verb: argparse.ArgumentParser) -> list[str]:
    rows = [(f"`{_spelling(a)}`", a.help or _choices(a)) for a in verb._actions if a.dest not in COMMON]
    arguments = [table(("argument", "meaning"), rows)] if rows else []
    return [f"## {name}", verb.description or "", *arguments, verb.epilog or ""]


def _spelling(action: argparse.Action) -> str:
    value = "" if action.nargs == 0 else action.metavar or _choices(action) or action.dest.upper()
    return " ".join(filter(None, [", ".join(action.option_strings), str(value)]))


def _choices(action: argparse.Action) -> str:
    return ", ".join(map(str, action.choices)) if action.choices else ""
