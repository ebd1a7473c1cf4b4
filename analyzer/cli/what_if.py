"""`demurrage what-if`: what lifecycle policies would do to the images that are there."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from analyzer.cli.choices import (
    at_option,
    fail_on_in_use_option,
    policies_option,
    repositories_option,
    run_option,
)
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
    scope_option,
)
from analyzer.cli.configuration import read_text
from analyzer.cli.judging import (
    document_options,
    matching_rows,
    world_of_files,
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
    from analyzer.lifecycle.plans import Plan
    from analyzer.lifecycle.policy import Policy
    from analyzer.model.records import Gap
    from analyzer.model.simulation import Simulation
    from analyzer.pricing import PriceBook
    from analyzer.simulation import WhatIf
    from analyzer.what_if import World


@click.command("what-if", context_settings=HELP)
@policies_option("Lifecycle policy to try, as ECR takes it; several are compared side by side.")
@click.option(
    "--terraform-plan",
    "plan",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Try the policies that a plan would change: what `terraform show -json PLAN` prints.",
)
@repositories_option()
@at_option("Judge at this moment", otherwise="that of the snapshot; with --images: now")
@run_option("the last, or with an earlier --at the last by then")
@click.option(
    "--against",
    type=click.Choice(["live"]),
    help="Show the change from the policies in force.",
)
@document_options
@click.option("--region", metavar="REGION", help="With --images: the region they are in, for prices.")
@needed_options
@fail_on_in_use_option
@click.option(
    "--back-test",
    is_flag=True,
    help="Also say what it would have taken since the first night stored, and what was needed afterwards.",
)
@click.option("--by-rule", is_flag=True, help="Show what each rule brings, with the others and alone.")
@click.option(
    "--rows",
    type=click.Choice(["repository", "image"]),
    default="repository",
    show_default=True,
    help="With --format csv: a row for each repository, or for each image that a policy touches.",
)
@click.option(
    "--children-take-slots/--no-children-take-slots",
    default=True,
    show_default=True,
    help="Whether images of an index count towards imageCountMoreThan; AWS does not say.",
)
@scope_option
@prices_option
@accept_gaps_option
@global_options
@click.pass_context
def what_if_command(context: click.Context, /, **given: Any) -> int:
    """Simulate lifecycle policies as ECR evaluates them: what leaves, what is kept, what it saves.

    Answers from the last snapshot, or from files that the AWS CLI wrote (--images). Asks nothing of
    AWS and changes nothing. With --format json the answer has the field names of ECR's own
    GetLifecyclePolicyPreview.

    Exit status: 0 done; 2 a policy that ECR would refuse, or other bad input; 3 with
    --fail-on-in-use; 4 something was not read (never with --images).
    """
    from analyzer.lifecycle.refusals import InvalidPolicy, error_document

    shared = common(context, formats=("table", "json", "csv", "markdown"))
    asked = _Asked(**given)
    asked.check(shared.format)
    try:
        read = asked.read()
        world = asked.world(shared)
        question, plan = asked.question(shared, world, read)
    except InvalidPolicy as error:
        if shared.format == "json":
            shared.write(json.dumps(error_document(error), indent=2))
        raise
    simulation, accepted = _answered(world, question, read, plan)
    if asked.back_test:
        from analyzer.store.opening import open_database
        from analyzer.what_if import back_tested

        simulation = back_tested(open_database(shared.db_url), world, question, simulation, read.prices)
    shared.write(_rendered(simulation, shared.format, asked.rows, plan, accepted))
    if asked.fail_on_in_use and any(
        candidate.totals.in_use or candidate.totals.protected for candidate in simulation.candidates
    ):
        return WITH_FINDINGS
    return WITH_GAPS if simulation.gaps and not asked.images else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """What the files of the command line hold, but for the images."""

    #: Path, policy and text of each --policy.
    policies: Sequence[tuple[Path, Policy, str]]
    plan: Plan | None
    prices: PriceBook
    accepted: Sequence[AcceptedGap]


@dataclass(frozen=True, slots=True)
class _Planned:
    """What the rendering adds where the policies are a plan's."""

    addresses: Mapping[int, Sequence[str]]
    #: What of the plan could not be judged, and why.
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """The command's own options."""

    policies: tuple[Path, ...]
    plan: Path | None
    repositories: tuple[str, ...]
    at: datetime | None
    run: int | None
    against: str | None
    images: tuple[Path, ...]
    manifests: tuple[Path, ...]
    region: str | None
    in_use: Path | None
    workloads: str
    protect: tuple[str, ...]
    fail_on_in_use: bool
    back_test: bool
    by_rule: bool
    rows: str
    children_take_slots: bool
    scope: str
    prices: Path | None
    accept_gaps: Path | None

    def check(self, form: str) -> None:
        """Raise InputError for options that make no sense together, or with --format ``form``."""
        if not self.policies and self.plan is None:
            raise InputError(
                "nothing to try; name a policy with --policy FILE, or a plan with --terraform-plan FILE"
            )
        if self.policies and self.plan is not None:
            raise InputError(
                "--policy and --terraform-plan cannot be mixed; ask about one and then the other"
            )
        if self.manifests and not self.images:
            raise InputError("--manifests needs the images they belong to; give them with --images FILE")
        if self.region is not None and not self.images:
            raise InputError("--region is for --images; the database knows its regions")
        if self.images and self.run is not None:
            raise InputError("--run is for the database; --images has but one state")
        if self.images and self.against is not None:
            raise InputError("--against live: files of images do not say which policy is in force")
        stored = not self.images and self.workloads != "none"
        if self.fail_on_in_use and self.in_use is None and not self.protect and not stored:
            raise InputError(
                "--fail-on-in-use needs to know what is needed; add --in-use FILE or --protect GLOB"
            )
        if self.rows == "image" and form != "csv":
            raise InputError(f"--rows image is for --format csv; --format {form} names images as it is")
        if self.back_test and self.images:
            raise InputError("--back-test replays what the database holds of the past; --images has none")
        if self.back_test and form not in ("table", "json"):
            raise InputError(f"--back-test has no place in --format {form}; use table or json")
        if self.by_rule and form not in ("table", "json"):
            raise InputError(f"--by-rule has no place in --format {form}; use table or json")

    def read(self) -> _Read:
        """The files that need no images to be understood, so that nobody waits to hear of a mistake.

        Raises InputError, and InvalidPolicy with the errors of all the policies.
        """
        plan: Plan | None = None
        if self.plan is not None:
            from analyzer.lifecycle.plans import read_plan

            plan = read_plan(read_text(self.plan, "--terraform-plan"), str(self.plan))
        return _Read(
            policies=_read_policies(self.policies),
            plan=plan,
            prices=load_price_book(self.prices),
            accepted=load_accepted_gaps(self.accept_gaps),
        )

    def world(self, shared: Common) -> World:
        """The images to try the policies on."""
        from analyzer.model.units import to_ms
        from analyzer.what_if import load_world

        at_ms = None if self.at is None else to_ms(self.at)
        if not self.images:
            from analyzer.store.opening import open_database

            return load_world(open_database(shared.db_url), run=self.run, at_ms=at_ms)
        return world_of_files(self.images, self.manifests, at=self.at, region=self.region)

    def question(self, shared: Common, world: World, read: _Read) -> tuple[WhatIf, _Planned | None]:
        """What is asked about ``world``; raises InputError for names and lists that are none.

        Raises InvalidPolicy for a plan that would set a policy that ECR refuses.
        """
        from analyzer.lifecycle.evaluation import Options
        from analyzer.references import parse_protect
        from analyzer.simulation import WhatIf
        from analyzer.what_if import everywhere, in_force, not_in_force, propose_plan

        rows, left_out = matching_rows(world.frames, self.repositories)
        plan: _Planned | None = None
        if read.plan is None:
            proposals = [
                everywhere(world, rows, str(path), policy, text) for path, policy, text in read.policies
            ]
        else:
            planned = propose_plan(world, read.plan, rows)
            rows, proposals = planned.rows, [planned.proposal]
            notes = planned.notes
            if self.by_rule and len(planned.proposal.policies) > 1:
                notes = (*notes, "--by-rule shows the rules of one policy, and the plan sets several")
            plan = _Planned(planned.addresses, notes)
        needed = needed_images(
            world,
            read_uses(self.in_use, self.workloads),
            parse_protect(self.protect),
            whole_registries=not self.images,
            required=self.fail_on_in_use,
        )
        if shared.format == "csv":
            tell_warnings(shared, needed, left_out)
            tell_coverage(shared, needed)
        # A plan is about a change; of files nobody knows what was in force before.
        compared = self.against is not None or (plan is not None and not self.images)
        question = WhatIf(
            proposals=proposals,
            rows=rows,
            at_ms=world.at_ms,
            scope=cast(Any, self.scope),
            options=Options(children_take_slots=self.children_take_slots),
            against=in_force(world) if compared else None,
            not_in_force=not_in_force(world),
            in_use=needed.in_use,
            protected=needed.protected,
            missing_in_use=needed.missing or (),
            usage=needed.usage,
            coverage=needed.coverage,
            warnings=(*left_out, *needed.warnings, *needed.of_workloads),
            by_rule=self.by_rule,
        )
        return question, plan


