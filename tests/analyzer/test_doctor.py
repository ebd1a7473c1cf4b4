"""How what AWS said is judged."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from analyzer.collect.examination import AwsFacts, SessionFacts
from analyzer.collect.permissions import REGIONS, REGISTRY, Permission, permissions_of
from analyzer.collect.places import Places
from analyzer.collect.probes import AccountProbe, PlaceProbe, Probed, Verdict
from analyzer.collect.refusals import Reach, Refusal
from analyzer.doctor import exclusion_command, judge, missing_policies
from analyzer.errors import RunError
from analyzer.model.checks import Check, CheckStatus, Examination
from analyzer.model.records import Gap, RegistryKey

NOW = datetime(2026, 11, 28, tzinfo=UTC)
CALLER = "arn:aws:sts::123456789012:assumed-role/night/session"
SESSION = SessionFacts(profile="default", method="env", caller=CALLER, region="eu-west-1")
ROWS = permissions_of((REGISTRY,))


def _place(account: str, region: str, denied: tuple[str, ...] = (), partition: str = "aws") -> PlaceProbe:
    return PlaceProbe(
        RegistryKey(partition, account, region),
        f"arn:{partition}:sts::{account}:assumed-role/demurrage/night",
        [Probed(row, Verdict.DENIED if row.action in denied else Verdict.GRANTED) for row in ROWS],
        is_excluded=True,
    )


def _judged(aws: AwsFacts) -> Examination:
    return judge([], aws, NOW)


def _check(found: Examination, name: str) -> Check:
    (check,) = (check for check in found.checks if check.id == name)
    return check


def _row(action: str) -> Permission:
    (row,) = (row for row in ROWS if row.action == action)
    return row


def test_what_is_denied_in_any_region_is_in_the_one_policy_of_the_account() -> None:
    probes = [
        _place("111111111111", "eu-west-1", ("ecr:DescribeImages",)),
        _place("111111111111", "us-east-1", ("ecr:DescribeRegistry",)),
        _place("222222222222", "cn-north-1", ("ecr:DescribeImages",), "aws-cn"),
        _place("333333333333", "eu-west-1"),
    ]
    policies = missing_policies(AwsFacts(probes=probes))
    assert [(entry.account, entry.actions) for entry in policies] == [
        ("111111111111", ("ecr:DescribeImages", "ecr:DescribeRegistry")),
        ("222222222222", ("ecr:DescribeImages",)),
    ]
    assert policies[1].policy["Statement"][0]["Resource"] == "arn:aws-cn:ecr:*:*:repository/*"
    assert policies[0].principal == "arn:aws:sts::111111111111:assumed-role/demurrage/night"


@pytest.mark.parametrize(
    ("session", "status"),
    [
        (SESSION, CheckStatus.OK),
        (replace(SESSION, is_temporary=True), CheckStatus.WARNING),
        (replace(SESSION, is_temporary=True, expires_at=NOW + timedelta(hours=2)), CheckStatus.WARNING),
        (replace(SESSION, is_temporary=True, expires_at=NOW + timedelta(hours=13)), CheckStatus.OK),
        (replace(SESSION, is_temporary=True, is_renewed=True, expires_at=NOW), CheckStatus.OK),
    ],
)
def test_credentials_that_nobody_renews_are_a_warning(session: SessionFacts, status: CheckStatus) -> None:
    found = _judged(AwsFacts(sessions=[session], places=Places((), caller=CALLER)))
    check = _check(found, "aws.credentials")
    assert check.status is status
    assert check.found.startswith(CALLER)


@pytest.mark.parametrize(
    ("ahead", "status", "blocks"),
    [
        (None, CheckStatus.SKIPPED, False),
        (1.4, CheckStatus.OK, False),
        (-29.0, CheckStatus.OK, False),
        (31.0, CheckStatus.WARNING, False),
        (-299.0, CheckStatus.WARNING, False),
        (300.0, CheckStatus.FAILED, True),
    ],
)
def test_a_clock_is_judged_by_what_signatures_allow(
    ahead: float | None, status: CheckStatus, *, blocks: bool
) -> None:
    check = _check(_judged(AwsFacts(sessions=[SESSION], ahead_seconds=ahead)), "aws.clock")
    assert (check.status, check.blocks_run) == (status, blocks)


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("https://vpce-1.ecr.eu-west-1.vpce.amazonaws.com", CheckStatus.OK),
        ("http://127.0.0.1:4566", CheckStatus.OK),
        ("http://localhost:4566/", CheckStatus.OK),
        ("http://[::1]:4566", CheckStatus.OK),
        ("http://localhost.example.com", CheckStatus.WARNING),
        ("http://127.example.com", CheckStatus.WARNING),
        ("HTTP://10.0.0.1", CheckStatus.WARNING),
    ],
)
def test_an_endpoint_that_anybody_could_read_along_with_is_a_warning(url: str, status: CheckStatus) -> None:
    found = _judged(AwsFacts(sessions=[replace(SESSION, endpoints={"ecr": url})]))
    assert _check(found, "aws.endpoint").status is status
    assert url in _check(found, "aws.endpoint").found


def test_credentials_that_are_of_no_use_stop_the_run() -> None:
    found = _judged(AwsFacts(sessions=[replace(SESSION, unusable="they have expired")]))
    assert not found.can_run
    assert _check(found, "aws.credentials").found == "they have expired"


def test_of_two_profiles_one_of_no_use_leaves_a_run_with_gaps() -> None:
    useless = replace(SESSION, profile="china", unusable="they have expired")
    probes = [_place("111111111111", "eu-west-1")]
    found = _judged(AwsFacts(sessions=[SESSION, useless], places=Places(()), probes=probes))
    assert (found.can_run, found.is_clean) == (True, False)
    subjects = [check.subject for check in found.checks if check.id == "aws.credentials"]
    assert subjects == ["profile default", "profile china"]


def test_accounts_that_cannot_be_found_stop_the_run() -> None:
    found = _judged(AwsFacts(sessions=[SESSION], unusable=RunError("the organization is not ours")))
    assert not found.can_run
    assert _check(found, "aws.accounts").found == "the organization is not ours"


def test_what_an_account_denies_is_in_its_policy() -> None:
    rows = permissions_of((REGIONS,))
    account = AccountProbe("aws", "111111111111", CALLER, [Probed(row, Verdict.DENIED) for row in rows[:1]])
    found = _judged(AwsFacts(sessions=[SESSION], places=Places(()), accounts=[account]))
    (missing,) = found.missing
    assert missing.actions == ("account:ListRegions",)
    assert missing.policy["Statement"][0]["Resource"] == "*"
    assert _check(found, "permission.account:ListRegions").subject == "111111111111"


def test_one_account_that_lets_nobody_in_leaves_a_run_with_gaps() -> None:
    key = RegistryKey("aws", "222222222222", "")
    gap = Gap("222222222222", "", "", "sts:AssumeRole", "AccessDenied", "not authorized")
    places = Places((), ((key, gap),), caller=CALLER)
    alone = _judged(AwsFacts(sessions=[SESSION], places=places))
    assert not alone.can_run
    beside = _judged(
        AwsFacts(sessions=[SESSION], places=places, probes=[_place("111111111111", "eu-west-1")])
    )
    assert (beside.can_run, beside.is_clean) == (True, False)
    assert _check(beside, "account.entered").subject == "222222222222"


def test_no_registry_at_all_stops_the_run() -> None:
    assert not _judged(AwsFacts(sessions=[SESSION], places=Places(()))).can_run


def test_a_registry_out_of_reach_is_one_check_and_not_one_per_permission() -> None:
    refusal = Refusal("EndpointConnectionError", Reach.TRANSIENT, "no route")
    away = PlaceProbe(
        RegistryKey("aws", "111111111111", "af-south-1"),
        CALLER,
        [Probed(row, Verdict.UNKNOWN, "not asked") for row in ROWS],
        out_of_reach=refusal,
    )
    found = _judged(AwsFacts(sessions=[SESSION], places=Places(()), probes=[away]))
    assert [check.id for check in found.checks if check.subject.endswith("af-south-1")] == [
        "registry.reachable"
    ]
    assert not found.can_run


def test_nothing_there_to_ask_about_is_unknown_unless_another_region_grants_it() -> None:
    row = _row("ecr:BatchGetImage")

    def without(region: str) -> PlaceProbe:
        place = _place("111111111111", region)
        place.probed = [
            Probed(row, Verdict.NOTHING_THERE, "none") if probed.permission == row else probed
            for probed in place.probed
        ]
        return place

    def statuses(*probes: PlaceProbe) -> list[CheckStatus]:
        found = _judged(AwsFacts(sessions=[SESSION], places=Places(()), probes=list(probes)))
        return [check.status for check in found.checks if check.id == "permission.ecr:BatchGetImage"]

    assert statuses(without("eu-west-1")) == [CheckStatus.UNKNOWN]
    assert statuses(without("eu-west-1"), _place("111111111111", "us-east-1")) == [
        CheckStatus.SKIPPED,
        CheckStatus.OK,
    ]
    # What another account grants says nothing.
    assert statuses(without("eu-west-1"), _place("222222222222", "us-east-1"))[0] is CheckStatus.UNKNOWN


@pytest.mark.parametrize(
    ("caller", "arn"),
    [
        (CALLER, "arn:aws:iam::123456789012:role/night"),
        ("arn:aws-cn:iam::123456789012:user/a", "arn:aws-cn:iam::123456789012:user/a"),
        ("arn; rm -rf /", "'arn; rm -rf /'"),
    ],
)
def test_the_command_to_leave_no_trace_names_the_role_and_is_safe_to_paste(caller: str, arn: str) -> None:
    assert exclusion_command(caller, "eu-west-1") == (
        f"aws ecr register-pull-time-update-exclusion --region eu-west-1 --principal-arn {arn}"
    )
