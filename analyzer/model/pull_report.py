"""What is shown of pulls across regions and accounts: findings, and what they come to together."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from analyzer.model.pull_costs import PullCosts, TransferAdvice
from analyzer.model.pulls import PullHistory
from analyzer.model.records import Gap
from analyzer.model.transfer import MoneyRange, TransferCode, TransferFindings
from analyzer.model.usage import Coverage


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferGroup:
    """Findings that have the keys below in common; "" is a key that the grouping does not have.

    Bytes and money are those of one cold pull of each reference that crosses regions, as if no layer
    were shared between them: of each place and source that names it, however many workloads do.
    """

    #: Where the image is: its registry, or an upstream's host.
    registry_account: str = ""
    registry_region: str = ""
    upstream: str = ""
    repository: str = ""
    #: Where the workloads are.
    account: str = ""
    region: str = ""
    source: str = ""
    workload: str = ""
    #: In the order in which findings are told.
    codes: tuple[TransferCode, ...]
    #: Accounts of the workloads, and those that pay for what crosses regions; sorted.
    accounts: tuple[str, ...]
    payers: tuple[str, ...]
    findings: int
    #: Distinct ones.
    workloads: int
    #: Of the findings: those whose pulls cross regions, and of these the ones of unknown bytes.
    crossing: int
    unsized: int
    low_bytes: int
    high_bytes: int
    #: Of ``high_bytes``, what a replica that is there already would spare.
    replica_bytes: int
    #: With the period ``pull``.
    usd: MoneyRange


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferSummary:
    """Findings, together and by what they have in common; the dearest rows first.

    Routes and repositories add up to ``total``. Pullers do not: a reference counts for every workload
    that gives it.
    """

    total: TransferGroup
    #: By registry (or upstream) and region of the workloads.
    routes: tuple[TransferGroup, ...]
    #: By repository of a registry (or upstream).
    repositories: tuple[TransferGroup, ...]
    #: By workload.
    pullers: tuple[TransferGroup, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedPulls:
    """What CloudTrail recorded of pulls, what it cost, and what to do about it."""

    costs: PullCosts
    advice: TransferAdvice
    #: What they were reckoned from; None where that is not kept. No report shows it row by row.
    history: PullHistory | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PullReport:
    """What is known of pulls across regions and accounts."""

    at: datetime
    found: TransferFindings
    summary: TransferSummary
    #: Which workloads were read.
    coverage: Coverage
    #: None where no source of CloudTrail's events was ever read: then it is not known how often anything
    #: is pulled.
    recorded: RecordedPulls | None = None
    gaps: tuple[Gap, ...] = ()
    accepted_gaps: tuple[tuple[Gap, str], ...] = ()
