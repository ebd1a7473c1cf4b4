"""Policies and registries as people really have them: parsed, judged, and judged again slowly.

The policies and the corpus lie beside the project and are no part of it; without them these tests
are skipped. A repository of the corpus is rebuilt as it was at a moment: the images and indexes seen
by then, and the tags where the recorded moves had left them, so that most images have lost theirs.
"""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import Any

import pytest

from analyzer.lifecycle.parsing import InvalidPolicy, parse_policy
from analyzer.lifecycle.policy import Policy
from analyzer.model.records import ImageStatus
from analyzer.model.units import to_ms
from analyzer.model.verdicts import Outcome, Reason
from tests.analyzer.lifecycle.test_evaluation_oracle import assert_same
from tests.oracle.lifecycle import DAY_MS, Image
from tests.oracle.policy import codes, least_codes
from tests.strategies.lifecycle import LifecycleCase, World, arrays_of
from tests.support.corpus import require_shared

#: Middling and small repositories with many indexes; the oracle is too slow for all 86.
REPOSITORIES = (
    *("adminer", "chronograf", "hipache", "kong", "memcached", "nats", "nginx"),
    *("notary", "registry", "swarm", "traefik", "znc"),
)


@cache
def policy_texts() -> list[str]:
    """Every real policy as text; skips where they are absent."""
    path = require_shared() / "data" / "policies" / "policies.jsonl"
    if not path.is_file():
        pytest.skip(f"the real policies are not at {path}")
    records = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    # Those that would lose something as a JSON value are kept as they were written.
    return [
        record["raw"] if "raw" in record else json.dumps(record["policy"], ensure_ascii=False)
        for record in records
    ]


def valid_policies() -> list[Policy]:
    """Those of the real policies that ECR would accept."""
    return [parse_policy(text) for text in policy_texts() if not codes(text)]


def _lines(name: str) -> Iterator[str]:
    with gzip.open(require_shared() / "data" / "manifests" / name, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield line.rstrip("\n")


@cache
def _corpus() -> tuple[dict[int, dict[str, Any]], list[tuple[int, str, str, int]]]:
    """Images and indexes of the chosen repositories by number, and (time, repository, tag, number)."""
    records = {}
    for name in ("images.jsonl.gz", "indexes.jsonl.gz"):
        for line in _lines(name):
            record = json.loads(line)
            if record["repo"] in REPOSITORIES:
                records[record["id"]] = record
    events = []
    for line in list(_lines("tag_events.tsv.gz"))[1:]:
        time, repository, tag, number = line.split("\t")
        if repository in REPOSITORIES:
            events.append((to_ms(datetime.fromisoformat(time)), repository, tag, int(number)))
    return records, events


def world_at(now_ms: int, *, lived_in: bool) -> World:
    """The chosen repositories as they were at a moment.

    The corpus knows no pulls and no archive. With ``lived_in`` some images, chosen by their digest,
    were pulled a month after the push, some were archived and some of those restored.
    """
    records, events = _corpus()
    points_at: dict[tuple[str, str], int] = {}
    for time_ms, repository, tag, number in events:
        if time_ms <= now_ms:
            points_at[repository, tag] = number
    tags = defaultdict(set)
    for (repository, tag), number in points_at.items():
        tags[repository, number].add(tag)
    repositories: dict[str, list[Image]] = {repository: [] for repository in REPOSITORIES}
    for number, record in records.items():
        pushed_ms = to_ms(datetime.fromisoformat(record["first_seen"]))
        if pushed_ms > now_ms:
            continue
        image = Image(
            digest=record["digest"],
            tags=frozenset(tags[record["repo"], number]),
            pushed_at_ms=pushed_ms,
            children=tuple(records[child]["digest"] for child in record.get("images", ())),
        )
        repositories[record["repo"]].append(_lived_in(image, pushed_ms) if lived_in else image)
    return arrays_of(list(repositories.values()))


def _lived_in(image: Image, pushed_ms: int) -> Image:
    life = int(image.digest[-2:], 16) % 12
    if life < 4:
        return replace(image, last_pull_ms=pushed_ms + 30 * DAY_MS)
    if life < 6:
        return replace(image, status=ImageStatus.ARCHIVED, archived_at_ms=pushed_ms + 20 * DAY_MS)
    if life == 6:
        return replace(image, archived_at_ms=pushed_ms + 20 * DAY_MS, activated_at_ms=pushed_ms + 50 * DAY_MS)
    return image


def test_every_real_policy_is_accepted_or_refused_with_the_right_codes() -> None:
    accepted = 0
    for text in policy_texts():
        try:
            parse_policy(text)
            reported: set[str] = set()
        except InvalidPolicy as refusal:
            reported = {str(error.code) for error in refusal.errors}
        assert bool(reported) == bool(codes(text)), text
        assert least_codes(text) <= reported <= codes(text), text
        accepted += not reported
    # Three in four at the least are policies that somebody's ECR has taken.
    assert accepted >= 0.75 * len(policy_texts())


@pytest.mark.parametrize(
    ("moment", "lived_in"),
    [
        # Within the records, when there were indexes already, and some time after their end.
        ("2017-12-01T00:00:00Z", True),
        ("2018-03-01T12:34:56Z", False),
    ],
)
def test_both_evaluators_agree_on_real_policies_and_repositories(moment: str, lived_in: bool) -> None:
    now_ms = to_ms(datetime.fromisoformat(moment))
    world = world_at(now_ms, lived_in=lived_in)
    policies = tuple(valid_policies())
    seen: set[object] = set()
    # In the end every policy has met every repository, and in every turn different ones meet.
    for turn in range(len(policies)):
        policy_of = tuple((turn + 7 * row) % len(policies) for row in range(len(world.repositories)))
        for verdict in assert_same(LifecycleCase(world, policies, policy_of, now_ms)):
            seen |= {verdict.outcome, verdict.reason}
    reasons = {Reason.CLAIMED, Reason.WITHIN_LIMIT, Reason.NO_RULE, Reason.BLOCKED_BY_INDEX}
    assert seen == {*Outcome, *reasons}
