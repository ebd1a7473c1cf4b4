"""DescribeImages entries to artifacts: the one loop that sees every image every night.

An entry is turned as it comes; a whole page is then checked at once (one regular expression over
all its digests, one look at all its tags). Only a page that fails is gone through entry by entry.
Times may be numbers (as this package's clients give them), datetimes (as other boto3 clients do)
or text.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from botocore.utils import parse_timestamp

from analyzer.manifests import is_digest, storable
from analyzer.model.records import Artifact, ImageStatus, ScanSummary
from analyzer.model.units import to_ms

_STATUSES = {
    "ACTIVE": ImageStatus.ACTIVE,
    "ARCHIVED": ImageStatus.ARCHIVED,
    "ACTIVATING": ImageStatus.ACTIVATING,
}
_SEVERITIES = ("CRITICAL", "HIGH", "MEDIUM", "LOW", "INFORMATIONAL", "UNDEFINED")
_DAY_SECONDS = 86_400
#: Seconds; the year 5138. What lies beyond is no time, and would not fit the store's day numbers.
_LAST_SECOND = 1e11
_SIZE_LIMIT = 2**63
_COUNT_LIMIT = 2**31

_DIGEST_LINES = re.compile(r"(?:sha256:[0-9a-f]{64}\n|sha512:[0-9a-f]{128}\n)*+", re.ASCII)

# Artifact(...) goes through a Python function; over a hundred thousand images that shows.
_new = tuple.__new__

#: What a value of the wrong type or range raises while an entry is turned.
_WRONG = (TypeError, ValueError, AttributeError, OverflowError, RuntimeError)


class PageFaults(NamedTuple):
    """What was wrong with a page of images."""

    #: Entries left out: they have no digest that can be understood.
    left_out: int = 0
    #: Entries kept without those of their fields that could not be understood.
    mended: int = 0
    #: Entries whose imageStatus this version does not know.
    unknown_status: int = 0


def add_page(details: Sequence[Mapping[str, Any]], artifacts: dict[str, Artifact]) -> PageFaults:
    """Add a page of imageDetails to ``artifacts`` (by digest; a later entry replaces an earlier)."""
    left_out = mended = 0
    rows: list[Artifact] = []
    try:
        rows = [_artifact(detail) for detail in details]
        sound = _is_sound(rows)
    except _WRONG:
        sound = False
    if not sound:
        rows = []
        for detail in details:
            whole, kept = _mended(detail)
            if kept is None:
                left_out += 1
                continue
            mended += not whole
            rows.append(_artifact(kept))
    other = ImageStatus.OTHER
    unknown = 0
    for row in rows:
        # Taken out first, so that the order is that of the last sight: of two images that show the
        # same tag because it moved while the pages were read, the later one has it.
        artifacts.pop(row[0], None)
        artifacts[row[0]] = row
        if row[3] is other:
            unknown += 1
    return PageFaults(left_out, mended, unknown)


def milliseconds(value: object) -> int | None:
    """A time of AWS's as milliseconds since 1970 UTC; None stays None.

    Raises ValueError (or TypeError) for what is no time.
    """
    if value is None:
        return None
    return round(_seconds(value) * 1000)


def _seconds(value: object) -> float:
    """Seconds since 1970 UTC."""
    if type(value) is float or type(value) is int:
        if not -_LAST_SECOND < value < _LAST_SECOND:
            raise ValueError(f"{value} is no time")
        return value
    if isinstance(value, datetime):
        return to_ms(value) / 1000
    if isinstance(value, str):
        return _seconds_of_text(value)
    raise TypeError(f"{type(value).__name__} is no time")


def _seconds_of_text(text: str) -> float:
    # As the AWS CLI prints times; botocore reads more, and takes twenty times as long.
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = parse_timestamp(text)
    if moment.tzinfo is None:
        moment = parse_timestamp(text)
    return to_ms(moment) / 1000


def _artifact(detail: Mapping[str, Any]) -> Artifact:
    """One entry; raises one of ``_WRONG`` when something in it is of a wrong type or range."""
    get = detail.get
    tags = get("imageTags")
    if not tags:
        names: tuple[str, ...] = ()
    elif type(tags) is not list:
        raise TypeError("imageTags is no list")
    elif len(tags) == 1:
        names = (tags[0],)
    else:
        names = tuple(sorted(set(tags)))
    pushed = get("imagePushedAt")
    if type(pushed) is float and 0.0 < pushed < _LAST_SECOND:
        pushed_ms: int | None = int(pushed * 1000.0 + 0.5)
    else:
        pushed_ms = milliseconds(pushed)
    pulled = get("lastRecordedPullTime")
    size = get("imageSizeInBytes")
    if size is not None and (type(size) is not int or not 0 <= size < _SIZE_LIMIT):
        raise ValueError("imageSizeInBytes is no size")
    status = get("imageStatus")
    media_type = get("imageManifestMediaType")
    artifact_type = get("artifactMediaType")
    subject = get("subjectManifestDigest")
    scan_status = get("imageScanStatus")
    findings = get("imageScanFindingsSummary")
    archived = get("lastArchivedAt")
    activated = get("lastActivatedAt")
    return _new(
        Artifact,
        (
            # Whether it is a digest, the check of the whole page says.
            get("imageDigest"),
            names,
            pushed_ms,
            ImageStatus.ACTIVE if status is None else _STATUSES.get(status, ImageStatus.OTHER),
            None if archived is None else milliseconds(archived),
            None if activated is None else milliseconds(activated),
            size,
            None if media_type is None else _plain(media_type),
            None if artifact_type is None else _plain(artifact_type),
            None if subject is None else _digest(subject),
            None if pulled is None else int(_seconds(pulled) // _DAY_SECONDS),
            None if scan_status is None and findings is None else _scan(scan_status or {}, findings or {}),
        ),
    )


@lru_cache(maxsize=4096)
def _plain(text: str) -> str:
    """One copy of a text that many images repeat; ValueError if no database would take it."""
    if storable(text) != text:
        raise ValueError("not plain text")
    return sys.intern(text)


def _digest(text: object) -> object:
    if not is_digest(text):
        raise ValueError("no digest")
    return text


def _scan(scan_status: Mapping[str, Any], findings: Mapping[str, Any]) -> ScanSummary:
    completed = findings.get("imageScanCompletedAt")
    counts = findings.get("findingSeverityCounts") or {}
    numbers = [counts.get(severity, 0) for severity in _SEVERITIES]
    for number in numbers:
        if type(number) is not int or not 0 <= number < _COUNT_LIMIT:
            raise ValueError("a severity count is no count")
    status = scan_status.get("status") or ""
    return ScanSummary(
        _plain(status),
        None if completed is None else int(_seconds(completed) // _DAY_SECONDS),
        *numbers,
    )


def _is_sound(rows: Iterable[Artifact]) -> bool:
    """Whether all digests are digests and all tags plain; TypeError when one is no text at all."""
    digests: list[str] = []
    tags: list[str] = []
    for row in rows:
        digests.append(row[0])
        tags += row[1]
    digests.append("")
    joined = "\n".join(tags)
    return _DIGEST_LINES.fullmatch("\n".join(digests)) is not None and joined.isascii() and "\0" not in joined


def _mended(detail: Any) -> tuple[bool, Mapping[str, Any] | None]:
    """Whether an entry is sound, and what of it is; None for it when it has no digest."""
    if not isinstance(detail, Mapping) or not is_digest(detail.get("imageDigest")):
        return False, None
    digest = detail["imageDigest"]
    kept: dict[str, Any] = {"imageDigest": digest}
    whole = True
    for name in detail:
        value = detail[name]
        if name == "imageTags" and isinstance(value, list):
            texts = [storable(tag) for tag in value if isinstance(tag, str)]
            whole = whole and texts == value
            value = texts
        elif name in ("imageManifestMediaType", "artifactMediaType") and isinstance(value, str):
            whole = whole and storable(value) == value
            value = storable(value)
        try:
            _artifact({"imageDigest": digest, name: value})
        except _WRONG:
            whole = False
            continue
        kept[name] = value
    return whole, kept
