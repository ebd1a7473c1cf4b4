"""The three numbers at the head of the page: cost, waste and stored bytes."""

from __future__ import annotations

from dataclasses import dataclass

from analyzer.model.results import Report
from analyzer.model.units import Money
from reports.cells import Tone
from reports.facts import (
    bytes_at_scope,
    ever_on,
    is_list_price,
    is_range,
    leaves_out,
    money_at_scope,
)
from reports.figures import (
    counted,
    exact_size,
    headline_money,
    ratio,
    share,
    size,
    span,
)
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


def cost_card(report: Report) -> Card:
    """What a month costs: a range where sharing decides."""
    totals = report.totals
    low, high = totals.cost_low, totals.cost_high
    if not is_range(report):
        low = high = money_at_scope(report, totals.cost)
    sentences = []
    if high.amount is None:
        sentences.append("Nothing here could be priced; the bytes below are known all the same.")
    else:
        per = (
            "once per registry at the low end and once per repository at the high end"
            if is_range(report)
            else f"once per {report.scope if report.scope != 'auto' else 'repository'}"
        )
        sentences.append(f"What a month of storing these images costs as they are, each layer counted {per}.")
    naive = _naive_cost(report, high)
    if naive:
        sentences.append(naive)
    return Card(
        label="Cost",
        figure=span(_figure(low), _figure(high)),
        exact=_exact(low, high),
        beside="a month, at list price"
        if is_list_price(report)
        else "a month, with the discount of the price file",
        sentences=tuple(sentences),
        leaves_out=leaves_out(low, high),
    )


def _naive_cost(report: Report, high: Money) -> str:
    """What the listed sizes would cost at the average price of what is stored."""
    stored = bytes_at_scope(report, report.totals.physical_bytes)
    listed_bytes = report.totals.reported_size_bytes
    if not high.amount or high.leaves_out or not stored or not listed_bytes:
        return ""
    naive = high.amount * listed_bytes / stored
    claimed = headline_money(naive, high.currency)
    return f"Adding up the image sizes that ECR lists would have claimed about {claimed}."


def waste_card(report: Report) -> Card:
    """What the orphaned images cost: at the end that cannot overstate it."""
    totals = report.totals
    low, high = totals.orphaned_cost.registry, totals.orphaned_cost.repository
    freed = totals.orphaned_freed_bytes
    main = money_at_scope(report, totals.orphaned_cost)
    main_bytes = bytes_at_scope(report, freed)
    figure, beside, missing, exact = _figure(main), size(main_bytes), leaves_out(main), _exact(main)
    if is_range(report):
        # A saving is promised at the end that cannot overstate it.
        figure, missing, exact = _figure(low), leaves_out(low, high), _exact(low, high)
        beside = f"{size(freed.registry)}, both at least"
    cost = money_at_scope(report, totals.cost)
    part = ""
    if main.amount is not None and cost.amount and not is_range(report):
        part = f", {share(int(main.amount * 10**6), int(cost.amount * 10**6))} of the cost"
    orphaned = totals.counts.orphaned_images
    sentences = [
        f"No tag reaches {counted(orphaned, 'image')}. This is what the layers cost that"
        f" only {'it holds' if orphaned == 1 else 'they hold'}{part}: exactly what would leave with"
        f" {'it' if orphaned == 1 else 'them'}."
        if orphaned
        else "Every image is reached by a tag: nothing would leave."
    ]
    if is_range(report) and high.amount is not None:
        sentences.append(
            f"That is the low end; at the high end it is {_figure(high)} and {size(freed.repository)}."
        )
    sizes = orphaned_sizes(report)
    if sizes:
        sentences.append(sizes)
    return Card(
        label="Waste",
        figure=figure,
        exact=exact,
        beside=beside if main.amount is None else f"a month for {beside}",
        sentences=tuple(sentences),
        leaves_out=missing,
        tone="warn" if freed.repository else "",
    )


def orphaned_sizes(report: Report) -> str:
    """A sentence on how far the sizes of the orphaned images overstate what they free; "" if they do not."""
    images = report.images
    orphaned = images["orphaned"].fillna(False).astype(bool) & (images["kind"] == "image")
    added_up = int(images.loc[orphaned, "logical_bytes"].sum())
    freed = bytes_at_scope(report, report.totals.orphaned_freed_bytes)
    if added_up <= freed or not freed:
        return ""
    return (
        f"Their sizes add up to {size(added_up)}, {ratio(added_up, freed)} times what would be freed,"
        " because they share layers with each other and with images that stay."
    )


def stored_card(report: Report) -> Card:
    """What is stored beside what the images add up to."""
    totals = report.totals
    high = totals.physical_bytes.repository
    # As for cost_low: the low end only where layers may really be shared.
    low = sum(
        row.physical_bytes.registry if ever_on(row) else row.physical_bytes.repository
        for row in report.registries
    )
    stored = bytes_at_scope(report, totals.physical_bytes)
    figure = size(stored)
    if is_range(report):
        figure = span(size(low), size(high))
    whole = size(totals.logical_bytes)
    sentences = [f"The images are {whole} when each is counted whole; layers they share are stored once."]
    if totals.reported_size_bytes and stored:
        sentences.append(
            f"Adding up the sizes that ECR lists would have claimed {size(totals.reported_size_bytes)},"
            f" {ratio(totals.reported_size_bytes, stored)} times as much."
        )
    times = (
        span(ratio(totals.logical_bytes, high), ratio(totals.logical_bytes, low))
        if is_range(report)
        else ratio(totals.logical_bytes, stored)
    )
    unknown = totals.counts.unknown
    return Card(
        label="Stored",
        figure=figure,
        exact=span(exact_size(low), exact_size(high)) if is_range(report) else exact_size(stored),
        beside=f"{times} \N{MULTIPLICATION SIGN} deduplicated" if stored else "",
        sentences=tuple(sentences),
        leaves_out=f"{counted(unknown, 'artifact')} of unknown size" if unknown else "",
    )


def _figure(money: Money) -> str:
    return headline_money(money.amount, money.currency)


def _exact(*amounts: Money) -> str:
    known = [money for money in amounts if money.amount is not None]
    return (
        span(*(f"{amount_text(rounded(money, 6))} {money.currency}" for money in (known[0], known[-1])))
        if known
        else ""
    )
