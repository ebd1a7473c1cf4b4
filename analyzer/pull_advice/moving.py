"""Repositories that cost less in another region than where they are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from fractions import Fraction

from analyzer.model.pull_costs import Advice, AdviceKind
from analyzer.model.pulls import INTERNET, UNKNOWN_REGION
from analyzer.pull_advice.flows import ZERO, Flows, Holdings, Registry
from analyzer.pull_advice.rates import ByteRates, caveats, money_range


class Moving:
    """Moving repositories to where they are pulled."""

    def __init__(self, flows: Flows, holdings: Holdings, rates: ByteRates) -> None:
        self._flows = flows
        self._holdings = holdings
        self._rates = rates

    def move(self, registry: Registry) -> Iterable[Advice]:
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
            best = self._best_place(registry, flows_of, self._holdings.bytes_of(stock.stored))
            if best is not None:
                moved[best[0]][name] = best[1]
        for to_region, of in sorted(moved.items()):
            now, then, once, size = (sum((row[n] for row in of.values()), ZERO) for n in range(4))
            saved = now - then
            yield Advice(
                kind=AdviceKind.MOVE_REPOSITORIES,
                account=registry.account,
                region=registry.region,
                to_region=to_region,
                repositories=tuple(sorted(of)),
                saving=money_range(saved, saved),
                cost_now=money_range(now, now),
                cost_then=money_range(then, then),
                one_time=money_range(once, once),
                pulled_bytes=round(size),
                instead_of=(AdviceKind.USE_REPLICA, AdviceKind.REPLICATE),
                caveats=caveats(
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
        here = self._rates.storage(registry.region)
        best = None
        for region in sorted(set(flows) - {registry.region}):
            pulls, there = self._all_pulls(region, flows), self._rates.storage(region)
            once = self._rates.transfer(registry.region, region).low
            if now is None or pulls is None or here is None or there is None or once is None:
                continue
            then = pulls + stored * (there - here)
            if then < now and (best is None or then < best[1][1]):
                best = region, (now, then, once * stored, flows[region])
        return best

    def _all_pulls(self, region: str, flows: Mapping[str, Fraction]) -> Fraction | None:
        """What the pulls would cost in a month if the registry were in ``region``; None for unknown."""
        total = ZERO
        for puller_region, size in flows.items():
            transfer, nat = (
                self._rates.transfer(region, puller_region),
                self._rates.nat(region, puller_region),
            )
            if transfer.low is None or (nat is not None and nat.low is None):
                return None
            total += size * (transfer.low + ((nat.low if nat else None) or ZERO))
        return total
