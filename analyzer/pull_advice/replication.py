"""Replication held against pulling: replicas that serve already, and what new rules would cost."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any, Final, NamedTuple

import numpy as np

from analyzer.model.pull_costs import Advice, AdviceKind, ReplicationOption
from analyzer.prefixes import choose_prefixes
from analyzer.pull_advice.flows import ZERO, Flow, Holdings, Registry, unsized_text
from analyzer.pull_advice.rates import ByteRates, caveats, money, money_range
from analyzer.replication_writing import (
    MOST_RULES,
    replicates_deletions,
    replication_json,
    replication_terraform,
    with_rule,
)

_BACKFILL: Final = (
    "ECR replicates what is pushed after the rule is set; what is there already takes "
    "aws ecr start-replication-backfill, or another push"
)
_ACCESS: Final = "pullers need permission on the repository of the destination too"


class Costs(NamedTuple):
    """Replicating one repository to one region; a month's USD and bytes."""

    avoided: Fraction
    low: Fraction
    high: Fraction
    once: Fraction
    new_bytes: Fraction
    stored_bytes: int


class Replication:
    """Replicating repositories to the regions that pull from them."""

    def __init__(self, holdings: Holdings, rates: ByteRates, window_to_month: Fraction) -> None:
        """``window_to_month`` makes a month's bytes of those that were pushed in the window."""
        self._holdings = holdings
        self._rates = rates
        self._window_to_month = window_to_month
        self._names: dict[Registry, list[str]] = defaultdict(list)
        for registry, name in sorted(holdings.stocks):
            self._names[registry].append(name)

    def use_replicas(self, registry: Registry, to_region: str, flows: Mapping[str, Flow]) -> Iterable[Advice]:
        """To pull at home what a replica in ``to_region`` has already."""
        served = {name: flow.at_replica for name, flow in flows.items() if flow.at_replica}
        avoided, left_out = self._rates.avoided(registry.region, to_region)
        if not served:
            return
        moved = sum(served.values(), ZERO)
        now = self._rates.paid_now(registry.region, to_region) * moved
        saved = None if avoided is None else avoided * moved
        paid = None if avoided is None else now
        left = None if saved is None else now - saved
        yield Advice(
            kind=AdviceKind.USE_REPLICA,
            account=registry.account,
            region=registry.region,
            to_region=to_region,
            repositories=tuple(sorted(served)),
            saving=money_range(saved, saved, left_out),
            cost_now=money_range(paid, paid, left_out),
            cost_then=money_range(left, left, left_out),
            one_time=money_range(ZERO, ZERO),
            pulled_bytes=round(moved),
            caveats=caveats(
                "workloads must name the registry of their own region", _ACCESS, left_out, unsized_text(flows)
            ),
        )

    def costs(self, registry: Registry, to_region: str, flows: Mapping[str, Flow]) -> dict[str, Costs | None]:
        """What replicating each repository of the registry costs and spares; None where nobody knows."""
        avoided, _ = self._rates.avoided(registry.region, to_region)
        transfer = self._rates.transfer(registry.region, to_region).high
        storage = self._rates.storage(to_region)
        names = sorted({*self._names[registry], *flows})
        return {
            name: self._cost(registry, to_region, name, flows.get(name), avoided, transfer, storage)
            for name in names
        }

    def options(
        self,
        registry: Registry,
        to_region: str,
        flows: Mapping[str, Flow],
        costs: Mapping[str, Costs | None],
    ) -> Iterable[ReplicationOption]:
        """What replicating each repository of ``flows`` alone would come to."""
        avoided, left_out = self._rates.avoided(registry.region, to_region)
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
                pulling=money(None if avoided is None else pulled * avoided, left_out),
                replicating=money_range(cost.low, cost.high) if cost else money_range(None, None, reason),
                break_even_bytes=bytes_,
                break_even_pulls=pulls,
                pays=None if cost is None else cost.avoided > cost.high,
            )

    def replicate(
        self,
        registry: Registry,
        to_region: str,
        flows: Mapping[str, Flow],
        costs: Mapping[str, Costs | None],
    ) -> Iterable[Advice]:
        """To replicate the prefixes for which that is worth it, with the rules to set."""
        worth = {name: None if cost is None else cost.avoided - cost.high for name, cost in costs.items()}
        prefixes = choose_prefixes(worth)
        if not prefixes:
            return
        chosen = {
            name: cost for name, cost in costs.items() if cost is not None and name.startswith(prefixes)
        }
        pulled = {name: flow for name, flow in flows.items() if name in chosen}
        spared, low, high, once, new = (
            sum((getattr(cost, field) for cost in chosen.values()), ZERO)
            for field in ("avoided", "low", "high", "once", "new_bytes")
        )
        avoided, left_out = self._rates.avoided(registry.region, to_region)
        moved = sum((flow.total - flow.at_replica for flow in pulled.values()), ZERO)
        now = self._rates.paid_now(registry.region, to_region) * moved
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
            saving=money_range(spared - high, spared - low, left_out),
            cost_now=money_range(now, now, left_out),
            cost_then=money_range(now - spared + low, now - spared + high, left_out),
            one_time=money_range(ZERO, once),
            pulled_bytes=round(moved),
            new_bytes=round(new),
            stored_bytes=sum(cost.stored_bytes for cost in chosen.values()),
            break_even_bytes=break_even[0],
            break_even_pulls=break_even[1],
            replication_json="" if merged is None else replication_json(merged),
            terraform="" if merged is None else replication_terraform(merged),
            caveats=caveats(
                _BACKFILL,
                "workloads must then name the registry of their own region",
                "repositories made later whose names begin so are replicated too",
                _ACCESS,
                written,
                left_out,
                unsized_text(pulled),
            ),
        )

    def _cost(
        self,
        registry: Registry,
        to_region: str,
        name: str,
        flow: Flow | None,
        avoided: Fraction | None,
        transfer: Fraction | None,
        storage: Fraction | None,
    ) -> Costs | None:
        stock = self._holdings.stocks.get((registry, name))
        if stock is None or stock.unread or avoided is None or transfer is None or storage is None:
            return None
        if self._is_replicated(registry, to_region, name):
            # Another rule changes nothing about it.
            return Costs(ZERO, ZERO, ZERO, ZERO, ZERO, 0)
        there = self._holdings.stocks.get((Registry(registry.account, to_region), name))
        held = there.stored if there is not None else np.zeros(0, np.int64)
        new = self._window_to_month * self._holdings.bytes_of(np.setdiff1d(stock.fresh, held))
        stored = self._holdings.bytes_of(np.setdiff1d(stock.stored, held))
        pulled = flow.total - flow.at_replica if flow is not None else ZERO
        return Costs(
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


def _matches(rule: Mapping[str, Any], name: str) -> bool:
    filters = [str(one.get("filter")) for one in rule.get("repositoryFilters") or ()]
    return not filters or name.startswith(tuple(filters))
