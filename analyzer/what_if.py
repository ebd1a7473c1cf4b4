"""What-if, lint and the like, end to end: joins the store or documents to the lifecycle analyses.

Below the command line and the service, beside ``nightly``, and like it without clock or files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from analyzer.backtest import back_test, policies_of
from analyzer.documents import Documents
from analyzer.errors import InputError
from analyzer.families import Families, find_families
from analyzer.lifecycle.in_force import policies_in_force
from analyzer.lifecycle.parsing import warnings as policy_warnings
from analyzer.lifecycle.past import Past
from analyzer.lifecycle.plans import Plan, PlannedPolicy, policies_of_plan
from analyzer.lifecycle.policy import Policy
from analyzer.lifecycle.refusals import InvalidPolicy
from analyzer.model.frames import Frames, Int64, LifecycleFacts
from analyzer.model.records import Gap
from analyzer.model.simulation import Simulation
from analyzer.model.usage import Workloads
from analyzer.pricing import PriceBook
from analyzer.simulation import Proposal, WhatIf, simulate
from analyzer.standing_gaps import standing_gaps
from analyzer.store.engine import Database
from analyzer.store.frames import load_frames_with_facts
from analyzer.store.history_frames import load_history
from analyzer.store.manifests import load_size_conflicts
from analyzer.store.names import load_digest_ids, load_digest_texts
from analyzer.store.snapshots import SnapshotRef, last_run, load_gaps, run_at, snapshots_of_run
from analyzer.store.workload_frames import load_workload_frames

#: The call that lists the repositories of a registry.
_LISTING = "ecr:DescribeRepositories"


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Some registries as policies are judged on them."""

    frames: Frames
    facts: LifecycleFacts
    families: Families
    #: The moment that policies are evaluated at, in milliseconds since 1970 UTC.
    at_ms: int
    #: Digests of the artifacts at these positions, in that order.
    digests: Callable[[Int64], list[str]]
    #: The other way: what ``Artifacts.digest_id`` has for these digests, -1 for unknown ones.
    digest_ids: Callable[[Sequence[str]], Int64]
    #: The distinct policies in force that are valid.
    policies: Sequence[Policy]
    #: Which of them is in force in each row of ``frames.repositories``; -1 for none that is known.
    policy_of: Int64
    #: Why the policy of a row cannot be read.
    policy_problems: Mapping[int, InvalidPolicy]
    gaps: Sequence[Gap]
    #: What the frames were read from, in the order of ``frames.registries``; nothing for documents.
    snapshots: Sequence[SnapshotRef]
    #: What the workloads of these registries' accounts and regions named then; None for documents.
    workloads: Workloads | None

    @property
    def has_region(self) -> bool:
        """Whether every registry's region is known: of documents it need not be."""
        return bool((self.frames.registries["region"] != "").all())


def load_world(database: Database, *, run: int | None = None, at_ms: int | None = None) -> World:
    """The registries as of ``run``, to be judged at ``at_ms``.

    Without ``run`` that is the last run, or where ``at_ms`` lies before it the last one whose snapshots
    had all been taken by then (the first, where there is none: a question about an earlier moment is
    still answered from what is known). Without ``at_ms`` it is the time of the newest snapshot.

    Raises InputError when there is no such snapshot.
    """
    with database.read() as connection:
        last = last_run(connection)
        if run is None:
            run = last if at_ms is None else run_at(connection, at_ms)
        elif run > last:
            raise InputError(f"--run {run}: the last run is {last}; name that or an earlier one")
        snapshots = snapshots_of_run(connection, run)
        frames, facts = load_frames_with_facts(connection, snapshots)
        recorded = load_gaps(connection, snapshots, run)
        conflicts = load_size_conflicts(connection)
        workloads = load_workload_frames(connection, snapshots)
    newest = max(snapshot.taken_at_ms for snapshot in snapshots)
    return _world(
        frames,
        facts,
        at_ms=newest if at_ms is None else at_ms,
        digests=partial(_stored_digests, database, frames),
        digest_ids=partial(_stored_digest_ids, database),
        gaps=sorted((*recorded, *standing_gaps(frames, conflicts))),
        snapshots=snapshots,
        workloads=workloads,
    )


