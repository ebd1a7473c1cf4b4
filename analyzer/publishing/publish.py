"""Publishing a report: its files first, the index last, so that a reader meets whole reports alone.

In the order in which things become visible: the report's own folder; ``index.json``; the two pages made
from it, ``index.html`` and ``latest.html``. Cut short anywhere, what was published before is there, whole
and linked, and doing it again ends it: the same report goes to the same folder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final, Protocol

from analyzer.errors import RunError
from analyzer.model.publication import INDEX_HTML, LATEST_HTML, Catalog, PublishedReport
from analyzer.publishing.catalog import ChangedIndexError, added, read_catalog, write_catalog
from reports.history_page import render_index, render_latest

#: How often an index is written that another publisher changed meanwhile.
_TRIES: Final = 5
_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".json": "application/json",
    ".csv": "text/csv; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".md": "text/markdown; charset=utf-8",
    ".tf": "text/plain; charset=utf-8",
    ".sh": "text/plain; charset=utf-8",
    ".svg": "image/svg+xml",
    ".parquet": "application/vnd.apache.parquet",
}


def content_type(name: str) -> str:
    """What a file of a report is, by the end of its name."""
    return _TYPES.get(PurePosixPath(name).suffix.lower(), "application/octet-stream")


class Target(Protocol):
    """Where reports are published. Every method raises RunError where that cannot be done."""

    @property
    def label(self) -> str:
        """What messages call it."""

    def put_report(self, entry: PublishedReport, files: Mapping[str, Path]) -> None:
        """Store the files of a report, whole or not at all; one that is there already is kept."""

    def read_index(self) -> tuple[bytes, str] | None:
        """index.json and what tells this version of it; None where there is none."""

    def write_index(self, data: bytes, version: str | None) -> None:
        """Replace index.json; raises ChangedIndexError where it is no more the ``version`` that was read."""

    def write_page(self, name: str, data: bytes) -> None:
        """Replace a page beside the index."""

    def remove_report(self, entry: PublishedReport) -> None:
        """Take the files of a report away."""


@dataclass(frozen=True, slots=True)
class Published:
    """What came of it."""

    catalog: Catalog
    #: Reports that went, as more are not kept.
    removed: tuple[PublishedReport, ...] = ()
    #: What went wrong without harm, each a line.
    notes: tuple[str, ...] = field(default=())


def publish(
    target: Target,
    entry: PublishedReport,
    files: Mapping[str, Path],
    *,
    keep: int,
    note: Callable[[str], None] = lambda _text: None,
) -> Published:
    """Publish the report, and keep the newest ``keep``; raises RunError where it cannot be published.

    ``note`` is told where a report that is to go cannot be removed.
    """
    target.put_report(entry, files)
    for _ in range(_TRIES):
        known = target.read_index()
        before = Catalog() if known is None else read_catalog(known[0], target.label)
        catalog, dropped = added(before, entry, keep)
        try:
            target.write_index(write_catalog(catalog), None if known is None else known[1])
        except ChangedIndexError:
            continue
        break
    else:
        raise RunError(f"{target.label}: others publish there all the time; try again later")
    target.write_page(INDEX_HTML, render_index(catalog).encode())
    target.write_page(LATEST_HTML, render_latest(catalog).encode())
    notes = []
    for report in dropped:
        try:
            target.remove_report(report)
        except RunError as error:
            notes.append(f"an old report stays in {target.label}: {error}")
            note(notes[-1])
    return Published(catalog, tuple(dropped), tuple(notes))
