"""Columns of many rows as arrays: from the driver's cursor in blocks, or from ADBC as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import Connection, Select

from analyzer.model.frames import Bools, Int64
from analyzer.store.arrow import OPTION, ArrowReader

#: Rows fetched at a time. So few stay in the processor's cache, and below what sets off Python's
#: cyclic collector again and again while their tuples are alive.
_BLOCK = 2_000


class Packed(NamedTuple):
    """A column of bytes: the length of each value, and the values one after the other."""

    lengths: Int64
    data: bytes | memoryview


def read_integers(connection: Connection, query: Select[Any]) -> Int64:
    """The rows of a query whose columns are all integers and never NULL, as one matrix."""
    width = len(query.selected_columns)
    batches = _batches(connection, query)
    if batches is not None:
        blocks = [_matrix(batch) for batch in batches]
        return np.concatenate(blocks) if blocks else np.zeros((0, width), np.int64)
    result = connection.execute(query)
    flat = []
    while rows := _fetch(result):
        flat.append(np.fromiter(chain.from_iterable(rows), np.int64, len(rows) * width))
    return np.concatenate(flat).reshape(-1, width) if flat else np.zeros((0, width), np.int64)


def read_packed(
    connection: Connection, query: Select[Any], heads: int, wanted: Callable[[Int64], Bools]
) -> Iterator[tuple[Int64, list[Packed]]]:
    """Blocks of rows: the first ``heads`` columns, which are integers, and the others, which are bytes.

    The integers come as (heads, rows); of them ``wanted`` says which rows are given at all. No value
    is NULL.
    """
    batches = _batches(connection, query)
    if batches is not None:
        for batch in batches:
            head = _matrix(batch.select(range(heads))).T
            keep = wanted(head)
            values = batch.select(range(heads, batch.num_columns))
            if not keep.all():
                values, head = values.filter(keep), head[:, keep]
            yield head, [_packed(column) for column in values.columns]
        return
    result = connection.execute(query)
    column = [itemgetter(number) for number in range(len(query.selected_columns))]
    while rows := _fetch(result):
        # One column at a time: zip(*rows) would make an iterator for every row.
        head = np.array([np.fromiter(map(get, rows), np.int64, len(rows)) for get in column[:heads]])
        keep = wanted(head)
        if not keep.all():
            rows, head = [rows[i] for i in np.flatnonzero(keep)], head[:, keep]
        values = (list(map(get, rows)) for get in column[heads:])
        yield head, [_joined(column) for column in values]


def _batches(connection: Connection, query: Select[Any]) -> Iterator[Any] | None:
    reader: ArrowReader | None = connection.get_execution_options().get(OPTION)
    return None if reader is None else reader.batches(connection, query)


def _fetch(result: Any) -> list[tuple[Any, ...]]:
    # The driver's cursor: SQLAlchemy's Row objects would double the time and add nothing here.
    rows: list[tuple[Any, ...]] = result.cursor.fetchmany(_BLOCK)
    return rows


def _matrix(batch: Any) -> Int64:
    """(rows, columns) of an Arrow batch whose columns are all integers and never NULL."""
    matrix = np.empty((batch.num_rows, batch.num_columns), np.int64)
    for number, column in enumerate(batch.columns):
        values = column.to_numpy(zero_copy_only=False)
        if not np.issubdtype(values.dtype, np.integer):
            # A NULL would make it a column of floats, and a sum that was not cast one of texts.
            raise TypeError(f"column {batch.schema.names[number]} is not of integers: {column.type}")
        matrix[:, number] = values
    return matrix


def _packed(column: Any) -> Packed:
    """An Arrow column of bytes, its data not copied."""
    if not len(column):
        return Packed(np.zeros(0, np.int64), b"")
    _, bounds, data = column.buffers()
    offsets = np.frombuffer(bounds, np.int32)[column.offset : column.offset + len(column) + 1]
    # No value of any length, no buffer.
    values = memoryview(b"" if data is None else data)
    return Packed(np.diff(offsets).astype(np.int64), values[int(offsets[0]) : int(offsets[-1])])


def _joined(values: Sequence[bytes]) -> Packed:
    return Packed(np.fromiter(map(len, values), np.int64, len(values)), b"".join(values))