def world_of_documents(documents: Documents, *, at_ms: int) -> World:
    """The images of documents, to be judged at ``at_ms``; their policies are not known."""
    texts = np.array(documents.digests, object)
    numbers = dict(zip(documents.digests, documents.frames.artifacts.digest_id.tolist(), strict=True))
    return _world(
        documents.frames,
        documents.facts,
        at_ms=at_ms,
        digests=lambda positions: texts[positions].tolist(),
        digest_ids=lambda digests: np.array([numbers.get(digest, -1) for digest in digests], np.int64),
        gaps=sorted(documents.gaps),
        snapshots=(),
        workloads=None,
    )


def in_force(world: World) -> Proposal:
    """The policies in force, as a proposal to leave things as they are."""
    texts = world.frames.repositories["lifecycle_policy_text"]
    rows = [int(np.flatnonzero(world.policy_of == number)[0]) for number in range(len(world.policies))]
    return Proposal(
        name="live",
        policies=world.policies,
        texts=[texts.iloc[row] for row in rows],
        policy_of=world.policy_of,
    )


def not_in_force(world: World) -> dict[int, str]:
    """Why the policy in force is not known, by row of ``world.frames.repositories``."""
    known = world.frames.repositories["lifecycle_policy_known"].to_numpy(np.bool_)
    reasons = dict.fromkeys(np.flatnonzero(~known).tolist(), "the policy in force could not be read")
    for row, problem in world.policy_problems.items():
        first = problem.errors[0]
        reasons[row] = f"the policy in force is not one that this version understands ({first.code})"
    return reasons


def everywhere(world: World, rows: Int64, name: str, policy: Policy, text: str) -> Proposal:
    """The same policy for all of ``rows``; ``text`` is its document."""
    policy_of = np.full(len(world.frames.repositories), -1)
    policy_of[rows] = 0
    caveats = tuple(str(warning) for warning in policy_warnings(policy))
    return Proposal(name=name, policies=(policy,), texts=(text,), policy_of=policy_of, warnings=caveats)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanProposal:
    """What a Terraform plan would change."""

    proposal: Proposal
    #: Rows whose policy it changes, ascending.
    rows: Int64
    #: The resources that do so, by row.
    addresses: Mapping[int, Sequence[str]]
    #: What could not be judged, and why.
    notes: tuple[str, ...]


def propose_plan(world: World, plan: Plan, rows: Int64) -> PlanProposal:
    """The policies that ``plan`` would set or take away in ``rows``.

    Raises InvalidPolicy for the first policy that ECR would refuse, naming its resource.
    """
    asked = set(rows.tolist())
    policies: list[Policy] = []
    texts: list[str] = []
    policy_of = np.full(len(world.frames.repositories), -1)
    addresses: dict[int, list[str]] = {}
    notes = list(plan.warnings)
    for entry in policies_of_plan(plan):
        planned = entry.planned
        if not planned.changes:
            continue
        if entry.errors:
            raise InvalidPolicy(
                tuple(replace(e, message=f"{planned.address}: {e.message}") for e in entry.errors)
            )
        notes += [f"{planned.address}: {warning}" for warning in planned.warnings]
        if planned.reason:
            notes.append(f"{planned.address}: {planned.reason}")
            continue
        found = [row for row in _rows_of(world, planned, planned.repository) if row in asked]
        if not found:
            notes.append(
                f"{planned.address}: repository {planned.repository} is not among those that were read, so "
                "nothing in it can be judged"
            )
        if len(found) > 1:
            notes.append(
                f"{planned.address}: the plan does not say which of {len(found)} repositories of the name "
                f"{planned.repository} it means; all are judged"
            )
        for row in found:
            addresses.setdefault(row, []).append(planned.address)
            if entry.policy is not None:
                policy_of[row] = len(policies)
        if planned.before_repository not in {None, planned.repository}:
            # It moves, and leaves its repository without a policy.
            for row in _rows_of(world, planned, planned.before_repository):
                if row in asked:
                    addresses.setdefault(row, []).append(planned.address)
        if entry.policy is not None and found:
            policies.append(entry.policy)
            texts.append(planned.text or "")
    return PlanProposal(
        proposal=Proposal(name=plan.origin, policies=policies, texts=texts, policy_of=policy_of),
        rows=np.array(sorted(addresses), np.int64),
        addresses=addresses,
        notes=tuple(notes),
    )


