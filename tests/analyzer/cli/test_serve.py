"""`demurrage serve` as a process of its own: it runs, is killed, goes on, stands by, and ends when asked."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from tests.analyzer.cli.conftest import Outcome
from tests.analyzer.cli.test_processes import COMMAND, _environment
from tests.support.stub_ecr import Fault, Server

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")

SERVE = (
    "serve",
    *("--region", "eu-west-1", "--db", "sqlite:///night.sqlite", "--publish", "published"),
    *("--schedule", "* * * * * *", "--listen", "127.0.0.1:0", "--workload-sources", "none"),
)
SECRET = "hunter2-external-id"
ACCOUNT = "123456789012"


class _Serving:
    """One server and what it logs."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[dict[str, Any]] = []
        self.text = ""

    def until(self, message: str) -> dict[str, Any]:
        """The next line whose message begins so."""
        assert self.process.stderr is not None
        for text in self.process.stderr:
            self.text += text
            line: dict[str, Any] = json.loads(text)
            self.lines.append(line)
            if line["message"].startswith(message):
                return line
        raise AssertionError(f"it ended without {message!r}: {self.text}")

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        _, rest = self.process.communicate(timeout=60)
        self.text += rest
        return self.process.returncode


@contextmanager
def _serving(*more: str) -> Iterator[_Serving]:
    with subprocess.Popen(
        [*COMMAND, *SERVE, *more],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=_environment(
            {"DEMURRAGE_EXTERNAL_ID": SECRET, "DEMURRAGE_ROLE_NAME": "reader"} if not more else {}
        ),
    ) as process:
        try:
            yield _Serving(process)
        finally:
            process.kill()


def _rows(query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect("night.sqlite")) as connection:
        return connection.execute(query).fetchall()


def _get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_a_server_that_was_killed_is_followed_by_one_that_goes_on(aws: Server) -> None:
    hang = Fault("sleep", "DescribeImages", seconds=60)
    aws.stub.faults.append(hang)
    with _serving("--stop-seconds", "0.2") as serving:
        serving.until("the run begins")
        while not _rows(
            "SELECT 1 FROM service_slot JOIN run ON run.id = run_id WHERE run.status = 'running'"
        ):
            pass
        assert serving.end(signal.SIGKILL) == -signal.SIGKILL
    (killed,) = _rows("SELECT fire_at_ms, status FROM service_slot WHERE attempts > 0")
    assert killed[1] == "running"

    with _serving("--stop-seconds", "0.2") as serving:
        port = serving.until("listening")["port"]
        serving.until("the run begins")
        # Interrupted within its bounds: the run is recorded as failed, and nothing stays locked.
        assert serving.end(signal.SIGTERM) == 0
    assert '"stopped"' in serving.text
    assert _rows("SELECT DISTINCT status FROM run WHERE id > 1 OR finished_at_ms IS NOT NULL") in (
        [("failed",)],
        [],
    )
    assert _rows("SELECT status FROM service_slot WHERE attempts > 0 ORDER BY fire_at_ms DESC LIMIT 1") == [
        ("interrupted",)
    ]
    assert set(_rows("SELECT holder FROM lease UNION ALL SELECT holder FROM service")) == {(None,)}

    aws.stub.faults.remove(hang)
    with _serving("--stop-seconds", "60") as serving:
        port = serving.until("listening")["port"]
        assert serving.until("the run ended")["status"] == "done"
        status, health = _get(port, "/healthz")
        assert (status, json.loads(health)["role"]) == (200, "leading")
        assert 'demurrage_runs_total{status="done"}' in _get(port, "/metrics")[1]
        assert "latest report" in _get(port, "/")[1]
        latest = json.loads(_get(port, "/index.json")[1])["reports"][0]
        assert "<h1>" in _get(port, f"/{latest['page']}")[1]
        # It finishes what it is at.
        assert serving.end(signal.SIGTERM) == 0
    slots = _rows("SELECT fire_at_ms, status, run_id FROM service_slot ORDER BY fire_at_ms")
    assert {status for _, status, _ in slots} <= {"done", "coalesced", "interrupted"}
    assert [moment for moment, _, _ in slots] == list(range(slots[0][0], slots[-1][0] + 1, 1000))
    ended = [run for (run,) in _rows("SELECT id FROM run WHERE status IN ('complete', 'gaps')")]
    assert sorted(run for _, _, run in slots if run in ended) == ended
    assert json.loads(_get_file("published/index.json"))["reports"][0]["run"] == ended[-1] or len(ended) > 1


def _get_file(name: str) -> str:
    with open(name, encoding="utf-8") as file:  # noqa: PTH123
        return file.read()


def test_a_failed_night_is_told_without_secrets_and_the_server_goes_on(aws: Server) -> None:
    message = f"no \x1b[31m{SECRET}"
    aws.stub.faults.append(Fault("code", "GetCallerIdentity", code="AccessDenied", message=message))
    with _serving("--account", ACCOUNT, "--role-name", "reader", "--external-id", SECRET) as serving:
        line = serving.until("collect failed")
        assert serving.until("the run ended")["status"] == "failed"
        serving.until("the run begins")
        assert serving.end(signal.SIGTERM) == 0
    assert line["level"] == "ERROR"
    assert SECRET not in serving.text
    assert "\x1b" not in serving.text
    statuses = _rows("SELECT status, steps FROM service_slot WHERE attempts > 0 ORDER BY fire_at_ms LIMIT 1")
    assert statuses[0][0] == "failed"
    assert json.loads(statuses[0][1])["report"]["status"] == "skipped"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--schedule", "nightly"), "--schedule 'nightly'"),
        (("--timezone", "Mars"), "--timezone 'Mars'"),
        (("--listen", "somewhere"), "--listen somewhere"),
        (("--publish", "/proc/nothing"), "--publish /proc/nothing"),
        (("--trail", "nowhere"), "--trail nowhere"),
        (("--output", "x.txt"), "--publish"),
        (("--in-use", "-"), "--in-use -: serve reads the list every night"),
    ],
)
@pytest.mark.usefixtures("aws")
def test_a_mistake_is_told_before_anything_is_served(
    demurrage: Callable[..., Outcome], options: tuple[str, ...], told: str
) -> None:
    done = demurrage(*SERVE, *options)
    assert done.status == 2
    assert told in done.err
    assert not os.path.exists("night.sqlite")  # noqa: PTH110
