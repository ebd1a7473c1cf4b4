"""One file of CloudTrail's: the pulls in it, as columns.

Most records of a trail are about other services. So a file is cut at the seams between its records,
and only pieces that name one of the two calls are parsed. Where a cut was wrong (inside a string the
seam's quotes would be escaped, but deeper in a record it could stand) a piece does not parse, and the
file is read again as a whole.
"""

from __future__ import annotations

import json
import zlib
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import orjson

from analyzer.model.pulls import Hints, Target
from analyzer.pulls.records import (
    NO_DAY,
    PullFacts,
    Rules,
    Side,
    hash_of,
    is_management_read,
    read_record,
    span_of,
)

#: What a file may come to when it is unpacked; CloudTrail's own are some tens of megabytes at most.
MAX_BYTES: Final = 256 << 20
#: Bytes of a piece, at least.
_PIECE = 1 << 19
_HEAD = b'{"Records":['
_TAIL = b"]}"
_SEAM = b'},{"eventVersion"'
_CALLS = (b"GetDownloadUrlForLayer", b"BatchGetImage")
_READS = (b'"readOnly":true', b'"readOnly":"true"')
_GZIP = b"\x1f\x8b"


class UnreadableFileError(Exception):
    """A file cannot be read, and why; nothing of it counts."""


#: Account, region and day that records are of.
Span = tuple[str, str, int]


_HASHES, _NUMBERS, _CODES = partial(array, "Q"), partial(array, "i"), partial(array, "B")


@dataclass(slots=True)
class Extract:
    """The pulls of some records, a row for each image or layer asked for."""

    #: Of the event and the row's place in it: `hash_of`, each copy of an event with its own…
    events: array[int] = field(default_factory=_HASHES)
    #: …and the same for all copies of one event.
    joints: array[int] = field(default_factory=_HASHES)
    days: array[int] = field(default_factory=_NUMBERS)
    sides: array[int] = field(default_factory=_CODES)
    #: Positions in ``targets`` and ``hints``.
    target: array[int] = field(default_factory=_NUMBERS)
    hint: array[int] = field(default_factory=_NUMBERS)
    targets: dict[Target, int] = field(default_factory=dict)
    hints: dict[Hints, int] = field(default_factory=dict)
    #: Events without a day that can be read: they are in no row.
    undated: int = 0
    #: Whether a read among management events was seen: a trail without any keeps no pulls.
    has_reads: bool = False
    #: The hours of which there are records (bit 0 is the first of the day), where that was asked for.
    hours: dict[Span, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.events)

    def add(self, records: Iterable[Any], rules: Rules, *, with_hours: bool = False) -> None:
        """Add what ``records`` say; what is no record is passed over."""
        for record in records:
            if not isinstance(record, dict):
                continue
            if not self.has_reads:
                self.has_reads = is_management_read(record)
            if with_hours and (found := span_of(record)) is not None:
                span, hour = found
                self.hours[span] = self.hours.get(span, 0) | 1 << hour
            facts = read_record(record, rules)
            if facts is not None:
                self._add(facts)

    def _add(self, facts: PullFacts) -> None:
        if facts.day == NO_DAY:
            self.undated += 1
            return
        hint = self.hints.setdefault(facts.hints, len(self.hints))
        for position, target in enumerate(facts.targets):
            event = hash_of(facts.event, position, facts.side)
            is_alone = facts.side is Side.ALONE
            self.events.append(event)
            self.joints.append(event if is_alone else hash_of(facts.event, position, Side.ALONE))
            self.days.append(facts.day)
            self.sides.append(facts.side)
            self.target.append(self.targets.setdefault(target, len(self.targets)))
            self.hint.append(hint)


def read_file(data: bytes, rules: Rules, *, with_hours: bool = False) -> Extract:
    """The pulls in one file, packed by gzip or plain.

    It is a trail's (``{"Records": […]}``), or what ``aws cloudtrail lookup-events`` prints, or holds a
    record a line. With ``with_hours`` every record is parsed, to say of which hours there are any.
    Raises UnreadableFileError.
    """
    text = unpack(data)
    try:
        extract = _read_pieces(text, rules, with_hours=with_hours)
    except orjson.JSONDecodeError:
        extract = None
    if extract is None:
        extract = Extract()
        extract.add(_records(text), rules, with_hours=with_hours)
    return extract


def unpack(data: bytes) -> bytes:
    """``data`` without its gzip, if it has one; raises UnreadableFileError."""
    parts: list[bytes] = []
    room = MAX_BYTES + 1
    while data.startswith(_GZIP):
        unpacker = zlib.decompressobj(wbits=31)
        try:
            parts.append(unpacker.decompress(data, room))
        except zlib.error as error:
            raise UnreadableFileError("is damaged: its gzip cannot be unpacked") from error
        room -= len(parts[-1])
        if room <= 0:
            raise UnreadableFileError(f"is larger than {MAX_BYTES >> 20} MiB unpacked")
        if not unpacker.eof:
            raise UnreadableFileError("is cut short: its gzip has no end")
        # A file of several members is theirs put together.
        data = unpacker.unused_data
    if not parts and len(data) > MAX_BYTES:
        raise UnreadableFileError(f"is larger than {MAX_BYTES >> 20} MiB")
    return b"".join(parts) if parts else data


def _read_pieces(text: bytes, rules: Rules, *, with_hours: bool) -> Extract | None:
    """The pulls in a file as CloudTrail writes it; None for any other.

    Raises JSONDecodeError where a piece is not JSON.
    """
    if not text.startswith(_HEAD) or not text.endswith(_TAIL):
        return None
    extract = Extract()
    start, end = len(_HEAD), len(text) - len(_TAIL)
    while start < end:
        seam = text.find(_SEAM, start + _PIECE, end)
        stop = end if seam < 0 else seam + 1
        if (
            with_hours
            or any(text.find(name, start, stop) >= 0 for name in _CALLS)
            or (not extract.has_reads and any(text.find(mark, start, stop) >= 0 for mark in _READS))
        ):
            extract.add(orjson.loads(b"[%b]" % text[start:stop]), rules, with_hours=with_hours)
        start = stop + 1
    return extract


def _records(text: bytes) -> Iterator[Any]:
    """The records of a file of any form; raises UnreadableFileError."""
    try:
        documents = [_parsed(text)]
    except ValueError as error:
        try:
            documents = [_parsed(line) for line in text.splitlines() if line.strip()]
        except ValueError:
            documents = []
        if not documents:
            raise UnreadableFileError(f"is not JSON: {error}") from error
    for document in documents:
        yield from records_of(document)


def _parsed(text: bytes | str) -> Any:
    """A JSON document; raises ValueError."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        # It refuses escapes that make no text (half a surrogate pair), which agents may send.
        return json.loads(text)


def records_of(document: Any) -> Iterator[Any]:
    """The records in a JSON document: itself, a list, those under Records, or in the Events of an answer."""
    if isinstance(document, list):
        yield from document
    elif isinstance(document, dict):
        found = [document[name] for name in ("Records", "Events") if isinstance(document.get(name), list)]
        for entry in found[0] if found else (document,):
            inner = entry.get("CloudTrailEvent") if isinstance(entry, dict) else None
            if isinstance(inner, str):
                try:
                    yield _parsed(inner)
                except ValueError as error:
                    raise UnreadableFileError(f"holds an event that is not JSON: {error}") from error
            else:
                yield entry
