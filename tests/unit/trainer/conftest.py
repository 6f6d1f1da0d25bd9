"""The tiny model is made once per session; each world has a copy."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.trainer.tiny import World, give_model, make_model, make_world


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the tiny model. Only tests marked `torch` may ask for it."""
    folder = tmp_path_factory.mktemp("tiny") / "model"
    make_model(folder)
    return folder


@pytest.fixture
def world(tmp_path: Path, tiny_model: Path) -> Callable[..., World]:
    """Makes a world around the tiny model."""

    def make(**changes: Any) -> World:
        made = make_world(tmp_path, **changes)
        give_model(made, tiny_model)
        return made

    return make
