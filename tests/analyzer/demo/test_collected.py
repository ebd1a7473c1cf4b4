"""The demo's account through the real collector: everything arrives, and every gap was announced."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import boto3
import numpy as np

from analyzer.cli.judging import advice_on
from analyzer.collect.clients import AwsRegistryClient, CallSettings
from analyzer.collect.places import OwnAccess, Place
from analyzer.collect.workloads import WorkloadOptions, readers
from analyzer.demo import ACCOUNT, emulated_aws
from analyzer.demo.seed import Fleet
from analyzer.families import find_families
from analyzer.hygiene.blobs import find_blobs
from analyzer.hygiene.sharing import find_key_splits, find_mountable
from analyzer.lifecycle.evaluation import Evaluator
from analyzer.lifecycle.frontier import least_numbers, sweep
from analyzer.model.frames import Frames
from analyzer.model.recommendation import RecommendOptions, Status
from analyzer.model.records import RegistryKey, UseKind
from analyzer.model.registry_settings import Frequency, Openness
from analyzer.model.units import to_ms
from analyzer.model.verdicts import Outcome
from analyzer.nightly import ReportOptions, make_report
from analyzer.pricing import bundled_prices
from analyzer.recommending import RecommendQuestion
from analyzer.store.engine import Database
from analyzer.what_if import World, load_world
from tests.oracle import layer_sharing
from tests.support.pipeline import Pipeline

NOW = datetime(2026, 11, 23, 2, tzinfo=UTC)


def test_nights_leave_history_and_only_announced_gaps(tmp_path: Path) -> None:
    with emulated_aws(NOW) as aws:
        pipeline = Pipeline(tmp_path)
        nights = []
        for _ in range(3):
            night = pipeline.collect(boto3.Session(), *aws.regions, now_ms=to_ms(aws.now))
            announced = {(r.account, r.region, r.repository, r.call) for r in aws.refusals}
            gaps = {(gap.account, gap.region, gap.repository, gap.call) for gap in night.result.gaps}
            assert gaps <= announced
            nights.append(night)
            aws.pass_night()
    calls = [night.result.calls["ecr:BatchGetImage"] for night in nights]
    # Later nights fetch what is new and nothing else.
    assert max(calls[1:]) < calls[0] / 3
    assert nights[-1].total("archived_images") > 0
    assert nights[-1].total("images") > nights[0].total("images")
    # By region: eu-west-1, us-east-1, and us-west-2, which refuses to say.
    assert list(nights[-1].frames.registries["blob_mounting"]) == ["DISABLED", "ENABLED", ""]
    _judge_layers(nights[-1].frames, to_ms(NOW))
    _judge_advice(load_world(pipeline.database))
    _judge_settings(pipeline.database)


def _judge_advice(world: World) -> None:
    """Recommended policies take nothing needed, and free what the best keep-N of the same safety frees."""
    options = RecommendOptions(margin_days=0)
    rows = np.arange(len(world.frames.repositories))
    question = RecommendQuestion(rows=rows, at_ms=world.at_ms, options=options)
    advised = advice_on(world, question, bundled_prices())
    needed = advised.needs.needed
    evaluator = Evaluator(world.frames, world.facts, world.families, now_ms=world.at_ms)
    taken = evaluator.judge(advised.policies, advised.policy_of).outcome != Outcome.KEPT
    assert taken.any()
    assert not (taken & needed).any()
    by_number = (world.frames, world.facts, world.families)
    swept = sweep(*by_number, now_ms=world.at_ms, by="images").repositories
    safe = np.full(len(rows), options.keep_releases, np.int64)
    least = least_numbers(*by_number, now_ms=world.at_ms, by="images")
    np.maximum.at(safe, world.frames.artifacts.repository[needed], least[needed])
    today = swept.stored.standard_repository[swept.today()]
    better = 0
    for row in advised.report.repositories:
        # Who archives goes on archiving; where the policy is not known, nothing is advised.
        archives = "transition" in str(world.frames.repositories["lifecycle_policy_text"].iloc[row.position])
        if row.effect is None or row.status is Status.UNKNOWN or archives:
            continue
        kept = swept.stored.standard_repository[swept.at(int(safe[row.position]))[row.position]]
        freed = row.effect.freed_bytes.repository
        assert freed >= today[row.position] - kept, row.repository
        better += freed > today[row.position] - kept
    assert better > 10


def test_bytes_found_are_those_seeded(tmp_path: Path) -> None:
    fleet = Fleet("123456789012", NOW, 2026)
    logical = physical = 0
    for repository in fleet.repositories:
        held: dict[str, int] = {}
        for image in repository.images:
            parsed = json.loads(image.manifest)
            # Left out: what the collector is refused, and what holds no sizes.
            if (
                repository.name == "security/vault-sidecar"
                or image.status != "ACTIVE"
                or "layers" not in parsed
            ):
                continue
            entries = [layer for layer in parsed["layers"] if "foreign" not in layer["mediaType"]]
            stored = {entry["digest"]: entry["size"] for entry in [parsed["config"], *entries]}
            logical += sum(stored.values())
            held |= stored
        physical += sum(held.values())
    with emulated_aws(NOW, seed=2026) as aws:
        night = Pipeline(tmp_path).collect(boto3.Session(), *aws.regions, now_ms=to_ms(NOW))
    assert night.total("logical_bytes") == logical
    assert night.total("physical_bytes_repository") == physical


def test_what_the_company_runs_is_what_was_deployed_however_the_nights_pass() -> None:
    options = WorkloadOptions(sources=("ecs", "codebuild"))
    settings = CallSettings(requests_per_second=1e9)
    nights = []
    held = {
        f"{ACCOUNT}.dkr.ecr.{one.region}.amazonaws.com/{one.name} {image.digest}"
        for one in Fleet(ACCOUNT, NOW, 2026).repositories
        for image in one.images
    }
    with emulated_aws(NOW) as aws:
        access = OwnAccess(boto3.Session(), "")
        for _ in range(2):
            found = {}
            for region in aws.regions:
                client = AwsRegistryClient(Place(RegistryKey("aws", ACCOUNT, region), access), settings)
                for reader in readers(client, options, {}):
                    (read,), gaps = reader()
                    assert gaps == []
                    found[region, read.source] = read.uses
            nights.append(found)
            aws.pass_night()
    assert nights[0] == nights[1]
    running = {
        region: [use.reference for use in uses if use.kind is UseKind.RUNNING]
        for (region, source), uses in nights[0].items()
        if source == "ecs"
    }
    assert {region: len(references) for region, references in running.items()} == {
        "us-east-1": 10,
        "eu-west-1": 4,
        "us-west-2": 1,
    }
    for references in running.values():
        for reference in references:
            tagged, _, digest = reference.partition("@")
            assert f"{tagged.rpartition(':')[0]} {digest}" in held
    kinds = Counter(use.kind for use in nights[0]["us-east-1", "ecs"])
    assert kinds[UseKind.PREVIOUS] == 18
    assert len(nights[0]["us-east-1", "codebuild"]) == 3


def _judge_layers(frames: Frames, since_ms: int) -> None:
    """What the checks of layers count in the demo is what a search with plain sets counts."""
    blobs = find_blobs(frames, find_families(frames))
    (split,) = find_key_splits(frames, blobs)
    repeated, _ = layer_sharing.key_splits(frames)[split.registry]
    assert (split.repeated.standard, split.repeated.archive) == repeated
    assert [
        tuple((part.standard, part.archive) for part in (m.apart, m.shared, m.recent))
        for m in find_mountable(frames, blobs, since_ms)
    ] == layer_sharing.mountable(frames, since_ms)


def _judge_settings(database: Database) -> None:
    """Scanning, replication, exposure and templates are found as they were set."""
    report = make_report(database, ReportOptions(prices=bundled_prices(), tag_keys=("team",)))
    rows = {(row.region, row.repository): row.settings for row in report.repositories}
    assert rows["us-east-1", "payments/gateway"].scanning.applied is Frequency.SCAN_ON_PUSH
    assert rows["eu-west-1", "eu/tax-engine"].scanning.applied is Frequency.CONTINUOUS_SCAN
    assert {settings.scanning.agrees for settings in rows.values()} == {True}
    (place,) = rows["us-east-1", "checkout/api"].replicated_to or ()
    assert place.region == "eu-west-1"
    assert place.present > 0
    assert place.missing > 0
    copied = rows["eu-west-1", "checkout/api"]
    assert copied.replicas == place.present
    assert copied.replica_bytes > 0
    assert rows["us-east-1", "data/spark-jobs"].exposure.openness is Openness.ACCOUNTS
    assert rows["us-east-1", "platform/ci-runner"].exposure.openness is Openness.ORGANIZATION
    assert rows["us-east-1", "orders/events"].exposure.openness is Openness.SERVICES
    assert rows["us-east-1", "docker-hub/library/nginx"].creation_template == "docker-hub"
    assert rows["us-west-2", "edge/router"].creation_template == ""
    (groups,) = report.groups
    assert {row.kind for row in groups.rows} == {"value", "untagged"}
    assert set(report.images["scan_status"]) > {"", "COMPLETE"}
    assert report.images["findings_high"].notna().any()
