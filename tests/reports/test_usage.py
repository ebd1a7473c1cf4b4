"""Words on who uses images, and on what such words cover."""

from __future__ import annotations

import pytest

from analyzer.model.usage import SOURCES, Coverage, PlaceCoverage, Use, UseBasis
from reports.usage import (
    coverage_object,
    coverage_sentences,
    covered_text,
    in_use_words,
    user_text,
    users_of,
    users_text,
)
from tests.support.usage import usage_of, use

PLACES = [("1" * 12, "eu-west-1"), ("1" * 12, "us-east-1"), ("2" * 12, "eu-west-1"), ("2" * 12, "us-east-1")]


def test_whole_coverage_says_so_and_what_no_list_covers() -> None:
    coverage = Coverage(tuple(PlaceCoverage(*place, SOURCES) for place in PLACES))
    read, elsewhere = coverage_sentences(coverage)
    everything = "ecs, lambda, eks, apprunner, batch, sagemaker and codebuild"
    assert read == f"Workloads read in 4 accounts and regions: {everything} everywhere."
    assert elsewhere.startswith("Images can also be pulled from accounts and regions that were not collected")
    document = coverage_object(coverage)
    assert document is not None
    assert document["complete"] is True
    assert covered_text(coverage) == "read: ecs, lambda, eks, apprunner, batch, sagemaker, codebuild"


def test_one_place_is_not_everywhere() -> None:
    coverage = Coverage((PlaceCoverage(*PLACES[0], ("ecs",), never_asked=("eks",)),))
    assert coverage_sentences(coverage)[:2] == [
        "Workloads read in 1 account and region: ecs.",
        "No complete list of images in use for 1 of 1 account and region. Never asked: eks.",
    ]


def test_what_was_not_read_is_named_with_its_places() -> None:
    coverage = Coverage(
        (
            PlaceCoverage(*PLACES[0], ("ecs",), ("batch",), ("eks",)),
            PlaceCoverage(*PLACES[1], ("ecs", "batch"), refused=("eks",)),
            PlaceCoverage(*PLACES[2], ("ecs", "batch"), refused=("eks",)),
            PlaceCoverage(*PLACES[3], ("ecs", "batch"), refused=("eks",)),
        )
    )
    one, two, *_ = (f"{account}/{region}" for account, region in PLACES)
    lacking = f"Read in part: batch in {one}; refused: eks everywhere."
    assert coverage_sentences(coverage)[:2] == [
        "Workloads read in 4 accounts and regions: ecs everywhere, batch in 3.",
        f"No complete list of images in use for 4 of 4 accounts and regions. {lacking}",
    ]
    assert covered_text(coverage) == "read: ecs, batch in 3 of 4; not read: eks"
    some = Coverage((*coverage.places[:3], PlaceCoverage(*PLACES[3], ("ecs", "eks", "batch"))))
    assert f"refused: eks in {one}, {two} and 222222222222/eu-west-1." in coverage_sentences(some)[1]


def test_nothing_read_is_no_claim() -> None:
    coverage = Coverage((PlaceCoverage(*PLACES[0], refused=("ecs",), never_asked=SOURCES[1:]),))
    assert coverage_sentences(coverage)[0] == (
        "Workloads: none were read in 1 account and region, so what they use is not known."
    )
    assert covered_text(coverage).startswith("not read: ecs, lambda")
    assert coverage_object(None) is None


def test_users_are_counted_beyond_the_first() -> None:
    usage = usage_of([[use("a"), use("b", "configured"), use("c", "previous")], []])
    place = "(111111111111/eu-west-1)"
    assert users_of(usage, 0, 2) == (f"running in ecs a {place}; configured in ecs b {place}; and 1 more")
    assert users_of(usage, 0, 3).endswith(f"previous in ecs c {place}")
    assert users_of(usage, 1, 3) == users_of(None, 0, 3) == users_text((), 0) == ""
    assert user_text(Use("list", "", "", "", "listed", "app:v1")) == "on the list given"
    assert len(user_text(use("x" * 500))) < 150


@pytest.mark.parametrize(
    ("basis", "words"),
    [
        (UseBasis(), "what a workload of the snapshot runs, would start with or would roll back to"),
        (UseBasis(workloads="configured"), "what a workload of the snapshot runs or would start with"),
        (
            UseBasis(workloads="running", listed=1),
            "what a workload of the snapshot runs, and what a list of 1 reference names",
        ),
        (UseBasis(workloads="none", listed=2_000), "what a list of 2,000 references names"),
        (UseBasis(workloads="none"), "nothing, as it was asked for"),
    ],
)
def test_what_counts_as_in_use_is_told_in_words(basis: UseBasis, words: str) -> None:
    assert in_use_words(basis) == words
