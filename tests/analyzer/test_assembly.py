"""Rows and totals of a report, whatever the registries hold and whatever is priced."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from analyzer.assembly import Question, assemble_report
from analyzer.model.records import Gap
from analyzer.model.registry_settings import Settings, no_scans
from analyzer.model.results import RegistryRow, Report, RepositoryRow
from analyzer.model.units import Money, ScopeChoice
from analyzer.pricing import PriceBook, bundled_prices, load_prices
from analyzer.storage import analyze
from tests.strategies.frames import Case, cases

_HEAD = 'format = 1\ncurrency = "USD"\n'
_ROW = (
    '[[storage]]\nclass = "{}"\nregions = ["{}"]\nas_of = "2026-11"\nsource = "test"\nconfidence = "high"\n'
    'tiers = [{{ from_gb = 0, usd_per_gb_month = "{}" }}, {{ from_gb = 3, usd_per_gb_month = "{}" }}]\n'
)
#: Tiers that even small registries reach, and a region (us-east-1) that has no price for archive.
_TIERED = load_prices(
    _HEAD
    + _ROW.format("standard", "eu-west-1", "0.5", "0.25")
    + _ROW.format("archive", "eu-west-1", "0.125", "0.1")
    + _ROW.format("standard", "us-east-1", "0.3", "0.1"),
    origin="test",
)
#: Blended rates need not end as decimals; pricing carries 150 digits of them.
_DUST = Fraction(1, 10**100)
_BOOKS = {"bundled": bundled_prices(), "tiered": _TIERED, "none": PriceBook()}


def _report(case: Case, scope: ScopeChoice, prices: PriceBook, gaps: Iterable[Gap] = ()) -> Report:
    artifacts = len(case.frames.artifacts.digest_id)
    return assemble_report(
        Question(scope=scope, at_ms=case.now_ms, stale_days=case.stale_days, run=1),
        case.frames,
        analyze(case.frames, now_ms=case.now_ms, stale_days=case.stale_days),
        prices,
        gaps=tuple(gaps),
        accepted_gaps=(),
        digests=[f"sha256:{number:064x}" for number in range(artifacts)],
        tags=[""] * artifacts,
        in_use=["unknown"] * artifacts,
        settings=Settings(
            [{}] * len(case.frames.registries),
            [{}] * len(case.frames.repositories),
        ),
        scans=no_scans(artifacts),
    )


def _sum(amounts: Iterable[Money]) -> Decimal:
    with localcontext() as context:
        context.prec = 200
        return sum((money.amount or Decimal(0) for money in amounts), Decimal(0))


def _is_close(one: Decimal | None, other: Decimal) -> bool:
    return abs(Fraction(one or 0) - Fraction(other)) < _DUST


@given(cases(), st.sampled_from(sorted(_BOOKS)), st.sampled_from(["auto", "repository", "registry"]))
def test_rows_add_up_to_totals(case: Case, book: str, scope: ScopeChoice) -> None:
    report = _report(case, scope, _BOOKS[book])
    totals, rows = report.totals, report.repositories
    assert len(rows) == totals.repositories
    assert totals.logical_bytes == sum(row.logical_bytes for row in rows)
    assert totals.physical_bytes.repository == sum(row.physical_bytes.repository for row in rows)
    unique = sum(row.physical_bytes.registry for row in rows)
    assert totals.physical_bytes.registry == unique + totals.shared_bytes
    assert totals.counts.images == sum(row.counts.images for row in rows)
    assert _is_close(totals.cost.repository.amount, _sum(row.cost.repository for row in rows))
    at_registry = _sum([*(row.cost.registry for row in rows), report.shared_cost])
    assert _is_close(totals.cost.registry.amount, at_registry)
    assert _is_close(totals.orphaned_cost.repository.amount, _sum(row.orphaned_cost for row in rows))
    assert _is_close(totals.cost_low.amount, _sum(row.cost_low for row in report.registries))
    assert _is_close(totals.cost_high.amount, _sum(row.cost_high for row in report.registries))
    assert sum(age.physical_bytes for age in report.ages) == totals.physical_bytes.repository


@given(cases(), st.sampled_from(["bundled", "tiered"]))
def test_what_has_no_price_is_unknown_and_never_zero(case: Case, book: str) -> None:
    report = _report(case, "auto", _BOOKS[book])
    none = _report(case, "auto", _BOOKS["none"])
    for row in none.repositories:
        # Nothing stored costs nothing, wherever it is.
        priceless = row.physical_bytes.repository > 0 or row.counts.unknown > 0
        assert (row.cost.repository.amount is None) == priceless
    unknown = none.totals.counts.unknown > 0
    assert (none.totals.cost.repository.amount is None) == (
        none.totals.physical_bytes.repository > 0 or unknown
    )
    missing = {reason for row in report.repositories for reason in row.cost.repository.leaves_out}
    assert set(report.totals.cost.repository.leaves_out) == missing
    assert {row.confidence for row in report.prices if row.usd_per_gb_month is None} <= {"unknown"}


@given(cases())
def test_whatever_holds_an_artifact_of_unknown_size_says_so(case: Case) -> None:
    report = _report(case, "auto", _BOOKS["bundled"])
    reason = "artifacts of unknown size"
    rows: list[RepositoryRow | RegistryRow] = [*report.repositories, *report.registries]
    for row in rows:
        for money in (row.cost.repository, row.cost.registry):
            assert (reason in money.leaves_out) == (row.counts.unknown > 0)
            if row.counts.unknown and not row.physical_bytes.repository:
                assert money.amount is None
    totals = report.totals
    for scoped in (totals.cost, totals.orphaned_cost, totals.stale_cost):
        for money in (scoped.repository, scoped.registry):
            assert (reason in money.leaves_out) == (totals.counts.unknown > 0)
    doubtful = "images that may belong to an index that could not be read"
    assert (doubtful in totals.orphaned_cost.registry.leaves_out) == (
        totals.counts.possibly_reached_images > 0
    )


@given(cases())
def test_order_is_by_money_and_name_and_never_by_id(case: Case) -> None:
    rows = _report(case, "auto", _BOOKS["bundled"]).repositories
    amounts = [row.cost.repository.amount for row in rows]
    known = [amount for amount in amounts if amount is not None]
    assert known == sorted(known, reverse=True)
    for one, other in pairwise(rows):
        if (one.cost, one.physical_bytes) == (other.cost, other.physical_bytes):
            assert (one.account, one.region, one.repository, one.created_at) <= (
                other.account,
                other.region,
                other.repository,
                other.created_at,
            )


@given(cases(), st.sampled_from(["bundled", "tiered"]))
def test_what_leaves_costs_no_more_than_what_is_there(case: Case, book: str) -> None:
    totals = _report(case, "auto", _BOOKS[book]).totals
    for scope in ("repository", "registry"):
        whole = getattr(totals.cost, scope).amount
        for part in (totals.orphaned_cost, totals.stale_cost):
            freed = getattr(part, scope).amount
            if whole is not None and freed is not None:
                assert Fraction(freed) <= Fraction(whole) + _DUST


@given(cases())
def test_every_artifact_is_listed_by_place_and_digest(case: Case) -> None:
    images = _report(case, "auto", _BOOKS["bundled"]).images
    assert len(images) == len(case.frames.artifacts.digest_id)
    places = images[["account", "region", "repository", "digest"]]
    for _, rows in places.groupby(["account", "region", "repository"], sort=False):
        assert len(rows) == rows.index[-1] - rows.index[0] + 1
    assert images["logical_bytes"].sum() == sum(
        row.logical_bytes for row in _report(case, "auto", _BOOKS["none"]).repositories
    )
