"""`demurrage update` as a user meets it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from analyzer.collect import ip_ranges
from tests.analyzer.cli.conftest import Outcome
from tests.support.ip_ranges import ip_ranges_bytes
from tests.support.stub_files import FileServer, serve_file

Cli = Callable[..., Outcome]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of AWS's form."""
    path = tmp_path / "ip-ranges.json"
    path.write_bytes(ip_ranges_bytes())
    return path


def test_a_file_is_taken_and_its_date_is_said(demurrage: Cli, file: Path) -> None:
    done = demurrage("update", "--ip-ranges", str(file))
    assert (done.status, done.err) == (0, "")
    assert done.out == f"ip-ranges of 2026-08-22T15:17:05Z from {file}\n5 prefixes, 3 regions; none before\n"
    file.write_bytes(ip_ranges_bytes(created="2026-09-01-00-00-00"))
    assert demurrage("update", "--ip-ranges", str(file)).out.endswith("; before: 2026-08-22T15:17:05Z\n")
    assert demurrage("update", "--ip-ranges", str(file)).out.endswith("; as before\n")
    file.write_bytes(ip_ranges_bytes())
    refused = demurrage("update", "--ip-ranges", str(file))
    assert (refused.status, refused.out) == (2, "")
    assert "older than what the database has" in refused.err


def test_json_and_csv_say_the_same(demurrage: Cli, file: Path) -> None:
    (entry,) = json.loads(demurrage("update", "--ip-ranges", str(file), "--format", "json").out)["updates"]
    assert entry == {
        "what": "ip-ranges",
        "created_at": "2026-08-22T15:17:05Z",
        "previous_created_at": None,
        "is_changed": True,
        "prefixes": 5,
        "regions": 3,
        "source": str(file),
    }
    (row,) = csv.DictReader(io.StringIO(demurrage("update", "--ip-ranges", str(file), "--format", "csv").out))
    assert row["created_at"] == row["previous_created_at"] == "2026-08-22T15:17:05Z"
    assert row["is_changed"] == "false"


def test_without_a_file_awss_own_is_fetched(demurrage: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve_file(FileServer(ip_ranges_bytes())) as server:
        monkeypatch.setattr(ip_ranges, "IP_RANGES_URL", server.url)
        done = demurrage("update")
        assert done.status == 0
        assert done.out.startswith("ip-ranges of 2026-08-22T15:17:05Z from ")
        assert demurrage("update").out.endswith("; as before\n")
        server.statuses = [403]
        failed = demurrage("update")
    assert (failed.status, failed.out) == (1, "")
    assert "cannot be read: HTTP status 403" in failed.err
    assert len(failed.err.splitlines()) == 1


@pytest.mark.parametrize("content", [b"", b"\xff", b"{}", None])
def test_a_file_that_is_none_is_refused_before_a_database_is_made(
    demurrage: Cli, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "none.json"
    if content is not None:
        path.write_bytes(content)
    database = tmp_path / "d.sqlite"
    refused = demurrage("update", "--ip-ranges", str(path), "--db", f"sqlite:///{database}")
    assert (refused.status, refused.out) == (2, "")
    assert refused.err.startswith(f"demurrage: --ip-ranges {path}")
    assert len(refused.err.splitlines()) == 1
    assert not database.exists()
