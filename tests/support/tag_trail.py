"""The real corpus as it grew: what its repositories held at any moment of its eighteen months, as frames.

Nothing was ever deleted from the source, so what has been seen by a moment was there then; tags are
replayed. Config blobs have no known size and are left out.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd

from analyzer.families import Families, find_families, spans
from analyzer.model.frames import (
    NEVER_PULLED,
    NO_SIZE,
    NO_TIME,
    Artifacts,
    Frames,
    Int64,
    LifecycleFacts,
    Listed,
    Manifests,
)
from analyzer.model.records import ImageStatus, Kind
from tests.support.corpus import require_shared

_FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
WEEK_MS = 7 * 86_400_000


@dataclass(frozen=True, slots=True)
class Moment:
    """What was there."""

    frames: Frames
    facts: LifecycleFacts
    families: Families
    at_ms: int


class TagTrail:
    """Every image and index with when it was first seen, and every event of a tag."""

    def __init__(self) -> None:
        folder = require_shared() / "data" / "manifests"

        def lines(name: str) -> list[str]:
            with gzip.open(folder / name, "rt", encoding="utf-8") as file:
                return file.read().splitlines()

        layers = [line.split("\t") for line in lines("layers.tsv.gz")[1:]]
        count = max(int(row[0]) for row in layers) + 1
        #: Layer n is digest n + 1; images and indexes come behind the layers.
        self._first = count + 1
        sizes = np.zeros(count, np.int64)
        foreign = np.zeros(count, np.bool_)
        for number, _, size, _, media_type in layers:
            sizes[int(number)], foreign[int(number)] = int(size), media_type == _FOREIGN
        entries = [json.loads(line) for line in lines("images.jsonl.gz")]
        entries += [json.loads(line) for line in lines("indexes.jsonl.gz")]
        entries.sort(key=lambda entry: (entry["repo"], entry["id"]))
        self.names = sorted({entry["repo"] for entry in entries})
        row = {name: number for number, name in enumerate(self.names)}
        self._repository = np.array([row[entry["repo"]] for entry in entries], np.int64)
        self._number = np.array([entry["id"] for entry in entries], np.int64)
        self.seen_ms = np.array([_ms(entry["first_seen"]) for entry in entries], np.int64)
        self._is_index = np.array(["images" in entry for entry in entries], np.bool_)
        self._blobs = _packed([entry.get("layers", ()) for entry in entries], 1)
        self._children = _packed([entry.get("images", ()) for entry in entries], self._first)
        self._foreign = np.concatenate((np.zeros(1, np.bool_), foreign))
        digests = self._first + int(self._number.max()) + 1
        self._sizes = np.zeros(digests, np.int64)
        self._sizes[1 : count + 1] = sizes
        self._position = {
            key: n for n, key in enumerate(zip(self._repository.tolist(), self._number.tolist(), strict=True))
        }
        self._events = []
        tags: dict[str, int] = {}
        for line in lines("tag_events.tsv.gz")[1:]:
            time, name, tag, number = line.split("\t")
            if name in row:
                key = tags.setdefault(tag, len(tags))
                self._events.append((_ms(time), row[name], key, int(number)))
        self._tag_names = list(tags)
        self.start_ms, self.end_ms = int(self.seen_ms.min()), int(self.seen_ms.max())

    def at(self, at_ms: int) -> Moment:
        """What had been seen by ``at_ms``, with the tags of then."""
        there = np.flatnonzero(self.seen_ms <= at_ms)
        where = np.full(len(self.seen_ms), -1)
        where[there] = np.arange(len(there))
        carried: dict[tuple[int, int], int] = {}
        for moment, row, tag, number in self._events:
            if moment > at_ms:
                break
            carried[row, tag] = number
        pairs = [
            (int(where[self._position[row, number]]), tag)
            for (row, tag), number in carried.items()
            if (row, number) in self._position and where[self._position[row, number]] >= 0
        ]
        pairs.sort()
        counts = np.bincount([holder for holder, _ in pairs] or [0], minlength=len(there))
        if not pairs:
            counts[:] = 0
        ids, manifest = np.unique(self._number[there], return_inverse=True)
        example = there[np.unique(self._number[there], return_index=True)[1]]
        blob_offsets, blobs = _taken(self._blobs, example)
        child_offsets, children = _taken(self._children, example)
        is_index = self._is_index[there]
        frames = Frames(
            registries=_registries(at_ms),
            repositories=self._repositories(at_ms),
            artifacts=Artifacts(
                repository=self._repository[there].astype(np.int32),
                digest_id=(self._first + self._number[there]).astype(np.uint32),
                manifest=manifest.astype(np.int32),
                pushed_at_ms=self.seen_ms[there],
                image_status=np.full(len(there), ImageStatus.ACTIVE, np.uint8),
                pulled_day=np.full(len(there), NEVER_PULLED, np.int32),
                tags=counts.astype(np.int32),
                reported_size_bytes=np.full(len(there), NO_SIZE),
                subject=np.zeros(len(there), np.uint32),
                listed=np.where(is_index, Listed.INDEX, Listed.IMAGE).astype(np.uint8),
            ),
            manifests=Manifests(
                digest_id=(self._first + ids).astype(np.uint32),
                kind=np.where(self._is_index[example], Kind.INDEX, Kind.IMAGE).astype(np.uint8),
                subject=np.zeros(len(ids), np.uint32),
                blob_offsets=blob_offsets,
                blobs=blobs.astype(np.uint32),
                foreign=self._foreign[blobs],
                child_offsets=child_offsets,
                children=children.astype(np.uint32),
            ),
            blob_size_bytes=self._sizes,
        )
        none = np.full(len(there), NO_TIME)
        facts = LifecycleFacts(
            pulled_at_ms=none,
            archived_at_ms=none,
            activated_at_ms=none,
            tie=np.arange(len(there)),
            tag_offsets=np.concatenate((np.zeros(1, np.int64), np.cumsum(counts))),
            tags=np.array([tag for _, tag in pairs], np.int32),
            tag_names=self._tag_names,
        )
        return Moment(frames, facts, find_families(frames), at_ms)

    def _repositories(self, at_ms: int) -> pd.DataFrame:
        count = len(self.names)
        created = np.full(count, at_ms)
        np.minimum.at(created, self._repository, self.seen_ms)
        return pd.DataFrame(
            {
                "registry": np.zeros(count, np.int64),
                "repository": pd.Series(self.names, dtype="str"),
                "created_at_ms": created,
                "status": pd.Series(["complete"] * count, dtype="str"),
                "complete_at_ms": np.full(count, at_ms),
                "encryption_type": pd.Series(["AES256"] * count, dtype="str"),
                "kms_key": pd.Series([""] * count, dtype="str"),
                "pull_through_cache": np.zeros(count, np.bool_),
                "pull_through_cache_known": np.ones(count, np.bool_),
                "lifecycle_policy_text": pd.Series([None] * count, dtype="object"),
                "lifecycle_policy_known": np.ones(count, np.bool_),
            }
        )


def _registries(at_ms: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "partition": pd.Series(["aws"], dtype="str"),
            "account": pd.Series(["123456789012"], dtype="str"),
            "region": pd.Series(["us-east-1"], dtype="str"),
            "snapshot": [1],
            "run": [1],
            "taken_at_ms": [at_ms],
            "status": pd.Series(["complete"], dtype="str"),
            "blob_mounting": pd.Series(["DISABLED"], dtype="str"),
            "blob_mounting_ever": [False],
            "account_name": pd.Series([""], dtype="str"),
            "public_aliases": pd.Series([()], dtype="object"),
        }
    )


def _ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def _packed(values: list[list[int]], first: int) -> tuple[Int64, Int64]:
    lengths = np.array([len(entry) for entry in values], np.int64)
    offsets = np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths)))
    return offsets, np.array([number for entry in values for number in entry], np.int64) + first


def _taken(packed: tuple[Int64, Int64], rows: Int64) -> tuple[Int64, Int64]:
    offsets, values = packed
    lengths = offsets[rows + 1] - offsets[rows]
    return np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths))), values[spans(offsets[rows], lengths)]
