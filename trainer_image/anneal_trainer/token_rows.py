"""Rows as prepare leaves them and train and evaluate find them: tokens, and which of them are learned."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal

from anneal_trainer.files import read_lines, write_lines
from anneal_trainer.places import Places

Part = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class TokenRow:
    """One conversation as a model sees it."""

    line: int
    """In the user's file, from 1."""
    ids: list[int]
    mask: list[int]
    """As long as `ids`: 1 where the model learns."""

    @property
    def trained(self) -> int:
        return sum(self.mask)


def store(places: Places, part: Part, rows: Iterable[TokenRow]) -> None:
    """Write one part of the split."""
    write_lines(places.data / f"{part}.jsonl", map(asdict, rows))


def load(places: Places, part: Part) -> list[TokenRow]:
    """Read one part of the split."""
    return [TokenRow(**row) for row in read_lines(places.data / f"{part}.jsonl")]
