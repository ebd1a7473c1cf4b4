"""Accounts and regions over HTTP: what is entered, with which words, and what is said of the rest."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import pytest

from analyzer.collect import CollectOptions, CollectResult, SilentProgress, collect
from analyzer.collect.accounts import find_places
from analyzer.collect.clients import CallSettings
from analyzer.collect.credentials import RoleOptions
from analyzer.collect.places import Places
from analyzer.errors import InputError, RunError
from analyzer.model.records import Gap
from analyzer.store.engine import Database
from analyzer.store.schema import upgrade_schema
from analyzer.store.snapshots import rebuild, snapshots_of_run
from analyzer.store.writer import Store
from tests.support.registry import World, generate
from tests.support.stub_ecr import Fault, serve_stub
from tests.support.stub_organization import Account, Organization, OrganizationStub

OWN, SHOP, BANK, LAB = "100000000001", "200000000002", "300000000003", "400000000004"
ROLE = RoleOptions(template="demurrage-reader")
OPTIONS = CollectOptions(
    regions=("eu-west-1",),
    organization=True,
    role=ROLE,
    requests_per_second=1e9,
    batch_get_image_per_second=1e9,
    attempts=2,
)


def organization() -> Organization:
    return Organization(
        accounts={
            OWN: Account("management"),
            SHOP: Account("shop", parent="ou-prod"),
            BANK: Account("bank", parent="ou-prod-web"),
            LAB: Account("lab 7", parent="ou-labs"),
        },
        units={
            "ou-prod": ("r-root", "Prod"),
            "ou-prod-web": ("ou-prod", "Web"),
            "ou-labs": ("r-root", "Labs"),
        },
    )


@cache
def session() -> boto3.Session:
    """One for all tests: what takes long is to load the services' models."""
    return boto3.Session(aws_access_key_id="AKIAIOSFODNN7EXAMPLE", aws_secret_access_key="not-a-secret")


@dataclass
class Aws:
    """Serves stubs, and asks them as the collector does."""

    stack: ExitStack
    monkeypatch: pytest.MonkeyPatch
    folder: Path

    def serve(self, stub: OrganizationStub) -> OrganizationStub:
        server = self.stack.enter_context(serve_stub(stub))
        self.monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        return stub

    def find(self, options: CollectOptions = OPTIONS, **more: Any) -> Places:
        settings = CallSettings(requests_per_second=1e9, attempts=options.attempts, sleep=lambda _: None)
        return find_places([session()], replace(options, **more), settings)

    def collect(self, options: CollectOptions = OPTIONS, **more: Any) -> CollectResult:
        self.database = Database(f"sqlite:///{self.folder / 'night.db'}")
        upgrade_schema(self.database)
        store = Store(self.database, lambda: 1_780_000_000_000)
        return collect(store, session(), replace(options, **more), progress=SilentProgress())


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Aws]:
    with ExitStack() as stack:
        yield Aws(stack, monkeypatch, tmp_path)


def world() -> World:
    """Different repositories in each account."""
    made = World(account=OWN)
    for position, account in enumerate((OWN, SHOP, BANK, LAB)):
        filled = generate(position + 1, 3, 2, seed=position, account=account)
        made.registries[account, "eu-west-1"] = filled.registry()
    return made


def entered(places: Places) -> list[str]:
    return sorted({place.key.account for place in places.places})


# --- who is entered -------------------------------------------------------------------------------


def test_every_active_account_is_entered_once_and_by_its_name(aws: Aws) -> None:
    stub = aws.serve(OrganizationStub(world(), organization()))
    places = aws.find()
    assert [(place.key.account, place.account_name) for place in places.places] == [
        (OWN, "management"),
        (SHOP, "shop"),
        (BANK, "bank"),
        (LAB, "lab 7"),
    ]
    assert places.gaps == ()
    assert stub.calls["AssumeRole"] == 3
    # Empty pages and pages of two, all asked for.
    assert stub.calls["ListAccounts"] == 3
    assert stub.calls["ListRoots"] == 0
    assert [place.access.caller for place in places.places[1:]] == [
        f"arn:aws:sts::{account}:assumed-role/demurrage-reader/demurrage" for account in (SHOP, BANK, LAB)
    ]
    # The regional one of a region that is there, not the global one.
    assert stub.sts_regions == {"eu-west-1"}


