"""Files of a trail and the event history into the store, however they lie about and whatever fails."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import boto3
import pytest

from analyzer.collect.clients import CallSettings
from analyzer.collect.trails import TrailBucket, keeps_reads
from analyzer.errors import InputError
from analyzer.ingesting import LATE_DAYS, Ingester, IngestOptions
from analyzer.model.pulls import NoOrigin
from analyzer.model.records import RegistryKey
from analyzer.model.trails import StoredFile, TrailPlace, TrailState
from analyzer.pulls import reading
from analyzer.pulls.files import UnreadableFileError
from analyzer.pulls.records import Rules, read_record
from analyzer.store.engine import Database
from analyzer.store.pulls import load_pulls
from tests.oracle.pulls import count_pulls
from tests.support.databases import Provider
from tests.support.emulators import moto_server
from tests.support.trails import (
    OTHER,
    OWNER,
    REGION,
    key,
    layer,
    other_record,
    packed,
    record,
    reduced_identity,
    role_identity,
)

_TODAY = date(2026, 10, 7).toordinal() - date(1970, 1, 1).toordinal()
_DAY = _TODAY - 2
_PLACE = TrailPlace(OWNER, REGION)
_KEY = RegistryKey("aws", OWNER, REGION)
_RULES = Rules()


class _Bucket:
    """A trail's files in memory."""

    name = "s3://logs"

    def __init__(self, state: TrailState | None = None) -> None:
        self.objects: dict[str, bytes] = {}
        self.fetched: Counter[str] = Counter()
        self.broken: set[str] = set()
        self.unlisted: set[int] = set()
        self.listed: list[int] = []
        self._state = state or TrailState(note="not asked")

    def state(self) -> TrailState:
        return self._state

    def places(self) -> Sequence[TrailPlace]:
        return sorted({TrailPlace(*name.split("/")[1:4:2]) for name in self.objects})

    def files(self, place: TrailPlace, day: int) -> Sequence[StoredFile]:
        self.listed.append(day)
        if day in self.unlisted:
            raise UnreadableFileError("s3:ListObjectsV2: AccessDenied")
        folder = f"AWSLogs/{place.account}/CloudTrail/{place.region}/{_date(day).replace('-', '/')}/"
        return [
            StoredFile(name, len(self.objects[name]))
            for name in sorted(self.objects)
            if name.startswith(folder)
        ]

    def fetch(self, name: str) -> bytes:
        self.fetched[name] += 1
        if name in self.broken:
            raise UnreadableFileError("s3:GetObject: AccessDenied (KMS)")
        return self.objects[name]


def _date(day: int) -> str:
    return date.fromordinal(day + date(1970, 1, 1).toordinal()).isoformat()


def _ingester(database: Database, today: int = _TODAY, **more: Any) -> Ingester:
    return Ingester(
        database, IngestOptions(rules=_RULES, origin=NoOrigin(), today=today, **{"processes": 1, **more})
    )


def _pulls(database: Database) -> int:
    with database.read() as connection:
        return sum(row.times for row in load_pulls(connection, 0, 40_000).pulls)


def _coverage(database: Database, day: int) -> list[tuple[str, str]]:
    with database.read() as connection:
        found = load_pulls(connection, day, day, [_KEY]).coverage
    return [(row.status, row.detail) for row in found]


def _hours(bucket: _Bucket, day: int, *, lacking: Sequence[int] = (), read_only: bool = True) -> None:
    for hour in set(range(24)) - set(lacking):
        name = key(day=_date(day), time=f"{hour:02}05", mark=f"{hour:016}")
        bucket.objects[name] = packed([other_record(f"{day}-{hour}", read_only=read_only)])


@pytest.fixture
def database(sqlite: Provider) -> Database:
    return sqlite.clean()


