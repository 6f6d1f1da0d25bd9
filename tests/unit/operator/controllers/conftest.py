"""What several modules of this folder set up."""

import pytest

from tests.unit.operator.controllers.scene import Scene


@pytest.fixture
def scene() -> Scene:
    return Scene()
