"""Checks of what is left of families: children without their index, referrers without their subject."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import numpy as np

from analyzer.families import IMAGE, INDEX, REFERRER
from analyzer.hygiene.estate import ORPHAN_DAYS, Check, Estate, Found, Unjudged
from analyzer.model.findings import CheckText
from analyzer.model.frames import NO_TIME, Bools
from analyzer.model.lint import Severity
from analyzer.model.records import ReadStatus
from analyzer.model.words import counted
from analyzer.storage import DAY_MS

#: Tags by which clients attach something to a digest where a registry knows no referrers: cosign's, and
#: the referrers tag schema (OCI distribution specification, "Referrers Tag Schema").
_ATTACHED: Final = re.compile(r"sha256-([0-9a-f]{64})(?:\.(?:sig|att|sbom))?")
_UNLISTED: Final = "its last listing is not whole: what seems to be gone may be there"


def orphaned_children(estate: Estate) -> Iterator[Found | Unjudged]:
    """Per repository: images of indexes that no tag reaches, be the index there or gone."""
    families = estate.known.families
    kind = families.kind
    children = estate.lost & estate.platforms.is_child & ((kind == IMAGE) | (kind == INDEX))
    # An index cannot stay when its children leave.
    together = dict(estate.by_repository(families.with_indexes(children) & estate.lost))
    has_parent = np.zeros(len(kind), np.bool_)
    has_parent[families.child] = True
    for row, positions in estate.by_repository(children):
        without = int(np.count_nonzero(~has_parent[positions]))
        yield Found(
            registry=estate.registry[row],
            row=row,
            message=(
                f"{counted(len(positions), 'child', 'children')} of multi-platform indexes"
                f" {'was' if len(positions) == 1 else 'were'} left behind: no tag reaches"
                f" {'it' if len(positions) == 1 else 'them'} any more"
                f"{f'; of {without:,} the index is gone' if without else ''}"
            ),
            artifacts=positions,
            leaves=estate.with_referrers(together[row]),
            saving_note="if these images, their indexes and what refers to them leave, and nothing else",
        )


def orphaned_referrers(estate: Estate) -> Iterator[Found | Unjudged]:
    """Per repository: signatures and the like of what is gone; where it was not listed whole nobody knows."""
    listed = _listed_now(estate)
    gone = _subject_gone(estate) & _old(estate) & ~estate.needed
    for row, positions in estate.by_repository(gone):
        if not listed[row]:
            yield Unjudged(registry=estate.registry[row], row=row, reason=_UNLISTED)
            continue
        yield Found(
            registry=estate.registry[row],
            row=row,
            message=(
                f"{counted(len(positions), 'referrer', 'referrers')} (signatures, SBOMs, attestations)"
                f" {'is' if len(positions) == 1 else 'are'} of artifacts that are gone"
            ),
            artifacts=positions,
            images=0,
            leaves=estate.with_referrers(positions),
            saving_note="if these referrers leave, and nothing else",
        )


def _listed_now(estate: Estate) -> Bools:
    """Per row whether its last listing was whole."""
    status = estate.known.frames.repositories["status"] == ReadStatus.COMPLETE
    listed: Bools = status.to_numpy(np.bool_) & estate.listed
    return listed


def _old(estate: Estate) -> Bools:
    """Pushed more than ORPHAN_DAYS ago; an unknown push counts as new."""
    pushed = estate.known.frames.artifacts.pushed_at_ms
    old: Bools = (pushed != NO_TIME) & (pushed < estate.known.at_ms - ORPHAN_DAYS * DAY_MS)
    return old


def _subject_gone(estate: Estate) -> Bools:
    """What refers to something that its repository does not have: by its subject, or by all of its tags."""
    known = estate.known
    families, artifacts = known.families, known.frames.artifacts
    by_subject: Bools = (families.kind == REFERRER) & (families.subject < 0) & (artifacts.tags == 0)
    named = _attachments(estate)
    if not named:
        return by_subject
    digests = sorted({f"sha256:{value}" for _, value in named.values()})
    ids = dict(zip(digests, known.digest_ids(digests).tolist(), strict=True))
    keys = (artifacts.repository.astype(np.int64) << 32) | artifacts.digest_id
    of_tag = np.full(len(known.facts.tag_names), -1)
    for number, value in named.values():
        of_tag[number] = max(0, ids[f"sha256:{value}"])
    offsets, carried = known.facts.tag_offsets, known.facts.tags
    holder = np.repeat(np.arange(len(artifacts.digest_id)), np.diff(offsets))
    subject = of_tag[carried]
    wanted = (artifacts.repository[holder].astype(np.int64) << 32) | np.maximum(subject, 0)
    attached = (subject >= 0) & ~np.isin(wanted, keys)
    count = np.bincount(holder[attached], minlength=len(artifacts.digest_id))
    by_tag: Bools = (artifacts.tags > 0) & (count == artifacts.tags)
    return by_subject | by_tag


def _attachments(estate: Estate) -> dict[str, tuple[int, str]]:
    """The tags that name a digest: their number, and the digest's hash."""
    found = {}
    for number, name in enumerate(estate.known.facts.tag_names):
        if name.startswith("sha256-") and (match := _ATTACHED.fullmatch(name)):
            found[name] = (number, match[1])
    return found


CHECKS: Final[tuple[Check, ...]] = (
    Check(
        CheckText(
            id="ORPHANED_CHILDREN",
            severity=Severity.MEDIUM,
            title="Images of multi-platform indexes were left behind",
            meaning=(
                "Some index that was read has these images as its children, and no tag reaches them: the"
                " index lost its tag to a newer one, or was deleted without them. ECR lists each child as an"
                " untagged image of its own. They had two weeks to be rolled out, and no workload that was"
                " read uses them. They are among the untagged images that ORPHANED_IMAGES counts."
            ),
            validate=(
                "aws ecr describe-images --registry-id {account} --region {region}"
                " --repository-name {repository} --filter tagStatus=UNTAGGED"
            ),
            fix=(
                "add a rule for tagStatus untagged with countType sinceImagePushed: ECR takes an index first"
                " and its children after it. By hand, delete the untagged index before its children"
            ),
            source="ECR user guide, Deleting an image: images referenced by a manifest list",
        ),
        orphaned_children,
    ),
    Check(
        CheckText(
            id="ORPHANED_REFERRERS",
            severity=Severity.LOW,
            title="Signatures and the like of images that are gone",
            meaning=(
                "The artifacts refer to another one as their subject, or carry only tags that name a digest"
                " (sha256-….sig, as cosign writes them), and the repository does not have it any more. They"
                " are of use to nobody. ECR removes referrers by itself within a day of their subject, but"
                " not what is attached by such a tag. A repository whose last listing is not whole is not"
                " judged."
            ),
            validate=(
                "aws ecr describe-images --registry-id {account} --region {region}"
                " --repository-name {repository}"
                " --query 'imageDetails[].[imageDigest,imageTags,subjectManifestDigest]'"
            ),
            fix=(
                "delete them: aws ecr batch-delete-image --registry-id {account} --region {region}"
                " --repository-name {repository} --image-ids imageDigest=DIGEST. Let the client write"
                " referrers (cosign: --registry-referrers-mode=oci-1-1), which leave with their subject"
            ),
            source="ECR user guide, Lifecycle policies: reference artifacts; OCI distribution specification",
        ),
        orphaned_referrers,
    ),
)
