"""An export holds what the store does and what the report says, in files that others can read."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analyzer.errors import InputError
from analyzer.exporting import export as exporting
from analyzer.exporting.blocks import Block
from analyzer.exporting.columns import TABLE, TABLES
from analyzer.exporting.export import Exported, export
from analyzer.exporting.parquet import Folder, schema_of
from analyzer.model.results import Report
from analyzer.model.units import iso
from analyzer.nightly import ReportOptions, make_report
from analyzer.pricing import bundled_prices
from analyzer.store.engine import Database
from reports.rounding import EXACT_DECIMALS, rounded
from tests.support.nights import REGIONS, first_night, next_night
from tests.support.pipeline import Pipeline
from tests.support.registry import Repository, World
from tests.support.stub_ecr import serve

_OPTIONS = ReportOptions(prices=bundled_prices())
_Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def world() -> World:
    rng = random.Random(11)
    world = first_night(rng)
    next_night(world, rng, 1)
    team = world.registry(region=REGIONS[0]).repositories["team/app"]
    layer = {"digest": _blob(1), "size": 9, "mediaType": "application/vnd.oci.image.layer.v1.tar"}
    foreign = {
        "digest": _blob(2),
        "size": 1_000_000,
        "mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "urls": ["https://example.com/base"],
    }
    config = {"digest": _blob(3), "size": 2, "mediaType": "application/vnd.oci.image.config.v1+json"}
    body = {"schemaVersion": 2, "config": config, "layers": [layer, layer, foreign]}
    image = team.put_image(json.dumps(body))
    subject = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": image.digest, "size": 1}
    bill = {"schemaVersion": 2, "artifactType": "text/sbom", "config": config, "layers": [layer]}
    team.put_image(json.dumps(bill | {"subject": subject}))
    return world


def _blob(number: int) -> str:
    """A digest that no other image of the world refers to."""
    return f"sha256:{1_000 + number:064x}"


@pytest.fixture(scope="module")
def database(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    folder = tmp_path_factory.mktemp("export")
    with serve(world) as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "demurrage-tests")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "demurrage-tests")
        patch.setenv("AWS_ENDPOINT_URL", server.url)
        Pipeline(folder).collect(boto3.Session(), *REGIONS)
    database = Database(f"sqlite:///{folder / 'demurrage.db'}")
    yield database
    database.engine.dispose()


@pytest.fixture(scope="module")
def report(database: Database) -> Report:
    return make_report(database, _OPTIONS)


@pytest.fixture(scope="module")
def folder(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    # So few rows a group that every table has several.
    export(database, _OPTIONS, folder, group_rows=7)
    return folder


def _rows(folder: Path, name: str) -> _Rows:
    rows: _Rows = pq.read_table(folder / f"{name}.parquet").to_pylist()
    return rows


def _place(repository: Repository) -> tuple[str, str, str]:
    return repository.registry.account, repository.registry.region, repository.name


def _of(row: dict[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("account", "region", "repository", *names))


def test_every_table_is_a_file_of_the_documented_columns_and_types(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == sorted(table.file for table in TABLES)
    for table in TABLES:
        schema = pq.read_schema(folder / table.file)
        assert schema.equals(schema_of(table, {}))
        for column in table.columns:
            assert schema.field(column.name).metadata[b"meaning"].decode() == column.meaning
    assert pq.read_schema(folder / "images.parquet").field("pushed_at").type == pa.timestamp("ms", tz="UTC")
    money = pq.read_schema(folder / "repositories.parquet").field("cost_registry_scope_usd_per_month")
    assert money.type == pa.decimal128(18, EXACT_DECIMALS)


def test_layers_are_those_that_the_manifests_list(folder: Path, world: World) -> None:
    expected = []
    for repository in world.repositories():
        for image in repository.images.values():
            body = json.loads(image.manifest)
            if "config" not in body or image.status == "ARCHIVED":
                continue
            for position, blob in enumerate([body["config"], *body["layers"]]):
                role = "layer" if position else "config"
                stored = "urls" not in blob
                known = (position, blob["digest"], blob["size"], blob["mediaType"], role, stored)
                expected.append((*_place(repository), image.digest, *known))
    names = ("image_digest", "position", "blob_digest", "size_bytes", "media_type", "role", "stored")
    assert [_of(row, *names) for row in _rows(folder, "layers")] == sorted(expected)
    assert sum(not stored for *_, stored in expected) == 1


def test_blobs_are_counted_once_for_each_that_stores_them(folder: Path) -> None:
    holders: dict[str, set[tuple[Any, ...]]] = {}
    for row in _rows(folder, "layers"):
        of = holders.setdefault(row["blob_digest"], set())
        if row["stored"]:
            of.add(_of(row, "image_digest"))
    expected = [
        (digest, len(of), len({key[:3] for key in of}), len({key[:2] for key in of}))
        for digest, of in sorted(holders.items())
    ]
    rows = _rows(folder, "blobs")
    assert [
        tuple(row[name] for name in ("digest", "images", "repositories", "registries")) for row in rows
    ] == (expected)
    assert max(count for *_, count in expected) > 1


def test_tags_indexes_and_referrers_are_those_of_the_registries(folder: Path, world: World) -> None:
    tags: list[tuple[object, ...]] = []
    children: list[tuple[object, ...]] = []
    referrers: list[tuple[object, ...]] = []
    for repository in world.repositories():
        place = _place(repository)
        tags += [(*place, tag, digest) for tag, digest in repository.tags.items()]
        for image in repository.images.values():
            body = json.loads(image.manifest)
            for position, child in enumerate(body.get("manifests", ()) if image.status != "ARCHIVED" else ()):
                platform = f"{child['platform']['os']}/{child['platform']['architecture']}"
                there = child["digest"] in repository.images
                children.append((*place, image.digest, position, child["digest"], platform, there))
            if image.subject_digest:
                referrers.append((*place, image.digest, image.subject_digest, "text/sbom", True))
    assert [_of(row, "tag", "digest") for row in _rows(folder, "tags")] == sorted(tags)
    of_child = ("index_digest", "position", "child_digest", "platform", "present")
    assert [_of(row, *of_child) for row in _rows(folder, "index_children")] == sorted(children)
    of_referrer = ("digest", "subject_digest", "artifact_type", "subject_present")
    assert [_of(row, *of_referrer) for row in _rows(folder, "referrers")] == sorted(referrers)
    assert len(children) > 1
    assert len(referrers) == 1


def test_images_say_what_the_registries_list_and_leave_unknown_what_nobody_knows(
    folder: Path, world: World
) -> None:
    rows = {_of(row, "digest"): row for row in _rows(folder, "images")}
    images = {
        (*_place(of), image.digest): image for of in world.repositories() for image in of.images.values()
    }
    assert list(rows) == sorted(images)
    for key, image in images.items():
        row = rows[key]
        assert row["pushed_at"].timestamp() == pytest.approx(image.pushed_at, abs=0.001)
        assert (row["last_pull"] is None) == (image.pulled_at is None)
        assert row["image_status"] == image.status
        assert row["tags"] == len(image.tags)
        assert row["reported_size_bytes"] == image.size_bytes
        if image.status == "ARCHIVED":
            unread = ("kind", "media_type", "logical_bytes", "unique_bytes_registry_scope")
            assert [row[name] for name in unread] == [None] * 4
        else:
            assert row["media_type"] == image.media_type
        assert (row["findings_high"] is None) == (image.scan is None)
        # No workloads were read.
        assert row["in_use"] is None
    assert any(image.status == "ARCHIVED" for image in images.values())


def test_sums_are_those_of_the_report(folder: Path, report: Report) -> None:
    repositories, registries = _rows(folder, "repositories"), _rows(folder, "registries")
    totals = report.totals
    layers = {_of(row, "blob_digest"): row["size_bytes"] for row in _rows(folder, "layers") if row["stored"]}
    physical = Counter[tuple[Any, ...]]()
    for key, size in layers.items():
        physical[key[:3]] += size
    assert {_of(row): row["physical_bytes_repository_scope"] or 0 for row in repositories} == {
        _of(row): physical[_of(row)] for row in repositories
    }
    assert sum(physical.values()) == totals.physical_bytes.repository
    unique = sum(row["physical_bytes_registry_scope"] or 0 for row in repositories)
    shared = sum(row["shared_bytes"] or 0 for row in registries)
    assert unique + shared == totals.physical_bytes.registry
    assert sum(row["logical_bytes"] or 0 for row in _rows(folder, "images")) == totals.logical_bytes
    for rows in (repositories, registries):
        cost = sum((row["cost_repository_scope_usd_per_month"] or Decimal(0) for row in rows), Decimal(0))
        assert cost > 0
        assert cost == rounded(totals.cost.repository, EXACT_DECIMALS)
    kinds = Counter(row["kind"] for row in _rows(folder, "images"))
    counts = totals.counts
    assert (kinds["image"], kinds["index"], kinds["referrer"], kinds[None]) == (
        counts.images,
        counts.indexes,
        counts.referrers,
        counts.unknown,
    )


def test_findings_gaps_and_settings_are_those_of_the_report(
    folder: Path, report: Report, world: World
) -> None:
    assert report.findings is not None
    findings = _rows(folder, "findings")
    assert sorted(row["key"] for row in findings) == sorted(found.key for found in report.findings.findings)
    assert {row["key"]: row["message"] for row in findings} == {
        found.key: found.message for found in report.findings.findings
    }
    gaps = _rows(folder, "gaps")
    assert sorted(
        (row["repository"] or "", row["call"], row["reason"], row["count"]) for row in gaps
    ) == sorted((gap.repository, gap.call, gap.reason, gap.count) for gap in report.gaps)
    policies = {_of(row): row for row in _rows(folder, "settings") if row["name"] == "lifecycle_policy_text"}
    for repository in world.repositories():
        row = policies[_place(repository)]
        assert (row["value"], row["is_set"]) == (
            repository.lifecycle_policy,
            repository.lifecycle_policy is not None,
        )
    mounting = [row["value"] for row in _rows(folder, "settings") if row["name"] == "blob_mounting"]
    assert mounting == [world.registry(region=region).settings["BLOB_MOUNTING"] for region in REGIONS]


def test_rows_are_sorted_as_the_files_say(folder: Path) -> None:
    for table in TABLES:
        file = pq.ParquetFile(folder / table.file)
        names = [column.name for column in table.columns[: table.sorted_by]]
        # Null comes first.
        keys = [[(row[name] is not None, row[name]) for name in names] for row in file.read().to_pylist()]
        assert keys == sorted(keys)
        for group in range(file.num_row_groups):
            sorting = file.metadata.row_group(group).sorting_columns
            assert [file.schema.names[column.column_index] for column in sorting] == names
    assert pq.ParquetFile(folder / "layers.parquet").num_row_groups > 3


def test_every_file_says_where_it_comes_from(folder: Path, report: Report) -> None:
    for table in TABLES:
        metadata = pq.read_schema(folder / table.file).metadata
        assert metadata[b"demurrage.run"] == b"1"
        assert metadata[b"demurrage.scope"] == b"auto"
        snapshots = json.loads(metadata[b"demurrage.snapshots"])
        assert [row["taken_at"] for row in snapshots] == [iso(row.taken_at) for row in report.registries]


def test_the_same_snapshot_gives_the_same_bytes(folder: Path, database: Database, tmp_path: Path) -> None:
    export(database, _OPTIONS, tmp_path, group_rows=7)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        path.name: path.read_bytes() for path in folder.iterdir()
    }


def test_a_glob_leaves_only_repositories_of_such_names(
    folder: Path, database: Database, tmp_path: Path
) -> None:
    done = export(database, _OPTIONS, tmp_path, repositories=["team/*"], group_rows=1_000)
    assert isinstance(done, Exported)
    for name in ("repositories", "images", "tags", "layers", "index_children", "referrers"):
        kept = [row for row in _rows(folder, name) if row["repository"].startswith("team/")]
        assert _rows(tmp_path, name) == kept != []
    assert _rows(tmp_path, "registries") == _rows(folder, "registries")
    about = {row["repository"] for name in ("settings", "findings") for row in _rows(tmp_path, name)}
    assert all(name is None or name.startswith("team/") for name in about)
    held = {row["blob_digest"] for row in _rows(tmp_path, "layers")}
    assert {row["digest"] for row in _rows(tmp_path, "blobs")} == held
    with pytest.raises(InputError, match=r"--repository nothing\*: no repository has such a name"):
        export(database, _OPTIONS, tmp_path, repositories=["nothing*"])


def test_a_failure_leaves_the_files_of_before_as_they_were(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "registries.parquet").write_bytes(b"before")

    def cut_short(_source: object) -> Iterator[Block]:
        yield {}
        raise OSError(5, "Input/output error")

    monkeypatch.setitem(exporting._LARGE, "layers", cut_short)
    with pytest.raises(KeyError):
        export(database, _OPTIONS, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["registries.parquet"]
    assert (tmp_path / "registries.parquet").read_bytes() == b"before"


def test_what_cannot_be_written_is_told_in_one_line(tmp_path: Path) -> None:
    with (
        Folder(tmp_path / "missing", {}) as target,
        pytest.raises(InputError, match=r"cannot write .*gaps\.parquet: No such file"),
    ):
        target.write(TABLE["gaps"], [])
