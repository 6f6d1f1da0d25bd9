"""The simplest retrieval that deserves the name: Okapi BM25 over words (Robertson and Zaragoza, 2009)."""

import math
import re
from collections import Counter
from collections.abc import Sequence

K1, B = 1.5, 0.75
"""The customary constants: how soon repetition stops to count, and how much length does."""


def words(text: str) -> list[str]:
    """Lower-case words and numbers."""
    return re.findall(r"[a-z0-9]+", text.lower())


class Index:
    """Texts to search in."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._counts = [Counter(words(text)) for text in texts]
        self._lengths = [sum(counts.values()) for counts in self._counts]
        self._mean = sum(self._lengths) / len(texts)
        self._holders = Counter(word for counts in self._counts for word in counts)

    def best(self, question: str, number: int) -> list[int]:
        """Indices of the texts that fit best, best first; among equals the earlier."""
        scores = [self._score(words(question), index) for index in range(len(self._counts))]
        return sorted(range(len(scores)), key=lambda index: (-scores[index], index))[:number]

    def _score(self, question: Sequence[str], index: int) -> float:
        counts, norm = self._counts[index], K1 * (1 - B + B * self._lengths[index] / self._mean)
        return math.fsum(self._rarity(word) * counts[word] * (K1 + 1) / (counts[word] + norm)
                         for word in set(question) if counts[word])

    def _rarity(self, word: str) -> float:
        holders = self._holders[word]
        return math.log(1 + (len(self._counts) - holders + 0.5) / (holders + 0.5))
