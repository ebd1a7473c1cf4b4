"""What the database knows of pullers: workloads, machines and addresses, put together."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from analyzer.collect.ip_ranges import IP_RANGES_URL, FetchedIpRanges
from analyzer.errors import InputError, RunError
from analyzer.model.pulls import INTERNET, NOT_TOLD, Confidence, Hints, Machine, RegionMethod, Told
from analyzer.model.records import (
    ReadStatus,
    RegistryKey,
    RegistryRead,
    UseKind,
    WorkloadRead,
    WorkloadUse,
)
from analyzer.model.usage import SOURCES
from analyzer.origins import (
    IpRangesUpdate,
    address_book,
    known_origin,
    update_from_aws,
    update_from_file,
)
from analyzer.pulls.addresses import parse_ip_ranges
from analyzer.pulls.role_rules import RoleRule
from analyzer.store import tables
from analyzer.store.engine import Database
from analyzer.store.ip_ranges import get_ip_ranges
from analyzer.store.machines import remember_machines
from tests.analyzer.store.conftest import sqlite, sqlite_clean, sqlite_folder
from tests.analyzer.store.examples import commit
from tests.support.databases import Provider
from tests.support.ip_ranges import ip_ranges_bytes

__all__ = ["sqlite", "sqlite_clean", "sqlite_folder"]

_ACCOUNT = "111111111111"
_NEW = "2026-09-01-00-00-00"
_HINTS = Hints(_ACCOUNT, "eu-west-1", "team/app", _ACCOUNT, f"arn:aws:iam::{_ACCOUNT}:role/nodes")


@pytest.fixture
def database(sqlite: Provider) -> Database:
    """One without rows."""
    return sqlite.clean()


def _snapshot(database: Database, region: str, uses: list[WorkloadUse], *, skip: str = "") -> None:
    reads = [
        WorkloadRead(source, ReadStatus.COMPLETE, tuple(uses) if source == "ecs" else ())
        for source in SOURCES
        if source != skip
    ]
    key = RegistryKey("aws", _ACCOUNT, region)
    commit(database, RegistryRead(key, 1_000, ReadStatus.COMPLETE, workloads=tuple(reads)))


def _given(database: Database, data: bytes, file: str, now_ms: int) -> IpRangesUpdate:
    return update_from_file(database, parse_ip_ranges(data, file), data, file, now_ms)


def _use(kind: UseKind = UseKind.RUNNING, registry: str = "eu-west-1") -> WorkloadUse:
    return WorkloadUse("service/web", f"{_ACCOUNT}.dkr.ecr.{registry}.amazonaws.com/team/app:v1", kind)


def test_an_empty_database_tells_nothing(database: Database) -> None:
    origin = known_origin(database)
    assert origin.tell(_HINTS._replace(source_address="8.8.8.8", session="i-0a1b2c3d")) == NOT_TOLD
    assert not origin.has_addresses


def test_workloads_of_the_newest_snapshots_tell(database: Database) -> None:
    _snapshot(database, "us-east-1", [_use()])
    assert known_origin(database).tell(_HINTS) == ("us-east-1", RegionMethod.WORKLOAD, Confidence.LOW)
    _snapshot(database, "eu-west-1", [])
    assert known_origin(database).tell(_HINTS) == ("us-east-1", RegionMethod.WORKLOAD, Confidence.HIGH)
    _snapshot(database, "eu-west-1", [_use()])
    assert known_origin(database).tell(_HINTS) == NOT_TOLD
    _snapshot(database, "us-east-1", [])
    assert known_origin(database).tell(_HINTS).region == "eu-west-1"


def test_a_source_that_was_not_read_makes_workloads_less_sure(database: Database) -> None:
    _snapshot(database, "us-east-1", [_use()])
    _snapshot(database, "eu-west-1", [], skip="eks")
    assert known_origin(database).tell(_HINTS) == ("us-east-1", RegionMethod.WORKLOAD, Confidence.MEDIUM)


def test_machines_addresses_and_rules_tell(database: Database) -> None:
    with database.write() as connection:
        remember_machines(connection, [Machine("i-0a1b2c3d", _ACCOUNT, "us-west-2", 20_000)])
    _given(database, ip_ranges_bytes(), "f", 1)
    origin = known_origin(database, [RoleRule("eu-north-1", role="nodes")])
    assert origin.has_addresses
    assert origin.tell(_HINTS) == Told("eu-north-1", RegionMethod.ROLE, Confidence.MEDIUM)
    assert origin.tell(_HINTS._replace(session="i-0a1b2c3d")).region == "us-west-2"
    assert origin.tell(_HINTS._replace(source_address="18.200.7.7")).region == "us-east-1"
    assert known_origin(database).tell(_HINTS._replace(source_address="8.8.8.8")).region == INTERNET


def test_a_file_is_stored_with_its_date_and_an_older_one_is_refused(database: Database) -> None:
    first = _given(database, ip_ranges_bytes(), "first.json", 1)
    assert (first.previous_at, first.is_changed, first.prefixes, first.regions) == (None, True, 5, 3)
    newer = _given(database, ip_ranges_bytes(created=_NEW), "newer.json", 2)
    assert (newer.previous_at, newer.is_changed) == (first.created_at, True)
    with pytest.raises(InputError, match=r"--ip-ranges first\.json is of 2026-08-22T15:17:05Z, older than"):
        _given(database, ip_ranges_bytes(), "first.json", 3)
    assert not _given(database, ip_ranges_bytes(created=_NEW), "newer.json", 4).is_changed


def test_what_aws_publishes_is_asked_for_by_the_etag_of_the_last_answer(database: Database) -> None:
    asked: list[str] = []

    def fetch(etag: str) -> FetchedIpRanges | None:
        asked.append(etag)
        return None if etag == '"1"' else FetchedIpRanges(ip_ranges_bytes(), '"1"')

    assert update_from_aws(database, 1, fetch).is_changed
    again = update_from_aws(database, 2, fetch)
    assert (again.is_changed, again.prefixes, again.source) == (False, 5, IP_RANGES_URL)
    # A file has no ETag, whatever its date.
    _given(database, ip_ranges_bytes(), "f", 3)
    update_from_aws(database, 4, fetch)
    assert asked == ["", '"1"', ""]


def test_an_answer_that_is_older_or_none_of_awss_changes_nothing(database: Database) -> None:
    _given(database, ip_ranges_bytes(created=_NEW), "f", 1)
    for document, message in [
        (ip_ranges_bytes(), "answers with a file of 2026-08-22T15:17:05Z, older than what is stored"),
        (b"<html>Sign in</html>", "something else than AWS's file came"),
    ]:
        answer = FetchedIpRanges(document, "")
        with pytest.raises(RunError, match=message):
            update_from_aws(database, 2, lambda _, answer=answer: answer)  # type: ignore[misc]
    with database.read() as connection:
        known = get_ip_ranges(connection)
    assert known is not None
    assert (known.document, known.source) == (ip_ranges_bytes(created=_NEW), "f")


def test_that_nothing_changed_of_nothing_is_an_error(database: Database) -> None:
    with pytest.raises(RunError, match="nothing has changed"):
        update_from_aws(database, 1, lambda _: None)


@pytest.mark.parametrize("document", [b"damaged", b"x\x9cKL\x04\x00\x00\xc8\x00d"])
def test_damaged_ranges_are_said_to_be_so_and_mended_by_the_next_update(
    database: Database, document: bytes
) -> None:
    _given(database, ip_ranges_bytes(), "f", 1)
    with database.write() as connection:
        connection.execute(update(tables.ip_ranges).values(document=document))
    with pytest.raises(RunError, match="damaged; run: demurrage update"):
        known_origin(database)
    update_from_aws(database, 2, lambda _: FetchedIpRanges(ip_ranges_bytes(), '"1"'))
    assert address_book(database) is not None
