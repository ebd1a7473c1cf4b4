"""A stored snapshot as a folder of Parquet files: joins what is stored to the tables."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from analyzer import __version__
from analyzer.errors import InputError
from analyzer.exporting import artifacts, facts
from analyzer.exporting.artifacts import GROUP_ROWS, Source
from analyzer.exporting.blocks import Block
from analyzer.exporting.columns import TABLE
from analyzer.exporting.parquet import Folder, Written
from analyzer.loading import Loaded, load
from analyzer.model.results import Report
from analyzer.model.units import from_ms, iso
from analyzer.nightly import ReportOptions, judge_report
from analyzer.store.digest_texts import load_digest_texts_of_all
from analyzer.store.engine import Database
from analyzer.store.manifest_details import load_manifest_details
from reports.usage import use_basis_object

_LARGE: Final[dict[str, Callable[[Source], Iterator[Block]]]] = {
    "images": artifacts.images,
    "tags": artifacts.tags,
    "layers": artifacts.layers,
    "blobs": artifacts.blobs,
    "index_children": artifacts.index_children,
    "referrers": artifacts.referrers,
}


@dataclass(frozen=True, slots=True)
class Exported:
    """What came of an export."""

    #: In the order of ``columns.TABLES``.
    files: Sequence[Written]
    #: What the figures are of; its gaps are not those that were accepted.
    report: Report


def export(
    database: Database,
    options: ReportOptions,
    folder: Path,
    *,
    repositories: Sequence[str] = (),
    group_rows: int = GROUP_ROWS,
) -> Exported:
    """Write every table into ``folder``; figures are those of the report that ``options`` ask for.

    Of repositories those whose names fit one of the globs ``repositories``, all without any. The files
    appear when all of them are complete. Raises InputError where nothing is stored, a glob fits nothing or
    the folder cannot be written; RunError where there is no room in it.
    """
    loaded = load(database, options.prices, run=options.run, with_names=True, uses=options.uses)
    is_chosen = facts.chooser(repositories)
    names = [str(name) for name in loaded.frames.repositories["repository"]]
    for glob in repositories:
        if not any(map(facts.chooser([glob]), names)):
            raise InputError(f"--repository {glob}: no repository has such a name; name another")
    report, _ = judge_report(database, loaded, options)
    with database.read() as connection:
        # What is stored of digests and manifests never changes.
        texts = load_digest_texts_of_all(connection)
        details = load_manifest_details(connection, loaded.frames.manifests)
    source = Source(
        loaded, report, texts, details, np.array([is_chosen(name) for name in names], np.bool_), group_rows
    )
    small: dict[str, Callable[[], list[dict[str, Any]]]] = {
        "registries": lambda: facts.registries(report),
        "repositories": lambda: facts.repositories(report, is_chosen),
        "settings": lambda: facts.settings(loaded, is_chosen),
        "workload_uses": lambda: facts.workload_uses(loaded),
        "workload_sources": lambda: facts.workload_sources(loaded),
        "findings": lambda: facts.findings(
            () if report.findings is None else report.findings.findings, is_chosen
        ),
        "gaps": lambda: facts.gaps(report, is_chosen),
    }
    with Folder(folder, _about(loaded, report, repositories)) as target:
        for name, table in TABLE.items():
            blocks = _LARGE[name](source) if name in _LARGE else [facts.block_of(table, small[name]())]
            target.write(table, blocks)
        return Exported(target.publish(), report)


def _about(loaded: Loaded, report: Report, repositories: Sequence[str]) -> dict[str, str]:
    """What every file says of where it comes from."""
    snapshots = [
        {
            "partition": snapshot.key.partition,
            "account": snapshot.key.account,
            "region": snapshot.key.region,
            "snapshot": snapshot.number,
            "taken_at": iso(from_ms(snapshot.taken_at_ms)),
            "status": str(snapshot.status),
        }
        for snapshot in loaded.snapshots
    ]
    return {
        "version": __version__,
        "run": str(report.run),
        "at": iso(report.at),
        "scope": report.scope,
        "stale_days": str(report.stale_days),
        "in_use_by": json.dumps(use_basis_object(loaded.uses.basis)),
        "snapshots": json.dumps(snapshots),
        "repositories": json.dumps(list(repositories)),
    }
