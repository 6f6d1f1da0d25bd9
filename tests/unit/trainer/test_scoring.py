"""Likelihood, perplexity and shares."""

import math

import pytest

from anneal_trainer.scoring import Likelihood, likelihood, perplexity, share


def test_perplexity_is_over_all_tokens_not_over_rows() -> None:
    half = math.log(0.5)
    one = likelihood([None, half, half, half], [0, 0, 1, 1])
    two = likelihood([None, math.log(0.25)], [0, 1])

    assert one == Likelihood(-2 * half, 2)
    assert perplexity([one, two]) == pytest.approx(2 ** (4 / 3), abs=1e-4)


def test_nothing_to_score_is_no_score() -> None:
    assert perplexity([]) is None
    assert share([]) is None
    assert share([True, False, True]) == pytest.approx(0.6667)


def test_a_trained_first_token_is_an_error() -> None:
    with pytest.raises(ValueError, match="nothing stands before it"):
        likelihood([None, -1.0], [1, 1])
