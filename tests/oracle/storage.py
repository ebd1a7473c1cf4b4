"""The storage analysis once more, slowly: every figure follows its definition word for word.

Plain sets, dicts and loops over small objects; nothing here is shared with the analysis it checks.
Bytes are Python integers, so no figure can overflow or be rounded.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from analyzer.model.frames import NEVER_PULLED, NO_MANIFEST, NO_SIZE, NO_TIME, Frames, Listed
from analyzer.model.records import ImageStatus, Kind

DAY_MS = 86_400_000

#: Labels of the age buckets with the age in days up to which each reaches, in order.
AGE_BUCKETS: tuple[tuple[str, int], ...] = (
    ("up to 30 days", 30),
    ("31 to 90 days", 90),
    ("91 to 180 days", 180),
    ("181 to 365 days", 365),
)
OLDEST = "over 365 days"
UNDATED = "unknown"

COUNTS: tuple[str, ...] = (
    "images",
    "indexes",
    "referrers",
    "unknown",
    "untagged_images",
    "orphaned_images",
    "possibly_reached_images",
    "stale_images",
    "never_pulled_images",
    "archived_images",
)
TRAITS: tuple[str, ...] = ("untagged", "orphaned", "stale")

#: One row of a table: column name to value.
Row = dict[str, int | bool | str]


@dataclass(frozen=True)
class Tables:
    """The four tables as lists of rows, each in the order that the analysis promises."""

    artifacts: list[Row]
    repositories: list[Row]
    registries: list[Row]
    ages: list[Row]


@dataclass(frozen=True)
class _Artifact:
    """One artifact with everything known about it, unknowns as None."""

    position: int
    repository: int
    digest: int
    kind: str
    tags: int
    #: digest of the subject, 0 for none.
    subject: int
    #: digests of the children; only an index has any.
    children: frozenset[int]
    #: The blobs the registry stores for it; only images and referrers have any.
    blobs: frozenset[int]
    pushed_at_ms: int | None
    pulled_day: int | None
    #: In the archive, or still on its way back from there.
    archived: bool
    reported_size_bytes: int | None
    #: Nobody could read what it says, and it may be an index: it may name anything.
    opaque: bool


@dataclass(frozen=True)
class _Traits:
    """For each trait the positions of the artifacts that show it."""

    untagged: frozenset[int]
    orphaned: frozenset[int]
    stale: frozenset[int]
    #: Not seen to be reached, beside something opaque that is.
    possibly_reached: frozenset[int]

    def of(self, trait: str) -> frozenset[int]:
        """The positions for the trait of that name."""
        return {"untagged": self.untagged, "orphaned": self.orphaned, "stale": self.stale}[trait]


def analyze(frames: Frames, *, now_ms: int, stale_days: int) -> Tables:
    """What ``analyzer.storage.analyze`` must answer for the same arguments."""
    sizes = [int(size) for size in frames.blob_size_bytes]
    artifacts = _artifacts(frames)
    registry_of = [int(registry) for registry in frames.repositories["registry"]]
    group_of = _groups(frames)

    in_repository: list[list[_Artifact]] = [[] for _ in registry_of]
    for artifact in artifacts:
        in_repository[artifact.repository].append(artifact)
    in_group: dict[tuple[object, ...], list[_Artifact]] = {group: [] for group in group_of}
    for artifact in artifacts:
        in_group[group_of[artifact.repository]].append(artifact)

    traits = _traits(in_repository, now_ms, stale_days)
    artifact_rows = [
        _artifact_row(
            artifact,
            in_repository[artifact.repository],
            in_group[group_of[artifact.repository]],
            traits,
            sizes,
        )
        for artifact in artifacts
    ]
    repository_rows = [
        _repository_row(in_repository[repository], in_group[group_of[repository]], traits, sizes)
        for repository in range(len(registry_of))
    ]
    registry_rows = []
    for registry in range(len(frames.registries)):
        members = [r for r in range(len(registry_of)) if registry_of[r] == registry]
        groups = {group_of[r] for r in members}
        registry_rows.append(
            _registry_row(
                [repository_rows[r] for r in members],
                [in_repository[r] for r in members],
                [in_group[group] for group in groups],
                traits,
                sizes,
            )
        )
    return Tables(artifact_rows, repository_rows, registry_rows, _age_rows(in_repository, now_ms, sizes))


def _artifacts(frames: Frames) -> list[_Artifact]:
    """Every artifact of ``frames`` in their order."""
    a, m = frames.artifacts, frames.manifests
    found = []
    for i in range(len(a.digest_id)):
        manifest = int(a.manifest[i])
        subject = 0
        children: set[int] = set()
        blobs: set[int] = set()
        if manifest != NO_MANIFEST:
            subject = int(m.subject[manifest])
        if subject == 0:
            subject = int(a.subject[i])

        unread = manifest == NO_MANIFEST
        opaque = (unread or m.kind[manifest] in (Kind.UNKNOWN, Kind.UNREADABLE)) and (
            a.listed[i] != Listed.IMAGE
        )
        if unread:
            kind = "index" if a.listed[i] == Listed.INDEX else "unknown"
        elif m.kind[manifest] in (Kind.UNKNOWN, Kind.UNREADABLE):
            kind = "unknown"
        elif m.kind[manifest] == Kind.INDEX:
            kind = "index"
        else:
            kind = "image" if subject == 0 else "referrer"

        if kind == "index" and not unread:
            for k in range(int(m.child_offsets[manifest]), int(m.child_offsets[manifest + 1])):
                children.add(int(m.children[k]))
        if kind in ("image", "referrer"):
            for k in range(int(m.blob_offsets[manifest]), int(m.blob_offsets[manifest + 1])):
                if not m.foreign[k]:
                    blobs.add(int(m.blobs[k]))

        pushed_at_ms = int(a.pushed_at_ms[i])
        pulled_day = int(a.pulled_day[i])
        reported = int(a.reported_size_bytes[i])
        found.append(
            _Artifact(
                position=i,
                repository=int(a.repository[i]),
                digest=int(a.digest_id[i]),
                kind=kind,
                tags=int(a.tags[i]),
                subject=subject,
                children=frozenset(children),
                blobs=frozenset(blobs),
                pushed_at_ms=None if pushed_at_ms == NO_TIME else pushed_at_ms,
                pulled_day=None if pulled_day == NEVER_PULLED else pulled_day,
                archived=int(a.image_status[i]) in (ImageStatus.ARCHIVED, ImageStatus.ACTIVATING),
                reported_size_bytes=None if reported == NO_SIZE else reported,
                opaque=bool(opaque),
            )
        )
    return found


def _groups(frames: Frames) -> list[tuple[object, ...]]:
    """For each repository the group it may share blobs with."""
    groups: list[tuple[object, ...]] = []
    for position, row in enumerate(frames.repositories.to_dict("records")):
        if row["pull_through_cache"]:
            groups.append(("pull-through cache", position))
        else:
            groups.append(("shared", row["registry"], row["encryption_type"], row["kms_key"]))
    return groups


# --- traits ---------------------------------------------------------------------------------------


def _traits(in_repository: Sequence[Sequence[_Artifact]], now_ms: int, stale_days: int) -> _Traits:
    """Who is untagged, orphaned and stale, repository by repository."""
    untagged: set[int] = set()
    orphaned: set[int] = set()
    stale: set[int] = set()
    possibly_reached: set[int] = set()
    for artifacts in in_repository:
        reached = _reached(artifacts)
        doubtful = any(artifact.opaque and artifact.digest in reached for artifact in artifacts)
        for artifact in artifacts:
            decisive = _decisive(artifact, artifacts)
            if decisive.tags == 0:
                untagged.add(artifact.position)
            if artifact.digest not in reached:
                (possibly_reached if doubtful else orphaned).add(artifact.position)
            used_at_ms = _effective_used_at_ms(decisive, artifacts)
            if used_at_ms is not None and now_ms - used_at_ms > stale_days * DAY_MS:
                stale.add(artifact.position)
    return _Traits(frozenset(untagged), frozenset(orphaned), frozenset(stale), frozenset(possibly_reached))


def _reached(artifacts: Sequence[_Artifact]) -> set[int]:
    """Digests of one repository's artifacts that a tag reaches through index or subject."""
    reached = {artifact.digest for artifact in artifacts if artifact.tags > 0}
    while True:
        more = set()
        for artifact in artifacts:
            if artifact.digest in reached:
                continue
            if artifact.subject in reached:
                more.add(artifact.digest)
            for parent in artifacts:
                if parent.digest in reached and artifact.digest in parent.children:
                    more.add(artifact.digest)
        if not more:
            return reached
        reached |= more


