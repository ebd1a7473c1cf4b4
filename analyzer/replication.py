"""What is a replica of what: replication rules held against what registries hold.

ECR copies what is pushed to a repository that a rule matches to the repository of the same name in each
of the rule's destinations; nothing that was there before the rule, nothing that came by replication
itself, and deletions only where the rule says so (ECR user guide, "Private image replication in Amazon
ECR"). So a rule says where images should be, and the listings whether they are: the same digest under
the same name. Registries that are not among the frames may replicate here too; of those nothing is
known. What repositories hold in common without a rule, ``lifecycle.replicas`` tells.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from analyzer.holdings import changes, reduce_runs, references_of, runs_of_repositories, sort_rows
from analyzer.model.frames import NO_MANIFEST, NO_TIME, Frames, Int64, UInt8
from analyzer.model.records import Kind, ReadStatus
from analyzer.model.registry_settings import Copy, Place, Replication, ReplicationRule, Settings

#: How far what holds a blob is from being a replica, the least first.
_OWN, _POSSIBLE, _REPLICA = range(3)


def read_replication_rules(settings: Mapping[str, str]) -> tuple[ReplicationRule, ...] | None:
    """The replication rules among the settings of a registry; None where they are not known."""
    text = settings.get("replication_configuration")
    found = None if text is None else json.loads(text)
    return None if not isinstance(found, dict) else tuple(map(_rule, found["rules"]))


def destinations_of(rules: Sequence[ReplicationRule], name: str) -> list[tuple[str, str]]:
    """Account and region of the registries that ``rules`` copy the repository ``name`` to, sorted."""
    return sorted(
        {
            destination
            for rule in rules
            if not rule.prefixes or name.startswith(rule.prefixes)
            for destination in rule.destinations
        }
    )


def find_replication(frames: Frames, settings: Settings) -> Replication:
    """What is a replica of what among the registries of ``frames``.

    An artifact is a replica where the rules of another registry copy its repository and it is there
    too. It may be one where those rules, or that listing, are not known. A repository listed in part
    leaves open what it does not list; one that was deleted at its source holds no replica any more.
    """
    return _Search(frames, settings).go()


class _Search:
    def __init__(self, frames: Frames, settings: Settings) -> None:
        self._frames = frames
        registries, repositories = frames.registries, frames.repositories
        self._keys: list[tuple[str, str, str]] = list(
            zip(registries["partition"], registries["account"], registries["region"], strict=True)
        )
        self._position = {key: position for position, key in enumerate(self._keys)}
        self._is_whole = [status == ReadStatus.COMPLETE for status in registries["status"]]
        self._rules = [read_replication_rules(own) for own in settings.registries]
        self._registry = repositories["registry"].tolist()
        self._names = repositories["repository"].tolist()
        # Of a repository that was made again the later row is the one that is there.
        self._row = {
            key: row for row, key in enumerate(zip(self._registry, self._names, strict=True)) if key[1]
        }
        self._is_listed = [
            status == ReadStatus.COMPLETE and complete != NO_TIME
            for status, complete in zip(
                repositories["status"], repositories["complete_at_ms"].tolist(), strict=True
            )
        ]
        #: Of each registry: the rules of others that copy to it, with whose they are.
        self._into: list[list[tuple[int, ReplicationRule]]] = [[] for _ in self._keys]
        for source, rules in enumerate(self._rules):
            for rule in rules or ():
                for destination in rule.destinations:
                    target = self._position.get((self._keys[source][0], *destination))
                    if target is not None and target != source:
                        self._into[target].append((source, rule))
        self._silent = [source for source, rules in enumerate(self._rules) if rules is None]
        self._bounds = np.searchsorted(frames.artifacts.repository, np.arange(len(repositories) + 1))
        count = len(frames.artifacts.digest_id)
        self._present, self._missing, self._unknown = np.zeros((3, count), np.int32)
        self._replica: UInt8 = np.full(count, Copy.NO, np.uint8)

    def go(self) -> Replication:
        rows = range(len(self._names))
        replicated_to = [self._replicated_to(row) for row in rows]
        replica_of = [self._replica_of(row) for row in rows]
        certain, possible = _bytes(self._frames, self._replica)
        return Replication(
            replicated_to,
            replica_of,
            self._replica,
            self._present,
            self._missing,
            self._unknown,
            certain,
            possible,
        )

    def _replicated_to(self, row: int) -> tuple[Place, ...] | None:
        """Where the rules copy a repository to, with the arrays of its artifacts brought up to it."""
        registry, name = self._registry[row], self._names[row]
        rules = self._rules[registry]
        if rules is None:
            return None
        partition, *own = self._keys[registry]
        mine = slice(int(self._bounds[row]), int(self._bounds[row + 1]))
        places = []
        for account, region in destinations_of(rules, name):
            if [account, region] == own:
                continue
            copies = self._copies(row, self._position.get((partition, account, region)))
            for code, counts in (
                (Copy.YES, self._present),
                (Copy.NO, self._missing),
                (Copy.UNKNOWN, self._unknown),
            ):
                counts[mine] += copies == code
            places.append(_place(account, region, copies))
        return tuple(places)

    def _replica_of(self, row: int) -> tuple[Place, ...]:
        """Which registries' rules copy to a repository, with the codes of its artifacts brought up to it."""
        registry, name = self._registry[row], self._names[row]
        mine = slice(int(self._bounds[row]), int(self._bounds[row + 1]))
        places = []
        sources = {
            source
            for source, rule in self._into[registry]
            if not rule.prefixes or name.startswith(rule.prefixes)
        }
        for source in sources:
            copies = self._copies(row, source)
            places.append(_place(self._keys[source][1], self._keys[source][2], copies))
            self._note(mine, copies)
        for source in self._silent:
            if source == registry or self._keys[source][0] != self._keys[registry][0]:
                continue
            if (source, name) in self._row or not self._is_whole[source]:
                # Whatever is there as well may be a replica from there.
                copies = self._copies(row, source)
                self._note(mine, np.where(copies == Copy.NO, copies, Copy.UNKNOWN))
        return tuple(sorted(places))

    def _note(self, mine: slice, copies: UInt8) -> None:
        own = self._replica[mine]
        own[(copies == Copy.UNKNOWN) & (own == Copy.NO)] = Copy.UNKNOWN
        own[copies == Copy.YES] = Copy.YES

    def _copies(self, row: int, registry: int | None) -> UInt8:
        """``Copy`` codes: which artifacts of a repository are in that registry under the same name."""
        digests = self._digests(row)
        if registry is None:
            return np.full(len(digests), Copy.UNKNOWN, np.uint8)
        other = self._row.get((registry, self._names[row]))
        if other is None:
            code = Copy.NO if self._is_whole[registry] else Copy.UNKNOWN
            return np.full(len(digests), code, np.uint8)
        absent = Copy.NO if self._is_listed[other] else Copy.UNKNOWN
        there = np.isin(digests, self._digests(other), assume_unique=True)
        return np.where(there, Copy.YES, absent).astype(np.uint8)

    def _digests(self, row: int) -> Any:
        return self._frames.artifacts.digest_id[self._bounds[row] : self._bounds[row + 1]]