def _rows_of(world: World, planned: PlannedPolicy, named: str | None) -> list[int]:
    """Rows of the repositories called ``named`` that ``planned`` may mean."""
    repositories, registries = world.frames.repositories, world.frames.registries
    found = []
    for row in np.flatnonzero(repositories["repository"].to_numpy(object) == named).tolist():
        registry = registries.iloc[int(repositories["registry"].iloc[row])]
        fits = (
            given is None or known in {"", given}
            for given, known in ((planned.region, registry["region"]), (planned.account, registry["account"]))
        )
        if all(fits):
            found.append(row)
    return found


def answer(world: World, question: WhatIf, prices: PriceBook, *, warnings: Sequence[str] = ()) -> Simulation:
    """The answer to ``question`` about ``world``."""
    return simulate(
        question,
        world.frames,
        world.facts,
        world.families,
        prices,
        digests=world.digests,
        in_force=in_force(world),
        gaps=gaps_about(world, question.rows),
        warnings=warnings,
    )


def back_tested(
    database: Database, world: World, question: WhatIf, simulation: Simulation, prices: PriceBook
) -> Simulation:
    """``simulation`` of ``question`` with what each candidate would have done in the stored past.

    ``world`` must be one of ``database``.
    """
    past = Past(load_history(database, world.snapshots), options=question.options)
    return replace(
        simulation,
        candidates=tuple(
            replace(
                candidate,
                back_test=back_test(
                    past,
                    proposal.policies,
                    policies_of(past.history, world.frames, proposal.policy_of),
                    prices=prices,
                ),
            )
            for candidate, proposal in zip(simulation.candidates, question.proposals, strict=True)
        ),
    )


def gaps_about(world: World, rows: Int64) -> list[Gap]:
    """The gaps about the repositories at ``rows``, their registries, and any list of repositories."""
    repositories, registries = world.frames.repositories, world.frames.registries
    if len(rows) == len(repositories):
        return list(world.gaps)
    accounts, regions = registries["account"].tolist(), registries["region"].tolist()
    names, of = repositories["repository"].tolist(), repositories["registry"].tolist()
    places = {(accounts[of[row]], regions[of[row]], names[row]) for row in rows.tolist()}
    touched = {(account, region) for account, region, _ in places}
    return [
        gap
        for gap in world.gaps
        if (gap.account, gap.region, gap.repository) in places
        # What was never listed might be what was asked about.
        or (not gap.repository and ((gap.account, gap.region) in touched or gap.call == _LISTING))
    ]


def _stored_digests(database: Database, frames: Frames, positions: Int64) -> list[str]:
    ids = frames.artifacts.digest_id[positions].tolist()
    # What is stored of digests never changes, so that it need not be the transaction of the frames.
    with database.read() as connection:
        texts = load_digest_texts(connection, sorted(set(ids)))
    return [texts[key] for key in ids]


def _stored_digest_ids(database: Database, digests: Sequence[str]) -> Int64:
    with database.read() as connection:
        return load_digest_ids(connection, digests)


def _world(
    frames: Frames,
    facts: LifecycleFacts,
    *,
    at_ms: int,
    digests: Callable[[Int64], list[str]],
    digest_ids: Callable[[Sequence[str]], Int64],
    gaps: Sequence[Gap],
    snapshots: Sequence[SnapshotRef],
    workloads: Workloads | None,
) -> World:
    policies, policy_of, problems = policies_in_force(frames)
    return World(
        frames=frames,
        facts=facts,
        families=find_families(frames),
        at_ms=at_ms,
        digests=digests,
        digest_ids=digest_ids,
        policies=policies,
        policy_of=policy_of,
        policy_problems=problems,
        gaps=gaps,
        snapshots=snapshots,
        workloads=workloads,
    )
