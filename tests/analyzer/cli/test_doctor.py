"""`demurrage doctor` as a user meets it, against an ECR over HTTP, a dead port, and no AWS at all."""

from __future__ import annotations

import gc
import json
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import formatdate
from pathlib import Path
from typing import Any

import boto3
import pytest

from analyzer.collect import CollectOptions, examination
from analyzer.collect.examination import examine
from analyzer.collect.permissions import (
    BASE,
    PUBLIC,
    PULLS,
    READER,
    REGIONS,
    REGISTRY,
    TRAIL,
    VERIFY,
    WORKLOADS,
    permissions_of,
    policy_document,
)
from analyzer.collect.workloads import ACTIONS
from analyzer.doctor import judge
from analyzer.store.engine import Database
from analyzer.store.schema import upgrade_schema
from tests.analyzer.cli.conftest import Outcome
from tests.support.emulators import moto_server
from tests.support.registry import World
from tests.support.stub_ecr import Fault, Server
from tests.support.stub_workloads import Refused, Request

Cli = Callable[..., Outcome]
REGION = ("--region", "eu-west-1")
CALLER = "arn:aws:iam::123456789012:role/collector"


def _answer(outcome: Outcome) -> dict[str, Any]:
    document = json.loads(outcome.out)
    assert isinstance(document, dict)
    return document


def _checks(outcome: Outcome, name: str) -> list[dict[str, Any]]:
    return [check for check in _answer(outcome)["checks"] if check["id"] == name]


def _check(outcome: Outcome, name: str) -> dict[str, Any]:
    (check,) = _checks(outcome, name)
    return check


def _doctor(demurrage: Cli, *arguments: str) -> Outcome:
    return demurrage("doctor", *REGION, "--format", "json", *arguments)


def _files(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
    }


@pytest.fixture(autouse=True)
def _no_workloads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is about them asks for them: nine more services to ask take time."""
    monkeypatch.setenv("DEMURRAGE_WORKLOAD_SOURCES", "none")


@pytest.fixture
def excluded(aws: Server, world: World) -> Server:
    """An AWS where the collector's role is on the list of those whose pulls leave no trace."""
    world.registry("123456789012", "eu-west-1").pull_time_update_exclusions.append(CALLER)
    return aws


# --- all is well -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("excluded")
def test_where_all_is_well_the_status_is_0_and_nothing_is_missing(demurrage: Cli) -> None:
    outcome = _doctor(demurrage)
    answer = _answer(outcome)
    assert outcome.status == 0, outcome.out
    assert (answer["can_run"], answer["clean"], answer["missing_policies"]) == (True, True, [])
    granted = {check["id"] for check in answer["checks"] if check["id"].startswith("permission.")}
    assert granted == {f"permission.{row.action}" for row in permissions_of((REGISTRY,))}
    assert outcome.err == ""


@pytest.mark.usefixtures("excluded")
def test_the_text_is_short_and_fits_80_columns(demurrage: Cli) -> None:
    outcome = demurrage("doctor", *REGION)
    assert outcome.status == 0
    # A path that is longer than a line is not broken: it may be pasted.
    assert all(len(line) <= 80 or " " not in line.strip() for line in outcome.out.splitlines())
    assert outcome.out.splitlines()[-1].startswith("All is well.")
    assert "  ok      14 of 14\n" in outcome.out


@pytest.mark.usefixtures("aws")
def test_nothing_is_written_where_there_is_no_database(demurrage: Cli, tmp_path: Path) -> None:
    before = _files(tmp_path)
    outcome = _doctor(demurrage)
    assert _files(tmp_path) == before
    assert "would create" in _check(outcome, "database.reachable")["found"]
    outcome = _doctor(demurrage, "--db", "sqlite:///mine.sqlite")
    assert _files(tmp_path) == before
    assert "would create" in _check(outcome, "database.reachable")["found"]
    assert _check(outcome, "database.writable")["status"] == "ok"


