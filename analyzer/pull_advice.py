"""What to do about pulls that cross regions, and what it saves in a month.

Replication costs the transfer of what is newly pushed and the storage of what the destination then holds;
pulling costs the transfer of every layer that a node lacks. Nothing here is added up twice: what a replica
serves already is advised to be used, and only the rest counts for replicating.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final, NamedTuple

import numpy as np

from analyzer.model.frames import Int64
from analyzer.model.pull_costs import (
    Advice,
    AdviceKind,
    Network,
    ReplicationOption,
    RepositoryStock,
    TransferAdvice,
)
from analyzer.model.pulls import INTERNET, UNKNOWN_REGION, PullHistory, PullKind
from analyzer.model.transfer import MoneyRange
from analyzer.model.units import GB, Money
from analyzer.prefixes import choose_prefixes
from analyzer.pricing import PriceBook, class_cost, exact_decimal
from analyzer.pull_pricing import DAYS_PER_MONTH, Months, Rates
from analyzer.replication_writing import (
    MOST_RULES,
    replicates_deletions,
    replication_json,
    replication_terraform,
    with_rule,
)

_ZERO: Final = Fraction(0)
_METHOD: Final = (
    "a month's pulls are reckoned from covered days; pulls from unknown regions are in no advice",
    "new bytes are those of what was pushed in the window, if gone again too, that nothing older held",
    "what came and went between two snapshots is not known",
    "replication is promised at its cost once the destination holds all that the source holds",
    "at best it costs what it does while the destination holds a month's new bytes",
)
_BACKFILL: Final = (
    "ECR replicates what is pushed after the rule is set; what is there already takes "
    "aws ecr start-replication-backfill, or another push"
)
_ACCESS: Final = "pullers need permission on the repository of the destination too"


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


def advise(
    history: PullHistory,
    sizes: Mapping[str, int],
    prices: PriceBook,
    holdings: Holdings,
    network: Network | None = None,
) -> TransferAdvice:
    """What to do about the pulls of ``history``, by what it saves; ``sizes`` as for ``price_pulls``."""
    return _Adviser(history, sizes, prices, holdings, network or Network()).go()


@dataclass(slots=True)
class _Flow:
    """A month's pulls of one repository from one region; bytes."""

    total: Fraction = _ZERO
    #: Of layers that a replica in that region holds.
    at_replica: Fraction = _ZERO
    unsized: int = 0


class _Costs(NamedTuple):
    """Replicating one repository to one region; a month's USD and bytes."""

    avoided: Fraction
    low: Fraction
    high: Fraction
    once: Fraction
    new_bytes: Fraction
    stored_bytes: int


