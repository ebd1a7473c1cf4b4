"""What tag names look like: numbers, dates and hashes out of the way, the rest as it is.

A fleet can have a million distinct names and only a few shapes, so names are taken apart all at once,
as bytes in one array; what a shape means is then asked once for each shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from analyzer.families import spans
from analyzer.model.frames import Bools, Int64, UInt8

#: What stands in a shape for a part of a name that varies: a number, a hash (with the g that git
#: describe puts before it), a date or a moment written as one number, a year.
NUMBER: Final = "\x01"
HASH: Final = "\x02"
DATE: Final = "\x03"
YEAR: Final = "\x04"
VARIABLES: Final = NUMBER + HASH + DATE + YEAR
#: What stands for control characters, which no tag of ECR has.
ODD: Final = "\x1f"

#: Shortest hash that is taken for one: git abbreviates to seven digits.
_SHORTEST_HASH: Final = 7
_SEPARATOR, _DIGIT, _HEX, _LETTER = range(4)


class _Least(NamedTuple):
    """How many of its letters and of its digits a hash must have."""

    letters: int
    digits: int


_SURE: Final = _Least(1, 1)
_PERHAPS: Final = _Least(0, 0)


def _classes() -> UInt8:
    """The class of every byte; what is not ASCII counts as letters."""
    classes = np.full(256, _LETTER, np.uint8)
    classes[:128] = _SEPARATOR
    for (first, last), which in (("gz", _LETTER), ("AZ", _LETTER), ("af", _HEX), ("09", _DIGIT)):
        classes[ord(first) : ord(last) + 1] = which
    return classes


_CLASS_OF: Final = _classes()


def find_shapes(names: Sequence[str]) -> tuple[Int64, list[str]]:
    """For every name the position of its shape in the second part, which has each shape once.

    A hash is a run of letters and digits of at least seven hexadecimal digits in lower case, of which
    some are letters and some digits. One of letters alone, or of digits alone, is a hash where other
    names have a hash in that place. A date is a number of eight digits (with a time of day: twelve or
    fourteen) that begins like one of this century.
    """
    shapes, doubtful = _shapes(names, _SURE)
    if len(doubtful):
        known = set(shapes)
        others, _ = _shapes([names[number] for number in doubtful.tolist()], _PERHAPS)
        for number, other in zip(doubtful.tolist(), others, strict=True):
            if other in known:
                shapes[number] = other
    codes, distinct = pd.factorize(np.array(shapes, object))
    return codes.astype(np.int64), [each.decode("utf-8", "surrogatepass") for each in distinct.tolist()]


def _shapes(names: Sequence[str], least: _Least) -> tuple[list[bytes], Int64]:
    """The shape of every name, and the names in which something may be a hash and is not taken for one."""
    encoded = [name.encode("utf-8", "surrogatepass") for name in names]
    lengths = np.fromiter(map(len, encoded), np.int64, len(encoded))
    # One byte more than each name has, so that no run goes from one into the next.
    ends = np.cumsum(lengths + 1)
    text = np.frombuffer(b"\n".join([*encoded, b""]), np.uint8)
    within = np.ones(len(text), np.bool_)
    within[ends - 1] = False
    kind = np.where(within, _CLASS_OF[text], _SEPARATOR).astype(np.uint8)
    hashes, doubtful = _hashes(text, kind, least)
    in_hash = _covered(hashes, len(text))
    numbers = _runs((kind == _DIGIT) & ~in_hash)
    shape = np.where(within & (text < 32), ord(ODD), text).astype(np.uint8)
    shape[hashes[0]] = ord(HASH)
    shape[numbers[0]] = _number_codes(text, numbers)
    kept = within & ~in_hash & ~_covered(numbers, len(text))
    kept[hashes[0]] = kept[numbers[0]] = True
    short = shape[kept].tobytes()
    cuts = np.concatenate(([0], np.cumsum(kept)[ends - 1])).tolist()
    return [short[begin:end] for begin, end in pairwise(cuts)], np.unique(np.searchsorted(ends, doubtful))


def _runs(chosen: Bools) -> tuple[Int64, Int64]:
    """Where the runs of ``chosen`` begin, and how long they are."""
    edges = np.flatnonzero(np.diff(chosen, prepend=False, append=False))
    return edges[::2], edges[1::2] - edges[::2]


def _covered(runs: tuple[Int64, Int64], length: int) -> Bools:
    covered = np.zeros(length, np.bool_)
    covered[spans(*runs)] = True
    return covered


def _hashes(text: UInt8, kind: UInt8, least: _Least) -> tuple[tuple[Int64, Int64], Int64]:
    """The runs of letters and digits that are hashes, and where others begin that may be some."""
    starts, lengths = _runs(kind != _SEPARATOR)

    def count(which: int) -> Int64:
        before = np.concatenate(([0], np.cumsum(kind == which)))
        counts: Int64 = before[starts + lengths] - before[starts]
        return counts

    letters, hexes, digits = count(_LETTER), count(_HEX), count(_DIGIT)
    described = (letters == 1) & (text[starts] == ord("g")) if len(starts) else np.zeros(0, np.bool_)
    may_be = ((letters == 0) | described) & (lengths - described >= _SHORTEST_HASH)
    whole = np.flatnonzero(may_be & (digits == lengths))
    may_be[whole[_number_codes(text, (starts[whole], lengths[whole])) == ord(DATE)]] = False
    is_hash = may_be & (hexes >= least.letters) & (digits >= least.digits)
    return (starts[is_hash], lengths[is_hash]), starts[may_be & ~is_hash]


def _number_codes(text: UInt8, numbers: tuple[Int64, Int64]) -> UInt8:
    """What stands for each number in its shape."""
    starts, lengths = numbers
    codes = np.full(len(starts), ord(NUMBER), np.uint8)
    for length, code in ((4, YEAR), (8, DATE), (12, DATE), (14, DATE)):
        of = np.flatnonzero(lengths == length)
        digits = text[starts[of, None] + np.arange(length)].astype(np.int64) - ord("0")
        fits = (digits[:, 0] == 2) & (digits[:, 1] == 0)
        if code == DATE:
            month, day = (digits[:, at] * 10 + digits[:, at + 1] for at in (4, 6))
            fits &= (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)
        codes[of[fits]] = ord(code)
    return codes
