"""The card on what changed since the snapshot before."""

from __future__ import annotations

import numpy as np

from analyzer.model.trends import TrendReport
from analyzer.model.units import from_day
from reports.cards import Card
from reports.figures import UNKNOWN, exact_size, size
from reports.trend_words import change_text, signed_size

#: The period that a sentence is about, of those that are compared.
_PERIOD = "30 days"


def changed_card(trend: TrendReport | None) -> Card | None:
    """What is stored now less what was on the known day before; None where trends were not worked out."""
    if trend is None:
        return None
    total, flow = trend.total, trend.flow
    known = np.flatnonzero(total.known)
    if len(known) < 2:
        return Card(
            label="Changed",
            figure=UNKNOWN,
            exact="",
            beside="",
            sentences=("Fewer than two days are known, so that nothing can be said yet of what changed.",),
            rows="trend-comparisons",
            method="trend",
        )
    former, last = known[-2:].tolist()
    moved = int(total.repository_bytes[last] - total.repository_bytes[former])
    new, freed, other = (
        int(part[last])
        for part in (flow.new_bytes_repository, flow.freed_bytes_repository, flow.other_bytes_repository)
    )
    sentences = [f"{size(new)} came, {size(freed)} left, at repository scope."]
    if other:
        sentences.append(
            f"{signed_size(other)} by manifests that were read later than their images were listed, or"
            " registries that joined or left."
        )
    sentences += [
        f"In {_PERIOD}: {change_text(compared.this)}."
        for compared in trend.comparisons
        if compared.period == _PERIOD and compared.this is not None
    ]
    return Card(
        label="Changed",
        figure=signed_size(moved),
        exact=f"{'+' if moved > 0 else '-' if moved < 0 else ''}{exact_size(abs(moved))}",
        beside=f"from {from_day(total.first_day + former)} to {from_day(total.first_day + last)}",
        sentences=tuple(sentences),
        rows="trend-comparisons",
        method="trend",
    )
