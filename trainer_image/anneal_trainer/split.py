"""Dividing rows into train, validation and test so that the same rows and seed always give the same parts."""

import hashlib
import json
from dataclasses import dataclass

from anneal_api.finetunejob import Split
from anneal_trainer.errors import BadData
from anneal_trainer.rows import Conversation


@dataclass(frozen=True)
class Parts:
    """The rows of each part, in file order."""

    train: tuple[Conversation, ...]
    validation: tuple[Conversation, ...]
    test: tuple[Conversation, ...]


def divide(rows: list[Conversation], split: Split, seed: int) -> Parts:
    """Order the distinct rows by a hash of content and seed, and cut.

    Copies of a row share its hash, so none is both trained on and measured. A share above 0 gets at least one row.
    """
    keys = [_key(row, seed) for row in rows]
    ordered = sorted(set(keys))
    tests, validations = _count(split.test, len(ordered)), _count(split.validation, len(ordered))
    if tests + validations >= len(ordered):
        raise BadData(
            f"{len(ordered)} distinct rows are too few: split.test takes {tests} and split.validation {validations}, "
            "and none is left to train on. Fix: add rows, or set a share to 0."
        )
    test, validation = set(ordered[:tests]), set(ordered[tests : tests + validations])
    pairs = list(zip(keys, rows, strict=True))
    return Parts(
        train=tuple(row for key, row in pairs if key not in test and key not in validation),
        validation=tuple(row for key, row in pairs if key in validation),
        test=tuple(row for key, row in pairs if key in test),
    )


def _count(share: float, rows: int) -> int:
    return max(1, round(share * rows)) if share > 0 else 0


def _key(row: Conversation, seed: int) -> str:
    content = json.dumps([[turn.role, turn.content] for turn in row.messages])
    return hashlib.sha256(f"{seed}\n{content}".encode()).hexdigest()
