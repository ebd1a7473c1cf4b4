"""Tables as Parquet files: typed, sorted, written row group by row group."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from analyzer.errors import InputError, RunError
from analyzer.exporting.blocks import Block, Coded, Masked, Values
from analyzer.exporting.columns import TableText, Type
from reports.rounding import EXACT_DECIMALS

#: Bytes of a row group's dictionary: enough for a digest in every row, which without it would be written
#: out in each.
_DICTIONARY_BYTES: Final = 64 * 2**20

_TYPES: Final[Mapping[Type, pa.DataType]] = {
    Type.TEXT: pa.string(),
    Type.WORD: pa.dictionary(pa.int32(), pa.string()),
    Type.INT32: pa.int32(),
    Type.INT64: pa.int64(),
    Type.BOOL: pa.bool_(),
    Type.TIME: pa.timestamp("ms", tz="UTC"),
    Type.DATE: pa.date32(),
    Type.MONEY: pa.decimal128(18, EXACT_DECIMALS),
}


#: NumPy's types of columns of times, which come as counts of these units since 1970.
_UNITS: Final[Mapping[pa.DataType, str]] = {
    _TYPES[Type.TIME]: "datetime64[ms]",
    _TYPES[Type.DATE]: "datetime64[D]",
}


@dataclass(frozen=True, slots=True)
class Written:
    """A file that is complete."""

    name: str
    rows: int
    size_bytes: int


def schema_of(table: TableText, about: Mapping[str, str]) -> pa.Schema:
    """The schema of ``table``; its metadata says ``about`` what it is, and each column what it means."""
    fields = [
        pa.field(column.name, _TYPES[column.type], metadata={"meaning": column.meaning})
        for column in table.columns
    ]
    metadata = {f"demurrage.{name}": value for name, value in {**about, "row": table.row}.items()}
    return pa.schema(fields, metadata=metadata)


class Folder:
    """Files of an export, none of which is seen before all of them are complete.

    A context; raises InputError where the folder cannot be written, RunError for want of room.
    """

    def __init__(self, folder: Path, about: Mapping[str, str]) -> None:
        """Write into ``folder``, which is there; every file says ``about`` what it is."""
        self._folder = folder
        self._about = about
        # Two exports may be written at the same time.
        self._mark = secrets.token_hex(4)
        self._written: list[Written] = []

    def __enter__(self) -> Self:
        """The folder itself."""
        return self

    def __exit__(self, *_failure: object) -> None:
        """Take away what was not finished."""
        for written in self._written:
            self._beside(written.name).unlink(missing_ok=True)

    def write(self, table: TableText, blocks: Iterable[Block]) -> None:
        """Write ``table``, a row group for each of ``blocks``."""
        beside, schema = self._beside(table.file), schema_of(table, self._about)
        self._written.append(Written(table.file, 0, 0))
        order = pq.SortingColumn.from_ordering(
            schema,
            [(column.name, "ascending") for column in table.columns[: table.sorted_by]],
            null_placement="at_start",
        )
        rows = 0
        try:
            with (
                beside.open("xb") as file,
                pq.ParquetWriter(
                    file,
                    schema,
                    compression="zstd",
                    dictionary_pagesize_limit=_DICTIONARY_BYTES,
                    sorting_columns=order,
                ) as writer,
            ):
                for block in blocks:
                    batch = _batch(schema, block)
                    rows += batch.num_rows
                    writer.write_batch(batch, row_group_size=max(batch.num_rows, 1))
            with beside.open("rb+") as whole:
                os.fsync(whole.fileno())
            size_bytes = beside.stat().st_size
        except OSError as error:
            raise self._unwritable(table.file, error) from error
        self._written[-1] = Written(table.file, rows, size_bytes)

    def publish(self) -> list[Written]:
        """Give every file its name, now that all are complete; what they are, in the order written."""
        written, self._written = self._written, []
        for file in written:
            try:
                self._beside(file.name).replace(self._folder / file.name)
            except OSError as error:
                self._written = written
                raise self._unwritable(file.name, error) from error
        return written

    def _beside(self, name: str) -> Path:
        return self._folder / f".{name}.{self._mark}.part"

    def _unwritable(self, name: str, error: OSError) -> InputError | RunError:
        kind = RunError if error.errno in (errno.ENOSPC, errno.EDQUOT) else InputError
        reason = error.strerror or str(error)
        return kind(
            f"cannot write {self._folder / name}: {reason}; make room there or choose another --output-dir"
        )


def _batch(schema: pa.Schema, block: Block) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(
        [_array(block[field.name], field.type) for field in schema], schema=schema
    )


def _array(values: Values, wanted: pa.DataType) -> Any:
    if isinstance(values, Coded):
        codes = pa.array(values.codes.astype(np.int32), mask=values.codes < 0)
        return pa.DictionaryArray.from_arrays(codes, pa.array(values.texts, pa.string()))
    if isinstance(values, Masked):
        unit = _UNITS.get(wanted)
        numbers = values.values if unit is None else values.values.astype(unit)
        return pa.array(numbers, wanted, mask=~values.known)
    if pa.types.is_dictionary(wanted):
        return pa.array(values, pa.string()).dictionary_encode()
    return pa.array(values, wanted)
