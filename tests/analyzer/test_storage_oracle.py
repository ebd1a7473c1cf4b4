"""The storage analysis against its slow twin, against its own algebra, and against pencil and paper."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.model.frames import Frames, Listed
from analyzer.model.records import ImageStatus, Kind
from analyzer.storage import Storage, analyze
from tests.oracle import storage as oracle
from tests.oracle.storage import COUNTS, TRAITS, Row, Tables
from tests.strategies.frames import (
    DAY_MS,
    ArtifactSpec,
    Case,
    ManifestSpec,
    RepositorySpec,
    build_frames,
    cases,
    image,
    index,
)
from tests.support.examples import examples

NOW_MS = 20_000 * DAY_MS

#: Text columns stand with str, truth values with bool, everything else is an int64.
ARTIFACT_COLUMNS: dict[str, type] = {
    "kind": str,
    "tagged": bool,
    "orphaned": bool,
    "stale": bool,
    "logical_bytes": int,
    "unique_bytes_repository": int,
    "unique_bytes_registry": int,
}
REPOSITORY_COLUMNS: dict[str, type] = dict.fromkeys(
    (
        *COUNTS,
        "logical_bytes",
        "physical_bytes",
        "archive_bytes",
        "unique_bytes",
        "unique_archive_bytes",
        *(f"{trait}_freed_{what}" for trait in TRAITS for what in ("bytes", "archive_bytes")),
        "reported_size_bytes",
    ),
    int,
)
REGISTRY_COLUMNS: dict[str, type] = dict.fromkeys(
    (
        "repositories",
        *COUNTS,
        "logical_bytes",
        "physical_bytes_repository",
        "physical_bytes_registry",
        "archive_bytes_repository",
        "archive_bytes_registry",
        "shared_bytes",
        "shared_archive_bytes",
        *(
            f"{trait}_freed_{what}_{scope}"
            for trait in TRAITS
            for what in ("bytes", "archive_bytes")
            for scope in ("repository", "registry")
        ),
        "reported_size_bytes",
    ),
    int,
)
AGE_COLUMNS: dict[str, type] = {"label": str, "physical_bytes": int}


def _rows(frame: pd.DataFrame) -> list[Row]:
    """The rows of ``frame`` as plain dicts of plain values."""
    return [{str(column): value for column, value in row.items()} for row in frame.to_dict("records")]


def _fast(case: Case) -> Tables:
    """What the analysis answers, as rows; its tables must have the documented shape."""
    storage = analyze(case.frames, now_ms=case.now_ms, stale_days=case.stale_days)
    _assert_schema(storage.artifacts, ARTIFACT_COLUMNS)
    _assert_schema(storage.repositories, REPOSITORY_COLUMNS)
    _assert_schema(storage.registries, REGISTRY_COLUMNS)
    _assert_schema(storage.ages, AGE_COLUMNS)
    return Tables(
        artifacts=_rows(storage.artifacts),
        repositories=_rows(storage.repositories),
        registries=_rows(storage.registries),
        ages=_rows(storage.ages),
    )


def _slow(case: Case) -> Tables:
    """What the oracle answers."""
    return oracle.analyze(case.frames, now_ms=case.now_ms, stale_days=case.stale_days)


def _assert_same_rows(name: str, got: Sequence[Row], expected: Sequence[Row]) -> None:
    """Fail on the first cells of table ``name`` that differ, all of them named."""
    assert len(got) == len(expected), f"{name}: {len(got)} rows, expected {len(expected)}"
    wrong = [
        f"{name}[{position}].{column}: got {row.get(column)!r}, expected {want.get(column)!r}"
        for position, (row, want) in enumerate(zip(got, expected, strict=True))
        for column in sorted({*row, *want})
        if row.get(column) != want.get(column)
    ]
    assert not wrong, "\n".join(wrong)


def _assert_schema(frame: pd.DataFrame, columns: dict[str, type]) -> None:
    """``frame`` has exactly ``columns`` of these types, and a RangeIndex."""
    assert sorted(frame.columns) == sorted(columns)
    assert isinstance(frame.index, pd.RangeIndex)
    assert (frame.index.start, frame.index.step) == (0, 1)
    for column, kind in columns.items():
        if kind is str:
            assert pd.api.types.is_string_dtype(frame[column]), column
        else:
            assert frame[column].dtype == {bool: np.bool_, int: np.int64}[kind], column


# Shrinking a failure to its minimal example takes up to five minutes.
@pytest.mark.timeout(600)
@examples(400)
@given(cases())
def test_every_figure_agrees_with_the_oracle(case: Case) -> None:
    got, expected = _fast(case), _slow(case)
    _assert_same_rows("artifacts", got.artifacts, expected.artifacts)
    _assert_same_rows("repositories", got.repositories, expected.repositories)
    _assert_same_rows("registries", got.registries, expected.registries)
    _assert_same_rows("ages", got.ages, expected.ages)


def test_storage_is_frozen() -> None:
    storage = analyze(_one_repository({}, {}).frames, now_ms=NOW_MS, stale_days=90)
    assert isinstance(storage, Storage)
    with pytest.raises(FrozenInstanceError):
        storage.ages = storage.artifacts  # type: ignore[misc]  # what is tried is what must fail


# --- properties that need no oracle ---------------------------------------------------------------


@examples(100)
@given(cases())
def test_bounds_hold_in_every_row(case: Case) -> None:
    tables = _fast(case)
    for row in tables.artifacts:
        assert 0 <= int(row["unique_bytes_registry"]) <= int(row["unique_bytes_repository"])
        assert int(row["unique_bytes_repository"]) <= int(row["logical_bytes"])
        if row["kind"] in ("index", "unknown"):
            assert row["logical_bytes"] == 0
    for row in tables.repositories:
        assert 0 <= int(row["unique_bytes"]) <= int(row["physical_bytes"]) <= int(row["logical_bytes"])
        assert 0 <= int(row["archive_bytes"]) <= int(row["physical_bytes"])
        assert 0 <= int(row["unique_archive_bytes"]) <= int(row["unique_bytes"])
        for trait in TRAITS:
            freed, freed_archive = (
                int(row[f"{trait}_freed_bytes"]),
                int(row[f"{trait}_freed_archive_bytes"]),
            )
            assert 0 <= freed <= int(row["physical_bytes"])
            # Standard bytes never grow when something leaves: both its ways out are losses.
            assert freed_archive <= min(freed, int(row["archive_bytes"]))
        assert int(row["orphaned_images"]) <= int(row["untagged_images"]) <= int(row["images"])
        assert int(row["stale_images"]) <= int(row["images"])
        assert int(row["archived_images"]) <= int(row["images"]) + int(row["unknown"])
        assert int(row["orphaned_images"]) + int(row["possibly_reached_images"]) <= int(row["images"])
    for row in tables.registries:
        at_repository, at_registry = (
            int(row["physical_bytes_repository"]),
            int(row["physical_bytes_registry"]),
        )
        assert 0 <= at_registry <= at_repository <= int(row["logical_bytes"])
        assert int(row["archive_bytes_registry"]) <= int(row["archive_bytes_repository"]) <= at_repository
        assert 0 <= int(row["shared_archive_bytes"]) <= int(row["shared_bytes"]) <= at_registry
        for trait in TRAITS:
            assert 0 <= int(row[f"{trait}_freed_bytes_repository"]) <= at_repository
            assert 0 <= int(row[f"{trait}_freed_bytes_registry"]) <= at_registry
            assert int(row[f"{trait}_freed_bytes_registry"]) <= int(row[f"{trait}_freed_bytes_repository"])
            for scope in ("repository", "registry"):
                freed = int(row[f"{trait}_freed_bytes_{scope}"])
                freed_archive = int(row[f"{trait}_freed_archive_bytes_{scope}"])
                assert freed_archive <= min(freed, int(row[f"archive_bytes_{scope}"]))


@examples(100)
@given(cases())
def test_rows_sum_to_totals(case: Case) -> None:
    tables = _fast(case)
    positions = [int(position) for position in case.frames.artifacts.repository]
    for repository, row in enumerate(tables.repositories):
        mine = [a for a, position in zip(tables.artifacts, positions, strict=True) if position == repository]
        assert sum(int(a["logical_bytes"]) for a in mine) == row["logical_bytes"]
        assert sum(int(row[count]) for count in COUNTS[:4]) == len(mine)
        assert sum(int(a["unique_bytes_repository"]) for a in mine) <= int(row["physical_bytes"])
    summed = {
        **{count: count for count in COUNTS},
        "logical_bytes": "logical_bytes",
        "physical_bytes_repository": "physical_bytes",
        "archive_bytes_repository": "archive_bytes",
        **{f"{t}_freed_bytes_repository": f"{t}_freed_bytes" for t in TRAITS},
        **{f"{t}_freed_archive_bytes_repository": f"{t}_freed_archive_bytes" for t in TRAITS},
        "reported_size_bytes": "reported_size_bytes",
    }
    registry_of = [int(position) for position in case.frames.repositories["registry"]]
    for registry, row in enumerate(tables.registries):
        parts = [
            r for r, position in zip(tables.repositories, registry_of, strict=True) if position == registry
        ]
        assert row["repositories"] == len(parts)
        for column, part in summed.items():
            assert row[column] == sum(int(r[part]) for r in parts), column
        unique = sum(int(r["unique_bytes"]) for r in parts)
        assert unique + int(row["shared_bytes"]) == row["physical_bytes_registry"]
        unique_archive = sum(int(r["unique_archive_bytes"]) for r in parts)
        assert unique_archive + int(row["shared_archive_bytes"]) == row["archive_bytes_registry"]
    stored = sum(int(r["physical_bytes"]) for r in tables.repositories)
    assert sum(int(age["physical_bytes"]) for age in tables.ages) == stored


@examples(60)
@given(cases(), st.integers(0, 400), st.integers(0, 400))
def test_freeing_more_never_frees_less(case: Case, one: int, other: int) -> None:
    few = _fast(replace(case, stale_days=max(one, other)))
    many = _fast(replace(case, stale_days=min(one, other)))
    for less, more in zip(few.artifacts, many.artifacts, strict=True):
        assert bool(more["stale"]) or not bool(less["stale"])
    for less, more in zip(few.repositories, many.repositories, strict=True):
        assert int(less["stale_freed_bytes"]) <= int(more["stale_freed_bytes"])
        # What no tag reaches carries no tag, nor does the subject that a referrer takes after.
        assert int(more["orphaned_freed_bytes"]) <= int(more["untagged_freed_bytes"])
    for less, more in zip(few.registries, many.registries, strict=True):
        for scope in ("repository", "registry"):
            assert int(less[f"stale_freed_bytes_{scope}"]) <= int(more[f"stale_freed_bytes_{scope}"])
            assert int(more[f"orphaned_freed_bytes_{scope}"]) <= int(more[f"untagged_freed_bytes_{scope}"])


@examples(40)
@given(cases())
def test_without_tags_everything_is_freed(case: Case) -> None:
    frames = case.frames
    bare = replace(frames, artifacts=replace(frames.artifacts, tags=np.zeros_like(frames.artifacts.tags)))
    tables = _fast(replace(case, frames=bare))
    for row in tables.repositories:
        assert row["orphaned_images"] == row["untagged_images"] == row["images"]
        assert row["orphaned_freed_bytes"] == row["untagged_freed_bytes"] == row["physical_bytes"]
        assert row["orphaned_freed_archive_bytes"] == row["archive_bytes"]
    for row in tables.registries:
        for scope in ("repository", "registry"):
            assert row[f"orphaned_freed_bytes_{scope}"] == row[f"physical_bytes_{scope}"]
            assert row[f"untagged_freed_archive_bytes_{scope}"] == row[f"archive_bytes_{scope}"]


@examples(40)
@given(cases())
def test_pull_through_cache_repositories_share_nothing(case: Case) -> None:
    apart = replace(case.frames, repositories=case.frames.repositories.assign(pull_through_cache=True))
    tables = _fast(replace(case, frames=apart))
    for artifact in tables.artifacts:
        assert artifact["unique_bytes_registry"] == artifact["unique_bytes_repository"]
    for row in tables.repositories:
        assert (row["unique_bytes"], row["unique_archive_bytes"]) == (
            row["physical_bytes"],
            row["archive_bytes"],
        )
    for row in tables.registries:
        assert row["shared_bytes"] == row["shared_archive_bytes"] == 0
        for column, value in row.items():
            if column.endswith("_registry"):
                assert value == row[column.removesuffix("_registry") + "_repository"], column


@examples(40)
@given(cases())
def test_a_registry_does_not_depend_on_the_others(case: Case) -> None:
    """Each registry analysed by itself gives the rows that it has among the others."""
    together = _fast(case)
    registry_of = [int(position) for position in case.frames.repositories["registry"]]
    alone_rows: list[Row] = []
    alone_repositories: list[Row] = []
    for registry in range(len(case.frames.registries)):
        alone = _fast(replace(case, frames=_only(case.frames, registry)))
        alone_rows += alone.registries
        alone_repositories += alone.repositories
    _assert_same_rows("registries", together.registries, alone_rows)
    assert registry_of == sorted(registry_of)
    _assert_same_rows("repositories", together.repositories, alone_repositories)


def _only(frames: Frames, registry: int) -> Frames:
    """``frames`` with one registry; manifests stay, whether anything has them or not."""
    chosen = np.flatnonzero(frames.repositories["registry"].to_numpy() == registry)
    keep = np.isin(frames.artifacts.repository, chosen)
    columns = {
        name: getattr(frames.artifacts, name)[keep]
        for name in (
            "digest_id",
            "manifest",
            "pushed_at_ms",
            "image_status",
            "listed",
            "pulled_day",
            "tags",
            "reported_size_bytes",
            "subject",
        )
    }
    position = np.searchsorted(chosen, frames.artifacts.repository[keep]).astype(np.int32)
    return replace(
        frames,
        registries=frames.registries.iloc[[registry]].reset_index(drop=True),
        repositories=frames.repositories.iloc[chosen].reset_index(drop=True).assign(registry=0),
        artifacts=replace(frames.artifacts, repository=position, **columns),
    )


# --- worked examples: the analysis and the oracle both have to give these figures -----------------

Answer = Callable[[Case], Tables]


@pytest.fixture(params=[_fast, _slow], ids=["analysis", "oracle"])
def answer(request: pytest.FixtureRequest) -> Answer:
    """The analysis, then the oracle."""
    chosen: Answer = request.param
    return chosen


def _one_repository(
    manifests: dict[int, ManifestSpec],
    sizes: dict[int, int],
    *artifacts: ArtifactSpec,
    stale_days: int = 90,
) -> Case:
    """One repository of ``artifacts`` in one registry, at NOW_MS."""
    return Case(
        build_frames([RepositorySpec(artifacts=artifacts)], manifests, sizes),
        NOW_MS,
        stale_days,
    )


def _cells(rows: Sequence[Row], *columns: str) -> list[tuple[int | bool | str, ...]]:
    """``columns`` of each row."""
    return [tuple(row[column] for column in columns) for row in rows]


def _column(rows: Sequence[Row], column: str) -> list[int | bool | str]:
    """One column of each row."""
    return [row[column] for row in rows]


def test_a_registry_without_repositories_is_a_row_of_zeros(answer: Answer) -> None:
    tables = answer(Case(build_frames([], {}, {}, registries=2), NOW_MS, 90))
    assert (tables.artifacts, tables.repositories) == ([], [])
    assert tables.registries == [dict.fromkeys(REGISTRY_COLUMNS, 0)] * 2
    assert _column(tables.ages, "physical_bytes") == [0] * 6


def test_an_empty_repository_is_a_row_of_zeros_between_others(answer: Answer) -> None:
    full = (ArtifactSpec(1, tags=1),)
    frames = build_frames(
        [
            RepositorySpec(full, name="a"),
            RepositorySpec((), name="b"),
            RepositorySpec(full, name="c", registry=2),
            RepositorySpec((), name="d", registry=2),
        ],
        {1: image(11)},
        {11: 7},
        registries=3,
    )
    tables = answer(Case(frames, NOW_MS, 90))
    assert _cells(tables.repositories, "images", "physical_bytes", "unique_bytes") == [
        (1, 7, 7),
        (0, 0, 0),
        (1, 7, 7),
        (0, 0, 0),
    ]
    assert tables.repositories[1] == dict.fromkeys(REPOSITORY_COLUMNS, 0)
    assert _cells(tables.registries, "repositories", "physical_bytes_registry") == [(2, 7), (0, 0), (2, 7)]


def test_a_layer_counts_once_per_image_and_foreign_layers_not_at_all(answer: Answer) -> None:
    # 11 = 100 (base), 12 = 20, 13 = 1000 (a Windows base), 14 = 3.
    # image 1: 11, 12, 12 again, 13 foreign      logical 100 + 20      = 120, alone in holding 12
    # image 2: 11, 14, 13 foreign and 13 stored  logical 100 + 3 + 1000 = 1103, alone with 13 and 14
    # image 3: 13 foreign only                   logical 0
    # stored once each: 100 + 20 + 3 + 1000 = 1123; counted whole: 120 + 1103 = 1223
    case = _one_repository(
        {
            1: image(11, 12, 12, foreign=[13]),
            2: ManifestSpec(blobs=((11, False), (14, False), (13, True), (13, False))),
            3: image(foreign=[13]),
        },
        {11: 100, 12: 20, 13: 1000, 14: 3},
        ArtifactSpec(1, tags=1, reported_size_bytes=60),
        ArtifactSpec(2, tags=1, reported_size_bytes=500),
        ArtifactSpec(3, tags=1),
    )
    tables = answer(case)
    assert _cells(tables.artifacts, "kind", "logical_bytes", "unique_bytes_repository") == [
        ("image", 120, 20),
        ("image", 1103, 1003),
        ("image", 0, 0),
    ]
    assert _cells(tables.repositories, "logical_bytes", "physical_bytes", "reported_size_bytes") == [
        (1223, 1123, 560)
    ]


def test_kinds_and_who_holds_bytes(answer: Answer) -> None:
    # Every manifest names blob 11 (5 bytes), but only images and referrers hold it: digests 1, 2, 7.
    # The reported sizes 1, 2, 4, … tell which artifacts the cross-check sums: all
    # but the indexes, 1 + 2 + 16 + 32 + 64 + 128 = 243.
    stored = ((11, False),)
    case = _one_repository(
        {
            1: ManifestSpec(Kind.IMAGE, stored),
            2: ManifestSpec(Kind.IMAGE, stored, subject=1),
            3: ManifestSpec(Kind.INDEX, stored, children=(1,)),
            4: ManifestSpec(Kind.INDEX, stored, subject=1),
            5: ManifestSpec(Kind.UNKNOWN, stored),
            6: ManifestSpec(Kind.UNREADABLE, stored, subject=1),
            7: ManifestSpec(Kind.IMAGE, stored),
        },
        {11: 5},
        *(
            # 7 is a referrer by what DescribeImages says alone; 8 has no manifest at all.
            ArtifactSpec(digest_id, reported_size_bytes=2 ** (digest_id - 1), subject=99 * (digest_id == 7))
            for digest_id in range(1, 9)
        ),
    )
    tables = answer(case)
    assert _cells(tables.artifacts, "kind", "logical_bytes") == [
        ("image", 5),
        ("referrer", 5),
        ("index", 0),
        ("index", 0),
        ("unknown", 0),
        ("unknown", 0),
        ("referrer", 5),
        ("unknown", 0),
    ]
    assert _cells(
        tables.repositories,
        *("images", "indexes", "referrers", "unknown", "logical_bytes", "physical_bytes"),
        *("untagged_images", "never_pulled_images", "reported_size_bytes"),
    ) == [(1, 2, 2, 3, 15, 5, 1, 1, 243)]


def test_sharing_ends_at_repository_key_cache_and_registry(answer: Answer) -> None:
    # Everyone holds blob 11 of 100 bytes; a and b share a group, the others are each their own.
    # a also holds 12 = 7, and b has 11 in two images.
    def tagged(*digests: int) -> tuple[ArtifactSpec, ...]:
        return tuple(ArtifactSpec(digest_id, tags=1) for digest_id in digests)

    frames = build_frames(
        [
            RepositorySpec(tagged(1), name="a"),
            RepositorySpec(tagged(2, 3), name="b"),
            RepositorySpec(tagged(2), name="c", encryption_type="KMS", kms_key="k"),
            RepositorySpec(tagged(2), name="d", encryption_type="KMS_DSSE", kms_key="k"),
            RepositorySpec(tagged(2), name="e", pull_through_cache=True),
            RepositorySpec(tagged(2), name="f", pull_through_cache=True),
            RepositorySpec(tagged(2), name="g", registry=1),
        ],
        {1: image(11, 12), 2: image(11), 3: image(11, 11)},
        {11: 100, 12: 7},
        registries=2,
    )
    tables = answer(Case(frames, NOW_MS, 90))
    assert _cells(tables.artifacts, "unique_bytes_repository", "unique_bytes_registry") == [
        (107, 7),
        (0, 0),
        (0, 0),
        (100, 100),
        (100, 100),
        (100, 100),
        (100, 100),
        (100, 100),
    ]
    assert _cells(tables.repositories, "logical_bytes", "physical_bytes", "unique_bytes") == [
        (107, 107, 7),
        (200, 100, 0),
        *[(100, 100, 100)] * 5,
    ]
    # Registry scope: {a, b} 107, c, d, e, f 100 each = 507, of which 11 in {a, b} is nobody's alone.
    assert _cells(
        tables.registries,
        *("logical_bytes", "physical_bytes_repository", "physical_bytes_registry", "shared_bytes"),
    ) == [(707, 607, 507, 100), (100, 100, 100, 0)]


def test_a_blob_is_archived_only_while_no_other_image_holds_it(answer: Answer) -> None:
    # a: image 1 archived {11 = 100, 12 = 20, 13 = 3}, image 2 active and stale {11}
    # b: image 3 on its way back from the archive {13 = 3, 14 = 4}, image 4 of another status {14}
    # Within a: archive is 12 + 13 = 23. Within b: 13 = 3 (14 is live by image 4).
    # In the group: 12 and 13 are archived = 23; 11 and 14 are not.
    frames = build_frames(
        [
            RepositorySpec(
                (
                    ArtifactSpec(1, tags=1, image_status=ImageStatus.ARCHIVED),
                    ArtifactSpec(2, pushed_at_ms=NOW_MS - 91 * DAY_MS),
                ),
                name="a",
            ),
            RepositorySpec(
                (
                    ArtifactSpec(3, tags=1, image_status=ImageStatus.ACTIVATING),
                    ArtifactSpec(4, tags=1, image_status=ImageStatus.OTHER),
                ),
                name="b",
            ),
        ],
        {1: image(11, 12, 13), 2: image(11), 3: image(13, 14), 4: image(14)},
        {11: 100, 12: 20, 13: 3, 14: 4},
    )
    tables = answer(Case(frames, NOW_MS, 90))
    assert _cells(
        tables.repositories,
        *("archived_images", "physical_bytes", "archive_bytes", "unique_bytes", "unique_archive_bytes"),
    ) == [(1, 123, 23, 120, 20), (1, 7, 3, 4, 0)]
    # Image 2 leaves: no byte is freed, but 11 falls to the archived image 1, so the archive grows.
    for trait in ("untagged", "orphaned", "stale"):
        assert _cells(tables.repositories, f"{trait}_freed_bytes", f"{trait}_freed_archive_bytes") == [
            (0, -100),
            (0, 0),
        ]
        assert _cells(
            tables.registries,
            *(f"{trait}_freed_bytes_repository", f"{trait}_freed_bytes_registry"),
            *(f"{trait}_freed_archive_bytes_repository", f"{trait}_freed_archive_bytes_registry"),
        ) == [(0, 0, -100, -100)]
    # Group: 100 + 20 + 3 + 4 = 127; unique 120 + 4, so 13 (archived on both sides) is the shared part.
    assert _cells(
        tables.registries,
        *("physical_bytes_registry", "archive_bytes_repository", "archive_bytes_registry"),
        *("shared_bytes", "shared_archive_bytes"),
    ) == [(127, 26, 23, 3, 3)]


def test_a_blob_archived_here_and_live_there_is_live_in_the_group(answer: Answer) -> None:
    # 11 = 10 is held archived in a, live in b. Repository scope: 10 archived + 10 live.
    # Group: 10 live. When the untagged b/2 leaves, the group's 11 turns into archive: -10, freed 0,
    # while b itself loses 10 live bytes.
    frames = build_frames(
        [
            RepositorySpec((ArtifactSpec(1, tags=1, image_status=ImageStatus.ARCHIVED),), name="a"),
            RepositorySpec((ArtifactSpec(2),), name="b"),
        ],
        {1: image(11), 2: image(11)},
        {11: 10},
    )
    tables = answer(Case(frames, NOW_MS, 90))
    assert _cells(
        tables.registries,
        *("archive_bytes_repository", "archive_bytes_registry", "shared_bytes", "shared_archive_bytes"),
        *("untagged_freed_bytes_repository", "untagged_freed_bytes_registry"),
        *("untagged_freed_archive_bytes_repository", "untagged_freed_archive_bytes_registry"),
    ) == [(10, 0, 10, 0, 10, 0, 0, -10)]


def test_tags_reach_through_indexes_and_subjects(answer: Answer) -> None:
    # 1 tagged index of 2 and 3 (an index of 4); 5 refers to 4, 6 to 5: all reached.
    # 7 untagged index of 8: orphans, though 8 is also listed by the image 9, which is no index here.
    # 10 refers to itself and 11, 12 to each other: orphans. 13 refers to a digest not present.
    # 14 is an untagged subject of the tagged 15: a referrer does not hold its subject.
    # 16 (no manifest) has the tagged 15 for a subject by DescribeImages: reached.
    size = {100 + d: 1 << d for d in range(1, 17)}
    holds = {d: image(100 + d) for d in range(1, 17)}
    case = _one_repository(
        holds
        | {
            1: index(2, 3, 999),
            3: index(4),
            5: image(105, subject=4),
            6: image(106, subject=5),
            7: index(8),
            10: image(110, subject=10),
            11: image(111, subject=12),
            12: image(112, subject=11),
            13: image(113, subject=888),
            15: image(115, subject=14),
            16: ManifestSpec(Kind.UNREADABLE),
        },
        size,
        *(ArtifactSpec(d, tags=int(d in (1, 9, 15)), subject=15 * (d == 16)) for d in range(1, 17)),
    )
    tables = answer(case)
    orphans = [7, 8, 10, 11, 12, 13, 14]
    assert [d for d in range(1, 17) if tables.artifacts[d - 1]["orphaned"]] == orphans
    # Images (no subject, no index): 2, 4, 8, 9, 14; untagged all but 9; orphaned 8 and 14.
    assert _cells(tables.repositories, "images", "untagged_images", "orphaned_images") == [(5, 4, 2)]
    # 7 is an index and frees nothing.
    assert _column(tables.repositories, "orphaned_freed_bytes") == [sum(1 << d for d in orphans if d != 7)]
    # Untagged: images 2, 4, 8, 14; 5 and 6 take after 4, 15 after 14 in spite of its own tag;
    # 10, 11, 12, 13 are untagged themselves.
    untagged = [2, 4, 5, 6, 8, 10, 11, 12, 13, 14, 15]
    assert _column(tables.repositories, "untagged_freed_bytes") == [sum(1 << d for d in untagged)]
    assert [d for d in range(1, 17) if tables.artifacts[d - 1]["tagged"]] == [1, 9, 15]


def test_families_do_not_cross_repositories(answer: Answer) -> None:
    # The index that holds image 2, and the subject of 3, are in the other repository only.
    frames = build_frames(
        [
            RepositorySpec((ArtifactSpec(1, tags=1, pushed_at_ms=NOW_MS), ArtifactSpec(4, tags=1)), name="a"),
            RepositorySpec(
                (
                    ArtifactSpec(2, pushed_at_ms=NOW_MS - 100 * DAY_MS),
                    ArtifactSpec(3, pushed_at_ms=NOW_MS - 100 * DAY_MS),
                ),
                name="b",
            ),
        ],
        {1: index(2), 2: image(11), 3: image(12, subject=4), 4: image(13)},
        {11: 1, 12: 2, 13: 4},
    )
    tables = answer(Case(frames, NOW_MS, 90))
    assert _cells(tables.artifacts, "orphaned", "stale") == [
        (False, False),
        (False, False),
        (True, True),
        (True, True),
    ]


def test_stale_counts_from_push_or_end_of_the_day_of_the_last_pull(answer: Answer) -> None:
    # With stale_days 90, used at NOW - 90 days exactly is not stale, a millisecond before is.
    # A pull on day 19,909 ends at day 19,910 = NOW - 90 days: not stale; on day 19,908 it is.
    limit = NOW_MS - 90 * DAY_MS
    case = _one_repository(
        {d: image(20 + d) for d in range(1, 8)},
        {20 + d: 1 << d for d in range(1, 8)},
        ArtifactSpec(1, tags=1, pushed_at_ms=limit),
        ArtifactSpec(2, tags=1, pushed_at_ms=limit - 1),
        ArtifactSpec(3, tags=1, pushed_at_ms=limit - 1, pulled_day=19_909),
        ArtifactSpec(4, tags=1, pushed_at_ms=limit - 1, pulled_day=19_908),
        # Only one of the two known, or neither: unknown is not stale.
        ArtifactSpec(5, tags=1, pulled_day=19_908),
        ArtifactSpec(6, tags=1),
        ArtifactSpec(7, tags=1, pushed_at_ms=NOW_MS + DAY_MS),
    )
    tables = answer(case)
    assert _column(tables.artifacts, "stale") == [False, True, False, True, True, False, False]
    assert _cells(tables.repositories, "stale_images", "never_pulled_images", "stale_freed_bytes") == [
        (3, 4, (1 << 2) + (1 << 4) + (1 << 5))
    ]


def test_use_of_an_index_keeps_what_it_leads_to_fresh(answer: Answer) -> None:
    # Index 1 (pulled today) holds index 2, which holds image 3; 4 and 5 refer to 3 and to 4.
    # 6 and 7 are indexes of each other, 7 holds image 8: fresh by 6's push, twice removed.
    # Image 9 lists nothing; its referrer 10 was pushed today, which counts for neither of them.
    # 11 is an old index of the fresh image 12: use goes down, not up.
    old = NOW_MS - 200 * DAY_MS
    fresh = {6, 10, 12}
    case = _one_repository(
        {
            1: index(2),
            2: index(3),
            3: image(),
            4: image(subject=3),
            5: image(subject=4),
            6: index(7),
            7: index(6, 8, 8),
            8: image(),
            9: image(),
            10: image(subject=9),
            11: index(12),
            12: image(),
        },
        {},
        ArtifactSpec(1, tags=1, pushed_at_ms=old, pulled_day=20_000),
        *(ArtifactSpec(d, pushed_at_ms=NOW_MS if d in fresh else old) for d in range(2, 13)),
    )
    tables = answer(case)
    assert [d for d in range(1, 13) if tables.artifacts[d - 1]["stale"]] == [9, 10, 11]


def test_referrers_in_a_circle_each_decide_for_themselves(answer: Answer) -> None:
    # 1 -> 2 -> 3 -> 1 all referrers: 2 is fresh and tagged, 1 and 3 are old and untagged.
    # 4 -> itself, fresh, tagged; 6 -> 4. 5 -> 2, 7 -> 5. Those outside a circle that lead into it
    # take after the member they lead to (6 after 4; 5 and 7 after 2), though old and untagged.
    old = NOW_MS - 200 * DAY_MS
    case = _one_repository(
        {
            1: image(21, subject=2),
            2: image(22, subject=3),
            3: image(23, subject=1),
            4: image(24, subject=4),
            5: image(25, subject=2),
            6: image(26, subject=4),
            7: image(27, subject=5),
        },
        {20 + d: 1 << d for d in range(1, 8)},
        ArtifactSpec(1, pushed_at_ms=old),
        ArtifactSpec(2, pushed_at_ms=NOW_MS, tags=1),
        ArtifactSpec(3, pushed_at_ms=old),
        ArtifactSpec(4, pushed_at_ms=NOW_MS, tags=1),
        *(ArtifactSpec(digest_id, pushed_at_ms=old) for digest_id in (5, 6, 7)),
    )
    tables = answer(case)
    # The tag of 2 reaches 1 (whose subject is 2), 3 (1), 5 (2) and 7 (5); that of 4 reaches 6.
    assert _column(tables.artifacts, "orphaned") == [False] * 7
    assert _column(tables.artifacts, "stale") == [True, False, True, False, False, False, False]
    # Blob 20 + d holds 2**d bytes, so 1 and 3 hold 2 + 8.
    assert _cells(tables.repositories, "stale_freed_bytes", "untagged_freed_bytes") == [(10, 10)]


def test_a_referrer_inherits_from_an_index_what_the_index_shows(answer: Answer) -> None:
    # The signature 2 of the untagged, old index 1 leaves with it; the one (4) of the tagged index 3
    # stays, although it has no tag and is old itself. 6 refers to 5, an index that has a subject:
    # an index never takes after its subject, so 5 shows its own age and 6 takes after 5.
    old = NOW_MS - 200 * DAY_MS
    case = _one_repository(
        {
            1: index(),
            2: image(22, subject=1),
            3: index(),
            4: image(24, subject=3),
            5: index(subject=1),
            6: image(26, subject=5),
        },
        {22: 2, 24: 4, 26: 8},
        ArtifactSpec(1, pushed_at_ms=old),
        ArtifactSpec(2, pushed_at_ms=NOW_MS),
        ArtifactSpec(3, pushed_at_ms=NOW_MS, tags=2),
        ArtifactSpec(4, pushed_at_ms=old),
        ArtifactSpec(5, pushed_at_ms=NOW_MS, tags=1),
        ArtifactSpec(6, pushed_at_ms=old),
    )
    tables = answer(case)
    assert _column(tables.artifacts, "stale") == [True, True, False, False, False, False]
    assert _cells(tables.repositories, "untagged_freed_bytes", "stale_freed_bytes") == [(2, 2)]


def test_the_subject_in_the_manifest_outranks_the_listed_one(answer: Answer) -> None:
    # 3 refers to the tagged 1 by its manifest, to the untagged 2 by DescribeImages.
    case = _one_repository(
        {1: image(21), 2: image(22), 3: image(23, subject=1)},
        {21: 1, 22: 2, 23: 4},
        ArtifactSpec(1, tags=1),
        ArtifactSpec(2),
        ArtifactSpec(3, subject=2),
    )
    tables = answer(case)
    assert _column(tables.artifacts, "orphaned") == [False, True, False]
    assert _column(tables.repositories, "untagged_freed_bytes") == [2]


@pytest.mark.parametrize("upwards", [True, False])
def test_long_chains_are_followed_to_their_end(answer: Answer, upwards: bool) -> None:
    # A tagged, fresh index over 40 nested indexes down to one image, on which 40 referrers hang in
    # a row; everything but the top is old. Both digest orders, so that no lucky order helps.
    length = 40
    chain = list(range(1, 2 * length + 2))
    if not upwards:
        chain.reverse()
    manifests = {chain[k]: index(chain[k + 1]) for k in range(length)}
    manifests[chain[length]] = image(500)
    manifests |= {chain[k]: image(500 + k, subject=chain[k - 1]) for k in range(length + 1, 2 * length + 1)}
    old = NOW_MS - 200 * DAY_MS
    for tags, pushed_at_ms, gone in ((1, NOW_MS, False), (0, old, True)):
        case = _one_repository(
            manifests,
            {500 + k: 1 for k in range(2 * length + 1)},
            ArtifactSpec(chain[0], tags=tags, pushed_at_ms=pushed_at_ms),
            *(ArtifactSpec(digest_id, pushed_at_ms=old) for digest_id in chain[1:]),
        )
        tables = answer(case)
        assert set(_cells(tables.artifacts, "orphaned", "stale")) == {(gone, gone)}
        # The image and its 40 referrers hold a byte each, and are untagged either way.
        assert _cells(tables.repositories, "orphaned_freed_bytes", "stale_freed_bytes") == [
            (41 * gone, 41 * gone)
        ]
        assert _cells(tables.repositories, "images", "untagged_freed_bytes") == [(1, 41)]


def test_bytes_age_with_the_newest_push_that_holds_them(answer: Answer) -> None:
    # Blob 100 + k is 2**k bytes; image k holds it. Image 20 (pushed today) also holds 107 and 110.
    ages_ms = {
        1: -DAY_MS,  # in the future: up to 30 days
        2: 30 * DAY_MS,  # up to 30 days
        3: 30 * DAY_MS + 1,  # 31 to 90 days
        4: 90 * DAY_MS,  # 31 to 90 days
        5: 90 * DAY_MS + 1,  # 91 to 180 days
        6: 180 * DAY_MS + 1,  # 181 to 365 days
        7: 365 * DAY_MS,  # would be 181 to 365 days, but image 20 is newer: up to 30 days
        8: 365 * DAY_MS,  # 181 to 365 days
        9: 365 * DAY_MS + 1,  # over 365 days
    }
    case = _one_repository(
        {k: image(100 + k) for k in range(1, 12)} | {20: image(107, 110)},
        {100 + k: 2**k for k in range(1, 12)},
        *(ArtifactSpec(k, pushed_at_ms=NOW_MS - age_ms) for k, age_ms in ages_ms.items()),
        # No time: 110 has image 20's, 111 has none at all.
        ArtifactSpec(10),
        ArtifactSpec(11, pulled_day=20_000),
        ArtifactSpec(20, pushed_at_ms=NOW_MS),
    )
    assert _cells(answer(case).ages, "label", "physical_bytes") == [
        ("up to 30 days", 2**1 + 2**2 + 2**7 + 2**10),
        ("31 to 90 days", 2**3 + 2**4),
        ("91 to 180 days", 2**5),
        ("181 to 365 days", 2**6 + 2**8),
        ("over 365 days", 2**9),
        ("unknown", 2**11),
    ]


def test_one_blob_ages_separately_in_each_repository(answer: Answer) -> None:
    frames = build_frames(
        [
            RepositorySpec((ArtifactSpec(1, pushed_at_ms=NOW_MS),), name="a"),
            RepositorySpec((ArtifactSpec(1, pushed_at_ms=NOW_MS - 400 * DAY_MS),), name="b"),
        ],
        {1: image(11)},
        {11: 9},
    )
    assert _column(answer(Case(frames, NOW_MS, 90)).ages, "physical_bytes") == [9, 0, 0, 0, 9, 0]


def test_bytes_are_exact_beyond_what_a_double_holds(answer: Answer) -> None:
    # 2**53 + 1 is the first integer that float64 cannot hold. Two repositories hold 11; b is untagged.
    big = 2**53 + 1
    frames = build_frames(
        [
            RepositorySpec((ArtifactSpec(1, tags=1, reported_size_bytes=big),), name="a"),
            RepositorySpec((ArtifactSpec(2, reported_size_bytes=big - 2),), name="b"),
        ],
        {1: image(11, 12), 2: image(11, 13)},
        {11: big, 12: 2, 13: 3},
    )
    tables = answer(Case(frames, NOW_MS, 90))
    assert _cells(
        tables.registries,
        *("logical_bytes", "physical_bytes_repository", "physical_bytes_registry", "shared_bytes"),
        *("untagged_freed_bytes_repository", "untagged_freed_bytes_registry", "reported_size_bytes"),
    ) == [(2 * big + 5, 2 * big + 5, big + 5, big, big + 3, 3, 2 * big - 2)]
    assert _cells(tables.artifacts, "logical_bytes", "unique_bytes_repository", "unique_bytes_registry") == [
        (big + 2, big + 2, 2),
        (big + 3, big + 3, 3),
    ]


def test_a_digest_may_be_manifest_and_layer_at_once(answer: Answer) -> None:
    # Image 1's manifest was also pushed as a layer (30 bytes) of image 2.
    case = _one_repository(
        {1: image(11), 2: image(1, 11)},
        {1: 30, 11: 4},
        ArtifactSpec(1, tags=1),
        ArtifactSpec(2),
    )
    tables = answer(case)
    assert _column(tables.artifacts, "logical_bytes") == [4, 34]
    assert _column(tables.artifacts, "orphaned") == [False, True]
    assert _cells(tables.repositories, "physical_bytes", "orphaned_freed_bytes") == [(34, 30)]


def test_what_an_unread_index_may_name_is_not_called_orphaned(answer: Answer) -> None:
    # Repository a: the tagged index 1 could not be read (archived, say), so that nobody knows whether
    # it names 2 and 3; 4 is tagged itself. In b the unread index 5 is reached by no tag: it saves
    # nobody, and 6 is orphaned. In c the tagged 7 was not read either, but it is listed as an image,
    # which names nobody: 8 is orphaned. In d the type of the tagged 9 is unknown: 10 may be its child.
    manifests = {digest: image(100 + digest) for digest in (2, 3, 4, 6, 8, 10)}
    frames = build_frames(
        [
            RepositorySpec(
                (
                    ArtifactSpec(1, tags=1, listed=Listed.INDEX),
                    ArtifactSpec(2),
                    ArtifactSpec(3),
                    ArtifactSpec(4, tags=1),
                ),
                name="a",
            ),
            RepositorySpec((ArtifactSpec(5, listed=Listed.INDEX), ArtifactSpec(6)), name="b"),
            RepositorySpec((ArtifactSpec(7, tags=1), ArtifactSpec(8)), name="c"),
            RepositorySpec((ArtifactSpec(9, tags=1, listed=Listed.UNKNOWN), ArtifactSpec(10)), name="d"),
        ],
        manifests,
        {100 + digest: 1 for digest in manifests},
    )
    tables = answer(Case(frames, NOW_MS, 90))
    assert _cells(
        tables.repositories,
        *("images", "indexes", "unknown", "orphaned_images", "possibly_reached_images"),
        "orphaned_freed_bytes",
    ) == [(3, 1, 0, 0, 2, 0), (1, 1, 0, 1, 0, 1), (1, 0, 1, 1, 0, 1), (1, 0, 1, 0, 1, 0)]
