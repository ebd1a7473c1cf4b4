"""Replication once more, slowly: one image, one registry and one blob at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analyzer.model.frames import NO_MANIFEST, NO_TIME, Frames
from analyzer.model.records import Kind

#: Rules as DescribeRegistry gives them, None where they are not known; by registry.
Rules = Sequence[Sequence[Mapping[str, Any]] | None]


@dataclass(frozen=True)
class Answer:
    """Of each artifact where it is, should be or may be; of each repository its bytes."""

    #: yes, no or unknown.
    is_replica: Sequence[str]
    #: Destinations by yes, no and unknown.
    copies: list[dict[str, int]]
    #: Account and region of destinations and sources of each repository; None where not known.
    to: list[list[tuple[str, str]] | None]
    of: list[list[tuple[str, str]]]
    replica_bytes: list[int]
    possible_bytes: list[int]


def find(frames: Frames, rules: Rules) -> Answer:
    """What ``analyzer.replication.find_replication`` must answer."""
    registries: list[Any] = list(
        frames.registries[["partition", "account", "region", "status"]].itertuples(index=False)
    )
    repositories: list[Any] = list(frames.repositories.itertuples(index=False))
    digests: list[set[int]] = [set() for _ in repositories]
    for repository, digest in zip(frames.artifacts.repository, frames.artifacts.digest_id, strict=True):
        digests[int(repository)].add(int(digest))

    def there(registry: int | None, name: str, digest: int) -> str:
        if registry is None:
            return "unknown"
        last = None
        for row, repository in enumerate(repositories):
            if repository.registry == registry and repository.repository == name:
                last = row
        if last is None:
            return "no" if registries[registry].status == "complete" else "unknown"
        if digest in digests[last]:
            return "yes"
        listed = repositories[last].status == "complete" and repositories[last].complete_at_ms != NO_TIME
        return "no" if listed else "unknown"

    def targets(registry: int, name: str) -> list[tuple[str, str]] | None:
        own = rules[registry]
        if own is None:
            return None
        found = set()
        for rule in own:
            filters = [entry["filter"] for entry in rule.get("repositoryFilters", [])]
            if not filters or any(name[: len(text)] == text for text in filters):
                found |= {(d["registryId"], d["region"]) for d in rule["destinations"]}
        return sorted(found - {(registries[registry].account, registries[registry].region)})

    def number(partition: str, place: tuple[str, str]) -> int | None:
        for position, registry in enumerate(registries):
            if (registry.partition, registry.account, registry.region) == (partition, *place):
                return position
        return None

    is_replica, copies = [], []
    for repository, digest in zip(
        frames.artifacts.repository.tolist(), frames.artifacts.digest_id.tolist(), strict=True
    ):
        registry, name = repositories[repository].registry, repositories[repository].repository
        here = registries[registry]
        count = {"yes": 0, "no": 0, "unknown": 0}
        for place in targets(registry, name) or []:
            count[there(number(here.partition, place), name, digest)] += 1
        copies.append(count)
        said = {"no"}
        for source, other in enumerate(registries):
            if source == registry or other.partition != here.partition:
                continue
            sent = targets(source, name)
            if sent is None:
                said.add("no" if there(source, name, digest) == "no" else "unknown")
            elif (here.account, here.region) in sent:
                said.add(there(source, name, digest))
        is_replica.append(next(word for word in ("yes", "unknown", "no") if word in said))

    holders: list[dict[int, set[str]]] = [{} for _ in repositories]
    manifests = frames.manifests
    for position, repository in enumerate(frames.artifacts.repository.tolist()):
        manifest = int(frames.artifacts.manifest[position])
        if manifest == NO_MANIFEST or manifests.kind[manifest] != Kind.IMAGE:
            continue
        for at in range(int(manifests.blob_offsets[manifest]), int(manifests.blob_offsets[manifest + 1])):
            if not manifests.foreign[at]:
                blob = int(manifests.blobs[at])
                holders[repository].setdefault(blob, set()).add(is_replica[position])

    def size(held: Mapping[int, set[str]], *, possible: bool) -> int:
        return sum(
            int(frames.blob_size_bytes[blob])
            for blob, said in held.items()
            if "no" not in said and ("unknown" in said) == possible
        )

    return Answer(
        is_replica,
        copies,
        [targets(one.registry, one.repository) for one in repositories],
        [
            [
                (other.account, other.region)
                for source, other in enumerate(registries)
                if source != one.registry
                and other.partition == registries[one.registry].partition
                and (registries[one.registry].account, registries[one.registry].region)
                in (targets(source, one.repository) or [])
            ]
            for one in repositories
        ],
        [size(held, possible=False) for held in holders],
        [size(held, possible=True) for held in holders],
    )
