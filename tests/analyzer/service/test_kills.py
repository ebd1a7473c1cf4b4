"""Servers killed at random moments: what the tables of slots and runs show is one run for each moment."""

from __future__ import annotations

import multiprocessing
import os
import random
import time
from typing import Any

import pytest
from sqlalchemy import select

from analyzer.store import tables
from analyzer.store.engine import Database
from analyzer.store.schema import upgrade_schema
from tests.support.databases import Provider, opened
from tests.support.service_process import main

KILLS = int(os.environ.get("SERVICE_KILLS", "6"))

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")


@pytest.fixture(scope="module")
def processes() -> Any:
    """What starts processes by forking one that has imported all."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.support.service_process"])
    return context


def _start(processes: Any, url: str) -> Any:
    server = processes.Process(target=main, args=(url, "* * * * * *"), daemon=True)
    server.start()
    return server


def _slots(database: Database) -> list[Any]:
    with database.read() as connection:
        return list(
            connection.execute(select(tables.service_slot).order_by(tables.service_slot.c.fire_at_ms))
        )


def _wait_for_done(database: Database, more: int) -> None:
    """Wait until so many more slots are done than now."""

    def done() -> int:
        return sum(slot.status == "done" for slot in _slots(database))

    wanted, deadline = done() + more, time.monotonic() + 60
    while done() < wanted:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _examine(database: Database) -> None:
    """What has to hold once somebody came after every kill."""
    slots = _slots(database)
    with database.read() as connection:
        runs = {row.id: row for row in connection.execute(select(tables.run))}
    moments = [slot.fire_at_ms for slot in slots]
    # None is lost: there is a slot for every second.
    assert moments == list(range(moments[0], moments[-1] + 1, 1000))
    assert {slot.status for slot in slots} <= {"done", "coalesced"}
    assert slots[-1].status == "done"
    # None is made twice: every run that ended belongs to one slot, and every slot that is done has one.
    ended = sorted(run for run, row in runs.items() if row.status == "complete")
    assert (
        sorted(slot.run_id for slot in slots if runs.get(slot.run_id, _NO_RUN).status == "complete") == ended
    )
    for slot in slots:
        if slot.status == "done":
            assert runs[slot.run_id].status == "complete"
            assert slot.figures == f'{{"run": {slot.run_id}}}'


class _NO_RUN:  # noqa: N801
    status = ""


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_no_kill_loses_a_run_or_makes_one_twice(
    kind: str, request: pytest.FixtureRequest, processes: Any
) -> None:
    provider: Provider = request.getfixturevalue(kind)
    url = provider.empty_url()
    dice = random.Random(f"kills {kind}")
    with opened(url) as database:
        upgrade_schema(database)
        servers = [_start(processes, url), _start(processes, url)]
        try:
            _wait_for_done(database, 1)
            for _ in range(KILLS):
                # The step of the night at hand, the moment between two, or the wait for the next.
                time.sleep(dice.uniform(0.0, 0.9))
                with database.read() as connection:
                    holder = connection.execute(select(tables.service.c.holder)).scalar()
                leading = [server for server in servers if holder == f"pid {server.pid}"]
                victim = leading[0] if leading else dice.choice(servers)
                victim.kill()
                victim.join()
                servers.remove(victim)
                # The other takes over, and a new one stands by.
                servers.append(_start(processes, url))
            _wait_for_done(database, 2)
            for server in servers:
                server.terminate()
                server.join(30)
            assert [server.exitcode for server in servers] == [0, 0]
        finally:
            for server in servers:
                server.kill()
                server.join()
        _examine(database)
        with database.read() as connection:
            assert connection.execute(select(tables.service.c.holder)).scalar() is None
