"""A simulation of any size, the same for the same arguments: the real simulator on made-up registries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from analyzer.families import find_families
from analyzer.lifecycle.parsing import parse_policy
from analyzer.model.frames import NO_TIME, Bools, Frames, Int64, LifecycleFacts
from analyzer.model.records import Gap, ImageStatus, Kind
from analyzer.model.simulation import Simulation
from analyzer.model.units import GB, ScopeChoice
from analyzer.model.usage import KINDS, Coverage, PlaceCoverage, Usage
from analyzer.pricing import bundled_prices
from analyzer.simulation import Proposal, WhatIf, simulate
from tests.strategies.frames import ArtifactSpec, ManifestSpec, RepositorySpec, build_frames
from tests.support.report_fixture import AT, HOSTILE
from tests.support.usage import usage_of, use

DAY_MS = 86_400_000
AT_MS = round(AT.timestamp() * 1000)
KEEP = """{"rules":[
{"rulePriority":1,"description":"untagged for a month","selection":{"tagStatus":"untagged",
"countType":"sinceImagePushed","countUnit":"days","countNumber":30},"action":{"type":"expire"}},
{"rulePriority":5,"description":"releases stay","selection":{"tagStatus":"tagged","tagPatternList":["v1.*"],
"countType":"imageCountMoreThan","countNumber":20},"action":{"type":"expire"}},
{"rulePriority":9,"selection":{"tagStatus":"any",
"countType":"imageCountMoreThan","countNumber":8},"action":{"type":"expire"}}]}"""
ARCHIVE = """{"rules":[
{"rulePriority":2,"selection":{"tagStatus":"untagged","countType":"sinceImagePushed","countUnit":"days",
"countNumber":200},"action":{"type":"expire"}},
{"rulePriority":3,"selection":{"tagStatus":"any","countType":"sinceImagePushed","countUnit":"days",
"countNumber":90},"action":{"type":"transition","targetStorageClass":"archive"}}]}"""
NOTHING = """{"rules":[{"rulePriority":1,"description":"keeps everything","selection":{"tagStatus":"any",
"countType":"imageCountMoreThan","countNumber":1000000},"action":{"type":"expire"}}]}"""
LIVE = """{"rules":[{"rulePriority":1,"description":"what is in force","selection":{"tagStatus":"untagged",
"countType":"sinceImagePushed","countUnit":"days","countNumber":300},"action":{"type":"expire"}}]}"""

_TEAMS = ("checkout", "data", "identity", "infra", "logistics", "ml", "mobile", "payments", "search", "web")
_SERVICES = ("api", "batch", "gateway", "importer", "indexer", "notebook", "proxy", "trainer", "worker")
#: Digest ids of blobs: those that everything is built on, and from where on each image has its own.
_BASES = range(1, 6)
_FIRST = 10
#: Ids that one image takes: its manifest, and its layers.
_EACH = 4


def build_simulation(
    repositories: int = 6,
    *,
    images: int = 24,
    policies: Sequence[str] = (KEEP,),
    scope: ScopeChoice = "auto",
    mounting: bool | None = False,
    unpriced: bool = False,
    unknowns: bool = False,
    hostile: bool = False,
    in_use: bool = False,
    users: bool = False,
    live: bool = False,
    by_rule: bool = False,
    offline: bool = False,
    seed: int = 7,
) -> Simulation:
    """What ``policies`` would do to so many repositories in two registries.

    Each has up to ``images`` images, among them indexes with untagged children, and referrers;
    layers are shared inside repositories and between them. ``mounting``: whether repositories share
    layers, None unknown. ``unpriced`` moves the second registry to a region without prices;
    ``unknowns`` makes some manifests unreadable, all those of the last repository among them, takes
    push times away and adds gaps; ``hostile`` gives repositories, tags and digests the names in
    ``HOSTILE``; ``in_use`` names images as in use and as protected, ``users`` says by what and what
    that covers; ``live`` compares with a policy in force, which one repository's is not known of;
    ``offline`` leaves account, region and times of snapshots out.
    """
    rng = np.random.default_rng([seed, repositories])
    frames, facts, digests = _registry(repositories, images, rng, unknowns=unknowns, hostile=hostile)
    frames = replace(frames, registries=_settings(frames, mounting, unpriced=unpriced, offline=offline))
    families = find_families(frames)
    count = len(frames.artifacts.repository)

    def some(odd: float) -> Bools | None:
        return rng.random(count) < odd if in_use else None

    def named(positions: Int64) -> Sequence[str]:
        return [digests[position] for position in positions.tolist()]

    used, protected = some(0.03), some(0.01)
    known = _usage(used, hostile=hostile) if used is not None and users else None
    return simulate(
        WhatIf(
            proposals=[
                _proposal(name, text, repositories)
                for name, text in zip(_names(len(policies), hostile=hostile), policies, strict=True)
            ],
            rows=np.arange(repositories),
            at_ms=AT_MS,
            scope=scope,
            against=_proposal("live", LIVE, repositories) if live else None,
            not_in_force={0: "its policy could not be read"} if live and repositories > 1 else None,
            in_use=used,
            protected=protected,
            missing_in_use=tuple(one.reference for one in known.missing)
            if known is not None
            else tuple(f"{HOSTILE[n] if hostile else 'gone'}:v{n}" for n in range(3 * in_use)),
            usage=known,
            coverage=None if known is None else COVERAGE,
            by_rule=by_rule,
        ),
        frames,
        facts,
        families,
        bundled_prices(),
        digests=named,
        gaps=(_GAP,) if unknowns else (),
        warnings=("a policy in the plan is known only after apply",) if unknowns else (),
    )


_GAP = Gap("111111111111", "eu-west-1", "team/x", "ecr:DescribeImages", "AccessDeniedException", "missing", 2)


COVERAGE = Coverage(
    (
        PlaceCoverage("111111111111", "eu-west-1", ("ecs", "lambda"), refused=("eks",)),
        PlaceCoverage("111111111111", "us-east-1", ("ecs",), partial=("lambda",), never_asked=("eks",)),
    )
)


def _usage(used: Bools, *, hostile: bool) -> Usage:
    """Each image in use has up to a dozen users, of all kinds."""

    def name(number: int) -> str:
        return HOSTILE[number % len(HOSTILE)] if hostile else f"prod/service-{number}"

    users = []
    for position, is_used in enumerate(used.tolist()):
        kind = KINDS[position % 4]
        source = "list" if kind == "listed" else "ecs"
        of_one = [use(name(position + n), kind, source, name(n)) for n in range(1 + position * 5 % 12)]
        users.append(of_one if is_used else [])
    return usage_of(users, [(name(n), [use(name(n), "configured")]) for n in range(3)])


def _names(policies: int, *, hostile: bool) -> list[str]:
    plain = ["keep.json", "archive.json", "nothing.json", *(f"policy-{n}.json" for n in range(3, policies))]
    return [HOSTILE[n % len(HOSTILE)] if hostile else plain[n] for n in range(policies)]


def _proposal(name: str, text: str, repositories: int) -> Proposal:
    return Proposal(
        name=name, policies=[parse_policy(text)], texts=[text], policy_of=np.zeros(repositories, np.int64)
    )


def _settings(frames: Frames, mounting: bool | None, *, unpriced: bool, offline: bool) -> pd.DataFrame:
    registries = frames.registries.copy()
    registries["blob_mounting"] = "" if mounting is None else "ENABLED" if mounting else "DISABLED"
    registries["blob_mounting_ever"] = bool(mounting)
    registries["taken_at_ms"] = AT_MS
    if offline:
        registries["account"], registries["region"], registries["snapshot"] = "", "", 0
    elif unpriced:
        registries["region"] = ["eu-west-1", "xx-nowhere-1"][: len(registries)]
    return registries


def _registry(
    repositories: int, images: int, rng: np.random.Generator, *, unknowns: bool, hostile: bool
) -> tuple[Frames, LifecycleFacts, list[str]]:
    names = [
        f"{_TEAMS[n % 10]}/{_SERVICES[n * 7 // 10 % 9]}" + (f"-{n // 10}" if n >= 10 else "")
        for n in range(repositories)
    ]
    if hostile:
        names[: len(HOSTILE)] = HOSTILE[:repositories]
    places = sorted((n % 2 if repositories > 1 else 0, name) for n, name in enumerate(names))
    manifests: dict[int, ManifestSpec] = {}
    sizes = {blob: int(rng.integers(GB // 50, GB // 4)) for blob in _BASES}
    specs, tags = [], []
    number = _FIRST
    for n, (registry, name) in enumerate(places):
        artifacts = []
        for image in range(1 + int(rng.integers(images // 2, images))):
            number += _EACH
            spec = _manifest(image, number, rng)
            if unknowns and (image % 7 == 3 or n == repositories - 1):
                spec = ManifestSpec(Kind.UNKNOWN)
            manifests[number] = spec
            sizes |= {number + 1: int(rng.integers(GB // 500, GB // 10)), number + 2: 4_000}
            is_tagged = image % 10 not in {1, 2, 4, 8}
            tags.append([f"v{image % 3}.{image}", f"build-{number}"][: 1 + image % 2] if is_tagged else [])
            if hostile and is_tagged:
                tags[-1].append(HOSTILE[image % len(HOSTILE)])
            age_ms = image * 11 * DAY_MS + int(rng.integers(0, DAY_MS))
            artifacts.append(
                ArtifactSpec(
                    digest_id=number,
                    tags=len(tags[-1]),
                    pushed_at_ms=NO_TIME if unknowns and image % 9 == 5 else AT_MS - age_ms,
                    image_status=ImageStatus.ARCHIVED if image % 13 == 12 else ImageStatus.ACTIVE,
                )
            )
        specs.append(RepositorySpec(tuple(artifacts), registry=registry, name=name))
    frames = build_frames(specs, manifests, sizes, registries=max((r for r, _ in places), default=0) + 1)
    ids = frames.artifacts.digest_id.tolist()
    digests = [f"sha256:{key:064x}" for key in ids]
    if hostile:
        digests[: len(HOSTILE)] = HOSTILE[: len(digests)]
    return frames, _facts(frames, tags), digests


def _manifest(image: int, number: int, rng: np.random.Generator) -> ManifestSpec:
    if image % 10 == 3 and image > 2:
        # The two before it are its platforms.
        return ManifestSpec(Kind.INDEX, children=(number - _EACH, number - 2 * _EACH))
    if image % 10 == 4:
        return ManifestSpec(Kind.IMAGE, blobs=((number + 2, False),), subject=number - _EACH)
    bases = rng.choice(list(_BASES), 2, replace=False).tolist()
    return ManifestSpec(Kind.IMAGE, blobs=tuple((blob, False) for blob in (*bases, number + 1)))


def _facts(frames: Frames, tags: Sequence[Sequence[str]]) -> LifecycleFacts:
    artifacts = frames.artifacts
    names = sorted({tag for of_one in tags for tag in of_one})
    place = {name: number for number, name in enumerate(names)}
    nothing = np.full(len(artifacts.digest_id), NO_TIME)
    archived = artifacts.image_status == ImageStatus.ARCHIVED
    return LifecycleFacts(
        pulled_at_ms=nothing,
        archived_at_ms=np.where(archived, AT_MS - 30 * DAY_MS, NO_TIME),
        activated_at_ms=nothing,
        tie=artifacts.digest_id.astype(np.int64),
        tag_offsets=np.cumsum([0, *map(len, tags)]),
        # Not in the order of names, which nothing may rely on.
        tags=np.array([place[tag] for of_one in tags for tag in of_one[::-1]], np.int32),
        tag_names=names,
    )
