"""Publishing into folders and S3: whole reports alone are met, whatever fails when."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.errors import InputError, RunError
from analyzer.model.publication import Catalog, PublishedReport
from analyzer.model.units import Money
from analyzer.publishing.bucket import BucketTarget
from analyzer.publishing.catalog import added, entry_of, read_catalog, write_catalog
from analyzer.publishing.folder import FolderTarget
from analyzer.publishing.publish import content_type, publish
from reports.history_page import render_index, render_latest
from tests.support.emulators import moto_server
from tests.support.report_fixture import build_report, nothing_known

REPORT = build_report(5, gaps=True, mounting="mixed")


def _made(folder: Path, run: int, text: str = "") -> tuple[PublishedReport, dict[str, Path]]:
    """A report of ``run`` and its files."""
    made = folder / f"made-{run}"
    files = {}
    for name in ("report.html", "images.csv", "policies/one.json"):
        files[name] = made / name
        files[name].parent.mkdir(parents=True, exist_ok=True)
        files[name].write_text(f"{name} of {run} {text}", encoding="utf-8")
    report = replace(REPORT, run=run, taken_to=REPORT.taken_to + timedelta(days=run))
    return entry_of(report, files), files


class _Folder:
    def __init__(self, folder: Path) -> None:
        self.target: Any = FolderTarget(folder)
        self._folder = folder

    def names(self) -> set[str]:
        return {
            path.relative_to(self._folder).as_posix()
            for path in self._folder.rglob("*")
            if path.is_file() and path.name != ".lock"
        }

    def read(self, name: str) -> str:
        return (self._folder / name).read_text(encoding="utf-8")


class _Bucket:
    def __init__(self, url: str) -> None:
        self.s3 = boto3.client("s3", endpoint_url=url, region_name="us-east-1")
        self.s3.create_bucket(Bucket="reports")
        self.target: Any = BucketTarget("s3://reports/ecr//nightly/")

    def names(self) -> set[str]:
        found = self.s3.list_objects_v2(Bucket="reports").get("Contents", [])
        return {entry["Key"].removeprefix("ecr/nightly/") for entry in found}

    def read(self, name: str) -> str:
        body = self.s3.get_object(Bucket="reports", Key=f"ecr/nightly/{name}")["Body"].read()
        return str(body.decode())


@pytest.fixture(scope="module")
def s3_url() -> Iterator[str]:
    with moto_server() as url:
        yield url


@pytest.fixture
def bucket(s3_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> _Bucket:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "not-a-secret",
        "AWS_ENDPOINT_URL": s3_url,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    s3 = boto3.client("s3", endpoint_url=s3_url, region_name="us-east-1")
    for bucket in s3.list_buckets()["Buckets"]:
        for entry in s3.list_objects_v2(Bucket=bucket["Name"]).get("Contents", []):
            s3.delete_object(Bucket=bucket["Name"], Key=entry["Key"])
        s3.delete_bucket(Bucket=bucket["Name"])
    return _Bucket(s3_url)


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """A folder and a bucket, one after the other."""
    if request.param == "folder":
        return _Folder(tmp_path / "published")
    return request.getfixturevalue("bucket")


def test_reports_are_kept_up_to_the_number_wanted_with_an_index_of_them(place: Any, tmp_path: Path) -> None:
    entries = []
    for run in range(1, 5):
        entry, files = _made(tmp_path, run)
        entries.append(entry)
        publish(place.target, entry, files, keep=2)
    assert place.names() == {
        "index.html",
        "index.json",
        "latest.html",
        *(f"reports/{entry.id}/{name}" for entry in entries[2:] for name in entry.files),
    }
    assert place.read(f"reports/{entries[3].id}/images.csv") == "images.csv of 4 "
    assert f'href="reports/{entries[3].id}/report.html"' in place.read("latest.html")
    index = json.loads(place.read("index.json"))
    assert [row["run"] for row in index["reports"]] == [4, 3]
    high = REPORT.totals.cost_high.amount
    assert high is not None
    assert index["reports"][0]["headline"]["high_cost"]["amount"] == f"{high:.6f}".rstrip("0")


def test_the_same_report_is_published_once_and_another_of_the_same_run_replaces_it(
    place: Any, tmp_path: Path
) -> None:
    entry, files = _made(tmp_path, 1)
    publish(place.target, entry, files, keep=5)
    before = place.names()
    publish(place.target, entry, files, keep=5)
    assert place.names() == before
    other, files = _made(tmp_path, 1, "with other options")
    assert other.id != entry.id
    publish(place.target, other, files, keep=5)
    assert not any(entry.id in name for name in place.names())
    assert [row["id"] for row in json.loads(place.read("index.json"))["reports"]] == [other.id]


@pytest.mark.parametrize("step", ["put_report", "write_index", "write_page"])
def test_a_failure_leaves_what_was_published_before(
    place: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    first, files = _made(tmp_path, 1)
    publish(place.target, first, files, keep=1)
    latest = place.read("latest.html")
    second, files = _made(tmp_path, 2)

    def fail(*_: object, **__: object) -> None:
        raise RunError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(type(place.target), step, fail)
        with pytest.raises(RunError, match="disk is full"):
            publish(place.target, second, files, keep=1)
    assert place.read("latest.html") == latest
    assert place.read(f"reports/{first.id}/report.html").startswith("report.html of 1")
    # The next time all is well.
    publish(place.target, second, files, keep=1)
    assert second.id in place.read("latest.html")


def test_s3_that_fails_half_way_leaves_no_half_report(
    bucket: _Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = bucket
    first, files = _made(tmp_path, 1)
    publish(place.target, first, files, keep=2)
    before = place.names()
    second, files = _made(tmp_path, 2)
    client = place.target._client()
    really, calls = client.put_object, list[str]()

    def put_object(**arguments: Any) -> Any:
        calls.append(arguments["Key"])
        if len(calls) == 3:
            # What S3 does with a bucket that is not there.
            arguments["Bucket"] = "gone"
        return really(**arguments)

    monkeypatch.setattr(client, "put_object", put_object)
    with pytest.raises(
        RunError, match=r"cannot publish to s3://reports/ecr/nightly: .*NoSuchBucket.*s3:PutObject"
    ):
        publish(place.target, second, files, keep=2)
    assert len(calls) == 3
    assert place.names() == before


def test_objects_say_what_they_are_and_are_encrypted_as_wanted(bucket: _Bucket, tmp_path: Path) -> None:
    target = BucketTarget("s3://reports", kms_key="alias/reports")
    entry, files = _made(tmp_path, 1)
    publish(target, entry, files, keep=1)
    for name, kind, cache in (
        ("index.html", "text/html; charset=utf-8", "no-cache"),
        ("index.json", "application/json", "no-cache"),
        (f"reports/{entry.id}/images.csv", "text/csv; charset=utf-8", "private, max-age=31536000"),
    ):
        about = bucket.s3.head_object(Bucket="reports", Key=name)
        assert (about["ContentType"], about["CacheControl"]) == (kind, cache)
        assert about["ServerSideEncryption"] == "aws:kms"
        assert about["SSEKMSKeyId"].endswith("alias/reports")


def test_of_two_publishers_at_once_both_are_in_the_index(place: Any, tmp_path: Path) -> None:
    mine, files = _made(tmp_path, 1)
    theirs, other_files = _made(tmp_path, 2)
    target, really = place.target, place.target.write_index
    other = FolderTarget(place.target.folder) if isinstance(place, _Folder) else BucketTarget(target.label)
    interrupted = list[int]()

    def write_index(data: bytes, version: str | None) -> None:
        if not interrupted:
            interrupted.append(1)
            publish(other, theirs, other_files, keep=5)
        really(data, version)

    target.write_index = write_index
    published = publish(target, mine, files, keep=5)
    assert [report.run for report in published.catalog.reports] == [2, 1]
    assert theirs.id in place.read("latest.html")


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 1}', '{"format": 1, "reports": [{"id": "../x"}]}'])
def test_an_index_of_somebody_else_is_left_alone(place: Any, tmp_path: Path, text: str) -> None:
    place.target.write_page("index.json", text.encode())
    entry, files = _made(tmp_path, 1)
    with pytest.raises(RunError, match=r"index\.json is not an index that demurrage wrote"):
        publish(place.target, entry, files, keep=1)
    assert place.read("index.json") == text


def test_an_index_of_a_later_version_is_left_alone() -> None:
    with pytest.raises(RunError, match="upgrade demurrage"):
        read_catalog(b'{"format": 2, "reports": []}', "here")


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "a/../b", "a\\b", ""])
def test_an_index_cannot_name_files_elsewhere(tmp_path: Path, name: str) -> None:
    entry, _ = _made(tmp_path, 1)
    data = write_catalog(Catalog((replace(entry, files=(name,)),)))
    with pytest.raises(RunError, match="no name of a report's file"):
        read_catalog(data, "here")


@given(runs=st.lists(st.integers(1, 30), max_size=20), keep=st.integers(1, 5))
def test_an_index_holds_the_newest_runs_each_once_and_the_last_that_was_added(
    runs: list[int], keep: int
) -> None:
    entry = PublishedReport(
        id="20261123T020000Z-run1-0123456789ab",
        run=1,
        taken_from=REPORT.taken_from,
        taken_to=REPORT.taken_to,
        headline=entry_of(REPORT, {}).headline,
        files=(),
    )
    catalog, gone = Catalog(), set[str]()
    for number, run in enumerate(runs):
        one = replace(entry, id=f"20261123T020000Z-run{run}-{number:012x}", run=run)
        catalog, dropped = added(catalog, one, keep)
        gone |= {report.id for report in dropped}
        assert one in catalog.reports
        kept = [report.run for report in catalog.reports]
        assert kept == sorted(set(kept), reverse=True)
        assert len(kept) <= keep + 1
        assert gone.isdisjoint(report.id for report in catalog.reports)
        assert read_catalog(write_catalog(catalog), "here") == catalog


def test_what_is_not_known_is_said_in_the_index() -> None:
    unknown = Money.unknown("artifacts of <unknown> size")
    report = replace(REPORT, totals=replace(REPORT.totals, cost_low=unknown, cost_high=unknown))
    page = render_index(Catalog((entry_of(report, {}),)))
    assert "unknown" in page
    assert "artifacts of &lt;unknown&gt; size" in page
    # Nothing was ever listed: cost, size and images.
    assert render_index(Catalog((entry_of(nothing_known(), {}),))).count(">unknown<") == 3
    assert "No report has been published" in render_index(Catalog())
    assert 'url=index.html"' in render_latest(Catalog())


@pytest.mark.parametrize("url", ["s3://", "s3://Bucket", "s3://a", "s3:///prefix", "s3://bucket name/x"])
def test_what_is_no_bucket_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="--publish"):
        BucketTarget(url)


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="no folder here that refuses root")
def test_a_folder_that_cannot_be_written_is_refused() -> None:
    with pytest.raises(InputError, match="name another folder"):
        FolderTarget(Path("/proc/nothing"))


def test_kinds_of_files_are_known_by_their_names() -> None:
    assert content_type("a/B.HTML") == "text/html; charset=utf-8"
    assert content_type("layers.parquet") == "application/vnd.apache.parquet"
    assert content_type("noname") == "application/octet-stream"
