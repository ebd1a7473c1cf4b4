"""What is needed by --in-use, --workloads, --protect and the like: the same to every command."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from analyzer.cli.needs import read_uses
from analyzer.cli.night import Night, NightPlan
from analyzer.cli.publishing import Delivery
from analyzer.collect import SilentProgress
from analyzer.errors import DemurrageError
from analyzer.nightly import ReportOptions
from analyzer.pricing import bundled_prices
from analyzer.service.steps import run_steps
from analyzer.store.opening import open_database
from tests.analyzer.cli import judged_database, test_recommend
from tests.analyzer.cli.conftest import Outcome
from tests.analyzer.cli.judged_database import HOST

Cli = Callable[..., Outcome]

ADVISED = ("--db", test_recommend.URL)
ASKED = (
    *("--in-use", "used.txt", "--workloads", "none", "--protect", "app:v1.3.*", "--keep-releases", "2"),
    *("--pulled-within", "30", "--margin", "10", "--loss", "0.2", "--age-rules"),
)


@pytest.fixture
def advised(tmp_path: Path) -> None:
    """The database of `recommend`'s tests, and a list of one image in use."""
    test_recommend._make(f"sqlite:///{tmp_path / 'advised.sqlite'}")
    (tmp_path / "used.txt").write_text(f"{HOST}/app:v1.9.0\n")


def _recommended(outcome: Outcome) -> dict[str, Any]:
    assert outcome.status == 0, outcome.err
    document: dict[str, Any] = json.loads(outcome.out)
    found: dict[str, Any] = document["recommendations"]
    return found


@pytest.mark.usefixtures("advised")
def test_the_report_recommends_what_recommend_does_by_the_same_options_and_states_them(
    demurrage: Cli,
) -> None:
    done = demurrage("report", *ADVISED, *ASKED, "--output-dir", "out", "--format", "json")
    found = _recommended(done)
    alone = demurrage("recommend", *ADVISED, *ASKED, "--format", "csv")
    assert Path("out/recommendations.csv").read_text(encoding="utf-8") == alone.out
    assert alone.out != demurrage("recommend", *ADVISED, "--format", "csv").out
    assert found["options"] == {
        "keep_releases": 2,
        "pulled_within_days": 30,
        "margin_days": 10,
        "loss": 0.2,
        "age_rules": True,
    }
    assert (found["in_use_by"], found["protect_patterns"]) == ({"workloads": "none", "listed": 1}, 1)
    page = " ".join(Path("out/report.html").read_text(encoding="utf-8").split())
    assert (
        "In use is what a list of 1 reference names; protected is what 1 pattern names. Needed are also"
        " what was pulled in the last 30 days, which no rule undercuts, and the last 2 images of each tag"
        " family; a policy must stay safe for 10 days at the present rate of pushes. Up to 20 % of the bytes"
        " is given up for round numbers and fewer rules, and rules may count days for tagged images too."
    ) in page
    assert "that are not in use; in use is what a list of 1 reference names." in page
    with Path("out/images.csv").open(encoding="utf-8", newline="") as file:
        uses = {row["tags"]: row["in_use"] for row in csv.DictReader(file) if row["repository"] == "app"}
    assert (uses["v1.9.0"], uses["v1.8.0"]) == ("listed", "unknown")


