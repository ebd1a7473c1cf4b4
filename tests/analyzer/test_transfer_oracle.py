"""Findings of references, against a search through every registry."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from analyzer.families import find_families
from analyzer.model.frames import NO_TIME, Int64, LifecycleFacts
from analyzer.model.records import UseKind
from analyzer.model.transfer import TransferCode, TransferFinding
from analyzer.model.usage import Workloads
from analyzer.pricing import bundled_prices
from analyzer.references import parse_reference
from analyzer.transfer import find_transfers
from tests.strategies.frames import ArtifactSpec, RepositorySpec, build_frames, image
from tests.support.examples import examples

PLACES = (("111111111111", "eu-west-1"), ("111111111111", "us-east-1"), ("222222222222", "eu-west-1"))
#: Registries that references name; the last was never read.
NAMED = (*PLACES, ("222222222222", "us-east-1"))
SOURCES = ("ecs", "lambda")
NAMES = ("a", "ab")
PRICES = bundled_prices()
#: Digest number and tag (its own number, "" for none) of what a repository holds.
Held = dict[int, str]


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


def host(place: tuple[str, str]) -> str:
    return f"{place[0]}.dkr.ecr.{place[1]}.amazonaws.com"


HELD = st.dictionaries(st.integers(1, 3), st.sampled_from(["", "x", "y"]), max_size=3).filter(
    lambda held: all(not tag or [*held.values()].count(tag) == 1 for tag in held.values())
)
REFERENCES = st.builds(
    lambda place, name, behind: f"{host(place)}/{name}{behind}",
    st.sampled_from(NAMED),
    st.sampled_from(NAMES),
    st.sampled_from([":x", ":y", f"@{digest(1)}", f":x@{digest(2)}", f"@{digest(9)}"]),
)


@given(
    st.dictionaries(st.tuples(st.integers(0, 2), st.sampled_from(NAMES)), HELD, max_size=6),
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1), REFERENCES), max_size=6, unique=True),
)
@examples(80)
def test_findings_are_what_a_search_through_every_registry_finds(
    fleet: dict[tuple[int, str], Held], uses: list[tuple[int, int, str]]
) -> None:
    expected = {}
    for place, source, reference in uses:
        meant = parse_reference(reference)
        if (meant.account, meant.region) == PLACES[place]:
            continue
        wanted = _wanted(fleet, reference)
        replicas = [
            other
            for (other, name), held in fleet.items()
            if name == meant.repository
            and PLACES[other][1] == PLACES[place][1] != meant.region
            and PLACES[other][0] in {PLACES[place][0], meant.account}
            and wanted in held
        ]
        if meant.region == PLACES[place][1]:
            code = TransferCode.CROSS_ACCOUNT
        elif SOURCES[source] == "lambda":
            code = TransferCode.IMPOSSIBLE
        else:
            code = TransferCode.REPLICA_UNUSED if replicas else TransferCode.CROSS_REGION
        expected[place, SOURCES[source], reference] = code, wanted, replicas
    found = _found(fleet, uses)
    assert {(PLACES.index((one.account, one.region)), one.source, one.reference) for one in found} == set(
        expected
    )
    for one in found:
        key = PLACES.index((one.account, one.region)), one.source, one.reference
        code, wanted, replicas = expected[key]
        assert one.code is code
        assert bool(one.better_reference) is (code is TransferCode.REPLICA_UNUSED)
        if one.better_reference:
            better = parse_reference(one.better_reference)
            # The reference that is proposed leads to the same image in the workload's own region.
            assert (better.account, better.region) in {PLACES[other] for other in replicas}
            assert better.region == one.region
            assert _wanted(fleet, one.better_reference) == wanted


def _wanted(fleet: dict[tuple[int, str], Held], reference: str) -> int | None:
    """Number of the digest that a reference names; None where nobody knows it."""
    meant = parse_reference(reference)
    if meant.digest is not None:
        return int(meant.digest.removeprefix("sha256:"), 16)
    place = (meant.account, meant.region)
    held = fleet.get((PLACES.index(place), meant.repository), {}) if place in PLACES else {}
    return next((number for number, tag in held.items() if tag == meant.tag), None)


def _found(
    fleet: dict[tuple[int, str], Held], uses: Sequence[tuple[int, int, str]]
) -> Sequence[TransferFinding]:
    ordered = sorted(fleet.items())
    specs = [
        RepositorySpec(
            tuple(ArtifactSpec(number, tags=int(bool(tag))) for number, tag in held.items()),
            registry=place,
            name=name,
        )
        for (place, name), held in ordered
    ]
    frames = build_frames(
        specs, {number: image(10 + number) for number in range(1, 4)}, {11: 5, 12: 6, 13: 7}, registries=3
    )
    tags = [held[number] for _, held in ordered for number in sorted(held)]
    nothing = np.full(len(tags), NO_TIME)
    names = ["x", "y"]
    facts = LifecycleFacts(
        pulled_at_ms=nothing,
        archived_at_ms=nothing,
        activated_at_ms=nothing,
        tie=nothing,
        tag_offsets=np.cumsum([0, *(int(bool(tag)) for tag in tags)]),
        tags=np.array([names.index(tag) for tag in tags if tag], np.int32),
        tag_names=names,
    )
    references = sorted({reference for *_, reference in uses})
    workloads = Workloads(
        place=np.array([place for place, *_ in uses], np.int32),
        source=np.array([source for _, source, _ in uses], np.int32),
        workload=np.zeros(len(uses), np.int32),
        reference=np.array([references.index(reference) for *_, reference in uses], np.int32),
        kind=np.full(len(uses), UseKind.RUNNING, np.uint8),
        sources=SOURCES,
        names=["web"],
        references=references,
        reads=(),
    )

    def digest_ids(digests: Sequence[str]) -> Int64:
        numbers = [int(text.removeprefix("sha256:"), 16) for text in digests]
        return np.array([number if number < 9 else -1 for number in numbers], np.int64)

    def digests(positions: Int64) -> list[str]:
        return [digest(int(number)) for number in frames.artifacts.digest_id[positions]]

    return find_transfers(
        workloads,
        frames,
        facts,
        find_families(frames),
        PRICES,
        digest_ids=digest_ids,
        digests=digests,
        caches=[(), (), ()],
        attestations=lambda _: (),
    ).findings
