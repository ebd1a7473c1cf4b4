"""Repositories that hold what a repository of the same name holds elsewhere, under another policy.

Policies act in their own account and Region only, and replication copies images and not policies
(ECR user guide, "Private image replication in Amazon ECR" and "Automate the cleanup of images").
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from analyzer.lifecycle.lint_fleet import Fleet, Said
from analyzer.lifecycle.policy import Policy
from analyzer.lifecycle.replicas import are_alike
from analyzer.model.frames import Bools
from analyzer.model.lint import LintCode, LintFinding, Severity
from analyzer.model.words import counted

#: Others named in a message.
_NAMED = 3


def differing_replicas(fleet: Fleet) -> Iterator[LintFinding]:
    """Judged repositories whose policy is not the one that most of their replicas have.

    Where no policy is more frequent than the others, that of the repository created first is it.
    Repositories whose policy is not known say nothing and are told nothing.
    """
    is_known = fleet.world.frames.repositories["lifecycle_policy_known"].to_numpy(np.bool_)
    known = is_known.copy()
    known[list(fleet.world.policy_problems)] = False
    expected: dict[int, list[int]] = {}
    for group in _replicas(fleet, known):
        policies = {row: _plain(_policy(fleet, row)) for row in group}
        usual = _usual(fleet, policies)
        if usual is None:
            continue
        having = [row for row in group if policies[row] == usual]
        for row in group:
            if policies[row] != usual and fleet.judged[row]:
                expected[row] = having
    differing: Bools = np.zeros(len(fleet.names), np.bool_)
    differing[list(expected)] = True

    def say(row: int, _: object) -> Said:
        having = expected[row]
        places = ", ".join("/".join(fleet.place(other)[:2]) for other in having[:_NAMED])
        more = f" and {len(having) - _NAMED:,} more" if len(having) > _NAMED else ""
        what = "another policy" if _policy(fleet, row) else "no policy, other"
        number = counted(len(having), "replica", "replicas")
        return Said(
            f"it has {what} than its {number} with the same images: {places}{more}",
            "policies do not replicate: put the policy in this registry too",
            Severity.MEDIUM,
        )

    yield from fleet.found(LintCode.REPLICA_POLICY_DIFFERS, differing[fleet.repository], say)


def _policy(fleet: Fleet, row: int) -> Policy | None:
    """The policy in force, also where it is not among those to be judged."""
    at = int(fleet.world.policy_of[row])
    return fleet.world.policies[at] if at >= 0 else None


def _plain(policy: Policy | None) -> Policy | None:
    """The policy without its descriptions, which do nothing."""
    if policy is None:
        return None
    return Policy(tuple(replace(rule, description=None) for rule in policy.rules))


def _usual(fleet: Fleet, policies: Mapping[int, Policy | None]) -> Policy | None:
    """The policy that most have, of equally many that of the repository created first; None for none."""
    created = fleet.world.frames.repositories["created_at_ms"]
    having = [(row, policy) for row, policy in policies.items() if policy is not None]
    counts = Counter(policy for _, policy in having)
    if not having:
        return None
    _, usual = min(having, key=lambda pair: (-counts[pair[1]], int(created.iloc[pair[0]]), pair[0]))
    return usual


def _replicas(fleet: Fleet, known: Bools) -> Iterator[list[int]]:
    """Groups of two or more repositories of one name in different registries, alike in content."""
    bounds = fleet.census.offsets
    by_name: dict[str, list[int]] = {}
    for row in np.flatnonzero(known & (fleet.artifacts_of > 0)).tolist():
        by_name.setdefault(fleet.names[row], []).append(row)
    for rows in by_name.values():
        remaining = rows if len(rows) > 1 else []
        while len(remaining) > 1:
            first, *others = remaining
            alike = [other for other in others if are_alike(fleet.world.frames, bounds, first, other)]
            if alike:
                yield [first, *alike]
            remaining = [other for other in others if other not in alike]
