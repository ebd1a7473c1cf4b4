"""A redacted report has every figure and no name, and whoever adds a text has to decide on it."""

from __future__ import annotations

import importlib
import json
import re
from collections import Counter
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from analyzer.hygiene.judging import Agreements
from analyzer.hygiene.owners import Ownership
from analyzer.model.findings import Waiver
from analyzer.model.media_types import OCI_MANIFEST
from analyzer.model.records import (
    Artifact,
    BlobReference,
    Gap,
    Kind,
    Manifest,
    ReadStatus,
    RegistryKey,
    RegistryRead,
    RepositoryRead,
    UseKind,
    WorkloadRead,
    WorkloadUse,
)
from analyzer.model.results import Report
from analyzer.model.units import to_ms
from analyzer.nightly import ReportOptions, make_report
from analyzer.pricing import bundled_prices
from analyzer.redaction import LEFT_OUT, RULES, in_order, redact
from analyzer.store.writer import Store
from reports import render_csvs, render_html, render_json
from tests.analyzer.store.examples import commit
from tests.strategies.registries import sha256
from tests.support.databases import Provider
from tests.support.report_fixture import HOSTILE
from tests.support.whole_report import whole_report

_KEY = b"a key that is known to this test"
_ACCOUNTS = ("987654321098", "876543210987")
_FRIEND = "765432109876"
_NOW = datetime(2026, 11, 23, 2, tzinfo=UTC)
_DAY_MS = 86_400_000
#: In every name of the database below, and in no word of a report.
_MARK = "zqx"


#: Annotations of fields that hold text: the last ones are names of literals.
_TEXTS = r"\b(?:str|Literal|Scope|ScopeChoice|By|Period|Movement|Method|ScenarioName)\b"


def _policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def _read(account: str, taken_at_ms: int) -> RegistryRead:
    """A registry in which everything that can have a name has one."""
    pushed = taken_at_ms - 200 * _DAY_MS
    images = [
        Artifact(
            sha256(f"{account} {number}"),
            (f"zqx-release-{number}", f"zqx-v{number}") if number % 2 else (),
            pushed_at_ms=pushed + number,
            media_type=OCI_MANIFEST,
            pulled_day=20_000 if number % 3 else None,
        )
        for number in range(12)
    ]
    rule = {
        "rulePriority": 1,
        "description": "zqx describes it",
        "selection": {
            "tagStatus": "tagged",
            "tagPatternList": ["zqx-nothing*"],
            "countType": "imageCountMoreThan",
            "countNumber": 1,
        },
        "action": {"type": "expire"},
    }
    open_to = {"Effect": "Allow", "Action": "ecr:BatchGetImage", "Sid": "zqx"}
    settings = {
        "lifecycle_policy_text": json.dumps(json.dumps({"rules": [rule]})),
        "repository_policy_text": json.dumps(
            _policy(
                open_to | {"Principal": {"AWS": [f"arn:aws:iam::{_FRIEND}:role/zqx-puller", "zqx-odd"]}},
                open_to
                | {"Principal": "*", "Condition": {"StringLike": {"aws:PrincipalOrgID": "o-zqxzqxzq"}}},
            )
        ),
        "tags": '{"zqx-team":"zqx-payments"}',
        "encryption": json.dumps({"encryptionType": "KMS", "kmsKey": "arn:aws:kms:eu-west-1:1:key/zqx"}),
        "image_tag_mutability": '"MUTABLE"',
        "scanning": json.dumps(
            {
                "scanFrequency": "SCAN_ON_PUSH",
                "appliedScanFilters": [{"filter": "zqx*", "filterType": "WILDCARD"}],
            }
        ),
    }
    registry = {
        "replication_configuration": json.dumps(
            {
                "rules": [
                    {
                        "destinations": [{"region": "eu-west-1", "registryId": _FRIEND}],
                        "repositoryFilters": [{"filter": "zqx-a", "filterType": "PREFIX_MATCH"}],
                    }
                ]
            }
        ),
        "registry_policy_text": json.dumps(_policy(open_to | {"Principal": {"AWS": _FRIEND}})),
        "repository_creation_templates": json.dumps(
            [
                {
                    "prefix": "zqx-b",
                    "appliedFor": ["REPLICATION"],
                    "encryptionConfiguration": {"encryptionType": "KMS", "kmsKey": "arn:zqx-key"},
                    "lifecyclePolicy": "{zqx}",
                    "resourceTags": [{"Key": "zqx-k", "Value": "zqx-v"}],
                }
            ]
        ),
        "account_name": '"zqx company"',
    }
    repositories = [
        RepositoryRead(f"zqx-{name}/app", 1, ReadStatus.COMPLETE, images, settings) for name in "cab"
    ]
    reference = f"{account}.dkr.ecr.eu-west-1.amazonaws.com/zqx-a/app:zqx-v1"
    return RegistryRead(
        RegistryKey("aws", account, "eu-west-1"),
        taken_at_ms,
        ReadStatus.COMPLETE,
        repositories,
        registry,
        [Gap(account, "eu-west-1", "zqx-a/app", "ecr:GetX", "AccessDeniedException", f"zqx in {account}")],
        workloads=[
            WorkloadRead("ecs", ReadStatus.COMPLETE, [WorkloadUse("zqx/web", reference, UseKind.RUNNING)])
        ],
    )


