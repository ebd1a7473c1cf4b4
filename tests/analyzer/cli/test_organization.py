"""Accounts of an organization on the command line: what is printed, in which status a run ends."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.analyzer.cli.conftest import Outcome
from tests.support.registry import World, generate
from tests.support.stub_ecr import serve_stub
from tests.support.stub_organization import Account, Organization, OrganizationStub

OWN, SHOP, GONE, BANK = "100000000001", "200000000002", "300000000003", "400000000004"
COLLECT = ("collect", "--organization", "--role-name", "demurrage-reader", "--db", "sqlite:///night.sqlite")


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[OrganizationStub]:
    world = World(account=OWN)
    for account in (OWN, SHOP):
        world.registries[account, "eu-west-1"] = generate(1, 2, 2, 7, account=account).registry()
    members = Organization(
        accounts={
            OWN: Account("management"),
            SHOP: Account("shop"),
            GONE: Account("go\x1b[31mne", state="SUSPENDED"),
            BANK: Account("bank", external_id="right"),
        }
    )
    made = OrganizationStub(world, members)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-a-secret")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("DEMURRAGE_REQUESTS_PER_SECOND", "100000")
    with serve_stub(made) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        yield made


@pytest.mark.usefixtures("stub")
def test_who_is_not_collected_and_who_lets_nobody_in_is_said(demurrage: Callable[..., Outcome]) -> None:
    done = demurrage(*COLLECT)
    assert done.status == 4
    assert f"{OWN}   eu-west-1" in done.out
    assert f"{SHOP}   eu-west-1" in done.out
    text = " ".join(done.out.split())
    assert f"Not collected: 1 account {GONE} (go�[31mne): its state is SUSPENDED" in text
    assert f"{BANK}: sts:AssumeRole AccessDenied: missing sts:AssumeRole on {BANK}; nothing of the" in text
    assert "sts:AssumeRole 2" in text
    assert "\x1b" not in done.out + done.err


def test_reports_say_what_the_accounts_are_called(
    demurrage: Callable[..., Outcome], stub: OrganizationStub, tmp_path: Path
) -> None:
    stub.organization.accounts[SHOP].name = "=shop()"
    done = demurrage("run", *COLLECT[1:], "--exclude", "bank", "--output-dir", "out")
    assert done.status == 0, done.err
    with (tmp_path / "out" / "registries.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["account"], row["account_name"]) for row in rows] == [
        (OWN, "management"),
        (SHOP, "'=shop()"),
    ]
    document = json.loads((tmp_path / "out" / "report.json").read_text())
    assert [row["account_name"] for row in document["registries"]] == ["management", "=shop()"]


@pytest.mark.usefixtures("stub")
def test_json_holds_the_same(demurrage: Callable[..., Outcome]) -> None:
    done = demurrage(*COLLECT, "--exclude", "bank", "--format", "json")
    assert done.status == 0
    answer = json.loads(done.out)
    assert [row["account"] for row in answer["skipped"]] == [GONE, BANK]
    assert answer["skipped"][1] == {
        "account": BANK,
        "name": "bank",
        "reason": "left out by --exclude bank",
    }


def test_everything_may_stand_in_the_environment(
    demurrage: Callable[..., Outcome], stub: OrganizationStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    for account in (SHOP, BANK):
        stub.organization.accounts[account].external_id = "right"
    for name, value in {
        "ORGANIZATION": "1",
        "ROLE_NAME": "demurrage-reader",
        "EXTERNAL_ID": "right",
        "SESSION_NAME": "nightly",
        "EXCLUDE": f"ban* {OWN}",
        "REGION": "all",
    }.items():
        monkeypatch.setenv(f"DEMURRAGE_{name}", value)
    done = demurrage("collect", "--db", "sqlite:///night.sqlite", "--format", "json")
    assert done.status == 0, done.err
    answer = json.loads(done.out)
    assert [(row["account"], row["region"]) for row in answer["registries"]] == [
        (SHOP, "eu-west-1"),
        (SHOP, "us-east-1"),
    ]
    assert [given["RoleSessionName"] for given in stub.assumed[SHOP]] == ["nightly"]


def test_a_run_in_which_nobody_is_let_in_fails_and_says_why(
    demurrage: Callable[..., Outcome], stub: OrganizationStub
) -> None:
    stub.organization.accounts[SHOP].external_id = "right"
    done = demurrage(*COLLECT, "--exclude", OWN, "--external-id", "wrong-one")
    assert done.status == 1
    assert f"no registry could be read ({SHOP}: missing sts:AssumeRole on {SHOP}" in done.err.replace(
        "/:", ":"
    )
    assert "wrong-one" not in done.out + done.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("collect", "--organization"), "--organization needs the role"),
        (
            ("collect", "--external-id", "hidden-1"),
            "--external-id is for the role to assume: add --role-name",
        ),
        (("collect", "--role-name", "r"), "add --account or --organization"),
        ((*COLLECT, "--region", "all", "--region", "eu-west-1"), "--region all stands alone"),
        ((*COLLECT, "--exclude", "ou:Prod"), "an organizational unit is named by its id"),
        (("verify", "--repository", "*", "--profile", "a", "--profile", "b"), "verify works with one"),
    ],
)
@pytest.mark.usefixtures("stub")
def test_what_makes_no_sense_together_is_one_line_and_leaves_no_database(
    demurrage: Callable[..., Outcome], tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    done = demurrage(*arguments)
    assert (done.status, done.out) == (2, "")
    assert message in done.err
    assert done.err.count("\n") == 1
    assert "hidden-1" not in done.err
    assert not list(tmp_path.rglob("*.sqlite"))


@pytest.mark.usefixtures("stub")
def test_a_configuration_file_may_hold_it_all_and_no_message_the_external_id(
    demurrage: Callable[..., Outcome], tmp_path: Path
) -> None:
    file = tmp_path / "demurrage.toml"
    file.write_text(
        'organization = true\nrole-name = "demurrage-reader"\nexclude = ["bank", "name:go*"]\n'
        'account = "200000000002"\ndb = "sqlite:///night.sqlite"\n'
    )
    done = demurrage("collect", "--config", str(file), "--format", "json")
    assert done.status == 0, done.err
    assert len(json.loads(done.out)["registries"]) == 2
    file.write_text("external-id = 1234567\n")
    done = demurrage("collect", "--config", str(file))
    assert done.status == 2
    assert "external-id" in done.err
    assert "1234567" not in done.err
