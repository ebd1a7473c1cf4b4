"""The demo itself: it works, says so, and keeps away from everybody's data."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from analyzer.cli import INTERRUPTED
from tests.analyzer.cli.conftest import Outcome

Cli = Callable[..., Outcome]
#: Exit status of a demo that was not refused, where `quick` stops it.
BEGUN = INTERRUPTED
OWN = "demurrage-demo/demo.sqlite"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop a demo where its work would begin."""
    monkeypatch.setattr("analyzer.demo.emulated_aws", _interrupt)


def _add_run(connection: sqlite3.Connection) -> None:
    connection.execute(
        "INSERT INTO run (started_at_ms, status, host, version) VALUES (0, 'failed', 'host', '1')"
    )


def _interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_the_demo_from_end_to_end(demurrage: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Of an operator who tries the demo where the nightly run is configured.
    monkeypatch.setenv("DEMURRAGE_DB_URL", "sqlite:///operator.sqlite")
    monkeypatch.setenv("DEMURRAGE_OUTPUT_DIR", "operator")
    monkeypatch.setenv("DEMURRAGE_OUTPUT", "operator.txt")
    monkeypatch.setenv("DEMURRAGE_CONFIG", "operator.toml")
    monkeypatch.setenv("DEMURRAGE_FORMAT", "not a format")
    (tmp_path / "operator.toml").write_text('db = "sqlite:///operator.sqlite"\nscope = "repository"\n')
    outcome = demurrage("demo", "--quiet")
    assert outcome.status == 0, outcome.err
    assert outcome.err == ""
    assert "Accepted gaps: 6" in outcome.out
    assert {path.name for path in tmp_path.iterdir()} == {"demurrage-demo", "operator.toml"}
    for name in ("DB_URL", "OUTPUT_DIR", "OUTPUT", "CONFIG", "FORMAT"):
        monkeypatch.delenv(f"DEMURRAGE_{name}")

    # SQLite's own two files go when the process ends.
    files = [
        path for path in (tmp_path / "demurrage-demo").iterdir() if path.suffix[-4:] not in {"-wal", "-shm"}
    ]
    made = {path.name: path.read_bytes() for path in files}
    document = json.loads(made["report.json"])
    assert document["totals"]["repositories"] > 50
    assert document["gaps"] == []
    found = document["findings"]["findings"]
    assert len({finding["check"] for finding in found}) > 20
    assert any(finding["severity"] == "high" for finding in found)
    assert any(finding["owner"] for finding in found)
    # A report from the database it leaves is the same to the byte, and refuses what the demo does.
    database = ("--db", f"sqlite:///{OWN}")
    gaps = ("--accept-gaps", "demurrage-demo/demo-gaps.toml")
    # The page names the policy by the path that was given.
    (tmp_path / "demo-policy.json").write_bytes(made["demo-policy.json"])
    policy = ("--policy", "demo-policy.json")
    owners = ("--owner-tag", "team")
    again = demurrage("report", *database, *gaps, *policy, *owners, "--output-dir", "again", "--quiet")
    assert (again.status, again.out, again.err) == (0, outcome.out, "")
    for path in sorted((tmp_path / "again").iterdir()):
        assert path.read_bytes() == made.pop(path.name), path.name
    assert set(made) == {"demo.sqlite", "demo.sqlite.sha256", "demo-gaps.toml", "demo-policy.json"}
    assert demurrage("what-if", *database, *gaps, *policy).status == 0
    assert demurrage("report", *database).status == 4

    # What it made it replaces, even by a demo that collects nothing; interrupted, it does not; and
    # no longer when somebody wrote to it.
    before = (tmp_path / OWN).read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("analyzer.cli.collect.collect_shown", _interrupt)
        assert demurrage("demo").status == BEGUN
        assert (tmp_path / OWN).read_bytes() == before
        patch.setattr("analyzer.cli.collect.collect_shown", lambda *_: None)
        empty = demurrage("demo")
        assert empty.status == 2
        assert "holds no snapshot" in empty.err
        assert (tmp_path / OWN).read_bytes() != before
    with sqlite3.connect(OWN) as connection:
        _add_run(connection)
    connection.close()
    before = (tmp_path / OWN).read_bytes()
    refused = demurrage("demo")
    assert refused.status == 2
    assert f"{OWN} is not as a demo left it" in refused.err
    assert (tmp_path / OWN).read_bytes() == before


@pytest.mark.usefixtures("quick")
def test_an_interrupted_demo_leaves_nothing(demurrage: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "demurrage-demo"
    assert demurrage("demo").status == BEGUN
    assert list(folder.iterdir()) == []


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("name", ["demo.sqlite", "demo.sqlite-wal"])
def test_a_database_of_that_name_that_no_demo_made_stays(demurrage: Cli, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / name).write_bytes(b"somebody's data")
    for seal in (None, f"{'0' * 64}  demo.sqlite\n", ""):
        if seal is not None:
            (folder / "demo.sqlite.sha256").write_text(seal)
        outcome = demurrage("demo", "--output-dir", "mine")
        assert outcome.status == 2
        assert "may be somebody's data" in outcome.err
        assert (folder / name).read_bytes() == b"somebody's data"


@pytest.mark.usefixtures("aws", "quick")
def test_a_typed_database_must_hold_no_runs(demurrage: Cli) -> None:
    database = ("--db", "sqlite:///night.sqlite")
    assert demurrage("demo", *database).status == BEGUN
    assert demurrage("--db", "sqlite:///night.sqlite", "demo").status == BEGUN
    with sqlite3.connect("night.sqlite") as connection:
        # Even of a run that failed something may be kept.
        _add_run(connection)
    connection.close()
    outcome = demurrage("demo", *database)
    assert outcome.status == 2
    assert "night.sqlite holds runs already" in outcome.err


@pytest.mark.usefixtures("quick")
def test_a_configuration_file_is_refused(demurrage: Cli, tmp_path: Path) -> None:
    (tmp_path / "operator.toml").write_text('db = "sqlite:///operator.sqlite"\n')
    for arguments in (("demo", "--config", "operator.toml"), ("--config", "operator.toml", "demo")):
        outcome = demurrage(*arguments)
        assert outcome.status == 2
        assert "reads no configuration file" in outcome.err


def test_the_help_says_so(demurrage: Cli) -> None:
    text = " ".join(demurrage("demo", "--help").out.split())
    assert "only what is typed counts, DEMURRAGE_… variables and configuration files do not" in text
    assert "DEMURRAGE_DB_URL" not in text
    assert "--config" not in text