def _read_policies(paths: Sequence[Path]) -> list[tuple[Path, Policy, str]]:
    """Path, policy and text of each; raises InvalidPolicy with the errors of all of them."""
    from analyzer.lifecycle.parsing import parse_policy, policy_text_of
    from analyzer.lifecycle.refusals import InvalidPolicy

    read = []
    errors = []
    for path in paths:
        text = policy_text_of(read_text(path, "--policy"))
        try:
            read.append((path, parse_policy(text), text))
        except InvalidPolicy as invalid:
            # Of one policy alone it is clear which is meant.
            of_file = f"{path}: " if len(paths) > 1 else ""
            errors += [replace(error, message=f"{of_file}{error.message}") for error in invalid.errors]
    if errors:
        raise InvalidPolicy(tuple(errors))
    return read


def _answered(
    world: World, question: WhatIf, read: _Read, plan: _Planned | None
) -> tuple[Simulation, list[tuple[Gap, str]]]:
    """The answer without the gaps that are accepted, and those with the reason."""
    from analyzer.acceptance import split_gaps
    from analyzer.what_if import answer

    notes = () if plan is None else plan.notes
    simulation = answer(world, question, read.prices, warnings=(*notes, *question.warnings))
    open_gaps, covered = split_gaps(simulation.gaps, read.accepted)
    return replace(simulation, gaps=tuple(open_gaps)), covered


def _rendered(
    simulation: Simulation, form: str, rows: str, plan: _Planned | None, accepted: Sequence[tuple[Gap, str]]
) -> str:
    if form == "json":
        from reports.what_if_json import render_what_if

        return render_what_if(simulation, accepted_gaps=accepted)
    if form == "csv":
        from reports.what_if_csv import what_if_csv

        return what_if_csv(simulation, rows=cast(Any, rows))
    if form == "markdown":
        from reports.markdown import render_markdown

        # The notes of a plan are among the warnings of the simulation.
        return render_markdown(
            simulation,
            addresses=None if plan is None else plan.addresses,
            accepted_gaps=[gap for gap, _ in accepted],
        )
    from analyzer.cli.tables import gaps_text
    from reports.what_if_table import what_if_text

    return what_if_text(simulation) + gaps_text(simulation.gaps, accepted=len(accepted))
