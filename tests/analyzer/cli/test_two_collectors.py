"""Two collectors at once: each registry is one's, the other says whose, and who lost it writes nothing."""

from __future__ import annotations

import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.analyzer.cli.conftest import Outcome
from tests.support.registry import World
from tests.support.stub_ecr import Fault, Server

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")

ROOT = Path(__file__).parents[3]
HERE, THERE = "eu-west-1", "us-east-1"
DB = ("--db", "sqlite:///nights.sqlite", "--quiet")


@pytest.fixture
def world(world: World) -> World:
    world.registry(region=THERE).create_repository("there")
    return world


def _rows(query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect("nights.sqlite")) as connection:
        return connection.execute(query).fetchall()


def _wait_for(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextmanager
def _holder(aws: Server, seconds: float) -> Iterator[subprocess.Popen[str]]:
    """Another collector, which holds the registry of HERE until its calls are answered."""
    aws.stub.faults.append(Fault("sleep", "DescribeImages", region=HERE, seconds=seconds))
    command = [
        sys.executable,
        "-c",
        "from analyzer.cli import main; main()",
        "collect",
        "--region",
        HERE,
        *DB,
    ]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        try:
            _wait_for(lambda: aws.calls["DescribeImages"] > 0)
            yield process
        finally:
            aws.stub.faults.clear()
            process.kill()
            process.communicate()


def test_the_second_says_who_holds_what_and_does_what_is_free(
    demurrage: Callable[..., Outcome], aws: Server
) -> None:
    with _holder(aws, 50) as holder:
        both = demurrage("collect", "--region", HERE, "--region", THERE, *DB)
        assert both.status == 4
        # Lines may be broken anywhere.
        said = re.search(
            rf"{HERE}isbeingcollectedbypid(\d+)on(\S+)since(\S+Z)\(lastsignoflife(\S+Z)\)",
            "".join(both.out.split()),
        )
        assert said is not None, both
        assert said[1] == str(holder.pid)
        assert said[2] == socket.gethostname()
        taken = "SELECT region, status FROM snapshot JOIN registry ON registry.id = registry_id"
        assert _rows(taken) == [(THERE, "complete")]
        only = demurrage("collect", "--region", HERE, *DB)
        assert only.status == 1
        assert f"pid {holder.pid} on {socket.gethostname()}" in only.err
        assert len(_rows(taken)) == 1
        holder.kill()
        holder.wait()
        aws.stub.faults.clear()
        # It is not waited for: its process is gone, which can be seen from this host.
        assert demurrage("collect", "--region", HERE, *DB).status == 0
    assert sorted(_rows(taken)) == [(HERE, "complete"), (THERE, "complete")]


def test_who_was_silent_too_long_and_comes_back_writes_nothing(
    demurrage: Callable[..., Outcome], aws: Server
) -> None:
    with _holder(aws, 5) as holder:
        # As a machine that was put to sleep, and woke up five minutes later.
        holder.send_signal(signal.SIGSTOP)
        assert demurrage("collect", "--region", HERE, *DB).status == 1
        with closing(sqlite3.connect("nights.sqlite")) as connection, connection:
            connection.execute("UPDATE lease SET heartbeat_at_ms = heartbeat_at_ms - 300000")
        aws.stub.faults.clear()
        assert demurrage("collect", "--region", HERE, *DB).status == 0
        kept = _rows("SELECT registry_id, number, run_id FROM snapshot")
        assert len(kept) == 1
        holder.send_signal(signal.SIGCONT)
        out, err = holder.communicate(timeout=90)
        assert holder.returncode == 1, (out, err)
        assert "lost the lease" in err
        assert "another collector took over" in err
    assert _rows("SELECT registry_id, number, run_id FROM snapshot") == kept
    assert _rows("SELECT holder FROM lease") == [(None,)]