def _place(account: str, region: str, copies: UInt8) -> Place:
    present, missing, unknown = (int((copies == code).sum()) for code in (Copy.YES, Copy.NO, Copy.UNKNOWN))
    return Place(account, region, present, missing, unknown)


def _bytes(frames: Frames, replica: UInt8) -> tuple[Int64, Int64]:
    """Bytes of each repository that only replicas hold, and that only replicas and possible ones do."""
    artifacts, manifests = frames.artifacts, frames.manifests
    certain, possible = np.zeros((2, len(frames.repositories)), np.int64)
    state = np.array([_OWN, _REPLICA, _POSSIBLE], np.int64)[replica]
    # Repositories without a replica have nothing to count.
    concerned = np.zeros(len(frames.repositories), np.bool_)
    concerned[artifacts.repository[state != _OWN]] = True
    holding = np.flatnonzero((artifacts.manifest != NO_MANIFEST) & concerned[artifacts.repository])
    # What an index or an unknown manifest names counts for nothing.
    holding = holding[manifests.kind[artifacts.manifest[holding]] == Kind.IMAGE]
    lengths = np.diff(manifests.blob_offsets)[artifacts.manifest[holding]]
    for begin, end in runs_of_repositories(artifacts.repository[holding].astype(np.int64), lengths):
        held = holding[begin:end]
        within, references = references_of(frames, held)
        owner, blob, kept = sort_rows(artifacts.repository[held][within], references, state[held][within])
        starts = np.flatnonzero(changes(owner, blob))
        least = reduce_runs(np.minimum, kept, starts)
        owner, size = owner[starts], frames.blob_size_bytes[blob[starts]]
        for sums, code in ((certain, _REPLICA), (possible, _POSSIBLE)):
            np.add.at(sums, owner[least == code], size[least == code])
    return certain, possible


def _rule(entry: Mapping[str, Any]) -> ReplicationRule:
    return ReplicationRule(
        destinations=tuple(
            sorted((str(d.get("registryId")), str(d.get("region"))) for d in entry.get("destinations") or ())
        ),
        prefixes=tuple(sorted(str(f.get("filter")) for f in entry.get("repositoryFilters") or ())),
        deletes=bool((entry.get("deleteReplication") or {}).get("enabled")),
    )
