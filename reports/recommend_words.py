"""Words and figures of recommended policies that all formats share."""

from __future__ import annotations

import shlex
from typing import Final

from analyzer.model.history import BackTest
from analyzer.model.recommendation import FleetDefault, Recommendation, RecommendReport, RuleBasis, Status
from analyzer.model.units import Money, iso
from analyzer.model.words import counted
from reports.figures import UNKNOWN
from reports.rounding import CENT_DECIMALS, rounded
from reports.usage import in_use_words

#: What each status asks of the reader.
STATUS_WORDS: Final = {
    Status.SET: "put this policy",
    Status.REPLACE: "replace the policy in force",
    Status.SAFER: "replace the policy in force: it takes needed images",
    Status.KEEP: "keep the policy in force",
    Status.NOTHING: "nothing to do",
    Status.UNKNOWN: "too little is known",
    Status.UNPROVEN: "no policy stood the proof",
}


def money_words(money: Money) -> str:
    """Whole cents, with a star where something is left out; what is not known says so."""
    amount = rounded(money, CENT_DECIMALS)
    if amount is None or (money.leaves_out and not money.amount):
        return UNKNOWN
    star = "*" if money.leaves_out else ""
    if not amount and money.amount:
        return f"{'-' if money.amount < 0 else ''}<$0.01{star}"
    return f"{'-' if amount < 0 else ''}${abs(amount):,.2f}{star}"


def range_words(low: Money, high: Money) -> str:
    """Both ends, or the one where they read the same."""
    one, other = money_words(low), money_words(high)
    return one if one == other else f"{one} to {other}"


def advice(report: RecommendReport) -> list[Recommendation]:
    """The repositories that there is a policy to put for, in the report's order."""
    return [row for row in report.repositories if row.status.advises]


def summary(report: RecommendReport) -> str:
    """How many repositories get which advice."""
    parts = []
    for status in Status:
        number = sum(row.status is status for row in report.repositories)
        if number:
            parts.append(f"{number:,} {status.value}")
    return ", ".join(parts) or "no repositories"


def needed_words(report: RecommendReport) -> str:
    """What counts as needed, in one sentence."""
    options = report.options
    return (
        "Never taken: images in use, protected ones, those pulled in the last "
        f"{counted(options.pulled_within_days, 'day')}, the last {counted(options.keep_releases, 'release')} "
        "of each tag family, and whatever these reach; safe for "
        f"{counted(options.margin_days, 'day')} at the present rate of pushes."
    )


def asked_words(report: RecommendReport) -> str:
    """What the advice was asked to go by, all of it, in sentences."""
    options = report.options
    protected = (
        f"protected is what {counted(report.protect_patterns, 'pattern names', 'patterns name')}"
        if report.protect_patterns
        else "no image is protected"
    )
    counting = (
        "rules may count days for tagged images too"
        if options.age_rules
        else "rules count days for untagged images alone"
    )
    return (
        f"In use is {in_use_words(report.use_basis)}; {protected}. Needed are also what was pulled in the"
        f" last {counted(options.pulled_within_days, 'day')}, which no rule undercuts, and the last"
        f" {counted(options.keep_releases, 'image')} of each tag family; a policy must stay safe for"
        f" {counted(options.margin_days, 'day')} at the present rate of pushes. Up to"
        f" {options.loss * 100:g} % of the bytes is given up for round numbers and fewer rules, and"
        f" {counting}."
    )


def basis_words(rule: RuleBasis) -> str:
    """Where the number of a rule comes from."""
    unit = "image" if rule.by == "images" else "day"
    if not rule.required:
        return f"nothing needed depends on it; the least that is advised is {counted(rule.number, unit)}"
    said = (
        f"the oldest needed image is number {rule.required:,}"
        if rule.by == "images"
        else (f"the oldest needed image is {counted(rule.required, 'day')} old")
    )
    if rule.margin:
        pace = f" at {rule.pushes_per_day:,.1f} pushes a day" if rule.by == "images" else ""
        said += f", {rule.margin:,} more for growth{pace}"
    if rule.rounding:
        said += f", {rule.rounding:,} to the least that is advised or a round number"
    return said


def risk_words(row: Recommendation) -> str:
    """What is taken that somebody once pulled; "" where nothing is taken."""
    risk = row.risk
    if not risk.once_pulled and not risk.never_pulled:
        return ""
    if not risk.once_pulled:
        number = counted(risk.never_pulled, "image")
        return f"none of the {number} it takes was ever pulled, as far as ECR records"
    total = risk.once_pulled + risk.never_pulled
    return (
        f"of the {counted(total, 'image')} it takes {risk.once_pulled:,} "
        f"{'was' if risk.once_pulled == 1 else 'were'} pulled once, the last on {risk.last_pulled}"
    )


def back_test_words(row: Recommendation) -> str:
    """What the stored history says of the policy; "" where it was not asked."""
    tested = row.back_test
    if tested is None:
        return ""
    taken = tested.counts.removed + tested.counts.archived
    nights = counted(tested.nights, "night")
    if not taken:
        return f"replayed over {nights} it would have taken nothing"
    return (
        f"replayed over {nights} it would have taken {counted(taken, 'image')}, of which "
        f"{tested.counts.needed:,} {'was' if tested.counts.needed == 1 else 'were'} needed afterwards"
    )


def total_back_test_words(tested: BackTest) -> str:
    """What the stored history says of all policies together."""
    counts = tested.totals
    taken = counted(counts.removed + counts.archived, "image")
    # One of each registry a night.
    snapshots = counted(tested.nights, "stored snapshot")
    return (
        f"Replayed over {snapshots} these policies would have taken {taken}, of which "
        f"{counts.needed:,} {'was' if counts.needed == 1 else 'were'} needed afterwards."
    )


def check_commands(row: Recommendation) -> tuple[str, ...]:
    """What to type to look at the policy again, and to have ECR preview it."""
    name, place = shlex.quote(row.repository), f" --region {shlex.quote(row.region)}" if row.region else ""
    return (
        f"demurrage recommend --repository {name} --format policy --output policy.json",
        f"demurrage what-if --policy policy.json --repository {name} --against live",
        f"demurrage verify --policy policy.json --repository {name}{place}",
    )


def head_words(report: RecommendReport) -> str:
    """When it is about."""
    return f"{counted(len(report.repositories), 'repository', 'repositories')} at {iso(report.at)}"


def decided_words(default: FleetDefault) -> list[str]:
    """Which repositories the numbers of the default come from."""
    return [f"rule {priority} has its number from {place}" for priority, place in default.decided_by]


def placed(row: Recommendation) -> str:
    """Account, region and name."""
    return "/".join(part for part in (row.account, row.region, row.repository) if part)