@pytest.mark.parametrize(("state", "status"), [("SUSPENDED", "ACTIVE"), (None, "PENDING_CLOSURE")])
def test_an_account_that_is_not_active_is_told_and_no_gap(aws: Aws, state: str | None, status: str) -> None:
    members = organization()
    members.accounts[SHOP].state, members.accounts[SHOP].status = state, status
    members.accounts[BANK].state = None
    aws.serve(OrganizationStub(world(), members))
    places = aws.find()
    assert entered(places) == [OWN, BANK, LAB]
    assert places.skipped == ((SHOP, "shop", f"its state is {state or status}"),)
    assert places.gaps == ()


@pytest.mark.parametrize(
    ("include", "exclude", "expected"),
    [
        (("2*",), (), [SHOP]),
        (("shop", "b*"), (), [SHOP, BANK]),
        (("lab 7",), (), [LAB]),
        (("name:lab*",), (), [LAB]),
        ((), ("lab*", OWN), [SHOP, BANK]),
        (("ou:ou-prod",), (), [SHOP, BANK]),
        (("ou:/Root/Prod",), (), [SHOP, BANK]),
        (("ou:/Root/Prod/",), (), [SHOP, BANK]),
        (("ou:/Root/Prod/*",), (), [BANK]),
        (("ou:/Root/*",), ("ou:*/Web",), [SHOP, LAB]),
        (("ou:r-root",), ("ou:ou-prod",), [OWN, LAB]),
        (("shop",), ("name:shop", "ou:ou-labs"), None),
    ],
    ids=str,
)
def test_accounts_are_chosen_by_id_name_and_unit(
    aws: Aws, include: tuple[str, ...], exclude: tuple[str, ...], expected: list[str] | None
) -> None:
    stub = aws.serve(OrganizationStub(world(), organization()))
    if expected is None:
        with pytest.raises(InputError, match=r"no account is left to collect .*mend --include"):
            aws.find(include=include, exclude=exclude)
        return
    places = aws.find(include=include, exclude=exclude)
    assert entered(places) == expected
    assert {row.account for row in places.skipped} == {OWN, SHOP, BANK, LAB} - set(expected)
    # What needs no tree asks for none.
    assert bool(stub.calls["ListRoots"]) == any("ou:" in text for text in (*include, *exclude))


def test_named_accounts_join_those_of_the_organization(aws: Aws) -> None:
    members = organization()
    members.accounts["500000000005"] = Account("partner", parent="elsewhere")
    stub = OrganizationStub(world(), members)
    aws.serve(stub)
    assert entered(aws.find(accounts=(LAB,), exclude=("lab*", "5*"))) == [OWN, SHOP, BANK, LAB]
    assert entered(aws.find(organization=False, accounts=(LAB, "500000000005"))) == [LAB, "500000000005"]


def test_the_own_account_is_read_without_the_role_unless_told(aws: Aws) -> None:
    stub = aws.serve(OrganizationStub(world(), organization()))
    own = next(place for place in aws.find().places if place.key.account == OWN)
    assert own.access.is_own
    assert OWN not in stub.assumed
    own = next(place for place in aws.find(role_in_own_account=True).places if place.key.account == OWN)
    assert not own.access.is_own
    assert len(stub.assumed[OWN]) == 1


@pytest.mark.parametrize(
    ("template", "role"),
    [
        ("audit/reader", "audit/reader"),
        ("/audit/reader", "audit/reader"),
        ("reader-{account}", f"reader-{SHOP}"),
        ("arn:{partition}:iam::{account}:role/audit/reader", "audit/reader"),
        (f"arn:aws:iam::{SHOP}:role/reader", "reader"),
    ],
)
def test_the_role_is_named_by_a_template(aws: Aws, template: str, role: str) -> None:
    members = organization()
    members.accounts[SHOP].role, members.accounts[SHOP].external_id = role, "s3cret:1"
    stub = aws.serve(OrganizationStub(world(), members))
    options = RoleOptions(template=template, session_name="night@shop", external_id="s3cret:1")
    assert "s3cret" not in repr(options)
    places = aws.find(organization=False, accounts=(SHOP,), role=options)
    assert places.gaps == ()
    (asked,) = stub.assumed[SHOP]
    assert asked["RoleArn"] == f"arn:aws:iam::{SHOP}:role/{role}"
    assert (asked["RoleSessionName"], asked["ExternalId"]) == ("night@shop", "s3cret:1")
    assert asked["DurationSeconds"] == "3600"


