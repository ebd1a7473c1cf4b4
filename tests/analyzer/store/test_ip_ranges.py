"""AWS's ip-ranges in the store: the newest stays, whole."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import update

from analyzer.errors import RunError
from analyzer.store import tables
from analyzer.store.engine import Database
from analyzer.store.ip_ranges import StoredIpRanges, get_ip_ranges, ip_ranges_date, put_ip_ranges
from tests.support.ip_ranges import ip_ranges_bytes

_GIVEN = StoredIpRanges(
    created_at_ms=2_000, stored_at_ms=9_000, source="f", etag='"1"', document=ip_ranges_bytes()
)


def _put(database: Database, given: StoredIpRanges) -> bool:
    with database.write() as connection:
        return put_ip_ranges(connection, given)


def _got(database: Database) -> StoredIpRanges | None:
    with database.read() as connection:
        found = get_ip_ranges(connection)
        assert ip_ranges_date(connection) == (None if found is None else found.created_at_ms)
    return found


def test_nothing_is_known_before_it_is_given(database: Database) -> None:
    assert _got(database) is None


def test_what_is_given_comes_back_with_its_date_and_source(database: Database) -> None:
    assert _put(database, _GIVEN)
    assert _got(database) == _GIVEN


def test_newer_ranges_take_the_place_of_older_ones_and_never_the_other_way(database: Database) -> None:
    assert _put(database, _GIVEN)
    newer = replace(_GIVEN, created_at_ms=3_000, document=ip_ranges_bytes([]))
    assert _put(database, newer)
    assert not _put(database, _GIVEN)
    assert _got(database) == newer
    again = replace(newer, stored_at_ms=10_000, etag='"2"')
    assert _put(database, again)
    assert _got(database) == again


@pytest.mark.parametrize("document", [b"", b"nonsense", b"x\x9c\x03"])
def test_a_damaged_row_is_said_to_be_damaged(database: Database, document: bytes) -> None:
    _put(database, _GIVEN)
    with database.write() as connection:
        connection.execute(update(tables.ip_ranges).values(document=document))
    with database.read() as connection, pytest.raises(RunError, match="damaged; run: demurrage update"):
        get_ip_ranges(connection)
