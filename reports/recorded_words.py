"""Words on the pulls that CloudTrail recorded, the same in every format for people."""

from __future__ import annotations

from collections import Counter
from typing import Final, Literal

from analyzer.model.pull_costs import Advice, AdviceKind, CoverageBasis, PullCost, PullCosts
from analyzer.model.pulls import INTERNET, UNKNOWN_REGION
from analyzer.model.transfer import MoneyRange
from analyzer.model.units import from_day
from analyzer.model.words import counted
from reports.figures import UNKNOWN, listed, size
from reports.pulls_words import pull_cost_text

By = Literal["repository", "puller", "route", "day"]

#: Where nothing of CloudTrail was read.
NOTHING_READ: Final = (
    "How often images are pulled is not known: no source of CloudTrail's events was read (demurrage ingest)."
)
_PLACES: Final = 4
_LEFT_OUT: Final = {
    "error": "failed calls",
    "collector": "looks of this program",
    "scanner": "looks of scanners",
    "service": "calls of AWS itself",
    "unreadable": "records that do not say what was pulled",
}
ADVICE: Final = {
    AdviceKind.USE_REPLICA: "Use the replica that is there",
    AdviceKind.REPLICATE: "Replicate",
    AdviceKind.GATEWAY_ENDPOINT: "Add the S3 gateway endpoint",
    AdviceKind.MOVE_REPOSITORIES: "Move repositories",
}


def costs_by(costs: PullCosts, by: By) -> tuple[PullCost, ...]:
    """The rows of ``costs`` that ``by`` asks for."""
    return {
        "route": costs.routes,
        "repository": costs.repositories,
        "puller": costs.pullers,
        "day": costs.days,
    }[by]


def window_text(costs: PullCosts) -> str:
    """``2026-10-25 to 2026-11-23``."""
    first, last = from_day(costs.first_day).isoformat(), from_day(costs.last_day).isoformat()
    return first if first == last else f"{first} to {last}"


def place_text(region: str | None) -> str:
    """A puller's region in words."""
    if region == UNKNOWN_REGION:
        return "unknown region"
    return "the internet" if region == INTERNET else str(region)


def cost_name(row: PullCost, by: By) -> str:
    """What a row of that table is about, in one line."""
    if by == "route":
        return f"{row.account}/{row.region} → {place_text(row.puller_region)}"
    if by == "repository":
        return f"{row.account}/{row.region}/{row.repository}"
    if by == "day":
        return from_day(row.day or 0).isoformat()
    return row.principal or (
        f"unknown principal of {row.principal_account}" if row.principal_account else "unknown principal"
    )


def bytes_text(row: PullCost) -> str:
    """What was moved; a star where layers of unknown size are left out."""
    if row.unsized_pulls and row.unsized_pulls == row.layer_pulls:
        return UNKNOWN
    return size(row.size_bytes) + ("*" if row.unsized_pulls else "")


def monthly_bytes_text(row: PullCost) -> str:
    """The same of a month."""
    if row.monthly_bytes is None or (row.unsized_pulls and row.unsized_pulls == row.layer_pulls):
        return UNKNOWN
    return size(row.monthly_bytes) + ("*" if row.unsized_pulls else "")


def reasons_of(*amounts: MoneyRange | None) -> list[str]:
    """What the amounts leave out, each reason once."""
    return sorted(
        {reason for usd in amounts if usd for money in (usd.low, usd.high) for reason in money.leaves_out}
    )


