"""What to do about pulls, against trying everything."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import hcl2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.model.frames import Int64
from analyzer.model.pull_costs import Advice, AdviceKind, Network, RepositoryStock, TransferAdvice
from analyzer.model.pulls import (
    UNKNOWN_REGION,
    Confidence,
    Coverage,
    PullHistory,
    PullKind,
    Pulls,
    RegionMethod,
)
from analyzer.model.units import GB
from analyzer.pricing import bundled_prices, exact_decimal
from analyzer.pull_advice import Holdings, Registry, advise
from tests.oracle import replication_choice as oracle
from tests.support.examples import examples

OWNER = "111111111111"
SEOUL, US, OHIO = "ap-northeast-2", "us-east-1", "us-east-2"
HOME, AWAY = Registry(OWNER, SEOUL), Registry(OWNER, US)
PRICES = bundled_prices()
DAY, DAYS = 20_000, 10
#: Bytes by id; the digest of a blob is its id as text.
SIZES = np.array([0, GB, 2 * GB, 3 * GB, 7, 50 * GB])
BYTES = {str(number): int(size) for number, size in enumerate(SIZES)}
MONTHS = Fraction("30.4") / DAYS


def digest_ids(digests: Sequence[str]) -> Int64:
    return np.array([int(digest) if digest.isdigit() else -1 for digest in digests], np.int64)


def stock(
    *stored: int, fresh: Sequence[int] = (), unread: int = 0, whole: int | None = GB
) -> RepositoryStock:
    return RepositoryStock(
        stored=np.array(sorted(stored), np.int64),
        fresh=np.array(sorted(fresh), np.int64),
        unread=unread,
        cold_pull_bytes=whole,
    )


def pulled(
    blob: object,
    times: int = 1,
    *,
    repository: str = "app",
    region: str = SEOUL,
    puller: str = US,
    day: int = DAY,
) -> Pulls:
    return Pulls(
        day,
        OWNER,
        region,
        repository,
        PullKind.LAYER,
        str(blob),
        "",
        OWNER,
        "node",
        puller,
        RegionMethod.INSTANCE,
        Confidence.HIGH,
        times,
    )


def advised(
    *pulls: Pulls,
    stocks: Mapping[tuple[Registry, str], RepositoryStock],
    rules: Sequence[Mapping[str, Any]] | None = (),
    network: Network | None = None,
    covered: bool = True,
) -> TransferAdvice:
    status = "complete" if covered else "none"
    regions = {one.region for one in pulls}
    coverage = tuple(
        Coverage(day, OWNER, region, "s3", status) for region in regions for day in range(DAY, DAY + DAYS)
    )
    history = PullHistory(DAY, DAY + DAYS - 1, tuple(sorted(pulls)), coverage=coverage)
    holdings = Holdings(stocks=stocks, blob_sizes=SIZES, digest_ids=digest_ids, rules={HOME: rules})
    return advise(history, BYTES, PRICES, holdings, network)


def of_kind(found: TransferAdvice, kind: AdviceKind) -> Advice:
    (advice,) = (one for one in found.advice if one.kind is kind)
    return advice


def ends(advice: Advice) -> tuple[Decimal | None, Decimal | None]:
    return advice.saving.low.amount, advice.saving.high.amount


BLOBS = st.integers(1, 5)


@st.composite
def repositories(draw: st.DrawFn) -> dict[str, oracle.Held]:
    found = {}
    for name in draw(st.lists(st.text("ab", min_size=2, max_size=3), unique=True, max_size=5)):
        stored = draw(st.frozensets(BLOBS, min_size=1))
        some = st.frozensets(st.sampled_from(sorted(stored)))
        found[name] = oracle.Held(
            stored={str(blob): int(SIZES[blob]) for blob in stored},
            fresh=frozenset(map(str, draw(some))),
            there=frozenset(map(str, draw(some))),
            pulls={str(blob): draw(st.integers(1, 20)) for blob in draw(some)},
        )
    return found


@given(repositories(), st.booleans())
@examples(80)
def test_replication_is_what_the_cheapest_of_all_choices_is(known: dict[str, oracle.Held], nat: bool) -> None:
    stocks = {}
    pulls = []
    for name, held in known.items():
        stocks[HOME, name] = stock(*map(int, held.stored), fresh=[*map(int, held.fresh)])
        stocks[AWAY, name] = stock(*map(int, held.there))
        pulls += [pulled(blob, times, repository=name) for blob, times in held.pulls.items()]
    gateways = frozenset({US})
    network = Network(frozenset({US}), gateways) if nat else Network(gateway_regions=gateways)
    rates = oracle.Rates(
        transfer=Fraction("0.08") / GB,
        storage=Fraction("0.10") / GB,
        nat=Fraction("0.045") / GB if nat else Fraction(0),
        months=MONTHS,
    )
    found = advised(*pulls, stocks=stocks, network=network)
    for option in found.options:
        held = known[option.repository]
        assert option.pulling.amount == exact_decimal(oracle.pulling(held, rates))
        assert option.replicating.high.amount == exact_decimal(oracle.replicating(held, rates))
        assert option.pays is (oracle.pulling(held, rates) > oracle.replicating(held, rates))
    saved = oracle.cost(known, rates, frozenset()) - oracle.cheapest(known, rates)
    replicate = [one for one in found.advice if one.kind is AdviceKind.REPLICATE]
    assert [one.saving.low.amount for one in replicate] == ([exact_decimal(saved)] if saved else [])
    for one in replicate:
        chosen = frozenset(one.repositories)
        assert chosen == frozenset(name for name in known if name.startswith(one.prefixes))
        assert oracle.cost(known, rates, chosen) == oracle.cheapest(known, rates)


def test_what_a_replica_serves_is_to_be_used_and_counts_for_nothing_else() -> None:
    stocks = {(HOME, "app"): stock(1, 2), (AWAY, "app"): stock(1)}
    found = advised(pulled(1, 10), pulled(2, 5), stocks=stocks)
    use = of_kind(found, AdviceKind.USE_REPLICA)
    assert (use.account, use.region, use.to_region, use.repositories) == (OWNER, SEOUL, US, ("app",))
    # 10 GB in the window are 30.4 in a month.
    assert ends(use) == (Decimal("2.432"), Decimal("2.432"))
    assert use.pulled_bytes == round(30.4 * GB)
    assert (use.cost_now.low.amount, use.cost_then.low.amount) == (Decimal("2.432"), Decimal(0))
    (option,) = found.options
    assert option.pulled_bytes == round(30.4 * GB)
    assert option.stored_bytes == 2 * GB
    # Of what is pulled in a month (2.432) 0.20 go for storage, or nothing while nothing is new.
    assert ends(of_kind(found, AdviceKind.REPLICATE)) == (Decimal("2.232"), Decimal("2.432"))


def test_break_even_is_where_the_bytes_pulled_cost_what_replicating_does() -> None:
    found = advised(pulled(2), stocks={(HOME, "app"): stock(2, 5, fresh=[2], whole=10 * GB)})
    (option,) = found.options
    # New: 6.08 GB to carry over; 52 GB to store.
    assert option.replicating.high.amount == Decimal("5.6864")
    assert option.break_even_bytes == -(-Fraction("5.6864") / Fraction("0.08") * GB // 1)
    assert option.break_even_pulls == 8
    assert option.pays is False
    assert [one.kind for one in found.advice if one.kind is AdviceKind.REPLICATE] == []


def test_a_prefix_that_takes_others_along_counts_what_they_cost() -> None:
    stocks = {(HOME, "app"): stock(1), (HOME, "app-old"): stock(5)}
    assert not [
        one for one in advised(pulled(1, 5), stocks=stocks).advice if one.kind is AdviceKind.REPLICATE
    ]
    dear = of_kind(advised(pulled(1, 50), stocks=stocks), AdviceKind.REPLICATE)
    assert (dear.prefixes, dear.repositories) == (("app",), ("app", "app-old"))
    assert dear.stored_bytes == 51 * GB


@pytest.mark.parametrize(
    "stocks",
    [
        {},
        {(HOME, "app"): stock(1, unread=1)},
    ],
)
def test_what_is_not_known_is_not_replicated(stocks: dict[tuple[Registry, str], RepositoryStock]) -> None:
    found = advised(pulled(1, 50), stocks=stocks)
    assert found.advice == ()
    (option,) = found.options
    assert option.pays is None
    assert option.replicating.high.amount is None
    assert option.pulling.amount == Decimal("12.16")


def test_without_a_price_or_coverage_or_region_there_is_no_advice() -> None:
    stocks = {(HOME, "app"): stock(1)}
    assert advised(pulled(1, 50), stocks=stocks, covered=False).advice == ()
    assert advised(pulled(1, 50, puller=UNKNOWN_REGION), stocks=stocks).advice == ()
    nowhere = advised(pulled(1, 50, region="mx-central-1"), stocks=stocks)
    assert nowhere.advice == ()
    assert nowhere.options[0].pulling.leaves_out == ("no price for transfer from mx-central-1 to us-east-1",)


def test_rules_in_force_are_kept_beside_the_new_one() -> None:
    old = {
        "destinations": [{"region": "eu-west-1", "registryId": OWNER}],
        "repositoryFilters": [{"filter": "web${x}", "filterType": "PREFIX_MATCH"}],
    }
    found = of_kind(
        advised(pulled(1, 50), stocks={(HOME, "app"): stock(1), (HOME, "web"): stock(5)}, rules=[old]),
        AdviceKind.REPLICATE,
    )
    new = {
        "destinations": [{"region": US, "registryId": OWNER}],
        "repositoryFilters": [{"filter": "app", "filterType": "PREFIX_MATCH"}],
    }
    assert json.loads(found.replication_json) == {"rules": [old, new]}
    (resource,) = hcl2.loads(found.terraform)["resource"]
    assert "aws_ecr_replication_configuration" in str(resource)
    assert '"web$${x}"' in found.terraform
    assert found.terraform.count("    rule {") == 2


def test_everything_is_replicated_without_a_filter() -> None:
    found = of_kind(
        advised(
            pulled(1, 50),
            pulled(1, 50, repository="zoo"),
            stocks={(HOME, "app"): stock(1), (HOME, "zoo"): stock(1)},
        ),
        AdviceKind.REPLICATE,
    )
    assert found.prefixes == ("",)
    assert json.loads(found.replication_json) == {
        "rules": [{"destinations": [{"region": US, "registryId": OWNER}]}]
    }


def test_rules_that_are_not_known_are_not_overwritten() -> None:
    found = of_kind(
        advised(pulled(1, 50), stocks={(HOME, "app"): stock(1)}, rules=None), AdviceKind.REPLICATE
    )
    assert (found.replication_json, found.terraform) == ("", "")
    assert (
        "the registry's replication rules are not known, and setting new ones would replace them"
        in found.caveats
    )


def test_more_rules_than_ecr_takes_are_not_written() -> None:
    rule = {"destinations": [{"region": "eu-west-1", "registryId": OWNER}]}
    found = of_kind(
        advised(pulled(1, 50), stocks={(HOME, "app"): stock(1)}, rules=[rule] * 25), AdviceKind.REPLICATE
    )
    assert found.replication_json == ""
    assert "with this there would be 26 rules, and ECR takes 25" in found.caveats


def test_what_a_rule_replicates_already_is_not_advised_again() -> None:
    rule = {
        "destinations": [{"region": US, "registryId": OWNER}],
        "repositoryFilters": [{"filter": "ap", "filterType": "PREFIX_MATCH"}],
    }
    found = advised(pulled(1, 50), stocks={(HOME, "app"): stock(1)}, rules=[rule])
    assert [one for one in found.advice if one.kind is AdviceKind.REPLICATE] == []


def test_a_gateway_endpoint_saves_what_local_pulls_pay_for_nat() -> None:
    local = pulled(1, 10, region=US, puller=US)
    found = advised(local, stocks={}, network=Network(frozenset({US})))
    advice = of_kind(found, AdviceKind.GATEWAY_ENDPOINT)
    assert (advice.region, advice.repositories) == (US, ("app",))
    assert ends(advice) == (Decimal("1.368"), Decimal("1.368"))
    there = Network(frozenset({US}), frozenset({US}))
    assert advised(local, stocks={}, network=there).advice == ()
    assert advised(local, stocks={}).advice == ()


def test_repositories_move_to_where_their_pulls_cost_least() -> None:
    stocks = {(HOME, "app"): stock(1)}
    found = advised(pulled(1, 10), pulled(1, 2, puller=SEOUL), pulled(1, 1, puller=OHIO), stocks=stocks)
    move = of_kind(found, AdviceKind.MOVE_REPOSITORIES)
    assert (move.region, move.to_region, move.repositories) == (SEOUL, US, ("app",))
    # Now 11 GB at 0.08; then 2 GB at 0.02 and 1 GB at 0.01, all of it 3.04 times.
    assert ends(move) == (Decimal("2.5232"), Decimal("2.5232"))
    assert move.one_time.low.amount == Decimal("0.08")
    assert AdviceKind.REPLICATE in move.instead_of


def test_repositories_stay_where_most_of_their_pulls_are() -> None:
    found = advised(
        pulled(1, 1, region=US, puller=SEOUL),
        pulled(1, 9, region=US, puller=US),
        stocks={(AWAY, "app"): stock(1)},
    )
    assert [one for one in found.advice if one.kind is AdviceKind.MOVE_REPOSITORIES] == []


def test_advice_is_ordered_by_what_it_promises() -> None:
    stocks = {(HOME, "app"): stock(1), (HOME, "web"): stock(2), (AWAY, "web"): stock(2)}
    found = advised(pulled(1, 50), pulled(2, 1, repository="web"), stocks=stocks)
    saved = [one.saving.low.amount or 0 for one in found.advice]
    assert saved == sorted(saved, reverse=True)
    assert {one.kind for one in found.advice} >= {AdviceKind.USE_REPLICA, AdviceKind.REPLICATE}


def test_layers_of_unknown_size_are_said_not_to_be_in_it() -> None:
    found = advised(pulled(1, 50), pulled("unknown", 3), stocks={(HOME, "app"): stock(1)})
    assert "3 pulls of layers of unknown size are not in it" in of_kind(found, AdviceKind.REPLICATE).caveats
