"""One record of CloudTrail: whether it is a pull, of what and by whom.

Written against what is documented of CloudTrail's record contents (eventVersion 1.04 to 1.11) and what
public records of pulls look like: ECR's front end makes the call for the client, so that address and
agent are ``AWS Internal`` and only the identity leads to the puller. Every field may be missing, null
or of another type.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import IntEnum
from fnmatch import fnmatchcase
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from analyzer.model.pulls import Hints, LeftOut, PullKind, Target

#: The calls that make up a pull.
PULL_EVENTS: Final = frozenset({"BatchGetImage", "GetDownloadUrlForLayer"})

#: Day of an event whose time cannot be read.
NO_DAY: Final = 0

_ECR = "ecr.amazonaws.com"
_EPOCH = date(1970, 1, 1).toordinal()
#: CloudTrail began in 2013; the rest of this century will do.
_DAYS = range(15_706, 47_482)
_HOURS = frozenset(f"{hour:02}" for hour in range(24))

#: The same few values come in thousands of records.
_REMEMBERED = 20_000


def _form(pattern: str) -> Callable[[object], str]:
    """What gives a value where it is a text of that form, else ""."""
    whole = re.compile(pattern)

    @lru_cache(maxsize=_REMEMBERED)
    def checked(value: str) -> str:
        return value if whole.fullmatch(value) else ""

    def matching(value: object) -> str:
        return checked(value) if isinstance(value, str) else ""

    return matching


_account = _form("[0-9]{12}")
_region = _form("[a-z]{2,8}(?:-[a-z0-9]{1,16}){1,4}")
_repository = _form("(?=.{1,256}$)[a-z0-9]+(?:[._/-]+[a-z0-9]+)*")
_digest = _form("sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
#: OCI distribution specification, "Pulling manifests".
_tag = _form("[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
#: An ARN of IAM or STS, or the name of a service, of a length that an index takes.
_principal = _form("[!-~]{1,1024}")
_address = _form("[0-9]{1,3}(?:[.][0-9]{1,3}){3}|[0-9a-fA-F]*:[0-9a-fA-F:.]*")
#: arn:PARTITION:ecr:REGION:ACCOUNT:repository/NAME
_RESOURCE = re.compile("arn:[a-z-]+:ecr:([a-z0-9-]+):([0-9]{12}):repository/(.+)")
_SERVICE_ROLE = re.compile(":role/aws-service-role/([^/]+)/")
#: BatchGetImage takes no more imageIds.
_IMAGES_AT_MOST = 100
_OUR_AGENT = "demurrage/"

#: Service principals whose reads look for vulnerabilities.
_SCANNERS = re.compile(r"(?:[a-z0-9-]+\.)*(?:inspector2?|guardduty)\.amazonaws\.com")
#: Those that copy for ECR: replication, pull-through caches, ECR itself.
_COPIERS = re.compile(r"(?:[a-z0-9-]+\.)*ecr\.amazonaws\.com")


class Side(IntEnum):
    """Of a call from one account into another CloudTrail gives a copy to each that has to do with it."""

    #: The only record of its call, as far as CloudTrail says.
    ALONE = 0
    #: The copy of the registry's owner: what was pulled is believed to it.
    OWNER = 1
    #: The copy of the puller's account, which alone names the role.
    PULLER = 2
    #: Of another account: that of a shared VPC's endpoint.
    OTHER = 3


class PullFacts(NamedTuple):
    """What one record says."""

    #: Days since 1970-01-01 UTC; NO_DAY where it does not say.
    day: int
    #: One for each image or layer asked for, or one that says why the event is not counted.
    targets: tuple[Target, ...]
    hints: Hints
    #: Names the event: all its copies, where it has several.
    event: str
    side: Side


@dataclass(frozen=True, slots=True)
class Rules:
    """Whose reads are no pulls to be counted."""

    #: Globs over the ARNs of principals that scan images.
    scanners: tuple[str, ...] = ()


def read_record(record: Mapping[str, Any], rules: Rules) -> PullFacts | None:
    """What ``record`` says of a pull; None where it is about something else."""
    if (
        not isinstance(name := record.get("eventName"), str)
        or name not in PULL_EVENTS
        or record.get("eventSource") != _ECR
        # Insights count calls; they are none.
        or record.get("eventCategory", "Management") == "Insight"
        or record.get("eventType") == "AwsCloudTrailInsight"
    ):
        return None
    asked = _object(record, "requestParameters")
    recipient = _account(record.get("recipientAccountId"))
    account, region, repository = _place(record, asked, recipient)
    identity = _object(record, "userIdentity")
    principal_account, principal, session = _who(identity)
    address = record.get("sourceIPAddress")
    hints = Hints(
        account,
        region,
        repository,
        principal_account,
        principal,
        session,
        _address(address),
        _endpoint(record.get("vpcEndpointId")),
    )
    day = _day(record.get("eventTime"))
    reason = _left_out(record, rules, hints.principal, (address, identity.get("invokedBy")))
    targets: tuple[Target, ...] = ()
    if reason is None and account and region and repository and day:
        targets = _targets(name, asked, (account, region, repository))
    if not targets:
        # As many as were asked for, so that each has its place among the copies of the event.
        targets = (Target(account, region, "", reason or LeftOut.UNREADABLE),) * _asked_for(asked)
    shared = record.get("sharedEventID")
    if shared and isinstance(shared, str):
        return PullFacts(day, targets, hints, shared, _side(recipient, account, principal_account))
    event = record.get("eventID")
    if not event or not isinstance(event, str):
        # Nothing else tells two copies of it from two events.
        event = blake2b(json.dumps(record, sort_keys=True).encode()).hexdigest()
    return PullFacts(day, targets, hints, event, Side.ALONE)


def hash_of(event: str, position: int, side: Side) -> int:
    """64 bits that stand for one target of an event, or of one copy of it."""
    text = f"{event}\0{position}\0{int(side)}".encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "little")


def is_management_read(record: Mapping[str, Any]) -> bool:
    """Whether a trail that keeps ``record`` keeps the reads among management events, as pulls are."""
    return (
        record.get("readOnly") in (True, "true")
        and record.get("managementEvent", True) is not False
        and record.get("eventCategory", "Management") == "Management"
    )


def span_of(record: Mapping[str, Any]) -> tuple[tuple[str, str, int], int] | None:
    """Account, region and day of the trail that ``record`` is of, and the hour; None where it is silent."""
    account = _account(record.get("recipientAccountId"))
    region = _region(record.get("awsRegion"))
    time = record.get("eventTime")
    day = _day(time)
    hour = time[11:13] if isinstance(time, str) else ""
    if not (account and region and day and hour in _HOURS):
        return None
    return (account, region, day), int(hour)


def _object(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = record.get(name)
    return value if isinstance(value, dict) else {}


def _place(record: Mapping[str, Any], asked: Mapping[str, Any], recipient: str) -> tuple[str, str, str]:
    """Account, region and repository; "" for what is not said."""
    account = _account(asked.get("registryId"))
    region = _region(record.get("awsRegion"))
    repository = _repository(asked.get("repositoryName"))
    if not (account and region and repository):
        resources = record.get("resources")
        for resource in resources if isinstance(resources, list) else ():
            arn = resource.get("ARN") if isinstance(resource, dict) else None
            found = _RESOURCE.fullmatch(arn) if isinstance(arn, str) else None
            if found is not None:
                region = region or _region(found[1])
                account = account or found[2]
                repository = repository or _repository(found[3])
                break
    # Who names no registry asks for that of the caller's account, and is alone with the record.
    return account or recipient, region, repository


def _targets(event_name: str, asked: Mapping[str, Any], place: tuple[str, str, str]) -> tuple[Target, ...]:
    """What is asked for; nothing where one of it cannot be read."""
    if event_name == "GetDownloadUrlForLayer":
        digest = _digest(asked.get("layerDigest"))
        return (Target(*place, PullKind.LAYER, digest),) if digest else ()
    images = asked.get("imageIds")
    found = []
    for image in images if isinstance(images, list) else ():
        named: Mapping[str, Any] = image if isinstance(image, dict) else {}
        digest = _digest(named.get("imageDigest"))
        tag = "" if digest else _tag(named.get("imageTag"))
        if not digest and not tag:
            return ()
        found.append(Target(*place, PullKind.IMAGE, digest, tag))
    return tuple(found)


def _asked_for(asked: Mapping[str, Any]) -> int:
    images = asked.get("imageIds")
    return min(max(len(images), 1), _IMAGES_AT_MOST) if isinstance(images, list) else 1


def _who(identity: Mapping[str, Any]) -> tuple[str, str, str]:
    """Account, principal and session of an identity; "" for what it does not say."""
    kind, arn = identity.get("type"), identity.get("arn")
    account = _account(identity.get("accountId"))
    if kind == "AWSService":
        return account, _principal(identity.get("invokedBy")), ""
    arn = arn if isinstance(arn, str) and len(arn) <= 2048 else ""
    issuer = _object(_object(identity, "sessionContext"), "sessionIssuer")
    principal = _principal(issuer.get("arn"))
    # arn:PARTITION:sts::ACCOUNT:assumed-role/NAME/SESSION
    parts = arn.split(":", 5)
    resource = parts[5].split("/") if len(parts) == 6 else []
    session = resource[-1] if len(resource) >= 3 and resource[0] == "assumed-role" else ""
    if not account:
        owner = parts[4] if len(parts) == 6 else ""
        account = _account(owner) or _account(issuer.get("accountId"))
    if not principal:
        # The path of the role is not in its session's ARN.
        principal = _principal(
            f"{parts[0]}:{parts[1]}:iam::{parts[4]}:role/{resource[1]}" if session else arn
        )
    if not session:
        # Of another account's principal this is all that the owner's copy says.
        session = str(identity.get("principalId") or "").partition(":")[2]
    return account, principal, session[:128]


def _left_out(
    record: Mapping[str, Any], rules: Rules, principal: str, callers: Sequence[object]
) -> LeftOut | None:
    if record.get("errorCode") or record.get("errorMessage"):
        return LeftOut.ERROR
    agent = record.get("userAgent")
    if isinstance(agent, str) and agent.startswith(_OUR_AGENT):
        return LeftOut.COLLECTOR
    reason = _reason_of_principal(principal, rules) if principal else None
    for caller in callers:
        if reason is None and isinstance(caller, str) and caller.endswith(".amazonaws.com"):
            reason = _reason_of_service(caller)
    return reason


@lru_cache(maxsize=_REMEMBERED)
def _reason_of_principal(principal: str, rules: Rules) -> LeftOut | None:
    if any(fnmatchcase(principal, glob) for glob in rules.scanners):
        return LeftOut.SCANNER
    found = _SERVICE_ROLE.search(principal)
    return _reason_of_service(found[1] if found else principal)


def _reason_of_service(service: str) -> LeftOut | None:
    if _SCANNERS.fullmatch(service):
        return LeftOut.SCANNER
    return LeftOut.SERVICE if _COPIERS.fullmatch(service) else None


def _side(recipient: str, owner: str, puller: str) -> Side:
    if not recipient or recipient == owner:
        return Side.OWNER
    return Side.PULLER if not puller or recipient == puller else Side.OTHER


def _endpoint(value: object) -> str:
    return value if isinstance(value, str) and value.startswith("vpce-") and len(value) <= 64 else ""


def _day(time: object) -> int:
    return _day_of(time[:10]) if isinstance(time, str) else NO_DAY


@lru_cache(maxsize=1_000)
def _day_of(text: str) -> int:
    try:
        day = date.fromisoformat(text).toordinal() - _EPOCH
    except ValueError:
        return NO_DAY
    return day if day in _DAYS else NO_DAY
