"""The findings of `doctor`, one line each, with the fix below."""

from collections.abc import Iterable

from rich.console import Group
from rich.text import Text

from anneal_cli.checks import Finding
from anneal_cli.views.text import Symbols

STYLES = {"ok": "green", "warning": "yellow", "failed": "red"}


def checklist(findings: Iterable[Finding], symbols: Symbols) -> Group:
    """The whole list."""
    return Group(*(line for finding in findings for line in _lines(finding, symbols)))


def _lines(finding: Finding, symbols: Symbols) -> list[Text]:
    sign = {"ok": symbols.done, "warning": "!", "failed": symbols.failed}[finding.level]
    first = Text.assemble((f"{sign} {finding.subject:<9}", STYLES[finding.level]), finding.message)
    return [first, Text(f"  {'Fix:':<9}{finding.fix}")] if finding.fix else [first]
