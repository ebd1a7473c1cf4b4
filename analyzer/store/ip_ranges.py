"""AWS's ip-ranges in the store: the newest that was ever given, whole, with where it came from."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, insert, select

from analyzer.errors import RunError
from analyzer.store import tables

#: What the file may come to when it is unpacked.
_MAX_BYTES = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredIpRanges:
    """An ip-ranges.json and where it is from; its text is not judged here."""

    #: When AWS made it, and when it was stored.
    created_at_ms: int
    stored_at_ms: int
    #: Address or name of the file that it came from.
    source: str
    #: What its server calls this version of it; "" where it came from a file.
    etag: str = ""
    document: bytes


def put_ip_ranges(connection: Connection, given: StoredIpRanges) -> bool:
    """Keep ``given`` in place of what is there, unless that is newer; gives whether it was kept."""
    table = tables.ip_ranges
    known = connection.execute(select(func.max(table.c.created_at_ms))).scalar()
    if known is not None and known > given.created_at_ms:
        return False
    connection.execute(delete(table))
    connection.execute(
        insert(table).values(
            created_at_ms=given.created_at_ms,
            stored_at_ms=given.stored_at_ms,
            source=given.source,
            etag=given.etag,
            document=zlib.compress(given.document, 9),
        )
    )
    return True


def get_ip_ranges(connection: Connection) -> StoredIpRanges | None:
    """What is kept, the newest; None where nothing was ever given. Raises RunError where it is damaged."""
    table = tables.ip_ranges
    row = connection.execute(select(table).order_by(table.c.created_at_ms.desc()).limit(1)).one_or_none()
    if row is None:
        return None
    unpacker = zlib.decompressobj()
    try:
        document = unpacker.decompress(row.document, _MAX_BYTES)
    except zlib.error as error:
        raise _damaged() from error
    if not unpacker.eof:
        raise _damaged()
    return StoredIpRanges(
        created_at_ms=row.created_at_ms,
        stored_at_ms=row.stored_at_ms,
        source=row.source,
        etag=row.etag,
        document=document,
    )


def ip_ranges_date(connection: Connection) -> int | None:
    """When AWS made what is kept, in milliseconds; None where nothing was ever given."""
    date: int | None = connection.execute(select(func.max(tables.ip_ranges.c.created_at_ms))).scalar()
    return date


def _damaged() -> RunError:
    return RunError("the ip-ranges in the database are damaged; run: demurrage update")