def recorded_sentences(costs: PullCosts) -> list[str]:
    """What was recorded and what it comes to, and what that leaves out."""
    total = costs.total
    if not total.layer_pulls and not total.checks:
        whole = all(row.basis is CoverageBasis.COMPLETE and not row.uncovered_days for row in costs.coverage)
        where = "" if whole else " on the days that are covered"
        return [f"No pull was recorded{where}."]
    moved = f"{counted(total.layer_pulls, 'layer was', 'layers were')} pulled, {bytes_text(total)} in all."
    window, month = pull_cost_text(total.transfer), pull_cost_text(total.monthly_transfer)
    said = [
        moved,
        f"Transfer out of the registries' regions: {window} in these days, {month} a month, paid by owners.",
    ]
    if total.nat is not None:
        said.append(
            f"NAT gateways add {pull_cost_text(total.nat)} in these days, paid by the pullers' accounts."
        )
    unknown = [row for row in costs.routes if row.puller_region == UNKNOWN_REGION and row.layer_pulls]
    if unknown:
        pulls = sum(row.layer_pulls for row in unknown)
        said.append(f"Where {pulls:,} of these pulls went is not known; they stand as rows of their own.")
    reasons = reasons_of(total.transfer, total.monthly_transfer, total.nat)
    if total.unsized_pulls:
        reasons.append(f"{counted(total.unsized_pulls, 'pull')} of layers of unknown size")
    if reasons:
        said.append(f"* Leaves out: {listed(reasons, limit=_PLACES)}.")
    return said


def coverage_lines(costs: PullCosts) -> list[str]:
    """Of which days anything is known, registry by registry, and what was not counted."""
    said = []
    days = costs.last_day - costs.first_day + 1
    whole = [row for row in costs.coverage if row.complete_days == days]
    if whole:
        where = counted(len(whole), "registry", "registries")
        said.append(f"Every one of {counted(days, 'day')} is covered completely for {where}.")
    for row in costs.coverage:
        if row in whole:
            continue
        why = f": {listed(list(row.details), limit=_PLACES)}" if row.details else ""
        basis = {
            CoverageBasis.COMPLETE: "",
            CoverageBasis.PARTIAL: "; a month is at least what is shown",
            CoverageBasis.NONE: "; whether anything was pulled there is not known",
        }[row.basis]
        covered = f"{row.complete_days:,} of {counted(days, 'day')} covered completely"
        rest = f"{row.partial_days:,} in part, {row.uncovered_days:,} not at all"
        said.append(f"{row.account}/{row.region}: {covered}, {rest}{basis}{why}.")
    left = Counter[str]()
    for one in costs.left_out:
        left[_LEFT_OUT[one.reason]] += one.times
    if left:
        counts = [f"{number:,} {what}" for what, number in sorted(left.items())]
        said.append(f"Not counted: {listed(counts)}.")
    return said


def advice_text(advice: Advice) -> str:
    """What to do, in one sentence."""
    what = listed([name or "everything" for name in advice.repositories], limit=_PLACES)
    registry = f"{advice.account}/{advice.region}"
    match advice.kind:
        case AdviceKind.USE_REPLICA:
            return f"Name the registry of {advice.to_region} in place of {registry} for {what}."
        case AdviceKind.REPLICATE:
            return f"Replicate {what} of {registry} to {advice.to_region}."
        case AdviceKind.GATEWAY_ENDPOINT:
            return f"Add the S3 gateway endpoint, which is free, to the VPCs of {advice.to_region}."
    return f"Move {what} of {registry} to {advice.to_region}."


def advice_details(advice: Advice) -> list[str]:
    """What it costs, from when on it pays, and what it rests on."""
    now, then = pull_cost_text(advice.cost_now), pull_cost_text(advice.cost_then)
    said = [f"Now {now} a month, then {then}; once {pull_cost_text(advice.one_time)}."]
    if advice.break_even_bytes is not None:
        pulls = ""
        if advice.break_even_pulls is not None:
            pulls = f" ({counted(advice.break_even_pulls, 'cold pull')} of a whole image)"
        said.append(f"It pays from {size(advice.break_even_bytes)} pulled a month on{pulls}.")
    if advice.instead_of:
        said.append(f"Not to be added up with {listed([str(kind) for kind in advice.instead_of])}.")
    return [*said, *(f"{caveat[:1].upper()}{caveat[1:]}." for caveat in advice.caveats)]