# --- what is refused ------------------------------------------------------------------------------


def gap_of(places: Places) -> Gap:
    ((key, gap),) = places.gaps
    assert (key.account, key.region) == (gap.account, gap.region)
    return gap


@pytest.mark.parametrize("fault", ["deny", "code", "throttle", "error"])
def test_an_account_that_lets_nobody_in_is_one_gap_and_holds_up_no_other(aws: Aws, fault: Any) -> None:
    faults = [Fault(fault, "AssumeRole", SHOP, code="RegionDisabledException")]
    aws.serve(OrganizationStub(world(), organization(), faults=faults))
    places = aws.find(regions=("eu-west-1", "us-east-1"))
    assert entered(places) == [OWN, BANK, LAB]
    gap = gap_of(places)
    assert (gap.account, gap.region, gap.call) == (SHOP, "", "sts:AssumeRole")
    assert f"arn:aws:iam::{SHOP}:role/demurrage-reader has to exist and to trust arn:aws:sts::{OWN}:" in (
        gap.detail
    )


def test_a_wrong_external_id_is_not_told_to_anybody(aws: Aws) -> None:
    members = organization()
    members.accounts[SHOP].external_id = "right-one"
    aws.serve(OrganizationStub(world(), members))
    role = RoleOptions(template="demurrage-reader", external_id="wrong-one")
    gap = gap_of(aws.find(organization=False, accounts=(SHOP,), role=role))
    assert gap.reason == "AccessDenied"
    assert "with this external id" in gap.detail
    assert "wrong-one" not in gap.detail


