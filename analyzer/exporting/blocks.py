"""Columns on their way into a file: plain arrays, which know nothing of the file's format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from analyzer.model.frames import Bools, Int64


@dataclass(frozen=True, slots=True)
class Coded:
    """A column of texts of which much repeats."""

    #: Position in ``texts``; -1 for null.
    codes: npt.NDArray[np.integer[Any]]
    #: Each once.
    texts: Sequence[str]


@dataclass(frozen=True, slots=True)
class Masked:
    """A column of numbers that are null where ``known`` is False."""

    values: npt.NDArray[Any]
    known: Bools


#: None in a sequence is null.
Values: TypeAlias = Coded | Masked | npt.NDArray[Any] | Sequence[Any]
#: Some rows of a table: each column by its name, all equally long.
Block: TypeAlias = Mapping[str, Values]


def coded(values: Sequence[str | None] | npt.NDArray[np.object_]) -> Coded:
    """``values`` with each text once; None is null."""
    places: dict[str | None, int] = {None: -1}
    codes = np.fromiter(
        (places.setdefault(value, len(places) - 1) for value in values), np.int64, len(values)
    )
    return Coded(codes, [text for text in places if text is not None])


def picked(codes: npt.NDArray[np.integer[Any]], texts: Sequence[str]) -> Coded:
    """A column of positions in ``texts`` (-1 for null) with no text that it does not use."""
    used, codes = np.unique(codes, return_inverse=True)
    nulls = int(np.searchsorted(used, 0))
    return Coded(np.maximum(codes - nulls, -1), [texts[place] for place in used[nulls:].tolist()])


def cuts(sizes: Int64, most: int) -> list[tuple[int, int]]:
    """Where to cut a row of things of these ``sizes`` so that each piece comes to about ``most``.

    A piece holds one thing at least, whatever its size.
    """
    ends = np.cumsum(sizes)
    pieces: list[tuple[int, int]] = []
    begin = 0
    while begin < len(sizes):
        before = int(ends[begin - 1]) if begin else 0
        end = max(int(np.searchsorted(ends, before + most, side="right")), begin + 1)
        pieces.append((begin, end))
        begin = end
    return pieces


def spread(begins: Int64, lengths: Int64) -> tuple[Int64, Int64]:
    """The positions of runs of ``lengths`` from ``begins`` on, run after run, and each one's run."""
    run = np.repeat(np.arange(len(lengths)), lengths)
    within = np.arange(len(run)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return begins[run] + within, run
