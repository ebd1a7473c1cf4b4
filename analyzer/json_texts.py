"""Texts that hold JSON, however many values they hold: as programs print them one after the other."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NoReturn

from analyzer.errors import InputError

# PowerShell begins every file with a byte order mark, and files are put together with cat.
_BETWEEN = re.compile("[ \t\r\n\ufeff]*")
#: Enough for the longest digest.
_LONGEST_SHOWN = 140


def read_json_texts(text: str, origin: str, remedy: str) -> list[Any]:
    """The values that ``text`` holds: one, several in a row in any layout, or one on each line.

    Byte order marks before a value are passed over. Raises InputError, one line that begins with
    ``origin`` and ends with ``remedy`` (what to give instead), where there is no value or something
    that is not JSON; NaN and Infinity are not.
    """
    return list(each_json_text(text, origin, remedy))


def each_json_text(text: str, origin: str, remedy: str) -> Iterator[Any]:
    """The same one by one, as they are read: what comes before a fault is given before it is raised."""
    at = _start(text, 0)
    if at == len(text):
        raise InputError(f"{origin} is empty; {remedy}")
    while at < len(text):
        try:
            value, end = _DECODER.raw_decode(text, at)
        except json.JSONDecodeError as error:
            place = f"line {error.lineno}, column {error.colno}"
            raise InputError(f"{origin} is not JSON: {error.msg} at {place}; {remedy}") from error
        except RecursionError as error:
            raise InputError(f"{origin} is nested too deeply to be read; {remedy}") from error
        except ValueError as error:
            # A number of thousands of digits, or no number at all.
            line = text.count("\n", 0, at) + 1
            raise InputError(f"{origin}: a value from line {line} on cannot be read; {remedy}") from error
        yield value
        at = _start(text, end)


def shown(value: object) -> str:
    """``value`` in a few words of one line, for a message about it."""
    if isinstance(value, str):
        return repr(value if len(value) <= _LONGEST_SHOWN else value[: _LONGEST_SHOWN - 1] + "…")
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    # What is left comes from JSON too, and is written as JSON writes it.
    return json.dumps(value)[:_LONGEST_SHOWN]


def _start(text: str, at: int) -> int:
    between = _BETWEEN.match(text, at)
    return at if between is None else between.end()


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


_DECODER = json.JSONDecoder(parse_constant=_no_constant)
