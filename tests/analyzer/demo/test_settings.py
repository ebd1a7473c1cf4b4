"""The demo's registries are set to do something, and its report says so."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import boto3

from analyzer.collect import CollectOptions, SilentProgress
from analyzer.demo import emulated_aws
from analyzer.model.registry_settings import Frequency, Openness
from analyzer.nightly import ReportOptions, collect_snapshots, make_report
from analyzer.pricing import bundled_prices
from analyzer.store.engine import Database
from analyzer.store.schema import upgrade_schema


def test_scanning_replication_exposure_and_templates_are_found_as_they_were_set(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'demo.db'}")
    upgrade_schema(database)
    with emulated_aws(datetime(2026, 11, 23, 2, tzinfo=UTC)) as aws:
        options = CollectOptions(regions=aws.regions, requests_per_second=1e6, batch_get_image_per_second=1e6)
        collect_snapshots(database, boto3.Session(), options, SilentProgress())
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
