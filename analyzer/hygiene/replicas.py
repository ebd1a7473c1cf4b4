"""Check of replicas that nobody pulls: each costs its storage again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from analyzer.families import IMAGE, INDEX
from analyzer.hygiene.estate import Check, Estate, Found, Unjudged
from analyzer.hygiene.words import listed
from analyzer.model.findings import CheckText
from analyzer.model.frames import NEVER_PULLED, NO_TIME, Bools
from analyzer.model.lint import Severity
from analyzer.model.registry_settings import Copy
from analyzer.model.words import images
from analyzer.storage import DAY_MS

#: So long a replica may wait for its first pull.
REPLICA_DAYS: Final = 30


def replicas_never_pulled(estate: Estate) -> Iterator[Found | Unjudged]:
    """Per repository: replicas of families for which ECR records no pull, in use nowhere."""
    known = estate.known
    state, kind = known.replication.is_replica, known.families.kind
    unpulled = ~_pulled_family(estate) & ~estate.needed & _old(estate) & ((kind == IMAGE) | (kind == INDEX))
    recorded = _recorded_rows(estate)
    held = np.bincount(estate.repository[(kind == IMAGE) | (kind == INDEX)], minlength=len(estate.names))
    doubtful = np.unique(estate.repository[unpulled & (state == Copy.UNKNOWN)]).tolist()
    for row in doubtful:
        reason = (
            "which of its images are replicas is not known: rules or listings of a registry were not read"
        )
        yield Unjudged(registry=estate.registry[row], row=row, reason=reason)
    for row, positions in estate.by_repository(unpulled & (state == Copy.YES)):
        if row in recorded:
            reason = "CloudTrail recorded pulls from it that ECR shows on no image"
            yield Unjudged(registry=estate.registry[row], row=row, reason=reason)
            continue
        whole = len(positions) == int(held[row])
        places = sorted({f"{p.account}/{p.region}" for p in known.of_repositories[row].replica_of})
        source = f" from {listed(places)}" if places else ""
        number = (
            f"all {len(positions):,} of its images are replicas{source} and were"
            if whole and len(positions) > 1
            else f"{images(len(positions))} replicated{source} {'was' if len(positions) == 1 else 'were'}"
        )
        yield Found(
            registry=estate.registry[row],
            row=row,
            message=f"{number} never pulled here in more than {REPLICA_DAYS} days",
            artifacts=positions,
            leaves=estate.with_referrers(positions),
            saving_note=(
                "if these replicas leave and their sources stay; the transfer of later pushes is saved"
                " as well, and is not in it"
            ),
        )


def _pulled_family(estate: Estate) -> Bools:
    """What was pulled, the indexes above it, and all that these have."""
    families = estate.known.families
    pulled = estate.known.frames.artifacts.pulled_day != NEVER_PULLED
    reached: Bools = families.reachable(families.with_indexes(pulled))
    return reached


def _old(estate: Estate) -> Bools:
    pushed = estate.known.frames.artifacts.pushed_at_ms
    old: Bools = (pushed != NO_TIME) & (pushed < estate.known.at_ms - REPLICA_DAYS * DAY_MS)
    return old


def _recorded_rows(estate: Estate) -> set[int]:
    """Repositories from which CloudTrail knows a pull."""
    history = estate.pull_history
    if history is None:
        return set()
    places = {(pulls.account, pulls.region, pulls.repository) for pulls in history.pulls}
    return {
        row
        for row in estate.rows
        if (
            estate.accounts[estate.registry[row]],
            estate.regions[estate.registry[row]],
            estate.names[row],
        )
        in places
    }


CHECKS: Final[tuple[Check, ...]] = (
    Check(
        CheckText(
            id="REPLICAS_NEVER_PULLED",
            severity=Severity.LOW,
            title="Replicas that nobody ever pulled",
            meaning=(
                "Replication rules of another registry put these images here, where they are stored and paid"
                " once more. ECR records no pull of them, of an index that has them or of its other images,"
                " in the month or longer that they are here, and no workload that was read uses them. Standby"
                " copies for a disaster are meant to be so: waive them."
            ),
            validate=(
                "aws ecr describe-images --registry-id {account} --region {region}"
                " --repository-name {repository} --query 'imageDetails[?lastRecordedPullTime==null]"
                ".[imageDigest,imageTags,imagePushedAt]'"
            ),
            fix=(
                "narrow the replication rule of the source registry by a repository prefix (aws ecr"
                " put-replication-configuration), and put a lifecycle policy here: policies do not replicate"
            ),
            source="ECR user guide, Private image replication in Amazon ECR",
        ),
        replicas_never_pulled,
    ),
)
