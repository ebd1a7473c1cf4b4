"""What is a replica of what: by hand, and against the slow twin."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from analyzer.model.frames import NO_TIME, Frames
from analyzer.model.records import Kind
from analyzer.model.registry_settings import Copy, Place, Replication, ReplicationRule, Settings
from analyzer.replication import destinations_of, find_replication, read_replication_rules
from tests.oracle import replication as oracle
from tests.strategies.frames import ArtifactSpec, ManifestSpec, RepositorySpec, build_frames, image, index
from tests.support.examples import examples

#: The registries of ``tests.strategies.frames``, in their order.
WEST, EAST, OTHER = (
    ("111111111111", "eu-west-1"),
    ("111111111111", "us-east-1"),
    ("222222222222", "eu-west-1"),
)


def rule(*destinations: tuple[str, str], prefixes: Sequence[str] = ()) -> dict[str, Any]:
    made: dict[str, Any] = {
        "destinations": [{"registryId": account, "region": region} for account, region in destinations]
    }
    if prefixes:
        made["repositoryFilters"] = [{"filter": text, "filterType": "PREFIX_MATCH"} for text in prefixes]
    return made


def settings_of(frames: Frames, rules: Sequence[Sequence[Mapping[str, Any]] | None]) -> Settings:
    registries = [
        {} if own is None else {"replication_configuration": json.dumps({"rules": own})} for own in rules
    ]
    return Settings(registries, [{}] * len(frames.repositories))


def find(frames: Frames, *rules: Sequence[Mapping[str, Any]] | None) -> Replication:
    return find_replication(frames, settings_of(frames, rules))


def repository(registry: int, name: str, *digests: int) -> RepositorySpec:
    return RepositorySpec(tuple(ArtifactSpec(digest) for digest in digests), registry, name)


def with_status(frames: Frames, row: int, status: str, complete_at_ms: int = 0) -> Frames:
    repositories = frames.repositories.copy()
    repositories.loc[row, "status"] = status
    repositories.loc[row, "complete_at_ms"] = complete_at_ms
    return replace(frames, repositories=repositories)


MANIFESTS = {1: image(11, 12), 2: image(12, 13), 3: image(13, 14), 4: index(1, 2)}
SIZES = {11: 1, 12: 10, 13: 100, 14: 1000}


def test_an_image_is_a_replica_where_a_rule_copies_its_repository_and_the_source_has_it() -> None:
    frames = build_frames(
        [repository(0, "app", 1, 2), repository(1, "app", 1, 3)], MANIFESTS, SIZES, registries=2
    )
    found = find(frames, [rule(EAST)], [])
    assert found.replicated_to == [(Place(*EAST, 1, 1, 0),), ()]
    assert found.replica_of == [(), (Place(*WEST, 1, 1, 0),)]
    assert found.is_replica.tolist() == [Copy.NO, Copy.NO, Copy.YES, Copy.NO]
    assert (found.present.tolist(), found.missing.tolist()) == ([1, 0, 0, 0], [0, 1, 0, 0])
    # Layers 11 and 12 are held by the replica alone; those of image 3 are not.
    assert found.replica_bytes.tolist() == [0, 11]
    assert found.possible_replica_bytes.tolist() == [0, 0]


def test_a_layer_that_an_image_of_its_own_holds_too_is_not_what_replication_costs() -> None:
    frames = build_frames(
        [repository(0, "app", 1), repository(1, "app", 1, 2)], MANIFESTS, SIZES, registries=2
    )
    assert find(frames, [rule(EAST)], []).replica_bytes.tolist() == [0, 1]


def test_other_accounts_are_destinations_and_sources_too() -> None:
    frames = build_frames([repository(0, "app", 1), repository(2, "app", 1)], MANIFESTS, SIZES, registries=3)
    found = find(frames, [rule(OTHER, EAST)], [], [])
    assert found.replicated_to[0] == (Place(*EAST, 0, 1, 0), Place(*OTHER, 1, 0, 0))
    assert found.replica_of[1] == (Place(*WEST, 1, 0, 0),)


def test_a_destination_that_was_not_collected_is_unknown() -> None:
    frames = build_frames([repository(0, "app", 1)], MANIFESTS, SIZES)
    found = find(frames, [rule(("999999999999", "eu-west-1"))])
    assert found.replicated_to == [(Place("999999999999", "eu-west-1", 0, 0, 1),)]
    assert found.unknown.tolist() == [1]


def test_what_a_partly_listed_destination_does_not_show_may_be_there() -> None:
    frames = build_frames(
        [repository(0, "app", 1, 2), repository(1, "app", 1)], MANIFESTS, SIZES, registries=2
    )
    for status, complete_at in (("partial", 0), ("refused", 0), ("complete", NO_TIME)):
        found = find(with_status(frames, 1, status, complete_at), [rule(EAST)], [])
        assert found.replicated_to[0] == (Place(*EAST, 1, 0, 1),)


def test_a_destination_whose_repositories_are_not_all_listed_may_have_it() -> None:
    frames = build_frames([repository(0, "app", 1)], MANIFESTS, SIZES, registries=2)
    assert find(frames, [rule(EAST)], []).replicated_to[0] == (Place(*EAST, 0, 1, 0),)
    registries = frames.registries.assign(status=["complete", "partial"])
    found = find(replace(frames, registries=registries), [rule(EAST)], [])
    assert found.replicated_to[0] == (Place(*EAST, 0, 0, 1),)


def test_rules_that_could_not_be_read_leave_open_what_the_other_registry_has_too() -> None:
    frames = build_frames(
        [repository(0, "app", 1), repository(1, "app", 1, 3), repository(1, "own", 2)],
        MANIFESTS,
        SIZES,
        registries=2,
    )
    found = find(frames, None, [])
    assert found.replicated_to == [None, (), ()]
    assert found.is_replica.tolist() == [Copy.NO, Copy.UNKNOWN, Copy.NO, Copy.NO]
    assert found.replica_bytes.tolist() == [0, 0, 0]
    # Of layers 11, 12: 13 and 14 are those of image 3.
    assert found.possible_replica_bytes.tolist() == [0, 11, 0]


def test_a_rule_that_names_its_own_registry_copies_nothing() -> None:
    frames = build_frames([repository(0, "app", 1)], MANIFESTS, SIZES)
    assert find(frames, [rule(WEST)]).replicated_to == [()]


def test_prefixes_are_plain_beginnings_and_a_rule_without_any_is_for_all() -> None:
    rules = read_replication_rules(
        {
            "replication_configuration": json.dumps(
                {
                    "rules": [
                        {**rule(EAST, prefixes=["prod", "x/"]), "deleteReplication": {"enabled": True}},
                        rule(OTHER),
                    ]
                }
            )
        }
    )
    assert rules == (
        ReplicationRule(destinations=(EAST,), prefixes=("prod", "x/"), deletes=True),
        ReplicationRule(destinations=(OTHER,)),
    )
    assert destinations_of(rules, "production/app") == [EAST, OTHER]
    assert destinations_of(rules, "x/app") == [EAST, OTHER]
    assert destinations_of(rules, "a/prod") == [OTHER]
    assert read_replication_rules({}) is None
    assert read_replication_rules({"replication_configuration": '{"rules":[]}'}) == ()


_DIGESTS = (1, 2, 3, 4, 5)
_PLACES = (WEST, EAST, OTHER, ("333333333333", "eu-west-1"))
_RULES = st.one_of(
    st.none(),
    st.lists(
        st.builds(
            lambda places, prefixes: rule(*places, prefixes=prefixes),
            st.lists(st.sampled_from(_PLACES), max_size=3),
            st.lists(st.sampled_from(["a", "ap", "app", "b/", "z"]), max_size=2),
        ),
        max_size=3,
    ),
)
_MANIFESTS = st.fixed_dictionaries(
    {},
    optional={
        digest: st.builds(
            ManifestSpec,
            st.sampled_from([Kind.IMAGE, Kind.IMAGE, Kind.IMAGE, Kind.INDEX, Kind.UNKNOWN]),
            st.lists(st.tuples(st.integers(11, 15), st.booleans()), max_size=4).map(tuple),
        )
        for digest in _DIGESTS
    },
)


@st.composite
def _worlds(draw: st.DrawFn) -> tuple[Frames, list[Any]]:
    keys = draw(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["app", "apple", "b/c"])), unique=True))
    repositories = [
        repository(registry, name, *draw(st.lists(st.sampled_from(_DIGESTS), unique=True)))
        for registry, name in keys
    ]
    sizes = {blob: draw(st.integers(0, 2**40)) for blob in range(11, 16)}
    frames = build_frames(repositories, draw(_MANIFESTS), sizes, registries=3)
    count = len(repositories)
    statuses = st.sampled_from(["complete", "complete", "partial", "refused"])
    frames = replace(
        frames,
        registries=frames.registries.assign(
            status=draw(st.lists(statuses, min_size=3, max_size=3)),
            partition=draw(st.sampled_from([["aws"] * 3, ["aws", "aws", "aws-cn"]])),
        ),
        repositories=frames.repositories.assign(
            status=pd.Series(draw(st.lists(statuses, min_size=count, max_size=count)), dtype="str"),
            complete_at_ms=np.array(
                draw(st.lists(st.sampled_from([0, NO_TIME]), min_size=count, max_size=count)), np.int64
            ),
        ),
    )
    return frames, [draw(_RULES) for _ in range(3)]


@given(_worlds())
@examples(200)
def test_the_answer_is_that_of_the_slow_twin(world: tuple[Frames, list[Any]]) -> None:
    frames, rules = world
    found, expected = find(frames, *rules), oracle.find(frames, rules)
    assert [Copy(code).name.lower() for code in found.is_replica] == expected.is_replica
    counts = zip(found.present.tolist(), found.missing.tolist(), found.unknown.tolist(), strict=True)
    assert [{"yes": a, "no": b, "unknown": c} for a, b, c in counts] == expected.copies
    to = [
        None if places is None else [(p.account, p.region) for p in places] for places in found.replicated_to
    ]
    assert to == expected.to
    assert [[(p.account, p.region) for p in places] for places in found.replica_of] == expected.of
    assert found.replica_bytes.tolist() == expected.replica_bytes
    assert found.possible_replica_bytes.tolist() == expected.possible_bytes
    for places, row in zip(found.replicated_to, range(len(frames.repositories)), strict=True):
        held = int((frames.artifacts.repository == row).sum())
        assert all(p.present + p.missing + p.unknown == held for p in places or ())