@pytest.fixture
def named(sqlite: Provider) -> tuple[Report, frozenset[str]]:
    """A report full of names, and those that carry no mark: accounts and digests."""
    database = sqlite.clean()
    now_ms = to_ms(_NOW)
    digests = set()
    manifests = []
    for account in _ACCOUNTS:
        for number in range(12):
            layers = [sha256(f"layer {account} {number}"), sha256("base layer")]
            digests |= {sha256(f"{account} {number}"), *layers}
            blobs = [BlobReference(digest, 5_000_000, "text/layer") for digest in layers]
            manifests.append(Manifest(sha256(f"{account} {number}"), Kind.IMAGE, OCI_MANIFEST, 9, blobs))
    Store(database, lambda: 0).add_manifests(manifests)
    for day in (2, 1, 0):
        for account in _ACCOUNTS:
            commit(database, _read(account, now_ms - day * _DAY_MS))
    waiver = Waiver(
        check="MUTABLE_TAGS",
        owner="zqx-owner",
        reason="zqx reason",
        expires=date(2027, 1, 1),
        repository="zqx-a*",
        place="zqx.toml: waiver number 1",
    )
    agreements = Agreements(
        ownership=Ownership(tag_keys=("zqx-team",), prefixes=()),
        waivers=(waiver, replace(waiver, check="EMPTY_REPOSITORY", repository="zqx-none")),
        known_accounts=frozenset(),
    )
    options = ReportOptions(prices=bundled_prices(), tag_keys=("zqx-team",), agreements=agreements)
    return make_report(database, options), frozenset({*_ACCOUNTS, _FRIEND, *digests})


def _rendered(report: Report) -> str:
    return "\n".join((render_html(report), render_json(report), *render_csvs(report).values()))


def test_no_name_is_left_in_anything_that_is_written(named: tuple[Report, frozenset[str]]) -> None:
    report, names = named
    # The test would find them.
    before = _rendered(report)
    assert before.count(_MARK) > 500
    assert all(name in before for name in _ACCOUNTS)
    after = _rendered(redact(report, _KEY))
    assert re.findall(rf".{{60}}{_MARK}.{{60}}", after) == []
    assert [name for name in names if name in after or name.split(":")[-1][:10] in after] == []


def test_hostile_names_are_gone_as_well() -> None:
    report = whole_report(40, hostile=True)
    after = _rendered(redact(report, _KEY))
    names = {row.repository for row in report.repositories} | {row.account for row in report.registries}
    names |= set(report.images["digest"]) | {
        tag for tags in report.images["tags"] for tag in tags.split() if len(tag) > 6
    }
    assert [name for name in (*names, *HOSTILE) if len(name) > 3 and name in after] == []


def test_figures_stay_as_they_were(named: tuple[Report, frozenset[str]]) -> None:
    report, _ = named
    redacted = redact(report, _KEY)
    assert redacted.totals == report.totals
    assert redacted.prices == report.prices
    assert redacted.ages == report.ages
    assert sorted(row.physical_bytes.repository for row in redacted.repositories) == sorted(
        row.physical_bytes.repository for row in report.repositories
    )
    assert len(redacted.images) == len(report.images)
    assert sorted(redacted.images["logical_bytes"]) == sorted(report.images["logical_bytes"])
    assert redacted.findings is not None
    assert report.findings is not None
    assert redacted.findings.storage_saving == report.findings.storage_saving
    assert Counter(found.check for found in redacted.findings.findings) == Counter(
        found.check for found in report.findings.findings
    )


