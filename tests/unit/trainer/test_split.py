"""How rows are divided."""

import pytest

from anneal_api.finetunejob import Split
from anneal_trainer.errors import BadData
from anneal_trainer.rows import Conversation, Message
from anneal_trainer.split import divide


def rows(count: int, copies: int = 1) -> list[Conversation]:
    turns = [(Message("user", f"Question {n}"), Message("assistant", f"Answer {n}")) for n in range(count)] * copies
    return [Conversation(line, turn) for line, turn in enumerate(turns, start=1)]


def test_the_same_rows_and_seed_give_the_same_parts_in_any_order() -> None:
    split = Split(validation=0.1, test=0.2)
    one, two = divide(rows(100), split, 42), divide(list(reversed(rows(100))), split, 42)

    assert [len(part) for part in (one.train, one.validation, one.test)] == [70, 10, 20]
    assert {row.line for row in one.test} == {row.line for row in two.test}
    assert {row.line for row in one.test} != {row.line for row in divide(rows(100), split, 43).test}


def test_copies_of_a_row_are_never_both_trained_on_and_measured() -> None:
    parts = divide(rows(20, copies=3), Split(validation=0.1, test=0.1), 1)

    trained = {row.messages for row in parts.train}
    assert not trained & {row.messages for row in (*parts.validation, *parts.test)}
    assert len(parts.train) + len(parts.validation) + len(parts.test) == 60


def test_a_share_of_nothing_is_nothing_and_any_other_at_least_a_row() -> None:
    parts = divide(rows(5), Split(validation=0.0, test=0.01), 1)

    assert (len(parts.train), len(parts.validation), len(parts.test)) == (4, 0, 1)


def test_a_row_must_be_left_to_train_on() -> None:
    with pytest.raises(BadData, match=r"2 distinct rows are too few: split\.test takes 1 and split\.validation 1"):
        divide(rows(2, copies=50), Split(), 1)
