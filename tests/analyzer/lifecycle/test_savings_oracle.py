"""Savings against a recount of sets, and against their own algebra."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer import holdings
from analyzer.families import find_families
from analyzer.lifecycle.savings import Holdings, Savings
from analyzer.model.frames import Frames
from analyzer.model.records import ImageStatus
from analyzer.model.verdicts import Outcome
from analyzer.storage import analyze
from tests.oracle import savings as oracle
from tests.strategies.frames import cases
from tests.support.examples import examples

_OUTCOMES = (Outcome.KEPT, Outcome.EXPIRED, Outcome.TRANSITIONED)
_SCOPES = ("repository", "registry")
#: Bytes at repository scope, and the same of blobs that are one repository's alone.
_NAMES = ("physical_bytes", "archive_bytes", "freed_bytes", "freed_archive_bytes", "archived_bytes")
_UNIQUE = (
    "unique_bytes",
    "unique_archive_bytes",
    "freed_unique_bytes",
    "freed_unique_archive_bytes",
    "archived_unique_bytes",
)

#: Pairs of a whole and the part of it, in the rows of repositories.
_PARTS = (
    ("logical_bytes", "expired_logical_bytes"),
    ("logical_bytes", "physical_bytes"),
    ("physical_bytes", "archive_bytes"),
    ("physical_bytes", "freed_bytes"),
    ("physical_bytes", "unique_bytes"),
    ("archive_bytes", "freed_archive_bytes"),
    ("freed_bytes", "freed_archive_bytes"),
    ("freed_bytes", "freed_unique_bytes"),
    ("freed_archive_bytes", "freed_unique_archive_bytes"),
    ("archived_bytes", "archived_unique_bytes"),
    ("expired_logical_bytes", "freed_bytes"),
)


@st.composite
def _measurements(draw: st.DrawFn) -> tuple[Frames, tuple[int, ...], tuple[int, ...]]:
    """Frames and two outcomes; the second expires everything that the first does, and more."""
    frames = draw(cases()).frames
    count = len(frames.artifacts.digest_id)
    # Some expire nearly all, some next to nothing: shared blobs go only with their last holder.
    weights = draw(st.sampled_from([(1, 1, 1), (1, 5, 0), (1, 5, 3), (5, 1, 0), (1, 0, 5)]))
    codes = [code for code, weight in zip(_OUTCOMES, weights, strict=True) for _ in range(weight)]
    fewer = draw(st.lists(st.sampled_from(codes), min_size=count, max_size=count))
    also = draw(st.lists(st.booleans(), min_size=count, max_size=count))
    more = tuple(
        Outcome.EXPIRED if leaves else Outcome(code) for code, leaves in zip(fewer, also, strict=True)
    )
    return frames, tuple(fewer), more


def _measure(frames: Frames, outcome: Sequence[int], references_at_once: int = 1 << 16) -> Savings:
    with patch.object(holdings, "_REFERENCES_AT_ONCE", references_at_once):
        return Holdings(frames, find_families(frames)).measure(np.array(outcome, np.uint8))


def _rows(frame: pd.DataFrame) -> list[dict[str, int]]:
    """The rows of ``frame``, whose columns must be int64 and stand on a RangeIndex."""
    assert set(frame.dtypes) == {np.dtype(np.int64)}
    assert isinstance(frame.index, pd.RangeIndex)
    return [{str(name): int(value) for name, value in row.items()} for row in frame.to_dict("records")]


# Shrinking a failure to its minimal example takes up to five minutes.
@pytest.mark.timeout(600)
@examples(150)
@given(_measurements(), st.sampled_from([1, 3, 8, 1 << 16]))
def test_savings_equal_a_recount_of_sets(
    drawn: tuple[Frames, tuple[int, ...], tuple[int, ...]], references_at_once: int
) -> None:
    frames, outcome, _ = drawn
    expected = oracle.measure(frames, outcome)
    savings = _measure(frames, outcome, references_at_once)
    assert _rows(savings.repositories) == expected.repositories
    assert _rows(savings.registries) == expected.registries


@examples(30)
@given(_measurements())
def test_what_is_there_before_is_what_the_storage_analysis_says(
    drawn: tuple[Frames, tuple[int, ...], tuple[int, ...]],
) -> None:
    frames, outcome, _ = drawn
    savings, storage = _measure(frames, outcome), analyze(frames, now_ms=0, stale_days=90)
    for ours, theirs, columns in (
        (
            savings.repositories,
            storage.repositories,
            [
                "images",
                "logical_bytes",
                "physical_bytes",
                "archive_bytes",
                "unique_bytes",
                "unique_archive_bytes",
            ],
        ),
        (
            savings.registries,
            storage.registries,
            [f"{what}_bytes_{scope}" for what in ("physical", "archive") for scope in _SCOPES],
        ),
    ):
        assert _rows(ours[columns]) == _rows(theirs[columns])


@examples(30)
@given(_measurements())
def test_expiring_more_never_frees_less(drawn: tuple[Frames, tuple[int, ...], tuple[int, ...]]) -> None:
    frames, fewer, more = drawn
    prepared = Holdings(frames, find_families(frames))
    few, many = (prepared.measure(np.array(outcome, np.uint8)) for outcome in (fewer, more))
    for column in ("freed_bytes", "freed_unique_bytes", "expired_logical_bytes"):
        assert (many.repositories[column] >= few.repositories[column]).all()
    for scope in _SCOPES:
        assert (many.registries[f"freed_bytes_{scope}"] >= few.registries[f"freed_bytes_{scope}"]).all()


@examples(30)
@given(_measurements())
def test_parts_are_never_more_than_their_whole(
    drawn: tuple[Frames, tuple[int, ...], tuple[int, ...]],
) -> None:
    frames, outcome, _ = drawn
    savings = _measure(frames, outcome)
    rows, totals = savings.repositories, savings.registries
    for whole, part in _PARTS:
        assert (rows[part] >= 0).all(), part
        assert (rows[part] <= rows[whole]).all(), (whole, part)
    # What moves to the archive was in the standard class, and is not freed.
    standard = rows["physical_bytes"] - rows["archive_bytes"]
    freed_standard = rows["freed_bytes"] - rows["freed_archive_bytes"]
    assert (rows["archived_bytes"] <= standard - freed_standard).all()
    # Archived bytes may be more at registry scope: a layer that one repository frees goes over to the
    # archive when another has archived it before.
    for name in _NAMES[:-1]:
        assert (totals[f"{name}_registry"] <= totals[f"{name}_repository"]).all()


@examples(30)
@given(_measurements())
def test_rows_and_what_is_shared_add_up_to_the_registry(
    drawn: tuple[Frames, tuple[int, ...], tuple[int, ...]],
) -> None:
    frames, outcome, _ = drawn
    savings = _measure(frames, outcome)
    sums = savings.repositories.groupby(frames.repositories["registry"].to_numpy()).sum()
    sums = sums.reindex(range(len(frames.registries)), fill_value=0)
    totals = savings.registries
    for name in _NAMES:
        assert (totals[f"{name}_repository"] == sums[name]).all()
    shared = {
        name: totals[f"{name}_registry"] - sums[unique] for name, unique in zip(_NAMES, _UNIQUE, strict=True)
    }
    for name, rest in shared.items():
        assert (rest >= 0).all(), name
        assert (rest <= shared["physical_bytes"]).all(), name


@examples(30)
@given(_measurements())
def test_what_is_left_is_what_there_was_less_what_went(
    drawn: tuple[Frames, tuple[int, ...], tuple[int, ...]],
) -> None:
    frames, outcome, _ = drawn
    savings = _measure(frames, outcome).registries
    after = analyze(_come_true(frames, outcome), now_ms=0, stale_days=90).registries
    for scope in _SCOPES:
        physical, archive, freed, freed_archive, archived = (savings[f"{name}_{scope}"] for name in _NAMES)
        assert (after[f"physical_bytes_{scope}"] == physical - freed).all()
        assert (after[f"archive_bytes_{scope}"] == archive - freed_archive + archived).all()


def _come_true(frames: Frames, outcome: Sequence[int]) -> Frames:
    """The frames after ``outcome``: what expired is gone, what transitioned is archived."""
    codes, artifacts = np.array(outcome, np.uint8), frames.artifacts
    kept = codes != Outcome.EXPIRED
    columns = {field.name: getattr(artifacts, field.name)[kept] for field in fields(artifacts)}
    archived = codes[kept] == Outcome.TRANSITIONED
    columns["image_status"] = np.where(archived, ImageStatus.ARCHIVED, columns["image_status"])
    return replace(frames, artifacts=replace(artifacts, **columns))


@examples(15)
@given(_measurements())
def test_measurements_do_not_disturb_each_other(
    drawn: tuple[Frames, tuple[int, ...], tuple[int, ...]],
) -> None:
    frames, first, second = drawn
    prepared = Holdings(frames, find_families(frames))
    for outcome in (first, second, first):
        again, alone = prepared.measure(np.array(outcome, np.uint8)), _measure(frames, outcome)
        pd.testing.assert_frame_equal(again.repositories, alone.repositories)
        pd.testing.assert_frame_equal(again.registries, alone.registries)
