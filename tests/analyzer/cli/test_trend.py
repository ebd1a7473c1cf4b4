"""`demurrage trend` as a user meets it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.analyzer.cli.conftest import Outcome
from tests.analyzer.cli.judged_database import URL, make_database

Cli = Callable[..., Outcome]


@pytest.fixture
def two_nights(tmp_path: Path) -> None:
    make_database(tmp_path)


@pytest.mark.usefixtures("aws")
def test_after_a_collection_the_last_day_is_what_the_report_says(demurrage: Cli) -> None:
    assert demurrage("collect", "--region", "eu-west-1").status == 0
    report = json.loads(demurrage("report", "--format", "json").out)
    trend = json.loads(demurrage("trend", "--format", "json").out)
    today = trend["total"]["days"][-1]
    assert today["physical_bytes"] == report["totals"]["physical_bytes"]
    assert trend["reconstruction"]["points"][-1]["physical_bytes"] == report["totals"]["physical_bytes"]
    assert len(trend["unknown_days"]) == 90
    assert trend["comparisons"][0]["this"] is None
    assert report["trend"]["total"] == trend["total"]
    rows = list(csv.DictReader(io.StringIO(demurrage("trend", "--format", "csv").out)))
    days = [row for row in rows if row["row"] == "measured" and not row["repository"]]
    assert [row["known"] for row in days] == ["false"] * 90 + ["true"]
    assert days[-1]["stored_bytes_repository_scope"] == str(today["physical_bytes"]["repository"])
    assert {row["stored_bytes_repository_scope"] for row in days[:-1]} == {""}


@pytest.mark.usefixtures("two_nights")
def test_nights_without_facts_are_gaps_and_not_zeros(demurrage: Cli) -> None:
    # The nights were stored without the aggregates that a collector adds.
    trend = json.loads(demurrage("trend", "--db", URL, "--format", "json").out)
    assert {day["physical_bytes"] for day in trend["total"]["days"]} == {None}
    outcome = demurrage("trend", "--db", URL)
    assert "Unknown, and left out rather than guessed: 91 days" in outcome.out


@pytest.mark.usefixtures("two_nights")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--days", "3", "--since", "2026-11-01"), "give one of them"),
        (("--since", "2026-11-23"), "not before the day of the snapshot"),
        (("--repository", "nothing/*"), "no repository has or had such a name"),
        (("--run", "9"), "the last run is"),
        (("--policy", "missing.json"), "missing.json"),
    ],
)
def test_bad_usage_is_told_in_a_line(demurrage: Cli, arguments: tuple[str, ...], message: str) -> None:
    outcome = demurrage("trend", "--db", URL, *arguments)
    assert outcome.status == 2
    assert message in outcome.err
    assert not outcome.out


@pytest.mark.usefixtures("two_nights")
def test_a_policy_that_is_tried_is_a_scenario_of_its_name(demurrage: Cli, tmp_path: Path) -> None:
    rule = (
        '{"rulePriority":1,"selection":{"tagStatus":"any","countType":"imageCountMoreThan",'
        '"countNumber":1},"action":{"type":"expire"}}'
    )
    (tmp_path / "one.json").write_text(f'{{"rules":[{rule}]}}', encoding="utf-8")
    trend = json.loads(
        demurrage(
            "trend",
            "--db",
            URL,
            "--policy",
            "one.json",
            "--no-recommended",
            "--repository",
            "app",
            "--format",
            "json",
        ).out
    )
    scenarios = trend["forecast"]["scenarios"]
    assert [one["title"] for one in scenarios] == ["no policies", "current policies", "one.json"]
    assert [one["repositories_with_policy"] for one in scenarios] == [0, 1, 1]
    assert scenarios[2]["points"][-1]["artifacts"]["high"] == 1
    assert {row["repository"] for row in trend["forecast"]["repositories"]} == {"app"}


@pytest.mark.usefixtures("aws")
def test_recommended_policies_are_forecast_as_the_report_does(demurrage: Cli) -> None:
    assert demurrage("collect", "--region", "eu-west-1").status == 0
    report = json.loads(demurrage("report", "--format", "json").out)
    trend = json.loads(demurrage("trend", "--format", "json").out)
    advised = any(
        row["status"] in {"set", "replace", "safer"} for row in report["recommendations"]["repositories"]
    )
    assert trend["forecast"] == report["trend"]["forecast"]
    if "scenarios" in trend["forecast"]:
        names = [one["name"] for one in trend["forecast"]["scenarios"]]
        assert ("recommended" in names) == advised
