"""The image store is left as it was found."""

import sys
from pathlib import Path

import pytest

from anneal_localcluster_images import __main__, builder, store
from anneal_localcluster_images.programs import ImageError


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """Commands whose failure is an answer."""
    found: list[list[str]] = []
    monkeypatch.setenv("ANNEAL_CACHE", str(tmp_path))
    monkeypatch.setattr(store, "attempt", found.append)
    return found


@pytest.mark.parametrize("verb", ["tags", "load"])
def test_the_mount_of_the_store_goes_however_a_command_ends(
    verb: str, commands: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_: object) -> None:
        raise ImageError("no cluster")

    monkeypatch.setattr(__main__.handover, "load", refuse)
    monkeypatch.setattr(sys, "argv", ["anneal_localcluster_images", verb])
    assert __main__.main() == (0 if verb == "tags" else 1)
    assert commands == [["umount", str(tmp_path / "images" / "storage" / "overlay")]]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ImageError])
def test_a_build_that_is_stopped_leaves_no_container(
    error: type[BaseException], commands: list[list[str]], monkeypatch: pytest.MonkeyPatch,
) -> None:
    def end(_: str) -> None:
        raise error

    monkeypatch.setattr(builder, "attempt", commands.append)
    monkeypatch.setattr(builder, "build_one", end)
    for name in ("ensure_builders", "need_room"):
        monkeypatch.setattr(builder, name, lambda *_: None)
    monkeypatch.setattr(builder.os, "geteuid", lambda: 0)
    with pytest.raises(error):
        builder.build(["operator"])
    assert commands == [store.buildah("rm", "--all")]
