"""The children as files that a person can read and review: `pytest --update-golden` writes them anew."""

from pathlib import Path

import pytest
import yaml

from tests.unit.operator.desired.rendered import MANIFESTS

GOLDEN = Path(__file__).parents[3] / "golden" / "desired"


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_child_looks_as_it_was_reviewed(name: str, request: pytest.FixtureRequest) -> None:
    path = GOLDEN / f"{name}.yaml"
    found = yaml.safe_dump(MANIFESTS[name], sort_keys=True, width=120)
    if request.config.getoption("--update-golden"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(found)
    assert found == path.read_text(), f"{path} differs; look at it and run pytest --update-golden"


def test_no_golden_file_is_left_over() -> None:
    assert {str(path.relative_to(GOLDEN)) for path in GOLDEN.rglob("*.yaml")} == {f"{name}.yaml" for name in MANIFESTS}
