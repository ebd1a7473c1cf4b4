"""What is left of families: by hand, and against a recount that looks at every artifact by itself."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from analyzer.families import REFERRER
from analyzer.hygiene.checks import run_checks
from analyzer.hygiene.estate import Check, Estate, Found, Unjudged
from analyzer.hygiene.orphans import CHECKS
from analyzer.model.findings import Finding
from analyzer.model.frames import NO_MANIFEST, NO_TIME, Frames, IndexChildren
from analyzer.model.records import Kind
from analyzer.pricing import bundled_prices
from tests.oracle.findings import DAY_MS, ORPHAN_DAYS, lost_idle_pulled
from tests.strategies.frames import (
    ArtifactSpec,
    Case,
    ManifestSpec,
    RepositorySpec,
    build_frames,
    cases,
    image,
    index,
)
from tests.support.estates import estate_of, usage_of
from tests.support.examples import examples

NOW_MS = 20_000 * DAY_MS
OLD = NOW_MS - 20 * DAY_MS
PRICES = bundled_prices()
SIZES = {20: 100, 21: 10, 22: 1}


def children_of(frames: Frames, more: Collection[int] = ()) -> IndexChildren:
    """Of the indexes in ``frames``, and of others that are gone."""
    child = np.concatenate([frames.manifests.children, np.array(sorted(more), np.uint32)]).astype(np.uint32)
    return IndexChildren(child, np.full(len(child), -1, np.int32), ())


def estate(frames: Frames, more: Collection[int] = (), running: Sequence[int] = (), **given_: Any) -> Estate:
    return estate_of(
        frames,
        now_ms=NOW_MS,
        prices=PRICES,
        usage=usage_of(len(frames.artifacts.digest_id), running),
        index_children=children_of(frames, more),
        **given_,
    )


def check(name: str) -> Check:
    (found,) = (one for one in CHECKS if one.text.id == name)
    return found


def found(name: str, told: Estate) -> list[Finding]:
    return [one.finding for one in run_checks(told, [check(name)]).told]


def one(artifacts: Sequence[ArtifactSpec], manifests: Mapping[int, ManifestSpec]) -> Frames:
    return build_frames([RepositorySpec(tuple(artifacts), name="a")], manifests, SIZES)


def old(digest_id: int, tags: int = 0, **more: Any) -> ArtifactSpec:
    return ArtifactSpec(digest_id, tags=tags, pushed_at_ms=OLD, **more)


def test_children_leave_with_their_untagged_index_and_what_refers_to_it() -> None:
    manifests = {1: index(2, 3), 2: image(20), 3: image(21), 4: image(22, subject=1)}
    (finding,) = found("ORPHANED_CHILDREN", estate(one([old(1), old(2), old(3), old(4)], manifests)))
    assert finding.images == 2
    assert finding.freed_bytes is not None
    assert finding.freed_bytes.repository == 111
    assert "gone" not in finding.message


def test_children_of_an_index_that_is_gone_are_told_from_plain_untagged_images() -> None:
    frames = one([old(2), old(3)], {2: image(20), 3: image(21)})
    assert found("ORPHANED_CHILDREN", estate(frames)) == []
    (finding,) = found("ORPHANED_CHILDREN", estate(frames, more={3}))
    assert (finding.images, finding.evidence[0].digest) == (1, f"sha256:{3:064x}")
    assert "of 1 the index is gone" in finding.message


def test_children_of_a_tagged_index_new_ones_and_those_in_use_are_no_orphans() -> None:
    manifests = {1: index(2), 2: image(20)}
    assert found("ORPHANED_CHILDREN", estate(one([old(1, tags=1), old(2)], manifests))) == []
    new = ArtifactSpec(2, pushed_at_ms=NOW_MS)
    assert found("ORPHANED_CHILDREN", estate(one([old(1), new], manifests))) == []
    assert found("ORPHANED_CHILDREN", estate(one([old(1), old(2)], manifests), running=[0, 1])) == []


def test_referrers_of_what_is_gone_are_told_unless_the_listing_is_not_whole() -> None:
    manifests = {4: image(22, subject=9), 5: image(21, subject=4)}
    frames = one([old(4), old(5)], manifests)
    (finding,) = found("ORPHANED_REFERRERS", estate(frames))
    assert (finding.images, finding.severity) == (0, "low")
    assert len(finding.evidence) == 1
    assert finding.freed_bytes is not None
    # What refers to the referrer leaves with it.
    assert finding.freed_bytes.repository == 11
    frames.repositories["status"] = ["partial"]
    answers = run_checks(estate(frames), [check("ORPHANED_REFERRERS")])
    assert answers.told == ()
    assert [left.repositories for left in answers.not_judged] == [1]


def test_tags_that_name_a_digest_that_is_gone_make_a_referrer_of_their_image() -> None:
    gone, there = "0" * 63 + "9", "0" * 63 + "2"
    frames = one(
        [old(2, tags=1), old(5, tags=1), old(6, tags=1), old(7, tags=2)], {5: image(22), 6: image(21)}
    )
    told = estate(frames)
    names = ["v1", f"sha256-{gone}.sig", f"sha256-{there}.att", f"sha256-{gone}", "keep"]
    facts = replace(told.known.facts, tag_names=names, tags=np.array([0, 1, 2, 3, 4], np.int32))

    def ids(digests: Sequence[str]) -> Any:
        return np.array([2 if text.endswith("2") else -1 for text in digests], np.int64)

    again = Estate(replace(told.known, facts=facts, digest_ids=ids))
    (finding,) = found("ORPHANED_REFERRERS", again)
    assert [evidence.tags for evidence in finding.evidence] == [(f"sha256-{gone}.sig",)]


def test_a_referrer_that_a_workload_names_stays() -> None:
    frames = one([old(4)], {4: image(22, subject=9)})
    assert found("ORPHANED_REFERRERS", estate(frames, running=[0])) == []


@given(case=cases(), more=st.sets(st.integers(1, 9), max_size=2))
@examples(40)
def test_random_repositories_agree_with_a_recount(case: Case, more: set[int]) -> None:
    frames = case.frames
    told = estate_of(
        frames, now_ms=case.now_ms, stale_days=90, prices=PRICES, index_children=children_of(frames, more)
    )
    artifacts, manifests = frames.artifacts, frames.manifests
    families = told.known.families
    lost, _, _ = lost_idle_pulled(frames, families, (), now_ms=case.now_ms, stale_days=90)
    named = set(manifests.children.tolist()) | more
    children, referrers = set(), set()
    here = set(zip(artifacts.repository.tolist(), artifacts.digest_id.tolist(), strict=True))
    for position, manifest in enumerate(artifacts.manifest.tolist()):
        digest, row = int(artifacts.digest_id[position]), int(artifacts.repository[position])
        if families.kind[position] in (0, 1) and position in lost and digest in named:
            children.add(position)
        is_image = manifest != NO_MANIFEST and manifests.kind[manifest] == Kind.IMAGE
        subject = (int(manifests.subject[manifest]) if is_image else 0) or int(artifacts.subject[position])
        pushed = int(artifacts.pushed_at_ms[position])
        aged = pushed != NO_TIME and pushed < case.now_ms - ORPHAN_DAYS * DAY_MS
        if is_image and subject and (row, subject) not in here and not artifacts.tags[position] and aged:
            referrers.add(position)
    for name, expected in (("ORPHANED_CHILDREN", children), ("ORPHANED_REFERRERS", referrers)):
        answers = list(check(name).find(told))
        assert not any(isinstance(answer, Unjudged) for answer in answers)
        of = [answer for answer in answers if isinstance(answer, Found)]
        assert {position for answer in of for position in answer.artifacts.tolist()} == expected
        for answer in of:
            assert answer.leaves is not None
            assert set(answer.artifacts.tolist()) <= set(answer.leaves.tolist())
            assert set(artifacts.repository[answer.leaves].tolist()) == {answer.row}
        if name == "ORPHANED_REFERRERS":
            assert all(families.kind[position] == REFERRER for position in expected)
