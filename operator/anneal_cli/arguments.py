"""Options that several verbs share."""

import argparse

from anneal_api.model import seconds


def add_output(parser: argparse.ArgumentParser) -> None:
    """-o json."""
    parser.add_argument("-o", "--output", choices=("json",), help="json: the objects for programs")


def add_timeout(parser: argparse.ArgumentParser) -> None:
    """--timeout."""
    parser.add_argument("--timeout", type=_seconds, metavar="TIME",
                        help="end with exit code 124 after TIME, such as 90s or 1h30m")


def _seconds(text: str) -> int:
    """A Duration of the API, or plain seconds."""
    try:
        return int(text) if text.isdigit() else seconds(text)
    except (KeyError, ValueError):
        raise argparse.ArgumentTypeError(f"{text!r} is not a time; write 90s, 30m or 1h30m") from None
