"""What the analyses give and the reports show: small frozen records, money as Money.

A figure that depends on how far layers are shared comes as a pair: ``repository`` scope is the
upper bound (each blob once in every repository), ``registry`` scope the lower one (each blob once
in every group of repositories that could share it).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final, Literal

import pandas as pd

from analyzer.model.records import Gap
from analyzer.model.registry_settings import RegistrySettings, RepositorySettings
from analyzer.model.units import Money, Scope

if TYPE_CHECKING:
    # They build on the records here.
    from analyzer.model.findings import FindingsReport
    from analyzer.model.frontier import PricedFrontier
    from analyzer.model.history import Outcomes
    from analyzer.model.pull_report import PullReport
    from analyzer.model.recommendation import RecommendReport
    from analyzer.model.trends import TrendReport

#: What ``Money.leaves_out`` says of bytes that nobody knows, in the words that reports show.
UNKNOWN_SIZE: Final = "artifacts of unknown size"
UNLISTED_IMAGES: Final = "images that were never listed"
UNLISTED_REPOSITORIES: Final = "repositories that were never listed"
POSSIBLY_REACHED: Final = "images that may belong to an index that could not be read"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopedBytes:
    """Bytes at both ends."""

    repository: int
    registry: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopedMoney:
    """Money at both ends."""

    repository: Money
    registry: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many artifacts of each kind, and how many of the images show a trait."""

    images: int
    indexes: int
    referrers: int
    #: Artifacts whose manifest was not read or not understood: their bytes are in no figure.
    unknown: int
    #: Images (not indexes, not referrers) that carry no tag, as ECR says it.
    untagged_images: int
    #: Images reachable from no tag, through index or subject.
    orphaned_images: int
    #: Images that nothing known reaches, in a repository where a tag reaches an index (or something
    #: of unknown type) that could not be read: whether they are orphaned is unknown.
    possibly_reached_images: int
    #: Images not used (pushed or pulled, themselves or through an index) for ``stale_days``.
    stale_images: int
    #: Images for which ECR records no pull.
    never_pulled_images: int
    #: Archived or being restored; those of unknown size are among them.
    archived_images: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryRow:
    """One repository in the report."""

    account: str
    region: str
    repository: str
    created_at: datetime
    #: complete, partial or refused: how the last read of it went.
    status: str
    #: When it was last read whole; None if never.
    complete_at: datetime | None
    counts: Counts
    #: Every image counted whole.
    logical_bytes: int
    #: At registry scope this is ``unique_bytes``; the shared row completes the total.
    physical_bytes: ScopedBytes
    #: Would leave if this repository alone left, at registry scope.
    unique_bytes: int
    #: physical at repository scope less unique.
    shared_bytes: int
    #: Would leave (repository scope) if the images with the trait left, all at once.
    untagged_freed_bytes: int
    orphaned_freed_bytes: int
    stale_freed_bytes: int
    cost: ScopedMoney
    #: What its orphaned images cost, at repository scope.
    orphaned_cost: Money
    #: True, False, or None where it could not be read.
    has_lifecycle_policy: bool | None
    #: True, False, or None where the rules could not be read, or one of them could have filled any
    #: repository.
    pull_through_cache: bool | None
    settings: RepositorySettings = field(default_factory=RepositorySettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class TagGroup:
    """Repositories with one value of a tag."""

    #: value, untagged (they do not carry the tag) or unknown (their tags could not be read).
    kind: str
    #: "" unless ``kind`` is value.
    value: str
    members: tuple[RepositoryRow, ...]
    #: At registry scope what is theirs alone, repository by repository.
    physical_bytes: ScopedBytes
    #: Would leave (repository scope) with their orphaned images.
    orphaned_freed_bytes: int
    cost: ScopedMoney
    orphaned_cost: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class TagGroups:
    """Every repository by its value of the tag ``key``."""

    key: str
    #: Dearest first; untagged and unknown last.
    rows: tuple[TagGroup, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryRow:
    """One registry (account and region) in the report."""

    partition: str
    account: str
    region: str
    snapshot: int
    #: The run that took the snapshot: an earlier one than ``Report.run`` where that run did not
    #: read this registry.
    run: int
    taken_at: datetime
    #: complete, partial or refused: how the last read of its repository list went.
    status: str
    #: ENABLED, DISABLED, or "" where the setting could not be read.
    blob_mounting: str
    blob_mounting_ever: bool
    repositories: int
    counts: Counts
    logical_bytes: int
    physical_bytes: ScopedBytes
    #: physical at registry scope that no single repository owns.
    shared_bytes: int
    cost: ScopedMoney
    #: The two ends that ``--scope auto`` shows: equal where sharing is known to be off.
    cost_low: Money
    cost_high: Money
    settings: RegistrySettings = field(default_factory=RegistrySettings)
    #: What the organization calls the account; "" where nobody said.
    account_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """The whole report in one row."""

    repositories: int
    registries: int
    counts: Counts
    logical_bytes: int
    physical_bytes: ScopedBytes
    shared_bytes: int
    untagged_freed_bytes: ScopedBytes
    orphaned_freed_bytes: ScopedBytes
    stale_freed_bytes: ScopedBytes
    cost: ScopedMoney
    cost_low: Money
    cost_high: Money
    #: Where the two ends stand: mixed when registries differ.
    cost_low_scope: Literal["repository", "registry", "mixed"]
    cost_high_scope: Scope
    #: What the orphaned images cost per month, at both scopes.
    orphaned_cost: ScopedMoney
    #: What the images with the trait stale cost per month, at both scopes.
    stale_cost: ScopedMoney
    #: Sum of imageSizeInBytes over all but indexes: what a tool without manifests would show.
    reported_size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AgeBucket:
    """Bytes stored (repository scope) whose newest holding image was pushed that long ago."""

    label: str
    physical_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceRow:
    """One price that the report used, or one that it missed."""

    region: str
    storage_class: Literal["standard", "archive"]
    #: From how many GB-months on this tier holds.
    from_gb: int
    #: None when not known.
    usd_per_gb_month: Decimal | None
    #: What the payer pays of the list price: 1 without a discount.
    discount_factor: Decimal
    source: str
    as_of: str
    confidence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything a report shows. Tuples are in their final order (name or digest breaks ties)."""

    #: auto, repository or registry: which end the headline shows.
    scope: Literal["auto", "repository", "registry"]
    #: The moment ages are counted to.
    at: datetime
    stale_days: int
    #: Number of the run whose snapshots are shown.
    run: int
    #: First and last moment of the snapshots shown.
    taken_from: datetime
    taken_to: datetime
    totals: Totals
    registries: tuple[RegistryRow, ...]
    #: By cost at repository scope (bytes where unknown), dearest first.
    repositories: tuple[RepositoryRow, ...]
    #: What completes the rows at registry scope.
    shared_cost: Money
    ages: tuple[AgeBucket, ...]
    prices: tuple[PriceRow, ...]
    gaps: tuple[Gap, ...]
    #: Gaps that ``--accept-gaps`` names, with the reason given there; shown, not counted.
    accepted_gaps: tuple[tuple[Gap, str], ...]
    #: One row per artifact: account, region, repository, digest, kind (image, index, referrer,
    #: unknown), tags (space separated), tagged, orphaned, stale, pushed_at, last_pull (ISO date,
    #: "never"), image_status, logical_bytes, unique_bytes_repository, unique_bytes_registry, in_use
    #: (running, configured, previous, listed, "unknown", or "" for not known to be used), and what
    #: ``settings_rows.image_columns`` gives.
    #: Ordered by account, region, repository, digest.
    images: pd.DataFrame
    #: What keeping fewer images, and keeping them for fewer days, would come to; empty where that
    #: was not worked out.
    frontier: tuple[PricedFrontier, ...] = ()
    #: By the tags that were asked for.
    groups: tuple[TagGroups, ...] = ()
    #: What workloads pull across regions and accounts; None where that was not worked out.
    pulls: PullReport | None = None
    #: What the checks found; None where that was not worked out. Gaps stand here, not there.
    findings: FindingsReport | None = None
    #: The policies to put; None where that was not worked out. Gaps stand here, not there.
    recommendations: RecommendReport | None = None
    #: How what is stored grew, and will; None where that was not worked out. Gaps stand here, not there.
    trend: TrendReport | None = None
    #: What came of changes of lifecycle policies; None where the stored nights have none.
    outcomes: Outcomes | None = None
    #: What the user's list of images in use and patterns of protected ones do not cover, in sentences.
    warnings: tuple[str, ...] = ()
    #: None, or that names are pseudonyms: then the parts that were left out for it, in words.
    redacted: tuple[str, ...] | None = None
