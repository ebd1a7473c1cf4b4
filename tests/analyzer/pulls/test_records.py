"""What one record says of a pull, whatever it lacks."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest

from analyzer.model.pulls import LeftOut, PullKind, Target
from analyzer.pulls.records import NO_DAY, Rules, Side, read_record
from tests.support.trails import OTHER, OWNER, REGION, SESSION, layer, record, reduced_identity, role_identity

_ROLE = f"arn:aws:iam::{OWNER}:role/nodes"
_IMAGE = "BatchGetImage"


def _read(found: dict[str, Any], rules: Rules = Rules()) -> Any:  # noqa: B008
    return read_record(found, rules)


def _reason(found: dict[str, Any], rules: Rules = Rules()) -> object:  # noqa: B008
    facts = read_record(found, rules)
    assert facts is not None
    return facts.targets[0].kind


def test_a_layer_is_asked_for_by_a_role() -> None:
    facts = _read(record("e1"))
    assert facts.day == 20_731
    assert facts.targets == (Target(OWNER, REGION, "team/app", PullKind.LAYER, layer(1)),)
    assert facts.hints == (OWNER, REGION, "team/app", OWNER, _ROLE, SESSION, "", "")
    assert (facts.event, facts.side) == ("e1", Side.ALONE)


def test_an_image_is_asked_for_by_tag_or_digest_and_several_at_a_time() -> None:
    asked = {
        "imageIds": [
            {"imageTag": "v1"},
            {"imageDigest": layer(2)},
            {"imageTag": "v2", "imageDigest": layer(3)},
        ]
    }
    targets = _read(record("e1", name=_IMAGE, asked=asked)).targets
    assert [(target.kind, target.digest, target.tag) for target in targets] == [
        (PullKind.IMAGE, "", "v1"),
        (PullKind.IMAGE, layer(2), ""),
        (PullKind.IMAGE, layer(3), ""),
    ]


def test_address_and_endpoint_are_hints_and_the_name_of_a_host_is_none() -> None:
    hints = _read(record("e1", sourceIPAddress="203.0.113.12", vpcEndpointId="vpce-0123")).hints
    assert (hints.source_address, hints.endpoint) == ("203.0.113.12", "vpce-0123")
    for host in ("AWS Internal", "prod.frontend.ecr.aws.internal", "lambda.amazonaws.com", None, 7):
        assert _read(record("e1", sourceIPAddress=host)).hints.source_address == ""
    assert _read(record("e1", sourceIPAddress="2001:db8::1")).hints.source_address == "2001:db8::1"


@pytest.mark.parametrize(
    ("identity", "told"),
    [
        (role_identity(), (OWNER, _ROLE, SESSION)),
        (reduced_identity(), (OTHER, "", SESSION)),
        (
            {"type": "AssumedRole", "arn": f"arn:aws:sts::{OWNER}:assumed-role/nodes/x"},
            (OWNER, _ROLE, "x"),
        ),
        (
            {
                "type": "IAMUser",
                "arn": f"arn:aws:iam::{OWNER}:user/ci/mary",
                "accountId": OWNER,
                "principalId": "A",
            },
            (OWNER, f"arn:aws:iam::{OWNER}:user/ci/mary", ""),
        ),
        ({"type": "Root", "arn": f"arn:aws:iam::{OWNER}:root"}, (OWNER, f"arn:aws:iam::{OWNER}:root", "")),
        (
            {"type": "FederatedUser", "arn": f"arn:aws:sts::{OWNER}:federated-user/mary"},
            (OWNER, f"arn:aws:sts::{OWNER}:federated-user/mary", ""),
        ),
        ({"type": "AWSService", "invokedBy": "lambda.amazonaws.com"}, ("", "lambda.amazonaws.com", "")),
        ({"type": "WebIdentityUser", "principalId": "x:y"}, ("", "", "y")),
        ({}, ("", "", "")),
        ({"accountId": 12, "arn": ["x"], "sessionContext": "x", "principalId": None}, ("", "", "")),
        ({"arn": f"arn:aws:iam::{OWNER}:user/m\u00e4ry\n"}, (OWNER, "", "")),
    ],
)
def test_who_pulls_is_read_from_every_kind_of_identity(
    identity: dict[str, Any], told: tuple[str, str, str]
) -> None:
    hints = _read(record("e1", identity=identity)).hints
    assert (hints.principal_account, hints.principal, hints.session) == told


def test_the_registry_is_told_by_the_resource_or_by_whose_record_it_is() -> None:
    found = record("e1", account=OTHER, recipient=OWNER)
    del found["requestParameters"]["registryId"]
    assert _read(found).targets[0][:3] == (OTHER, REGION, "team/app")
    del found["resources"]
    assert _read(found).targets[0][:3] == (OWNER, REGION, "team/app")


def test_of_a_cross_account_call_each_copy_says_whose_it_is() -> None:
    def side(recipient: str) -> Side:
        identity = role_identity(OTHER)
        facts = _read(record("e1", identity=identity, recipient=recipient, sharedEventID="s"))
        assert facts.event == "s"
        return Side(facts.side)

    assert [side(account) for account in (OWNER, OTHER, "777788889999")] == [
        Side.OWNER,
        Side.PULLER,
        Side.OTHER,
    ]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"errorCode": "AccessDenied", "requestParameters": None, "resources": None}, LeftOut.ERROR),
        ({"errorMessage": "no"}, LeftOut.ERROR),
        ({"userAgent": "demurrage/0.1.0 Botocore/1.44"}, LeftOut.COLLECTOR),
        ({"identity": role_identity(role="trivy-prod")}, LeftOut.SCANNER),
        ({"identity": role_identity(role="aws-service-role/inspector2.amazonaws.com/X")}, LeftOut.SCANNER),
        ({"sourceIPAddress": "inspector2.amazonaws.com"}, LeftOut.SCANNER),
        ({"identity": {"type": "AWSService", "invokedBy": "replication.ecr.amazonaws.com"}}, LeftOut.SERVICE),
        (
            {"identity": role_identity(role="aws-service-role/pullthroughcache.ecr.amazonaws.com/X")},
            LeftOut.SERVICE,
        ),
        ({"asked": {"layerDigest": "sha256:12"}}, LeftOut.UNREADABLE),
        ({"asked": {"layerDigest": None}}, LeftOut.UNREADABLE),
        ({"repository": "../../etc"}, LeftOut.UNREADABLE),
        ({"region": "<b>", "resources": None}, LeftOut.UNREADABLE),
        ({"name": _IMAGE, "asked": {"imageIds": []}}, LeftOut.UNREADABLE),
        ({"name": _IMAGE, "asked": {"imageIds": [{"imageTag": "v1"}, {}]}}, LeftOut.UNREADABLE),
        ({"name": _IMAGE, "asked": {"imageIds": [{"imageTag": "=cmd|' /C calc'!A0"}]}}, LeftOut.UNREADABLE),
    ],
)
def test_what_is_no_pull_says_why(changes: dict[str, Any], reason: LeftOut) -> None:
    rules = Rules(("*:role/trivy-*",))
    assert _reason(record("e1", **changes), rules) is reason


def test_a_service_that_pulls_for_somebody_is_a_puller() -> None:
    identity = {"type": "AWSService", "invokedBy": "lambda.amazonaws.com"}
    assert _reason(record("e1", identity=identity)) is PullKind.LAYER


@pytest.mark.parametrize(
    "changes",
    [
        {"eventName": "PutImage"},
        {"eventSource": "ecr-public.amazonaws.com"},
        {"eventCategory": "Insight"},
        {"eventType": "AwsCloudTrailInsight"},
        {"eventName": None},
        {"eventName": ["BatchGetImage"]},
    ],
)
def test_a_record_about_something_else_is_none(changes: dict[str, Any]) -> None:
    assert _read(record("e1", **changes)) is None


@pytest.mark.parametrize("time", ["", "yesterday", None, 1_700_000_000, "1970-01-01T00:00:00Z", "9999-01-01"])
def test_a_time_that_cannot_be_is_no_day(time: Any) -> None:
    assert _read(record("e1", time=time)).day == NO_DAY


def test_a_record_without_an_id_is_known_by_all_that_it_says() -> None:
    found = record("")
    again = _read(dict(reversed(found.items()))).event
    assert _read(found).event == again
    assert _read(record("", repository="other")).event != again


def test_no_field_is_trusted_to_be_there_or_of_its_type() -> None:
    chance = random.Random(5)
    junk: list[Any] = [None, 7, "", "x", [], {}, [None], {"x": 1}, True, "\ud800", 1.5]
    for _ in range(2_000):
        found = copy.deepcopy(record("e1", name=chance.choice([_IMAGE, "GetDownloadUrlForLayer"])))
        for _ in range(chance.randrange(1, 4)):
            place: Any = found
            while True:
                name = chance.choice(list(place) if isinstance(place, dict) else range(len(place)))
                if place is found and name in {"eventName", "eventSource"}:
                    continue
                if isinstance(place[name], dict | list) and place[name] and chance.random() < 0.7:
                    place = place[name]
                    continue
                place[name] = copy.deepcopy(chance.choice(junk))
                break
        facts = read_record(found, Rules())
        assert facts is None or facts.targets
