"""What may stand at the end of a command line: verbs, options, their choices, and names of resources."""

import argparse
from collections.abc import Iterable, Sequence

from anneal_cli.errors import CliError
from anneal_cli.kinds import FINE_TUNE_JOB, KINDS, MODEL_DEPLOYMENT, NAMESPACES, Kind
from anneal_cli.session import Session

KINDS_OF_VERB = {"chat": (MODEL_DEPLOYMENT,), "plot": (FINE_TUNE_JOB,), "retry": (FINE_TUNE_JOB,),
                 "suspend": (FINE_TUNE_JOB,), "resume": (FINE_TUNE_JOB,), "rollback": (MODEL_DEPLOYMENT,)}


def candidates(root: argparse.ArgumentParser, words: Sequence[str], session: Session) -> list[str]:
    """The candidates that begin like the last word."""
    *before, last = words or [""]
    verb = next((word for word in before if word in _verbs(root)), None)
    parser = _verbs(root)[verb] if verb else root
    previous = _option(parser, before[-1]) if before else None
    found: Iterable[str]
    if previous is not None and previous.nargs != 0:
        found = _values(previous, session)
    elif last.startswith("-"):
        found = (name for action in parser._actions for name in action.option_strings)
    elif verb is None:
        found = _verbs(root)
    else:
        found = _positional(parser, verb, session)
    return sorted(candidate for candidate in found if candidate.startswith(last))


def _verbs(root: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    for action in root._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def _option(parser: argparse.ArgumentParser, word: str) -> argparse.Action | None:
    return next((action for action in parser._actions if word in action.option_strings), None)


def _values(option: argparse.Action, session: Session) -> Iterable[str]:
    """What may follow an option."""
    if option.choices:
        return map(str, option.choices)
    return _namespaces(session) if option.dest == "namespace" else ()


def _positional(parser: argparse.ArgumentParser, verb: str, session: Session) -> Iterable[str]:
    """Choices of the verb's argument, or names of resources where it takes a name."""
    positional = next((action for action in parser._actions if not action.option_strings), None)
    if positional is None:
        return ()
    if positional.choices:
        return map(str, positional.choices)
    return _names(KINDS_OF_VERB.get(verb, KINDS), session) if positional.dest == "name" else ()


def _names(kinds: tuple[Kind, ...], session: Session) -> Iterable[str]:
    try:
        resources = session.all(kinds)
    except CliError:
        return ()
    prefixed = (f"{r.kind.short}/{r.name}" for r in resources) if len(kinds) > 1 else ()
    return {*(r.name for r in resources), *prefixed}


def _namespaces(session: Session) -> Iterable[str]:
    try:
        return [item["metadata"]["name"] for item in session.cluster.list(NAMESPACES, {}, everywhere=True).items]
    except CliError:
        return ()
