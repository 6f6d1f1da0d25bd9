"""From tokens to text, piece by piece: whole characters only, and nothing that may turn out to be a stop string."""

from collections.abc import Callable, Sequence

UNFINISHED = "\ufffd"
"""What a decoder writes for bytes that are not a whole character yet."""
MAX_HELD = 8
"""Tokens after which bytes that make no character are given out as they are."""

Decode = Callable[[Sequence[int]], str]


class Detokenizer:
    """Decodes a window that begins one step back: how a token reads can depend on the one before it."""

    def __init__(self, decode: Decode) -> None:
        self._decode = decode
        self._window: list[int] = []
        self._known = 0
        """How many tokens of the window have been given out."""

    def add(self, token: int) -> str:
        """The text that this token completes; may be empty."""
        self._window.append(token)
        if len(self._window) - self._known > MAX_HELD:
            return self._take()
        return "" if self._decode(self._window).endswith(UNFINISHED) else self._take()

    def flush(self) -> str:
        """What is left at the end, whole or not."""
        return self._take() if len(self._window) > self._known else ""

    def _take(self) -> str:
        before = self._decode(self._window[:self._known])
        new = self._decode(self._window)[len(before):]
        self._window = self._window[self._known:]
        self._known = len(self._window)
        return new


class StopFilter:
    """Ends a text before the stop string that is complete first, wherever tokens begin and end.

    Of several that end together the longest counts. One that begins earlier but ends later does not: the answer is
    over before anybody could know of it.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""

    def feed(self, text: str) -> tuple[str, bool]:
        """What may be given out now, and whether a stop string was met."""
        self._held += text
        met = [(at + len(stop), at) for stop in self._stops if (at := self._held.find(stop)) >= 0]
        if met:
            _, begin = min(met)
            done, self._held = self._held[:begin], ""
            return done, True
        keep = self._beginning()
        done, self._held = self._held[:len(self._held) - keep], self._held[len(self._held) - keep:]
        return done, False

    def flush(self) -> str:
        """What was held back and is no stop string after all."""
        left, self._held = self._held, ""
        return left

    def _beginning(self) -> int:
        """Length of the longest end of the text that a stop string begins with."""
        longest = max((len(stop) - 1 for stop in self._stops), default=0)
        sizes = range(min(longest, len(self._held)), 0, -1)
        return next((n for n in sizes if any(stop.startswith(self._held[-n:]) for stop in self._stops)), 0)