def test_an_answer_about_another_account_is_not_believed(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    stub = aws.serve(OrganizationStub(world(), organization()))
    answer = stub._assume_role

    def swapped(parameters: dict[str, str], caller: str) -> Any:
        given = answer(parameters, caller)
        return replace(given, body=given.body.replace(f"sts::{SHOP}".encode(), f"sts::{BANK}".encode()))

    monkeypatch.setattr(stub, "_assume_role", swapped)
    places = aws.find()
    assert entered(places) == [OWN, BANK, LAB]
    assert gap_of(places).reason == "WrongAccount"


def test_credentials_that_have_ended_already_are_a_gap(aws: Aws) -> None:
    aws.serve(OrganizationStub(world(), organization(), credential_seconds=-5))
    gap = gap_of(aws.find(organization=False, accounts=(SHOP,)))
    assert gap.reason == "ExpiredCredentials"
    assert "clock" in gap.detail


@pytest.mark.parametrize("code", ["AccessDeniedException", "AWSOrganizationsNotInUseException"])
def test_a_list_of_accounts_that_is_refused_ends_the_run_unless_accounts_are_named(
    aws: Aws, code: str
) -> None:
    faults = [Fault("code", "ListAccounts", code=code)]
    aws.serve(OrganizationStub(world(), organization(), faults=faults))
    with pytest.raises(RunError, match=rf"organizations:ListAccounts .*{code}.*delegated administrator"):
        aws.find()
    places = aws.find(accounts=(SHOP,))
    assert entered(places) == [SHOP]
    assert gap_of(places).call == "organizations:ListAccounts"


def test_a_list_of_accounts_that_breaks_off_is_a_gap_of_the_rest(aws: Aws) -> None:
    faults = [Fault("code", "ListAccounts", nth=3, code="TooManyRequestsException")]
    aws.serve(OrganizationStub(world(), organization(), faults=faults))
    places = aws.find()
    assert entered(places) == [OWN, SHOP]
    assert "the list broke off after 2" in gap_of(places).detail


def test_throttling_is_waited_out(aws: Aws) -> None:
    faults = [Fault("throttle", operation, times=1) for operation in ("ListAccounts", "AssumeRole")]
    aws.serve(OrganizationStub(world(), organization(), faults=faults))
    places = aws.find()
    assert (entered(places), places.gaps) == ([OWN, SHOP, BANK, LAB], ())


def test_units_that_cannot_be_read_choose_nothing(aws: Aws) -> None:
    faults = [Fault("deny", "ListAccountsForParent", "ou-prod-web")]
    aws.serve(OrganizationStub(world(), organization(), faults=faults))
    with pytest.raises(RunError, match="organizations:ListRoots"):
        aws.find(exclude=("ou:ou-labs",))


def test_hostile_names_are_one_line_of_text(aws: Aws) -> None:
    members = organization()
    members.accounts[SHOP].name = "a\x1b[31m\nb" + "c" * 500
    aws.serve(OrganizationStub(world(), members))
    (shop,) = (place for place in aws.find().places if place.key.account == SHOP)
    assert shop.account_name.isprintable()
    assert len(shop.account_name) <= 128


# --- regions --------------------------------------------------------------------------------------

OPTED = {
    "eu-west-1": "ENABLED_BY_DEFAULT",
    "us-east-1": "ENABLED_BY_DEFAULT",
    "af-south-1": "ENABLED",
    "me-south-1": "DISABLED",
    "ap-east-1": "ENABLING",
    # Newer than botocore, and no name of a region.
    "xx-new-9": "ENABLED",
    "http://x": "ENABLED",
}


def test_all_regions_are_those_that_each_account_has_enabled(aws: Aws) -> None:
    members = organization()
    members.accounts[SHOP].regions = dict(OPTED)
    stub = aws.serve(OrganizationStub(world(), members))
    places = aws.find(regions=("all",))
    assert [place.key.region for place in places.places if place.key.account == SHOP] == [
        "af-south-1",
        "eu-west-1",
        "us-east-1",
        "xx-new-9",
    ]
    assert [place.key.region for place in places.places if place.key.account == OWN] == [
        "eu-west-1",
        "us-east-1",
    ]
    assert places.gaps == ()
    assert stub.calls["DescribeRegions"] == 0


def test_ec2_says_it_where_account_management_does_not(aws: Aws) -> None:
    members = organization()
    members.accounts[SHOP].regions = {name: OPTED[name] for name in ("eu-west-1", "af-south-1", "me-south-1")}
    aws.serve(OrganizationStub(world(), members, faults=[Fault("deny", "ListRegions")]))
    places = aws.find(regions=("all",), organization=False, accounts=(SHOP,))
    assert [place.key.region for place in places.places] == ["af-south-1", "eu-west-1"]
    assert places.gaps == ()


def test_where_neither_says_it_the_regions_that_everybody_has_are_tried(aws: Aws) -> None:
    faults = [Fault("deny", name, SHOP) for name in ("ListRegions", "DescribeRegions")]
    aws.serve(OrganizationStub(world(), organization(), faults=faults))
    places = aws.find(regions=("all",))
    of_shop = {place.key.region for place in places.places if place.key.account == SHOP}
    assert len(of_shop) == 17
    assert "af-south-1" not in of_shop
    gap = gap_of(places)
    assert (gap.account, gap.region, gap.call) == (SHOP, "", "account:ListRegions")
    assert "ec2:DescribeRegions: AccessDeniedException" in gap.detail


def test_a_named_region_that_an_account_has_not_enabled_costs_nothing_else(aws: Aws) -> None:
    members = organization()
    members.accounts[SHOP].regions["af-south-1"] = "ENABLED"
    aws.serve(OrganizationStub(world(), members))
    result = aws.collect(organization=False, accounts=(SHOP, BANK), regions=("af-south-1", "eu-west-1"))
    assert {(row.key.account, row.key.region): row.status for row in result.registries} == {
        (SHOP, "af-south-1"): "complete",
        (SHOP, "eu-west-1"): "complete",
        (BANK, "af-south-1"): "refused",
        (BANK, "eu-west-1"): "complete",
    }
    (gap,) = result.gaps
    assert "is the region enabled?" in gap.detail


# --- credentials that end while the run goes on ---------------------------------------------------


def holds_the_truth(aws: Aws, result: CollectResult, served: World) -> set[str]:
    """The accounts whose snapshot holds exactly what is served."""
    with aws.database.read() as connection:
        reads = [rebuild(connection, one) for one in snapshots_of_run(connection, result.run)]
    return {
        read.key.account
        for read in reads
        if {
            repository.name: {artifact.digest for artifact in repository.artifacts}
            for repository in read.repositories
        }
        == {
            name: set(repository.images)
            for name, repository in served.registry(read.key.account, read.key.region).repositories.items()
        }
    }


def test_a_collection_outlasts_its_credentials(aws: Aws) -> None:
    served = world()
    # Each set signs six requests and no more, of the dozens that an account takes.
    stub = OrganizationStub(served, organization(), credential_seconds=60, credential_uses=6)
    aws.serve(stub)
    result = aws.collect(workers=3)
    assert result.gaps == ()
    assert holds_the_truth(aws, result, served) == {OWN, SHOP, BANK, LAB}
    assert len(stub.assumed[LAB]) > 5
    assert result.calls["sts:AssumeRole"] == stub.calls["AssumeRole"]


def test_while_they_last_credentials_are_asked_for_once_an_account(aws: Aws) -> None:
    stub = aws.serve(OrganizationStub(world(), organization()))
    result = aws.collect(regions=("eu-west-1", "us-east-1"))
    assert result.status == "complete"
    assert {account: len(given) for account, given in stub.assumed.items()} == {SHOP: 1, BANK: 1, LAB: 1}


@pytest.mark.parametrize("kind", ["deny", "error"])
def test_credentials_that_are_not_renewed_cost_their_account_alone(aws: Aws, kind: Any) -> None:
    served = world()
    faults = [Fault(kind, "AssumeRole", SHOP, nth=9)]
    stub = OrganizationStub(served, organization(), faults=faults, credential_seconds=60)
    aws.serve(stub)
    result = aws.collect(workers=3)
    assert {gap.account for gap in result.gaps} == {SHOP}
    assert {gap.reason for gap in result.gaps} <= {"CredentialsFailed", "GaveUp"}
    assert "CredentialsFailed" in {gap.reason for gap in result.gaps}
    assert holds_the_truth(aws, result, served) >= {OWN, BANK, LAB}
    if kind == "deny":
        # What was refused for good is not asked for once more for every call that is left.
        assert stub.calls["AssumeRole"] - sum(map(len, stub.assumed.values())) == 1


def test_own_credentials_that_end_half_way_end_no_account_that_is_being_read(aws: Aws) -> None:
    served = world()
    faults = [Fault("code", "AssumeRole", nth=4, code="ExpiredTokenException")]
    aws.serve(OrganizationStub(served, organization(), faults=faults, credential_seconds=60))
    result = aws.collect(workers=3)
    assert {gap.account for gap in result.gaps} == {SHOP, BANK, LAB}
    assert holds_the_truth(aws, result, served) >= {OWN}


# --- options --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"role": None}, "--organization needs the role"),
        (
            {"organization": False, "include": ("a*",), "accounts": (SHOP,)},
            "--include a\\*: .*--organization",
        ),
        ({"organization": False}, "there is no account to assume it in"),
        ({"organization": False, "role": None, "accounts": (SHOP, BANK)}, "name the role .*--role-name"),
        ({"organization": False, "role": None, "role_in_own_account": True}, "--role-in-own-account needs"),
        ({"organization": False, "role": None, "accounts": (SHOP,)}, f"belong to account {OWN}, not to"),
        ({"accounts": ("12345",)}, "--account 12345: .*twelve digits"),
        ({"accounts": ("١٢٣٤٥٦٧٨٩٠١٢",)}, "twelve digits"),
        ({"regions": ("all", "eu-west-1")}, "--region all stands alone"),
        ({"regions": ("not a region",)}, "is not the name of an AWS region"),
        ({"include": ("ou-ab12-11111111",)}, "write --include ou:ou-ab12-11111111"),
        ({"exclude": ("/Root/Prod",)}, "write --exclude ou:/Root/Prod"),
        ({"exclude": ("ou:Prod",)}, "by its id .* or by its path"),
        ({"exclude": ("name: ",)}, "there is no pattern in it"),
        ({"role": RoleOptions(template="a b")}, "is not the name of a role"),
        ({"role": RoleOptions(template="a/")}, "is not the name of a role"),
        ({"role": RoleOptions(template="{region}")}, "is not the name of a role"),
        ({"role": RoleOptions(template="arn:aws:iam::aws:policy/x")}, "is not the ARN of a role"),
        ({"role": RoleOptions(template=f"arn:aws:iam::{SHOP}:role/x")}, "leads into no other"),
        ({"role": RoleOptions(template="x", session_name="a b")}, "--session-name a b"),
        ({"role": RoleOptions(template="x", external_id="do not show")}, "--external-id: has to be"),
    ],
    ids=str,
)
def test_options_that_make_no_sense_are_said_so(aws: Aws, options: dict[str, Any], message: str) -> None:
    aws.serve(OrganizationStub(world(), organization()))
    with pytest.raises(InputError, match=message) as caught:
        aws.find(**options)
    assert "do not show" not in str(caught.value)


