"""Each benchmark at a tiny size: it runs, and says what it measured in the shape that it promises."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from sqlalchemy import text

from analyzer.model.records import Kind
from analyzer.storage import analyze
from analyzer.store.engine import Database
from analyzer.store.frames import load_frames
from analyzer.store.snapshots import last_run, snapshots_of_run
from tests.benchmarks import (
    collection,
    fleet,
    forecast,
    generate_database,
    history,
    ingestion,
    postgresql,
    storage_analysis,
    what_if,
)
from tests.benchmarks._large import Shape
from tests.support.corpus import require_shared

_SMALL = ("--images", "600", "--repositories", "40", "--registries", "2")
_NUMBER = r"[\d,]+\.\d+"


def test_generator_says_what_it_wrote_and_how_long_it_took(capsys: pytest.CaptureFixture[str]) -> None:
    generate_database.main(_SMALL)
    first, second = capsys.readouterr().out.splitlines()
    assert re.fullmatch(
        r"database of 600 images, \d+ indexes, \d+ referrers, [\d,]+ layer references, "
        r"[\d,]+ distinct blobs, [\d,]+ distinct manifests: [\d,]+\.\d MB",
        first,
    )
    assert re.fullmatch(rf"written in {_NUMBER} s", second)


def test_generated_database_is_sound_and_of_the_shape_asked_for(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/large.db"
    shape = Shape(images=2_000, repositories=80, registries=3, layers=10, seed=2)
    written = generate_database.generate_database(url, shape)
    database = Database(url)
    with database.read() as connection:
        assert connection.execute(text("PRAGMA foreign_key_check")).all() == []
        assert connection.execute(text("PRAGMA integrity_check")).scalar() == "ok"
        frames = load_frames(connection, snapshots_of_run(connection, last_run(connection)))
    database.engine.dispose()
    # SQLite's file format, 1.3.3: write and read version 2 are WAL.
    assert (tmp_path / "large.db").read_bytes()[18:20] == b"\x02\x02"
    storage = analyze(frames, now_ms=generate_database.TAKEN_AT_MS, stale_days=90)
    kinds = storage.artifacts["kind"].value_counts()
    assert (kinds["image"], kinds["index"], kinds["referrer"], kinds["unknown"]) == (
        2_000,
        written.indexes,
        written.referrers,
        0,
    )
    assert written.indexes
    assert written.referrers
    assert (
        len(frames.manifests.digest_id)
        == written.distinct_manifests
        < 2_000 + written.indexes + written.referrers
    )
    assert 9 <= written.layer_references / 2_000 <= 11
    assert (frames.artifacts.manifest >= 0).all()
    configs = (frames.manifests.kind == Kind.IMAGE).sum()
    assert len(frames.manifests.blobs) - configs > written.distinct_blobs - configs
    totals = storage.registries.sum()
    assert (
        totals["logical_bytes"] > totals["physical_bytes_repository"] > totals["physical_bytes_registry"] > 0
    )
    assert set(frames.registries["blob_mounting"]) == {"ENABLED", "DISABLED"}


def test_generator_gives_equal_rows_for_equal_arguments(tmp_path: Path) -> None:
    contents = []
    for name in ("one.db", "two.db"):
        url = f"sqlite:///{tmp_path / name}"
        generate_database.generate_database(url, Shape(images=300, repositories=20, registries=2))
        database = Database(url)
        with database.read() as connection:
            tables = (
                "artifact",
                "artifact_pull",
                "artifact_scan",
                "blob",
                "digest",
                "manifest",
                "tag",
                "tag_name",
            )
            contents.append([connection.execute(text(f"SELECT * FROM {table}")).all() for table in tables])  # noqa: S608
        database.engine.dispose()
    assert contents[0] == contents[1]


def test_generator_refuses_a_database_that_holds_snapshots(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/large.db"
    shape = Shape(images=10, repositories=2, registries=1)
    generate_database.generate_database(url, shape)
    with pytest.raises(ValueError, match="holds snapshots already"):
        generate_database.generate_database(url, shape)


def test_storage_analysis_prints_times_ratios_and_memory(capsys: pytest.CaptureFixture[str]) -> None:
    storage_analysis.main([*_SMALL, "--rounds", "1"])
    out = capsys.readouterr().out
    for contestant in storage_analysis.CONTESTANTS:
        assert re.search(rf"^{contestant} +{_NUMBER} s +{_NUMBER} s +{_NUMBER} MB$", out, re.MULTILINE)
    assert re.search(rf"^of the analysis: load_frames {_NUMBER} s, analyze {_NUMBER} s$", out, re.MULTILINE)
    for clock in ("wall", "CPU"):
        line = rf"^ratio \({clock}\): {_NUMBER} times rows \(limit 2\), {_NUMBER} times frames$"
        assert re.search(line, out, re.MULTILINE)
    assert re.search(rf"^peak memory: {_NUMBER} MB \(limit 2,000.0 MB\)$", out, re.MULTILINE)


def test_history_prints_tables_sizes_and_ratio(capsys: pytest.CaptureFixture[str]) -> None:
    history.main(
        ["--nights", "3", "--images", "200", "--repositories", "10", "--pushed", "8", "--pulled", "15"]
    )
    out = capsys.readouterr().out
    assert re.search(rf"^digest +{_NUMBER} MB +{_NUMBER} MB +{_NUMBER} +[\d,]+ +\d+%$", out, re.MULTILINE)
    for line in ("vacuumed copy", "file"):
        assert re.search(rf"^{line} +{_NUMBER} MB +{_NUMBER} MB +{_NUMBER}$", out, re.MULTILINE)
    assert re.search(rf"^ratio: {_NUMBER} times the first night's file \(limit 6\)$", out.splitlines()[-1])


def test_collection_prints_cpu_and_ratios_and_asks_for_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    collection.main(["--repositories", "3", "--images", "5", "--rounds", "1"])
    out = capsys.readouterr().out
    for night in collection.NIGHTS:
        for contestant in collection.CONTESTANTS:
            line = rf"^{night} night, {contestant} +{_NUMBER} s +[\d,]+ us +{_NUMBER} s$"
            assert re.search(line, out, re.MULTILINE)
        line = (
            rf"^ratio, {night} night: {_NUMBER} times boto3 \(limit [\d.]+\), {_NUMBER} without its parser$"
        )
        assert re.search(line, out, re.MULTILINE)
        assert re.search(rf"^calls, {night} night: \d+, the same from all$", out, re.MULTILINE)


def test_fleet_prints_rates_and_the_share_of_the_lower(capsys: pytest.CaptureFixture[str]) -> None:
    fleet.main(["--registries", "3", "--repositories", "2", "--images", "2", "--rounds", "1"])
    out = capsys.readouterr().out
    for night in fleet.NIGHTS:
        assert re.search(
            rf"^{night} night: \d+ calls to 3 registries, each answered after 50 ms;", out, re.MULTILINE
        )
        assert re.search(rf"^{night} night +[\d,]+ +[\d,]+ +[\d,]+$", out, re.MULTILINE)
        line = rf"^ratio, {night} night: {_NUMBER} of the lower limit \(at least 0.8\)$"
        assert re.search(line, out, re.MULTILINE)


def test_what_if_prints_its_ratios(capsys: pytest.CaptureFixture[str]) -> None:
    what_if.main((*_SMALL, "--rounds", "1", "--sample", "200"))
    out = capsys.readouterr().out
    assert re.search(rf"^ratio: {_NUMBER} times rows \(limit 2\)$", out, re.MULTILINE)
    assert len(re.findall(r"^evaluation, .*: .* times faster \(at least 100\)$", out, re.MULTILINE)) == 2
    assert "in one process: load" in out


def test_postgresql_prints_its_ratios(capsys: pytest.CaptureFixture[str]) -> None:
    postgresql.main(["--rows", "400", "--batch", "250", "--rounds", "1"])
    out = capsys.readouterr().out
    for baseline in ("bare COPY", "INSERT of each", "UPDATE of each", "psycopg's cursor"):
        assert re.search(rf"^ratio: {_NUMBER} times {baseline} \(limit \d\)$", out, re.MULTILINE)


def test_ingestion_prints_ratios_and_finds_what_was_generated(capsys: pytest.CaptureFixture[str]) -> None:
    ingestion.main(["--records", "12000"])
    out = capsys.readouterr().out
    assert len(re.findall(rf"CPU {_NUMBER} times orjson \(at most 3.0\), wall {_NUMBER} times", out)) == 2
    assert out.count("what is stored is what was generated") == 2


def test_forecast_prints_errors_beside_naive_ones(capsys: pytest.CaptureFixture[str]) -> None:
    require_shared()
    forecast.main(["--every", "60", "--replays", "4"])
    out = capsys.readouterr().out
    for name in forecast.POLICIES:
        assert re.search(rf"^{name} +4 +1( +{_NUMBER}%){{4}}$", out, re.MULTILINE)
