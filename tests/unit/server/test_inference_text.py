"""Text from tokens: nothing lost, no half characters, and never past a stop string, however the text is cut up."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from anneal_server.inference.text import Detokenizer, StopFilter

texts = st.text(alphabet="abc ", max_size=40)
stops = st.lists(st.text(alphabet="abc ", min_size=1, max_size=4), max_size=3)


def decode(ids: Sequence[int]) -> str:
    """A tokenizer whose tokens are bytes."""
    return bytes(ids).decode(errors="replace")


def first_stop(text: str, stops: list[str]) -> int | None:
    """Where the answer ends when its characters come one by one."""
    for end in range(len(text) + 1):
        if complete := [len(stop) for stop in stops if text[:end].endswith(stop)]:
            return end - max(complete)
    return None


@given(text=texts, stops=stops, cuts=st.lists(st.integers(0, 40), max_size=12))
@example(text="aab", stops=["ab"], cuts=[1, 2])
@example(text="aaab", stops=["aab"], cuts=[1, 2, 3])
@example(text="aca", stops=["c", "aca"], cuts=[])
@example(text="aca", stops=["c", "aca"], cuts=[2])
@example(text="ab", stops=["b", "ab"], cuts=[])
def test_a_text_ends_before_the_first_complete_stop_string(text: str, stops: list[str], cuts: list[int]) -> None:
    edges = sorted({0, *(cut for cut in cuts if cut < len(text)), len(text)})
    given_out, met = "", False
    stop = StopFilter(stops)
    for start, end in pairwise(edges):
        piece, met = stop.feed(text[start:end])
        given_out += piece
        if met:
            break
    end = first_stop(text, stops)
    assert met == (end is not None)
    assert (given_out if met else given_out + stop.flush()) == text[:end]


def test_what_cannot_begin_a_stop_string_is_given_out_at_once() -> None:
    stop = StopFilter(["###"])
    assert [stop.feed(piece) for piece in ("one #", "two ##", "#")] == [("one ", False), ("#two ", False), ("", True)]


def test_without_stop_strings_nothing_is_held_back() -> None:
    assert StopFilter([]).feed("anything") == ("anything", False)


@given(st.text(max_size=30).filter(lambda text: "\ufffd" not in text))
def test_pieces_are_whole_characters_and_together_the_text(text: str) -> None:
    words = Detokenizer(decode)
    pieces = [words.add(byte) for byte in text.encode()]
    assert "".join(pieces) + words.flush() == text
    assert not any("\ufffd" in piece for piece in pieces)


@pytest.mark.parametrize("data", [b"\xff" * 20, b"ok\xf0\x9f"])
def test_bytes_that_never_become_a_character_are_given_out_in_the_end(data: bytes) -> None:
    words = Detokenizer(decode)
    text = "".join(words.add(byte) for byte in data) + words.flush()
    assert "\ufffd" in text
    assert text.startswith("ok") or set(text) == {"\ufffd"}
