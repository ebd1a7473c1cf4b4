"""Reading a PostgreSQL in bulk beside psycopg: of the same moment, of the same rows, or not at all."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Integer, LargeBinary, Select, case, cast, func, insert, literal, make_url, select

from analyzer.errors import RunError
from analyzer.store import arrow, tables
from analyzer.store.arrow import OPTION
from analyzer.store.columns import read_integers, read_packed
from analyzer.store.engine import Database
from tests.support.databases import Provider, opened

pytest.importorskip("adbc_driver_postgresql.dbapi", reason="adbc-driver-postgresql is not installed")

_RUNS = select(tables.run.c.id, tables.run.c.started_at_ms)


def _numbers(last: int) -> Select[Any]:
    return select(func.generate_series(1, last).label("number"))


def _add_run(database: Database, started_at_ms: int) -> None:
    with database.write() as connection:
        connection.execute(
            insert(tables.run).values(started_at_ms=started_at_ms, status="running", host="h", version="1")
        )


def _is_beside(connection: Any) -> bool:
    """Whether bulk reads went through a connection of ADBC's."""
    return connection.get_execution_options()[OPTION]._connection is not None


def test_bulk_reads_see_the_moment_of_the_transaction_they_belong_to(postgresql: Provider) -> None:
    database = postgresql.clean()
    _add_run(database, 5)
    with database.read() as connection:
        assert len(connection.execute(_RUNS).all()) == 1
        _add_run(database, 6)
        assert read_integers(connection, _RUNS)[:, 1].tolist() == [5]
        assert _is_beside(connection)
        _add_run(database, 7)
        assert read_integers(connection, _RUNS)[:, 1].tolist() == [5]
    with database.read() as connection:
        assert sorted(read_integers(connection, _RUNS)[:, 1].tolist()) == [5, 6, 7]


def test_the_connection_beside_ends_with_the_read(postgresql: Provider) -> None:
    database = postgresql.clean()
    name = "backends"
    count = select(func.count()).select_from(func.pg_stat_get_backend_idset().alias(name))
    with database.read() as connection:
        read_integers(connection, _RUNS)
        during = connection.execute(count).scalar_one()
    with database.read() as connection:
        assert connection.execute(count).scalar_one() < during


def test_a_small_database_is_read_through_psycopg_alone(postgresql: Provider) -> None:
    with opened(postgresql.clean().engine.url.render_as_string(hide_password=False)) as database:
        database._arrow_from_bytes = arrow.WORTH_BYTES
        _add_run(database, 5)
        with database.read() as connection:
            assert read_integers(connection, _RUNS)[:, 1].tolist() == [5]
            assert not _is_beside(connection)


