"""The commands as a user meets them, against an ECR over HTTP."""

from __future__ import annotations

import csv
import errno
import io
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from analyzer.cli import main
from analyzer.model.units import GB
from tests.analyzer.cli.conftest import Outcome
from tests.support.registry import World
from tests.support.stub_ecr import Fault, Server

Cli = Callable[..., Outcome]
answers = pytest.mark.usefixtures("aws")
REGION = ("--region", "eu-west-1")


def _expected_bytes(world: World) -> tuple[int, int, int]:
    """Logical, physical per repository and physical per registry, counted the plain way."""
    logical, per_repository = 0, 0
    everywhere: dict[str, int] = {}
    for repository in world.repositories():
        held: dict[str, int] = {}
        for image in repository.images.values():
            body = json.loads(image.manifest)
            if "layers" not in body:
                continue
            blobs = {blob["digest"]: blob["size"] for blob in [body["config"], *body["layers"]]}
            logical += sum(blobs.values())
            held |= blobs
        per_repository += sum(held.values())
        everywhere |= held
    return logical, per_repository, sum(everywhere.values())


@answers
def test_run_collects_and_reports(demurrage: Cli, world: World, tmp_path: Path) -> None:
    outcome = demurrage("run", *REGION, "--output-dir", "report", "--db", "sqlite:///night.sqlite")
    assert outcome.status == 0, outcome.err
    document = json.loads((tmp_path / "report" / "report.json").read_text())
    logical, upper, lower = _expected_bytes(world)
    assert document["totals"]["logical_bytes"] == logical
    assert document["totals"]["physical_bytes"] == {"repository": upper, "registry": lower}
    amount = Decimal(document["totals"]["cost"]["repository"]["amount"])
    assert abs(amount - Decimal(upper) / GB / 10) < Decimal("0.000001")
    assert "eu-west-1: snapshot 1 complete" in outcome.err
    assert "Storage" in outcome.out
    names = {path.name for path in (tmp_path / "report").iterdir()}
    assert {"report.html", "report.json", "repositories.csv", "images.csv", "gaps.csv"} <= names


def test_a_second_collect_of_an_unchanged_registry_fetches_no_manifest(demurrage: Cli, aws: Server) -> None:
    assert demurrage("collect", *REGION).status == 0
    first = aws.calls["BatchGetImage"]
    assert first > 0
    outcome = demurrage("collect", *REGION, "--format", "json")
    assert outcome.status == 0
    assert aws.calls["BatchGetImage"] == first
    answer = json.loads(outcome.out)
    assert "ecr:BatchGetImage" not in answer["calls"]
    assert answer["registries"][0]["snapshot"] == 2
    assert answer["registries"][0]["manifests_fetched"] == 0


@answers
def test_the_same_snapshot_gives_the_same_bytes(demurrage: Cli, tmp_path: Path) -> None:
    demurrage("collect", *REGION)
    for folder in ("one", "two"):
        assert demurrage("report", "--output-dir", folder).status == 0
    for path in sorted((tmp_path / "one").iterdir()):
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name


@answers
def test_a_report_on_an_earlier_run_shows_what_was_there_then(demurrage: Cli, world: World) -> None:
    demurrage("collect", *REGION)
    before = json.loads(demurrage("report", "--format", "json").out)
    world.push_and_delete(0.5)
    demurrage("collect", *REGION)
    now = json.loads(demurrage("report", "--format", "json").out)
    again = json.loads(demurrage("report", "--format", "json", "--run", "1").out)
    assert again["totals"] == before["totals"]
    assert now["totals"] != before["totals"]
    assert now["totals"]["physical_bytes"]["repository"] == _expected_bytes(world)[1]


def test_a_refused_call_is_a_gap_and_status_4(demurrage: Cli, aws: Server, world: World) -> None:
    name = next(iter(world.repositories())).name
    aws.stub.faults.append(Fault("deny", "DescribeImages", name))
    outcome = demurrage("collect", *REGION)
    assert outcome.status == 4
    assert f"eu-west-1/{name}: ecr:DescribeImages AccessDeniedException" in outcome.out
    report = demurrage("report", "--format", "json")
    assert report.status == 4
    document = json.loads(report.out)
    assert [(gap["repository"], gap["call"]) for gap in document["gaps"]] == [(name, "ecr:DescribeImages")]
    assert {row["status"] for row in document["repositories"] if row["repository"] == name} == {"refused"}