@pytest.mark.usefixtures("aws")
def test_nothing_is_written_to_a_database_that_is_there(demurrage: Cli, tmp_path: Path) -> None:
    assert demurrage("collect", *REGION).status == 0
    # In a process of its own it would have closed its connections, and SQLite's log with them.
    gc.collect()
    before = _files(tmp_path)
    outcome = _doctor(demurrage)
    assert _files(tmp_path) == before
    assert _check(outcome, "database.schema")["status"] == "ok"
    assert "complete" in _check(outcome, "database.runs")["found"]
    assert _check(outcome, "database.snapshots")["found"].startswith("1 registry has")


def test_no_pull_is_made_and_no_preview_started(demurrage: Cli, aws: Server, world: World) -> None:
    pulled = [image.detail("1", "r") for one in world.repositories() for image in one.images.values()]
    outcome = _doctor(demurrage, "--for-verify")
    assert aws.calls["BatchGetImage"] == 1
    assert aws.calls["StartLifecyclePolicyPreview"] == 0
    assert pulled == [image.detail("1", "r") for one in world.repositories() for image in one.images.values()]
    assert _check(outcome, "permission.ecr:StartLifecyclePolicyPreview")["status"] == "skipped"
    assert _check(outcome, "permission.ecr:GetLifecyclePolicyPreview")["status"] == "ok"


# --- permissions -------------------------------------------------------------------------------------


def test_each_action_denied_is_what_the_policy_grants(excluded: Server) -> None:
    # One session for all: each command makes its own, which takes longer than all the rest.
    session, options = boto3.Session(), CollectOptions(regions=("eu-west-1",))
    for row in permissions_of((REGISTRY,)):
        excluded.stub.faults[:] = [Fault("deny", row.operation)]
        found = judge([], examine([session], options), datetime.now(UTC))
        (missing,) = found.missing
        assert missing.account == "123456789012"
        assert missing.actions == (row.action,)
        assert missing.policy == policy_document([row], "aws")
        (check,) = (check for check in found.checks if check.id == f"permission.{row.action}")
        assert check.status == "failed"
        assert not found.is_clean
        # Without the list of repositories there is nothing to report on.
        assert found.can_run == (row.operation != "DescribeRepositories")


def test_what_reads_workloads_is_looked_for_where_they_are_read(demurrage: Cli, excluded: Server) -> None:
    def refuse(_: Request) -> dict[str, object]:
        raise Refused("AccessDeniedException", "not authorized to perform: lambda:GetFunction")

    excluded.stub.workloads.answers = {
        "lambda:GetFunction": refuse,
        "eks:ListClusters": {"clusters": ["one"]},
    }
    outcome = _doctor(demurrage, "--workload-sources", "lambda,eks")
    assert outcome.status == 4
    (missing,) = _answer(outcome)["missing_policies"]
    (row,) = (row for row in permissions_of(WORKLOADS) if row.action == "lambda:GetFunction")
    assert missing["policy"] == policy_document([row], "aws")
    asked = {check["id"] for check in _answer(outcome)["checks"] if "permission" in check["id"]}
    assert {name for name in asked if "ecr:" not in name} == {
        f"permission.{action}" for source in ("lambda", "eks") for action in ACTIONS[source]
    }
    assert "1 EKS cluster" in _check(outcome, "registry.pods")["found"]
    assert _check(outcome, "registry.pods")["status"] == "warning"
    outcome = _doctor(demurrage, "--workload-sources", "eks", "--eks-pods")
    assert _check(outcome, "registry.pods")["status"] == "skipped"
    assert outcome.status == 0


