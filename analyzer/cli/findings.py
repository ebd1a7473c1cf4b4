"""`demurrage findings`: what is unhygienic, what it costs, whose it is and how to mend it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from analyzer.cli.agreements import take_agreements
from analyzer.cli.asking import figure_options
from analyzer.cli.choices import (
    at_option,
    fail_on_option,
    repositories_option,
    run_option,
)
from analyzer.cli.common import (
    HELP,
    WITH_FINDINGS,
    WITH_GAPS,
    accept_gaps_option,
    common,
    global_options,
    load_accepted_gaps,
    load_price_book,
)
from analyzer.cli.needs import take_uses
from analyzer.cli.streams import tell
from analyzer.errors import InputError

if TYPE_CHECKING:
    from analyzer.model.findings import FindingsReport


@click.command("findings", context_settings=HELP)
@click.option(
    "--check",
    "checks",
    multiple=True,
    metavar="ID",
    help="Only findings of this check; may be repeated.  [all]",
)
@repositories_option("Only findings about repositories of such names")
@click.option(
    "--owner",
    "owner_globs",
    multiple=True,
    metavar="GLOB",
    help="Only findings of such owners; '' for those of nobody; may be repeated.  [all]",
)
@click.option("--list-checks", is_flag=True, help="Print the table of checks, and look at nothing.")
@fail_on_option(" that nobody waived")
@figure_options
@run_option()
@at_option()
@accept_gaps_option
@global_options
@click.pass_context
def findings_command(
    context: click.Context,
    /,
    checks: tuple[str, ...],
    repositories: tuple[str, ...],
    owner_globs: tuple[str, ...],
    list_checks: bool,  # noqa: FBT001 (click hands it over by name)
    fail_on: str | None,
    run: int | None,
    at: datetime | None,
    **options: Any,
) -> int:
    """Judge the registries of the last snapshot by a table of checks.

    Each finding has a stable id and key, what is wrong, examples, what mending it would save, whose
    it is, how to see that it is so and how to mend it. Asks nothing of AWS and changes nothing.

    Exit status: 0 done; 3 a finding that --fail-on asks for; 4 something was not read.
    """
    from analyzer.hygiene.judging import ALL_CHECKS, Wanted
    from analyzer.model.lint import Severity

    shared = common(context)
    _require_checks(checks, [check.id for check in ALL_CHECKS])
    if list_checks:
        shared.write(_listed(checks, shared.format))
        return 0
    from analyzer.findings import FindingsQuestion, find
    from analyzer.model.units import to_ms
    from analyzer.store.opening import open_database

    question = FindingsQuestion(
        prices=load_price_book(options["prices"]),
        scope=options["scope"],
        stale_days=options["stale_days"],
        agreements=take_agreements(options),
        uses=take_uses(options),
        wanted=Wanted(checks=frozenset(checks), repositories=repositories, owners=owner_globs),
        accepted=load_accepted_gaps(options["accept_gaps"]),
        run=run,
        at_ms=None if at is None else to_ms(at),
    )
    report = find(open_database(shared.db_url), question)
    if not shared.quiet:
        for warning in report.warnings:
            tell(warning)
        if shared.format == "csv":
            _tell_beside(report)
    shared.write(_rendered(report, shared.format))
    threshold = None if fail_on is None else Severity(fail_on)
    if threshold is not None and any(one.severity.is_at_least(threshold) for one in report.open):
        return WITH_FINDINGS
    return WITH_GAPS if report.gaps else 0


def _require_checks(checks: Sequence[str], known: Sequence[str]) -> None:
    for check in checks:
        if check not in known:
            raise InputError(
                f"--check {check}: there is no such check; `demurrage findings --list-checks` has them all"
            )


def _listed(checks: Sequence[str], form: str) -> str:
    from analyzer.hygiene.judging import ALL_CHECKS
    from reports.csv import render_checks_csv
    from reports.findings_json import checks_json
    from reports.findings_text import checks_text

    chosen = tuple(check for check in ALL_CHECKS if not checks or check.id in checks)
    if form == "json":
        return checks_json(chosen)
    return render_checks_csv(chosen) if form == "csv" else checks_text(chosen)


def _tell_beside(report: FindingsReport) -> None:
    """What a table of findings has no place for."""
    from reports.findings_words import not_judged_sentences

    for waiver in report.unmatched_waivers:
        tell(f"{waiver.place}: the waiver of {waiver.check} matches nothing")
    for sentence in not_judged_sentences(report.not_judged):
        tell(sentence)


def _rendered(report: FindingsReport, form: str) -> str:
    from analyzer.cli.tables import gaps_text
    from reports.csv import render_findings_csv
    from reports.findings_json import findings_json
    from reports.findings_text import findings_text

    if form == "json":
        return findings_json(report)
    if form == "csv":
        return render_findings_csv(report)
    return findings_text(report) + gaps_text(report.gaps, accepted=len(report.accepted_gaps))
