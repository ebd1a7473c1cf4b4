"""`demurrage recommend`: the lifecycle policy to put in each repository, with proof and text to paste."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from analyzer.cli.choices import (
    at_option,
    repositories_option,
    run_option,
)
from analyzer.cli.common import (
    HELP,
    WITH_GAPS,
    Common,
    accept_gaps_option,
    common,
    global_options,
    load_accepted_gaps,
    load_price_book,
    prices_option,
    scope_option,
)
from analyzer.cli.judging import advice_on, matching_rows
from analyzer.cli.needs import (
    needed_images,
    needed_options,
    recommend_options,
    take_protection,
    take_recommend,
    take_uses,
    tell_warnings,
)
from analyzer.errors import InputError

if TYPE_CHECKING:
    from analyzer.model.recommendation import RecommendReport


@click.command("recommend", context_settings=HELP)
@repositories_option("Advise only on repositories of such names")
@recommend_options
@click.option(
    "--back-test/--no-back-test",
    default=True,
    show_default=True,
    help="Replay the policies over the stored past: what they would have taken that was needed afterwards.",
)
@click.option("--fleet", is_flag=True, help="Find one policy that is safe in every repository too.")
@needed_options
@at_option("Judge at this moment")
@run_option()
@scope_option
@prices_option
@accept_gaps_option
@global_options
@click.pass_context
def recommend_command(context: click.Context, /, **given: Any) -> int:
    """Find the lifecycle policy that saves most and never takes a needed image, for each repository.

    Needed are images in use, protected ones, those really pulled of late, the last releases of each tag
    family, and their children and referrers. Every policy is judged by the simulator of what-if before
    it is shown, today and at the end of the margin. Asks nothing of AWS and changes nothing.

    --format terraform and cli give all policies to run, policy the text of one: that of the repository
    asked for, or with --fleet the one for all.

    Exit status: 0 done; 2 bad input; 4 something was not read, or a policy did not stand its proof.
    """
    shared = common(context, formats=("table", "json", "csv", "terraform", "cli", "policy"))
    report = _advised(shared, given)
    shared.write(_rendered(report, shared.format))
    unproven = any(row.status.value == "unproven" for row in report.repositories)
    return WITH_GAPS if report.gaps or unproven else 0


def _advised(shared: Common, given: dict[str, Any]) -> RecommendReport:
    """The advice that the command's options ask for; raises InputError for names and lists that are none."""
    from dataclasses import replace

    from analyzer.acceptance import split_gaps
    from analyzer.lifecycle.past import Past
    from analyzer.model.units import to_ms
    from analyzer.recommending import RecommendQuestion, back_tested
    from analyzer.store.history_frames import load_history
    from analyzer.store.opening import open_database
    from analyzer.what_if import gaps_about, load_world

    prices, accepted = load_price_book(given["prices"]), load_accepted_gaps(given["accept_gaps"])
    uses, protection, options = take_uses(given), take_protection(given), take_recommend(given)
    at: datetime | None = given["at"]
    database = open_database(shared.db_url)
    world = load_world(database, run=given["run"], at_ms=None if at is None else to_ms(at))
    rows, left_out = matching_rows(world.frames, given["repositories"])
    needed = needed_images(world, uses, protection, whole_registries=True)
    if shared.format not in {"table", "json"}:
        tell_warnings(shared, needed, left_out)
    open_gaps, covered = split_gaps(gaps_about(world, rows), accepted)
    question = RecommendQuestion(
        rows=rows,
        at_ms=world.at_ms,
        options=options,
        scope=given["scope"],
        usage=needed.usage,
        coverage=needed.coverage,
        protected=needed.protected,
        use_basis=needed.use_basis,
        protect_patterns=needed.protect_patterns,
        fleet=given["fleet"],
        gaps=open_gaps,
        warnings=(*left_out, *needed.warnings, *needed.of_workloads),
    )
    recommended = advice_on(world, question, prices)
    report = recommended.report
    if given["back_test"] and recommended.policies:
        past = Past(load_history(database, world.snapshots))
        report = back_tested(recommended, world.frames, past, prices)
    return replace(report, accepted_gaps=tuple(covered))


def _rendered(report: RecommendReport, form: str) -> str:
    if form == "json":
        from reports.recommend_json import recommend_json

        return recommend_json(report)
    if form == "csv":
        from reports.csv import render_recommendations_csv

        return render_recommendations_csv(report)
    if form == "terraform":
        from reports.recommend_scripts import terraform_text

        return terraform_text(report)
    if form == "cli":
        from reports.recommend_scripts import script_text

        return script_text(report)
    if form == "policy":
        return _policy(report)
    from analyzer.cli.tables import gaps_text
    from reports.recommend_text import recommend_text

    return recommend_text(report) + gaps_text(report.gaps, accepted=len(report.accepted_gaps))


def _policy(report: RecommendReport) -> str:
    """The one policy that is asked for; raises InputError where it is not one."""
    from reports.text import json_escaped

    if report.fleet is not None:
        if report.fleet.policy_text is None:
            raise InputError(f"--format policy: {report.fleet.reason}")
        return json_escaped(report.fleet.policy_text)
    texts = {row.policy_text for row in report.repositories if row.policy_text is not None}
    if len(texts) > 1:
        raise InputError(
            f"--format policy prints one policy, and {len(texts):,} are recommended; name a repository with "
            "--repository, or ask for one for all with --fleet"
        )
    for text in texts:
        return json_escaped(text or "")
    why = report.repositories[0].reason if len(report.repositories) == 1 else "see --format table"
    raise InputError(f"--format policy: there is no policy to put ({why})")