def test_a_preview_permission_is_looked_for_only_when_asked(demurrage: Cli, excluded: Server) -> None:
    excluded.stub.faults.append(Fault("deny", "*LifecyclePolicyPreview"))
    assert _doctor(demurrage).status == 0
    outcome = _doctor(demurrage, "--for-verify")
    assert outcome.status == 4
    (row,) = (row for row in permissions_of((VERIFY,)) if row.operation.startswith("Get"))
    assert _answer(outcome)["missing_policies"][0]["policy"] == policy_document([row], "aws")


@pytest.mark.usefixtures("excluded")
def test_permissions_for_pulls_are_looked_for_only_when_asked(demurrage: Cli) -> None:
    names = {f"permission.{row.action}" for row in permissions_of(PULLS)}
    assert not names & {check["id"] for check in _answer(_doctor(demurrage))["checks"]}
    assert names <= {check["id"] for check in _answer(_doctor(demurrage, "--for-pulls"))["checks"]}


def test_the_policy_to_paste_ends_the_text(demurrage: Cli, excluded: Server) -> None:
    excluded.stub.faults.append(Fault("deny", "GetLifecyclePolicy"))
    outcome = demurrage("doctor", *REGION)
    assert outcome.status == 4
    out = outcome.out
    document = json.loads(out[out.index("\n{") : out.index("\n}") + 2])
    assert document["Statement"][0]["Action"] == ["ecr:GetLifecyclePolicy"]


def test_an_explicit_deny_is_not_mended_by_a_grant(demurrage: Cli, excluded: Server) -> None:
    said = "User is not authorized to perform: x with an explicit deny in a service control policy"
    excluded.stub.faults.append(Fault("code", "DescribeRegistry", code="AccessDeniedException", message=said))
    check = _check(_doctor(demurrage), "permission.ecr:DescribeRegistry")
    assert "forbidden" in check["mend"]
    assert "service control policy" in check["found"]


def test_an_operation_that_is_not_served_is_unknown_and_not_missing(demurrage: Cli, excluded: Server) -> None:
    excluded.stub.faults.append(Fault("code", "GetAccountSetting", code="UnknownOperationException"))
    outcome = _doctor(demurrage)
    check = _check(outcome, "permission.ecr:GetAccountSetting")
    assert check["status"] == "unknown"
    assert check["found"].startswith("not offered here")
    assert _answer(outcome)["missing_policies"] == []
    assert outcome.status == 4


def test_without_a_repository_what_is_about_one_is_unknown(
    demurrage: Cli, excluded: Server, world: World
) -> None:
    world.registry("123456789012", "eu-west-1").repositories.clear()
    outcome = _doctor(demurrage)
    check = _check(outcome, "permission.ecr:BatchGetImage")
    assert check["status"] == "unknown"
    assert "no repository" in check["found"]
    assert excluded.calls["BatchGetImage"] == 0
    assert outcome.status == 4


@pytest.mark.usefixtures("excluded")
def test_what_another_region_grants_is_not_unknown_where_nothing_is(demurrage: Cli, world: World) -> None:
    world.registry("123456789012", "us-east-1").pull_time_update_exclusions.append(CALLER)
    outcome = _doctor(demurrage, "--region", "us-east-1")
    found = {check["subject"]: check for check in _checks(outcome, "permission.ecr:BatchGetImage")}
    assert found["123456789012/eu-west-1"]["status"] == "ok"
    assert found["123456789012/us-east-1"]["status"] == "skipped"
    assert found["123456789012/us-east-1"]["found"].endswith("granted in eu-west-1")
    assert outcome.status == 0


def test_a_pull_through_cache_is_not_asked_for_an_image(
    demurrage: Cli, excluded: Server, world: World
) -> None:
    registry = world.registry("123456789012", "eu-west-1")
    names = sorted(registry.repositories)
    prefix = names[0].split("/")[0]
    registry.pull_through_cache_rules.append(
        {"ecrRepositoryPrefix": prefix, "upstreamRegistryUrl": "quay.io"}
    )
    others = [name for name in names if not name.startswith(f"{prefix}/")]
    found = _check(_doctor(demurrage), "permission.ecr:BatchGetImage")["found"]
    if others:
        assert found == f"asked about {others[0]}"
    registry.pull_through_cache_rules.append({"ecrRepositoryPrefix": "ROOT", "upstreamRegistryUrl": "x.io"})
    before = excluded.calls["BatchGetImage"]
    check = _check(_doctor(demurrage), "permission.ecr:BatchGetImage")
    assert (check["status"], excluded.calls["BatchGetImage"]) == ("unknown", before)


