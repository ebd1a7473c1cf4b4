"""`demurrage ingest` from a folder to the answer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from analyzer.cli import main
from tests.support.trails import key, other_record, packed, record


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
