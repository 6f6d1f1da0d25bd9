"""What gets built, in which order, and the refusals before it starts."""

import os
import shutil
from collections import namedtuple

import pytest

from anneal_localcluster_images import builder
from anneal_localcluster_images.__main__ import known
from anneal_localcluster_images.builder import need_room, plan
from anneal_localcluster_images.catalog import BASE, IMAGES, RUNNABLE, reference
from anneal_localcluster_images.programs import ImageError

Usage = namedtuple("Usage", "total used free")


def test_parents_come_first_and_the_rest_side_by_side() -> None:
    first, second, third = plan(RUNNABLE, present=set())
    assert first == [BASE]
    assert sorted(second) == ["operator", "torch"]
    assert sorted(third) == ["seed", "trainer", "transformers", "vllm"]


def test_only_what_is_missing_is_built() -> None:
    present = {reference(name) for name in (BASE, *IMAGES)}
    assert plan(RUNNABLE, present) == []
    assert plan(RUNNABLE, present - {reference("vllm")}) == [["vllm"]]


def test_only_what_was_asked_for_is_built() -> None:
    assert plan(["operator"], present=set()) == [[BASE], ["operator"]]


def test_a_disk_that_is_too_small_is_refused_before_the_first_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, 12 * 1024**3))
    with pytest.raises(ImageError, match=r"has 12 GiB free; building torch, vllm and running them takes 25 GiB"):
        need_room(["torch", "vllm"])


def test_a_full_disk_does_not_matter_when_all_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, 0))
    assert need_room([]) is None  # type: ignore[func-returns-value]


def test_building_without_root_says_how(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(ImageError, match="needs root: sudo -E make images"):
        builder.build()


def test_an_unknown_image_is_named_beside_the_known_ones() -> None:
    with pytest.raises(ImageError, match="no image is called trainr; there are operator, trainer, vllm"):
        known(["operator", "trainr"])