class _Adviser:
    def __init__(
        self,
        history: PullHistory,
        sizes: Mapping[str, int],
        prices: PriceBook,
        holdings: Holdings,
        network: Network,
    ) -> None:
        self._prices = prices
        self._holdings = holdings
        self._network = network
        self._rates = Rates(prices, network)
        window = max(1, history.last_day - history.first_day + 1)
        self._window_to_month = DAYS_PER_MONTH / window
        self._names: dict[Registry, list[str]] = defaultdict(list)
        for registry, name in sorted(holdings.stocks):
            self._names[registry].append(name)
        #: By registry, puller's region and repository.
        self._flows: dict[tuple[Registry, str], dict[str, _Flow]] = defaultdict(dict)
        self._read(history, sizes)

    def go(self) -> TransferAdvice:
        advice: list[Advice] = []
        options: list[ReplicationOption] = []
        for (registry, to_region), flows in sorted(self._flows.items()):
            if to_region == registry.region:
                advice += self._gateway(to_region)
            elif to_region not in {UNKNOWN_REGION, INTERNET}:
                advice += self._use_replicas(registry, to_region, flows)
                costs = self._costs(registry, to_region, flows)
                options += self._options(registry, to_region, flows, costs)
                advice += self._replicate(registry, to_region, flows, costs)
        for registry in sorted({registry for registry, _ in self._flows}):
            advice += self._move(registry)
        distinct = {(one.kind, one.account, one.region, one.to_region): one for one in advice}
        return TransferAdvice(
            advice=tuple(sorted(distinct.values(), key=_most_first)), options=tuple(options), method=_METHOD
        )

    def _read(self, history: PullHistory, sizes: Mapping[str, int]) -> None:
        months = Months(history)
        digests = sorted({pulls.digest for pulls in history.pulls if pulls.kind is PullKind.LAYER})
        ids = dict(zip(digests, self._holdings.digest_ids(digests).tolist(), strict=True)) if digests else {}
        held: dict[tuple[Registry, str], frozenset[int]] = {}
        #: Bytes, those of them that a replica holds, and pulls of unknown size.
        read: dict[tuple[Registry, str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
        for pulls in history.pulls:
            if pulls.kind is not PullKind.LAYER or not months.is_covered(
                pulls.account, pulls.region, pulls.day
            ):
                continue
            counts = read[Registry(pulls.account, pulls.region), pulls.puller_region, pulls.repository]
            size = sizes.get(pulls.digest, -1)
            if size < 0:
                counts[2] += pulls.times
                continue
            moved = size * pulls.times
            counts[0] += moved
            replica = Registry(pulls.account, pulls.puller_region), pulls.repository
            if pulls.puller_region != pulls.region and replica in self._holdings.stocks:
                if replica not in held:
                    held[replica] = frozenset(self._holdings.stocks[replica].stored.tolist())
                if ids[pulls.digest] in held[replica]:
                    counts[1] += moved
        for (registry, to_region, name), (total, at_replica, unsized) in read.items():
            factor = months.factor(*registry) or _ZERO
            self._flows[registry, to_region][name] = _Flow(factor * total, factor * at_replica, unsized)

    def _avoided(self, region: str, to_region: str) -> tuple[Fraction | None, str]:
        """USD per byte that is pulled at home instead of from ``region``, and what is left out of it."""
        transfer = self._rates.transfer(region, to_region)
        if transfer.low is None:
            return None, transfer.reason
        through = self._rates.nat(region, to_region)
        at_home = self._rates.nat(to_region, to_region)
        if through is None or at_home is None:
            return transfer.low, ""
        if through.low is None or at_home.low is None:
            return transfer.low, through.reason or at_home.reason
        return transfer.low + through.low - at_home.low, ""

    def _per_byte_now(self, region: str, to_region: str) -> Fraction:
        """USD per byte that is paid now, as far as it is known."""
        nat = self._rates.nat(region, to_region)
        return (self._rates.transfer(region, to_region).low or _ZERO) + ((nat.low if nat else None) or _ZERO)

    def _use_replicas(
        self, registry: Registry, to_region: str, flows: Mapping[str, _Flow]
    ) -> Iterable[Advice]:
        served = {name: flow.at_replica for name, flow in flows.items() if flow.at_replica}
        avoided, left_out = self._avoided(registry.region, to_region)
        if not served:
            return
        moved = sum(served.values(), _ZERO)
        now = self._per_byte_now(registry.region, to_region) * moved
        saved = None if avoided is None else avoided * moved
        paid = None if avoided is None else now
        left = None if saved is None else now - saved
        yield Advice(
            kind=AdviceKind.USE_REPLICA,
            account=registry.account,
            region=registry.region,
            to_region=to_region,
            repositories=tuple(sorted(served)),
            saving=_range(saved, saved, left_out),
            cost_now=_range(paid, paid, left_out),
            cost_then=_range(left, left, left_out),
            one_time=_range(_ZERO, _ZERO),
            pulled_bytes=round(moved),
            caveats=_caveats(
                "workloads must name the registry of their own region", _ACCESS, left_out, _unsized(flows)
            ),
        )

    def _costs(
        self, registry: Registry, to_region: str, flows: Mapping[str, _Flow]
    ) -> dict[str, _Costs | None]:
        """What replicating each repository of the registry costs and spares; None where nobody knows."""
        avoided, _ = self._avoided(registry.region, to_region)
        transfer = self._rates.transfer(registry.region, to_region).high
        storage = _storage_per_byte(self._prices, to_region)
        names = sorted({*self._names[registry], *flows})
        return {
            name: self._cost(registry, to_region, name, flows.get(name), avoided, transfer, storage)
            for name in names
        }

    def _cost(
        self,
        registry: Registry,
        to_region: str,
        name: str,
        flow: _Flow | None,
        avoided: Fraction | None,
        transfer: Fraction | None,
        storage: Fraction | None,
    ) -> _Costs | None:
        stock = self._holdings.stocks.get((registry, name))
        if stock is None or stock.unread or avoided is None or transfer is None or storage is None:
            return None
        if self._is_replicated(registry, to_region, name):
            # Another rule changes nothing about it.
            return _Costs(_ZERO, _ZERO, _ZERO, _ZERO, _ZERO, 0)
        there = self._holdings.stocks.get((Registry(registry.account, to_region), name))
        held = there.stored if there is not None else np.zeros(0, np.int64)
        new = self._window_to_month * self._bytes(np.setdiff1d(stock.fresh, held))
        stored = self._bytes(np.setdiff1d(stock.stored, held))
        pulled = flow.total - flow.at_replica if flow is not None else _ZERO
        return _Costs(
            avoided=pulled * avoided,
            low=new * transfer + min(new, Fraction(stored)) * storage,
            high=new * transfer + stored * storage,
            once=stored * transfer,
            new_bytes=new,
            stored_bytes=stored,
        )

    def _is_replicated(self, registry: Registry, to_region: str, name: str) -> bool:
        return any(
            {"region": to_region, "registryId": registry.account}.items() <= dict(destination).items()
            for rule in self._holdings.rules.get(registry) or ()
            if _matches(rule, name)
            for destination in rule.get("destinations") or ()
        )

    def _bytes(self, blobs: Int64) -> int:
        return int(self._holdings.blob_sizes[blobs].sum())

    def _options(
        self,
        registry: Registry,
        to_region: str,
        flows: Mapping[str, _Flow],
        costs: Mapping[str, _Costs | None],
    ) -> Iterable[ReplicationOption]:
        avoided, left_out = self._avoided(registry.region, to_region)
        for name, flow in sorted(flows.items()):
            cost, pulled = costs[name], flow.total - flow.at_replica
            reason = left_out or "what the repository holds, or a price, is not known"
            bytes_, pulls = self._break_even(registry, [name], cost.high if cost else None, avoided)
            yield ReplicationOption(
                account=registry.account,
                region=registry.region,
                to_region=to_region,
                repository=name,
                pulled_bytes=round(pulled),
                new_bytes=round(cost.new_bytes) if cost else 0,
                stored_bytes=cost.stored_bytes if cost else 0,
                pulling=_money(None if avoided is None else pulled * avoided, left_out),
                replicating=_range(cost.low, cost.high) if cost else _range(None, None, reason),
                break_even_bytes=bytes_,
                break_even_pulls=pulls,
                pays=None if cost is None else cost.avoided > cost.high,
            )

    def _break_even(
        self, registry: Registry, names: Sequence[str], fixed: Fraction | None, avoided: Fraction | None
    ) -> tuple[int | None, int | None]:
        """From how many bytes, and pulls of a whole image, a month's pulls cost more than ``fixed``."""
        if not fixed or not avoided:
            return None, None
        size_bytes = math.ceil(fixed / avoided)
        stocks = [self._holdings.stocks.get((registry, name)) for name in names]
        whole = [stock.cold_pull_bytes for stock in stocks if stock is not None]
        known = [size for size in whole if size]
        if len(known) < len(names):
            return size_bytes, None
        return size_bytes, math.ceil(Fraction(size_bytes * len(known), sum(known)))

    def _replicate(
        self,
        registry: Registry,
        to_region: str,
        flows: Mapping[str, _Flow],
        costs: Mapping[str, _Costs | None],
    ) -> Iterable[Advice]:
        worth = {name: None if cost is None else cost.avoided - cost.high for name, cost in costs.items()}
        prefixes = choose_prefixes(worth)
        if not prefixes:
            return
        chosen = {
            name: cost for name, cost in costs.items() if cost is not None and name.startswith(prefixes)
        }
        pulled = {name: flow for name, flow in flows.items() if name in chosen}
        spared, low, high, once, new = (
            sum((getattr(cost, field) for cost in chosen.values()), _ZERO)
            for field in ("avoided", "low", "high", "once", "new_bytes")
        )
        avoided, left_out = self._avoided(registry.region, to_region)
        moved = sum((flow.total - flow.at_replica for flow in pulled.values()), _ZERO)
        now = self._per_byte_now(registry.region, to_region) * moved
        break_even = self._break_even(registry, sorted(pulled), high, avoided)
        rules = self._holdings.rules.get(registry)
        merged = None if rules is None else with_rule(rules, registry.account, to_region, prefixes)
        written = ""
        if merged is None:
            written = (
                "the registry's replication rules are not known, and setting new ones would replace them"
            )
        elif len(merged) > MOST_RULES:
            written = f"with this there would be {len(merged)} rules, and ECR takes {MOST_RULES}"
            merged = None
        elif replicates_deletions(merged):
            written = "a rule in force replicates deletions, which the Terraform resource cannot say"
        yield Advice(
            kind=AdviceKind.REPLICATE,
            account=registry.account,
            region=registry.region,
            to_region=to_region,
            repositories=tuple(sorted(chosen)),
            prefixes=prefixes,
            saving=_range(spared - high, spared - low, left_out),
            cost_now=_range(now, now, left_out),
            cost_then=_range(now - spared + low, now - spared + high, left_out),
            one_time=_range(_ZERO, once),
            pulled_bytes=round(moved),
            new_bytes=round(new),
            stored_bytes=sum(cost.stored_bytes for cost in chosen.values()),
            break_even_bytes=break_even[0],
            break_even_pulls=break_even[1],
            replication_json="" if merged is None else replication_json(merged),
            terraform="" if merged is None else replication_terraform(merged),
            caveats=_caveats(
                _BACKFILL,
                "workloads must then name the registry of their own region",
                "repositories made later whose names begin so are replicated too",
                _ACCESS,
                written,
                left_out,
                _unsized(pulled),
            ),
        )

    def _gateway(self, region: str) -> Iterable[Advice]:
        """A gateway endpoint for S3 where local pulls leave by NAT."""
        nat_regions = self._network.nat_regions or frozenset()
        if region not in nat_regions or region in self._network.gateway_regions:
            return
        flows = [
            (registry, name, flow)
            for (registry, to_region), of in self._flows.items()
            if registry.region == to_region == region
            for name, flow in of.items()
        ]
        moved = sum((flow.total for _, _, flow in flows), _ZERO)
        rate = self._rates.nat_of(region)
        usd = None if rate.low is None else rate.low * moved
        yield Advice(
            kind=AdviceKind.GATEWAY_ENDPOINT,
            account="",
            region=region,
            to_region=region,
            repositories=tuple(sorted({name for _, name, _ in flows})),
            saving=_range(usd, usd, rate.reason),
            cost_now=_range(usd, usd, rate.reason),
            cost_then=_range(_ZERO, _ZERO),
            one_time=_range(_ZERO, _ZERO),
            pulled_bytes=round(moved),
            caveats=_caveats(
                "a gateway endpoint is free, and carries layers of registries of its own region alone",
                "it is as if every pull in the region went through NAT",
                _unsized({name: flow for _, name, flow in flows}),
            ),
        )

    def _move(self, registry: Registry) -> Iterable[Advice]:
        """Repositories that cost less in another region than where they are, with what stays behind."""
        moved: dict[str, dict[str, tuple[Fraction, Fraction, Fraction, Fraction]]] = defaultdict(dict)
        pulled: dict[str, dict[str, Fraction]] = defaultdict(dict)
        unknown: set[str] = set()
        for (owner, to_region), flows in self._flows.items():
            for name, flow in flows.items():
                if owner != registry:
                    continue
                if to_region in {UNKNOWN_REGION, INTERNET}:
                    unknown.add(name)
                else:
                    pulled[name][to_region] = flow.total
        for name, flows_of in sorted(pulled.items()):
            stock = self._holdings.stocks.get((registry, name))
            if stock is None or stock.unread:
                continue
            best = self._best_place(registry, flows_of, self._bytes(stock.stored))
            if best is not None:
                moved[best[0]][name] = best[1]
        for to_region, of in sorted(moved.items()):
            now, then, once, size = (sum((row[n] for row in of.values()), _ZERO) for n in range(4))
            saved = now - then
            yield Advice(
                kind=AdviceKind.MOVE_REPOSITORIES,
                account=registry.account,
                region=registry.region,
                to_region=to_region,
                repositories=tuple(sorted(of)),
                saving=_range(saved, saved),
                cost_now=_range(now, now),
                cost_then=_range(then, then),
                one_time=_range(once, once),
                pulled_bytes=round(size),
                instead_of=(AdviceKind.USE_REPLICA, AdviceKind.REPLICATE),
                caveats=_caveats(
                    "whoever pushes must push there, and every workload must name the new registry",
                    "pulls from unknown regions and from outside of AWS are as they were"
                    if unknown & of.keys()
                    else "",
                ),
            )

    def _best_place(
        self, registry: Registry, flows: Mapping[str, Fraction], stored: int
    ) -> tuple[str, tuple[Fraction, Fraction, Fraction, Fraction]] | None:
        """Where the pulls of ``flows`` cost least, if that is less than now: now, then, once, bytes."""
        now = self._all_pulls(registry.region, flows)
        here = _storage_per_byte(self._prices, registry.region)
        best = None
        for region in sorted(set(flows) - {registry.region}):
            pulls, there = self._all_pulls(region, flows), _storage_per_byte(self._prices, region)
            once = self._rates.transfer(registry.region, region).low
            if now is None or pulls is None or here is None or there is None or once is None:
                continue
            then = pulls + stored * (there - here)
            if then < now and (best is None or then < best[1][1]):
                best = region, (now, then, once * stored, flows[region])
        return best

    def _all_pulls(self, region: str, flows: Mapping[str, Fraction]) -> Fraction | None:
        """What the pulls would cost in a month if the registry were in ``region``; None for unknown."""
        total = _ZERO
        for puller_region, size in flows.items():
            transfer, nat = (
                self._rates.transfer(region, puller_region),
                self._rates.nat(region, puller_region),
            )
            if transfer.low is None or (nat is not None and nat.low is None):
                return None
            total += size * (transfer.low + ((nat.low if nat else None) or _ZERO))
        return total


def _matches(rule: Mapping[str, Any], name: str) -> bool:
    filters = [str(one.get("filter")) for one in rule.get("repositoryFilters") or ()]
    return not filters or name.startswith(tuple(filters))


def _storage_per_byte(prices: PriceBook, region: str) -> Fraction | None:
    """USD of a byte and month of the class standard at its first tier."""
    cost = class_cost(prices, region, "standard", GB)
    return None if cost is None else cost / GB


def _money(usd: Fraction | None, reason: str = "") -> Money:
    return Money(None if usd is None else exact_decimal(usd), leaves_out=(reason,) if reason else ())


def _range(low: Fraction | None, high: Fraction | None, reason: str = "") -> MoneyRange:
    return MoneyRange(_money(low, reason), _money(high, reason))


def _caveats(*texts: str) -> tuple[str, ...]:
    return tuple(text for text in texts if text)


def _unsized(flows: Mapping[str, _Flow]) -> str:
    count = sum(flow.unsized for flow in flows.values())
    return f"{count:,} pulls of layers of unknown size are not in it" if count else ""


def _most_first(advice: Advice) -> tuple[Any, ...]:
    amount = advice.saving.low.amount
    return (amount is None, -(amount or 0), advice.kind, advice.account, advice.region, advice.to_region)
