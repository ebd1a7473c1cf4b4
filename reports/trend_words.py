"""Trends in words that the terminal and the page share."""

from __future__ import annotations

from analyzer.model.trends import Change, Forecast, RepositoryForecast, Span, TrendReport
from analyzer.model.units import Money
from analyzer.model.words import counted
from reports.figures import headline_money, size, span

#: Of every sum of pushes reconstructed from images that are there.
RECONSTRUCTED = (
    "Reconstructed from push times: each layer counts from the first push among the images that are still "
    "there. What was deleted since is in no figure, so that at least so much was stored then."
)


def signed_size(size_bytes: int) -> str:
    """``+1.2 GB``, ``-30 MB``, ``0 bytes``."""
    sign = "+" if size_bytes > 0 else "-" if size_bytes < 0 else ""
    return f"{sign}{size(abs(size_bytes))}"


def change_text(change: Change | None) -> str:
    """What a period changed, with the days that are known of it; ``unknown`` without."""
    if change is None:
        return "unknown"
    return f"{signed_size(change.bytes.repository)} ({days_text(change)})"


def days_text(change: Change) -> str:
    """``2026-11-01 to 2026-11-08, 8 of 8 days known``."""
    known = f"{change.days_known} of {counted(change.days, 'day')} known"
    return f"{change.first} to {change.last}, {known}"


def span_text(values: Span) -> str:
    """``1.2 TB (1.1 TB to 1.4 TB)``."""
    if values.low == values.high:
        return size(values.middle)
    return f"{size(values.middle)} ({span(size(values.low), size(values.high))})"


def cost_text(low: Money, middle: Money, high: Money) -> str:
    """``$12 ($10 to $15)``, a star where it leaves something out."""
    star = "*" if middle.leaves_out and middle.amount is not None else ""
    texts = [headline_money(money.amount, money.currency) for money in (low, middle, high)]
    if texts[0] == texts[2]:
        return f"{texts[1]}{star}"
    return f"{texts[1]}{star} ({span(texts[0], texts[2])})"


def gap_sentences(report: TrendReport) -> list[str]:
    """What the curve of the total has no figures of, or figures of something else."""
    found = []
    if report.unknown_days:
        reasons = sorted({day.reason for day in report.unknown_days})
        text = "; ".join(reasons[:3]) + ("; …" if len(reasons) > 3 else "")
        found.append(
            f"Unknown, and left out rather than guessed: {counted(len(report.unknown_days), 'day')} ({text})."
        )
    found += [f"From {day.day} on the total is {day.reason}." for day in report.breaks]
    known = report.total.known
    if known.any() and (stale := int(report.stale_repositories[known.nonzero()[0][-1]])):
        found.append(
            "Not read whole on the last day, and counted as last seen: "
            f"{counted(stale, 'repository', 'repositories')}."
        )
    return found


def measured_text(forecast: Forecast) -> str:
    """What the forecast was made from."""
    source = {
        "history": "by every night since then",
        "present": "as far as the images that are still there tell",
    }[forecast.basis]
    return (
        f"From {counted(forecast.pushes, 'push', 'pushes')} between {forecast.measured_from:%Y-%m-%d} and "
        f"{forecast.measured_to:%Y-%m-%d}, known {source}; {forecast.replays} replays, an interval of "
        f"{forecast.level:.0%}, seed {forecast.seed}."
    )


def method_text(row: RepositoryForecast) -> str:
    """How one repository's future was worked out, with the reason where there is one."""
    return f"{row.method}: {row.reason}" if row.reason else row.method
