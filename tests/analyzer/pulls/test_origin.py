"""Where a puller is: each way of telling, their order, and what none of them can tell."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.errors import InputError
from analyzer.model.pulls import INTERNET, NOT_TOLD, Confidence, Hints, RegionMethod, Told
from analyzer.model.records import UseKind
from analyzer.pulls.addresses import AddressBook, parse_ip_ranges
from analyzer.pulls.origin import (
    Inventory,
    KnownOrigin,
    ReadPlace,
    SeenUse,
    instance_of,
    take_inventory,
)
from analyzer.pulls.role_rules import RoleRule, parse_role_rules
from tests.support.ip_ranges import ip_ranges_bytes

_OWNER, _OTHER = "111111111111", "222222222222"
_IMAGE = f"{_OWNER}.dkr.ecr.eu-west-1.amazonaws.com/team/app"
_ROLE = f"arn:aws:iam::{_OWNER}:role/eks/nodes"
_HINTS = Hints(_OWNER, "eu-west-1", "team/app", _OWNER, _ROLE)
_INSTANCE, _ENDPOINT = "i-0123456789abcdef0", "vpce-0123456789abcdef0"
_HIGH, _MEDIUM, _LOW = Confidence.HIGH, Confidence.MEDIUM, Confidence.LOW
_RUNNING, _CONFIGURED, _PREVIOUS = UseKind.RUNNING, UseKind.CONFIGURED, UseKind.PREVIOUS
_BOTH = (ReadPlace(_OWNER, "eu-west-1", True), ReadPlace(_OWNER, "us-east-1", True))
_BOOK = AddressBook(parse_ip_ranges(ip_ranges_bytes(), "f").prefixes)


def _use(region: str, kind: UseKind = _RUNNING, *, reference: str = _IMAGE, account: str = _OWNER) -> SeenUse:
    return SeenUse(account, region, reference, kind)


def _inventory(*uses: SeenUse, read: Iterable[ReadPlace] = _BOTH) -> KnownOrigin:
    return KnownOrigin(inventory=take_inventory(uses, read))


def test_nothing_known_tells_nothing() -> None:
    hints = _HINTS._replace(session=_INSTANCE, source_address="18.200.1.1", endpoint=_ENDPOINT)
    assert KnownOrigin().tell(hints) == NOT_TOLD
    assert KnownOrigin().tell(Hints("", "", "", "", "")) == NOT_TOLD
    assert not KnownOrigin().has_addresses
    assert KnownOrigin(addresses=_BOOK).has_addresses


def test_workloads_of_the_account_in_one_region_alone_tell_it() -> None:
    workload = Told("us-east-1", RegionMethod.WORKLOAD, _HIGH)
    origin = _inventory(_use("us-east-1"), _use("us-east-1", _CONFIGURED))
    assert origin.tell(_HINTS) == workload
    dual_stack = f"{_OWNER}.dkr-ecr.eu-west-1.on.aws/team/app@sha256:{'0' * 64}"
    assert _inventory(_use("us-east-1", reference=dual_stack)).tell(_HINTS) == workload
    # Others pull the same image, and the same account another.
    assert origin.tell(_HINTS._replace(principal_account=_OTHER)) == NOT_TOLD
    assert origin.tell(_HINTS._replace(principal_account="")) == NOT_TOLD
    assert origin.tell(_HINTS._replace(repository="team/web")) == NOT_TOLD
    assert origin.tell(_HINTS._replace(region="us-east-1")) == NOT_TOLD


def test_workloads_in_two_regions_tell_nothing() -> None:
    assert _inventory(_use("us-east-1"), _use("eu-west-1")).tell(_HINTS) == NOT_TOLD
    # What is configured elsewhere may start there.
    assert _inventory(_use("us-east-1"), _use("eu-west-1", _CONFIGURED)).tell(_HINTS) == NOT_TOLD


@pytest.mark.parametrize(
    ("uses", "read", "confidence"),
    [
        ([_RUNNING], _BOTH, _HIGH),
        ([_CONFIGURED], _BOTH, _MEDIUM),
        ([_PREVIOUS], _BOTH, _MEDIUM),
        ([_RUNNING], [_BOTH[0], ReadPlace(_OWNER, "us-east-1", False)], _MEDIUM),
        # Of one region alone nobody knows what runs in the others.
        ([_RUNNING], _BOTH[1:], _LOW),
        ([_RUNNING], [_BOTH[1], ReadPlace(_OTHER, "eu-west-1", True)], _LOW),
    ],
)
def test_workloads_are_as_sure_as_what_was_read(
    uses: list[UseKind], read: list[ReadPlace], confidence: Confidence
) -> None:
    origin = _inventory(*(_use("us-east-1", kind) for kind in uses), read=read)
    assert origin.tell(_HINTS) == ("us-east-1", RegionMethod.WORKLOAD, confidence)


def test_what_an_earlier_state_names_elsewhere_does_not_count_beside_what_runs() -> None:
    origin = _inventory(_use("us-east-1"), _use("eu-west-1", _PREVIOUS))
    assert origin.tell(_HINTS).region == "us-east-1"


def test_references_that_name_no_private_repository_tell_nothing() -> None:
    references = ["nginx", "public.ecr.aws/x/y", f"sha256:{'0' * 64}", "", "???", "\x1b[2J"]
    uses = [_use("us-east-1", reference=reference) for reference in references]
    assert take_inventory(uses, _BOTH) == Inventory({})


@pytest.mark.parametrize(
    "principal",
    [
        f"arn:aws:iam::{_OWNER}:user/ci/mary",
        f"arn:aws:iam::{_OWNER}:root",
        f"arn:aws-cn:sts::{_OWNER}:federated-user/mary",
    ],
)
def test_workloads_tell_nothing_of_people(principal: str) -> None:
    assert _inventory(_use("us-east-1")).tell(_HINTS._replace(principal=principal)) == NOT_TOLD


def test_the_instance_that_a_session_is_named_for_tells() -> None:
    origin = KnownOrigin(machines={_INSTANCE: "us-east-1", "i-0a1b2c3d": "us-west-2", "web": "x"})
    told = Told("us-east-1", RegionMethod.INSTANCE, _HIGH)
    assert origin.tell(_HINTS._replace(session=_INSTANCE)) == told
    assert origin.tell(_HINTS._replace(session="i-0a1b2c3d")).region == "us-west-2"
    for session in ("i-0fffffffffffffff1", "web", "", _INSTANCE + "1", _INSTANCE.upper(), f"x {_INSTANCE}"):
        assert origin.tell(_HINTS._replace(session=session)) == NOT_TOLD


def test_only_names_of_instances_are_instances() -> None:
    assert instance_of(_INSTANCE) == _INSTANCE
    assert instance_of("i-0a1b2c3d") == "i-0a1b2c3d"
    for session in ("", "i-", "i-xyz", "i-0123456789", _INSTANCE + "\n", "session"):
        assert instance_of(session) == ""


def test_the_endpoint_that_a_call_came_through_tells() -> None:
    origin = KnownOrigin(machines={_ENDPOINT: "us-west-2"})
    told = Told("us-west-2", RegionMethod.ENDPOINT, _HIGH)
    assert origin.tell(_HINTS._replace(endpoint=_ENDPOINT)) == told
    assert origin.tell(_HINTS._replace(endpoint="vpce-other")) == NOT_TOLD


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("18.200.1.1", Told("eu-west-1", RegionMethod.ADDRESS, _HIGH)),
        ("18.200.7.1", Told("us-east-1", RegionMethod.ADDRESS, _HIGH)),
        ("52.94.1.1", Told("us-west-2", RegionMethod.ADDRESS, _MEDIUM)),
        ("2600:1f18:1::7", Told("us-east-1", RegionMethod.ADDRESS, _HIGH)),
        ("8.8.8.8", Told(INTERNET, RegionMethod.ADDRESS, _MEDIUM)),
        ("2a00:1450::1", Told(INTERNET, RegionMethod.ADDRESS, _MEDIUM)),
        # An edge location, private addresses, and names where addresses should be.
        ("13.32.1.1", NOT_TOLD),
        ("10.1.2.3", NOT_TOLD),
        ("fd00::1", NOT_TOLD),
        ("lambda.amazonaws.com", NOT_TOLD),
        ("AWS Internal", NOT_TOLD),
    ],
)
def test_an_address_tells_by_awss_ranges(address: str, told: Told) -> None:
    assert KnownOrigin(addresses=_BOOK).tell(_HINTS._replace(source_address=address)) == told


def test_without_awss_ranges_no_address_is_taken_for_the_internet() -> None:
    assert KnownOrigin().tell(_HINTS._replace(source_address="8.8.8.8")) == NOT_TOLD


def test_the_first_rule_that_fits_tells() -> None:
    rules = parse_role_rules(
        f"""
        [[role]]
        role = "arn:aws:iam::*:role/eks/*"
        account = "{_OTHER}"
        region = "us-west-2"
        [[role]]
        role = "nod*"
        region = "us-east-1"
        [[role]]
        account = "{_OWNER}"
        region = "internet"
        """,
        origin="f",
    )
    origin = KnownOrigin(rules=rules)
    assert origin.tell(_HINTS) == ("us-east-1", RegionMethod.ROLE, _MEDIUM)
    other = _HINTS._replace(principal_account=_OTHER)
    assert origin.tell(other).region == "us-west-2"
    assert origin.tell(_HINTS._replace(principal=f"arn:aws:iam::{_OWNER}:role/ci")).region == INTERNET
    assert origin.tell(other._replace(principal="")) == NOT_TOLD


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("role = 7", "only [[role]] tables"),
        ("[[gap]]", "only [[role]] tables"),
        ("role = [7]", "role number 1 is not a table"),
        ("[[role]]\nrole = 'x'\nregion = 'eu-west-1'\ncall = 'y'", "'call' is not a known key"),
        ("[[role]]\nrole = 7", "role: is 7; write text in quotes"),
        ("[[role]]\nrole = 'x'", "region is missing"),
        ("[[role]]\nregion = 'eu-west-1'", "names neither role nor account"),
        ("[[role]]\nrole = 'x'\nregion = 'Ireland'", "'Ireland' is no region"),
        ("[[role", "is not valid TOML"),
    ],
)
def test_a_wrong_rule_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_role_rules(text, origin="--puller-regions f")
    assert str(caught.value).startswith("--puller-regions f")
    assert message in str(caught.value)


def _all_of(
    workload: str, instance: str, endpoint: str, address: str, rule: str
) -> tuple[KnownOrigin, Hints]:
    """An origin that knows all that is not "", and hints that lead to it."""
    addresses = {"eu-west-1": "18.200.1.1", "us-east-1": "18.200.7.1", "us-west-2": "52.94.1.1", "": ""}
    origin = KnownOrigin(
        inventory=take_inventory([_use(workload)] if workload else [], _BOTH),
        machines={_INSTANCE: instance, _ENDPOINT: endpoint},
        addresses=_BOOK,
        rules=[RoleRule(rule)] if rule else [],
    )
    hints = _HINTS._replace(session=_INSTANCE, endpoint=_ENDPOINT, source_address=addresses[address])
    return origin, hints


def test_where_several_agree_the_first_tells_and_is_no_surer_for_it() -> None:
    regions = ["us-west-2"] * 5
    methods = list(RegionMethod)
    for known in range(5):
        origin, hints = _all_of(*[""] * known, *regions[known:])
        assert origin.tell(hints).method is methods[known]
    origin, hints = _all_of("", "", "", *regions[3:])
    assert origin.tell(hints).confidence is _MEDIUM


def test_a_call_from_elsewhere_proves_that_the_workloads_are_not_the_only_pullers() -> None:
    origin, hints = _all_of("eu-west-1", "us-east-1", "", "", "")
    assert origin.tell(hints) == ("us-east-1", RegionMethod.INSTANCE, _HIGH)
    origin, hints = _all_of("eu-west-1", "", "us-east-1", "", "us-west-2")
    assert origin.tell(hints) == ("us-east-1", RegionMethod.ENDPOINT, _HIGH)
    # An address of some service of AWS is less sure than workloads that were read everywhere.
    origin, hints = _all_of("eu-west-1", "", "", "us-west-2", "")
    assert origin.tell(hints).method is RegionMethod.WORKLOAD


def test_what_is_surer_tells_before_what_comes_first() -> None:
    hints = _HINTS._replace(session=_INSTANCE)
    for region in ("us-east-1", "eu-west-1"):
        origin = KnownOrigin(
            inventory=take_inventory([_use("us-east-1")], _BOTH[:1]), machines={_INSTANCE: region}
        )
        assert origin.tell(hints) == (region, RegionMethod.INSTANCE, _HIGH)


_PLACES = st.sampled_from(["eu-west-1", "us-east-1", "us-west-2", ""])


@given(*[_PLACES] * 5)
def test_the_answer_is_one_of_the_methods_and_none_surer_disagrees(
    workload: str, instance: str, endpoint: str, address: str, rule: str
) -> None:
    known = (workload, instance, endpoint, address, rule)
    origin, hints = _all_of(*known)
    told = origin.tell(hints)
    alone = []
    for position, region in enumerate(known):
        single, its_hints = _all_of(*(region if at == position else "" for at in range(5)))
        alone.append(single.tell(its_hints))
    possible = [answer for answer in alone if answer != NOT_TOLD]
    assert told in (possible or [NOT_TOLD])
    order = list(Confidence)
    assert all(order.index(told.confidence) <= order.index(answer.confidence) for answer in possible)


def test_order_of_what_is_given_changes_nothing() -> None:
    uses = [_use(region, kind) for region, kind in product(["us-east-1"], UseKind)]
    assert take_inventory(uses, _BOTH) == take_inventory(uses[::-1], _BOTH[::-1])
