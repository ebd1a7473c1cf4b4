"""Private and public registries of an account in one run, over HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from analyzer.collect import CollectOptions, CollectResult, SilentProgress, collect
from analyzer.collect.workloads import NO_WORKLOADS
from analyzer.errors import InputError
from analyzer.model.records import PUBLIC_REGION, ReadStatus, RegistryKey
from analyzer.store.engine import Database
from analyzer.store.schema import upgrade_schema
from analyzer.store.snapshots import rebuild, snapshots_of_run
from analyzer.store.writer import Store
from tests.analyzer.cli.conftest import Outcome
from tests.support.emulators import moto_server
from tests.support.registry import World, generate
from tests.support.stub_ecr import serve
from tests.support.stub_ecr_public import ALIAS, PublicServer, serve_public

ACCOUNT, REGION = "123456789012", "eu-west-1"
KEY = RegistryKey("aws", ACCOUNT, PUBLIC_REGION)
OPTIONS = CollectOptions(
    regions=(REGION, PUBLIC_REGION),
    requests_per_second=1e9,
    batch_get_image_per_second=1e9,
    attempts=1,
    workloads=NO_WORKLOADS,
)
DATABASE = "sqlite:///night.db"


@dataclass
class Account:
    """An account with a private and a public registry, collected into a database of its own."""

    server: PublicServer

    def collect(self, *regions: str) -> CollectResult:
        options = OPTIONS if not regions else CollectOptions(**{**_fields(OPTIONS), "regions": regions})
        database = Database(DATABASE)
        upgrade_schema(database)
        store = Store(database, lambda: 1_780_000_000_000)
        return collect(
            store,
            boto3.Session(),
            options,
            sleep=lambda _: None,
            public_url=self.server.url,
            progress=SilentProgress(),
        )


def _fields(options: CollectOptions) -> dict[str, Any]:
    return {name: getattr(options, name) for name in CollectOptions.__dataclass_fields__}


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Account]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-a-secret")
    monkeypatch.setenv("DEMURRAGE_DB_URL", DATABASE)
    with (
        serve(generate(2, 2, 2, 1, region=REGION)) as private,
        serve_public(generate(2, 3, 2, 8, region=PUBLIC_REGION)) as public,
    ):
        monkeypatch.setenv("AWS_ENDPOINT_URL", private.url)
        monkeypatch.setenv("AWS_ENDPOINT_URL_ECR_PUBLIC", public.url)
        yield Account(public)


def test_both_are_read_in_one_run_and_the_second_night_asks_for_no_manifest(account: Account) -> None:
    first = account.collect()
    assert {row.key.region: (row.status, row.repositories) for row in first.registries} == {
        REGION: ("complete", 2),
        PUBLIC_REGION: ("complete", 2),
    }
    assert first.gaps == ()
    assert first.calls["ecr-public:DescribeRegistries"] == 1
    fetched = account.server.calls["manifests"]
    assert fetched >= 6
    second = account.collect()
    assert (second.gaps, account.server.calls["manifests"]) == ((), fetched)
    database = Database(DATABASE)
    with database.read() as connection:
        (snapshot,) = (one for one in snapshots_of_run(connection, second.run) if one.key == KEY)
        read = rebuild(connection, snapshot)
    assert read.status is ReadStatus.COMPLETE
    assert {one.name: {a.digest for a in one.artifacts} for one in read.repositories} == {
        name: set(truth.images) for name, truth in account.server.registry.repositories.items()
    }


def test_public_alone_is_enough(account: Account) -> None:
    result = account.collect(PUBLIC_REGION)
    assert [(row.key, row.status) for row in result.registries] == [(KEY, "complete")]
    assert not any(call.startswith("ecr:") for call in result.calls)


def test_an_account_without_a_public_registry_has_no_gap(account: Account) -> None:
    account.server.world = World(account=ACCOUNT)
    result = account.collect()
    assert [row.key.region for row in result.registries] == [REGION]
    assert result.gaps == ()
    with pytest.raises(InputError, match="none of the accounts has a public registry"):
        account.collect(PUBLIC_REGION)


def test_a_denied_question_is_a_gap_that_says_what_to_do(account: Account) -> None:
    account.server.refused["DescribeRegistries"] = "AccessDeniedException"
    (gap,) = account.collect().gaps
    assert (gap.region, gap.call) == (PUBLIC_REGION, "ecr-public:DescribeRegistries")
    assert gap.detail.startswith(f"missing ecr-public:DescribeRegistries on {ACCOUNT}/public; whether the")
    assert gap.detail.endswith("; allow it, or leave public out")


def test_an_endpoint_without_the_service_is_a_gap_only_where_it_was_named(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    with moto_server() as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        monkeypatch.delenv("AWS_ENDPOINT_URL_ECR_PUBLIC")
        assert "ecr-public:DescribeRegistries" not in {gap.call for gap in account.collect("all").gaps}
        gaps = account.collect().gaps
    assert [gap.reason for gap in gaps if gap.call == "ecr-public:DescribeRegistries"] == ["NotOffered"]


def test_what_judges_policies_leaves_public_repositories_out(
    account: Account, demurrage: Callable[..., Outcome], tmp_path: Path
) -> None:
    policy = tmp_path / "keep.json"
    rule = {
        "rulePriority": 1,
        "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1},
        "action": {"type": "expire"},
    }
    policy.write_text(json.dumps({"rules": [rule]}))
    account.collect()
    said = "2 public repositories left out: these can have no lifecycle policy"
    answer = json.loads(demurrage("what-if", "--policy", str(policy), "--format", "json").out)
    assert said in answer["warnings"]
    regions = {one["region"] for one in answer["repositories"]}
    assert regions == {REGION}
    outcome = demurrage("lint", "--format", "json")
    assert said in outcome.err
    findings = json.loads(outcome.out)["findings"]
    assert {finding["region"] for finding in findings} == {REGION}
    assert said in demurrage("frontier").err


def test_an_image_is_named_by_any_alias_of_its_public_registry(
    account: Account, demurrage: Callable[..., Outcome], tmp_path: Path
) -> None:
    account.server.aliases["shop"] = "ACTIVE"
    account.collect()
    name, truth = next(iter(account.server.registry.repositories.items()))
    image = next(image for image in truth.images.values() if image.tags)
    tag = min(image.tags)
    in_use = tmp_path / "in-use.txt"
    for alias in (ALIAS, "shop"):
        reference = f"public.ecr.aws/{alias}/{name}:{tag}"
        in_use.write_text(f"{reference}\n")
        outcome = demurrage("explain", reference, "--in-use", str(in_use), "--format", "json")
        assert outcome.status == 0, outcome.err
        answer = json.loads(outcome.out)
        assert (answer["region"], answer["repository"]) == (PUBLIC_REGION, name)
        assert answer["digest"] == image.digest
        assert [use["reference"] for use in answer["users"]] == [reference]
    outcome = demurrage("explain", f"public.ecr.aws/stranger/{name}:{tag}")
    assert (outcome.status, "there is no such image" in outcome.err) == (2, True)


def test_where_all_is_public_there_is_nothing_to_judge_and_the_report_says_what_is_known(
    account: Account, demurrage: Callable[..., Outcome], tmp_path: Path
) -> None:
    account.collect(PUBLIC_REGION)
    for command in (("lint",), ("frontier",), ("verify", "--repository", "*")):
        outcome = demurrage(*command)
        assert (outcome.status, outcome.out) == (2, "")
        assert "public one, which can have no lifecycle policy" in outcome.err
    outcome = demurrage("report", "--output-dir", str(tmp_path / "report"), "--format", "json")
    assert outcome.status == 0, outcome.err
    report = json.loads(outcome.out)
    (registry,) = report["registries"]
    assert (registry["region"], registry["settings"]["scan_type"]) == (PUBLIC_REGION, "NONE")
    for repository in report["repositories"]:
        settings = repository["settings"]
        assert settings["scanning"]["frequency"] == "NOT_SCANNED"
        assert settings["exposure"]["open_to"] == "public"
        assert settings["replicated_to"] == []


def test_doctor_asks_for_each_permission_of_public_registries(
    account: Account, demurrage: Callable[..., Outcome]
) -> None:
    doctor = ("doctor", "--region", PUBLIC_REGION, "--workload-sources", "none", "--format", "json")
    checks = _permissions(demurrage(*doctor))
    assert {(name, subject): status for name, (subject, status) in checks.items()} == {
        ("DescribeRegistries", ACCOUNT): "ok",
        **{
            (name, f"{ACCOUNT}/public"): "ok"
            for name in (
                "DescribeImages",
                "DescribeRepositories",
                "GetRepositoryPolicy",
                "ListTagsForResource",
            )
        },
    }
    for name in ("DescribeImages", "GetRepositoryPolicy", "ListTagsForResource"):
        account.server.refused = {name: "AccessDeniedException"}
        outcome = demurrage(*doctor)
        assert _permissions(outcome)[name][1] == "failed"
        (missing,) = json.loads(outcome.out)["missing_policies"]
        assert missing["actions"] == [f"ecr-public:{name}"]


def _permissions(outcome: Outcome) -> dict[str, tuple[str, str]]:
    prefix = "permission.ecr-public:"
    return {
        check["id"].removeprefix(prefix): (check["subject"], check["status"])
        for check in json.loads(outcome.out)["checks"]
        if check["id"].startswith(prefix)
    }
