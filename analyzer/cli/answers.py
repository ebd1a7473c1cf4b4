"""What a collection prints, in each format."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from analyzer.acceptance import AcceptedGap, split_gaps
from analyzer.cli.tables import gaps_text
from reports.csv_cells import neutral
from reports.text import json_escaped, visible

if TYPE_CHECKING:
    from analyzer.collect import CollectResult, RegistrySummary


#: Accounts named among those not collected.
_SKIPPED = 10


def rendered(result: CollectResult, accepted: Sequence[AcceptedGap], form: str) -> str:
    """``result`` as a table, a JSON document or CSV, one row a registry."""
    if form == "json":
        return json_escaped(json.dumps(_document(result, accepted), indent=2, ensure_ascii=False)) + "\n"
    if form == "csv":
        return csv_text([_registry(row) for row in result.registries])
    open_gaps, covered = split_gaps(result.gaps, accepted)
    return _table(result) + _skipped(result) + gaps_text(open_gaps, accepted=len(covered))


def csv_text(rows: Sequence[Mapping[str, object]]) -> str:
    """``rows``, at least one and all of the same columns, as CSV that no spreadsheet runs as a formula."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: neutral(cell) if isinstance(cell, str) else cell for key, cell in row.items()})
    return out.getvalue()


def _table(result: CollectResult) -> str:
    """How the run went, registry by registry."""
    heads = ("ACCOUNT", "REGION", "SNAPSHOT", "STATUS", "REPOSITORIES", "ARTIFACTS", "NEW MANIFESTS")
    lines: list[tuple[str, ...]] = [heads]
    for row in result.registries:
        number = "-" if row.snapshot is None else str(row.snapshot)
        number += " (resumed)" if row.is_resumed else ""
        counts = (f"{count:,}" for count in (row.repositories, row.artifacts, row.manifests_fetched))
        lines.append(
            (visible(row.key.account), visible(row.key.region), number, visible(row.status), *counts)
        )
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    # The last three are numbers, and end below one another.
    edges = ("<", "<", "<", "<", ">", ">", ">")
    shown = [
        "   ".join(f"{cell:{edge}{width}}" for cell, edge, width in zip(line, edges, widths, strict=True))
        for line in lines
    ]
    return "\n".join([shown[0], "─" * len(shown[0]), *shown[1:], _calls(result), ""])


def _calls(result: CollectResult) -> str:
    """What the run asked of AWS, and what that cost."""
    total = sum(result.calls.values())
    if not total:
        return f"Run {result.run} made no calls."
    calls = ", ".join(f"{name} {count:,}" for name, count in result.calls.items())
    expired = result.expired_page_tokens
    # Rare enough to be left unsaid where it was none.
    tokens = f", {expired:,} page {'token' if expired == 1 else 'tokens'} expired" if expired else ""
    return (
        f"Run {result.run} made {total:,} calls, {result.billed_calls:,} of them billed ({calls}), "
        f"{result.retries:,} retries, {result.throttles:,} throttled{tokens}; "
        f"{result.received_bytes:,} bytes came back."
    )


def _skipped(result: CollectResult) -> str:
    """The accounts that are not meant to be collected, the first few of them by name."""
    if not result.skipped:
        return ""
    number = len(result.skipped)
    lines = [f"\nNot collected: {number:,} {'account' if number == 1 else 'accounts'}"]
    for row in result.skipped[:_SKIPPED]:
        name = f" ({row.name})" if row.name else ""
        lines.append(visible(f"  {row.account}{name}: {row.reason}"))
    if len(result.skipped) > _SKIPPED:
        lines.append(f"  and {len(result.skipped) - _SKIPPED:,} more")
    return "\n".join([*lines, ""])


def _document(result: CollectResult, accepted: Sequence[AcceptedGap]) -> dict[str, Any]:
    open_gaps, covered = split_gaps(result.gaps, accepted)
    return {
        "run": result.run,
        "status": result.status,
        "registries": [_registry(row) for row in result.registries],
        "calls": dict(result.calls),
        "billed_calls": result.billed_calls,
        "received_bytes": result.received_bytes,
        "retries": result.retries,
        "throttles": result.throttles,
        "expired_page_tokens": result.expired_page_tokens,
        "skipped": [row._asdict() for row in result.skipped],
        "gaps": [asdict(gap) for gap in open_gaps],
        "accepted_gaps": [{**asdict(gap), "accepted_because": reason} for gap, reason in covered],
    }


def _registry(row: RegistrySummary) -> dict[str, Any]:
    return {
        "account": row.key.account,
        "region": row.key.region,
        "snapshot": row.snapshot,
        "status": row.status,
        "resumed": row.is_resumed,
        "repositories": row.repositories,
        "artifacts": row.artifacts,
        "manifests_fetched": row.manifests_fetched,
        "gaps": len(row.gaps),
    }