def test_a_night_reads_only_what_is_new_and_late_files_count(database: Database) -> None:
    bucket = _Bucket()
    bucket.objects[key()] = packed([record("a"), record("b")])
    first = _ingester(database).trail(bucket, [])
    assert (first.files, first.written.new, _pulls(database)) == (1, 2, 2)
    assert min(bucket.listed) == _TODAY - 29
    bucket.listed.clear()
    bucket.objects[key(mark="B" * 16)] = packed([record("b"), record("c")])
    second = _ingester(database, today=_TODAY).trail(bucket, [])
    assert (second.files, second.known_files, second.written) == (1, 1, (1, 1, 0))
    assert sorted(set(bucket.listed)) == [_TODAY - LATE_DAYS, _TODAY - 1, _TODAY]
    assert bucket.fetched == {key(): 1, key(mark="B" * 16): 1}
    assert _pulls(database) == 3


def test_an_organizations_copies_of_one_call_are_one_pull(database: Database) -> None:
    bucket = _Bucket()
    bucket.objects[key()] = packed([record("o", identity=reduced_identity(), sharedEventID="s")])
    bucket.objects[key(account=OTHER)] = packed(
        [record("p", identity=role_identity(OTHER), recipient=OTHER, sharedEventID="s")]
    )
    _ingester(database).trail(bucket, [])
    with database.read() as connection:
        (row,) = load_pulls(connection, 0, 40_000).pulls
    assert (row.account, row.principal_account, row.principal) == (
        OWNER,
        OTHER,
        f"arn:aws:iam::{OTHER}:role/nodes",
    )


def test_coverage_tells_whole_days_from_gaps(database: Database) -> None:
    bucket = _Bucket()
    _hours(bucket, _DAY)
    _hours(bucket, _DAY - 1, lacking=[3])
    _hours(bucket, _DAY - 2, read_only=False)
    _hours(bucket, _DAY - 3)
    bucket.broken.add(key(day=_date(_DAY - 3), time="0705", mark=f"{7:016}"))
    bucket.unlisted.add(_DAY - 4)
    totals = _ingester(database).trail(bucket, [RegistryKey("aws", OWNER, "us-east-1"), _KEY])
    assert totals.unreadable == 2
    assert _coverage(database, _DAY) == [("complete", "")]
    assert _coverage(database, _DAY - 1)[0][0] == "partial"
    assert "03:00-04:00" in _coverage(database, _DAY - 1)[0][1]
    assert _coverage(database, _DAY - 2)[0][0] == "none"
    assert "writes" in _coverage(database, _DAY - 2)[0][1]
    assert _coverage(database, _DAY - 3) == [
        ("partial", "a file could not be read: s3:GetObject: AccessDenied (KMS)")
    ]
    assert _coverage(database, _DAY - 4) == [("none", "s3:ListObjectsV2: AccessDenied")]
    assert _coverage(database, _DAY - 5) == [("none", "there is no file of that day")]
    with database.read() as connection:
        lacking = load_pulls(connection, _DAY, _DAY, [RegistryKey("aws", OWNER, "us-east-1")]).coverage
    assert [(row.status, row.detail) for row in lacking] == [
        ("none", "the trail has no files of this account and region")
    ]


def test_what_failed_is_read_the_next_night_and_then_complete(database: Database) -> None:
    bucket = _Bucket()
    _hours(bucket, _DAY - 10)
    broken = key(day=_date(_DAY - 10), time="0705", mark=f"{7:016}")
    bucket.broken.add(broken)
    _ingester(database).trail(bucket, [])
    assert _coverage(database, _DAY - 10)[0][0] == "partial"
    bucket.broken.clear()
    assert _ingester(database, today=_TODAY + 1).trail(bucket, []).files == 1
    assert _coverage(database, _DAY - 10) == [("complete", "")]


def test_a_trail_that_vouches_for_its_files_makes_quiet_hours_complete(database: Database) -> None:
    bucket = _Bucket(TrailState(first_day=_DAY - 9, last_day=_TODAY, region=REGION))
    _hours(bucket, _DAY, lacking=[3, 4])
    _hours(bucket, _DAY - 9, lacking=[3, 4])
    _ingester(database).trail(bucket, [])
    assert _coverage(database, _DAY) == [("complete", "")]
    assert _coverage(database, _DAY - 9)[0][0] == "partial"
    assert _coverage(database, _DAY - 1) == [("none", "there is no file of that day")]
    assert _coverage(database, _TODAY)[0] == ("none", "the day was not over when it was read")


