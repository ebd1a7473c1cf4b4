"""What the commands share that make a report: the options of what it shows, and what they ask for."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from analyzer.cli.agreements import agreement_options, take_agreements
from analyzer.cli.common import (
    Decorated,
    group_by_option,
    load_accepted_gaps,
    load_price_book,
    report_options,
)
from analyzer.cli.needs import (
    needed_options,
    recommend_options,
    take_protection,
    take_recommend,
    take_uses,
    use_options,
)

if TYPE_CHECKING:
    from analyzer.nightly import ReportOptions


def figure_options(command: Decorated) -> Decorated:
    """Add the options that figures and findings depend on; `take_figures` reads them."""
    return report_options(agreement_options(use_options(command)))


def advised_options(command: Decorated) -> Decorated:
    """Add these, and those of groups and of recommended policies; `take_report` reads them."""
    return report_options(group_by_option(agreement_options(needed_options(recommend_options(command)))))


def take_figures(
    options: dict[str, Any], *, run: int | None = None, at: datetime | None = None
) -> ReportOptions:
    """What `figure_options` and --accept-gaps ask for, which are taken out of ``options``.

    Raises InputError for a file that cannot be read or understood, and for what is no account.
    """
    from analyzer.model.units import to_ms
    from analyzer.nightly import ReportOptions

    return ReportOptions(
        accepted=load_accepted_gaps(options.pop("accept_gaps")),
        prices=load_price_book(options.pop("prices")),
        scope=options.pop("scope"),
        stale_days=options.pop("stale_days"),
        agreements=take_agreements(options),
        uses=take_uses(options),
        run=run,
        at_ms=None if at is None else to_ms(at),
    )


def take_report(
    options: dict[str, Any], *, run: int | None = None, at: datetime | None = None
) -> ReportOptions:
    """As `take_figures`, for a command with `advised_options`; InputError for what is no pattern, too."""
    tag_keys, protection = options.pop("group_by"), take_protection(options)
    return replace(
        take_figures(options, run=run, at=at),
        tag_keys=tag_keys,
        protection=protection,
        recommend=take_recommend(options),
    )