def _decisive(artifact: _Artifact, artifacts: Sequence[_Artifact]) -> _Artifact:
    """The artifact whose own value decides over ``artifact``: where its chain of subjects ends.

    The first one met twice is part of a cycle and decides for itself; a referrer outside the cycle
    that leads there inherits from the member that it refers to.
    """
    present = {other.digest: other for other in artifacts}
    met: set[int] = set()
    current = artifact
    while current.kind == "referrer" and current.subject in present and current.digest not in met:
        met.add(current.digest)
        current = present[current.subject]
    return current


def _used_at_ms(artifact: _Artifact) -> int | None:
    """When it was last pushed or pulled (to the end of that day), None if neither is known."""
    known = []
    if artifact.pushed_at_ms is not None:
        known.append(artifact.pushed_at_ms)
    if artifact.pulled_day is not None:
        known.append((artifact.pulled_day + 1) * DAY_MS)
    return max(known, default=None)


def _effective_used_at_ms(artifact: _Artifact, artifacts: Sequence[_Artifact]) -> int | None:
    """When it was last used, by itself or through an index that leads to it."""
    family = {artifact.digest}
    while True:
        parents = {other.digest for other in artifacts if other.children & family}
        if parents <= family:
            break
        family |= parents
    known = []
    for other in artifacts:
        used_at_ms = _used_at_ms(other)
        if other.digest in family and used_at_ms is not None:
            known.append(used_at_ms)
    return max(known, default=None)