@pytest.mark.usefixtures("aws")
def test_a_role_that_is_not_excluded_is_told_how_to_be(demurrage: Cli) -> None:
    outcome = _doctor(demurrage)
    check = _check(outcome, "registry.exclusion")
    assert check["status"] == "warning"
    assert check["mend"].endswith(
        "aws ecr register-pull-time-update-exclusion --region eu-west-1 --principal-arn " + CALLER
    )
    assert outcome.status == 4


def test_one_registry_out_of_reach_does_not_stop_the_others(demurrage: Cli, excluded: Server) -> None:
    excluded.stub.faults.append(
        Fault("code", "DescribeRepositories", times=1, code="UnrecognizedClientException")
    )
    outcome = _doctor(demurrage, "--region", "us-east-1")
    found = sorted((check["status"], check["blocks_run"]) for check in _checks(outcome, "registry.reachable"))
    assert found == [("failed", False), ("ok", False)]
    assert outcome.status == 4


def test_hostile_words_of_aws_are_written_out(demurrage: Cli, excluded: Server) -> None:
    excluded.stub.faults.append(
        Fault("code", "DescribeRegistry", code="AccessDeniedException", message="no \x1b[31m\u202e way")
    )
    out = demurrage("doctor", *REGION).out
    assert "\x1b" not in out
    assert "\u202e" not in out


# --- what a night does beside its registries ---------------------------------------------------------


@pytest.mark.usefixtures("excluded")
def test_what_is_configured_for_publishing_and_telling_is_tried(
    demurrage: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "trail").mkdir()
    monkeypatch.setenv("DEMURRAGE_PUBLISH", "shared new/reports")
    monkeypatch.setenv("DEMURRAGE_NOTIFY", "http://localhost:9/hooks/secret digest.json")
    monkeypatch.setenv("DEMURRAGE_TRAIL", "trail")
    before = set(_files(tmp_path))
    outcome = _doctor(demurrage)
    assert outcome.status == 0, outcome.out
    assert set(_files(tmp_path)) == before
    assert [check["found"] for check in _checks(outcome, "publishing.folder")] == [
        "nothing is published there yet",
        "run would make it",
    ]
    assert _check(outcome, "digest.webhook")["subject"] == "localhost"
    assert "secret" not in outcome.out
    assert _check(outcome, "digest.file")["status"] == "ok"
    assert _check(outcome, "pulls.folder")["status"] == "ok"


@pytest.mark.usefixtures("excluded")
def test_places_that_run_would_refuse_are_failed_checks(demurrage: Cli, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    publish = ("--publish", "file/reports", "--publish", "s3://A")
    trails = ("--trail", "s3://A", "--trail", "no-such-folder")
    told = ("http://example.com/hooks/secret", "no/such/folder/digest.json", "arn:aws:sns:nowhere")
    outcome = _doctor(demurrage, *publish, *trails, "--notify", " ".join(told))
    assert outcome.status == 1
    failed = [check for check in _answer(outcome)["checks"] if check["status"] == "failed"]
    assert [check["id"] for check in failed] == [
        "pulls.folder",
        "pulls.trail",
        "publishing.folder",
        "publishing.bucket",
        *["digest.place"] * len(told),
    ]
    assert all(check["blocks_run"] and check["mend"] for check in failed)
    assert "secret" not in outcome.out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--publish", "reports", "--publish-kms-key", "alias/x"), "add --publish s3://BUCKET/PREFIX"),
        (("--publish", ""), "--publish is there without a value"),
        (("--trail", " "), "--trail is there without a value"),
    ],
)
def test_places_that_make_no_sense_are_bad_usage(demurrage: Cli, options: tuple[str, ...], said: str) -> None:
    for command in (("doctor",), ("run", "--output-dir", "report")):
        outcome = demurrage(*command, *REGION, *options)
        assert outcome.status == 2
        assert said in outcome.err


