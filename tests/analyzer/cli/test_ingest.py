"""`demurrage ingest` from a folder to the answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws
from sqlalchemy import text

from analyzer.cli import main
from analyzer.collect.machines import MachineFinder
from analyzer.store.engine import Database
from tests.support.ip_ranges import ip_ranges_bytes
from tests.support.trails import key, other_record, packed, record, role_identity


@pytest.fixture
def _aws_of_the_test(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An emulated AWS in this process."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "y")
    with mock_aws():
        yield


def _run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(["ingest", *arguments])
    return int(left.value.code or 0)


def test_a_folder_is_read_once_and_what_cannot_be_read_is_a_gap(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs = tmp_path / "logs"
    for name, data in {
        key(): packed([record("a"), other_record("b")]),
        "cut\x1b[2J.json.gz": packed([record("c")])[:-9],
    }.items():
        (logs / name).parent.mkdir(parents=True, exist_ok=True)
        (logs / name).write_bytes(data)
    shared = ("--db", f"sqlite:///{tmp_path}/x.sqlite", "--trail", str(logs))
    assert _run(*shared) == 4
    out = capsys.readouterr().out
    assert "1 new files (0 known), 1 new requests for layers and images (0 known)" in out
    assert "\x1b" not in out
    (logs / "cut\x1b[2J.json.gz").unlink()
    assert _run(*shared, "--format", "json") == 0
    (source,) = json.loads(capsys.readouterr().out)["sources"]
    assert (source["files"], source["files_known"], source["problems"]) == (0, 1, [])
    assert _run(*shared, "--format", "csv") == 0
    assert capsys.readouterr().out.startswith("source,files,")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ((), "nothing to read"),
        (("--trail", "no/such"), "there is no such folder"),
        (("--trail", "s3://UPPER", "--region", "eu-west-1"), "is not s3://BUCKET"),
    ],
)
def test_what_cannot_be_used_is_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], why: str
) -> None:
    assert _run("--db", f"sqlite:///{tmp_path}/x.sqlite", *arguments) == 2
    assert why in capsys.readouterr().err


_ACCOUNT = "123456789012"


def _pull(event: str, session: str, **more: Any) -> dict[str, Any]:
    return record(event, account=_ACCOUNT, identity=role_identity(_ACCOUNT, session=session), **more)


def _pullers(url: str) -> list[tuple[str, str, str, int]]:
    database = Database(url)
    try:
        with database.read() as connection:
            query = text("SELECT puller_region, method, confidence, SUM(times) FROM v_pulls GROUP BY 1, 2, 3")
            return sorted(tuple(row) for row in connection.execute(query))
    finally:
        database.engine.dispose()


@pytest.mark.usefixtures("_aws_of_the_test")
def test_instances_that_pulled_are_asked_for_and_remembered_when_they_are_gone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ec2 = boto3.client("ec2", region_name="us-east-1")
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    (instance,) = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1)["Instances"]
    s3 = boto3.client("s3", region_name="us-east-1")
    s3.create_bucket(Bucket="trail-logs")
    today = datetime.now(UTC).date().isoformat()

    def put(mark: str, *records: dict[str, Any]) -> None:
        name = key(account=_ACCOUNT, day=today, mark=mark * 16)
        s3.put_object(Bucket="trail-logs", Key=name, Body=packed(records))

    time = f"{today}T00:01:00Z"
    put(
        "A",
        _pull("a", instance["InstanceId"], time=time),
        _pull("b", "i-0123456789abcdef0", time=time),
        _pull("c", "deploy", time=time, sourceIPAddress="18.200.7.1"),
    )
    url = f"sqlite:///{tmp_path}/x.sqlite"
    given = ("--db", url, "--trail", "s3://trail-logs", "--region", "eu-west-1", "--region", "us-east-1")
    assert _run(*given) == 0
    assert "addresses tell no region: AWS's ip-ranges are not in the database" in capsys.readouterr().out
    unknown = ("", "unknown", "none")
    assert _pullers(url) == [(*unknown, 2), ("us-east-1", "instance", "high", 1)]

    # EC2 has forgotten it, and AWS's ranges are there.
    monkeypatch.setattr(MachineFinder, "find", lambda *_: [])
    put(
        "B",
        _pull("d", instance["InstanceId"], time=time),
        _pull("e", "deploy", time=time, sourceIPAddress="18.200.7.1"),
    )
    ranges = tmp_path / "ip-ranges.json"
    ranges.write_bytes(ip_ranges_bytes())
    with pytest.raises(SystemExit):
        main(["update", "--db", url, "--ip-ranges", str(ranges)])
    capsys.readouterr()
    assert _run(*given, "--format", "json") == 0
    (source,) = json.loads(capsys.readouterr().out)["sources"]
    assert not any("ip-ranges" in note for note in source["notes"])
    assert _pullers(url) == [
        (*unknown, 2),
        ("us-east-1", "address", "high", 1),
        ("us-east-1", "instance", "high", 2),
    ]
