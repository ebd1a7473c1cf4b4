"""Whether a trail's bucket may be read, asked of moto's S3 and CloudTrail, and of ones that refuse."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import boto3
import pytest

from analyzer.collect.clients import CallSettings
from analyzer.collect.probes import Verdict
from analyzer.collect.refusals import Reach, Refusal, RefusedError
from analyzer.collect.trail_probes import TrailProbe, probe_trail
from analyzer.collect.trails import TrailBucket
from analyzer.model.trails import StoredFile
from tests.support.emulators import moto_server

FILE = "audit/AWSLogs/123456789012/CloudTrail/eu-west-1/2026/11/27/one.json.gz"


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    with moto_server() as url:
        yield url


@pytest.fixture
def opened(moto: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, Any]]:
    """S3 and CloudTrail of an account with a trail that writes to the bucket ``trail``, below ``audit``."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "demurrage-tests")
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto)
    session = boto3.Session(region_name="us-east-1")
    s3, cloudtrail = session.client("s3"), session.client("cloudtrail")
    for name in ("trail", "empty"):
        s3.create_bucket(Bucket=name)
    cloudtrail.create_trail(Name="all", S3BucketName="trail", S3KeyPrefix="audit", IsMultiRegionTrail=True)
    # CloudTrail's own default, which moto leaves out.
    selectors: Any = [{"ReadWriteType": "All", "IncludeManagementEvents": True, "DataResources": []}]
    cloudtrail.put_event_selectors(TrailName="all", EventSelectors=selectors)
    cloudtrail.start_logging(Name="all")
    yield s3, cloudtrail
    cloudtrail.delete_trail(Name="all")
    for name in ("trail", "empty"):
        for entry in s3.list_objects_v2(Bucket=name).get("Contents", []):
            s3.delete_object(Bucket=name, Key=entry["Key"])
        s3.delete_bucket(Bucket=name)
    s3.close()
    cloudtrail.close()


def _probed(url: str) -> TrailProbe:
    bucket = TrailBucket(url, boto3.Session(), CallSettings(requests_per_second=1e6), "us-east-1")
    return probe_trail(bucket, "aws")


def _verdicts(found: TrailProbe) -> dict[str, Verdict]:
    return {one.permission.action: one.verdict for one in found.probed}


def test_a_trail_that_is_there_grants_everything(opened: tuple[Any, Any]) -> None:
    s3, cloudtrail = opened
    # As CloudTrail begins a folder.
    s3.put_object(Bucket="trail", Key="audit/AWSLogs/123456789012/", Body=b"")
    s3.put_object(Bucket="trail", Key=FILE, Body=b"x" * 100)
    found = _probed("s3://trail/audit")
    assert set(_verdicts(found).values()) == {Verdict.GRANTED}
    assert found.has_files
    assert found.refusal is None
    assert found.state is not None
    assert (found.state.problem, found.state.note) == ("", "")
    cloudtrail.stop_logging(Name="all")
    state = _probed("s3://trail/audit").state
    assert state is not None
    assert "not logging" in state.note


def test_a_trail_of_writes_alone_is_a_problem(opened: tuple[Any, Any]) -> None:
    _, cloudtrail = opened
    selectors = [{"ReadWriteType": "WriteOnly", "IncludeManagementEvents": True, "DataResources": []}]
    cloudtrail.put_event_selectors(TrailName="all", EventSelectors=selectors)
    state = _probed("s3://trail/audit").state
    assert state is not None
    assert "no read events" in state.problem


@pytest.mark.usefixtures("opened")
def test_another_prefix_has_no_files_and_no_trail() -> None:
    found = _probed("s3://empty/other/AWSLogs/123456789012")
    assert found.name == "s3://empty/other"
    assert not found.has_files
    verdicts = _verdicts(found)
    assert verdicts.pop("s3:GetObject") is Verdict.NOTHING_THERE
    assert set(verdicts.values()) == {Verdict.GRANTED}
    assert found.state is not None
    assert found.state.note


@pytest.mark.usefixtures("opened")
def test_a_bucket_that_is_not_there_is_a_refusal() -> None:
    found = _probed("s3://nowhere/audit")
    assert found.refusal is not None
    assert found.refusal.reason == "NoSuchBucket"
    assert _verdicts(found)["s3:ListBucket"] is Verdict.UNKNOWN


class _Refusing(TrailBucket):
    """A trail that is there; what ``refusals`` name (``peek``) is refused so."""

    def __init__(self, **refusals: Refusal) -> None:
        self._refusals = refusals

    @property
    def name(self) -> str:
        return "s3://trail/audit"

    def _or_refused(self, name: str, answer: Any) -> Any:
        if name in self._refusals:
            raise RefusedError(self._refusals[name])
        return answer

    def first_file(self) -> StoredFile | None:
        found: StoredFile | None = self._or_refused("first_file", StoredFile(FILE, 9))
        return found

    def peek(self, name: str) -> None:
        assert name == FILE
        self._or_refused("peek", None)

    def find_trail(self) -> Mapping[str, Any] | None:
        found: Mapping[str, Any] = self._or_refused("find_trail", {"Name": "all", "HomeRegion": "eu-west-1"})
        return found

    def selectors(self, trail: Mapping[str, Any]) -> Mapping[str, Any]:
        assert trail
        keeps = {"EventSelectors": [{"IncludeManagementEvents": True, "ReadWriteType": "All"}]}
        found: Mapping[str, Any] = self._or_refused("selectors", keeps)
        return found

    def status(self, trail: Mapping[str, Any]) -> Mapping[str, Any]:
        assert trail
        found: Mapping[str, Any] = self._or_refused("status", {"IsLogging": True})
        return found


@pytest.mark.parametrize(
    ("call", "action"),
    [
        ("first_file", "s3:ListBucket"),
        ("peek", "s3:GetObject"),
        ("find_trail", "cloudtrail:DescribeTrails"),
        ("selectors", "cloudtrail:GetEventSelectors"),
        ("status", "cloudtrail:GetTrailStatus"),
    ],
)
def test_what_is_denied_alone_is_missing(call: str, action: str) -> None:
    denied = Refusal("AccessDenied", Reach.REPOSITORY, "not authorized")
    found = probe_trail(_Refusing(**{call: denied}), "aws")
    assert [one for one, verdict in _verdicts(found).items() if verdict is Verdict.DENIED] == [action]
    assert (found.state is None) == action.startswith("cloudtrail:")
    assert (found.refusal is None) == (call != "first_file")


@pytest.mark.parametrize("reason", ["InvalidObjectState", "TrailNotFoundException"])
def test_whoever_hears_that_there_is_none_was_let_in(reason: str) -> None:
    refusal = Refusal(reason, Reach.CALL, "none")
    found = probe_trail(_Refusing(peek=refusal, selectors=refusal, status=refusal), "aws")
    assert set(_verdicts(found).values()) == {Verdict.GRANTED}


def test_a_file_that_is_locked_with_a_key_asks_for_the_key() -> None:
    key = "arn:aws:kms:eu-west-1:123456789012:key/1-2"
    said = Refusal("AccessDenied", Reach.CALL, f"not authorized to perform: kms:Decrypt on resource: {key}")
    found = probe_trail(_Refusing(peek=said), "aws")
    (row,) = (one.permission for one in found.probed if one.verdict is Verdict.DENIED)
    assert (row.action, row.resource) == ("kms:Decrypt", key)
    assert _verdicts(found)["s3:GetObject"] is Verdict.GRANTED
