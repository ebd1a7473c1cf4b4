"""Puts the kinds of advice together, what saves most first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from analyzer.model.pull_costs import Advice, AdviceKind, Network, ReplicationOption, TransferAdvice
from analyzer.model.pulls import INTERNET, UNKNOWN_REGION, PullHistory
from analyzer.pricing import PriceBook
from analyzer.pull_advice.flows import ZERO, Flows, Holdings, flows_of, unsized_text
from analyzer.pull_advice.moving import Moving
from analyzer.pull_advice.rates import ByteRates, caveats, money_range
from analyzer.pull_advice.replication import Replication
from analyzer.pull_pricing import DAYS_PER_MONTH

_METHOD: Final = (
    "a month's pulls are reckoned from covered days; pulls from unknown regions are in no advice",
    "new bytes are those of what was pushed in the window, if gone again too, that nothing older held",
    "what came and went between two snapshots is not known",
    "replication is promised at its cost once the destination holds all that the source holds",
    "at best it costs what it does while the destination holds a month's new bytes",
)


def advise(
    history: PullHistory,
    sizes: Mapping[str, int],
    prices: PriceBook,
    holdings: Holdings,
    network: Network | None = None,
) -> TransferAdvice:
    """What to do about the pulls of ``history``, by what it saves; ``sizes`` as for ``price_pulls``."""
    network = network or Network()
    rates = ByteRates(prices, network)
    window = max(1, history.last_day - history.first_day + 1)
    flows_by_place = flows_of(history, sizes, holdings)
    replication = Replication(holdings, rates, DAYS_PER_MONTH / window)
    moving = Moving(flows_by_place, holdings, rates)
    advice: list[Advice] = []
    options: list[ReplicationOption] = []
    for (registry, to_region), flows in sorted(flows_by_place.items()):
        if to_region == registry.region:
            advice += _gateway(to_region, flows_by_place, network, rates)
        elif to_region not in {UNKNOWN_REGION, INTERNET}:
            advice += replication.use_replicas(registry, to_region, flows)
            costs = replication.costs(registry, to_region, flows)
            options += replication.options(registry, to_region, flows, costs)
            advice += replication.replicate(registry, to_region, flows, costs)
    for registry in sorted({registry for registry, _ in flows_by_place}):
        advice += moving.move(registry)
    distinct = {(one.kind, one.account, one.region, one.to_region): one for one in advice}
    return TransferAdvice(
        advice=tuple(sorted(distinct.values(), key=_most_first)), options=tuple(options), method=_METHOD
    )


def _gateway(region: str, every: Flows, network: Network, rates: ByteRates) -> Iterable[Advice]:
    """A gateway endpoint for S3 where local pulls leave by NAT."""
    nat_regions = network.nat_regions or frozenset()
    if region not in nat_regions or region in network.gateway_regions:
        return
    flows = [
        (registry, name, flow)
        for (registry, to_region), of in every.items()
        if registry.region == to_region == region
        for name, flow in of.items()
    ]
    moved = sum((flow.total for _, _, flow in flows), ZERO)
    rate = rates.nat_of(region)
    usd = None if rate.low is None else rate.low * moved
    yield Advice(
        kind=AdviceKind.GATEWAY_ENDPOINT,
        account="",
        region=region,
        to_region=region,
        repositories=tuple(sorted({name for _, name, _ in flows})),
        saving=money_range(usd, usd, rate.reason),
        cost_now=money_range(usd, usd, rate.reason),
        cost_then=money_range(ZERO, ZERO),
        one_time=money_range(ZERO, ZERO),
        pulled_bytes=round(moved),
        caveats=caveats(
            "a gateway endpoint is free, and carries layers of registries of its own region alone",
            "it is as if every pull in the region went through NAT",
            unsized_text({name: flow for _, name, flow in flows}),
        ),
    )


def _most_first(advice: Advice) -> tuple[Any, ...]:
    amount = advice.saving.low.amount
    return (amount is None, -(amount or 0), advice.kind, advice.account, advice.region, advice.to_region)
