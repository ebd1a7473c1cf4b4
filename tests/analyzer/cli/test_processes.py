"""The command line as a process of its own: pipes, full disks, old locales, signals."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import pytest

from analyzer.cli import TERMINATED
from tests.analyzer.cli.conftest import Outcome
from tests.support.registry import World
from tests.support.stub_ecr import Fault, Server

pytestmark = pytest.mark.skipif(os.name != "posix", reason="pipes, devices and signals of POSIX")

COMMAND = [sys.executable, "-c", "from analyzer.cli import main; main()"]
UNBUFFERED = {"PYTHONUNBUFFERED": "1"}
ROOT = Path(__file__).parents[3]
RUN = ("run", "--region", "eu-west-1", "--output-dir", "out", "--db", "sqlite:///night.sqlite")
REPORT = ("report", "--db", "sqlite:///night.sqlite")


def _environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return {**kept, "PYTHONPATH": str(ROOT), **(more or {})}


def _start(
    *arguments: str, out: int | IO[Any], err: int | IO[Any], environment: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *arguments], stdout=out, stderr=err, text=True, env=_environment(environment)
    )


def _done(
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    stdout: int | IO[Any] = subprocess.PIPE,
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        stdout=stdout,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="surrogateescape",
        check=False,
        timeout=60,
        env=_environment(environment),
    )


def _runs() -> list[tuple[str]]:
    connection = sqlite3.connect("night.sqlite")
    try:
        return connection.execute("SELECT status FROM run ORDER BY id").fetchall()
    finally:
        connection.close()


def _hung_up(*arguments: str, both: bool) -> tuple[int, str]:
    """Exit status and remaining output where somebody read one line of stderr and hung up."""
    reading, writing = os.pipe()
    with _start(*arguments, out=writing if both else subprocess.PIPE, err=writing) as process:
        os.close(writing)
        assert os.read(reading, 1)
        os.close(reading)
        out = process.stdout.read() if process.stdout is not None else ""
        return process.wait(timeout=60), out


@pytest.mark.parametrize("both", [True, False], ids=["2>&1 | head -1", "2> >(head -1)"])
def test_losing_stderr_fails_no_run(aws: Server, tmp_path: Path, both: bool) -> None:
    # So that most of what is told is told to nobody.
    aws.stub.faults.append(Fault("sleep", "DescribeImages", seconds=0.5))
    status, out = _hung_up(*RUN, both=both)
    assert status == 0
    assert _runs() == [("complete",)]
    assert (tmp_path / "out" / "report.html").exists()
    assert both or "Storage" in out


def test_a_lost_answer_keeps_the_status_of_the_work(aws: Server, world: World) -> None:
    aws.stub.faults.append(Fault("deny", "DescribeImages", next(iter(world.repositories())).name))
    aws.stub.faults.append(Fault("sleep", "DescribeImages", seconds=0.5))
    assert _hung_up(*RUN, both=True)[0] == 4


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("report", "--help")])
@pytest.mark.parametrize("environment", [{}, UNBUFFERED], ids=["buffered", "unbuffered"])
def test_help_may_be_cut_short(arguments: tuple[str, ...], environment: dict[str, str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with _start(*arguments, out=writing, err=subprocess.PIPE, environment=environment) as process:
        os.close(writing)
        assert process.stderr is not None
        assert process.stderr.read() == ""
        assert process.wait(timeout=60) == 0


@pytest.mark.usefixtures("aws")
def test_a_run_without_any_stream_does_its_work(tmp_path: Path) -> None:
    closing = f"exec {' '.join(COMMAND[:1])} -c '{COMMAND[2]}' {' '.join(RUN)} >&- 2>&-"
    done = subprocess.run(["sh", "-c", closing], check=False, env=_environment(), timeout=60)
    assert done.returncode == 0
    assert (tmp_path / "out" / "report.html").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.usefixtures("aws")
def test_a_full_disk_is_one_line_and_status_1(demurrage: Callable[..., Outcome]) -> None:
    assert demurrage(*RUN).status == 0
    with Path("/dev/full").open("w") as full:
        for arguments, environment in (
            (REPORT, {}),
            (REPORT, UNBUFFERED),
            ((*REPORT, "--format", "json"), {}),
            (("--help",), {}),
        ):
            done = _done(*arguments, stdout=full, environment=environment)
            assert done.returncode == 1
            assert done.stderr == "demurrage: cannot write to stdout: No space left on device\n"
    written = demurrage(*REPORT, "--output", "/dev/full")
    assert (written.status, written.out) == (1, "")
    assert written.err == "demurrage: cannot write --output /dev/full: No space left on device\n"
    # A device is written to, and never replaced.
    assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)
    assert _done(*REPORT, "--output", "/dev/stdout").stdout == demurrage(*REPORT).out


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "latin-1"},
        {"LC_ALL": "C"},
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    ],
    ids=str,
)
def test_no_locale_is_too_old(
    demurrage: Callable[..., Outcome], aws: Server, world: World, environment: dict[str, str]
) -> None:
    message = "verboten: é … 😀"
    name = next(iter(world.repositories())).name
    fault = Fault("code", "DescribeImages", name, code="AccessDeniedException", message=message)
    aws.stub.faults.append(fault)
    assert demurrage("collect", "--region", "eu-west-1", *REPORT[1:]).status == 4
    # JSON stays JSON, and says the same.
    done = _done(*REPORT, "--format", "json", environment=environment)
    assert (done.returncode, done.stderr) == (4, "")
    assert message in json.loads(done.stdout)["gaps"][0]["detail"]
    if "PYTHONUTF8" in environment:
        table = _done(*REPORT, environment=environment)
        assert (table.returncode, table.stderr) == (4, "")
        assert "Storage" in table.stdout
    # The help holds an ellipsis.
    assert _done("demo", "--help", environment=environment).returncode == 0
    failed = _done("report", "--prices", "naïve-😀.toml", *REPORT[1:], environment=environment)
    assert failed.returncode == 2
    assert "name a file that can be read" in failed.stderr


def test_sigterm_lets_go_of_everything(aws: Server) -> None:
    aws.stub.faults.append(Fault("sleep", "DescribeImages", seconds=30))
    with _start(*RUN, out=subprocess.PIPE, err=subprocess.PIPE) as process:
        assert process.stderr is not None
        assert "1 registry to read" in process.stderr.readline()
        assert "reading" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=25)
    assert process.returncode == TERMINATED == 128 + signal.SIGTERM
    assert (out, err) == ("", "demurrage: ended by SIGTERM\n")
    assert _runs() == [("failed",)]
    connection = sqlite3.connect("night.sqlite")
    try:
        assert connection.execute("SELECT holder FROM lease").fetchall() == [(None,)]
    finally:
        connection.close()