def test_page_tokens_that_expired_are_counted_and_no_gap(demurrage: Cli, aws: Server) -> None:
    aws.stub.page_size = 1
    aws.stub.faults.append(Fault("expire_token", "DescribeRepositories", nth=2, times=1))
    outcome = demurrage("collect", *REGION)
    assert outcome.status == 0
    assert "0 throttled, 1 page token expired; " in outcome.out
    aws.stub.faults.clear()
    outcome = demurrage("collect", *REGION)
    assert "0 throttled; " in outcome.out


def test_an_accepted_gap_is_shown_and_clean(
    demurrage: Cli, aws: Server, world: World, tmp_path: Path
) -> None:
    name = next(iter(world.repositories())).name
    aws.stub.faults.append(Fault("deny", "GetLifecyclePolicy", name))
    (tmp_path / "gaps.toml").write_text(f'[[gap]]\nrepository = "{name}"\nreason = "agreed"\n')
    outcome = demurrage(
        "run", *REGION, "--output-dir", "out", "--accept-gaps", "gaps.toml", "--format", "json"
    )
    assert outcome.status == 0
    document = json.loads(outcome.out)
    assert document["gaps"] == []
    assert document["accepted_gaps"][0]["call"] == "ecr:GetLifecyclePolicy"


def test_a_failed_night_exits_1_and_keeps_the_last_snapshot(demurrage: Cli, aws: Server) -> None:
    demurrage("collect", *REGION)
    before = json.loads(demurrage("report", "--format", "json").out)
    aws.stub.faults.append(Fault("deny", "DescribeRepositories"))
    outcome = demurrage("collect", *REGION)
    assert outcome.status == 1
    assert "what was stored before is kept" in outcome.err
    assert "Traceback" not in outcome.err
    after = json.loads(demurrage("report", "--format", "json").out)
    assert after["totals"] == before["totals"]
    assert {row["status"] for row in after["repositories"]} == {"refused"}


@answers
def test_the_output_file_appears_complete(demurrage: Cli, tmp_path: Path) -> None:
    demurrage("collect", *REGION)
    outcome = demurrage("report", "--format", "csv", "--output", "out.csv")
    assert (outcome.status, outcome.out) == (0, "")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text())))
    assert {row["row"] for row in rows} == {"repository", "shared"}
    assert [path.name for path in tmp_path.glob(".*part")] == []


