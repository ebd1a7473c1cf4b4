"""Our verdicts held against ECR's own preview, image by image.

Ours are made for the very images that the preview looked at: from a listing taken right after it,
with what the snapshot knows of their manifests (children, subjects), and at the preview's moment. Of
the two ends between which ECR looked, either may be right; an image that crosses a limit between
them is not a disagreement. What AWS does not document (whether a preview shows images that an index
keeps) is told apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from analyzer.families import find_families
from analyzer.lifecycle.evaluation import Evaluator, Options
from analyzer.lifecycle.policy import Policy
from analyzer.model.frames import (
    NEVER_PULLED,
    NO_MANIFEST,
    NO_SIZE,
    NO_TIME,
    Artifacts,
    Bools,
    Frames,
    Int64,
    LifecycleFacts,
    Listed,
)
from analyzer.model.media_types import KINDS
from analyzer.model.records import Artifact, Kind
from analyzer.model.units import from_ms
from analyzer.model.verdicts import Outcome, Reason, Verdicts
from analyzer.model.verification import (
    Act,
    Compared,
    Difference,
    Disagreement,
    Listing,
    Preview,
    PreviewAction,
)

_DAY_MS: Final = 86_400_000
_ACTIONS: Final[dict[int, PreviewAction]] = {
    Outcome.EXPIRED: "EXPIRE",
    Outcome.TRANSITIONED: "TRANSITION",
}
_OUTCOMES: Final = {action: outcome for outcome, action in _ACTIONS.items()}
#: A row of the preview that names no rule.
_NO_RULE: Final = -1


@dataclass(frozen=True, slots=True)
class Present:
    """One repository as a listing shows it: the frames of that repository alone."""

    frames: Frames
    facts: LifecycleFacts
    #: Digests and tags of the artifacts, in their order.
    digests: Sequence[str]
    tags: Sequence[tuple[str, ...]]
    #: True where the snapshot does not have the artifact.
    is_new: Bools
    #: Digests that the snapshot has and the listing does not, sorted.
    gone: tuple[str, ...]


def compare(
    frames: Frames,
    digests: Callable[[Int64], Sequence[str]],
    repository: int,
    policy: Policy,
    preview: Preview,
    listing: Listing,
) -> Compared:
    """``preview`` of ``policy`` held against our verdicts on the artifacts of ``listing``.

    ``repository`` is the repository's row in ``frames``, the snapshot; ``digests`` gives the digests
    of the snapshot's artifacts at some positions.
    """
    present = bring_up_to_date(frames, digests, repository, listing)
    families = find_families(present.frames)

    def judged(options: Options) -> list[Verdicts]:
        """Our verdicts at the start and at the end of the preview."""
        return [
            Evaluator(present.frames, present.facts, families, now_ms=now_ms, options=options).judge(
                [policy], np.zeros(1, np.int64)
            )
            for now_ms in (preview.started_at_ms, preview.completed_at_ms)
        ]

    aws = _Rows(preview, present.digests)
    early, late = judged(Options())
    differs = aws.differs(early) & aws.differs(late)
    without_child_slots = None
    if differs.any():
        at_start, at_end = judged(Options(children_take_slots=False))
        without_child_slots = int(np.count_nonzero(aws.differs(at_start) & aws.differs(at_end)))
    blocked = _blocked(late)
    shown = aws.outcome != Outcome.KEPT
    expired, transitioned = (_by_rule(late) == outcome for outcome in _ACTIONS)
    unread = families.opaque

    def named(marked: Bools) -> tuple[str, ...]:
        return tuple(sorted(present.digests[position] for position in np.flatnonzero(marked).tolist()))

    return Compared(
        started_at=from_ms(preview.started_at_ms),
        completed_at=from_ms(preview.completed_at_ms),
        joined=preview.joined,
        policy_text=preview.policy_text,
        artifacts=len(present.digests),
        aws_expiring=sum(1 for row in preview.rows if row.action == "EXPIRE"),
        aws_transitioning=sum(1 for row in preview.rows if row.action == "TRANSITION"),
        our_expiring=int(np.count_nonzero(expired)),
        our_transitioning=int(np.count_nonzero(transitioned)),
        summary_expiring=preview.expiring_total,
        summary_transitioning=preview.transitioning_total,
        disagreements=_disagreements(present, aws, late, differs),
        blocked_shown=named(blocked & shown & ~differs),
        blocked_hidden=named(blocked & ~shown),
        on_the_edge=int(np.count_nonzero(_changed(early, late))),
        pushed_since=named(present.is_new),
        gone_since=present.gone,
        gone_after_preview=aws.not_listed,
        unread=named(unread),
        without_child_slots=without_child_slots,
    )


def bring_up_to_date(
    frames: Frames, digests: Callable[[Int64], Sequence[str]], repository: int, listing: Listing
) -> Present:
    """The repository in row ``repository`` of ``frames``, with the artifacts of ``listing`` for its own.

    What the snapshot knows of a manifest is kept; artifacts that it does not have are listed ones
    without a manifest.
    """
    artifacts = frames.artifacts
    start, end = np.searchsorted(artifacts.repository, [repository, repository + 1]).tolist()
    before = digests(np.arange(start, end))
    position_of = {digest: start + n for n, digest in enumerate(before)}
    rows = list(listing.artifacts.values())
    count = len(rows)
    was_at = np.array([position_of.get(row.digest, -1) for row in rows], np.int64)
    is_new = was_at < 0
    # Ids of digests that this repository did not have: any that nothing else bears.
    ids = np.arange(count, dtype=np.int64) + _last_id(frames) + 1
    ids[~is_new] = artifacts.digest_id[was_at[~is_new]]
    manifest = np.full(count, NO_MANIFEST, np.int32)
    manifest[~is_new] = artifacts.manifest[was_at[~is_new]]
    order = np.argsort(ids)
    rows = [rows[position] for position in order.tolist()]
    ids, manifest, is_new = ids[order], manifest[order], is_new[order]
    names = [row.digest for row in rows]
    id_of = dict(zip(names, ids.tolist(), strict=True))

    def column(value: Callable[[Artifact], int | None], unknown: int) -> Int64:
        given = (value(row) for row in rows)
        return np.array([unknown if one is None else one for one in given], np.int64)

    tie = np.empty(count, np.int64)
    tie[sorted(range(count), key=names.__getitem__)] = np.arange(count)
    tags = [row.tags for row in rows]
    tag_names = sorted({name for of_row in tags for name in of_row})
    number_of = {name: number for number, name in enumerate(tag_names)}
    offsets = np.zeros(count + 1, np.int64)
    np.cumsum([len(of_row) for of_row in tags], out=offsets[1:])
    pulled_ms = listing.pulled_at_ms
    row_of_repository = frames.repositories.iloc[[repository]]
    registry = int(row_of_repository["registry"].iloc[0])
    return Present(
        frames=Frames(
            registries=frames.registries.iloc[[registry]].reset_index(drop=True),
            repositories=row_of_repository.assign(registry=0).reset_index(drop=True),
            artifacts=Artifacts(
                repository=np.zeros(count, np.int32),
                digest_id=ids.astype(np.uint32),
                manifest=manifest,
                pushed_at_ms=column(lambda row: row.pushed_at_ms, NO_TIME),
                image_status=column(lambda row: row.image_status, 0).astype(np.uint8),
                pulled_day=column(lambda row: row.pulled_day, NEVER_PULLED).astype(np.int32),
                tags=np.diff(offsets).astype(np.int32),
                reported_size_bytes=column(lambda row: row.reported_size_bytes, NO_SIZE),
                # A subject that is not here is none.
                subject=column(lambda row: id_of.get(row.subject_digest or ""), 0).astype(np.uint32),
                listed=column(lambda row: _listed(row.media_type), 0).astype(np.uint8),
            ),
            manifests=frames.manifests,
            blob_size_bytes=frames.blob_size_bytes,
        ),
        facts=LifecycleFacts(
            pulled_at_ms=column(lambda row: pulled_ms.get(row.digest), NO_TIME),
            archived_at_ms=column(lambda row: row.archived_at_ms, NO_TIME),
            activated_at_ms=column(lambda row: row.activated_at_ms, NO_TIME),
            tie=tie,
            tag_offsets=offsets,
            tags=np.array([number_of[name] for of_row in tags for name in sorted(of_row)], np.int32),
            tag_names=tag_names,
        ),
        digests=names,
        tags=tags,
        is_new=is_new,
        gone=tuple(sorted(digest for digest in before if digest not in listing.artifacts)),
    )


class _Rows:
    """The rows of a preview, as arrays beside the artifacts."""

    def __init__(self, preview: Preview, digests: Sequence[str]) -> None:
        position_of = {digest: position for position, digest in enumerate(digests)}
        self.outcome = np.zeros(len(digests), np.int64)
        self.rule = np.zeros(len(digests), np.int64)
        listed = [row for row in preview.rows if row.digest in position_of]
        at = [position_of[row.digest] for row in listed]
        self.outcome[at] = [_OUTCOMES[row.action] for row in listed]
        self.rule[at] = [_NO_RULE if row.rule is None else row.rule for row in listed]
        self.not_listed = tuple(sorted(row.digest for row in preview.rows if row.digest not in position_of))

    def differs(self, verdicts: Verdicts) -> Bools:
        """True where the preview says otherwise than ``verdicts``.

        An image that an index keeps may be shown or not; shown, it has the rule that claims it.
        """
        ours = _by_rule(verdicts)
        same_rule = (self.rule == verdicts.rule) | (self.rule == _NO_RULE)
        same = (self.outcome == ours) & (same_rule | (ours == Outcome.KEPT))
        blocked_as_shown = _blocked(verdicts) & (self.outcome != Outcome.KEPT) & same_rule
        differs: Bools = ~(same | blocked_as_shown)
        return differs


def _by_rule(verdicts: Verdicts) -> Int64:
    """``Outcome`` where a rule brings it about, else KEPT: previews show what rules do."""
    return np.where(verdicts.reason == Reason.CLAIMED, verdicts.outcome, Outcome.KEPT).astype(np.int64)


def _blocked(verdicts: Verdicts) -> Bools:
    """True for what a rule claims and an index keeps."""
    blocked: Bools = (verdicts.reason == Reason.BLOCKED_BY_INDEX) & (verdicts.rule > 0)
    return blocked


def _changed(early: Verdicts, late: Verdicts) -> Bools:
    changed: Bools = (_by_rule(early) != _by_rule(late)) | (early.rule != late.rule)
    return changed


def _disagreements(
    present: Present, aws: _Rows, verdicts: Verdicts, differs: Bools
) -> tuple[Disagreement, ...]:
    """The images that differ, those first that ECR would take and we keep; then oldest first."""
    pushed = present.frames.artifacts.pushed_at_ms
    ours = _by_rule(verdicts)
    found = []
    for position in np.flatnonzero(differs).tolist():
        row = aws.outcome[position] != Outcome.KEPT
        mine = _own_act(verdicts, position)
        rule = int(aws.rule[position])
        theirs = (
            Act(_ACTIONS[int(aws.outcome[position])], None if rule == _NO_RULE else rule) if row else None
        )
        found.append(
            Disagreement(
                difference=_difference(theirs, mine),
                digest=present.digests[position],
                tags=present.tags[position],
                pushed_at=None if pushed[position] == NO_TIME else from_ms(int(pushed[position])),
                aws=theirs,
                ours=mine,
                why=_why(present, verdicts, position),
                near_limit=bool(verdicts.near_limit[position]),
                deferred=bool(verdicts.deferred[position] and ours[position] != Outcome.KEPT),
            )
        )
    rank = list(Difference)
    return tuple(
        sorted(
            found,
            key=lambda one: (
                rank.index(one.difference),
                one.pushed_at is None,
                one.pushed_at or from_ms(0),
                one.digest,
            ),
        )
    )


def _difference(aws: Act | None, ours: Act | None) -> Difference:
    if ours is None:
        return Difference.AWS_ACTS
    if aws is None:
        return Difference.WE_ACT
    return Difference.ACTION if aws.action != ours.action else Difference.RULE


def _own_act(verdicts: Verdicts, position: int) -> Act | None:
    """What we say becomes of an artifact, also where no rule does it."""
    outcome = int(verdicts.outcome[position])
    if outcome == Outcome.KEPT:
        return None
    rule = int(verdicts.rule[position])
    return Act(_ACTIONS[outcome], rule if verdicts.reason[position] == Reason.CLAIMED else None)


def _why(present: Present, verdicts: Verdicts, position: int) -> str:
    """Our verdict's reason in words."""
    rule = f"rule {int(verdicts.rule[position])}"
    by = int(verdicts.by[position])
    other = present.digests[by] if by >= 0 else "another artifact"
    rank, age_ms = int(verdicts.rank[position]), int(verdicts.age_ms[position])
    measure = ""
    if rank:
        measure = f" as number {rank} of those it selects, youngest first"
    elif age_ms != NO_TIME:
        measure = f" at an age of {age_ms / _DAY_MS:.3f} days"
    words = {
        Reason.CLAIMED: f"{rule} claims it{measure}",
        Reason.FOLLOWS_SUBJECT: f"no rule acts on it; it leaves with its subject {other}",
        Reason.NO_POLICY: "there is no policy",
        Reason.NO_RULE: "no rule selects it",
        Reason.WITHIN_LIMIT: f"{rule} is the first to select it and keeps it{measure}",
        Reason.BLOCKED_BY_INDEX: f"the index {other} names it and stays",
        Reason.SUBJECT_STAYS: f"no rule acts on it; its subject {other} stays",
        Reason.ACTIVATING: "its restore from the archive is under way",
        Reason.UNKNOWN_TIME: f"{rule} is the first to select it and needs a time that ECR did not give",
    }
    return words[Reason(int(verdicts.reason[position]))]


def _listed(media_type: str | None) -> int:
    kind = KINDS.get(media_type or "")
    if kind is None:
        return Listed.UNKNOWN
    return Listed.INDEX if kind is Kind.INDEX else Listed.IMAGE


def _last_id(frames: Frames) -> int:
    """The greatest digest id that anything in ``frames`` bears or names."""
    manifests = frames.manifests
    bearers = (frames.artifacts.digest_id, frames.artifacts.subject, manifests.subject, manifests.children)
    return max((int(ids.max()) for ids in bearers if len(ids)), default=0)
