"""The configuration file: each value is held against its option, and blamed by file and key."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.analyzer.cli.conftest import Outcome

Cli = Callable[..., Outcome]
answers = pytest.mark.usefixtures("aws")


def _write(folder: Path, text: str) -> None:
    (folder / "demurrage.toml").write_text(text)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ('stale-days = "7"', "stale-days: is '7'; write a whole number"),
        ("stale-days = 7.5", "stale-days: is 7.5; write a whole number"),
        ("stale-days = true", "stale-days: is true; write a whole number"),
        ("stale-days = 0", "stale-days: 0 is not in the range"),
        ('requests-per-second = "ten"', "requests-per-second: is 'ten'; write a number"),
        ("requests-per-second = -1", "requests-per-second: -1.0 is not in the range"),
        ("account = 123456789012", "account: is 123456789012; write text in quotes"),
        ("region = 7", "region: is 7; write text in quotes, or a list of them"),
        ('region = ["eu-west-1", 7]', "write text in quotes, or a list of them"),
        ('db = ["sqlite:///a"]', "db: is ['sqlite:///a']; write text in quotes"),
        ('db = ""', "db: is ''; write something in it, or leave the line out"),
        ('output-dir = "a\\u0000b"', "output-dir: is 'a\\x00b'; write something in it"),
        ('format = "yaml"', "format: 'yaml' is not one of"),
        ('quiet = "yes"', "quiet: is 'yes'; write true or false"),
        ("debug = 1", "debug: is 1; write true or false"),
        ("region = 1979-05-27", "region: is datetime.date"),
        ("[scope]", "scope: is a table; write text in quotes"),
        ("seed = 7", "'seed' is not for every night and must be typed"),
        ("run = 7", "'run' is not for every night and must be typed"),
        ('at = "2026-11-23"', "'at' is not for every night and must be typed"),
        ('config = "other.toml"', "'config' is not for every night"),
        ("help = true", "'help' is not an option"),
        ("colour = true", "'colour' is not an option; the options for this file are accept-gaps, account"),
        ("stale-days = 7\nstale_days = 8", "'stale_days' is there twice"),
        ("stale-days =", "is not valid TOML"),
    ],
    ids=lambda value: value.splitlines()[0],
)
@pytest.mark.parametrize("given", ["typed", "environment"])
def test_a_wrong_value_is_blamed_on_file_and_key(
    demurrage: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, complaint: str, given: str
) -> None:
    _write(tmp_path, line)
    if given == "environment":
        monkeypatch.setenv("DEMURRAGE_CONFIG", "demurrage.toml")
    # Also where the command at hand does not have the option.
    outcome = demurrage("db", "status", *(("--config", "demurrage.toml") if given == "typed" else ()))
    assert outcome.status == 2
    assert outcome.err.startswith("demurrage: --config demurrage.toml")
    assert complaint in outcome.err
    assert "DEMURRAGE_" not in outcome.err
    assert outcome.err.count("\n") == 1


@answers
def test_one_text_will_do_where_several_may_stand(demurrage: Cli, tmp_path: Path) -> None:
    _write(tmp_path, 'region = "eu-west-1"\nworkers = 2\nrequests-per-second = 100000\nquiet = true\n')
    outcome = demurrage("collect", "--config", "demurrage.toml", "--format", "json")
    assert (outcome.status, outcome.err) == (0, "")
    assert [row["region"] for row in json.loads(outcome.out)["registries"]] == ["eu-west-1"]


@answers
def test_debug_in_the_file_shows_tracebacks(
    demurrage: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("of ours")

    assert demurrage("collect", "--region", "eu-west-1").status == 0
    monkeypatch.setattr("analyzer.nightly.make_report", broken)
    _write(tmp_path, "debug = false")
    assert demurrage("report", "--config", "demurrage.toml").status == 1
    _write(tmp_path, "debug = true")
    with pytest.raises(ZeroDivisionError):
        demurrage("report", "--config", "demurrage.toml")
