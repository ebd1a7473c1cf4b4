"""Whether a bucket takes reports, and a topic digests: found out for `doctor` without writing anything.

What only reads is tried by the night's own calls. To try what writes would be to write, so IAM is asked
what it thinks (iam:SimulatePrincipalPolicy, which the night does without): that says what the caller's own
policies and its organization's allow, and not what the policy of the bucket, topic or key says besides.
Where IAM does not say, it stays unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from analyzer.collect.callers import policy_source
from analyzer.collect.clients import Answering
from analyzer.collect.permissions import (
    ENCRYPT,
    NOTIFY,
    PUBLISH,
    Permission,
    on_bucket,
    on_key,
    on_topic,
    permissions_of,
)
from analyzer.collect.probes import Probed, Prober, Verdict, answered
from analyzer.collect.refusals import ACCESS_CODES, Refusal, RefusedError, one_line
from analyzer.collect.trail_probes import locked_by
from analyzer.model.publication import INDEX_JSON

_LIST, _GET = "s3:ListBucket", "s3:GetObject"
#: What writes, and so is asked of IAM.
_WRITING = frozenset({"kms:Decrypt", "kms:GenerateDataKey", "s3:DeleteObject", "s3:PutObject", "sns:Publish"})
_ALLOWED, _FORBIDDEN = "allowed", "explicitDeny"
#: No index of ours is larger.
_INDEX_BYTES = 64 << 20
#: Reason that is about the object alone: the bucket let us in.
_NO_OBJECT = "NoSuchKey"

#: The actions that are tried here, or asked of IAM.
DELIVERY_ACTIONS = frozenset({_LIST, _GET, *_WRITING})


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketPlace:
    """Where in S3 reports are published."""

    #: ``s3://BUCKET/PREFIX``.
    label: str
    #: Name of the bucket, or ARN of an access point.
    bucket: str
    #: Without slashes around it.
    prefix: str
    #: KMS key that is to encrypt; None for the bucket's own way.
    kms_key: str | None = None

    @property
    def index(self) -> str:
        """The key of the index of what is published."""
        return f"{self.prefix}/{INDEX_JSON}".lstrip("/")

    def permissions(self, partition: str) -> tuple[Permission, ...]:
        """What publishing there takes."""
        rows = on_bucket(permissions_of((PUBLISH,)), partition, self.bucket, self.prefix)
        if self.kms_key is not None:
            rows += on_key(permissions_of((ENCRYPT,)), partition, self.kms_key)
        return rows


def topic_permissions(arn: str) -> tuple[Permission, ...]:
    """What telling the topic takes."""
    return on_topic(permissions_of((NOTIFY,)), arn)


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketProbe:
    """What one bucket let us do."""

    place: BucketPlace
    probed: tuple[Probed, ...]
    #: Why the index could not be read; None where it was, or where there is none.
    refusal: Refusal | None = None
    #: What is in the index; None where there is none, or where it could not be read.
    index: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicProbe:
    """What one topic said of itself."""

    arn: str
    probed: tuple[Probed, ...]
    #: Why it did not; None where it did.
    refusal: Refusal | None = None
    #: Confirmed subscriptions; None where it did not say.
    subscriptions: int | None = None
    #: KMS key that encrypts what it is told; "" for none.
    kms_key: str = ""


def probe_bucket(s3: Answering, iam: Answering, caller: str, place: BucketPlace) -> BucketProbe:
    """Ask ``s3`` for the index there, and ``iam`` what ``caller`` may do besides."""
    partition = caller.split(":")[1]
    rows = place.permissions(partition)
    prober = Prober(rows)
    prober.ask(s3, _LIST, {"Bucket": place.bucket, "Prefix": f"{place.prefix}/".lstrip("/"), "MaxKeys": 1})
    index = prober.try_(_GET, lambda: _read(s3, place))
    refusal = prober.refusals.get(_GET)
    further: list[Probed] = []
    if refusal is not None and refusal.reason == _NO_OBJECT:
        refusal = None
    elif refusal is not None and refusal.reason in ACCESS_CODES:
        locked = locked_by(refusal)
        if locked is not None:
            further.append(locked)
            prober.note(_GET, Verdict.GRANTED, "")
        elif _LIST in prober.refusals:
            # S3 says so as well of what is not there, to whoever may not list.
            prober.note(_GET, Verdict.UNKNOWN, f"not known without {_LIST} ({refusal.reason})")
    for probed in simulated(iam, caller, [row for row in rows if row.action in _WRITING]):
        prober.note(probed.permission.action, probed.verdict, probed.detail)
    known = {one.permission.action for one in further}
    return BucketProbe(
        place=place,
        probed=(*(one for one in prober.verdicts() if one.permission.action not in known), *further),
        refusal=refusal,
        index=index,
    )


def probe_topic(sns: Answering, iam: Answering, caller: str, arn: str) -> TopicProbe:
    """Ask ``sns`` about the topic, which needs sns:GetTopicAttributes, and ``iam`` what ``caller`` may do."""
    refusal: Refusal | None = None
    attributes: Mapping[str, object] = {}
    try:
        answer = answered(lambda: sns.call("GetTopicAttributes", TopicArn=arn))
        attributes = answer.get("Attributes") or {}
    except RefusedError as error:
        refusal = error.refusal
    told = str(attributes.get("SubscriptionsConfirmed") or "")
    return TopicProbe(
        arn=arn,
        probed=tuple(simulated(iam, caller, topic_permissions(arn))),
        refusal=refusal,
        subscriptions=int(told) if told.isdecimal() else None,
        kms_key=one_line(attributes.get("KmsMasterKeyId") or "", 200),
    )


def simulated(iam: Answering, caller: str, permissions: Iterable[Permission]) -> list[Probed]:
    """What IAM thinks of each of ``permissions`` of ``caller``, on the resources that they name."""
    rows = list(permissions)
    source = policy_source(caller)
    if source is None:
        return [
            Probed(row, Verdict.UNKNOWN, _untried("IAM has no policies of such a caller")) for row in rows
        ]
    by_resource: dict[str, list[Permission]] = {}
    for row in rows:
        by_resource.setdefault(row.resource, []).append(row)
    return [one for mine in by_resource.values() for one in _simulated(iam, source, mine)]


def _simulated(iam: Answering, source: str, rows: Sequence[Permission]) -> list[Probed]:
    """The same of rows with one resource."""
    resource = rows[0].resource.replace("{{", "{").replace("}}", "}")
    if rows[0].service == "kms" and (not resource.startswith("arn:") or ":kms:*:" in resource):
        why = "IAM is asked about a key by its ARN alone"
        return [Probed(row, Verdict.UNKNOWN, _untried(why)) for row in rows]
    if rows[0].service == "s3":
        # One of the objects that the wildcard is about.
        resource = f"{resource.removesuffix('*')}{INDEX_JSON}"
    try:
        answer = answered(
            lambda: iam.call(
                "SimulatePrincipalPolicy",
                PolicySourceArn=source,
                ActionNames=[row.action for row in rows],
                ResourceArns=[resource],
            )
        )
    except RefusedError as error:
        why = f"iam:SimulatePrincipalPolicy of {source}: {error}"
        return [Probed(row, Verdict.UNKNOWN, _untried(why)) for row in rows]
    decisions = {
        str(entry.get("EvalActionName")).lower(): str(entry.get("EvalDecision") or "")
        for entry in answer.get("EvaluationResults") or ()
    }
    return [_decided(row, decisions.get(row.action.lower(), "")) for row in rows]


def _decided(row: Permission, decision: str) -> Probed:
    if decision == _ALLOWED:
        return Probed(row, Verdict.GRANTED, "by IAM's simulation of the caller's policies")
    if not decision:
        return Probed(row, Verdict.UNKNOWN, _untried("IAM's simulation left it out"))
    # As AWS's own refusals say it.
    forbidden = ", an explicit deny" if decision == _FORBIDDEN else ""
    said = f"{one_line(decision, 40)}, by IAM's simulation of the caller's policies{forbidden}"
    return Probed(row, Verdict.DENIED, said)


def _untried(why: str) -> str:
    return f"not tried, as that would be to write; {why}"


def _read(s3: Answering, place: BucketPlace) -> bytes:
    """The index; raises RefusedError."""
    answer = s3.call("GetObject", Bucket=place.bucket, Key=place.index)
    data: bytes = answer["Body"].read(_INDEX_BYTES)
    return data