@pytest.mark.usefixtures("excluded")
def test_lookup_looks_for_what_pulls_take(demurrage: Cli) -> None:
    names = {f"permission.{row.action}" for row in permissions_of(PULLS)}
    assert names <= {check["id"] for check in _answer(_doctor(demurrage, "--lookup"))["checks"]}


def test_without_credentials_places_in_aws_are_not_asked(demurrage: Cli) -> None:
    outcome = _doctor(demurrage, "--publish", "s3://reports/ecr", "--trail", "s3://trail")
    assert _check(outcome, "publishing.bucket")["status"] == "skipped"
    assert _check(outcome, "pulls.trail")["status"] == "skipped"


# --- credentials, network, configuration -------------------------------------------------------------


def test_without_credentials_the_database_is_looked_at_all_the_same(demurrage: Cli) -> None:
    outcome = _doctor(demurrage)
    assert outcome.status == 1
    check = _check(outcome, "aws.credentials")
    assert (check["status"], check["blocks_run"]) == ("failed", True)
    assert "no AWS credentials" in check["found"]
    assert _check(outcome, "database.reachable")["status"] == "ok"


@pytest.mark.usefixtures("aws")
def test_without_a_region_the_run_could_not_work(demurrage: Cli) -> None:
    outcome = demurrage("doctor", "--format", "json")
    assert outcome.status == 1
    assert "no region" in _check(outcome, "aws.configuration")["found"]


@pytest.mark.usefixtures("aws")
def test_an_unknown_profile_is_a_failed_check(demurrage: Cli) -> None:
    outcome = _doctor(demurrage, "--profile", "nobody")
    assert outcome.status == 1
    assert "nobody" in _check(outcome, "aws.configuration")["found"]


@pytest.mark.usefixtures("aws")
def test_what_is_no_region_is_bad_usage(demurrage: Cli) -> None:
    outcome = demurrage("doctor", "--region", "no region!")
    assert outcome.status == 2
    assert "not the name of an AWS region" in outcome.err


@pytest.mark.usefixtures("aws")
def test_another_account_than_wanted_is_a_failed_check(demurrage: Cli) -> None:
    outcome = _doctor(demurrage, "--account", "999999999999")
    assert outcome.status == 1
    assert "999999999999" in _check(outcome, "aws.accounts")["found"]


