"""Quantities as numbers."""

import pytest

from anneal_operator.desired.quantity import cores, less, number


@pytest.mark.parametrize(("text", "value"), [
    ("0", 0), ("2", 2), ("500m", 0.5), ("1.5", 1.5), ("2k", 2000), ("1M", 10**6), ("1G", 10**9), ("1T", 10**12),
    ("1Ki", 1024), ("1.5Gi", 1.5 * 2**30), ("64Gi", 64 * 2**30), ("1Ti", 2**40)])
def test_number(text: str, value: float) -> None:
    assert number(text) == value


@pytest.mark.parametrize(("text", "count"), [("100m", 1), ("1", 1), ("1700m", 2), ("1200m", 1), ("8", 8)])
def test_cores_are_whole_and_at_least_one(text: str, count: int) -> None:
    assert cores(text) == count


@pytest.mark.parametrize(("text", "part", "unit", "rest"), [
    ("1800m", "100m", "m", "1700m"), ("2", "100m", "m", "1900m"), ("8Gi", "512Mi", "Mi", "7680Mi"),
    ("150m", "100m", "m", "150m"), ("512Mi", "512Mi", "Mi", "512Mi")])
def test_less_leaves_what_is_too_small_as_it_is(text: str, part: str, unit: str, rest: str) -> None:
    assert less(text, part, unit) == rest
