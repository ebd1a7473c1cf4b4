"""AWS's ip-ranges for tests: a small invented file, and the real one where it is there."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence

import pytest

from tests.support.corpus import shared_path

CREATED = "2026-08-22-15-17-05"

#: Prefix, region, service.
ROWS = (
    ("18.200.0.0/16", "eu-west-1", "AMAZON"),
    ("18.200.0.0/16", "eu-west-1", "EC2"),
    ("18.200.7.0/24", "us-east-1", "EC2"),
    ("52.94.0.0/20", "us-west-2", "AMAZON"),
    ("13.32.0.0/15", "GLOBAL", "CLOUDFRONT"),
    ("13.32.0.0/15", "GLOBAL", "AMAZON"),
    ("2600:1f18::/36", "us-east-1", "AMAZON"),
    ("2600:1f18::/36", "us-east-1", "EC2"),
)


def ip_ranges_bytes(rows: Sequence[tuple[str, str, str]] = ROWS, *, created: str = CREATED) -> bytes:
    """A file of AWS's form; where a prefix has a colon in it, it is of IPv6."""

    def entries(field: str, *, is_v6: bool) -> list[dict[str, str]]:
        return [
            {field: prefix, "region": region, "service": service, "network_border_group": region}
            for prefix, region, service in rows
            if (":" in prefix) == is_v6
        ]

    return json.dumps(
        {
            "syncToken": "1787411825",
            "createDate": created,
            "prefixes": entries("ip_prefix", is_v6=False),
            "ipv6_prefixes": entries("ipv6_prefix", is_v6=True),
        }
    ).encode()


def real_ip_ranges() -> bytes:
    """What AWS published in August 2026; skips the test where it is not there."""
    path = shared_path() / "data" / "aws" / "ip-ranges.json.gz"
    if not path.exists():
        pytest.skip("no copy of AWS's ip-ranges.json beside the checkout")
    return gzip.decompress(path.read_bytes())
