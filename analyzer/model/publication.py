"""Reports that were published: what the index of a folder or a bucket knows of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

#: Files at the top of what is published.
INDEX_JSON = "index.json"
INDEX_HTML = "index.html"
LATEST_HTML = "latest.html"
#: Folder of the reports, each in one of its own.
REPORTS = "reports"
#: What a person opens first.
PAGE = "report.html"


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """The figures of a report that stand in the index."""

    registries: int
    repositories: int
    images: int
    #: At both ends of what may be shared.
    low_bytes: int
    high_bytes: int
    #: Per month; None where nothing could be priced.
    low_cost: Decimal | None
    high_cost: Decimal | None
    currency: str
    #: What leaves something out of the figures, in the words that reports show.
    leaves_out: tuple[str, ...] = ()
    gaps: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedReport:
    """One report in the index."""

    #: Its folder's name, made of the moment, the run and a hash of its files: the same report has the
    #: same, however often it is published.
    id: str
    run: int
    taken_from: datetime
    taken_to: datetime
    headline: Headline
    #: Names of its files, from its folder on, sorted.
    files: tuple[str, ...]

    @property
    def page(self) -> str:
        """Where its page is, from the index on."""
        return f"{REPORTS}/{self.id}/{PAGE}"


@dataclass(frozen=True, slots=True)
class Catalog:
    """All reports that are published, newest run first."""

    reports: tuple[PublishedReport, ...] = ()
    #: What else the index held: written by a later version, and kept.
    more: Mapping[str, object] = field(default_factory=dict)