def test_a_write_only_trail_covers_nothing(database: Database) -> None:
    bucket = _Bucket(TrailState(problem="the trail t keeps no read events"))
    _hours(bucket, _DAY)
    totals = _ingester(database).trail(bucket, [])
    assert totals.notes == ["the trail t keeps no read events"]
    assert _coverage(database, _DAY)[0][0] != "complete"


def _write(folder: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def test_a_folder_is_read_under_any_names_and_digests_are_passed_over(
    database: Database, tmp_path: Path
) -> None:
    _write(
        tmp_path,
        {
            key(): packed([record("a")]),
            "mine.json": json.dumps({"Records": [record("b", time="2026-10-04T08:00:00Z")]}).encode(),
            "cut.json.gz": packed([record("c")])[:-9],
            key().replace("/CloudTrail/", "/CloudTrail-Digest/"): packed([record("d")]),
            f"x/{OWNER}_CloudTrail-Insight_{REGION}_20261005T0815Z_A.json.gz": packed([record("e")]),
            "notes.txt": b"no",
        },
    )
    totals = _ingester(database).folder(tmp_path)
    assert (totals.files, totals.unreadable, _pulls(database)) == (2, 1, 2)
    assert totals.problems == ["cut.json.gz: is cut short: its gzip has no end"]
    assert "08:00" not in _coverage(database, _DAY - 1)[0][1].partition("no events of ")[2][:5]
    again = _ingester(database).folder(tmp_path)
    assert (again.files, again.known_files, again.unreadable) == (0, 2, 1)
    with pytest.raises(InputError, match="there are no files"):
        _ingester(database).folder(tmp_path / "x")


def test_a_whole_trail_is_counted_as_the_oracle_does_in_processes_too(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_WORTH_BYTES", 0)
    monkeypatch.setattr("analyzer.ingesting._ROWS", 300)
    chance = random.Random(7)
    records = [_random_record(chance, number) for number in range(3_000)]
    sent = records + chance.sample(records, 300)
    chance.shuffle(sent)
    files = {}
    for number, start in enumerate(range(0, len(sent), 250)):
        name = key(day=_date(_DAY + number % 2), time=f"{number % 24:02}00", mark=f"{number:016}")
        files[name] = packed(sent[start : start + 250])
    _write(tmp_path, files)
    totals = _ingester(database, processes=2).folder(tmp_path)
    assert totals.files == len(files)
    counts: Counter[tuple[Any, ...]] = Counter()
    with database.read() as connection:
        history = load_pulls(connection, 0, 40_000)
    for *names, times in (*history.pulls, *history.left_out):
        counts[tuple(names)] += int(times)
    assert counts == count_pulls(records, lambda found: read_record(found, _RULES), NoOrigin())


def _random_record(chance: random.Random, number: int) -> dict[str, Any]:
    about: dict[str, Any] = {
        "time": f"2026-10-0{chance.randrange(4, 7)}T{chance.randrange(24):02}:00:00Z",
        "repository": f"app{chance.randrange(5)}",
        "asked": {"layerDigest": layer(chance.randrange(30))},
        "identity": role_identity(role=f"role{chance.randrange(4)}", session=f"i-{chance.randrange(50)}"),
    }
    kind = chance.randrange(10)
    if kind == 0:
        return other_record(f"e{number}", read_only=True)
    if kind == 1:
        about["errorCode"] = "AccessDenied"
    if kind == 2:
        about |= {"identity": role_identity(OTHER), "sharedEventID": f"s{number}"}
        if chance.randrange(2):
            about |= {"recipient": OTHER}
    return record(f"e{number}", **about)


# --- the event history -------------------------------------------------------------------------------


class _History:
    def __init__(
        self, events: dict[int, list[dict[str, Any]]], *, refused: frozenset[int] = frozenset()
    ) -> None:
        self.events = events
        self.refused = refused
        self.asked: list[int] = []

    def pages(self, day: int) -> Iterator[list[Mapping[str, Any]]]:
        self.asked.append(day)
        for found in self.events.get(day, ()):
            yield [{"CloudTrailEvent": json.dumps(found)}]
        if day in self.refused:
            raise UnreadableFileError("cloudtrail:LookupEvents: ThrottlingException")


def test_the_history_is_asked_for_the_days_that_are_not_complete(database: Database) -> None:
    history = _History({_DAY: [record("a"), record("b")]})
    totals = _ingester(database, since=_DAY - 1).histories({_KEY: history}, 90)
    assert (totals.written.new, _pulls(database)) == (2, 2)
    assert history.asked == [_DAY - 1, _DAY, _TODAY - 1, _TODAY]
    assert [_coverage(database, day)[0][0] for day in (_DAY, _DAY - 1, _TODAY)] == [
        "complete",
        "complete",
        "none",
    ]
    history.asked.clear()
    _ingester(database, today=_TODAY + 5).histories({_KEY: history}, 10)
    assert _DAY not in history.asked
    assert _DAY - 1 not in history.asked
    assert min(history.asked) == _TODAY + 5 - 9
    assert _pulls(database) == 2


def test_a_history_that_is_refused_leaves_a_gap_and_what_came_before(database: Database) -> None:
    history = _History({_DAY: [record("a")]}, refused=frozenset({_DAY}))
    totals = _ingester(database, since=_DAY).histories({_KEY: history}, 90)
    assert totals.problems == [f"{OWNER}/{REGION}: cloudtrail:LookupEvents: ThrottlingException"]
    assert history.asked == [_DAY]
    assert _coverage(database, _DAY) == [("none", "cloudtrail:LookupEvents: ThrottlingException")]
    assert _pulls(database) == 1


# --- S3 over HTTP ------------------------------------------------------------------------------------


@pytest.fixture
def bucket_url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "demurrage-tests")
    with moto_server() as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        yield url


def _open(url: str) -> TrailBucket:
    return TrailBucket(url, boto3.Session(), CallSettings(requests_per_second=1e6), "us-east-1")


@pytest.mark.usefixtures("bucket_url")
@pytest.mark.parametrize("organization", ["", "o-abcdefghij/"])
def test_a_bucket_is_read_with_and_without_the_organizations_id(
    database: Database, organization: str
) -> None:
    s3 = boto3.Session().client("s3", region_name="us-east-1")
    bucket = f"trail-logs-{len(organization)}"
    s3.create_bucket(Bucket=bucket)
    for account in (OWNER, OTHER):
        name = key(account=account).replace("AWSLogs/", f"AWSLogs/{organization}")
        s3.put_object(Bucket=bucket, Key=f"org/{name}", Body=packed([record(f"e{account}")]))
    s3.put_object(Bucket=bucket, Key=f"org/AWSLogs/{organization}{OWNER}/Config/x/y", Body=b"no")
    s3.put_object(Bucket=bucket, Key=f"org/AWSLogs/{organization}{OWNER}/CloudTrail-Digest/x/y", Body=b"no")
    source = _open(f"s3://{bucket}/org")
    assert source.places() == [TrailPlace(OWNER, REGION), TrailPlace(OTHER, REGION)]
    totals = _ingester(database).trail(source, [_KEY])
    assert (totals.files, totals.unreadable, _pulls(database)) == (2, 0, 2)
    assert "no trail that these credentials can see" in totals.notes[0]
    assert _open(f"s3://{bucket}/org/AWSLogs/").name == f"s3://{bucket}/org"
    assert _open(f"s3://{bucket}").places() == []


@pytest.mark.usefixtures("bucket_url")
def test_pages_of_a_listing_follow_one_another(monkeypatch: pytest.MonkeyPatch) -> None:
    s3 = boto3.Session().client("s3", region_name="us-east-1")
    s3.create_bucket(Bucket="paged-logs")
    names = [key(mark=f"{number:016}") for number in range(7)]
    for name in names:
        s3.put_object(Bucket="paged-logs", Key=name, Body=b"x")
    source = _open("s3://paged-logs")
    source.places()
    whole = source._s3.call
    monkeypatch.setattr(source._s3, "call", lambda name, **asked: whole(name, **asked, MaxKeys=2))
    assert [file.name for file in source.files(_PLACE, _DAY)] == names


@pytest.mark.usefixtures("bucket_url")
def test_a_bucket_that_is_not_there_says_so(database: Database) -> None:
    totals = _ingester(database).trail(_open("s3://nobodys-logs"), [_KEY])
    assert totals.unreadable == 1
    assert "NoSuchBucket" in totals.problems[0]
    assert _coverage(database, _DAY)[0][0] == "none"


def test_a_folder_of_other_files_is_told(database: Database, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text('{"repositories": []}')
    totals = _ingester(database).folder(tmp_path)
    assert totals.files == 1
    assert "no new file holds a read event" in totals.notes[0]
    assert _ingester(database).folder(tmp_path).notes == []


def test_a_prefix_without_any_file_is_no_quiet_night(database: Database) -> None:
    totals = _ingester(database).trail(_Bucket(), [_KEY])
    assert totals.unreadable == 1
    assert "there is no file of a trail" in totals.problems[0]
    assert _coverage(database, _DAY)[0][0] == "none"


@pytest.mark.usefixtures("bucket_url")
def test_what_cloudtrail_says_of_the_trail_is_asked() -> None:
    session = boto3.Session()
    session.client("s3", region_name="us-east-1").create_bucket(Bucket="watched-logs")
    cloudtrail = session.client("cloudtrail", region_name="us-east-1")
    cloudtrail.create_trail(
        Name="all", S3BucketName="watched-logs", S3KeyPrefix="org", IsMultiRegionTrail=True
    )
    everything: Any = {"ReadWriteType": "All", "IncludeManagementEvents": True}
    cloudtrail.put_event_selectors(TrailName="all", EventSelectors=[everything])
    assert _open("s3://watched-logs/org").state().note == "the trail all is not logging"
    cloudtrail.start_logging(Name="all")
    state = _open("s3://watched-logs/org").state()
    assert (state.problem, state.region) == ("", "")
    assert state.first_day is not None
    cloudtrail.put_event_selectors(
        TrailName="all", EventSelectors=[everything | {"ReadWriteType": "WriteOnly"}]
    )
    assert "keeps no read events" in _open("s3://watched-logs/org").state().problem
    assert "no trail" in _open("s3://watched-logs/other").state().note
    # moto keeps trails when everything else is forgotten.
    cloudtrail.delete_trail(Name="all")


def _advanced(*fields: dict[str, Any]) -> dict[str, Any]:
    return {"AdvancedEventSelectors": [{"FieldSelectors": list(fields)}]}


_MANAGEMENT = {"Field": "eventCategory", "Equals": ["Management"]}


@pytest.mark.parametrize(
    ("selectors", "keeps"),
    [
        ({}, False),
        ({"EventSelectors": [{"ReadWriteType": "All", "IncludeManagementEvents": True}]}, True),
        ({"EventSelectors": [{"ReadWriteType": "ReadOnly", "IncludeManagementEvents": True}]}, True),
        ({"EventSelectors": [{"ReadWriteType": "WriteOnly", "IncludeManagementEvents": True}]}, False),
        ({"EventSelectors": [{"ReadWriteType": "All", "IncludeManagementEvents": False}]}, False),
        (_advanced(_MANAGEMENT), True),
        (_advanced({"Field": "eventCategory", "Equals": ["Data"]}), False),
        (_advanced(_MANAGEMENT, {"Field": "readOnly", "Equals": ["false"]}), False),
        (_advanced(_MANAGEMENT, {"Field": "readOnly", "Equals": ["true"]}), True),
        (_advanced(_MANAGEMENT, {"Field": "eventSource", "NotEquals": ["kms.amazonaws.com"]}), True),
        (_advanced(_MANAGEMENT, {"Field": "eventSource", "NotEquals": ["ecr.amazonaws.com"]}), False),
        (_advanced(_MANAGEMENT, {"Field": "eventSource", "Equals": ["kms.amazonaws.com"]}), False),
        (_advanced(_MANAGEMENT, {"Field": "eventSource", "StartsWith": ["ecr"]}), True),
    ],
)
def test_selectors_say_whether_a_trail_keeps_reads(selectors: dict[str, Any], keeps: bool) -> None:
    assert keeps_reads(selectors) is keeps


@pytest.mark.parametrize("url", ["s3://", "s3://UPPER", "s3:/x", "https://x", "s3://a_b/c"])
def test_a_bucket_is_named_by_its_url(url: str) -> None:
    with pytest.raises(InputError, match="is not s3://BUCKET"):
        _open(url)
