"""ECR's quotas as they were published, where that list lies beside the repository."""

from __future__ import annotations

import csv

import pytest

from tests.support.corpus import shared_path


def published_quotas() -> dict[str, tuple[int, bool, str]]:
    """By name: the default, whether it can be raised, and Service Quotas' code; skips without the list."""
    file = shared_path() / "ecr" / "data" / "service_quotas.csv"
    if not file.exists():
        pytest.skip(f"no list of quotas at {file}")
    with file.open(encoding="utf-8", newline="") as opened:
        return {
            row["quota"]: (int(row["default"]), row["adjustable"] == "yes", row["quota_code"])
            for row in csv.DictReader(opened)
            if row["default"].isdigit()
        }