# --- several sets of credentials ------------------------------------------------------------------


def _profiles(aws: Aws, *names: str) -> list[boto3.Session]:
    """Sessions of profiles whose access keys are accounts' numbers, or nobody's."""
    config = aws.folder / "credentials"
    config.write_text(
        "".join(
            f"[{name}]\naws_access_key_id = {name.rpartition('-')[2]}\naws_secret_access_key = s\n"
            for name in names
        )
    )
    aws.monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(config))
    return [boto3.Session(profile_name=name) for name in names]


def _in_two_partitions(stub: OrganizationStub) -> Callable[..., Any]:
    """Answers of ``stub`` in which the shop's account is in China, and its credentials count only there."""
    handle = stub.handle

    def answer(path: str, headers: dict[str, str], body: bytes) -> Any:
        given = handle(path, headers, body)
        authorization = headers.get("authorization", "")
        if (SHOP in authorization) != ("/cn-" in authorization):
            return replace(
                given,
                status=400,
                body=b"<ErrorResponse><Error><Code>InvalidClientTokenId</Code></Error></ErrorResponse>",
            )
        return replace(
            given,
            body=given.body.replace(f"arn:aws:sts::{SHOP}".encode(), f"arn:aws-cn:sts::{SHOP}".encode()),
        )

    return answer


