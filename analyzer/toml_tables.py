"""Files of the user's that are one list of TOML tables with texts in them."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence

from analyzer.errors import InputError


def read_tables(
    text: str, name: str, keys: Sequence[str], *, origin: str
) -> Iterator[tuple[str, dict[str, str]]]:
    """Each ``[[name]]`` table of ``text`` with the place to name in errors about it.

    Every key of it is one of ``keys``, and every value a text that is not blank. Raises InputError,
    naming ``origin``, for anything else.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{origin} is not valid TOML: {error}; mend the file") from error
    entries = document.pop(name, [])
    if document or not isinstance(entries, list):
        raise InputError(f"{origin}: only [[{name}]] tables are known here")
    for number, entry in enumerate(entries, start=1):
        place = f"{origin}: {name} number {number}"
        if not isinstance(entry, dict):
            raise InputError(f"{place} is not a table; write [[{name}]] above it")
        for key, value in entry.items():
            if key not in keys:
                raise InputError(f"{place}: {key!r} is not a known key; the keys here are {', '.join(keys)}")
            if not isinstance(value, str) or not value.strip():
                raise InputError(f"{place}, {key}: is {value!r}; write text in quotes")
        yield place, entry
