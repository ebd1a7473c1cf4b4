"""The names of CloudTrail's files: whose they are, of which region, day and hour.

``[prefix/]AWSLogs/[o-…/]ACCOUNT/CloudTrail/REGION/YYYY/MM/DD/ACCOUNT_CloudTrail_REGION_YYYYMMDDTHHmmZ_….json.gz``
(AWS CloudTrail user guide, "CloudTrail log file name format"); the organization's id is there for trails of
organizations. Digests and Insights lie beside, under names of their own.
"""

from __future__ import annotations

import re
from datetime import date
from hashlib import blake2b
from typing import NamedTuple

_EPOCH = date(1970, 1, 1).toordinal()
_NAME = re.compile(
    r"([0-9]{12})_CloudTrail_([a-z0-9-]{1,32})_([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})[0-9]{2}Z_[A-Za-z0-9]+"
    r"\.json(?:\.gz)?"
)
_OTHERS = re.compile(r"_CloudTrail-(?:Digest|Insight|NetworkActivity)_|/CloudTrail-(?:Digest|Insight)/")


class FileName(NamedTuple):
    """What a file's name says."""

    account: str
    region: str
    day: int
    hour: int


def parse_name(name: str) -> FileName | None:
    """What the name of a file of events says; None where it is none of CloudTrail's."""
    found = _NAME.fullmatch(name.rpartition("/")[2])
    if found is None:
        return None
    try:
        day = date(int(found[3]), int(found[4]), int(found[5])).toordinal() - _EPOCH
    except ValueError:
        return None
    hour = int(found[6])
    return FileName(found[1], found[2], day, hour) if hour < 24 else None


def is_beside(name: str) -> bool:
    """Whether a file holds no events of calls, but digests of such files or Insights."""
    return _OTHERS.search(name) is not None


def file_hash(name: str, size: int) -> int:
    """64 bits that stand for a file."""
    text = f"{name}\0{size}".encode("utf-8", "surrogateescape")
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "little")
