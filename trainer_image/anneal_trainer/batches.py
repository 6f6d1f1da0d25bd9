"""Tokenised rows as batches: padded to the longest row of the batch, loss only where the mask says so."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.utils.data import Dataset

from anneal_trainer.token_rows import TokenRow

IGNORED = -100
"""The label that the loss skips."""


class TokenRows(Dataset[TokenRow]):  # type: ignore[misc]
    """The rows that prepare stored for one part of the split."""

    def __init__(self, rows: Sequence[TokenRow]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> TokenRow:
        return self._rows[index]

    @property
    def longest(self) -> int:
        return max((len(row.ids) for row in self._rows), default=0)


@dataclass(frozen=True)
class PadToLongest:
    """Collates rows. The id used as padding is never looked at: attention and loss are off there."""

    pad_id: int = 0

    def __call__(self, rows: list[TokenRow]) -> dict[str, torch.Tensor]:
        width = max(len(row.ids) for row in rows)
        shape = (len(rows), width)
        ids = torch.full(shape, self.pad_id, dtype=torch.long)
        attention = torch.zeros(shape, dtype=torch.long)
        labels = torch.full(shape, IGNORED, dtype=torch.long)
        for index, row in enumerate(rows):
            tokens, trained = torch.tensor(row.ids), torch.tensor(row.mask, dtype=torch.bool)
            ids[index, : len(tokens)] = tokens
            attention[index, : len(tokens)] = 1
            labels[index, : len(tokens)][trained] = tokens[trained]
        return {"input_ids": ids, "attention_mask": attention, "labels": labels}