def test_profiles_of_two_partitions_are_collected_in_one_run(aws: Aws) -> None:
    stub = OrganizationStub(world(), organization())
    aws.monkeypatch.setattr(stub, "handle", _in_two_partitions(stub))
    aws.serve(stub)
    sessions = _profiles(aws, f"us-{OWN}", f"china-{SHOP}")
    settings = CallSettings(requests_per_second=1e9)
    options = replace(OPTIONS, organization=False, role=None, regions=("cn-north-1", "eu-west-1"))
    places = find_places(sessions, options, settings)
    assert [(one.key.partition, one.key.account, one.key.region) for one in places.places] == [
        ("aws", OWN, "eu-west-1"),
        ("aws-cn", SHOP, "cn-north-1"),
    ]
    with pytest.raises(InputError, match=r"--region us-gov-west-1: is of another partition .* aws, aws-cn"):
        find_places(sessions, replace(options, regions=(*options.regions, "us-gov-west-1")), settings)
    with pytest.raises(InputError, match=f"not to {BANK}"):
        find_places(sessions, replace(options, accounts=(OWN, BANK)), settings)
    with pytest.raises(InputError, match="nothing says which profile"):
        find_places(sessions, replace(options, accounts=(OWN,), role=ROLE), settings)


def test_a_profile_that_fails_is_a_gap_beside_the_others(aws: Aws) -> None:
    stub = OrganizationStub(
        world(),
        organization(),
        faults=[Fault("code", "GetCallerIdentity", nth=2, code="InvalidClientTokenId")],
    )
    aws.serve(stub)
    sessions = _profiles(aws, f"us-{OWN}", f"old-{SHOP}")
    options = replace(OPTIONS, organization=False, role=None)
    settings = CallSettings(requests_per_second=1e9)
    places = find_places(sessions, options, settings)
    assert entered(places) == [OWN]
    gap = gap_of(places)
    assert (gap.call, gap.reason) == ("sts:GetCallerIdentity", "ProfileFailed")
    assert gap.detail.startswith(f"profile old-{SHOP}: ")
    with pytest.raises(RunError, match=r"profile us-.*; profile old-"):
        find_places(sessions, options, settings)


def test_an_interrupt_ends_the_entering(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    aws.serve(OrganizationStub(world(), organization()))
    monkeypatch.setattr(
        "analyzer.collect.credentials.RoleDoor.enter", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
    )
    settings = CallSettings(requests_per_second=1e9)
    with pytest.raises(KeyboardInterrupt):
        find_places([session()], OPTIONS, settings)
    assert settings.stop.is_set()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("accounts")]
