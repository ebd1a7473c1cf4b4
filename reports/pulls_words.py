"""Words on pulls across regions and accounts, the same in every format for people."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from analyzer.model.pull_report import PullReport, TransferGroup
from analyzer.model.transfer import ColdPull, MoneyRange, TransferCode, TransferFinding, User
from analyzer.model.units import Money
from analyzer.model.words import counted
from reports.figures import NOT_APPLICABLE, UNKNOWN, listed, size, span
from reports.text import shortened

#: Characters of a workload's name.
_NAME: Final = 80
_PLACES: Final = 4

#: What a cold pull is, for somebody who meets the word.
COLD_PULL: Final = (
    "A cold pull is one to a node that has none of the image's layers. How many there are no reference tells:"
    " what stands here is what each one costs."
)


def origin_text(row: TransferGroup | TransferFinding) -> str:
    """Where the image is: ``111122223333/us-east-1``, or the host of an upstream registry."""
    return row.upstream or f"{row.registry_account}/{row.registry_region}"


def pull_dollars(money: Money) -> str:
    """What pulls cost: to a hundredth of a cent below a dollar, and never a zero that is only small."""
    amount = money.amount
    if amount is None:
        return UNKNOWN
    sign = "$" if money.currency == "USD" else f"{money.currency} "
    if 0 < amount < Decimal("0.00005"):
        return f"<{sign}0.0001"
    return f"{sign}{amount:,.{2 if amount >= 1 or not amount else 4}f}"


def pull_cost_text(usd: MoneyRange) -> str:
    """``$0.0600``, or both ends of a range; a star where something is left out."""
    text = span(pull_dollars(usd.low), pull_dollars(usd.high))
    is_part = usd.high.amount is not None and (usd.low.leaves_out or usd.high.leaves_out)
    return f"{text}*" if is_part else text


def cold_pull_text(cold: ColdPull) -> str:
    """``3.00 GB``, both ends of a range, or ``unknown``."""
    if cold.low_bytes is None or cold.high_bytes is None:
        return UNKNOWN
    return span(size(cold.low_bytes), size(cold.high_bytes))


def group_bytes_text(group: TransferGroup) -> str:
    """What one cold pull of each reference of ``group`` moves; a star where some are of unknown size."""
    if not group.crossing:
        return NOT_APPLICABLE
    if group.unsized and group.unsized == group.crossing:
        return UNKNOWN
    return span(size(group.low_bytes), size(group.high_bytes)) + ("*" if group.unsized else "")


def users_text(users: Sequence[User], limit: int) -> str:
    """``prod/web (running), prod/job (configured) and 3 more``."""
    return listed([f"{shortened(user.workload, _NAME)} ({user.kind})" for user in users], limit=max(limit, 2))


def summary_sentences(report: PullReport) -> list[str]:
    """What was found and what it comes to, what was not judged last."""
    found, total = report.found, report.summary.total
    said = [_found(report)]
    if total.crossing:
        each = "of each " if total.crossing > 1 else ""
        said.append(
            f"One cold pull {each}moves {group_bytes_text(total)} and costs {pull_cost_text(total.usd)},"
            f" paid by the {'owners' if len(total.payers) > 1 else 'owner'} of the"
            f" {'registries' if len(total.payers) > 1 else 'registry'}"
            f" ({listed(list(total.payers), limit=_PLACES)})."
        )
        if total.unsized or total.usd.high.leaves_out:
            reasons = sorted({*total.usd.low.leaves_out, *total.usd.high.leaves_out})
            said.append(f"* Leaves out: {listed(reasons, limit=_PLACES)}.")
    replicas = [one for one in found.findings if one.code is TransferCode.REPLICA_UNUSED]
    if replicas:
        said.append(
            f"{counted(len(replicas), 'reference')} could go to a replica that is in the workload's region"
            " already: that is the cheapest fix, and told first."
        )
    if found.not_judged:
        said.append(
            f"Not judged: {counted(found.not_judged, 'reference')} that"
            f" {'is' if found.not_judged == 1 else 'are'} to no registry known here."
        )
    return said


def _found(report: PullReport) -> str:
    found, total = report.found, report.summary.total
    if report.coverage.is_nothing and not found.references:
        return "No workloads were read, so nothing is known of what is pulled across regions."
    looked = counted(found.references, "reference")
    if not found.findings:
        return (
            f"Of {looked} that workloads give, none to another region, account or upstream registry"
            " was found."
        )
    in_region = sum(one.code is TransferCode.CROSS_ACCOUNT for one in found.findings)
    public = sum(one.code is TransferCode.PUBLIC_UPSTREAM for one in found.findings)
    impossible = len(found.findings) - total.crossing - in_region - public
    parts = [
        (total.crossing, "to another region"),
        (in_region, "to another account in the same region"),
        (public, "to an upstream registry that a pull-through cache could stand for"),
        (impossible, "that the service would not accept"),
    ]
    what = listed([f"{number:,} {words}" for number, words in parts if number])
    return f"Of {looked} that workloads give: {what}."
