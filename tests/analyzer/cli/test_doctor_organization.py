"""`demurrage doctor` on an organization: who is entered, and what finding accounts and regions takes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from analyzer.collect.permissions import ORGANIZATION, REGIONS, UNITS, permissions_of, policy_document
from tests.analyzer.cli.conftest import Outcome
from tests.support.registry import World, generate
from tests.support.stub_ecr import Fault, serve_stub
from tests.support.stub_organization import Account, Organization, OrganizationStub

Cli = Callable[..., Outcome]
OWN, SHOP, BANK = "100000000001", "200000000002", "400000000004"
DOCTOR = ("doctor", "--organization", "--role-name", "demurrage-reader", "--format", "json")


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[OrganizationStub]:
    world = World(account=OWN)
    for account in (OWN, SHOP):
        registry = generate(1, 2, 2, 7, account=account).registry()
        registry.pull_time_update_exclusions += [
            f"arn:aws:iam::{account}:role/{name}" for name in ("collector", "demurrage-reader")
        ]
        world.registries[account, "eu-west-1"] = registry
    made = OrganizationStub(world, Organization(accounts={OWN: Account("own"), SHOP: Account("shop")}))
    for name, value in {
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "not-a-secret",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "DEMURRAGE_REQUESTS_PER_SECOND": "100000",
        "DEMURRAGE_WORKLOAD_SOURCES": "none",
    }.items():
        monkeypatch.setenv(name, value)
    with serve_stub(made) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        yield made


def _checks(outcome: Outcome, name: str) -> dict[str, Any]:
    return {check["subject"]: check for check in json.loads(outcome.out)["checks"] if check["id"] == name}


@pytest.mark.usefixtures("stub")
def test_every_account_of_the_organization_is_looked_at(demurrage: Cli) -> None:
    outcome = demurrage(*DOCTOR)
    assert outcome.status == 0, outcome.out
    assert set(_checks(outcome, "registry.reachable")) == {f"{OWN}/eu-west-1", f"{SHOP}/eu-west-1"}
    assert _checks(outcome, "permission.organizations:ListAccounts")[OWN]["status"] == "ok"


def test_an_account_that_lets_nobody_in_does_not_stop_the_others(
    demurrage: Cli, stub: OrganizationStub
) -> None:
    stub.organization.accounts[BANK] = Account("bank", external_id="another")
    outcome = demurrage(*DOCTOR)
    assert outcome.status == 4
    (check,) = _checks(outcome, "account.entered").values()
    assert (check["subject"], check["status"], check["blocks_run"]) == (BANK, "failed", False)
    assert "has to exist and to trust" in check["found"]
    assert set(_checks(outcome, "registry.reachable")) == {f"{OWN}/eu-west-1", f"{SHOP}/eu-west-1"}


def test_each_call_that_finds_accounts_is_named_when_it_is_denied(
    demurrage: Cli, stub: OrganizationStub
) -> None:
    for row in permissions_of((ORGANIZATION, UNITS)):
        stub.faults[:] = [Fault("deny", row.operation)]
        outcome = demurrage(*DOCTOR, "--exclude", "ou:/Root/Nowhere")
        assert outcome.status == 1
        (missing,) = json.loads(outcome.out)["missing_policies"]
        assert (missing["account"], missing["policy"]) == (OWN, policy_document([row], "aws"))


def test_one_of_the_calls_that_tell_regions_is_enough(demurrage: Cli, stub: OrganizationStub) -> None:
    listing, describing = permissions_of((REGIONS,))
    for row in (listing, describing):
        stub.faults[:] = [Fault("deny", row.operation)]
        assert json.loads(demurrage(*DOCTOR, "--region", "all").out)["missing_policies"] == []
    stub.faults[:] = [Fault("deny", row.operation) for row in (listing, describing)]
    missing = json.loads(demurrage(*DOCTOR, "--region", "all").out)["missing_policies"]
    assert {entry["account"]: entry["policy"] for entry in missing} == {
        account: policy_document([listing], "aws") for account in (OWN, SHOP)
    }
