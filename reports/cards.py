"""The three numbers at the head of the page: cost, waste and stored bytes."""

from __future__ import annotations

from dataclasses import dataclass

from analyzer.model.results import UNKNOWN_SIZE, Report
from analyzer.model.units import Money
from analyzer.model.words import counted
from reports.cells import Tone
from reports.facts import (
    bytes_at,
    is_list_price,
    is_range,
    leaves_out,
    low_bytes,
    main_scope,
    money_at,
    possibly_reached,
    promise_scope,
)
from reports.figures import UNKNOWN, exact_size, headline_money, listed, ratio, share, size, span
from reports.missing import bytes_of_all
from reports.rounding import amount_text, rounded


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One of the three numbers: what it is, the figure, and sentences that say what it means."""

    label: str
    figure: str
    #: The exact number behind the figure, said on hover.
    exact: str
    #: A second figure beside the first.
    beside: str
    sentences: tuple[str, ...]
    #: What the figure does not contain; "" when it is whole.
    leaves_out: str = ""
    tone: Tone = ""
    #: The name of the table with the rows behind the figure, and its entry of ``methods.py``; "" without.
    rows: str = ""
    method: str = ""


def cost_card(report: Report) -> Card:
    """What a month costs: a range where sharing decides."""
    totals = report.totals
    low, high = totals.cost_low, totals.cost_high
    if not is_range(report):
        low = high = money_at(totals.cost, main_scope(report))
    sentences = []
    if not is_known(high):
        unread = bytes_of_all(report).nothing_known
        sentences.append(
            "Nothing whose size is known has been read, so there is nothing to price."
            if unread
            else "Nothing here could be priced; the bytes that are known stand below all the same."
        )
    else:
        per = (
            "once per registry at the low end and once per repository at the high end"
            if is_range(report)
            else f"once per {main_scope(report)}"
        )
        sentences.append(f"What a month of storing these images costs as they are, each layer counted {per}.")
    naive = _naive_cost(report, high)
    if naive:
        sentences.append(naive)
    return Card(
        label="Cost",
        figure=span(money_figure(low), money_figure(high)),
        exact=_exact(low, high),
        beside="a month, at list price"
        if is_list_price(report)
        else "a month, with the discount of the price file",
        sentences=tuple(sentences),
        leaves_out=leaves_out(low, high),
        rows="repositories",
        method="cost",
    )


def _naive_cost(report: Report, high: Money) -> str:
    """What the listed sizes would cost at the average price of what is stored."""
    stored = bytes_at(report.totals.physical_bytes, main_scope(report))
    listed_bytes = report.totals.reported_size_bytes
    if not high.amount or high.leaves_out or not stored or not listed_bytes:
        return ""
    naive = high.amount * listed_bytes / stored
    claimed = headline_money(naive, high.currency)
    return f"Adding up the image sizes that ECR lists would have claimed about {claimed}."


def waste_card(report: Report) -> Card:
    """What the orphaned images cost: promised at the end that cannot overstate it."""
    totals = report.totals
    scope = promise_scope(report)
    promised, freed = money_at(totals.orphaned_cost, scope), bytes_at(totals.orphaned_freed_bytes, scope)
    # Where nothing is orphaned at the high end nothing more can leave at the low one.
    at_least = scope == "registry" and totals.orphaned_freed_bytes.repository > 0
    beside = size(freed) if freed or not promised.leaves_out else ""
    if is_known(promised):
        beside = f"a month for {beside}{', both at least' if at_least else ''}"
    elif at_least:
        beside = f"{beside} at least"
    sentences = [_what_would_leave(report, promised)]
    other = totals.orphaned_cost.repository
    if at_least:
        both = size(totals.orphaned_freed_bytes.repository)
        if is_known(other):
            both = f"{money_figure(other)} and {both}"
        sentences.append(
            f"That is the low end, at registry scope; at repository scope, the high end, it is {both}."
        )
    sentences += [said for said in (orphaned_sizes(report), possibly_reached(report)) if said]
    return Card(
        label="Waste",
        figure=money_figure(promised),
        exact=_exact(promised),
        beside=beside,
        sentences=tuple(sentences),
        leaves_out=leaves_out(promised),
        tone="warn" if totals.orphaned_freed_bytes.repository else "",
        rows="waste",
        method="waste",
    )


def _what_would_leave(report: Report, promised: Money) -> str:
    """What the promised figure is, no more certain than it is."""
    totals = report.totals
    orphaned = totals.counts.orphaned_images
    if not orphaned:
        if totals.orphaned_freed_bytes.repository:
            return "Every image is reached by a tag; this is held by attachments that no tag reaches."
        if promised.leaves_out or totals.counts.possibly_reached_images or totals.counts.unknown:
            return "No image is known to be orphaned, but not all of them could be looked at."
        return "Every image is reached by a tag: nothing would leave."
    it, they_hold = ("it", "it holds") if orphaned == 1 else ("them", "they hold")
    images = counted(orphaned, "image")
    if promise_scope(report) == "registry":
        return (
            f"No tag reaches {images}. At least this would leave with {it}: the layers that only {they_hold}"
            " in the whole registry."
        )
    said = f"No tag reaches {images}. This is what the layers cost that only {they_hold}"
    if promised.leaves_out:
        return f"{said}, as far as that is known."
    cost = totals.cost.repository.amount
    part = ""
    if promised.amount is not None and cost:
        part = f", {share(int(promised.amount * 10**6), int(cost * 10**6))} of the cost"
    return f"{said}{part}: exactly what would leave with {it}."


def orphaned_sizes(report: Report) -> str:
    """A sentence on how far the sizes of the orphaned images overstate what they free; "" if they do not.

    What they free is taken at the scope of the promise, as on the card.
    """
    images = report.images
    orphaned = images["orphaned"].fillna(False).astype(bool) & (images["kind"] == "image")
    added_up = int(images.loc[orphaned, "logical_bytes"].sum())
    scope = promise_scope(report)
    freed = bytes_at(report.totals.orphaned_freed_bytes, scope)
    if added_up <= freed or not freed:
        return ""
    return (
        f"Their sizes add up to {size(added_up)}, {ratio(added_up, freed)} times what would be freed at"
        f" {scope} scope, because they share layers with each other and with images that stay."
    )


def stored_card(report: Report) -> Card:
    """What is stored beside what the images add up to."""
    totals = report.totals
    missing = bytes_of_all(report)
    high = bytes_at(totals.physical_bytes, main_scope(report))
    low = low_bytes(report) if is_range(report) else high
    sentences = []
    if not missing.nothing_known:
        whole = size(totals.logical_bytes)
        sentences.append(
            f"The images are {whole} when each is counted whole; layers they share are stored once."
        )
    if totals.reported_size_bytes:
        claimed = f"Adding up the sizes that ECR lists would have claimed {size(totals.reported_size_bytes)}"
        times = span(ratio(totals.reported_size_bytes, high), ratio(totals.reported_size_bytes, low))
        # What is of unknown size has a listed one all the same: the two would not be of the same things.
        compared = f", {times} times as much" if low and not missing.reasons else ""
        sentences.append(f"{claimed}{compared}.")
    times = span(ratio(totals.logical_bytes, high), ratio(totals.logical_bytes, low))
    return Card(
        label="Stored",
        figure=UNKNOWN if missing.nothing_known else span(size(low), size(high)),
        exact="" if missing.nothing_known else span(exact_size(low), exact_size(high)),
        beside=f"{times} \N{MULTIPLICATION SIGN} deduplicated" if low else "",
        sentences=tuple(sentences),
        leaves_out=listed([_with_number(reason, totals.counts.unknown) for reason in missing.reasons]),
        rows="registries",
        method="sizes",
    )


def _with_number(reason: str, unknown: int) -> str:
    return f"{counted(unknown, 'artifact')} of unknown size" if reason == UNKNOWN_SIZE else reason


def is_known(money: Money) -> bool:
    """Whether the amount says something: zero beside something unknown does not."""
    return money.amount is not None and bool(money.amount or not money.leaves_out)


def money_figure(money: Money) -> str:
    """The amount as a headline; ``unknown`` where it is, or is zero beside something unknown."""
    return headline_money(money.amount, money.currency) if is_known(money) else UNKNOWN


def _exact(*amounts: Money) -> str:
    known = [money for money in amounts if is_known(money)]
    return (
        span(*(f"{amount_text(rounded(money, 6))} {money.currency}" for money in (known[0], known[-1])))
        if known
        else ""
    )
