"""What recorded pulls cost, and what to do about it.

Bytes and money of the days that were looked at have the period ``window``; a month has 30.4 days and is
reckoned from covered days alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from analyzer.model.frames import Int64
from analyzer.model.pulls import LeftOutCount
from analyzer.model.transfer import MoneyRange
from analyzer.model.units import Money


@dataclass(frozen=True, slots=True)
class Network:
    """What the user says about how pullers reach registries; logs do not tell."""

    #: Regions whose pullers leave through NAT gateways; None where nothing was said.
    nat_regions: frozenset[str] | None = None
    #: Regions that have a gateway endpoint for S3, which layers of their own registries come through.
    gateway_regions: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class PullCost:
    """Pulls that have the keys below in common; None is summed over.

    ``unsized_pulls`` are pulls of layers whose size nobody knows; they are in no figure of bytes, and
    named in the money's ``leaves_out`` where they would cost something.
    """

    day: int | None = None
    #: Of the registry, whose account pays for the transfer.
    account: str | None = None
    region: str | None = None
    repository: str | None = None
    #: Whose principal pulled, and who pays for NAT; "" is unknown, as for the next one.
    principal_account: str | None = None
    principal: str | None = None
    #: ``pulls.UNKNOWN_REGION`` is a row of its own, ``pulls.INTERNET`` is outside of AWS.
    puller_region: str | None = None
    method: str | None = None
    confidence: str | None = None
    layer_pulls: int
    #: Looks at a manifest, which move nothing worth counting.
    checks: int
    size_bytes: int
    unsized_pulls: int
    #: Between regions and to the internet, in the window.
    transfer: MoneyRange
    #: Through NAT gateways, in the window; None where nothing was said about them.
    nat: MoneyRange | None
    #: Of a month, from covered days alone; None where a registry has none.
    monthly_bytes: int | None
    monthly_transfer: MoneyRange
    monthly_nat: MoneyRange | None


class CoverageBasis(StrEnum):
    """What a month of a registry is reckoned from."""

    #: Days that some source covers completely.
    COMPLETE = "complete"
    #: No day is complete; the days that are covered in part, so that a month is at least that much.
    PARTIAL = "partial"
    #: No day is covered: nothing is known about a month, and no pulls are no zero.
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryCoverage:
    """Which days of the window are covered for one registry."""

    account: str
    region: str
    complete_days: int
    partial_days: int
    #: Neither; without them ``complete_days`` and ``partial_days`` are the window.
    uncovered_days: int
    basis: CoverageBasis
    #: Why days are not complete: distinct reasons of the sources, sorted.
    details: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PullCosts:
    """What the pulls of some days cost. Rows of each table add up to ``total``."""

    first_day: int
    last_day: int
    total: PullCost
    #: By registry account, registry region and puller's region; the dearest first.
    routes: tuple[PullCost, ...]
    #: By registry and repository; the dearest first.
    repositories: tuple[PullCost, ...]
    #: By principal, with its account; the dearest first.
    pullers: tuple[PullCost, ...]
    #: In the order of days.
    days: tuple[PullCost, ...]
    #: Every distinct combination of keys but the day, sorted by them.
    rows: tuple[PullCost, ...]
    #: Of every registry that has coverage or pulls, sorted.
    coverage: tuple[RegistryCoverage, ...]
    left_out: tuple[LeftOutCount, ...] = ()
    #: How the figures came about and what bounds them, a sentence each.
    method: tuple[str, ...] = ()


class AdviceKind(StrEnum):
    """What to do; stable ids."""

    USE_REPLICA = "TRANSFER_USE_REPLICA"
    REPLICATE = "TRANSFER_REPLICATE"
    GATEWAY_ENDPOINT = "TRANSFER_GATEWAY_ENDPOINT"
    MOVE_REPOSITORIES = "TRANSFER_MOVE_REPOSITORIES"


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """One thing to do, and what it saves in a month."""

    kind: AdviceKind
    #: Of the registry; for a gateway endpoint "" and the pullers' region.
    account: str
    region: str
    #: Where images should come from instead; the region itself for a gateway endpoint.
    to_region: str
    #: Sorted; those that the advice is about, whether they save something or only come along.
    repositories: tuple[str, ...]
    #: What to replicate by; "" alone for everything. Empty for other kinds.
    prefixes: tuple[str, ...] = ()
    #: A month's, what it costs to follow the advice taken off; ``low`` is what is promised.
    saving: MoneyRange
    #: A month's, of what the advice is about, as it is now.
    cost_now: MoneyRange
    #: The same once the advice is followed.
    cost_then: MoneyRange
    #: What following it costs once, at most: copying what is there already.
    one_time: MoneyRange
    #: Of a month, what is pulled and would not have to cross any more.
    pulled_bytes: int
    #: Of a month, what is pushed and would be copied.
    new_bytes: int = 0
    #: What the destination would hold beside what it holds now.
    stored_bytes: int = 0
    #: From how many pulled bytes a month it pays; None where it always does, or never.
    break_even_bytes: int | None = None
    #: The same in pulls of a whole image by an empty node; None where its size is not known.
    break_even_pulls: int | None = None
    #: Kinds of advice about the same registry that save the same bytes: not to be added up with them.
    instead_of: tuple[AdviceKind, ...] = ()
    #: For ``aws ecr put-replication-configuration --replication-configuration``; "" where unknown.
    replication_json: str = ""
    terraform: str = ""
    #: What it rests on and leaves out, a sentence each.
    caveats: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushes:
    """What was pushed to repositories in some time, by position in ``Frames.repositories``."""

    #: Distinct ids of the blobs of what was pushed, sorted, foreign ones left out.
    blobs: Mapping[int, Int64]
    #: How much of what was pushed has no known manifest.
    unread: Mapping[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryStock:
    """What a repository holds, as ids of blobs, and what came to it in the window."""

    #: Distinct blobs that its artifacts hold, sorted, foreign ones left out.
    stored: Int64
    #: Of what was pushed in the window, blobs that nothing older in the repository holds; sorted.
    fresh: Int64
    #: Artifacts of either, or blobs, that are not known: the figures are too low by these.
    unread: int = 0
    #: Mean bytes of a pull to an empty node, over the images that are there; None where none is known.
    cold_pull_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicationOption:
    """Replicating one repository to one region, against pulling from where it is; a month's figures."""

    account: str
    region: str
    to_region: str
    repository: str
    #: What is pulled there from here, without what a replica could serve already.
    pulled_bytes: int
    new_bytes: int
    stored_bytes: int
    #: What those pulls cost that replication would spare.
    pulling: Money
    #: New bytes carried over, and stored: the new ones alone (low), all that the source holds (high).
    replicating: MoneyRange
    #: From how many pulled bytes a month replication pays; None where it always does, or never.
    break_even_bytes: int | None
    break_even_pulls: int | None
    #: Whether it pays at the high end of what it costs; None where that is not known.
    pays: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferAdvice:
    """What to do about transfer, and what it was chosen from."""

    #: By what they promise to save, the most first.
    advice: tuple[Advice, ...]
    #: Every repository that is pulled from another region; sorted.
    options: tuple[ReplicationOption, ...]
    #: How the figures came about and what bounds them, a sentence each.
    method: tuple[str, ...] = ()
