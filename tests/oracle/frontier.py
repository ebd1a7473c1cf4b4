"""The frontier once more, slowly: for one N at a time mark, drop marks, and count blobs in sets.

Plain sets, dicts and loops over small objects; nothing here is shared with the sweep it checks. The
policy is one rule (any, imageCountMoreThan N or sinceImagePushed N days, expire).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from analyzer.model.frames import NO_MANIFEST, NO_TIME, Frames, LifecycleFacts
from analyzer.model.records import ImageStatus, Kind

DAY_MS = 86_400_000

#: Bytes of the standard and of the archive class.
Bytes = tuple[int, int]


@dataclass
class _Artifact:
    position: int
    repository: int
    status: ImageStatus
    base: int | None
    tie: int
    #: Blob ids that it stores; empty for indexes and what cannot be read.
    blobs: set[int] = field(default_factory=set)
    #: Positions, only of what is present in the repository.
    children: set[int] = field(default_factory=set)
    subject: int | None = None


class SlowFrontier:
    """What stays, and what is stored, at any N."""

    def __init__(
        self,
        frames: Frames,
        facts: LifecycleFacts,
        *,
        now_ms: int,
        by: str,
        children_take_slots: bool = True,
    ) -> None:
        self._sizes = frames.blob_size_bytes.tolist()
        self._now_ms = now_ms
        self._by = by
        self._children_take_slots = children_take_slots
        self._artifacts = _artifacts(frames, facts)
        #: Registry and sharing group of each repository.
        self._places: list[tuple[int, object]] = [
            (row["registry"], position)
            if row["pull_through_cache"]
            else (row["registry"], (row["registry"], row["encryption_type"], row["kms_key"]))
            for position, row in enumerate(frames.repositories.to_dict("records"))
        ]
        self._named_by: dict[int, set[int]] = {a.position: set() for a in self._artifacts}
        for artifact in self._artifacts:
            for child in artifact.children:
                self._named_by[child].add(artifact.position)

    def largest(self) -> int:
        """An N that keeps everything."""
        if self._by == "images":
            return len(self._artifacts) + 1
        ages = [self._now_ms - a.base for a in self._artifacts if a.base is not None]
        return max([0, *ages]) // DAY_MS + 2

    def kept(self, n: int, repositories: Collection[int]) -> set[int]:
        """Positions of what stays when the policy holds in these ``repositories`` alone."""
        leaves: set[int] = set()
        for repository in repositories:
            leaves |= self._leaving(n, [a for a in self._artifacts if a.repository == repository])
        return {a.position for a in self._artifacts} - leaves

    def _leaving(self, n: int, artifacts: list[_Artifact]) -> set[int]:
        seen = [
            a
            for a in artifacts
            if a.subject is None and a.status not in {ImageStatus.ARCHIVED, ImageStatus.ACTIVATING}
        ]
        marked = {a.position for a in (self._over(n, seen) if self._by == "images" else self._old(n, seen))}
        self._mark_followers(artifacts, marked)
        while True:
            lost = {
                a.position
                for a in artifacts
                if a.position in marked
                and (
                    any(parent not in marked for parent in self._named_by[a.position] if parent != a.position)
                    or (a.subject is not None and a.subject not in marked)
                )
            }
            if not lost:
                return marked
            marked -= lost

    def _over(self, n: int, seen: list[_Artifact]) -> list[_Artifact]:
        if not self._children_take_slots:
            seen = [a for a in seen if not self._named_by[a.position]]
        unknown = [a for a in seen if a.base is None]
        # Youngest first: of equal times the smaller is the older.
        dated = sorted(
            (a for a in seen if a.base is not None), key=lambda a: (a.base or 0, a.tie), reverse=True
        )
        return dated[max(0, n - len(unknown)) :]

    def _old(self, n: int, seen: list[_Artifact]) -> list[_Artifact]:
        return [a for a in seen if a.base is not None and self._now_ms - a.base > n * DAY_MS]

    def _mark_followers(self, artifacts: list[_Artifact], marked: set[int]) -> None:
        while True:
            more = {
                a.position
                for a in artifacts
                if a.subject in marked and a.position not in marked and a.status != ImageStatus.ACTIVATING
            }
            if not more:
                return
            marked |= more

    def stored(self, kept: set[int], scope: str, *, registry: int | None = None) -> Bytes:
        """What the ``kept`` artifacts store, everywhere or in one ``registry``."""
        holders: dict[tuple[object, int], list[_Artifact]] = {}
        for artifact in self._artifacts:
            in_registry, group = self._places[artifact.repository]
            if artifact.position not in kept or registry not in {None, in_registry}:
                continue
            where = group if scope == "registry" else artifact.repository
            for blob in artifact.blobs:
                holders.setdefault((where, blob), []).append(artifact)
        standard = archive = 0
        for (_, blob), of in holders.items():
            size = self._sizes[blob]
            if all(a.status in {ImageStatus.ARCHIVED, ImageStatus.ACTIVATING} for a in of):
                archive += size
            else:
                standard += size
        return standard, archive

    def of_repository(self, repository: int, n: int, scope: str) -> tuple[int, Bytes]:
        """Artifacts kept of one repository, and what they add to what all others store."""
        own = {a.position for a in self._artifacts if a.repository == repository}
        everything = {a.position for a in self._artifacts}
        kept = self.kept(n, [repository])
        return len(kept & own), _less(self.stored(kept, scope), self.stored(everything - own, scope))

    def of_registry(
        self, registry: int, n: int, scope: str, chosen: Collection[int]
    ) -> tuple[int, Bytes, Bytes]:
        """Artifacts kept of the ``chosen`` repositories, what they add to the rest, and the rest."""
        own = {a.position for a in self._artifacts if self._places[a.repository][0] == registry}
        others = {a.position for a in self._artifacts if a.repository not in chosen}
        kept = self.kept(n, chosen)
        rest = self.stored(others, scope, registry=registry)
        return len((kept & own) - others), _less(self.stored(kept, scope, registry=registry), rest), rest


def _less(one: Bytes, other: Bytes) -> Bytes:
    return one[0] - other[0], one[1] - other[1]


def _artifacts(frames: Frames, facts: LifecycleFacts) -> list[_Artifact]:
    listed, manifests = frames.artifacts, frames.manifests
    place = {(int(listed.repository[k]), int(listed.digest_id[k])): k for k in range(len(listed.repository))}

    def known(time: int) -> int | None:
        return None if time == NO_TIME else time

    found = []
    for k in range(len(listed.repository)):
        repository, manifest = int(listed.repository[k]), int(listed.manifest[k])
        base = known(int(facts.activated_at_ms[k]))
        artifact = _Artifact(
            position=k,
            repository=repository,
            status=ImageStatus(int(listed.image_status[k])),
            base=known(int(listed.pushed_at_ms[k])) if base is None else base,
            tie=int(facts.tie[k]),
        )
        subject = int(listed.subject[k])
        if manifest != NO_MANIFEST:
            subject = int(manifests.subject[manifest]) or subject
            if manifests.kind[manifest] == Kind.IMAGE:
                artifact.blobs = _part(
                    manifests.blob_offsets, manifest, lambda at: manifests.blobs[at], manifests.foreign
                )
            if manifests.kind[manifest] == Kind.INDEX:
                children = _part(manifests.child_offsets, manifest, lambda at: manifests.children[at])
                artifact.children = {place[repository, c] for c in children if (repository, c) in place}
        artifact.subject = place.get((repository, subject)) if subject else None
        found.append(artifact)
    return found


def _part(
    offsets: Collection[int], manifest: int, pick: Callable[[int], int], foreign: Collection[bool] = ()
) -> set[int]:
    bounds, left_out = list(offsets), list(foreign)
    positions = range(int(bounds[manifest]), int(bounds[manifest + 1]))
    return {int(pick(at)) for at in positions if not (left_out and left_out[at])}
