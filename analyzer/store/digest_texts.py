"""All digests of a database, small enough to be at hand: what exports name blobs by."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, case, func, literal, select

from analyzer.model.frames import Int64, UInt8
from analyzer.store import tables
from analyzer.store.columns import read_packed

#: Digests whose bytes are looked up at a time.
_AT_ONCE = 2**14


class DigestTexts:
    """The digests of a database by their numbers in it: some 50 bytes each."""

    def __init__(
        self, algorithms: list[str], codes: UInt8, starts: Int64, lengths: Int64, data: bytes
    ) -> None:
        """By number: the position of its algorithm, and where its bytes are in ``data``."""
        self._algorithms = algorithms
        self._codes = codes
        self._starts = starts
        self._lengths = lengths
        self._data = np.frombuffer(data, np.uint8)

    def texts(self, ids: Int64) -> list[str]:
        """The digests of these numbers, in their order."""
        texts = np.empty(len(ids), object)
        for where, algorithm, matrix in self._alike(ids):
            width = 2 * matrix.shape[1]
            digits = matrix.tobytes().hex()
            texts[where] = [
                f"{algorithm}:{digits[begin : begin + width]}" for begin in range(0, len(digits), width)
            ]
        found: list[str] = texts.tolist()
        return found

    def ranks(self, ids: Int64) -> Int64:
        """Where each of these numbers, all different, comes in the order of their texts."""
        longest = int(self._lengths[ids].max(initial=0))
        # Texts of hexadecimal digits are in the order of the bytes that they stand for.
        keys = np.zeros((len(ids), longest), np.uint8)
        names = np.zeros(len(ids), np.int64)
        order = {name: place for place, name in enumerate(sorted(f"{name}:" for name in self._algorithms))}
        for where, algorithm, matrix in self._alike(ids):
            keys[where, : matrix.shape[1]] = matrix
            names[where] = order[f"{algorithm}:"]
        padded = np.zeros((len(ids), -(-longest // 8) * 8), np.uint8)
        padded[:, :longest] = keys
        numbers = padded.view(">u8")
        columns = [numbers[:, column] for column in range(numbers.shape[1])]
        ranks = np.empty(len(ids), np.int64)
        ranks[np.lexsort((self._lengths[ids], *reversed(columns), names))] = np.arange(len(ids))
        return ranks

    def _alike(self, ids: Int64) -> list[tuple[Int64, str, npt.NDArray[np.uint8]]]:
        """Positions in ``ids``, by algorithm and length: which they are, and their bytes as rows."""
        kinds = self._codes[ids].astype(np.int64) << 32 | self._lengths[ids]
        found = []
        for kind in np.unique(kinds).tolist():
            where, width = np.flatnonzero(kinds == kind), kind & 0xFFFFFFFF
            matrix = np.empty((len(where), width), np.uint8)
            starts = self._starts[ids[where]]
            # The places of all bytes at once would take eight times the room of the bytes.
            for begin in range(0, len(where), _AT_ONCE):
                places = starts[begin : begin + _AT_ONCE, None] + np.arange(width)
                matrix[begin : begin + _AT_ONCE] = self._data[places]
            found.append((where, self._algorithms[kind >> 32], matrix))
        return found


def load_digest_texts_of_all(connection: Connection) -> DigestTexts:
    """Every digest that the database names."""
    table = tables.digest
    algorithms = sorted(connection.execute(select(table.c.algorithm).distinct()).scalars())
    size = int(connection.execute(select(func.max(table.c.id))).scalar() or 0) + 1
    codes, starts, lengths = np.zeros(size, np.uint8), np.zeros(size, np.int64), np.zeros(size, np.int64)
    code = (
        case({name: number for number, name in enumerate(algorithms)}, value=table.c.algorithm)
        if algorithms
        else literal(0)
    )
    parts, end = [], 0
    for head, (value,) in read_packed(
        connection, select(table.c.id, code, table.c.hash), 2, lambda head: np.ones(head.shape[1], np.bool_)
    ):
        codes[head[0]] = head[1]
        lengths[head[0]] = value.lengths
        starts[head[0]] = end + np.cumsum(value.lengths) - value.lengths
        parts.append(bytes(value.data))
        end += int(value.lengths.sum())
    return DigestTexts(algorithms, codes, starts, lengths, b"".join(parts))