@pytest.mark.usefixtures("advised")
def test_environment_and_configuration_file_say_what_the_nightly_report_recommends_by(
    demurrage: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DEMURRAGE_KEEP_RELEASES", "2")
    monkeypatch.setenv("DEMURRAGE_PROTECT", "app:v1.3.*")
    (tmp_path / "d.toml").write_text('margin = 3\nage-rules = true\nin-use = "used.txt"\n')
    found = _recommended(demurrage("report", *ADVISED, "--config", "d.toml", "--format", "json"))
    options = found["options"]
    assert (options["keep_releases"], options["margin_days"], options["age_rules"]) == (2, 3, True)
    assert (found["in_use_by"]["listed"], found["protect_patterns"]) == (1, 1)


@pytest.mark.usefixtures("advised")
def test_a_trend_forecasts_the_policies_that_the_same_options_recommend(demurrage: Cli) -> None:
    everything = ("--protect", "*")
    report = json.loads(demurrage("report", *ADVISED, *everything, "--format", "json").out)
    trend = json.loads(demurrage("trend", *ADVISED, *everything, "--format", "json").out)
    assert trend["forecast"] == report["trend"]["forecast"]
    assert trend["forecast"] != json.loads(demurrage("trend", *ADVISED, "--format", "json").out)["forecast"]


def test_a_list_makes_an_image_one_in_use_in_findings_reports_and_exports(
    demurrage: Cli, tmp_path: Path
) -> None:
    judged_database.make_database(tmp_path)
    db = ("--db", judged_database.URL)
    (tmp_path / "used.txt").write_text(f"{HOST}/app:dev-1\n{HOST}/app:zqx-lost\nexample.com/else:1\n")
    before = json.loads(demurrage("findings", *db, "--format", "json").out)
    assert "TAKES_IN_USE" not in {one["check"] for one in before["findings"]}
    assert before["in_use_by"] == {"workloads": "all", "listed": None}

    done = demurrage("findings", *db, "--in-use", "used.txt", "--format", "json", "--fail-on", "high")
    assert done.status == 3
    document = json.loads(done.out)
    (found,) = (one for one in document["findings"] if one["check"] == "TAKES_IN_USE")
    assert (found["repository"], found["severity"]) == ("app", "high")
    (user,) = (one for one in found["evidence"] if one["kind"] == "workload")
    assert (user["name"], user["note"]) == ("list", f"listed: {HOST}/app:dev-1")
    assert document["in_use_by"] == {"workloads": "all", "listed": 3}
    unread = "to registries or repositories that were not read, example.com/else:1 for one; nothing is said"
    told = [
        f"--in-use: 1 of 3 references are {unread} of these",
        f"--in-use: 1 of 3 references are to images that are not there, {HOST}/app:zqx-lost for one",
    ]
    assert document["warnings"] == told
    assert done.err.splitlines() == told
    table = demurrage("findings", *db, "--in-use", "used.txt", "--quiet")
    assert "and what a list of 3 references names." in " ".join(table.out.split())
    assert not table.err

    asked = ("--in-use", "used.txt", "--protect", "nothing:*", "--output-dir", "out")
    done = demurrage("report", *db, *asked)
    assert done.status == 0
    unmatched = "--protect nothing:*: there is no such image"
    assert done.err.splitlines()[:3] == [*told, unmatched]
    page = Path("out/report.html").read_text(encoding="utf-8")
    assert unmatched in page
    assert not demurrage("report", *db, *asked, "--quiet").err
    rows = list(csv.DictReader(io.StringIO(Path("out/findings.csv").read_text(encoding="utf-8"))))
    assert {row["key"] for row in rows} == {one["key"] for one in document["findings"]}
    done = demurrage("export", *db, "--in-use", "used.txt", "--output-dir", "bi")
    assert (done.status, done.err.splitlines()) == (0, told)
    assert set(pq.read_table("bi/findings.parquet")["key"].to_pylist()) == {row["key"] for row in rows}
    images = pq.read_table("bi/images.parquet")
    assert "listed" in images["in_use"].to_pylist()
    assert json.loads(images.schema.metadata[b"demurrage.in_use_by"]) == document["in_use_by"]

    redacted = demurrage("report", *db, "--in-use", "used.txt", "--redact", "--format", "json")
    assert not redacted.err
    assert redacted.status == 0, redacted.err
    assert "zqx" not in redacted.out
    assert json.loads(redacted.out)["findings"]["in_use_by"] == {"workloads": "all", "listed": 3}


@pytest.mark.parametrize(
    ("command", "options", "told"),
    [
        ("findings", ("--in-use", "nowhere.txt"), "--in-use nowhere.txt"),
        ("report", ("--in-use", "broken.json"), "--in-use broken.json"),
        ("export", ("--in-use", "nowhere.txt"), "--in-use nowhere.txt"),
        ("trend", ("--in-use", "broken.json"), "--in-use broken.json"),
        ("report", ("--protect", "a:b:c"), "--protect 'a:b:c'"),
        ("trend", ("--protect", "a:b:c"), "--protect 'a:b:c'"),
    ],
)
def test_a_list_or_pattern_that_is_none_is_told_in_a_line(
    demurrage: Cli, tmp_path: Path, command: str, options: tuple[str, ...], told: str
) -> None:
    (tmp_path / "broken.json").write_text("{")
    more = ("--output-dir", "out") if command == "export" else ()
    done = demurrage(command, "--db", "sqlite:///none.sqlite", *options, *more)
    assert done.status == 2
    assert told in done.err
    assert len(done.err.splitlines()) == 1


@pytest.mark.usefixtures("advised")
def test_a_service_reads_its_list_every_night_and_makes_no_report_without_it(tmp_path: Path) -> None:
    used = tmp_path / "used.txt"
    plan = NightPlan(
        collect={},
        ingest=None,
        report=ReportOptions(prices=bundled_prices(), uses=read_uses(used)),
        in_use=used,
        delivery=Delivery(publishing=None, telling=None, secrets=()),
        output_dir=tmp_path / "out",
    )

    def night() -> tuple[str, Night]:
        database = open_database(test_recommend.URL)
        night = Night(database, plan, progress=nullcontext(SilentProgress()), known_run=1, note=print)
        with night.steps() as steps:
            results = run_steps(steps, failures=DemurrageError, ended=lambda *_: None)
        return results["report"].detail, night

    used.write_text(f"{HOST}/app:v1.9.0\n{HOST}/app:v1.8.0\n")
    _, done = night()
    assert done.report is not None
    assert done.report.recommendations is not None
    assert done.report.recommendations.use_basis.listed == 2
    needed = {row.repository: row.needed.in_use for row in done.report.recommendations.repositories}
    assert needed["app"] == 2
    used.unlink()
    why, failed = night()
    assert failed.report is None
    assert "--in-use" in why
