"""`demurrage frontier` as a user meets it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.analyzer.cli.conftest import Outcome
from tests.support.registry import World
from tests.support.stub_ecr import Fault, Server

Cli = Callable[..., Outcome]
REGION = ("--region", "eu-west-1")
answers = pytest.mark.usefixtures("aws")


@pytest.fixture
def collected(demurrage: Cli, aws: Server) -> Server:
    assert demurrage("collect", *REGION).status == 0
    return aws


def _curves(outcome: Outcome, by: str = "images") -> list[dict[str, Any]]:
    """The curve of the fleet, then those of the repositories."""
    assert outcome.status == 0, outcome.err
    curves: list[dict[str, Any]] = json.loads(outcome.out)["frontier"][by]
    return curves


@pytest.mark.usefixtures("collected")
def test_everything_kept_is_what_the_report_says(demurrage: Cli) -> None:
    report = json.loads(demurrage("report", "--format", "json").out)
    outcome = demurrage("frontier", "--format", "json")
    fleet, *repositories = _curves(outcome)
    today = fleet["points"][-1]
    assert today["stored_bytes"] == report["totals"]["physical_bytes"]
    for scope in ("repository", "registry"):
        assert today["cost"][scope]["amount"] == report["totals"]["cost"][scope]["amount"]
        assert today["saving"][scope]["amount"] == "0.00"
    assert json.loads(outcome.out)["at"] == report["at"]
    stored = {row["repository"]: row["points"][-1]["stored_bytes"] for row in repositories}
    assert stored == {row["repository"]: row["physical_bytes"] for row in report["repositories"]}


@pytest.mark.usefixtures("collected")
def test_keeping_fewer_never_stores_more_and_what_is_saved_is_the_rest(demurrage: Cli) -> None:
    for by in ("images", "days"):
        for curve in _curves(demurrage("frontier", "--by", by, "--format", "json"), by):
            points = curve["points"]
            assert points[0]["n"] == 1
            for scope in ("repository", "registry"):
                sizes = [point["stored_bytes"][scope] for point in points]
                assert sizes == sorted(sizes)
                whole = Decimal(points[-1]["cost"][scope]["amount"])
                for point in points:
                    parts = (Decimal(point[name][scope]["amount"]) for name in ("cost", "saving"))
                    assert abs(sum(parts) - whole) <= Decimal("0.000001")


@pytest.mark.usefixtures("collected")
def test_only_the_repositories_that_are_asked_for_keep_fewer(demurrage: Cli, world: World) -> None:
    name = next(iter(world.repositories())).name
    fleet, only = _curves(demurrage("frontier", "--repository", name, "--format", "json"))
    assert only["repository"] == name
    # Alone it is the fleet.
    assert [point["stored_bytes"] for point in fleet["points"]] == [
        point["stored_bytes"] for point in only["points"]
    ]
    everything = _curves(demurrage("frontier", "--format", "json"))
    (same,) = (curve for curve in everything if curve.get("repository") == name)
    assert same == only
    refused = demurrage("frontier", "--repository", "nothing/*")
    assert refused.status == 2
    assert "--repository nothing/*: no repository has such a name" in refused.err


@pytest.mark.usefixtures("collected")
def test_days_count_to_the_moment_that_is_asked_for(demurrage: Cli) -> None:
    soon, later = (
        _curves(demurrage("frontier", "--by", "days", "--at", at, "--format", "json"), "days")[0]["points"]
        for at in ("2100-01-01", "2100-01-02")
    )
    assert [point["n"] + 1 for point in soon[1:]] == [point["n"] for point in later[1:]]
    assert soon[-1]["kept"] == later[-1]["kept"]


@pytest.mark.usefixtures("collected")
def test_a_spreadsheet_gets_every_point(demurrage: Cli) -> None:
    rows = list(csv.DictReader(io.StringIO(demurrage("frontier", "--format", "csv").out)))
    curves = _curves(demurrage("frontier", "--format", "json"))
    assert len(rows) == sum(len(curve["points"]) for curve in curves)
    assert {row["keep"] for row in rows} == {"images"}


@pytest.mark.usefixtures("collected")
def test_a_terminal_gets_the_rungs_and_as_many_repositories_as_it_asks_for(
    demurrage: Cli, world: World
) -> None:
    outcome = demurrage("frontier")
    assert outcome.status == 0
    count = len(list(world.repositories()))
    assert outcome.out.startswith(f"{count} repositories at ")
    assert "\n1 image" in outcome.out
    assert ", or all" in outcome.out
    none = demurrage("frontier", "--top", "0")
    assert "REPOSITORY" not in none.out
    days = demurrage("frontier", "--by", "days", "--at", "2100-01-01")
    assert "what was pushed in the last N days" in days.out


@pytest.mark.usefixtures("collected")
def test_prices_of_ones_own_are_used(demurrage: Cli, tmp_path: Path) -> None:
    (tmp_path / "prices.toml").write_text('format = 1\ncurrency = "USD"\ndiscount_factor = "0.5"\n')
    own, bundled = (
        Decimal(_curves(outcome)[0]["points"][-1]["cost"]["repository"]["amount"])
        for outcome in (
            demurrage("frontier", "--format", "json", "--prices", "prices.toml"),
            demurrage("frontier", "--format", "json"),
        )
    )
    assert abs(own * 2 - bundled) <= Decimal("0.000001")


def test_what_was_not_read_is_a_gap_and_status_4(
    demurrage: Cli, aws: Server, world: World, tmp_path: Path
) -> None:
    first, second, *_ = (repository.name for repository in world.repositories())
    aws.stub.faults.append(Fault("deny", "DescribeImages", first))
    assert demurrage("collect", *REGION).status == 4
    outcome = demurrage("frontier")
    assert outcome.status == 4
    assert f"{first}: ecr:DescribeImages AccessDeniedException" in outcome.out
    assert "* leaves out: images that were never listed" in outcome.out
    assert demurrage("frontier", "--repository", second).status == 0
    (tmp_path / "gaps.toml").write_text(f'[[gap]]\nrepository = "{first}"\nreason = "agreed"\n')
    accepted = demurrage("frontier", "--accept-gaps", "gaps.toml", "--format", "json")
    assert accepted.status == 0
    assert json.loads(accepted.out)["accepted_gaps"][0]["accepted_because"] == "agreed"


@answers
def test_an_earlier_run_shows_what_was_there_then(demurrage: Cli, world: World) -> None:
    demurrage("collect", *REGION)
    before = _curves(demurrage("frontier", "--format", "json"))
    world.push_and_delete(0.5)
    demurrage("collect", *REGION)
    assert _curves(demurrage("frontier", "--run", "1", "--format", "json")) == before
    assert _curves(demurrage("frontier", "--format", "json")) != before
