"""A month's pulls of layers, by registry and repository and by where the pullers are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final, NamedTuple

from analyzer.model.frames import Int64
from analyzer.model.pull_costs import RepositoryStock
from analyzer.model.pulls import PullHistory, PullKind
from analyzer.pull_pricing import Months

ZERO: Final = Fraction(0)


class Registry(NamedTuple):
    """Whose registry, and where."""

    account: str
    region: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """What registries hold, as far as advice asks."""

    #: By registry and repository; every repository of the registries that were read.
    stocks: Mapping[tuple[Registry, str], RepositoryStock]
    #: Size of the blob whose id is the index.
    blob_sizes: Int64
    #: Ids of blobs, in the order of the digests asked for; -1 for unknown ones.
    digest_ids: Callable[[Sequence[str]], Int64]
    #: Of each registry the replication rules in force, as ECR has them; None where they are not known.
    rules: Mapping[Registry, Sequence[Mapping[str, Any]] | None]

    def bytes_of(self, blobs: Int64) -> int:
        """Bytes of ``blobs``, by their ids."""
        return int(self.blob_sizes[blobs].sum())


@dataclass(slots=True)
class Flow:
    """A month's pulls of one repository from one region; bytes."""

    total: Fraction = ZERO
    #: Of layers that a replica in that region holds.
    at_replica: Fraction = ZERO
    unsized: int = 0


#: By registry and puller's region, and by repository.
Flows = Mapping[tuple[Registry, str], Mapping[str, Flow]]


def flows_of(history: PullHistory, sizes: Mapping[str, int], holdings: Holdings) -> Flows:
    """The pulls of ``history`` reckoned to a month; ``sizes`` are those of ``price_pulls``."""
    flows: dict[tuple[Registry, str], dict[str, Flow]] = defaultdict(dict)
    months = Months(history)
    digests = sorted({pulls.digest for pulls in history.pulls if pulls.kind is PullKind.LAYER})
    ids = dict(zip(digests, holdings.digest_ids(digests).tolist(), strict=True)) if digests else {}
    held: dict[tuple[Registry, str], frozenset[int]] = {}
    #: Bytes, those of them that a replica holds, and pulls of unknown size.
    read: dict[tuple[Registry, str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    for pulls in history.pulls:
        if pulls.kind is not PullKind.LAYER or not months.is_covered(pulls.account, pulls.region, pulls.day):
            continue
        counts = read[Registry(pulls.account, pulls.region), pulls.puller_region, pulls.repository]
        size = sizes.get(pulls.digest, -1)
        if size < 0:
            counts[2] += pulls.times
            continue
        moved = size * pulls.times
        counts[0] += moved
        replica = Registry(pulls.account, pulls.puller_region), pulls.repository
        if pulls.puller_region != pulls.region and replica in holdings.stocks:
            if replica not in held:
                held[replica] = frozenset(holdings.stocks[replica].stored.tolist())
            if ids[pulls.digest] in held[replica]:
                counts[1] += moved
    for (registry, to_region, name), (total, at_replica, unsized) in read.items():
        factor = months.factor(*registry) or ZERO
        flows[registry, to_region][name] = Flow(factor * total, factor * at_replica, unsized)
    return flows


def unsized_text(flows: Mapping[str, Flow]) -> str:
    """What ``flows`` leave out; "" for nothing."""
    count = sum(flow.unsized for flow in flows.values())
    return f"{count:,} pulls of layers of unknown size are not in it" if count else ""
