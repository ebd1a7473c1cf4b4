"""The table of every image for spreadsheets, made column by column: there can be a million rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
import pandas as pd

from analyzer.model.registry_settings import SEVERITIES
from reports.csv_cells import Cell, neutral_column

#: Columns of images.csv, as the report's frame names them.
COLUMNS: Final = (
    "account",
    "region",
    "repository",
    "digest",
    "kind",
    "tags",
    "tagged",
    "orphaned",
    "stale",
    "pushed_at",
    "last_pull",
    "image_status",
    "logical_bytes",
    "unique_bytes_repository",
    "unique_bytes_registry",
    "in_use",
    "scan_status",
    "scan_completed",
    *(f"findings_{severity}" for severity in SEVERITIES),
    "replica",
    "replicated",
    "not_replicated",
    "replication_unknown",
)

_BYTES: Final = frozenset({"logical_bytes", "unique_bytes_repository", "unique_bytes_registry"})


def image_rows(images: pd.DataFrame) -> Iterable[Sequence[Cell]]:
    """A row for each of the report's ``images``, in their order."""
    sized = images["kind"] != "unknown"
    columns = [
        # No size is known of an artifact whose manifest is not: its zero would be a guess.
        _column(
            images[name].astype("Int64").where(sized) if name in _BYTES and not sized.all() else images[name]
        )
        for name in COLUMNS
    ]
    # csv.writer zips them in C.
    return zip(*columns, strict=True)


def _column(column: pd.Series) -> Sequence[Cell]:
    if pd.api.types.is_bool_dtype(column.dtype):
        return _with_blanks(column, np.where(column.fillna(False).to_numpy(dtype=bool), "true", "false"))
    if pd.api.types.is_integer_dtype(column.dtype):
        return _with_blanks(column, column.fillna(0).to_numpy(dtype=np.int64))
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return _moments(column)
    texts = column.astype(object).where(column.notna(), "").tolist()
    return neutral_column([str(text) if not isinstance(text, str) else text for text in texts])


def _with_blanks(column: pd.Series, values: np.ndarray[tuple[int], np.dtype[np.generic]]) -> Sequence[Cell]:
    """``values`` as cells, empty where ``column`` has none."""
    cells: list[Cell] = values.tolist()
    for position in np.flatnonzero(column.isna().to_numpy()).tolist():
        cells[position] = ""
    return cells


def _moments(column: pd.Series) -> Sequence[Cell]:
    """As ``units.iso`` writes them: to the second, to the millisecond where there is more."""
    utc = column.dt.tz_convert("UTC").dt.tz_localize(None) if column.dt.tz is not None else column
    moments = utc.to_numpy(dtype="datetime64[ms]")
    seconds = np.datetime_as_string(moments, unit="s", timezone="UTC")
    whole = moments == moments.astype("datetime64[s]")
    if not whole[~np.isnat(moments)].all():
        seconds = np.where(whole, seconds, np.datetime_as_string(moments, unit="ms", timezone="UTC"))
    return _with_blanks(column, seconds)
