"""What doctor finds out about buckets and topics: asked of services that let in and that refuse."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Collection, Mapping
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError

from analyzer.collect.delivery_probes import BucketPlace, BucketProbe, probe_bucket, probe_topic, simulated
from analyzer.collect.permissions import (
    ENCRYPT,
    NOTIFY,
    PUBLISH,
    on_key,
    on_topic,
    permissions_of,
    policy_document,
)
from analyzer.collect.probes import Probed, Verdict
from analyzer.collect.refusals import Reach, Refusal, RefusedError

CALLER = "arn:aws:sts::123456789012:assumed-role/night/session"
TOPIC = "arn:aws:sns:eu-west-1:123456789012:digests"
KEY = "arn:aws:kms:eu-west-1:123456789012:key/1234-abcd"
PLACE = BucketPlace(label="s3://reports/ecr", bucket="reports", prefix="ecr")
ALLOWED = "allowed"

Answer = Mapping[str, Any] | Exception


class _Service:
    """Answers each operation as it is told, and keeps what was asked."""

    def __init__(self, **answers: Answer | Callable[[Mapping[str, Any]], Answer]) -> None:
        self._answers = answers
        self.asked: list[tuple[str, Mapping[str, Any]]] = []

    def call(
        self, operation: str, *, tolerate: Collection[str] = (), **parameters: object
    ) -> Mapping[str, Any]:
        assert not {"AccessDenied", "NoSuchBucket"} & set(tolerate)
        self.asked.append((operation, parameters))
        answer = self._answers[operation]
        if callable(answer):
            answer = answer(parameters)
        if isinstance(answer, Exception):
            raise answer
        return answer


def _refused(reason: str, detail: str = "no", reach: Reach = Reach.CALL) -> RefusedError:
    return RefusedError(Refusal(reason, reach, detail))


def _iam(**decisions: str) -> _Service:
    """IAM, which allows what is not named otherwise (``s3_PutObject="implicitDeny"``)."""

    def simulate(parameters: Mapping[str, Any]) -> Answer:
        return {
            "EvaluationResults": [
                {"EvalActionName": action, "EvalDecision": decisions.get(action.replace(":", "_"), ALLOWED)}
                for action in parameters["ActionNames"]
            ]
        }

    return _Service(SimulatePrincipalPolicy=simulate)


def _s3(index: Answer, listed: Answer | None = None) -> _Service:
    return _Service(GetObject=index, ListObjectsV2={} if listed is None else listed)


def _index(data: bytes) -> Mapping[str, Any]:
    return {"Body": io.BytesIO(data)}


def _verdicts(probed: tuple[Probed, ...] | list[Probed]) -> dict[str, Verdict]:
    assert len({one.permission.action for one in probed}) == len(probed)
    return {one.permission.action: one.verdict for one in probed}


def _bucket(s3: _Service, iam: _Service | None = None, place: BucketPlace = PLACE) -> BucketProbe:
    return probe_bucket(s3, iam or _iam(), CALLER, place)


def test_nothing_is_asked_that_writes_and_the_index_is_read() -> None:
    s3, iam = _s3(_index(b"{}")), _iam()
    found = probe_bucket(s3, iam, CALLER, PLACE)
    assert s3.asked == [
        ("ListObjectsV2", {"Bucket": "reports", "Prefix": "ecr/", "MaxKeys": 1}),
        ("GetObject", {"Bucket": "reports", "Key": "ecr/index.json"}),
    ]
    ((operation, parameters),) = iam.asked
    assert operation == "SimulatePrincipalPolicy"
    assert parameters == {
        "PolicySourceArn": "arn:aws:iam::123456789012:role/night",
        "ActionNames": ["s3:DeleteObject", "s3:PutObject"],
        "ResourceArns": ["arn:aws:s3:::reports/ecr/index.json"],
    }
    assert (found.index, found.refusal) == (b"{}", None)
    assert _verdicts(found.probed) == dict.fromkeys(
        (row.action for row in permissions_of((PUBLISH,))), Verdict.GRANTED
    )


def test_a_bucket_without_an_index_lets_us_in() -> None:
    found = _bucket(_s3(_refused("NoSuchKey")))
    assert (found.index, found.refusal) == (None, None)
    assert _verdicts(found.probed)["s3:GetObject"] is Verdict.GRANTED


def test_what_is_denied_is_what_a_policy_for_this_bucket_alone_grants() -> None:
    found = _bucket(_s3(_refused("AccessDenied")), _iam(s3_PutObject="implicitDeny"))
    denied = [one.permission for one in found.probed if one.verdict is Verdict.DENIED]
    assert [row.action for row in denied] == ["s3:GetObject", "s3:PutObject"]
    (statement,) = policy_document(denied, "aws")["Statement"]
    assert statement["Resource"] == "arn:aws:s3:::reports/ecr/*"
    assert found.refusal is not None


def test_who_may_not_list_is_not_told_whether_there_is_an_index() -> None:
    found = _bucket(_s3(_refused("AccessDenied"), _refused("AccessDenied")))
    verdicts = _verdicts(found.probed)
    assert (verdicts["s3:ListBucket"], verdicts["s3:GetObject"]) == (Verdict.DENIED, Verdict.UNKNOWN)


def test_an_index_that_is_locked_with_a_key_asks_for_the_key() -> None:
    said = f"User: {CALLER} is not authorized to perform: kms:Decrypt on resource: {KEY} because no policy"
    for place in (PLACE, BucketPlace(label="x", bucket="reports", prefix="ecr", kms_key=KEY)):
        found = _bucket(_s3(_refused("AccessDenied", said)), place=place)
        verdicts = _verdicts(found.probed)
        assert (verdicts["s3:GetObject"], verdicts["kms:Decrypt"]) == (Verdict.GRANTED, Verdict.DENIED)
        (row,) = (one.permission for one in found.probed if one.verdict is Verdict.DENIED)
        assert row.resource == KEY


def test_a_bucket_that_is_not_there_denies_nothing() -> None:
    found = _bucket(_s3(_refused("NoSuchBucket"), _refused("NoSuchBucket")))
    assert found.refusal is not None
    verdicts = _verdicts(found.probed)
    assert {verdicts["s3:ListBucket"], verdicts["s3:GetObject"]} == {Verdict.UNKNOWN}


def test_a_bucket_that_botocore_cannot_ask_for_is_a_refusal() -> None:
    class _OddError(BotoCoreError):
        fmt = "another region"

    found = _bucket(_s3(_OddError(), _OddError()))
    assert found.refusal is not None
    assert found.refusal.reason == "_OddError"


@pytest.mark.parametrize("error", [_refused("AccessDenied"), _refused("NoSuchEntity"), _refused("Http501")])
def test_where_iam_does_not_say_what_writes_is_unknown(error: RefusedError) -> None:
    found = _bucket(_s3(_index(b"{}")), _Service(SimulatePrincipalPolicy=error))
    unknown = {one.permission.action: one.detail for one in found.probed if one.verdict is Verdict.UNKNOWN}
    assert set(unknown) == {"s3:DeleteObject", "s3:PutObject"}
    assert all("not tried, as that would be to write" in said and "no" in said for said in unknown.values())


@pytest.mark.parametrize(
    "caller", ["arn:aws:iam::123456789012:root", "arn:aws:sts::123456789012:federated-user/x"]
)
def test_a_caller_without_policies_of_its_own_is_not_asked_about(caller: str) -> None:
    iam = _iam()
    rows = permissions_of((NOTIFY,))
    assert [one.verdict for one in simulated(iam, caller, rows)] == [Verdict.UNKNOWN]
    assert iam.asked == []


def test_a_user_is_asked_about_by_its_own_name() -> None:
    user = "arn:aws:iam::123456789012:user/ops/night"
    iam = _iam()
    simulated(iam, user, on_topic(permissions_of((NOTIFY,)), TOPIC))
    assert iam.asked[0][1]["PolicySourceArn"] == user
    assert iam.asked[0][1]["ResourceArns"] == [TOPIC]


def test_each_resource_is_asked_about_by_itself_and_a_key_by_its_arn_alone() -> None:
    iam = _iam(kms_Decrypt="explicitDeny")
    place = BucketPlace(label="x", bucket="reports", prefix="", kms_key=KEY)
    found = _bucket(_s3(_index(b"{}")), iam, place)
    assert sorted(parameters["ResourceArns"] for _, parameters in iam.asked) == [
        [KEY],
        ["arn:aws:s3:::reports/index.json"],
    ]
    (one,) = (one for one in found.probed if one.verdict is Verdict.DENIED)
    assert one.permission.action == "kms:Decrypt"
    assert "explicit deny" in one.detail
    for name in ("alias/reports", "1234-abcd"):
        iam = _iam()
        rows = on_key(permissions_of((ENCRYPT,)), "aws", name)
        assert {one.verdict for one in simulated(iam, CALLER, rows)} == {Verdict.UNKNOWN}
        assert iam.asked == []


def test_what_a_simulation_leaves_out_is_unknown() -> None:
    iam = _Service(SimulatePrincipalPolicy={"EvaluationResults": []})
    assert _verdicts(simulated(iam, CALLER, permissions_of((NOTIFY,)))) == {"sns:Publish": Verdict.UNKNOWN}


def test_a_topic_says_who_hears_of_it() -> None:
    attributes = {"SubscriptionsConfirmed": "2", "KmsMasterKeyId": "alias/aws/sns"}
    sns = _Service(GetTopicAttributes={"Attributes": attributes})
    found = probe_topic(sns, _iam(sns_Publish="implicitDeny"), CALLER, TOPIC)
    assert sns.asked == [("GetTopicAttributes", {"TopicArn": TOPIC})]
    assert (found.subscriptions, found.kms_key, found.refusal) == (2, "alias/aws/sns", None)
    assert _verdicts(found.probed) == {"sns:Publish": Verdict.DENIED}
    assert json.loads(json.dumps(policy_document([found.probed[0].permission], "aws")))["Statement"] == [
        {"Effect": "Allow", "Action": ["sns:Publish"], "Resource": TOPIC}
    ]


def test_a_topic_that_says_nothing_is_a_refusal_and_not_nobody() -> None:
    sns = _Service(GetTopicAttributes=_refused("AuthorizationError"))
    found = probe_topic(sns, _iam(), CALLER, TOPIC)
    assert (found.subscriptions, found.refusal and found.refusal.reason) == (None, "AuthorizationError")
    found = probe_topic(_Service(GetTopicAttributes={}), _iam(), CALLER, TOPIC)
    assert (found.subscriptions, found.refusal) == (None, None)
