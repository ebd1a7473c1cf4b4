"""Records as CloudTrail writes them for pulls, and files and folders of them. All values are invented."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping
from typing import Any

OWNER, OTHER = "111122223333", "444455556666"
REGION = "eu-west-1"
SESSION = "i-0123456789abcdef0"


def layer(number: int) -> str:
    """The digest of one of the layers that there are."""
    return f"sha256:{number:064x}"


def role_identity(account: str = OWNER, role: str = "nodes", session: str = SESSION) -> dict[str, Any]:
    """The identity of a role's session."""
    return {
        "type": "AssumedRole",
        "principalId": f"AROAEXAMPLE:{session}",
        "arn": f"arn:aws:sts::{account}:assumed-role/{role}/{session}",
        "accountId": account,
        "sessionContext": {
            "sessionIssuer": {
                "type": "Role",
                "arn": f"arn:aws:iam::{account}:role/{role}",
                "accountId": account,
                "userName": role,
            }
        },
        "invokedBy": "AWS Internal",
    }


def reduced_identity(account: str = OTHER, session: str = SESSION) -> dict[str, Any]:
    """What the owner of a registry is told of another account's principal."""
    return {"type": "AWSAccount", "principalId": f"AROAEXAMPLE:{session}", "accountId": account}


def record(
    event: str,
    *,
    name: str = "GetDownloadUrlForLayer",
    time: str = "2026-10-05T08:14:02Z",
    account: str = OWNER,
    region: str = REGION,
    repository: str = "team/app",
    identity: Mapping[str, Any] | None = None,
    recipient: str | None = None,
    asked: Mapping[str, Any] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """One record of a pull; a layer's unless told otherwise."""
    about = (
        {"layerDigest": layer(1)} if name == "GetDownloadUrlForLayer" else {"imageIds": [{"imageTag": "v1"}]}
    )
    return {
        "eventVersion": "1.11",
        "userIdentity": role_identity() if identity is None else identity,
        "eventTime": time,
        "eventSource": "ecr.amazonaws.com",
        "eventName": name,
        "awsRegion": region,
        "sourceIPAddress": "AWS Internal",
        "userAgent": "AWS Internal",
        "requestParameters": {"registryId": account, "repositoryName": repository, **(asked or about)},
        "responseElements": None,
        "requestID": f"request-{event}",
        "eventID": event,
        "readOnly": True,
        "resources": [
            {"accountId": account, "ARN": f"arn:aws:ecr:{region}:{account}:repository/{repository}"}
        ],
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": recipient or account,
        "eventCategory": "Management",
        **more,
    }


def other_record(event: str, *, read_only: bool = False, **more: Any) -> dict[str, Any]:
    """A record about something else."""
    return {
        "eventVersion": "1.11",
        "eventTime": "2026-10-05T08:14:02Z",
        "eventSource": "s3.amazonaws.com",
        "eventName": "GetBucketAcl" if read_only else "CreateBucket",
        "awsRegion": REGION,
        "eventID": event,
        "readOnly": read_only,
        "managementEvent": True,
        "recipientAccountId": OWNER,
        "eventCategory": "Management",
        **more,
    }


def packed(records: Iterable[Mapping[str, Any]]) -> bytes:
    """A file as CloudTrail leaves it."""
    return gzip.compress(json.dumps({"Records": list(records)}, separators=(",", ":")).encode(), 1)


def key(
    *,
    account: str = OWNER,
    region: str = REGION,
    day: str = "2026-10-05",
    time: str = "0815",
    mark: str = "A" * 16,
) -> str:
    """The name of a file in a trail's bucket, from AWSLogs on."""
    year, month, of_month = day.split("-")
    return (
        f"AWSLogs/{account}/CloudTrail/{region}/{year}/{month}/{of_month}/"
        f"{account}_CloudTrail_{region}_{year}{month}{of_month}T{time}Z_{mark}.json.gz"
    )
