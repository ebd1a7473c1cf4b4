"""What findings come to, against sets of blobs before and after: bytes that leave, and their price."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.families import UNKNOWN
from analyzer.hygiene.checks import run_checks
from analyzer.hygiene.estate import Check, Estate, Found, Unjudged
from analyzer.hygiene.telling import Teller
from analyzer.model.findings import CheckText, Finding
from analyzer.model.frames import Frames
from analyzer.model.lint import Severity
from analyzer.model.results import UNKNOWN_SIZE, ScopedBytes
from analyzer.model.units import GB
from analyzer.model.verdicts import Outcome
from tests.oracle.savings import measure
from tests.strategies.frames import ArtifactSpec, Case, RepositorySpec, build_frames, cases, image
from tests.support.estates import estate_of

NOW_MS = 20_000 * 86_400_000
#: What the bundled book has for both regions of the drawn registries.
PRICE = Decimal("0.10")


def a_check(*found: Found | Unjudged, fix: str = "mend it", validate: str = "look") -> Check:
    text = CheckText(
        id="A_CHECK",
        severity=Severity.LOW,
        title="A title",
        meaning="What it means.",
        validate=validate,
        fix=fix,
        source="nobody",
    )
    return Check(text, lambda _: found)


def told(estate: Estate, *found: Found, fix: str = "mend it") -> list[Finding]:
    return [one.finding for one in run_checks(estate, [a_check(*found, fix=fix)]).told]


def outcome_of(frames: Frames, *leaves: list[int]) -> list[int]:
    outcome = [int(Outcome.KEPT)] * len(frames.artifacts.digest_id)
    for position in {position for positions in leaves for position in positions}:
        outcome[position] = int(Outcome.EXPIRED)
    return outcome


@given(cases(), st.data())
def test_each_finding_frees_what_leaves_if_it_alone_is_mended(case: Case, data: st.DataObject) -> None:
    frames = case.frames
    estate = estate_of(frames, now_ms=case.now_ms)
    repository = frames.artifacts.repository
    found, chosen = [], []
    for row in range(len(frames.repositories)):
        own = np.flatnonzero(repository == row).tolist()
        # Several about one repository, which must not see each other's images.
        for _ in range(data.draw(st.integers(0, 3))):
            leaves = sorted(data.draw(st.sets(st.sampled_from(own)))) if own else []
            chosen.append((row, leaves))
            found.append(
                Found(
                    registry=estate.registry[row],
                    row=row,
                    message="x",
                    leaves=np.array(leaves, np.int64),
                )
            )
    for finding, (row, leaves) in zip(told(estate, *found), chosen, strict=True):
        expected = measure(frames, outcome_of(frames, leaves)).repositories[row]
        unknown = sum(estate.known.families.kind[position] == UNKNOWN for position in leaves)
        assert finding.unknown_size == unknown
        freed = ScopedBytes(repository=expected["freed_bytes"], registry=expected["freed_unique_bytes"])
        if unknown and not freed.repository:
            assert finding.freed_bytes is None
            assert finding.saving is not None
            assert finding.saving.low.amount is None
        else:
            assert finding.freed_bytes == freed
    union, rows = (
        Teller(estate).union(np.array(leaves, np.int64) for _, leaves in chosen),
        measure(frames, outcome_of(frames, *(leaves for _, leaves in chosen))),
    )
    assert union.freed_bytes == ScopedBytes(
        repository=sum(row["freed_bytes_repository"] for row in rows.registries),
        registry=sum(row["freed_bytes_registry"] for row in rows.registries),
    )
    # What repositories free by themselves is the total at repository scope.
    assert union.freed_bytes.repository == sum(
        0 if freed is None else freed.repository for freed, _, _ in union.by_row.values()
    )


def two_images(*, mounting_ever: bool = False) -> Frames:
    """One repository: a blob of 10 GB in both images, 3 GB in the first alone; 2 GB are elsewhere too."""
    frames = build_frames(
        [
            RepositorySpec((ArtifactSpec(1, tags=1), ArtifactSpec(2)), name="app"),
            RepositorySpec((ArtifactSpec(3),), name="other"),
        ],
        {1: image(10, 11, 12), 2: image(10), 3: image(12)},
        {10: 10 * GB, 11: 3 * GB, 12: 2 * GB},
    )
    frames.registries["blob_mounting_ever"] = mounting_ever
    return frames


@pytest.mark.parametrize(("mounting_ever", "low"), [(False, "0.50"), (True, "0.30")])
def test_the_promise_is_the_end_that_cannot_overstate(mounting_ever: bool, low: str) -> None:
    estate = estate_of(two_images(mounting_ever=mounting_ever), now_ms=NOW_MS)
    (finding,) = told(estate, Found(registry=0, row=0, message="x", leaves=np.array([0])))
    assert finding.freed_bytes == ScopedBytes(repository=5 * GB, registry=3 * GB)
    assert finding.saving is not None
    assert (finding.saving.low.amount, finding.saving.high.amount) == (Decimal(low), 5 * PRICE)


@pytest.mark.parametrize(("scope", "both"), [("repository", "0.50"), ("registry", "0.30")])
def test_a_scope_that_is_asked_for_gives_one_figure(scope: str, both: str) -> None:
    estate = estate_of(two_images(mounting_ever=True), now_ms=NOW_MS, scope=scope)
    (finding,) = told(estate, Found(registry=0, row=0, message="x", leaves=np.array([0])))
    assert finding.saving is not None
    assert finding.saving.low.amount == finding.saving.high.amount == Decimal(both)


def test_what_frees_no_storage_has_no_saving_and_what_frees_nothing_saves_nothing() -> None:
    estate = estate_of(two_images(), now_ms=NOW_MS)
    without, nothing = told(
        estate,
        Found(registry=0, row=0, message="x"),
        Found(registry=0, row=0, message="x", leaves=np.zeros(0, np.int64)),
    )
    assert (without.freed_bytes, without.saving) == (None, None)
    assert nothing.freed_bytes == ScopedBytes(repository=0, registry=0)
    assert nothing.saving is not None
    assert nothing.saving.low.amount == 0


def test_a_finding_about_a_registry_frees_across_its_repositories() -> None:
    estate = estate_of(two_images(), now_ms=NOW_MS)
    (finding,) = told(estate, Found(registry=0, row=None, message="x", leaves=np.array([0, 2])))
    assert finding.freed_bytes == ScopedBytes(repository=7 * GB, registry=5 * GB)
    assert (finding.repository, finding.key) == ("", "A_CHECK/111111111111/eu-west-1/")


def test_unknown_sizes_are_named_beside_what_is_known() -> None:
    frames = build_frames(
        [RepositorySpec((ArtifactSpec(1), ArtifactSpec(2)), name="app")], {1: image(10)}, {10: GB}
    )
    estate = estate_of(frames, now_ms=NOW_MS)
    both, unknown = told(
        estate,
        Found(registry=0, row=0, message="x", leaves=np.array([0, 1])),
        Found(registry=0, row=0, message="x", leaves=np.array([1])),
    )
    assert (both.freed_bytes, both.unknown_size) == (ScopedBytes(repository=GB, registry=GB), 1)
    assert both.saving is not None
    assert (both.saving.low.amount, both.saving.low.leaves_out) == (PRICE, (UNKNOWN_SIZE,))
    assert (unknown.freed_bytes, unknown.unknown_size) == (None, 1)
    assert unknown.saving is not None
    assert unknown.saving.low.amount is None


def test_a_region_without_a_price_saves_an_unknown_amount() -> None:
    frames = two_images()
    frames.registries["region"] = "xx-nowhere-1"
    (finding,) = told(
        estate_of(frames, now_ms=NOW_MS), Found(registry=0, row=0, message="x", leaves=np.array([0]))
    )
    assert finding.saving is not None
    assert finding.saving.low.amount is None
    assert "no price" in finding.saving.low.leaves_out[0]


def test_examples_are_a_few_with_what_is_known_of_them() -> None:
    frames = build_frames(
        [
            RepositorySpec(
                (
                    ArtifactSpec(1, tags=1, pushed_at_ms=NOW_MS, pulled_day=19_000),
                    *(ArtifactSpec(number) for number in range(2, 9)),
                ),
                name="app",
            )
        ],
        {1: image(10, 11)},
        {10: 5, 11: 7},
    )
    (finding,) = told(
        estate_of(frames, now_ms=NOW_MS), Found(registry=0, row=0, message="x", artifacts=np.arange(8))
    )
    assert (finding.images, len(finding.evidence)) == (8, 5)
    tagged, untagged = finding.evidence[:2]
    assert (tagged.kind, tagged.name, tagged.tags) == ("image", "app:tag-1", ("tag-1",))
    assert (tagged.size_bytes, tagged.last_pull) == (12, "2022-01-08")
    assert tagged.pushed_at is not None
    assert untagged.name == f"app@sha256:{2:064x}"
    assert (untagged.kind, untagged.size_bytes, untagged.pushed_at) == ("unknown", None, None)
    assert untagged.last_pull == "never"


def commands(name: str, fix: str, *, public: bool = False) -> str:
    frames = build_frames([RepositorySpec(name=name)], {}, {})
    if public:
        frames.registries["region"] = "public"
    estate = estate_of(frames, now_ms=NOW_MS)
    (finding,) = told(estate, Found(registry=0, row=0, message="x", subject="a b"), fix=fix)
    return finding.fix


@pytest.mark.parametrize(
    ("name", "quoted"),
    [
        ("team/app", "team/app"),
        ("$(reboot)", "'$(reboot)'"),
        ("a'b; rm -rf /", "'a'\"'\"'b; rm -rf /'"),
        # What looks like a blank in a name is none.
        ("{subject}", "'{subject}'"),
        ("", "''"),
    ],
)
def test_names_in_commands_are_quoted_for_a_shell(name: str, quoted: str) -> None:
    filled = commands(name, "aws ecr x --name {repository} --region {region} {subject} '{json}'")
    assert filled == f"aws ecr x --name {quoted} --region eu-west-1 'a b' '{{json}}'"


def test_a_public_repository_is_asked_about_where_its_api_is() -> None:
    assert commands("app", "aws ecr describe-images --region {region}", public=True) == (
        "aws ecr-public describe-images --region us-east-1"
    )


def test_what_is_not_judged_is_counted_by_registry_and_reason() -> None:
    frames = build_frames(
        [RepositorySpec(name="a"), RepositorySpec(name="b", registry=1)], {}, {}, registries=2
    )
    estate = estate_of(frames, now_ms=NOW_MS)

    def answers() -> Iterator[Unjudged]:
        yield Unjudged(registry=0, row=0, reason="not read")
        yield Unjudged(registry=1, row=1, reason="not read")
        yield Unjudged(registry=1, row=None, reason="no policy")

    found = run_checks(estate, [a_check(*answers())]).not_judged
    assert [(one.region, one.repositories, one.reason) for one in found] == [
        ("eu-west-1", 1, "not read"),
        ("us-east-1", 0, "no policy"),
        ("us-east-1", 1, "not read"),
    ]
