"""index.json, the truth about what is published: what is not in it is not there.

``{"format": 1, "reports": [{"id", "run", "taken_from", "taken_to", "files": […], "headline": {…}}, …]}``,
the newest run first.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path, PurePosixPath
from typing import Any, Final

from analyzer.errors import RunError
from analyzer.model.publication import INDEX_JSON, Catalog, Headline, PublishedReport
from analyzer.model.results import Report
from analyzer.model.units import iso
from reports.rounding import EXACT_DECIMALS, amount_text, rounded

_FORMAT: Final = 1
_ID: Final = re.compile(r"[0-9]{8}T[0-9]{6}Z-run[0-9]{1,18}-[0-9a-f]{12}")
_BLOCK: Final = 1 << 20


class ChangedIndexError(Exception):
    """Somebody else published between reading the index and writing it."""


def entry_of(report: Report, files: Mapping[str, Path]) -> PublishedReport:
    """What the index says of ``report``, whose ``files`` are told by their names in its folder."""
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name}\0{files[name].stat().st_size}\0".encode())
        with files[name].open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    totals = report.totals
    return PublishedReport(
        id=f"{report.taken_to:%Y%m%dT%H%M%SZ}-run{report.run}-{digest.hexdigest()[:12]}",
        run=report.run,
        taken_from=report.taken_from,
        taken_to=report.taken_to,
        headline=Headline(
            registries=totals.registries,
            repositories=totals.repositories,
            images=totals.counts.images,
            low_bytes=totals.physical_bytes.registry,
            high_bytes=totals.physical_bytes.repository,
            low_cost=rounded(totals.cost_low, EXACT_DECIMALS),
            high_cost=rounded(totals.cost_high, EXACT_DECIMALS),
            currency=totals.cost_high.currency,
            leaves_out=tuple(sorted({*totals.cost_low.leaves_out, *totals.cost_high.leaves_out})),
            gaps=len(report.gaps),
        ),
        files=tuple(sorted(files)),
    )


def added(catalog: Catalog, entry: PublishedReport, keep: int) -> tuple[Catalog, list[PublishedReport]]:
    """``catalog`` with ``entry`` in it and no more than ``keep`` reports; and those that are in it no more.

    A run has one report: the one that was published last. ``entry`` itself always stays.
    """
    others = [report for report in catalog.reports if report.run != entry.run]
    ordered = sorted([*others, entry], key=lambda report: report.run, reverse=True)
    kept = [report for position, report in enumerate(ordered) if position < keep or report is entry]
    ids = {report.id for report in kept}
    return Catalog(tuple(kept), catalog.more), [report for report in catalog.reports if report.id not in ids]


def write_catalog(catalog: Catalog) -> bytes:
    """index.json."""
    document = {**catalog.more, "format": _FORMAT, "reports": [_plain(report) for report in catalog.reports]}
    return (json.dumps(document, indent=1) + "\n").encode("ascii")


def read_catalog(data: bytes, place: str) -> Catalog:
    """What index.json says; raises RunError, naming ``place``, where this program did not write it."""
    try:
        document = json.loads(data)
        if document["format"] != _FORMAT:
            raise RunError(
                f"{place}/{INDEX_JSON} has format {document['format']!r}, and this demurrage knows "
                f"{_FORMAT}; upgrade demurrage, or publish somewhere else"
            )
        reports = tuple(_entry(plain) for plain in document["reports"])
    except (ValueError, KeyError, TypeError, AttributeError, InvalidOperation) as error:
        raise RunError(
            f"{place}/{INDEX_JSON} is not an index that demurrage wrote ({type(error).__name__}: {error}); "
            "take it away, or publish somewhere else"
        ) from error
    return Catalog(
        reports, {key: value for key, value in document.items() if key not in {"format", "reports"}}
    )


def _plain(report: PublishedReport) -> dict[str, Any]:
    headline = report.headline
    costs = {"low_cost": headline.low_cost, "high_cost": headline.high_cost}
    return {
        "id": report.id,
        "run": report.run,
        "taken_from": iso(report.taken_from),
        "taken_to": iso(report.taken_to),
        "page": report.page,
        "headline": {
            "registries": headline.registries,
            "repositories": headline.repositories,
            "images": headline.images,
            "low_bytes": headline.low_bytes,
            "high_bytes": headline.high_bytes,
            **{
                name: None
                if amount is None
                else {
                    "amount": amount_text(amount),
                    "currency": headline.currency,
                    "period": "month",
                }
                for name, amount in costs.items()
            },
            "leaves_out": list(headline.leaves_out),
            "gaps": headline.gaps,
        },
        "files": list(report.files),
    }


def _entry(plain: Mapping[str, Any]) -> PublishedReport:
    if not _ID.fullmatch(plain["id"]):
        raise ValueError(f"{plain['id']!r} is no report's id")
    # They are deleted one day: nothing must lead out of the report's own folder.
    for name in plain["files"]:
        if (
            PurePosixPath(name).is_absolute()
            or not {"", ".", ".."}.isdisjoint(name.split("/"))
            or "\\" in name
        ):
            raise ValueError(f"{name!r} is no name of a report's file")
    headline = plain["headline"]
    low, high = headline["low_cost"], headline["high_cost"]
    currencies = {cost["currency"] for cost in (low, high) if cost}
    return PublishedReport(
        id=plain["id"],
        run=int(plain["run"]),
        taken_from=datetime.fromisoformat(plain["taken_from"]),
        taken_to=datetime.fromisoformat(plain["taken_to"]),
        headline=Headline(
            registries=int(headline["registries"]),
            repositories=int(headline["repositories"]),
            images=int(headline["images"]),
            low_bytes=int(headline["low_bytes"]),
            high_bytes=int(headline["high_bytes"]),
            low_cost=None if low is None else Decimal(low["amount"]),
            high_cost=None if high is None else Decimal(high["amount"]),
            gaps=int(headline["gaps"]),
            currency=currencies.pop() if currencies else "USD",
            leaves_out=tuple(headline["leaves_out"]),
        ),
        files=tuple(plain["files"]),
    )
