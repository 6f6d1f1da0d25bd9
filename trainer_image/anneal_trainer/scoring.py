"""From log-probabilities and answers to scores. Pure."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from anneal_api.model import StatusDocument


@dataclass(frozen=True)
class Likelihood:
    """Summed negative log-likelihood of some tokens, in nats."""

    nats: float = 0.0
    tokens: int = 0

    def __add__(self, other: "Likelihood") -> "Likelihood":
        return Likelihood(self.nats + other.nats, self.tokens + other.tokens)


def likelihood(log_probabilities: Sequence[float | None], mask: Sequence[int]) -> Likelihood:
    """Over the tokens that the mask marks: the same ones that training learns."""
    chosen = [value for value, wanted in zip(log_probabilities, mask, strict=True) if wanted]
    if any(value is None for value in chosen):
        raise ValueError("a row cannot start with a trained token: nothing stands before it")
    return Likelihood(-math.fsum(value for value in chosen if value is not None), len(chosen))


def perplexity(parts: Iterable[Likelihood]) -> float | None:
    """exp of the mean negative log-likelihood per token over all rows; None without tokens."""
    total = sum(parts, Likelihood())
    if not total.tokens:
        return None
    # A mean of 700 nats would overflow a float; no model that answers at all comes near.
    return round(math.exp(min(total.nats / total.tokens, 700.0)), 4)


class Answered(StatusDocument):
    """One prompt with both answers: a line of answers.jsonl."""

    id: str
    prompt: str
    """The last user message."""
    base: str
    tuned: str
    base_passed: bool
    passed: bool
    """Whether the tuned answer is right."""


def share(passed: Sequence[bool]) -> float | None:
    """Share of True, 0 to 1; None without any."""
    return round(sum(passed) / len(passed), 4) if passed else None