def test_a_folder_that_cannot_be_written_stops_the_night_before_it_begins(
    demurrage: Cli, aws: Server, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    outcome = demurrage("run", *REGION, "--output-dir", "file/report")
    assert outcome.status == 2
    assert "--output-dir file/report cannot be written" in outcome.err
    assert not aws.calls
    assert demurrage("run", *REGION, "--output-dir", "new/report").status == 0
    assert not list(tmp_path.rglob("*.part"))


@answers
@pytest.mark.parametrize("option", ["--output-dir", "--output"])
def test_a_disk_that_fills_up_fails_the_run(
    demurrage: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    assert demurrage("collect", *REGION).status == 0
    monkeypatch.setattr("os.fsync", full)
    monkeypatch.setattr(Path, "write_text", full)
    outcome = demurrage("report", option, "answer")
    assert outcome.status == 1
    assert "No space left on device" in outcome.err
    assert outcome.err.count("\n") == 1
    assert not list(tmp_path.rglob("*.part"))


@answers
def test_an_output_file_behind_a_link_is_replaced_and_the_link_stays(demurrage: Cli, tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "link.json").symlink_to(tmp_path / "far" / "answer.json")
    assert demurrage("collect", *REGION, "--format", "json", "--output", "link.json").status == 0
    assert (tmp_path / "link.json").is_symlink()
    assert json.loads((tmp_path / "far" / "answer.json").read_text())["run"] == 1


@answers
def test_quiet_prints_only_the_answer(demurrage: Cli) -> None:
    assert demurrage("collect", *REGION, "--quiet").err == ""


@answers
def test_global_options_stand_before_or_after_the_command(demurrage: Cli) -> None:
    demurrage("--db", "sqlite:///a.sqlite", "collect", *REGION)
    before = demurrage("--db", "sqlite:///a.sqlite", "--format", "json", "report")
    after = demurrage("report", "--format", "json", "--db", "sqlite:///a.sqlite")
    assert before.status == 0
    assert before.out == after.out
    # What stands after the command counts more.
    assert demurrage("--db", "sqlite:///nowhere.sqlite", "report", "--db", "sqlite:///a.sqlite").status == 0


@answers
def test_typed_beats_environment_beats_file(
    demurrage: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    demurrage("collect", *REGION, "--db", "sqlite:///typed.sqlite")
    (tmp_path / "demurrage.toml").write_text(
        'db = "sqlite:///file.sqlite"\nstale-days = 7\nregion = ["eu-west-1"]\nformat = "json"\n'
    )
    from_file = demurrage("collect", "--config", "demurrage.toml")
    assert from_file.status == 0
    assert json.loads(from_file.out)["registries"][0]["snapshot"] == 1
    assert json.loads(demurrage("--config", "demurrage.toml", "report").out)["stale_days"] == 7
    monkeypatch.setenv("DEMURRAGE_DB_URL", "sqlite:///environment.sqlite")
    assert demurrage("report", "--config", "demurrage.toml").status == 2
    typed = demurrage("--db", "sqlite:///typed.sqlite", "report", "--config", "demurrage.toml")
    assert json.loads(typed.out)["snapshot"]["run"] == 1


@answers
def test_regions_come_from_the_environment_as_a_list(demurrage: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMURRAGE_REGION", "eu-west-1, us-east-1")
    answer = json.loads(demurrage("collect", "--format", "json").out)
    assert [row["region"] for row in answer["registries"]] == ["eu-west-1", "us-east-1"]


def _without_prices(document: dict[str, Any]) -> Any:
    return document["totals"]["cost"]["repository"]


@answers
def test_a_price_file_overrides_and_an_unknown_price_stays_unknown(demurrage: Cli, tmp_path: Path) -> None:
    demurrage("collect", *REGION)
    (tmp_path / "prices.toml").write_text('format = 1\ncurrency = "USD"\ndiscount_factor = "0.5"\n')
    full = _without_prices(json.loads(demurrage("report", "--format", "json").out))
    half = _without_prices(json.loads(demurrage("report", "--format", "json", "--prices", "prices.toml").out))
    assert abs(Decimal(full["amount"]) / 2 - Decimal(half["amount"])) < Decimal("0.000002")


@answers
def test_a_region_without_a_price_is_unknown_and_not_zero(demurrage: Cli, world: World) -> None:
    image = next(image for repository in world.repositories() for image in repository.images.values())
    world.registry(region="cn-north-1").create_repository("team/app").put_image(image.manifest)
    outcome = demurrage("collect", "--region", "eu-west-1", "--region", "cn-north-1")
    assert outcome.status == 0, outcome
    document = json.loads(demurrage("report", "--format", "json").out)
    (row,) = [row for row in document["repositories"] if row["region"] == "cn-north-1"]
    assert row["cost"]["repository"]["amount"] is None
    total = document["totals"]["cost"]["repository"]
    assert total["amount"] is not None
    assert total["leaves_out"] == ["no price for storage-standard in cn-north-1"]
    assert "Not included: no price for storage-standard in cn-north-1" in demurrage("report").out


@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_hostile_names_reach_no_terminal(
    demurrage: Cli, aws: Server, world: World, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    # ECR takes no such name; an endpoint that answers in its place may.
    monkeypatch.setattr("tests.support.stub_ecr._invalid", lambda *_: "")
    hostile = "team/\x1b[31mred\x9b\u202e[bold]x[/bold]"
    image = next(image for repository in world.repositories() for image in repository.images.values())
    (registry,) = world.registries.values()
    registry.create_repository(hostile).put_image(image.manifest)
    registry.create_repository(f"{hostile}2")
    message = "\x1b]0;title\x07 \u202e[red]message[/red]"
    aws.stub.faults.append(
        Fault("code", "DescribeImages", "team/*2", code="AccessDeniedException", message=message)
    )
    outcomes = [
        demurrage("collect", *REGION, "--format", form),
        demurrage("report", "--output-dir", "out", "--format", form),
    ]
    assert [outcome.status for outcome in outcomes] == [4, 4]
    for outcome in outcomes:
        shown = outcome.out + outcome.err
        assert not {c for c in shown if not c.isprintable()} - {"\n"}
    # Nor is it taken for markup.
    assert "[bold]x[/bold]" in outcomes[1].out
    if form == "table":
        said = " ".join(outcomes[0].out.split())
        assert "[bold]x[/bold]2: ecr:DescribeImages AccessDeniedException" in said


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("report",), "there is no database"),
        (("report", "--db", "mysql://u:secret@h/d"), "only SQLite and PostgreSQL"),
        (("report", "--db", "sqlite://"), "keeps no history"),
        (("report", "--db", "::secret::"), "not a database URL"),
        (("collect",), "no region"),
        (("collect", "--region", "eu_west_1!"), "not the name of an AWS region"),
        (("collect", "--region", "eu-west-1", "--profile", "nobody"), "nobody"),
        (("collect", "--region", "eu-west-1", "--workers", "0"), "--workers"),
        (("collect", "--requests-per-second", "nan"), "'nan' is not a number"),
        (("report", "--output-dir", ""), "it is empty; name a folder"),
        (("demo", "--output-dir", ""), "it is empty; name a folder"),
        (("recommend", "--loss", "nan"), "'nan' is not a number"),
        (("run", "--output-dir", "report", "--alert-cost-above", "NaN"), "'NaN' is not a number"),
        (("run", "--output-dir", "report", "--alert-growth-above", "inf"), "'inf' is not a number"),
        (("report", "--at", "yesterday"), "is not a time"),
        (("report", "--at", "9999-12-31T23:59:59-14:00"), "is not between the years"),
        (("report", "--at", "0001-01-01T00:00:00+14:00"), "is not between the years"),
        (("report", "--at", "9999-12-31"), "is not between the years"),
        (("report", "--output", "nowhere/answer.txt"), "there is no folder nowhere"),
        (("report", "--output", "."), "is a folder"),
        (("report", "--prices", "missing.toml"), "missing.toml"),
        (("report", "--accept-gaps", "missing.toml"), "missing.toml"),
        (("report", "--config", "missing.toml"), "missing.toml"),
        (("report", "--format", "yaml"), "--format"),
        (("run", "--region", "eu-west-1"), "--output-dir"),
        (("nonsense",), "nonsense"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_bad_usage_is_one_clear_line_and_status_2(
    demurrage: Cli, arguments: tuple[str, ...], complaint: str
) -> None:
    outcome = demurrage(*arguments)
    assert outcome.status == 2
    assert complaint in outcome.err
    assert "Traceback" not in outcome.err
    assert "secret" not in outcome.err
    assert outcome.out == ""


def test_without_credentials_it_says_how_to_configure_some(demurrage: Cli) -> None:
    outcome = demurrage("collect", *REGION)
    assert outcome.status == 1
    assert "no AWS credentials were found; configure some" in outcome.err


@answers
def test_a_run_that_is_not_there_is_refused(demurrage: Cli) -> None:
    demurrage("collect", *REGION)
    outcome = demurrage("report", "--run", "2")
    assert outcome.status == 2
    assert "the last run is 1" in outcome.err


def test_the_wrong_account_is_refused_before_anything_is_read(demurrage: Cli, aws: Server) -> None:
    outcome = demurrage("collect", *REGION, "--account", "999999999999")
    assert outcome.status == 2
    assert "123456789012" in outcome.err
    assert aws.calls["DescribeRepositories"] == 0


def test_db_status_says_the_same_as_csv_and_as_json(demurrage: Cli, tmp_path: Path) -> None:
    name = 'a,"b"'
    assert demurrage("db", "upgrade", "--db", f"sqlite:///{tmp_path / name}").status == 0
    outcome = demurrage("db", "status", "--format", "csv", "--db", f"sqlite:///{tmp_path / name}")
    assert outcome.status == 0
    (row,) = csv.DictReader(io.StringIO(outcome.out))
    same = json.loads(
        demurrage("db", "status", "--format", "json", "--db", f"sqlite:///{tmp_path / name}").out
    )
    assert row == {key: same[key] for key in ("database", "schema", "needed")}


def test_db_status_and_upgrade(demurrage: Cli) -> None:
    assert demurrage("db", "status", "--db", "sqlite:///new.sqlite").status == 2
    assert demurrage("db", "upgrade", "--db", "sqlite:///new.sqlite").status == 0
    outcome = demurrage("--format", "json", "db", "status", "--db", "sqlite:///new.sqlite")
    assert outcome.status == 0
    assert json.loads(outcome.out)["current"] is True


@answers
def test_a_fault_of_ours_is_a_line_without_debug_and_a_traceback_with_it(
    demurrage: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("of ours")

    demurrage("collect", *REGION)
    monkeypatch.setattr("analyzer.nightly.make_report", broken)
    outcome = demurrage("report")
    assert outcome.status == 1
    assert "ZeroDivisionError: of ours" in outcome.err
    assert "--debug" in outcome.err
    with pytest.raises(ZeroDivisionError):
        main(["report", "--debug"])
