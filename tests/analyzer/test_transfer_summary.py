"""Findings put together: rows add up, and nothing unknown is lost in a sum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.model.transfer import ColdPull, TransferCode, TransferFinding, User
from analyzer.transfer_summary import summarize_transfers
from tests.support.pulls_fixture import ACROSS, FINDINGS, IMPOSSIBLE, OTHER, OWN, REPLICA, no_usd, usd


def _one(code: TransferCode, place: int, size: int, users: int, *, known: bool) -> TransferFinding:
    return replace(
        ACROSS,
        code=code,
        account=(OWN, OTHER)[place % 2],
        region=("us-east-1", "us-west-2")[place // 2 % 2],
        registry_region=("eu-west-1", "eu-west-2")[place // 4],
        repository=("a", "b")[size % 2],
        users=tuple(User(workload=f"w{n}", kind="running") for n in range(users)),
        cold_pull=ColdPull(size, 2 * size) if known else ColdPull(None, None, unknown="why"),
        usd_per_pull=usd(f"{size}.5", f"{2 * size + 1}") if known else no_usd("why"),
    )


_FINDINGS = st.lists(
    st.builds(
        _one,
        st.sampled_from(list(TransferCode)),
        st.integers(0, 7),
        st.integers(0, 9),
        st.integers(1, 3),
        known=st.booleans(),
    ),
    max_size=12,
)


@given(_FINDINGS)
def test_rows_say_what_a_walk_over_the_findings_says(findings: list[TransferFinding]) -> None:
    summary = summarize_transfers(findings)
    for groups, key in (
        (summary.routes, ("registry_account", "registry_region", "upstream", "region")),
        (summary.repositories, ("registry_account", "registry_region", "upstream", "repository")),
    ):
        told = [tuple(getattr(group, name) for name in key) for group in groups]
        assert sorted(told) == sorted({tuple(getattr(one, name) for name in key) for one in findings})
        for group, place in zip(groups, told, strict=True):
            own = [one for one in findings if tuple(getattr(one, name) for name in key) == place]
            crossing = [one for one in own if one.crosses_regions]
            known = [one for one in crossing if not one.cold_pull.unknown]
            assert (group.findings, group.crossing) == (len(own), len(crossing))
            assert group.unsized == len(crossing) - len(known)
            assert group.low_bytes == sum(one.cold_pull.low_bytes or 0 for one in known)
            assert group.high_bytes == sum(one.cold_pull.high_bytes or 0 for one in known)
            amount = sum((one.usd_per_pull.high.amount or 0 for one in known), Decimal(0))
            assert group.usd.high.amount == (amount if amount or not group.unsized else None)
            assert group.usd.high.leaves_out == (("why",) if group.unsized else ())
        assert sum(group.high_bytes for group in groups) == summary.total.high_bytes
        assert sum(group.findings for group in groups) == summary.total.findings == len(findings)
    workloads = {(one.account, one.region, one.source, user) for one in findings for user in one.users}
    assert len(summary.pullers) == summary.total.workloads == len(workloads)


def test_what_stays_in_its_region_or_cannot_be_counts_nothing() -> None:
    total = summarize_transfers(FINDINGS).total
    assert (total.findings, total.crossing, total.unsized) == (6, 3, 1)
    assert total.replica_bytes == REPLICA.cold_pull.high_bytes
    assert (total.usd.low.amount, total.usd.high.amount) == (Decimal("0.08"), Decimal("0.10"))
    assert total.payers == (OWN, OTHER)
    assert summarize_transfers([IMPOSSIBLE]).total.usd.high.amount == 0
    assert summarize_transfers([]).total.usd.high.period == "pull"


@pytest.mark.parametrize("order", [list, reversed])
def test_rows_come_dearest_first_and_unknown_ones_before_those_that_are_free(
    order: Callable[[tuple[TransferFinding, ...]], list[TransferFinding]],
) -> None:
    routes = summarize_transfers(list(order(FINDINGS))).routes
    assert [group.registry_region for group in routes] == ["eu-west-1", "ap-south-1", "", "eu-west-1"]
