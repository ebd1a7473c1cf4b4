"""Tag families: which names belong together, and the patterns that select them."""

from __future__ import annotations

import gzip
from collections import defaultdict
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.lifecycle.matching import TagNames
from analyzer.lifecycle.tag_families import MOST_WILDCARDS, find_name_families, fitting, patterns_of
from analyzer.lifecycle.tag_shapes import find_shapes
from analyzer.model.recommendation import FamilyKind
from tests.support.corpus import require_shared


def _families(*names: str) -> dict[str, tuple[FamilyKind, str]]:
    found = find_name_families(names)
    return {
        name: found.families[number] for name, number in zip(names, found.family_of.tolist(), strict=True)
    }


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("v1.2.3", FamilyKind.RELEASE),
        ("1.2", FamilyKind.RELEASE),
        ("v2", FamilyKind.RELEASE),
        ("1.25.3-alpine3.18", FamilyKind.RELEASE),
        ("1-alpine", FamilyKind.RELEASE),
        ("buster-v1.2.3", FamilyKind.RELEASE),
        ("v1.2.3-rc.1", FamilyKind.PRERELEASE),
        ("3.7.0a3", FamilyKind.PRERELEASE),
        ("1.0.0-SNAPSHOT", FamilyKind.PRERELEASE),
        ("20261128", FamilyKind.DATE),
        ("2026-11-28", FamilyKind.DATE),
        ("20261128T0300", FamilyKind.DATE),
        ("v20230113-1a2b3c4", FamilyKind.DATE),
        ("nightly-2026-11-28", FamilyKind.DATE),
        ("2026.1.3", FamilyKind.DATE),
        ("main-3f2a9c1", FamilyKind.BRANCH),
        ("v1.2.3-14-gabc1234", FamilyKind.BRANCH),
        ("3f2a9c1", FamilyKind.HASH),
        ("sha-3f2a9c1", FamilyKind.HASH),
        ("1234", FamilyKind.BUILD),
        ("build-87", FamilyKind.BUILD),
        ("prod", FamilyKind.ENVIRONMENT),
        ("staging-eu", FamilyKind.ENVIRONMENT),
        ("dev2", FamilyKind.ENVIRONMENT),
        ("latest", FamilyKind.POINTER),
        ("main", FamilyKind.POINTER),
        (f"sha256-{'a1' * 32}.sig", FamilyKind.OTHER),
        ("kitten", FamilyKind.OTHER),
        ("", FamilyKind.OTHER),
        ("\x01.\x02", FamilyKind.OTHER),
    ],
)
def test_names_are_taken_for_what_a_person_takes_them_for(name: str, kind: FamilyKind) -> None:
    assert _families(name)[name][0] is kind


def test_versions_of_one_variant_are_one_family_and_variants_are_several() -> None:
    found = _families(
        "v1.2.3", "v1.2", "v2", "1.2.3", "1.2.3-alpine", "1.3-alpine", "v1.2.3-rc.1", "v1.2.4-rc2"
    )
    assert found["v1.2.3"] == found["v1.2"] == found["v2"]
    assert found["1.2.3-alpine"] == found["1.3-alpine"]
    assert found["v1.2.3-rc.1"] == found["v1.2.4-rc2"]
    assert len(set(found.values())) == 4


def test_names_that_move_are_each_a_family() -> None:
    assert len(set(_families("prod", "prod-eu", "dev1", "dev2", "latest", "stable").values())) == 6


def test_a_hash_without_letters_or_digits_is_known_by_its_place() -> None:
    found = _families("main-3f2a9c1", "main-bcadeda", "main-1234567", "build-1234567", "20260101", "3f2a9c1")
    assert found["main-3f2a9c1"] == found["main-bcadeda"] == found["main-1234567"]
    assert found["build-1234567"][0] is FamilyKind.BUILD
    assert found["20260101"][0] is FamilyKind.DATE


@pytest.mark.parametrize(
    ("skeletons", "narrowest"),
    [
        (["v*.*.*"], "v*.*.*"),
        (["v*.*.*", "v*.*"], "v*.*"),
        (["v*.*.*-beta.*", "v*.*.*-beta"], "v*.*.*-beta*"),
        (["main-*"], "main-*"),
        (["v*.*.*-go*.*.*-bullseye.*"], "v*-go*.*-bullseye.*"),
    ],
)
def test_patterns_are_as_narrow_as_four_wildcards_allow(skeletons: list[str], narrowest: str) -> None:
    found = patterns_of(skeletons)
    assert all(pattern.count("*") <= MOST_WILDCARDS for pattern in found)
    assert found[0] == narrowest
    names = TagNames.of([skeleton.replace("*", "1") for skeleton in skeletons])
    for pattern in found:
        assert names.match(pattern).all(), pattern


def test_what_no_pattern_tells_apart_gets_none() -> None:
    assert patterns_of(["*"]) == ()
    assert patterns_of(["*", "v*"]) == ()
    assert patterns_of([]) == ()


@given(st.lists(st.sampled_from(["a", "-", ".", "*", "*", "bc"]), min_size=1, max_size=16))
def test_a_pattern_that_is_made_to_fit_matches_no_less(pieces: list[str]) -> None:
    pattern = "".join(pieces)
    fits = fitting(pattern)
    assert fits.count("*") <= MOST_WILDCARDS
    name = pattern.replace("*", "7x")
    assert TagNames.of([name]).match(fits).all()


@given(st.lists(st.text(max_size=12), max_size=8))
def test_any_text_has_a_shape_and_a_family(names: list[str]) -> None:
    shape_of, shapes = find_shapes(names)
    assert len(shape_of) == len(names)
    assert set(shape_of.tolist()) == set(range(len(shapes)))
    assert len(find_name_families(names).family_of) == len(names)


def _real_tags() -> Iterator[tuple[str, str]]:
    path = require_shared() / "data" / "tags" / "k8s_registry_promotions.tsv.gz"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        next(lines)
        for line in lines:
            _, repository, _, tag, _ = line.rstrip("\n").split("\t")
            yield repository, tag


def test_of_730_real_repositories_nearly_every_name_is_understood() -> None:
    by_repository = defaultdict(set)
    for repository, tag in _real_tags():
        by_repository[repository].add(tag)
    assert len(by_repository) > 700
    names = sorted({tag for tags in by_repository.values() for tag in tags})
    found = find_name_families(names)
    kinds = [found.families[number][0] for number in found.family_of.tolist()]
    assert kinds.count(FamilyKind.OTHER) / len(kinds) < 0.01
    number = {name: at for at, name in enumerate(names)}
    apart = exact = 0
    for tags in by_repository.values():
        own = sorted(tags)
        texts = TagNames.of(own)
        members: dict[int, list[int]] = defaultdict(list)
        for at, name in enumerate(own):
            members[int(found.family_of[number[name]])].append(at)
        for family, rows in members.items():
            kind, key = found.families[family]
            if kind in {FamilyKind.POINTER, FamilyKind.ENVIRONMENT}:
                patterns: tuple[str, ...] = (key,)
            else:
                skeletons = {found.shapes[int(found.shape_of[number[own[row]]])].skeleton for row in rows}
                patterns = patterns_of(skeletons)
            for pattern in patterns:
                assert pattern.count("*") <= MOST_WILDCARDS
                assert texts.match(pattern)[rows].all(), (pattern, own)
            apart += 1
            exact += any(texts.match(pattern).sum() == len(rows) for pattern in patterns)
    # The rest is versions among their own variants, and hashes: these are put together.
    assert exact / apart > 0.6
