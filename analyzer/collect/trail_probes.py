"""Whether a trail's bucket may be read, and what CloudTrail says of the trail: for `doctor`.

By the very calls that `ingest` makes: one page of the bucket's list, the first byte of one file, and what
CloudTrail tells of the trail. S3 charges for two requests.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from analyzer.collect.permissions import ENCRYPT, TRAIL, Permission, on_bucket, on_key, permissions_of
from analyzer.collect.probes import Probed, Prober, Verdict
from analyzer.collect.refusals import ACCESS_CODES, Refusal
from analyzer.collect.trails import FILES, NO_TRAIL, TrailBucket, keeps_reads, trail_place
from analyzer.model.trails import TrailState

_LIST, _GET, _DECRYPT = "s3:ListBucket", "s3:GetObject", "kms:Decrypt"
_TRAILS, _SELECTORS, _STATUS = (
    "cloudtrail:DescribeTrails",
    "cloudtrail:GetEventSelectors",
    "cloudtrail:GetTrailStatus",
)
#: Whoever may ask is told that there is no such trail.
_NO_SUCH = {"TrailARN": "demurrage-doctor"}

#: The actions that `probe_trail` knows how to try.
TRAIL_ACTIONS = frozenset({_LIST, _GET, _TRAILS, _SELECTORS, _STATUS})


def trail_permissions(url: str, partition: str) -> tuple[Permission, ...]:
    """What reading the trail's bucket takes; raises InputError where ``url`` names none."""
    bucket, prefix = trail_place(url)
    return on_bucket(permissions_of((TRAIL,)), partition, bucket, f"{prefix}/{FILES}".lstrip("/"))


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailProbe:
    """What one trail's bucket let us do."""

    #: ``s3://BUCKET/PREFIX``.
    name: str
    probed: tuple[Probed, ...]
    #: Why the bucket could not be listed; None where it could.
    refusal: Refusal | None = None
    has_files: bool = False
    #: What CloudTrail says of the trail; None where it was refused.
    state: TrailState | None = None


def probe_trail(bucket: TrailBucket, partition: str) -> TrailProbe:
    """Try what reading the trail takes."""
    prober = Prober(trail_permissions(bucket.name, partition))
    file = prober.try_(_LIST, bucket.first_file)
    refusal = prober.refusals.get(_LIST)
    further: list[Probed] = []
    if file is not None:
        prober.try_(_GET, lambda: bucket.peek(file.name), f"asked for the first byte of {file.name}")
        locked = locked_by(prober.refusals.get(_GET))
        if locked is not None:
            further.append(locked)
            prober.note(_GET, Verdict.GRANTED, "")
    elif refusal is not None:
        prober.note(_GET, Verdict.UNKNOWN, "not asked: no file of the trail is known")
    else:
        prober.note(_GET, Verdict.NOTHING_THERE, "not asked: there is no file of the trail")
    trail = prober.try_(_TRAILS, bucket.find_trail)
    selectors = prober.try_(_SELECTORS, lambda: bucket.selectors(trail or _NO_SUCH))
    status = prober.try_(_STATUS, lambda: bucket.status(trail or _NO_SUCH))
    state = None
    if _TRAILS not in prober.refusals and trail is None:
        state = NO_TRAIL
    elif trail is not None and selectors is not None and (status is not None or not keeps_reads(selectors)):
        state = bucket.state_of(trail, selectors, status or {})
    return TrailProbe(
        name=bucket.name,
        probed=(*prober.verdicts(), *further),
        refusal=refusal,
        has_files=file is not None,
        state=state,
    )


def locked_by(refusal: Refusal | None) -> Probed | None:
    """That kms:Decrypt is missing, where that is why S3 gave no object; None where it is not.

    S3 passes on what KMS said: that the caller is not authorized to perform kms:Decrypt on a key.
    """
    if refusal is None or refusal.reason not in ACCESS_CODES or _DECRYPT not in refusal.detail:
        return None
    (row,) = (row for row in permissions_of((ENCRYPT,)) if row.action == _DECRYPT)
    key = re.search(r"arn:[a-z0-9-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+", refusal.detail)
    if key is not None:
        (row,) = on_key((row,), "", key[0])
    return Probed(row, Verdict.DENIED, f"{refusal.reason}: {refusal.detail}")
