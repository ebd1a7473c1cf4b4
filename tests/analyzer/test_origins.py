"""What the database knows of pullers: workloads, machines and addresses, put together."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pytest
from sqlalchemy import update

from analyzer.collect.ip_ranges import IP_RANGES_URL, FetchedIpRanges
from analyzer.errors import InputError, RunError
from analyzer.model.pulls import INTERNET, NOT_TOLD, Confidence, Hints, Machine, RegionMethod, Told
from analyzer.model.records import (
    Gap,
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
    Locator,
    address_book,
    update_from_aws,
    update_from_file,
)
from analyzer.pulls.addresses import parse_ip_ranges
from analyzer.pulls.role_rules import RoleRule
from analyzer.store import tables
from analyzer.store.engine import Database
from analyzer.store.ip_ranges import get_ip_ranges
from analyzer.store.machines import machine_regions, remember_machines
from tests.analyzer.store.conftest import sqlite, sqlite_clean, sqlite_folder
from tests.analyzer.store.examples import commit
from tests.support.databases import Provider
from tests.support.ip_ranges import ip_ranges_bytes

__all__ = ["sqlite", "sqlite_clean", "sqlite_folder"]

_ACCOUNT = "111111111111"
_NO_RANGES = "addresses tell no region: AWS's ip-ranges are not in the database; run: demurrage update"
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


def _locator(database: Database, rules: Collection[RoleRule] = ()) -> Locator:
    return Locator(database, 20_000, rules)


def _given(database: Database, data: bytes, file: str, now_ms: int) -> IpRangesUpdate:
    return update_from_file(database, parse_ip_ranges(data, file), data, file, now_ms)


def _use(kind: UseKind = UseKind.RUNNING, registry: str = "eu-west-1") -> WorkloadUse:
    return WorkloadUse("service/web", f"{_ACCOUNT}.dkr.ecr.{registry}.amazonaws.com/team/app:v1", kind)


def test_an_empty_database_tells_nothing(database: Database) -> None:
    origin = _locator(database)
    assert origin.tell(_HINTS._replace(source_address="8.8.8.8", session="i-0a1b2c3d")) == NOT_TOLD
    assert origin.notes == [_NO_RANGES]


def test_workloads_of_the_newest_snapshots_tell(database: Database) -> None:
    _snapshot(database, "us-east-1", [_use()])
    assert _locator(database).tell(_HINTS) == ("us-east-1", RegionMethod.WORKLOAD, Confidence.LOW)
    _snapshot(database, "eu-west-1", [])
    assert _locator(database).tell(_HINTS) == ("us-east-1", RegionMethod.WORKLOAD, Confidence.HIGH)
    _snapshot(database, "eu-west-1", [_use()])
    assert _locator(database).tell(_HINTS) == NOT_TOLD
    _snapshot(database, "us-east-1", [])
    assert _locator(database).tell(_HINTS).region == "eu-west-1"


def test_a_source_that_was_not_read_makes_workloads_less_sure(database: Database) -> None:
    _snapshot(database, "us-east-1", [_use()])
    _snapshot(database, "eu-west-1", [], skip="eks")
    assert _locator(database).tell(_HINTS) == ("us-east-1", RegionMethod.WORKLOAD, Confidence.MEDIUM)


def test_machines_addresses_and_rules_tell(database: Database) -> None:
    with database.write() as connection:
        remember_machines(connection, [Machine("i-0a1b2c3d", _ACCOUNT, "us-west-2", 20_000)])
    _given(database, ip_ranges_bytes(), "f", 1)
    origin = _locator(database, [RoleRule("eu-north-1", role="nodes")])
    assert origin.notes == []
    assert origin.tell(_HINTS) == Told("eu-north-1", RegionMethod.ROLE, Confidence.MEDIUM)
    assert origin.tell(_HINTS._replace(session="i-0a1b2c3d")).region == "us-west-2"
    assert origin.tell(_HINTS._replace(source_address="18.200.7.7")).region == "us-east-1"
    assert _locator(database).tell(_HINTS._replace(source_address="8.8.8.8")).region == INTERNET


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
        _locator(database)
    update_from_aws(database, 2, lambda _: FetchedIpRanges(ip_ranges_bytes(), '"1"'))
    assert address_book(database) is not None


class _Finder:
    """Knows one instance."""

    def __init__(self) -> None:
        self.asked: list[Mapping[str, Collection[str]]] = []
        self.gaps = [Gap(_ACCOUNT, "us-east-1", "", "ec2:DescribeVpcEndpoints", "AccessDenied", "missing it")]

    def find(self, wanted: Mapping[str, Collection[str]], today: int) -> list[Machine]:
        self.asked.append(wanted)
        known = Machine("i-0a1b2c3d", _ACCOUNT, "us-west-2", today)
        return [known] if known.name in wanted.get(_ACCOUNT, ()) else []


def _hints(*sessions: str) -> list[Hints]:
    return [_HINTS._replace(session=session) for session in sessions]


def test_machines_that_are_not_known_are_asked_for_and_remembered(database: Database) -> None:
    finder = _Finder()
    locator = _locator(database)
    locator.ask_with(lambda: finder)
    locator.prepare(_hints("deploy", ""))
    assert finder.asked == []
    assert locator.notes == [_NO_RANGES]
    locator.prepare([*_hints("i-0a1b2c3d", "i-0a1b2c3e"), _HINTS._replace(endpoint="vpce-1")])
    assert finder.asked == [{_ACCOUNT: {"i-0a1b2c3d", "i-0a1b2c3e", "vpce-1"}}]
    (hints,) = _hints("i-0a1b2c3d")
    assert locator.tell(hints) == ("us-west-2", RegionMethod.INSTANCE, Confidence.HIGH)
    assert locator.notes == ["missing it", _NO_RANGES]
    finder.asked.clear()
    locator.prepare([hints])
    assert finder.asked == []
    # The next night it may be gone from EC2.
    assert _locator(database).tell(hints).region == "us-west-2"


def test_machines_are_forgotten_when_their_pulls_can_come_no_more(database: Database) -> None:
    with database.write() as connection:
        remember_machines(connection, [Machine("i-1", "", "r", 10), Machine("i-2", "", "r", 11)])
    assert _locator(database).forget(11) == 1
    with database.read() as connection:
        assert machine_regions(connection) == {"i-2": "r"}


def test_that_nobody_can_be_asked_is_said_once_and_ends_nothing(database: Database) -> None:
    tries = []

    def refuse() -> _Finder:
        tries.append(1)
        raise RunError("no credentials")

    locator = _locator(database)
    locator.ask_with(refuse)
    for _ in range(2):
        locator.prepare(_hints("i-0a1b2c3d"))
    assert len(tries) == 1
    told = "EC2 instances and VPC endpoints were not asked for: no credentials"
    assert locator.notes == [told, _NO_RANGES]
    assert locator.tell(_hints("i-0a1b2c3d")[0]) == NOT_TOLD
