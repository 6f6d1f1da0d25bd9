"""How the next token is chosen."""

from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Sampling:
    """temperature 0 takes the most likely token."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None
    logprobs: int | None = None
    """How many alternatives to report beside the token; None reports nothing."""

    def generator(self) -> Any:
        """Randomness of one request: the same seed gives the same answer."""
        made = torch.Generator()
        if self.seed is None:
            made.seed()
        else:
            made.manual_seed(self.seed)
        return made


@dataclass(frozen=True)
class Token:
    """One generated token."""

    id: int
    logprob: float = 0.0
    top: tuple[tuple[int, float], ...] = ()
    """Alternatives with their log-probabilities, the most likely first."""


def choose(logits: Any, sampling: Sampling, generator: Any) -> Token:
    """The next token from the logits of the last position. Log-probabilities are the model's own, as vLLM's are."""
    scores = logits.float().cpu()
    chosen = int(scores.argmax()) if sampling.temperature == 0 else _draw(scores, sampling, generator)
    if sampling.logprobs is None:
        return Token(chosen)
    logprobs = scores.log_softmax(-1)
    values, ids = logprobs.topk(min(sampling.logprobs, logprobs.numel()))
    return Token(chosen, float(logprobs[chosen]), tuple(zip(ids.tolist(), values.tolist(), strict=True)))


def _draw(scores: Any, sampling: Sampling, generator: Any) -> int:
    # Below this float32 overflows, and the most likely token has all the weight anyway.
    ordered, ids = (scores / max(sampling.temperature, 1e-5)).sort(descending=True)
    if sampling.top_k:
        ordered = ordered[:sampling.top_k]
    weights = ordered.softmax(-1)
    # A token stays when those before it do not add up to top_p; so the first one always does.
    before = weights.cumsum(-1) - weights
    weights = weights.masked_fill(before >= sampling.top_p, 0.0)
    return int(ids[int(torch.multinomial(weights, 1, generator=generator))])
