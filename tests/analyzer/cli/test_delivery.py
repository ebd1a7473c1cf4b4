"""What `run` and `report` do with a report: publish it, tell of it, and fail without losing it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.analyzer.cli.conftest import Outcome
from tests.analyzer.publishing.test_notify import _hook
from tests.support.stub_ecr import Fault, Server

RUN = ("run", "--region", "eu-west-1", "--output-dir", "out", "--db", "sqlite:///night.sqlite", "--quiet")


def _index(folder: str = "published") -> list[int]:
    document = json.loads(Path(folder, "index.json").read_text(encoding="utf-8"))
    return [report["run"] for report in document["reports"]]


@pytest.mark.usefixtures("aws")
def test_two_nights_are_published_and_told_with_what_changed(demurrage: Callable[..., Outcome]) -> None:
    options = ("--publish", "published", "--notify", "digest.json", "--alert-cost-above", "0")
    nights = [demurrage(*RUN, *options, "--alert-growth-above", "5") for _ in range(2)]
    assert [night.status for night in nights] == [0, 0]
    assert _index() == [2, 1]
    page = json.loads(Path("published/index.json").read_text(encoding="utf-8"))["reports"][0]["page"]
    assert Path("published", page).read_bytes() == Path("out/report.html").read_bytes()
    digest = json.loads(Path("digest.json").read_text(encoding="utf-8"))
    assert (digest["now"]["run"], digest["changes"]["before"]["run"]) == (2, 1)
    assert digest["changes"]["stored_bytes"] == 0
    assert digest["changes"]["cost"]["amount"] == "0.00"
    assert digest["places"] == ["published"]
    assert digest["findings"] is not None
    # The cost is above nothing, and did not grow.
    (alert,) = digest["alerts"]
    assert "above 0.00 USD" in alert
    assert f"alert: {alert}" in nights[1].err


@pytest.mark.usefixtures("aws")
def test_nobody_is_told_of_a_quiet_night_who_wants_alerts_alone(demurrage: Callable[..., Outcome]) -> None:
    done = demurrage(*RUN, "--notify", "digest.txt", "--notify-when", "alert", "--alert-cost-above", "1e9")
    assert done.status == 0
    assert not Path("digest.txt").exists()


@pytest.mark.usefixtures("aws")
def test_what_cannot_be_told_fails_the_night_and_loses_nothing(demurrage: Callable[..., Outcome]) -> None:
    with _hook(404) as hook:
        done = demurrage(*RUN, "--publish", "published", "--notify", hook.url, "--notify", "digest.txt")
    assert done.status == 1
    assert "digest failed: cannot notify the webhook at 127.0.0.1: HTTP status 404" in done.err
    assert "sesame" not in done.err
    assert Path("out/report.html").exists()
    assert _index() == [1]
    # The others are told all the same.
    assert Path("digest.txt").exists()


@pytest.mark.usefixtures("aws")
def test_what_cannot_be_published_is_told_to_those_who_are_told(demurrage: Callable[..., Outcome]) -> None:
    Path("published").mkdir()
    Path("published/index.json").write_text("not ours", encoding="utf-8")
    done = demurrage(*RUN, "--publish", "published", "--publish", "other", "--notify", "digest.txt")
    assert done.status == 1
    assert "publish failed: published/index.json is not an index that demurrage wrote" in done.err
    assert _index("other") == [1]
    digest = Path("digest.txt").read_text(encoding="utf-8")
    assert "1 step failed" in digest
    assert "FAILED: publish: published/index.json" in digest


def test_a_night_that_reads_nothing_is_told_of(demurrage: Callable[..., Outcome], aws: Server) -> None:
    aws.stub.faults.append(Fault("code", "GetCallerIdentity", code="ExpiredToken", message="it is over"))
    done = demurrage(*RUN, "--notify", "digest.txt", "--publish", "published")
    assert done.status == 1
    assert "FAILED: collect: " in Path("digest.txt").read_text(encoding="utf-8")
    assert not Path("published/index.json").exists()


@pytest.mark.usefixtures("aws")
def test_pulls_are_read_in_the_same_run(demurrage: Callable[..., Outcome]) -> None:
    Path("trail").mkdir()
    Path("trail/broken.json.gz").write_bytes(b"no gzip")
    done = demurrage(*RUN, "--trail", "trail")
    # Nothing of it could be read: told, and the report is there.
    assert done.status == 1
    assert "ingest failed: nothing could be read" in done.err
    assert Path("out/report.html").exists()


@pytest.mark.usefixtures("aws")
def test_a_report_is_published_where_that_is_typed(
    demurrage: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert demurrage(*RUN).status == 0
    report = ("report", "--db", "sqlite:///night.sqlite")
    monkeypatch.setenv("DEMURRAGE_PUBLISH", "published")
    assert demurrage(*report).status == 0
    assert not Path("published").exists()
    done = demurrage(*report, "--publish", "published")
    assert (done.status, _index()) == (0, [1])
    assert "is in published" in done.err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--publish-kms-key", "alias/x"), "--publish-kms-key"),
        (("--publish", "s3://No_Bucket"), "--publish s3://No_Bucket"),
        (("--notify", "http://hooks.example/sesame"), "--notify: the webhook is no https URL"),
        (("--notify", "arn:aws:sns:x"), "--notify arn:aws:sns:x"),
        (("--notify", "no/folder/digest.txt"), "--notify no/folder/digest.txt"),
        (("--in-use", "nowhere.txt"), "--in-use nowhere.txt"),
        (("--protect", "a:b:c"), "--protect 'a:b:c'"),
    ],
)
@pytest.mark.usefixtures("aws")
def test_a_mistake_costs_no_night(
    demurrage: Callable[..., Outcome], options: tuple[str, ...], told: str
) -> None:
    done = demurrage(*RUN, *options)
    assert done.status == 2
    assert told in done.err
    assert "sesame" not in done.err
    assert not Path("night.sqlite").exists()
