"""`demurrage lint`: what is wrong with lifecycle policies, held against the images that are there."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from analyzer.cli.choices import at_option, fail_on_in_use_option, fail_on_option, repositories_option
from analyzer.cli.common import (
    HELP,
    WITH_FINDINGS,
    WITH_GAPS,
    Common,
    accept_gaps_option,
    common,
    global_options,
    load_accepted_gaps,
    load_price_book,
    prices_option,
)
from analyzer.cli.judging import (
    matching_rows,
    read_policy,
)
from analyzer.cli.needs import (
    needed_images,
    needed_options,
    read_uses,
    tell_coverage,
    tell_warnings,
)
from analyzer.errors import InputError

if TYPE_CHECKING:
    from analyzer.acceptance import AcceptedGap
    from analyzer.model.lint import LintReport
    from analyzer.pricing import PriceBook


@click.command("lint", context_settings=HELP)
@repositories_option("Judge only repositories of such names")
@click.option(
    "--policy",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Judge this policy in place of those in force.",
)
@needed_options
@fail_on_option()
@fail_on_in_use_option
@prices_option
@at_option("Judge at this moment")
@accept_gaps_option
@global_options
@click.pass_context
def lint_command(
    context: click.Context,
    repositories: tuple[str, ...],
    policy: Path | None,
    in_use: Path | None,
    workloads: str,
    protect: tuple[str, ...],
    fail_on: str | None,
    fail_on_in_use: bool,  # noqa: FBT001 (click hands it over by name)
    prices: Path | None,
    at: datetime | None,
    accept_gaps: Path | None,
) -> int:
    """Judge lifecycle policies on the images of the last snapshot.

    Names repositories without a policy, rules that select nothing or never decide, lists that no
    image can meet, images that pile up, images in use that would leave, and more, each with the
    images it is about and what to do. Asks nothing of AWS and changes nothing.

    Exit status: 0 done; 3 a finding that --fail-on or --fail-on-in-use asks for; 4 something was not
    read.
    """
    from analyzer.model.lint import LintCode, Severity

    shared = common(context)
    if fail_on_in_use and in_use is None and not protect and workloads == "none":
        raise InputError("--fail-on-in-use needs to know what is; add --in-use FILE or --protect GLOB")
    report = _judged(
        shared,
        globs=repositories,
        policy=policy,
        in_use=in_use,
        workloads=workloads,
        protect=protect,
        at=at,
        prices=load_price_book(prices),
        accepted=load_accepted_gaps(accept_gaps),
        required=fail_on_in_use,
    )
    shared.write(_rendered(report, shared.format))
    threshold = None if fail_on is None else Severity(fail_on)
    for finding in report.findings:
        if threshold is not None and finding.severity.is_at_least(threshold):
            return WITH_FINDINGS
        if fail_on_in_use and finding.code in {LintCode.TAKES_IN_USE, LintCode.TAKES_PROTECTED}:
            return WITH_FINDINGS
    return WITH_GAPS if report.gaps else 0


def _judged(
    shared: Common,
    *,
    globs: Sequence[str],
    policy: Path | None,
    in_use: Path | None,
    workloads: str,
    protect: Sequence[str],
    at: datetime | None,
    prices: PriceBook,
    accepted: Sequence[AcceptedGap],
    required: bool,
) -> LintReport:
    import numpy as np

    from analyzer.acceptance import split_gaps
    from analyzer.lifecycle.lint import lint
    from analyzer.model.lint import LintReport
    from analyzer.model.tag_history import TagHistory
    from analyzer.model.units import from_ms, to_ms
    from analyzer.references import parse_protect
    from analyzer.store.opening import open_database
    from analyzer.store.tag_history import load_tag_history
    from analyzer.what_if import gaps_about, load_world

    candidate = None if policy is None else read_policy(shared, policy)
    database = open_database(shared.db_url)
    world = load_world(database, at_ms=None if at is None else to_ms(at))
    frames = world.frames
    rows, left_out = matching_rows(frames, globs)
    needed = needed_images(
        world, read_uses(in_use, workloads), parse_protect(protect), whole_registries=True, required=required
    )
    tell_warnings(shared, needed, left_out)
    if shared.format == "csv":
        tell_coverage(shared, needed)
    with database.read() as connection:

        def history(row: int) -> TagHistory | None:
            repository = frames.repositories.iloc[row]
            return load_tag_history(
                connection,
                world.snapshots[int(repository["registry"])],
                str(repository["repository"]),
                int(repository["created_at_ms"]),
            )

        findings = lint(
            world,
            rows,
            candidate=candidate,
            usage=needed.usage,
            protected=needed.protected,
            history=history,
            prices=prices,
        )
    open_gaps, covered = split_gaps(gaps_about(world, rows), accepted)
    with_policy = len(rows) if candidate is not None else int(np.count_nonzero(world.policy_of[rows] >= 0))
    return LintReport(
        at=from_ms(world.at_ms),
        policy=None if policy is None else str(policy),
        repositories=len(rows),
        with_policy=with_policy,
        findings=findings,
        missing_in_use=needed.missing,
        usage=needed.usage,
        coverage=needed.coverage,
        gaps=tuple(open_gaps),
        accepted_gaps=tuple(covered),
    )


def _rendered(report: LintReport, form: str) -> str:
    from analyzer.cli.tables import gaps_text
    from reports.lint import lint_csv, lint_json, lint_text

    if form == "json":
        return lint_json(report)
    if form == "csv":
        return lint_csv(report)
    return lint_text(report) + gaps_text(report.gaps, accepted=len(report.accepted_gaps))
