"""An organization of several accounts and regions, collected over HTTP from two independent emulators."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from boto3.session import Session

from analyzer.demo import moto_faults
from analyzer.store.engine import Database
from analyzer.store.snapshots import rebuild, snapshots_of_run
from tests.analyzer.cli.conftest import Outcome
from tests.support.emulators import ministack_server, moto_server, role_session, session_of
from tests.support.registry import digest_of, manifest_text

REGIONS = ("ap-northeast-1", "eu-west-1", "us-east-1")
#: Neither emulator has all the services that workloads are read from.
REGISTRIES_ALONE = ("--workload-sources", "none")
ROLE = ("--role-name", "demurrage-reader")

#: Account, region and repository to (digest, tags) of its images.
Poured = dict[tuple[str, str, str], dict[str, tuple[str, ...]]]


@pytest.fixture
def moto(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with moto_faults.mended(), moto_server() as url:
        _point_to(url, monkeypatch, key="AKIAIOSFODNN7EXAMPLE")
        yield url


@pytest.fixture
def ministack(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with ministack_server() as url:
        _point_to(url, monkeypatch, key="111122223333")
        yield url


def _point_to(url: str, monkeypatch: pytest.MonkeyPatch, *, key: str) -> None:
    settings = {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": "not-a-secret",
        "DEMURRAGE_REQUESTS_PER_SECOND": "1000000",
        "DEMURRAGE_DB_URL": "sqlite:///night.sqlite",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)


def _manifest(*words: str, number: int) -> str:
    """A manifest that is like no other, of a size that tells where it is from."""
    seed = sum(map(ord, "".join(words))) * 1_000 + number
    return manifest_text([(digest_of(f"{words} {number}"), seed)], (digest_of(f"config {words}"), 7))


def _pour(session: Session, account: str, regions: tuple[str, ...]) -> Poured:
    """Different images in each region of the account that ``session`` leads into."""
    poured: Poured = {}
    for position, region in enumerate(regions):
        ecr = session.client("ecr", region_name=region)
        for name in ("team/app", f"only-{region}"):
            ecr.create_repository(repositoryName=name)
            images = poured[account, region, name] = {}
            for number in range(2 + position):
                text = _manifest(account, region, name, number=number)
                tag: dict[str, Any] = {"imageTag": f"v{number}"} if number else {}
                ecr.put_image(repositoryName=name, imageManifest=text, imageDigest=digest_of(text), **tag)
                images[digest_of(text)] = (f"v{number}",) if number else ()
        ecr.close()
    return poured


def _stored() -> Poured:
    """What the snapshots of the first run hold."""
    database = Database("sqlite:///night.sqlite")
    with database.read() as connection:
        reads = [rebuild(connection, snapshot) for snapshot in snapshots_of_run(connection, 1)]
    return {
        (read.key.account, read.key.region, repository.name): {
            artifact.digest: artifact.tags for artifact in repository.artifacts
        }
        for read in reads
        for repository in read.repositories
    }


def _names() -> dict[str, set[str | None]]:
    """What the snapshots say that each account is called."""
    database = Database("sqlite:///night.sqlite")
    names: dict[str, set[str | None]] = {}
    with database.read() as connection:
        for snapshot in snapshots_of_run(connection, 1):
            settings = rebuild(connection, snapshot).settings
            names.setdefault(snapshot.key.account, set()).add(settings.get("account_name"))
    return names


def test_an_organization_in_moto_is_collected_whole(moto: str, demurrage: Callable[..., Outcome]) -> None:
    own = Session(region_name="us-east-1")
    organizations = own.client("organizations")
    organizations.create_organization(FeatureSet="ALL")
    members = [
        organizations.create_account(AccountName=name, Email=f"{name}@example.org")["CreateAccountStatus"][
            "AccountId"
        ]
        for name in ("shop", "bank", "sandbox-7")
    ]
    organizations.close()
    poured = _pour(own, "123456789012", REGIONS)
    for account in members[:2]:
        poured |= _pour(role_session(own, moto, account), account, REGIONS)
    options = [word for region in REGIONS for word in ("--region", region)]
    done = demurrage(
        "collect",
        "--organization",
        *(*ROLE, *options, *REGISTRIES_ALONE),
        *("--exclude", "sandbox-*", "--format", "json"),
    )
    assert done.status == 0, done.out + done.err
    answer = json.loads(done.out)
    assert [(row["account"], row["region"]) for row in answer["registries"]] == [
        (account, region) for account in sorted(("123456789012", *members[:2])) for region in REGIONS
    ]
    assert [row["status"] for row in answer["registries"]] == ["complete"] * 9
    assert [(row["account"], row["name"]) for row in answer["skipped"]] == [(members[2], "sandbox-7")]
    # One for each account but the one whose credentials we have, whatever the regions.
    assert answer["calls"]["sts:AssumeRole"] == 2
    assert answer["calls"]["organizations:ListAccounts"] == 1
    assert _stored() == poured
    assert _names() == {"123456789012": {'"master"'}, members[0]: {'"shop"'}, members[1]: {'"bank"'}}


def test_an_organization_in_ministack_is_collected_whole(
    ministack: str, demurrage: Callable[..., Outcome]
) -> None:
    own = session_of("111122223333")
    organizations = own.client("organizations", endpoint_url=ministack)
    member = organizations.create_account(AccountName="shop", Email="shop@example.org")[
        "CreateAccountStatus"
    ]["AccountId"]
    organizations.close()
    poured = _pour(own, "111122223333", REGIONS)
    poured |= _pour(role_session(own, ministack, member), member, REGIONS)
    options = [word for region in REGIONS for word in ("--region", region)]
    done = demurrage("collect", "--organization", *ROLE, *options, *REGISTRIES_ALONE, "--format", "json")
    assert done.status == 4, done.out + done.err
    answer = json.loads(done.out)
    assert [(row["account"], row["region"]) for row in answer["registries"]] == [
        (account, region) for account in sorted(("111122223333", member)) for region in REGIONS
    ]
    # It does not have half of ECR's calls, and says so; all that there is to list it lists.
    assert {row["status"] for row in answer["registries"]} == {"complete"}
    assert answer["calls"]["sts:AssumeRole"] == 1
    assert {gap["reason"] for gap in answer["gaps"]} == {"InvalidAction"}
    assert _stored() == poured
    assert _names() == {"111122223333": {'"Master Account"'}, member: {'"shop"'}}
