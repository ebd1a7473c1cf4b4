"""The checks of layers: what is said, priced and left out."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np

from analyzer.hygiene.checks import run_checks
from analyzer.hygiene.estate import Check, Estate
from analyzer.hygiene.layers import CHECKS
from analyzer.model.findings import Finding
from analyzer.model.frames import Frames, IndexChildren
from analyzer.model.records import PUBLIC_REGION
from analyzer.model.units import GB
from analyzer.pricing import bundled_prices
from tests.strategies.frames import DAY_MS, ArtifactSpec, ManifestSpec, RepositorySpec, build_frames, image
from tests.support.estates import estate_of

NOW_MS = 20_000 * DAY_MS
PRICES = bundled_prices()
MIB = 2**20
KEY = "arn:aws:kms:eu-west-1:111111111111:key/a"


def check(name: str) -> Check:
    (found,) = (one for one in CHECKS if one.text.id == name)
    return found


def estate(frames: Frames, **given_: Any) -> Estate:
    return estate_of(
        frames,
        now_ms=NOW_MS,
        prices=PRICES,
        digest_texts=lambda ids: {number: f"sha256:{number:064x}" for number in ids},
        **given_,
    )


def found(name: str, told: Estate) -> list[Finding]:
    return [one.finding for one in run_checks(told, [check(name)]).told]


def two(*, key: str = "", mounting: str = "DISABLED", ever: bool = False, age: int = 3) -> Frames:
    """Two repositories with a layer of 10 GB in common, one of which got it so many days ago."""
    frames = build_frames(
        [
            RepositorySpec((ArtifactSpec(1, tags=1, pushed_at_ms=NOW_MS - 90 * DAY_MS),), name="a"),
            RepositorySpec(
                (ArtifactSpec(2, tags=1, pushed_at_ms=NOW_MS - age * DAY_MS),),
                name="b",
                encryption_type="KMS" if key else "AES256",
                kms_key=key,
            ),
        ],
        {1: image(20, 30), 2: image(21, 30)},
        {20: 1, 21: 1, 30: 10 * GB},
    )
    frames.registries["blob_mounting"] = [mounting]
    frames.registries["blob_mounting_ever"] = [ever]
    return frames


def test_keys_cost_the_layers_that_they_keep_apart_where_mounting_is_on() -> None:
    (finding,) = found("KEYS_SPLIT_LAYERS", estate(two(key=KEY, mounting="ENABLED", ever=True)))
    assert (finding.severity, finding.repository) == ("medium", "")
    assert finding.saving is not None
    assert (finding.saving.low.amount, finding.saving.high.amount) == (Decimal(1), Decimal(1))
    assert [evidence.name for evidence in finding.evidence] == ["AES256", f"KMS {KEY}"]
    assert {evidence.size_bytes for evidence in finding.evidence} == {10 * GB}


def test_keys_promise_nothing_where_mounting_was_never_on() -> None:
    (finding,) = found("KEYS_SPLIT_LAYERS", estate(two(key=KEY)))
    assert finding.severity == "low"
    assert finding.saving is not None
    assert (finding.saving.low.amount, finding.saving.high.amount) == (Decimal(0), Decimal(1))
    assert "once blob mounting is on" in finding.saving_note
    assert found("KEYS_SPLIT_LAYERS", estate(two(mounting="ENABLED", ever=True))) == []


def test_blob_mounting_is_worth_at_most_what_repositories_have_in_common_and_promises_nothing() -> None:
    (finding,) = found("BLOB_MOUNTING_OFF", estate(two()))
    assert finding.saving is not None
    assert (finding.saving.low.amount, finding.saving.high.amount) == (Decimal(0), Decimal(1))
    assert "10.00 GB of 20.00 GB" in finding.message
    assert "10.00 GB ($1.00 a month) of that came in the last 30 days" in finding.message
    assert "--value ENABLED" in finding.fix
    assert finding.severity == "medium"
    (older,) = found("BLOB_MOUNTING_OFF", estate(two(age=31)))
    assert "0 bytes ($0.00 a month) of that came" in older.message


def test_blob_mounting_is_no_finding_where_it_is_on_unread_public_or_not_worth_it() -> None:
    assert found("BLOB_MOUNTING_OFF", estate(two(mounting="ENABLED", ever=True))) == []
    assert found("BLOB_MOUNTING_OFF", estate(two(key=KEY))) == []
    answers = run_checks(estate(two(mounting="")), [check("BLOB_MOUNTING_OFF")])
    assert answers.told == ()
    assert [left.reason for left in answers.not_judged] == ["the account setting BLOB_MOUNTING was not read"]
    public = two()
    public.registries["region"] = [PUBLIC_REGION]
    assert found("BLOB_MOUNTING_OFF", estate(public)) == []


def test_a_price_that_nobody_knows_makes_the_saving_unknown() -> None:
    frames = two(key=KEY, mounting="ENABLED", ever=True)
    frames.registries["region"] = ["xx-nowhere-1"]
    (finding,) = found("KEYS_SPLIT_LAYERS", estate(frames))
    assert finding.saving is not None
    assert finding.saving.low.amount is None
    assert finding.saving.low.leaves_out == ("no price for storage-standard in xx-nowhere-1",)


def bases(*, ever: bool) -> Frames:
    """Two repositories that went from one base to the next, and one that stayed behind."""
    manifests: dict[int, ManifestSpec] = {}
    specs = []
    for name, builds in {"a": (50, 51), "b": (50, 51), "late": (50,)}.items():
        artifacts = []
        for base in builds:
            digest = len(manifests) + 1
            manifests[digest] = image(100 + digest, base, 200 + digest)
            artifacts.append(ArtifactSpec(digest, tags=1, pushed_at_ms=NOW_MS - (20 - digest) * DAY_MS))
        specs.append(RepositorySpec(tuple(artifacts), name=name))
    frames = build_frames(specs, manifests, {50: 2 * GB, 51: GB})
    frames.registries["blob_mounting_ever"] = [ever]
    return frames


def test_builds_of_one_base_are_told_by_whose_they_are_and_priced_where_layers_are_mounted() -> None:
    (finding,) = found("BASE_BUILDS_DIFFER", estate(bases(ever=True)))
    assert (finding.subject, finding.repository) == ("a", "")
    assert finding.message == (
        "the newest images of 3 repositories stand on 2 builds of one base (1 layer, 1.00 GB in the newest"
        " build): on the newest alone they would need 2.00 GB less of base layers"
    )
    assert finding.saving is not None
    assert (finding.saving.low.amount, finding.saving.high.amount) == (Decimal(0), Decimal("0.2"))
    assert [evidence.digest for evidence in finding.evidence] == [f"sha256:{n:064x}" for n in (51, 50)]
    assert finding.evidence[0].note.endswith("under the newest images of a, b")
    (apart,) = found("BASE_BUILDS_DIFFER", estate(bases(ever=False)))
    assert apart.saving is None
    assert apart.saving_note.startswith("none while blob mounting is off")


def test_stale_images_do_not_stand_for_their_repository() -> None:
    told = estate_of(bases(ever=True), now_ms=NOW_MS + 200 * DAY_MS, prices=PRICES)
    assert found("BASE_BUILDS_DIFFER", told) == []


def test_a_jump_is_told_by_platform_with_its_new_layers_and_promises_nothing() -> None:
    sizes = (200, 200, 200, 900)
    artifacts = tuple(
        ArtifactSpec(n, tags=1, pushed_at_ms=NOW_MS - (9 - n) * DAY_MS) for n in range(1, len(sizes) + 1)
    )
    frames = build_frames(
        [RepositorySpec(artifacts, name="a")],
        {n: image(20, 30 + n) for n in range(1, len(sizes) + 1)},
        {30 + n: size * MIB for n, size in enumerate(sizes, start=1)},
    )
    children = IndexChildren(np.arange(1, 5, dtype=np.uint32), np.zeros(4, np.int32), ("linux/arm64",))
    (finding,) = found("IMAGE_SIZE_JUMP", estate(frames, index_children=children))
    assert (finding.repository, finding.subject, finding.images) == ("a", "linux/arm64", 1)
    assert finding.message == (
        "images for linux/arm64 grew from 200.00 MB (the median of the 3 pushes before) to 900.00 MB with the"
        " push of 2024-09-29 00:00 UTC, 900.00 MB of it in 1 new layer; the newest has 900.00 MB"
    )
    assert [(e.kind, e.size_bytes) for e in finding.evidence if e.kind == "layer"] == [("layer", 900 * MIB)]
    assert finding.saving is not None
    assert finding.saving.low.amount is None
    assert finding.freed_bytes is None
