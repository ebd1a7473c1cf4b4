"""Checks of repositories as they stand: nothing in them, or nothing used for long."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from analyzer.families import REFERRER
from analyzer.hygiene.estate import ORPHAN_DAYS, Check, Estate, Found, Unjudged
from analyzer.model.findings import CheckText
from analyzer.model.frames import NEVER_PULLED, Bools, Int64
from analyzer.model.lint import Severity
from analyzer.model.words import counted, images

_DESCRIBE_IMAGES: Final = (
    "aws ecr describe-images --registry-id {account} --region {region} --repository-name {repository}"
)


def empty_repositories(estate: Estate) -> Iterator[Found | Unjudged]:
    """Repositories that hold nothing; of what was never listed whole nobody can tell."""
    for row in estate.rows:
        registry = estate.registry[row]
        if estate.held[row]:
            continue
        if estate.listed[row]:
            yield Found(registry=registry, row=row, message="it holds no image", images=0)
        else:
            yield Unjudged(registry=registry, row=row, reason="its images were never listed whole")


def never_pulled(estate: Estate) -> Iterator[Found]:
    """Per repository: idle images for which ECR records no pull, of them or of their index."""
    mask = estate.idle & ~_ever_pulled(estate) & _counted(estate)
    for row, positions in estate.by_repository(mask):
        yield _idle(
            estate,
            row,
            positions,
            f"{images(len(positions))} pushed more than {estate.known.stale_days} days ago "
            f"{'was' if len(positions) == 1 else 'were'} never pulled",
        )


def stale(estate: Estate) -> Iterator[Found]:
    """Per repository: idle images that were pulled once, themselves or through an index."""
    mask = estate.idle & _ever_pulled(estate) & _counted(estate)
    for row, positions in estate.by_repository(mask):
        yield _idle(
            estate,
            row,
            positions,
            f"{images(len(positions))} {'was' if len(positions) == 1 else 'were'} last pulled or pushed "
            f"more than {estate.known.stale_days} days ago",
        )


def orphaned_images(estate: Estate) -> Iterator[Found]:
    """Per repository: images that no tag reaches, and that had time to be needed."""
    for row, positions in estate.by_repository(estate.lost & _counted(estate)):
        yield Found(
            registry=estate.registry[row],
            row=row,
            message=(
                f"no tag reaches {images(len(positions))} pushed more than {ORPHAN_DAYS} days ago"
                f" ({counted(int(estate.held[row]), 'artifact', 'artifacts')} in all)"
            ),
            artifacts=positions,
            leaves=estate.with_referrers(positions),
            saving_note="if these images leave, and nothing else",
        )


def _idle(estate: Estate, row: int, positions: Int64, message: str) -> Found:
    note = "" if estate.known.usage is not None else "; what workloads use was not read"
    return Found(
        registry=estate.registry[row],
        row=row,
        message=message,
        artifacts=positions,
        leaves=estate.with_referrers(positions),
        saving_note=f"if these images leave, and nothing else{note}",
    )


def _counted(estate: Estate) -> Bools:
    """All but referrers, which go with what they refer to."""
    chosen: Bools = estate.known.families.kind != REFERRER
    return chosen


def _ever_pulled(estate: Estate) -> Bools:
    """Whether ECR records a pull of the artifact, or of an index above it."""
    known = estate.known
    days = known.frames.artifacts.pulled_day.astype(np.int64)
    pulled: Bools = known.families.latest_of_ancestors(days) != NEVER_PULLED
    return pulled


CHECKS: Final[tuple[Check, ...]] = (
    Check(
        CheckText(
            id="NEVER_PULLED",
            severity=Severity.MEDIUM,
            title="Images that nobody ever pulled",
            meaning=(
                "The images were pushed long ago, ECR records no pull of them or of an index that has them,"
                " and no workload that was read names them. They are paid for and serve nobody."
            ),
            validate=(
                f"{_DESCRIBE_IMAGES} --query 'imageDetails[?lastRecordedPullTime==null]"
                ".[imageDigest,imageTags,imagePushedAt]'"
            ),
            fix=(
                "put a policy that keeps as many as you need: `demurrage recommend --repository {repository}`"
                " works one out, and `demurrage what-if` shows what it would take"
            ),
            source="ECR API reference, ImageDetail: lastRecordedPullTime",
        ),
        never_pulled,
    ),
    Check(
        CheckText(
            id="STALE_IMAGES",
            severity=Severity.LOW,
            title="Images unused for long",
            meaning=(
                "The images were pulled once, and neither they nor an index that has them were pulled or"
                " pushed for as many days as the report calls stale. No workload that was read names them."
            ),
            validate=(
                f"{_DESCRIBE_IMAGES} --query 'sort_by(imageDetails,&imagePushedAt)"
                "[].[imageDigest,imagePushedAt,lastRecordedPullTime]'"
            ),
            fix=(
                "put a policy with a rule of countType sinceImagePulled, or one that keeps as many as you"
                " need: `demurrage recommend --repository {repository}` works one out"
            ),
            source="ECR user guide, Lifecycle policies: sinceImagePulled",
        ),
        stale,
    ),
    Check(
        CheckText(
            id="ORPHANED_IMAGES",
            severity=Severity.MEDIUM,
            title="Untagged images pile up",
            meaning=(
                "No tag reaches the images, by themselves or through an index: a later push took the tag"
                " away. Nobody can pull them by name, no workload that was read names their digest, and they"
                " had two weeks to be rolled out."
            ),
            validate=f"{_DESCRIBE_IMAGES} --filter tagStatus=UNTAGGED",
            fix=(
                "add a rule for tagStatus untagged with countType sinceImagePushed and a few days, as the"
                " first of the policy"
            ),
            source="ECR user guide, Examples of lifecycle policies: filtering on image age",
        ),
        orphaned_images,
    ),
    Check(
        CheckText(
            id="EMPTY_REPOSITORY",
            severity=Severity.INFO,
            title="A repository without images",
            meaning="The repository was listed whole and holds nothing. It costs nothing, and is in the way.",
            validate=_DESCRIBE_IMAGES,
            fix=(
                "delete it if nothing is to be pushed there: aws ecr delete-repository"
                " --registry-id {account} --region {region} --repository-name {repository}"
            ),
            source="ECR user guide, Deleting a private repository",
        ),
        empty_repositories,
    ),
)