def test_a_name_has_one_pseudonym_everywhere_and_under_one_key(
    named: tuple[Report, frozenset[str]],
) -> None:
    report, _ = named
    redacted = redact(report, _KEY)
    of_rows = {(row.account, row.region, row.repository) for row in redacted.repositories}
    assert len(of_rows) == len(report.repositories) == 6
    assert len({repository for *_, repository in of_rows}) == 3
    columns = redacted.images[["account", "region", "repository"]]
    assert set(columns.itertuples(index=False, name=None)) == of_rows
    assert redacted.findings is not None
    assert {
        (found.account, found.region, found.repository)
        for found in redacted.findings.findings
        if found.repository
    } <= of_rows
    assert {(gap.account, gap.region, gap.repository) for gap in redacted.gaps} <= of_rows
    again, other = redact(report, _KEY), redact(report, b"another key")
    assert _rendered(again) == _rendered(redacted)
    assert not {row.repository for row in other.repositories} & {row[2] for row in of_rows}


def test_the_report_says_that_it_is_redacted_and_what_is_left_out(
    named: tuple[Report, frozenset[str]],
) -> None:
    report, _ = named
    redacted = redact(report, _KEY)
    left_out = [LEFT_OUT["pulls"], LEFT_OUT["recommendations"]]
    assert redacted.redacted is not None
    assert sorted(redacted.redacted) == sorted(left_out)
    assert "<dt>Redacted</dt><dd>Names are pseudonyms" in render_html(redacted)
    assert json.loads(render_json(redacted))["redacted"] == {"left_out": list(redacted.redacted)}
    assert "Redacted" not in render_html(report)


def test_prices_of_a_file_of_the_users_are_told_without_its_words() -> None:
    report = whole_report(3)
    row = replace(report.prices[0], source="the contract with zqx", as_of="zqx")
    told = redact(replace(report, prices=(row,)), _KEY, own_prices=True).prices[0]
    assert (told.source, told.as_of) == ("(redacted)", "(redacted)")
    assert told.usd_per_gb_month == row.usd_per_gb_month


def test_rows_are_in_the_order_of_reports(named: tuple[Report, frozenset[str]]) -> None:
    report, _ = named
    ordered = in_order(report)
    for part in ("registries", "repositories", "gaps", "accepted_gaps", "frontier"):
        assert getattr(ordered, part) == getattr(report, part)
    assert report.findings is not None
    assert ordered.findings == report.findings
    assert report.trend is not None
    assert ordered.trend is not None
    for part in ("repositories", "reconstructed"):
        rows = [getattr(trend, part) for trend in (ordered.trend, report.trend)]
        assert rows[0]
        assert [(row.account, row.repository) for row in rows[0]] == [
            (row.account, row.repository) for row in rows[1]
        ]


def test_every_text_of_a_report_is_decided_on() -> None:
    undecided = [
        f"{record.__name__}.{name}"
        for record, annotations in _reachable().items()
        for name, annotation in annotations.items()
        if re.search(_TEXTS, annotation) and name not in RULES.get(record, {})
    ]
    assert sorted(undecided) == []


def _reachable() -> dict[type, dict[str, str]]:
    """The records that a report may hold, and the annotations of their fields."""
    records: dict[str, type] = {}
    for name in (
        "results",
        "units",
        "records",
        "registry_settings",
        "frontier",
        "findings",
        "trends",
        "usage",
    ):
        module = importlib.import_module(f"analyzer.model.{name}")
        records |= {
            name: kind
            for name, kind in vars(module).items()
            if isinstance(kind, type) and is_dataclass(kind) and kind.__module__ == module.__name__
        }
    reached: dict[type, dict[str, str]] = {}
    todo: list[type] = [Report]
    while todo:
        record = todo.pop()
        if record in reached or not is_dataclass(record):
            continue
        left_out = LEFT_OUT if record is Report else ()
        reached[record] = {
            field.name: str(field.type) for field in fields(record) if field.name not in left_out
        }
        words = {word for text in reached[record].values() for word in re.findall(r"\w+", text)}
        todo += [records[word] for word in words if word in records]
    return reached
