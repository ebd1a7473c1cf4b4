"""Which tag names meet the patterns and prefixes of lifecycle rules.

ECR user guide, "Lifecycle policy properties": a pattern is anchored at both ends and ``*`` stands for
any run of characters, none included; a prefix is met by every tag that begins with it. Case counts,
since tags are case-sensitive, and nothing but ``*`` is special.

A fleet can have a million distinct names, most of them build numbers, so names are matched all at
once, as bytes in one array: a step per character of the pattern instead of a call per name.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analyzer.families import spans
from analyzer.model.frames import Bools, Int64, UInt8


class TagNames:
    """Names as UTF-8, back to back."""

    def __init__(self, text: UInt8, offsets: Int64) -> None:
        self._text = text
        self._start = offsets[:-1]
        self._end = offsets[1:]

    @classmethod
    def of(cls, names: Sequence[str]) -> TagNames:
        """``names``, which may hold any characters, lone surrogates included."""
        joined = "".join(names)
        text = _encode(joined)
        lengths = map(len, names if len(text) == len(joined) else map(_encode, names))
        offsets = np.zeros(len(names) + 1, np.int64)
        np.cumsum(np.fromiter(lengths, np.int64, len(names)), out=offsets[1:])
        return cls(np.frombuffer(text, np.uint8), offsets)

    def __len__(self) -> int:
        return len(self._start)

    def take(self, positions: Int64) -> TagNames:
        """The names at ``positions``, in that order, repeats included."""
        lengths = self._end[positions] - self._start[positions]
        offsets = np.zeros(len(positions) + 1, np.int64)
        np.cumsum(lengths, out=offsets[1:])
        return TagNames(self._text[spans(self._start[positions], lengths)], offsets)

    def begin_with(self, prefix: str) -> Bools:
        """True for each name that begins with ``prefix``."""
        return self._marked(self._beginning(_bytes(prefix)))

    def match(self, pattern: str) -> Bools:
        """True for each name that ``pattern`` matches from end to end."""
        first, *others = (_bytes(piece) for piece in pattern.split("*"))
        names = self._beginning(first)
        if not others:
            return self._marked(names[(self._end - self._start)[names] == len(first)])
        *middle, last = others
        # The pieces may not overlap, so the last one must fit behind the first.
        names = names[(self._end - self._start)[names] >= len(first) + len(last)]
        names = self._spelled(names, self._end[names] - len(last), last)
        reached = self._start[names] + len(first)
        for piece in middle:
            if len(piece):
                # Taking each piece where it first occurs leaves the most room for the next.
                found = self._next(piece, reached)
                fits = found <= self._end[names] - len(last) - len(piece)
                names, reached = names[fits], found[fits] + len(piece)
        return self._marked(names)

    def _marked(self, names: Int64) -> Bools:
        marked = np.zeros(len(self), np.bool_)
        marked[names] = True
        return marked

    def _beginning(self, piece: UInt8) -> Int64:
        """The names that begin with ``piece``."""
        long_enough = np.flatnonzero(self._end - self._start >= len(piece))
        return self._spelled(long_enough, self._start[long_enough], piece)

    def _spelled(self, names: Int64, at: Int64, piece: UInt8) -> Int64:
        """Those of ``names`` whose text at ``at`` is ``piece``; there must be room for it."""
        for offset, byte in enumerate(piece):
            same = self._text[at + offset] == byte
            names, at = names[same], at[same]
        return names

    def _next(self, piece: UInt8, reached: Int64) -> Int64:
        """Where ``piece`` next occurs in the whole text from each of ``reached`` on, or far behind it.

        An occurrence that runs over the end of a name is for the caller to refuse: whichever
        comes after it lies even further behind.
        """
        far = 2 * len(self._text)
        if len(self._text) < len(piece):
            return np.full(len(reached), far)
        last_start = len(self._text) - len(piece)
        found = np.flatnonzero(self._text[: last_start + 1] == piece[0])
        for offset, byte in enumerate(piece[1:], start=1):
            found = found[self._text[found + offset] == byte]
        occurrences = np.append(found, far)
        return occurrences[np.searchsorted(occurrences, reached)]


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _bytes(text: str) -> UInt8:
    return np.frombuffer(_encode(text), np.uint8)
