"""What a collection prints, in each format."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from analyzer.acceptance import AcceptedGap, split_gaps
from analyzer.cli.tables import collect_table, gaps_text
from reports.text import json_escaped

if TYPE_CHECKING:
    from analyzer.collect import CollectResult, RegistrySummary


def rendered(result: CollectResult, accepted: Sequence[AcceptedGap], form: str) -> str:
    """``result`` as a table, a JSON document or CSV, one row a registry."""
    if form == "json":
        return json_escaped(json.dumps(_document(result, accepted), indent=2, ensure_ascii=False)) + "\n"
    if form == "csv":
        out = io.StringIO()
        rows = [_registry(row) for row in result.registries]
        writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return out.getvalue()
    open_gaps, covered = split_gaps(result.gaps, accepted)
    return collect_table(result) + gaps_text(open_gaps, accepted=len(covered))


def _document(result: CollectResult, accepted: Sequence[AcceptedGap]) -> dict[str, Any]:
    open_gaps, covered = split_gaps(result.gaps, accepted)
    return {
        "run": result.run,
        "status": result.status,
        "registries": [_registry(row) for row in result.registries],
        "calls": dict(result.calls),
        "retries": result.retries,
        "throttles": result.throttles,
        "gaps": [asdict(gap) for gap in open_gaps],
        "accepted_gaps": [{**asdict(gap), "accepted_because": reason} for gap, reason in covered],
    }


def _registry(row: RegistrySummary) -> dict[str, Any]:
    return {
        "account": row.key.account,
        "region": row.key.region,
        "snapshot": row.snapshot,
        "status": row.status,
        "repositories": row.repositories,
        "artifacts": row.artifacts,
        "manifests_fetched": row.manifests_fetched,
        "gaps": len(row.gaps),
    }