# --- bytes ----------------------------------------------------------------------------------------


def _held(artifacts: Iterable[_Artifact]) -> set[int]:
    """The distinct blobs of ``artifacts`` together."""
    blobs: set[int] = set()
    for artifact in artifacts:
        blobs |= artifact.blobs
    return blobs


def _total(blobs: Iterable[int], sizes: Sequence[int]) -> int:
    """Bytes of distinct ``blobs``."""
    return sum(sizes[blob] for blob in blobs)


def _logical(artifacts: Iterable[_Artifact], sizes: Sequence[int]) -> int:
    """Bytes with every artifact counted whole."""
    return sum(_total(artifact.blobs, sizes) for artifact in artifacts)


def _physical(scope: Sequence[_Artifact], sizes: Sequence[int]) -> int:
    """Bytes with each blob counted once among the artifacts of one scope."""
    return _total(_held(scope), sizes)


def _archive(scope: Sequence[_Artifact], sizes: Sequence[int]) -> int:
    """The archive part of ``_physical``: blobs that only archived artifacts hold."""
    live = _held(artifact for artifact in scope if not artifact.archived)
    return _total(_held(scope) - live, sizes)


def _without(scope: Sequence[_Artifact], gone: frozenset[int]) -> list[_Artifact]:
    """The artifacts of ``scope`` that are left once those at the positions ``gone`` are removed."""
    return [artifact for artifact in scope if artifact.position not in gone]


def _freed(scope: Sequence[_Artifact], gone: frozenset[int], sizes: Sequence[int]) -> int:
    """Physical before less physical after ``gone`` has been removed."""
    return _physical(scope, sizes) - _physical(_without(scope, gone), sizes)


def _freed_archive(scope: Sequence[_Artifact], gone: frozenset[int], sizes: Sequence[int]) -> int:
    """Archive before less archive after ``gone`` has been removed; may be negative."""
    return _archive(scope, sizes) - _archive(_without(scope, gone), sizes)


# --- rows -----------------------------------------------------------------------------------------


def _artifact_row(
    artifact: _Artifact,
    repository: Sequence[_Artifact],
    group: Sequence[_Artifact],
    traits: _Traits,
    sizes: Sequence[int],
) -> Row:
    """One artifact, given the artifacts of its repository and of its group (itself included)."""
    others_here = _without(repository, frozenset({artifact.position}))
    others_in_group = _without(group, frozenset({artifact.position}))
    return {
        "kind": artifact.kind,
        "tagged": artifact.tags > 0,
        "orphaned": artifact.position in traits.orphaned,
        "stale": artifact.position in traits.stale,
        "logical_bytes": _total(artifact.blobs, sizes),
        "unique_bytes_repository": _total(artifact.blobs - _held(others_here), sizes),
        "unique_bytes_registry": _total(artifact.blobs - _held(others_in_group), sizes),
    }


