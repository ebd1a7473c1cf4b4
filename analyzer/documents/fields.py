"""Single values of documents: times as programs write what AWS answers, names, and where regions lie."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from analyzer.json_texts import shown
from analyzer.manifests import storable
from analyzer.model.units import to_ms

#: Seconds; the year 5138. What lies beyond are milliseconds, or no time at all.
_LAST_SECOND = 1e11

#: Partition by how its regions' names begin; all others are of the commercial one.
_PARTITIONS = {
    "cn-": "aws-cn",
    "eusc-": "aws-eusc",
    "eu-isoe-": "aws-iso-e",
    "us-gov-": "aws-us-gov",
    "us-iso-": "aws-iso",
    "us-isob-": "aws-iso-b",
    "us-isof-": "aws-iso-f",
}

_NUMBER = re.compile(r"-?\d{1,12}(?:\.\d+)?", re.ASCII)
_DATE_PARTS = frozenset({"year", "month", "day", "hour", "minute", "second", "microsecond"})


class FieldError(ValueError):
    """A value that cannot be used, and why, in one line."""


def text_of(value: object, name: str) -> str:
    """``value``, of the field ``name``, if it is text that AWS could have given; "" for None.

    Raises FieldError for other types, NUL and lone surrogates, which no database, terminal or file
    would take either.
    """
    if value is None:
        return ""
    if type(value) is not str:
        raise FieldError(f"{name} is {shown(value)} and no text")
    if not (value.isascii() and "\0" not in value) and storable(value) != value:
        raise FieldError(f"{name} {shown(value)} holds characters that are in no name")
    return value


def partition_of(region: str) -> str:
    """The partition that ``region`` is of; "" for ""."""
    if not region:
        return ""
    return next((name for start, name in _PARTITIONS.items() if region.startswith(start)), "aws")


def milliseconds(value: object) -> int:
    """Milliseconds since 1970 UTC of a time, rounded to the nearest.

    That may be a number of seconds since 1970 (AWS CLI version 1 prints those), as text too; ISO
    8601 text with a date and a time of day (AWS CLI version 2, or a Python datetime as text); or
    the object that placebo, which records boto3's answers, writes for a datetime. Where neither a Z
    nor an offset says otherwise the time is UTC: so placebo itself reads what it wrote, and the AWS
    CLI never leaves it out.

    Raises FieldError, saying in one line why, for anything else.
    """
    if type(value) is float or type(value) is int:
        return _from_seconds(value)
    if type(value) is str:
        return _from_text(value.strip())
    if isinstance(value, dict) and value.get("__class__") == "datetime":
        return _from_parts(value)
    raise FieldError(f"{shown(value)} is no time")


def _from_seconds(seconds: float) -> int:
    if not -_LAST_SECOND < seconds < _LAST_SECOND:
        raise FieldError(f"{shown(seconds)} is no time in seconds since 1970")
    return round(seconds * 1000)


def _from_text(text: str) -> int:
    # Python reads more as ISO 8601 than anybody prints, and some of it (20190806) may be a number.
    if text[4:5] == text[7:8] == "-" and text[13:14] == ":":
        try:
            return _utc_ms(datetime.fromisoformat(text.upper()))
        except ValueError as error:
            raise FieldError(f"{shown(text)} is no time: {error}") from error
    if _NUMBER.fullmatch(text):
        return _from_seconds(float(text))
    raise FieldError(f"{shown(text)} is no ISO 8601 time (2026-11-23T02:00:00+00:00)")


def _from_parts(value: dict[str, Any]) -> int:
    parts = {name: part for name, part in value.items() if name not in ("__class__", "__module__")}
    if not parts.keys() <= _DATE_PARTS or not all(type(part) is int for part in parts.values()):
        raise FieldError("an object that is no datetime as placebo writes it")
    try:
        return _utc_ms(datetime(**parts))  # noqa: DTZ001 - it has no zone until the next line
    except (TypeError, ValueError, OverflowError) as error:
        raise FieldError(f"a datetime that cannot be: {error}") from error


def _utc_ms(moment: datetime) -> int:
    return to_ms(moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC))
