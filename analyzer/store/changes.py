"""What one read changes in what is known of a repository: pure, no SQL.

The rule that everything rests on: *gone* and *unseen* differ. An artifact leaves only when a
complete read of its repository no longer lists it. What a partial read did list is taken as seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from analyzer.model.records import Artifact, ScanSummary


@dataclass(slots=True)
class RepositoryState:
    """A repository as the store knows it: artifacts by digest (with their tags, sorted)."""

    artifacts: dict[str, Artifact] = field(default_factory=dict)
    #: Digest by tag.
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class RepositoryChanges:
    """Intervals to open and to close in one repository; ``closed`` ones by their key."""

    artifacts_opened: list[Artifact] = field(default_factory=list)
    artifacts_closed: list[str] = field(default_factory=list)
    #: (tag, digest)
    tags_opened: list[tuple[str, str]] = field(default_factory=list)
    tags_closed: list[str] = field(default_factory=list)
    #: (digest, day)
    pulls_opened: list[tuple[str, int]] = field(default_factory=list)
    pulls_closed: list[str] = field(default_factory=list)
    scans_opened: list[tuple[str, ScanSummary]] = field(default_factory=list)
    scans_closed: list[str] = field(default_factory=list)


def diff_repository(state: RepositoryState, seen: Sequence[Artifact], *, complete: bool) -> RepositoryChanges:
    """What ``seen`` (one row per digest, in the order read) changes in ``state``."""
    changes = RepositoryChanges()
    known = state.artifacts
    changed = [artifact for artifact in seen if known.get(artifact.digest) != artifact]
    for artifact in changed:
        _diff_artifact(known.get(artifact.digest), artifact, changes)
    gone: set[str] = set()
    new = sum(1 for artifact in changed if artifact.digest not in known)
    if complete and len(known) + new > len(seen):
        gone = known.keys() - {artifact.digest for artifact in seen}
    for digest in sorted(gone):
        _close_artifact(known[digest], changes)
    if changed or gone:
        _diff_tags(state.tags, seen, gone, changes)
    return changes


def _diff_artifact(old: Artifact | None, new: Artifact, changes: RepositoryChanges) -> None:
    if old is None or old._replace(tags=(), pulled_day=None, scan=None) != new._replace(
        tags=(), pulled_day=None, scan=None
    ):
        changes.artifacts_opened.append(new)
        if old is not None:
            changes.artifacts_closed.append(new.digest)
    old_pull, new_pull = old and old.pulled_day, new.pulled_day
    if old_pull != new_pull:
        if old_pull is not None:
            changes.pulls_closed.append(new.digest)
        if new_pull is not None:
            changes.pulls_opened.append((new.digest, new_pull))
    old_scan, new_scan = old and old.scan, new.scan
    if old_scan != new_scan:
        if old_scan is not None:
            changes.scans_closed.append(new.digest)
        if new_scan is not None:
            changes.scans_opened.append((new.digest, new_scan))


def _close_artifact(old: Artifact, changes: RepositoryChanges) -> None:
    changes.artifacts_closed.append(old.digest)
    if old.pulled_day is not None:
        changes.pulls_closed.append(old.digest)
    if old.scan is not None:
        changes.scans_closed.append(old.digest)


def _diff_tags(
    old: Mapping[str, str], seen: Sequence[Artifact], gone: set[str], changes: RepositoryChanges
) -> None:
    # A tag that moves while the pages are read shows up twice; the page read last is the newer.
    now = {tag: artifact.digest for artifact in seen for tag in artifact.tags}
    listed = {artifact.digest for artifact in seen}
    for tag, digest in now.items():
        if old.get(tag) != digest:
            changes.tags_opened.append((tag, digest))
            if tag in old:
                changes.tags_closed.append(tag)
    for tag, digest in old.items():
        if tag not in now and (digest in listed or digest in gone):
            changes.tags_closed.append(tag)