@pytest.mark.usefixtures("aws")
def test_an_endpoint_that_nobody_listens_at_is_a_failed_check(
    demurrage: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    outcome = _doctor(demurrage)
    assert outcome.status == 1
    assert f"127.0.0.1:{port}" in _check(outcome, "aws.endpoint")["found"]
    assert "EndpointConnectionError" in _check(outcome, "aws.credentials")["found"]


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize("url", ["nonsense", "http://"])
def test_an_endpoint_that_is_no_url_is_a_failed_check(
    demurrage: Cli, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    outcome = _doctor(demurrage)
    assert outcome.status == 1
    assert _check(outcome, "aws.credentials")["blocks_run"]


@pytest.mark.usefixtures("aws")
def test_a_mistyped_variable_is_named_with_what_it_may_be_meant_to_be(
    demurrage: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEMURRAGE_REGIONS", "eu-west-1")
    outcome = _doctor(demurrage)
    check = _check(outcome, "configuration.environment")
    assert (check["subject"], check["status"]) == ("DEMURRAGE_REGIONS", "warning")
    assert "DEMURRAGE_REGION?" in check["mend"]
    assert outcome.status == 4


@pytest.mark.usefixtures("aws")
def test_a_value_that_another_command_would_refuse_is_a_failed_check(
    demurrage: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEMURRAGE_STALE_DAYS", "ninety")
    outcome = _doctor(demurrage)
    assert outcome.status == 1
    check = _check(outcome, "configuration.environment")
    assert (check["subject"], check["status"]) == ("DEMURRAGE_STALE_DAYS", "failed")


@pytest.mark.usefixtures("aws")
def test_files_and_folders_of_the_nightly_run_are_looked_at(demurrage: Cli, tmp_path: Path) -> None:
    (tmp_path / "prices.toml").write_text("not prices")
    (tmp_path / "file").write_text("")
    (tmp_path / "night.toml").write_text(
        'output-dir = "file/report"\nprices = "prices.toml"\nin-use = "nowhere.txt"\n'
    )
    outcome = _doctor(demurrage, "--config", "night.toml")
    assert outcome.status == 1
    assert _check(outcome, "files.output_dir")["status"] == "failed"
    assert "prices.toml" in _check(outcome, "files.prices")["found"]
    assert "nowhere.txt" in _check(outcome, "files.in_use")["found"]
    (tmp_path / "night.toml").write_text('output-dir = "reports/night"\n')
    outcome = _doctor(demurrage, "--config", "night.toml")
    assert _check(outcome, "files.output_dir")["found"].endswith("run would make it")
    assert not (tmp_path / "reports").exists()
    assert "night.toml: 1 option" in _check(outcome, "configuration.file")["found"]


@pytest.mark.usefixtures("excluded")
def test_what_serve_and_findings_are_configured_with_is_looked_at(
    demurrage: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "good.toml").write_text('[[owner]]\nprefix = "team/"\nowner = "team"\n')
    (tmp_path / "night.toml").write_text('owners = "good.toml"\ntimezone = "Europe/Berlin"\n')
    outcome = _doctor(demurrage, "--config", "night.toml")
    assert outcome.status == 0
    assert _check(outcome, "files.owners")["status"] == "ok"
    assert _check(outcome, "configuration.schedule")["found"] == "30 2 * * * (Europe/Berlin)"
    monkeypatch.setenv("DEMURRAGE_SCHEDULE", "every night")
    monkeypatch.setenv("DEMURRAGE_WAIVERS", "good.toml")
    outcome = _doctor(demurrage, "--role-regions", "no-such.toml")
    assert outcome.status == 1
    for name in ("configuration.schedule", "files.waivers", "files.role_regions"):
        assert (_check(outcome, name)["status"], _check(outcome, name)["blocks_run"]) == ("failed", True)


# --- the database ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("aws")
def test_an_old_schema_is_a_failed_check_and_stays_as_it_is(demurrage: Cli, tmp_path: Path) -> None:
    database = Database("sqlite:///old.sqlite")
    upgrade_schema(database)
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE demurrage_schema SET version_num = '0001'")
    database.engine.dispose()
    before = _files(tmp_path)
    outcome = _doctor(demurrage, "--db", "sqlite:///old.sqlite")
    assert outcome.status == 1
    assert _check(outcome, "database.schema")["mend"] == "run: demurrage db upgrade"
    assert _files(tmp_path) == before


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize(
    ("url", "said"),
    [("mysql://host/x", "only SQLite and PostgreSQL"), ("sqlite:///no/such/folder/x.db", "does not exist")],
)
def test_a_database_that_cannot_be_is_a_failed_check(demurrage: Cli, url: str, said: str) -> None:
    outcome = _doctor(demurrage, "--db", url)
    assert outcome.status == 1
    assert said in _check(outcome, "database.url")["found"]


@pytest.mark.usefixtures("aws")
def test_a_file_that_is_no_database_is_a_failed_check(demurrage: Cli, tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("not a database, but long enough to be looked at " * 40)
    outcome = _doctor(demurrage, "--db", "sqlite:///text.db")
    assert outcome.status == 1
    assert "not an SQLite database" in _check(outcome, "database.reachable")["found"]


# --- an emulator of AWS ------------------------------------------------------------------------------


def _prepare_delivery() -> str:
    """A bucket called ``reports``; the ARN of a topic."""
    s3, sns = boto3.client("s3", region_name="us-east-1"), boto3.client("sns", region_name="eu-west-1")
    s3.create_bucket(Bucket="reports")
    s3.put_object(Bucket="reports", Key="audit/AWSLogs/123456789012/CloudTrail/one.json.gz", Body=b"x")
    topic: str = sns.create_topic(Name="digests")["TopicArn"]
    s3.close()
    sns.close()
    return topic


def test_an_emulator_is_examined_and_what_it_lacks_is_unknown(
    demurrage: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "demurrage-tests")
    with moto_server() as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        client = boto3.client("ecr", region_name="eu-west-1")
        client.create_repository(repositoryName="team/app")
        client.close()
        topic = _prepare_delivery()
        places = ("--publish", "s3://reports/ecr", "--trail", "s3://reports/audit", "--notify", topic)
        outcome = _doctor(demurrage, *places)
        absent = _doctor(
            demurrage, "--publish", "s3://nowhere", "--notify", f"{topic}2", "--trail", "s3://reports/other"
        )
    assert outcome.status == 4
    assert _check(outcome, "publishing.bucket")["found"] == "nothing is published there yet"
    assert _check(outcome, "permission.s3:PutObject")["status"] == "unknown"
    assert "no trail" in _check(outcome, "pulls.trail")["found"]
    assert "no file of a trail" in _check(absent, "pulls.trail")["found"]
    assert _check(absent, "pulls.trail")["blocks_run"]
    assert "nobody is subscribed" in _check(outcome, "digest.topic")["found"]
    assert "NoSuchBucket" in _check(absent, "publishing.bucket")["found"]
    assert _check(absent, "digest.topic")["status"] == "failed"
    assert absent.status == 1
    unknown = {check["id"] for check in _answer(outcome)["checks"] if check["status"] == "unknown"}
    assert "permission.ecr:GetAccountSetting" in unknown
    assert _check(outcome, "permission.ecr:DescribeImages")["status"] == "ok"
    assert _check(outcome, "permission.ecr:GetLifecyclePolicy")["status"] == "ok"
    assert _answer(outcome)["missing_policies"] == []
    # It tells the time, as AWS does.
    assert _check(outcome, "aws.clock")["status"] == "ok"


@pytest.mark.usefixtures("aws")
def test_a_clock_that_is_off_is_found_out(demurrage: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    ahead = formatdate(time.time() - 1000, usegmt=True)
    assert examination._told({"ResponseMetadata": {"HTTPHeaders": {"date": ahead}}}) == pytest.approx(
        time.time() - 1000, abs=60
    )
    monkeypatch.setattr(examination, "_told", lambda _: time.time() - 1000)
    outcome = _doctor(demurrage)
    assert outcome.status == 1
    check = _check(outcome, "aws.clock")
    assert (check["status"], check["blocks_run"]) == ("failed", True)
    assert "ahead of AWS" in check["found"]


# --- the role ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "first"), [("cloudformation", "# The role that"), ("terraform", "# The role that")]
)
def test_the_templates_are_printed_as_they_are_shipped(demurrage: Cli, form: str, first: str) -> None:
    outcome = demurrage("role", form)
    assert outcome.status == 0
    assert outcome.out.startswith(first)


def test_the_policy_is_printed_for_the_partition(demurrage: Cli) -> None:
    outcome = demurrage("role", "policy", "--partition", "aws-cn", "--for-verify")
    # There is no ECR Public.
    parts = {*READER, VERIFY} - {PUBLIC}
    assert json.loads(outcome.out) == policy_document(permissions_of(parts), "aws-cn")
    outcome = demurrage("role", "policy")
    assert json.loads(outcome.out) == policy_document(permissions_of(READER), "aws")
    outcome = demurrage("role", "policy", "--for-pulls")
    assert json.loads(outcome.out) == policy_document(permissions_of((*READER, *PULLS)), "aws")
    outcome = demurrage("role", "policy", "--without-workloads", "--without-public")
    assert json.loads(outcome.out) == policy_document(permissions_of((REGISTRY, REGIONS)), "aws")


def test_the_base_policy_leads_into_the_role_and_no_other(demurrage: Cli) -> None:
    outcome = demurrage("role", "base-policy", "--name", "/audit/reader")
    assert json.loads(outcome.out) == policy_document(permissions_of(BASE), "aws", role="audit/reader")
    assert '"arn:aws:iam::*:role/audit/reader"' in outcome.out
    outcome = demurrage("role", "base-policy", "--for-pulls")
    assert json.loads(outcome.out) == policy_document(permissions_of((*BASE, TRAIL)), "aws")
    outcome = demurrage("role", "base-policy", "--name", "*")
    assert outcome.status == 2


def test_a_policy_has_what_publishing_telling_and_a_trail_take_there_alone(demurrage: Cli) -> None:
    topic, key = "arn:aws:sns:eu-west-1:123456789012:digests", "arn:aws:kms:eu-west-1:123456789012:key/1-2"
    places = ("--publish", "s3://reports/ecr", "--notify", topic, "--trail", "s3://audit/all/AWSLogs/")
    outcome = demurrage("role", "base-policy", "--for-pulls", *places, "--publish-kms-key", key)
    granted = {
        (action, statement["Resource"])
        for statement in json.loads(outcome.out)["Statement"]
        for action in statement["Action"]
    }
    base = {
        (action, statement["Resource"])
        for statement in policy_document(permissions_of(BASE), "aws")["Statement"]
        for action in statement["Action"]
    }
    assert granted - base == {
        ("kms:Decrypt", key),
        ("kms:GenerateDataKey", key),
        ("s3:DeleteObject", "arn:aws:s3:::reports/ecr/*"),
        ("s3:GetObject", "arn:aws:s3:::reports/ecr/*"),
        ("s3:PutObject", "arn:aws:s3:::reports/ecr/*"),
        ("s3:ListBucket", "arn:aws:s3:::reports"),
        ("sns:Publish", topic),
        ("s3:GetObject", "arn:aws:s3:::audit/all/AWSLogs/*"),
        ("s3:ListBucket", "arn:aws:s3:::audit"),
        *((row.action, "*") for row in permissions_of((TRAIL,)) if row.service == "cloudtrail"),
    }
    policy = json.loads(demurrage("role", "policy", "--publish", "s3://reports").out)
    assert policy["Statement"] != policy_document(permissions_of(READER), "aws")["Statement"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("policy", "--publish", "reports"), "is not s3://BUCKET"),
        (("policy", "--trail", "folder"), "is not s3://BUCKET"),
        (("base-policy", "--notify", "https://example.com/x"), "is no topic's ARN"),
        (("policy", "--publish-kms-key", "x"), "add --publish"),
        (("terraform", "--publish", "s3://reports"), "the role of other accounts"),
    ],
)
def test_a_policy_for_what_is_no_place_in_aws_is_bad_usage(
    demurrage: Cli, arguments: tuple[str, ...], said: str
) -> None:
    outcome = demurrage("role", *arguments)
    assert outcome.status == 2
    assert said in outcome.err


def test_options_that_make_no_sense_together_are_bad_usage(demurrage: Cli) -> None:
    outcome = _doctor(demurrage, "--external-id", "x")
    assert outcome.status == 2
    assert "add --role-name" in outcome.err