def _repository_row(
    artifacts: Sequence[_Artifact], group: Sequence[_Artifact], traits: _Traits, sizes: Sequence[int]
) -> Row:
    """One repository with ``artifacts``, in the ``group`` of artifacts it may share blobs with."""
    images = [artifact for artifact in artifacts if artifact.kind == "image"]
    here = {artifact.position for artifact in artifacts}
    elsewhere = [artifact for artifact in group if artifact.position not in here]
    unique = _held(artifacts) - _held(elsewhere)
    unique_live = unique & _held(artifact for artifact in artifacts if not artifact.archived)
    row: Row = {
        "images": len(images),
        "indexes": sum(artifact.kind == "index" for artifact in artifacts),
        "referrers": sum(artifact.kind == "referrer" for artifact in artifacts),
        "unknown": sum(artifact.kind == "unknown" for artifact in artifacts),
        "untagged_images": sum(image.tags == 0 for image in images),
        "orphaned_images": sum(image.position in traits.orphaned for image in images),
        "possibly_reached_images": sum(image.position in traits.possibly_reached for image in images),
        "stale_images": sum(image.position in traits.stale for image in images),
        "never_pulled_images": sum(image.pulled_day is None for image in images),
        "archived_images": sum(
            artifact.archived for artifact in artifacts if artifact.kind in ("image", "unknown")
        ),
        "logical_bytes": _logical(artifacts, sizes),
        "physical_bytes": _physical(artifacts, sizes),
        "archive_bytes": _archive(artifacts, sizes),
        "unique_bytes": _total(unique, sizes),
        "unique_archive_bytes": _total(unique - unique_live, sizes),
        "reported_size_bytes": sum(
            artifact.reported_size_bytes or 0 for artifact in artifacts if artifact.kind != "index"
        ),
    }
    for trait in TRAITS:
        row[f"{trait}_freed_bytes"] = _freed(artifacts, traits.of(trait), sizes)
        row[f"{trait}_freed_archive_bytes"] = _freed_archive(artifacts, traits.of(trait), sizes)
    return row


def _registry_row(
    rows: Sequence[Row],
    repositories: Sequence[Sequence[_Artifact]],
    groups: Sequence[Sequence[_Artifact]],
    traits: _Traits,
    sizes: Sequence[int],
) -> Row:
    """One registry: the ``rows`` and artifacts of its repositories, and the artifacts by group."""

    def summed(column: str) -> int:
        return sum(int(row[column]) for row in rows)

    physical_registry = sum(_physical(group, sizes) for group in groups)
    archive_registry = sum(_archive(group, sizes) for group in groups)
    row: Row = {"repositories": len(rows)}
    for count in COUNTS:
        row[count] = summed(count)
    row["logical_bytes"] = sum(_logical(artifacts, sizes) for artifacts in repositories)
    row["physical_bytes_repository"] = sum(_physical(artifacts, sizes) for artifacts in repositories)
    row["physical_bytes_registry"] = physical_registry
    row["archive_bytes_repository"] = sum(_archive(artifacts, sizes) for artifacts in repositories)
    row["archive_bytes_registry"] = archive_registry
    row["shared_bytes"] = physical_registry - summed("unique_bytes")
    row["shared_archive_bytes"] = archive_registry - summed("unique_archive_bytes")
    for trait in TRAITS:
        gone = traits.of(trait)
        for scope, parts in (("repository", repositories), ("registry", groups)):
            row[f"{trait}_freed_bytes_{scope}"] = sum(_freed(part, gone, sizes) for part in parts)
            row[f"{trait}_freed_archive_bytes_{scope}"] = sum(
                _freed_archive(part, gone, sizes) for part in parts
            )
    row["reported_size_bytes"] = summed("reported_size_bytes")
    return row


def _age_rows(in_repository: Sequence[Sequence[_Artifact]], now_ms: int, sizes: Sequence[int]) -> list[Row]:
    """Physical bytes at repository scope by the age of the newest artifact that holds them."""
    stored = {label: 0 for label, _ in AGE_BUCKETS} | {OLDEST: 0, UNDATED: 0}
    for artifacts in in_repository:
        for blob in _held(artifacts):
            pushes = [
                artifact.pushed_at_ms
                for artifact in artifacts
                if blob in artifact.blobs and artifact.pushed_at_ms is not None
            ]
            stored[_bucket(now_ms, max(pushes, default=None))] += sizes[blob]
    return [{"label": label, "physical_bytes": size_bytes} for label, size_bytes in stored.items()]


def _bucket(now_ms: int, pushed_at_ms: int | None) -> str:
    """Label of the age bucket for bytes last pushed at ``pushed_at_ms``."""
    if pushed_at_ms is None:
        return UNDATED
    for label, days in AGE_BUCKETS:
        if now_ms - pushed_at_ms <= days * DAY_MS:
            return label
    return OLDEST
