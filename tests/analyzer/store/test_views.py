"""The views that people who query with SQL are promised: the same answers on both databases."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import ColumnClause, column, inspect, select, table, text

from analyzer.model.records import (
    ABSENT,
    Artifact,
    BlobReference,
    Gap,
    ImageStatus,
    Kind,
    Manifest,
    ReadStatus,
    RegistryRead,
    RepositoryRead,
    UseKind,
    WorkloadRead,
    WorkloadUse,
)
from analyzer.model.units import from_ms
from analyzer.retention import parse_retention
from analyzer.store.engine import Database
from analyzer.store.facts import write_facts
from analyzer.store.pruning import prune_registry
from analyzer.store.writer import Store
from tests.analyzer.store.examples import KEY, commit
from tests.strategies.registries import sha256, sha512

_FIGURES = (
    "images",
    "indexes",
    "referrers",
    "unknown_artifacts",
    "untagged_images",
    "orphaned_images",
    "logical_bytes",
    "physical_bytes",
    "unique_bytes",
)
_COLUMNS = {
    "v_images": ("account", "region", "repository", "digest", "pushed_at", "image_status", "last_pull"),
    "v_tags": ("account", "region", "repository", "tag", "digest"),
    "v_workloads": ("account", "region", "source", "workload", "kind", "image_reference"),
    "v_pulls": (
        "day",
        "account",
        "region",
        "repository",
        "kind",
        "digest",
        "tag",
        "size_bytes",
        "principal_account",
        "principal",
        "puller_region",
        "method",
        "confidence",
        "times",
    ),
    "v_manifests": ("digest", "media_type", "kind", "size_bytes"),
    "v_registries": ("partition", "account", "region", "snapshot", "run", "taken_at", "status"),
    "v_repositories": ("account", "region", "repository", "created_at", "status", *_FIGURES),
    "v_lifecycle_policies": ("account", "region", "repository", "policy"),
    "v_gaps": ("account", "region", "repository", "run", "call", "reason", "detail", "times"),
    "v_daily": ("day", "account", "region", "repository", "created_at", "status", *_FIGURES),
}
#: The figures as ``repository_fact`` calls them.
_FACTS = tuple(name.replace("unknown_artifacts", "unknown") for name in _FIGURES)
_PLACE = (KEY.account, KEY.region, "app")


def _rows(database: Database, view: str) -> list[tuple[object, ...]]:
    columns: list[ColumnClause[Any]] = [column(name) for name in _COLUMNS[view]]
    query = select(*columns).select_from(table(view))
    with database.read() as connection:
        return sorted((tuple(row) for row in connection.execute(query)), key=str)


def _read(*artifacts: Artifact) -> RegistryRead:
    return RegistryRead(
        KEY, 1, ReadStatus.COMPLETE, [RepositoryRead("app", 5, ReadStatus.COMPLETE, artifacts)]
    )


def test_views_have_the_documented_columns(database: Database) -> None:
    with database.read() as connection:
        about = inspect(connection)
        assert sorted(about.get_view_names()) == sorted(_COLUMNS)
        for view, columns in _COLUMNS.items():
            assert tuple(found["name"] for found in about.get_columns(view)) == columns
    readme = (Path(__file__).resolve().parents[3] / "README.md").read_text()
    described = readme.split("### Databases")[1].split("\n## ")[0]
    for view, columns in _COLUMNS.items():
        assert all(f"`{name}`" in described for name in (view, *columns))


def test_workloads_are_those_present_now(database: Database) -> None:
    kinds = [UseKind.RUNNING, UseKind.CONFIGURED, UseKind.PREVIOUS]
    uses = [WorkloadUse(f"web/{kind}", "app:v1", kind) for kind in kinds]
    commit(
        database,
        replace(
            _read(),
            workloads=[WorkloadRead("ecs", ReadStatus.COMPLETE, [WorkloadUse("gone", "a:b", kinds[0])])],
        ),
    )
    commit(database, replace(_read(), workloads=[WorkloadRead("ecs", ReadStatus.COMPLETE, uses)]))
    place = (KEY.account, KEY.region, "ecs")
    assert _rows(database, "v_workloads") == [
        (*place, f"web/{kind}", word, "app:v1")
        for kind, word in zip(kinds, ("running", "configured", "previous"), strict=True)
    ]


def test_images_and_tags_are_those_present_now(database: Database) -> None:
    gone = Artifact(sha256("gone"), ("old", "moved"), 1)
    commit(database, _read(gone, Artifact(sha512("b"), ("v1",), 0, pulled_day=1)))
    commit(
        database,
        _read(
            Artifact(sha256("a"), ("moved", "tag 'x' ü"), 1_700_000_000_123, ImageStatus.ARCHIVED),
            Artifact(sha512("b"), (), 0, pulled_day=20_000),
            Artifact(sha256("c"), (), None, ImageStatus.ACTIVATING),
            Artifact(sha256("d"), (), 4_102_444_799_999, ImageStatus.OTHER, pulled_day=0),
        ),
    )
    assert _rows(database, "v_images") == sorted(
        [
            (*_PLACE, sha256("a"), "2023-11-14T22:13:20.123Z", "ARCHIVED", None),
            (*_PLACE, sha512("b"), "1970-01-01T00:00:00.000Z", "ACTIVE", "2024-10-04"),
            (*_PLACE, sha256("c"), None, "ACTIVATING", None),
            (*_PLACE, sha256("d"), "2099-12-31T23:59:59.999Z", "OTHER", "1970-01-01"),
        ],
        key=str,
    )
    tags = {(*_PLACE, "moved", sha256("a")), (*_PLACE, "tag 'x' ü", sha256("a"))}
    assert set(_rows(database, "v_tags")) == tags
    commit(database, RegistryRead(KEY, 1, ReadStatus.COMPLETE))
    assert _rows(database, "v_images") == _rows(database, "v_tags") == []


@pytest.mark.parametrize("start", [0, 1_699_999_999_000])
def test_times_are_exact_to_the_millisecond(database: Database, start: int) -> None:
    moments = range(start, start + 1000)
    commit(database, _read(*(Artifact(sha256(f"{ms}"), (), ms) for ms in moments)))
    expected = [f"{from_ms(ms).isoformat(timespec='milliseconds')[:-6]}Z" for ms in moments]
    assert sorted(str(row[4]) for row in _rows(database, "v_images")) == expected


def test_manifests_are_those_ever_read(database: Database) -> None:
    layers = (BlobReference(sha256("layer"), 5, "layer"),)
    Store(database, lambda: 0).add_manifests(
        [
            Manifest(sha256("i"), Kind.IMAGE, "image", 100, layers),
            Manifest(sha256("r"), Kind.IMAGE, "image", 101, layers, subject_digest=sha256("i")),
            Manifest(sha512("x"), Kind.INDEX, "index", 102, subject_digest=sha256("i")),
            Manifest(sha256("u"), Kind.UNKNOWN, "text/new", 103),
            Manifest(sha256("m"), Kind.UNREADABLE, "", 104),
        ]
    )
    assert _rows(database, "v_manifests") == sorted(
        [
            (sha256("i"), "image", "image", 100),
            (sha256("r"), "image", "referrer", 101),
            (sha512("x"), "index", "index", 102),
            (sha256("u"), "text/new", "unknown", 103),
            (sha256("m"), "", "unreadable", 104),
        ],
        key=str,
    )


def _night(database: Database, day: int, names: tuple[str, ...], **more: Any) -> None:
    """A snapshot of repositories of these names, at two in the morning, with 10 bytes in each a day."""
    read = RegistryRead(
        KEY,
        day * 86_400_000 + 7_200_000,
        ReadStatus.COMPLETE,
        [RepositoryRead(name, 5_001, ReadStatus.COMPLETE, (), more.get(name, {})) for name in names],
        gaps=more.get("gaps", ()),
    )
    number = commit(database, read)
    figures = dict.fromkeys(_FACTS, day)
    write_facts(database, KEY, number, {(name, 5_001): figures for name in names}, 0)


def test_registries_show_their_newest_snapshot(database: Database) -> None:
    _night(database, 1, ("app",))
    _night(database, 2, ("app",))
    assert _rows(database, "v_registries") == [
        (KEY.partition, KEY.account, KEY.region, 2, 2, "1970-01-03T02:00:00.000Z", "complete")
    ]


def test_repositories_are_those_of_now_and_days_those_of_then(database: Database) -> None:
    _night(database, 1, ("app", "gone"))
    _night(database, 1, ("app", "gone"))
    _night(database, 3, ("app",))
    place = (KEY.account, KEY.region)
    then = "1970-01-01T00:00:05.001Z"
    assert _rows(database, "v_repositories") == [(*place, "app", then, "complete", *([3] * len(_FIGURES)))]
    assert _rows(database, "v_daily") == [
        ("1970-01-02", *place, "app", then, "complete", *([1] * len(_FIGURES))),
        ("1970-01-02", *place, "gone", then, "complete", *([1] * len(_FIGURES))),
        ("1970-01-04", *place, "app", then, "complete", *([3] * len(_FIGURES))),
    ]


def test_days_stay_as_they_are_when_others_are_pruned(database: Database) -> None:
    for day in (1, 2, 3):
        _night(database, day, ("app", "gone") if day < 3 else ("app",))
    before = [row for row in _rows(database, "v_daily") if row[0] != "1970-01-03"]
    with Store(database, lambda: 0).lease(KEY, "test", "host") as lease:
        prune_registry(database, lease, parse_retention("last 1, monthly"), 4 * 86_400_000)
    kept = {row[0] for row in _rows(database, "v_daily")}
    assert _rows(database, "v_daily") == [row for row in before if row[0] in kept] != []


def test_repositories_without_figures_are_unknown_and_not_empty(database: Database) -> None:
    commit(database, _read())
    ((*_, status, images, _, _, _, _, _, _, _, size),) = _rows(database, "v_repositories")
    assert (status, images, size) == ("complete", None, None)


def test_policies_are_those_in_force_and_null_is_none(database: Database) -> None:
    text = '{"rules": [{"description": "\u00e4 \\"quoted\\" %s"}]}'
    _night(database, 1, ("app", "bare", "unread"), app={"lifecycle_policy_text": '"old"'})
    settings = {"app": {"lifecycle_policy_text": json.dumps(text)}, "bare": {"lifecycle_policy_text": ABSENT}}
    _night(database, 2, ("app", "bare", "unread"), **settings)
    place = (KEY.account, KEY.region)
    assert _rows(database, "v_lifecycle_policies") == [(*place, "app", text), (*place, "bare", None)]


def test_gaps_are_those_of_the_newest_snapshot(database: Database) -> None:
    gap = Gap(KEY.account, KEY.region, "app", "ecr:DescribeImages", "AccessDenied", "no", 3)
    _night(database, 1, ("app",), gaps=[replace(gap, reason="Older")])
    _night(database, 2, ("app",), gaps=[gap])
    assert _rows(database, "v_gaps") == [
        (KEY.account, KEY.region, "app", 2, "ecr:DescribeImages", "AccessDenied", "no", 3)
    ]


def test_the_readme_asks_each_view_something_that_it_answers(database: Database) -> None:
    readme = (Path(__file__).resolve().parents[3] / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```sql\n(SELECT account, region, taken_at.*?)```", readme, re.DOTALL)
    queries = [query.strip() for query in block.split(";") if query.strip()]
    asked = [re.findall(r"FROM (v_[a-z_]+)", query) for query in queries]
    assert sorted(view for views in asked for view in views) == sorted(_COLUMNS)
    with database.read() as connection:
        for query in queries:
            assert connection.execute(text(query)).all() == []
