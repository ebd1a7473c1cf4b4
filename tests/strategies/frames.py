"""Frames for tests: a plain description that examples write by hand, and random ones for hypothesis.

``build_frames`` turns a description into ``Frames`` that obey what ``analyzer.model.frames``
documents: artifacts in order of (repository, digest_id), each manifest that they have exactly once
and no other, repositories in the order of their registries and names. ``cases`` draws small dense
registries in which digests meet in every way that the arrays can express, the absurd ones included
(an index that contains itself, referrers in a circle, a digest that is manifest and layer).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
from hypothesis import strategies as st

from analyzer.model.frames import (
    NEVER_PULLED,
    NO_MANIFEST,
    NO_SIZE,
    NO_TIME,
    Artifacts,
    Frames,
    Int64,
    Listed,
    Manifests,
)
from analyzer.model.records import ImageStatus, Kind

DAY_MS = 86_400_000

_Scalar = TypeVar("_Scalar", bound=np.generic)

#: Digest ids that drawn artifacts may have; ``_ABSENT`` is one that no artifact ever has.
_ARTIFACT_DIGESTS = range(1, 10)
_ABSENT = 10
#: Digest ids of drawn blobs. The overlap is meant: a manifest can be pushed as a layer too.
_BLOB_DIGESTS = range(8, 17)

#: Account and region of the registries, in order; two share an account, two a region.
_REGISTRIES = (
    ("111111111111", "eu-west-1"),
    ("111111111111", "us-east-1"),
    ("222222222222", "eu-west-1"),
    ("222222222222", "public"),
)


@dataclass(frozen=True, slots=True)
class ManifestSpec:
    """A manifest; its digest is the key under which it is given."""

    kind: Kind = Kind.IMAGE
    #: Config and layers in order as (digest_id, foreign).
    blobs: tuple[tuple[int, bool], ...] = ()
    #: digest_ids; indexes only.
    children: tuple[int, ...] = ()
    #: digest_id of the subject, 0 for none.
    subject: int = 0


@dataclass(frozen=True, slots=True)
class ArtifactSpec:
    """One artifact of a repository, unknown by default in all that AWS may leave out."""

    digest_id: int
    tags: int = 0
    pushed_at_ms: int = NO_TIME
    pulled_day: int = NEVER_PULLED
    image_status: ImageStatus = ImageStatus.ACTIVE
    reported_size_bytes: int = NO_SIZE
    #: digest_id of the subject as DescribeImages names it, 0 for none.
    subject: int = 0
    listed: Listed = Listed.IMAGE


@dataclass(frozen=True, slots=True)
class RepositorySpec:
    """One repository; ``artifacts`` in any order."""

    artifacts: tuple[ArtifactSpec, ...] = ()
    #: Position of its registry, 0 to 3; the last is a public one.
    registry: int = 0
    name: str = ""
    encryption_type: str = "AES256"
    kms_key: str = ""
    pull_through_cache: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """Arguments for one storage analysis."""

    frames: Frames
    now_ms: int
    stale_days: int


def image(*blobs: int, foreign: Sequence[int] = (), subject: int = 0) -> ManifestSpec:
    """An image (a referrer with ``subject``) of ``blobs``, followed by the ``foreign`` ones."""
    references = tuple((b, False) for b in blobs) + tuple((b, True) for b in foreign)
    return ManifestSpec(Kind.IMAGE, blobs=references, subject=subject)


def index(*children: int, subject: int = 0) -> ManifestSpec:
    """An index of ``children``."""
    return ManifestSpec(Kind.INDEX, children=children, subject=subject)


def build_frames(
    repositories: Sequence[RepositorySpec],
    manifests: Mapping[int, ManifestSpec],
    sizes: Mapping[int, int],
    *,
    registries: int = 1,
    mounting: Sequence[tuple[str, bool]] = (),
) -> Frames:
    """Frames of ``repositories``, sorted by registry and name (stable).

    ``manifests`` by digest_id; an artifact whose digest has none was never read. Those that an
    artifact has are kept in the order given. ``sizes``: bytes of blobs by digest_id. ``mounting``:
    what blob mounting is set to in each registry, and whether it ever was on; off everywhere unless
    given. The arrays refuse to be written to.
    """
    repositories = sorted(repositories, key=lambda r: (r.registry, r.name))
    listed = [
        (position, artifact)
        for position, repository in enumerate(repositories)
        for artifact in sorted(repository.artifacts, key=lambda a: a.digest_id)
    ]
    present = {artifact.digest_id for _, artifact in listed}
    kept = {digest_id: spec for digest_id, spec in manifests.items() if digest_id in present}
    position_of = {digest_id: position for position, digest_id in enumerate(kept)}
    mentioned = {
        *sizes,
        *present,
        *(a.subject for _, a in listed),
        *(spec.subject for spec in kept.values()),
        *(child for spec in kept.values() for child in spec.children),
        *(blob for spec in kept.values() for blob, _ in spec.blobs),
    }
    size_bytes = [sizes.get(digest_id, 0) for digest_id in range(max(mentioned, default=0) + 1)]
    return Frames(
        registries=_registries(registries, mounting or [("DISABLED", False)] * registries),
        repositories=_repositories(repositories),
        artifacts=Artifacts(
            repository=_array([position for position, _ in listed], np.int32),
            digest_id=_array([a.digest_id for _, a in listed], np.uint32),
            manifest=_array([position_of.get(a.digest_id, NO_MANIFEST) for _, a in listed], np.int32),
            pushed_at_ms=_array([a.pushed_at_ms for _, a in listed], np.int64),
            image_status=_array([a.image_status for _, a in listed], np.uint8),
            pulled_day=_array([a.pulled_day for _, a in listed], np.int32),
            tags=_array([a.tags for _, a in listed], np.int32),
            reported_size_bytes=_array([a.reported_size_bytes for _, a in listed], np.int64),
            subject=_array([a.subject for _, a in listed], np.uint32),
            listed=_array([a.listed for _, a in listed], np.uint8),
        ),
        manifests=Manifests(
            digest_id=_array(list(kept), np.uint32),
            kind=_array([spec.kind for spec in kept.values()], np.uint8),
            subject=_array([spec.subject for spec in kept.values()], np.uint32),
            blob_offsets=_offsets([len(spec.blobs) for spec in kept.values()]),
            blobs=_array([blob for spec in kept.values() for blob, _ in spec.blobs], np.uint32),
            foreign=_array([foreign for spec in kept.values() for _, foreign in spec.blobs], np.bool_),
            child_offsets=_offsets([len(spec.children) for spec in kept.values()]),
            children=_array([child for spec in kept.values() for child in spec.children], np.uint32),
        ),
        blob_size_bytes=_array(size_bytes, np.int64),
    )


def _array(values: Sequence[object], dtype: type[_Scalar]) -> npt.NDArray[_Scalar]:
    """A read-only array of ``values``."""
    array = np.array(values, dtype)
    array.flags.writeable = False
    return array


def _offsets(lengths: Sequence[int]) -> Int64:
    """Where parts of these ``lengths``, laid back to back, begin; and where the last one ends."""
    return _array([sum(lengths[:k]) for k in range(len(lengths) + 1)], np.int64)


def _registries(count: int, mounting: Sequence[tuple[str, bool]]) -> pd.DataFrame:
    """The frame of the first ``count`` registries, each with its blob mounting."""
    known = _REGISTRIES[:count]
    return pd.DataFrame(
        {
            "partition": pd.Series(["aws"] * len(known), dtype="str"),
            "account": pd.Series([account for account, _ in known], dtype="str"),
            "region": pd.Series([region for _, region in known], dtype="str"),
            "snapshot": np.ones(len(known), np.int64),
            "run": np.ones(len(known), np.int64),
            "taken_at_ms": np.zeros(len(known), np.int64),
            "status": pd.Series(["complete"] * len(known), dtype="str"),
            "blob_mounting": pd.Series([setting for setting, _ in mounting], dtype="str"),
            "blob_mounting_ever": np.array([ever for _, ever in mounting], np.bool_),
            "account_name": pd.Series([""] * len(known), dtype="str"),
            "public_aliases": pd.Series([()] * len(known), dtype="object"),
        }
    )


def _repositories(repositories: Sequence[RepositorySpec]) -> pd.DataFrame:
    """The frame of ``repositories``, in their order; created one after the other."""
    count = len(repositories)
    return pd.DataFrame(
        {
            "registry": np.array([r.registry for r in repositories], np.int64),
            "repository": pd.Series([r.name for r in repositories], dtype="str"),
            "created_at_ms": np.arange(count, dtype=np.int64),
            "status": pd.Series(["complete"] * count, dtype="str"),
            "complete_at_ms": np.zeros(count, np.int64),
            "encryption_type": pd.Series([r.encryption_type for r in repositories], dtype="str"),
            "kms_key": pd.Series([r.kms_key for r in repositories], dtype="str"),
            "pull_through_cache": np.array([r.pull_through_cache for r in repositories], np.bool_),
            "pull_through_cache_known": np.ones(count, np.bool_),
            "lifecycle_policy_text": pd.Series([None] * count, dtype="object"),
            "lifecycle_policy_known": np.ones(count, np.bool_),
        }
    )


#: Days that stand at, just before and just behind what decides an age or staleness, and future ones.
_DAYS = (0, 1, -1, -3, 29, 30, 31, 89, 90, 91, 92, 179, 180, 181, 364, 365, 366, 367, 3000)
#: Empty blobs, small ones, and such as an int32 or a float64 cannot hold.
_SPECIAL_SIZES = (0, 1, 2, 3, 2**31 - 1, 2**31, 2**32 + 1, 2**53 - 1, 2**53 + 1)
_SIZES = st.one_of(st.sampled_from(_SPECIAL_SIZES), st.integers(0, 2**40))
_REFERENCES = st.lists(
    st.sampled_from([(blob, foreign) for foreign in (False, False, False, True) for blob in _BLOB_DIGESTS]),
    max_size=6,
).map(tuple)
_LISTED = st.sampled_from([Listed.IMAGE] * 6 + [Listed.INDEX, Listed.UNKNOWN])
_CHILDREN = st.lists(st.sampled_from([*_ARTIFACT_DIGESTS, _ABSENT]), max_size=3).map(tuple)
#: The encryptions (type and key) that the repositories of one case choose from.
_ENCRYPTIONS = (
    [("AES256", "")],
    [("AES256", "")] * 3 + [("KMS", "key/a"), ("", "")],
    [("KMS", "key/a"), ("KMS", "key/b"), ("KMS_DSSE", "key/a")],
)


def _subjects(none: int) -> st.SearchStrategy[int]:
    """Subjects of which ``none`` to every eleven are none at all."""
    return st.sampled_from([0] * none + [*_ARTIFACT_DIGESTS, _ABSENT])


def _manifest_specs(
    subjects: st.SearchStrategy[int], *, images_in_ten: int
) -> st.SearchStrategy[ManifestSpec | None]:
    """Manifests, None where one was never read: so many images, one odd kind, the rest indexes.

    An index or an unknown one may name blobs too, which count for nothing.
    """
    images = st.builds(ManifestSpec, st.just(Kind.IMAGE), _REFERENCES, st.just(()), subjects)
    indexes = st.builds(ManifestSpec, st.just(Kind.INDEX), st.just(()), _CHILDREN, subjects)
    odd = st.one_of(
        st.none(),
        st.builds(ManifestSpec, st.just(Kind.UNKNOWN), _REFERENCES, st.just(()), subjects),
        st.builds(ManifestSpec, st.just(Kind.UNREADABLE), _REFERENCES, st.just(()), subjects),
        st.builds(ManifestSpec, st.just(Kind.INDEX), _REFERENCES, _CHILDREN, subjects),
    )
    kinds = [images] * images_in_ten + [indexes] * (9 - images_in_ten) + [odd]
    return st.sampled_from(kinds).flatmap(lambda chosen: chosen)


#: Where most artifacts stand alone, where chains of subjects form, and where indexes nest.
_MANIFESTS = (
    _manifest_specs(_subjects(20), images_in_ten=7),
    _manifest_specs(_subjects(4), images_in_ten=7),
    _manifest_specs(_subjects(40), images_in_ten=4),
)

#: Tags, milliseconds since the push (None unknown), days since the last pull (None never), status,
#: reported size, subject.
_STATES = st.tuples(
    st.sampled_from([0, 0, 0, 1, 2]),
    st.sampled_from([None] * 10 + [days * DAY_MS + ms for ms in (0, 1, -1, 4567) for days in _DAYS]),
    st.sampled_from([*[None] * 10, *_DAYS]),
    st.sampled_from([ImageStatus.ACTIVE, *ImageStatus]),
    st.sampled_from([NO_SIZE, NO_SIZE, *_SPECIAL_SIZES]),
    # Less often than by the manifest, or few images would remain.
    _subjects(60),
)


@st.composite
def _artifact_specs(draw: st.DrawFn, digest_id: int, now_ms: int) -> ArtifactSpec:
    """Artifacts of one digest whose times lie near the bounds that count, seen from ``now_ms``."""
    tags, push_age_ms, pull_age_days, image_status, reported_size_bytes, subject = draw(_STATES)
    return ArtifactSpec(
        digest_id=digest_id,
        tags=tags,
        pushed_at_ms=NO_TIME if push_age_ms is None else now_ms - push_age_ms,
        pulled_day=NEVER_PULLED if pull_age_days is None else now_ms // DAY_MS - pull_age_days,
        image_status=image_status,
        reported_size_bytes=reported_size_bytes,
        subject=subject,
        listed=draw(_LISTED),
    )


@st.composite
def _repository_specs(
    draw: st.DrawFn, registries: int, encryptions: Sequence[tuple[str, str]], now_ms: int
) -> RepositorySpec:
    """Repositories of one of the first ``registries`` registries, empty ones among them."""
    least = draw(st.sampled_from([0, 2, 4]))
    digests = draw(st.lists(st.sampled_from(_ARTIFACT_DIGESTS), min_size=least, unique=True))
    encryption_type, kms_key = draw(st.sampled_from(encryptions))
    return RepositorySpec(
        artifacts=tuple(draw(_artifact_specs(digest_id, now_ms)) for digest_id in digests),
        registry=draw(st.sampled_from([0, *range(registries)])),
        # One name twice in a registry is a repository made again.
        name=draw(st.sampled_from("abcdef")),
        encryption_type=encryption_type,
        kms_key=kms_key,
        pull_through_cache=draw(st.sampled_from([False] * 5 + [True])),
    )


#: Blob mounting is off, on, was on, or cannot be read any more.
_MOUNTING = st.sampled_from(
    [("DISABLED", False), ("ENABLED", True), ("DISABLED", True), ("", False), ("", True)]
)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """One to three registries of up to six small repositories, and a moment to judge them at."""
    now_ms = draw(st.sampled_from([20_000 * DAY_MS, 20_000 * DAY_MS + 1, 20_001 * DAY_MS - 1]))
    registries = draw(st.sampled_from([1, 1, 2, 3]))
    manifest_specs = draw(st.sampled_from(_MANIFESTS))
    # Any order, so that nothing may rely on manifests being sorted.
    manifests: dict[int, ManifestSpec] = {}
    for digest_id in draw(st.permutations(_ARTIFACT_DIGESTS)):
        spec = draw(manifest_specs)
        if spec is not None:
            manifests[digest_id] = spec
    sizes = {digest_id: draw(_SIZES) for digest_id in _BLOB_DIGESTS}
    least = draw(st.sampled_from([0, 1, 2, 3]))
    encryptions = draw(st.sampled_from(_ENCRYPTIONS))
    repositories = draw(
        st.lists(_repository_specs(registries, encryptions, now_ms), min_size=least, max_size=6)
    )
    stale_days = draw(st.sampled_from([0, 1, 30, 90, 365, 100_000]))
    mounting = draw(st.lists(_MOUNTING, min_size=registries, max_size=registries))
    frames = build_frames(repositories, manifests, sizes, registries=registries, mounting=mounting)
    return Case(frames, now_ms, stale_days)