@pytest.mark.parametrize("missing", ["adbc_driver_manager", "adbc_driver_postgresql.dbapi"])
def test_without_adbc_psycopg_reads_the_same(
    postgresql: Provider, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = postgresql.clean()
    _add_run(database, 5)
    monkeypatch.setitem(sys.modules, missing, None)
    with database.read() as connection:
        assert read_integers(connection, _RUNS)[:, 1].tolist() == [5]
        assert not _is_beside(connection)


def test_where_adbc_gets_no_connection_psycopg_reads_the_same(
    postgresql: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = postgresql.clean()
    _add_run(database, 5)
    monkeypatch.setattr(arrow, "_address", lambda _: "host=/nowhere user=nobody")
    with database.read() as connection:
        assert read_integers(connection, _RUNS)[:, 1].tolist() == [5]
        assert not _is_beside(connection)


def test_where_the_snapshot_is_unknown_to_the_other_server_psycopg_reads_the_same(
    postgresql: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = postgresql.clean()
    _add_run(database, 5)
    elsewhere = make_url(postgresql.empty_url())
    host = elsewhere.query["host"]
    monkeypatch.setattr(arrow, "_address", lambda _: f"host={host} user=postgres dbname={elsewhere.database}")
    with database.read() as connection:
        assert read_integers(connection, _RUNS)[:, 1].tolist() == [5]
        assert not _is_beside(connection)


def test_options_of_the_url_hold_beside_psycopg_too(postgresql: Provider) -> None:
    url = make_url(postgresql.clean().engine.url).update_query_dict({"options": "-c work_mem=1234kB"})
    # A host that does not answer first: the one that did is where the snapshot is known.
    url = url.update_query_dict({"host": ["/nowhere", str(url.query["host"])]})
    with opened(url.render_as_string(hide_password=False)) as database, database.read() as connection:
        memory = func.regexp_replace(func.current_setting("work_mem"), "[^0-9]", "", "g")
        (row,) = connection.execute(select(memory)).scalars()
        assert row == "1234"
        kilobytes = select(func.pg_size_bytes(func.current_setting("work_mem")))
        assert read_integers(connection, kilobytes).tolist() == [[1234 * 1024]]
        with pytest.raises(TypeError, match="integers and texts as parameters"):
            read_integers(connection, select(cast(literal(1.5), Integer)))
        constant = select(cast(func.length(func.version()), Integer))
        assert read_integers(connection, constant).shape == (1, 1)
        assert _is_beside(connection)
        address = arrow._address(connection)
        assert "work_mem" in address
        assert "/nowhere" not in address


@pytest.mark.parametrize(
    "text", ["", "plain", "'; DROP TABLE run; --", "50%", "%%s %(x)s", "\\' OR 1=1 --", ":x"]
)
def test_texts_come_into_a_statement_as_they_are(postgresql: Provider, text: str) -> None:
    url = make_url(postgresql.clean().engine.url)
    # The setting under which a backslash would escape the quote behind it.
    url = url.update_query_dict({"options": "-c standard_conforming_strings=off"})
    with opened(url.render_as_string(hide_password=False)) as database, database.read() as connection:
        code = case((literal("other") == literal(text), 1), (literal(text) == literal(text), 2), else_=3)
        query = select(code, func.octet_length(literal(text)))
        assert read_integers(connection, query).tolist() == [[2, len(text)]]
        assert _is_beside(connection)


def test_the_password_goes_along() -> None:
    info = SimpleNamespace(
        host="h2",
        port=5433,
        hostaddr="10.0.0.2",
        password="it's \\ secret",
        get_parameters=lambda: {"host": "h1,h2", "hostaddr": "10.0.0.1,10.0.0.2", "sslmode": "require"},
    )
    connection: Any = SimpleNamespace(
        connection=SimpleNamespace(driver_connection=SimpleNamespace(info=info))
    )
    psycopg = pytest.importorskip("psycopg")
    assert psycopg.conninfo.conninfo_to_dict(arrow._address(connection)) == {
        "host": "h2",
        "port": "5433",
        "hostaddr": "10.0.0.2",
        "password": "it's \\ secret",
        "sslmode": "require",
    }


def test_a_failing_bulk_read_is_a_run_error_of_one_line(postgresql: Provider) -> None:
    database = postgresql.clean()
    broken = select(literal(1) / (func.generate_series(-2, 2)))
    with (
        pytest.raises(RunError, match=r"^the database postgresql.* failed: .*") as caught,
        database.read() as connection,
    ):
        read_integers(connection, broken)
    assert "\n" not in str(caught.value)


def test_a_bulk_read_left_in_the_middle_closes(postgresql: Provider) -> None:
    database = postgresql.clean()
    query = _numbers(3_000_000)
    with database.read() as connection:
        blocks = read_packed(connection, query, 1, lambda head: np.ones(head.shape[1], np.bool_))
        first, _ = next(blocks)
        assert 0 < first.shape[1] < 3_000_000
        assert _is_beside(connection)
    with database.read() as connection:
        assert read_integers(connection, _numbers(3)).tolist() == [[1], [2], [3]]


def test_null_and_what_is_no_integer_are_refused(postgresql: Provider) -> None:
    database = postgresql.clean()
    for column in (func.nullif(func.generate_series(1, 2), 1), func.version()):
        with database.read() as connection, pytest.raises(TypeError, match="not of integers"):
            read_integers(connection, select(column))


@pytest.mark.parametrize("keep", ["all", "some", "none"])
@pytest.mark.parametrize("beside", [True, False])
def test_packed_columns_are_those_of_the_rows_wanted(
    postgresql: Provider, keep: str, beside: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = postgresql.clean()
    if not beside:
        monkeypatch.setattr(database, "_arrow_from_bytes", 2**60)
    number = _numbers(7).subquery().c.number
    # Of lengths 1, 0, 1, 0…
    single = func.substr(func.int8send(number), 8, func.mod(number, 2))
    query = select(number, cast(single, LargeBinary)).order_by(number)
    wanted = {"all": range(1, 8), "some": (2, 3, 5), "none": ()}[keep]
    with database.read() as connection:
        blocks = list(read_packed(connection, query, 1, lambda head: np.isin(head[0], wanted)))
        assert _is_beside(connection) == beside
    assert [n for head, _ in blocks for n in head[0].tolist()] == list(wanted)
    assert [n for _, (column,) in blocks for n in column.lengths.tolist()] == [n % 2 for n in wanted]
    assert b"".join(column.data for _, (column,) in blocks) == bytes(n for n in wanted if n % 2)
