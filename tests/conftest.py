"""Options that every rig knows."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", default=False,
                     help="write the golden files anew instead of comparing with them; then read the diff")
