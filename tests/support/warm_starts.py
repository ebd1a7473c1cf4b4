"""Processes of the command line, started from one that has imported all, and killed at a chosen moment.

A start of the program takes a second of imports, which are of no interest here. So one process imports,
and forks one child after another, each of which is the program as a user starts it: its own arguments,
environment, files and end. POSIX only.

The moment may be chosen inside the child (a statement, a commit, some way into SQLite's own work), where
nobody outside could meet it; or by whoever started it, who knows its number.

``python -m tests.support.warm_starts`` is the process that forks; ``WarmStarts`` starts and talks to it.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Literal

ROOT = Path(__file__).resolve().parents[2]
#: Instructions of SQLite's virtual machine between two looks at whether the moment has come.
_STEP = 50
_CHANGES = "changes before the transaction"
_SCHEMA = "changes the schema"

Inside = Literal["statement", "before commit", "after commit", "step"]
INSIDE: tuple[Inside, ...] = ("statement", "before commit", "after commit", "step")


@dataclass(frozen=True, slots=True)
class Moment:
    """When a child kills itself: at the ``nth`` statement, write commit or step of SQLite's."""

    at: Inside
    nth: int


@dataclass(frozen=True, slots=True)
class Ended:
    """How a child ended."""

    #: Exit status; None if it was killed.
    status: int | None
    out: str
    err: str
    #: How many moments of each kind there were, of one that was not killed.
    moments: Mapping[str, int]


class WarmStarts:
    """Starts children, one at a time."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._orders: IO[str] = process.stdin
        self._news: IO[str] = process.stdout
        self._folder = folder

    def run(
        self,
        *arguments: str,
        environment: Mapping[str, str],
        moment: Moment | None = None,
        journal: Path | None = None,
        watch: Callable[[int], None] = lambda _: None,
    ) -> Ended:
        """Run ``demurrage`` with those arguments to its end; ``watch`` is told the number of the process.

        In ``journal`` a line is written after every commit, see `_Switch`.
        """
        files = {name: str(self._folder / name) for name in ("out", "err", "moments")}
        Path(files["moments"]).unlink(missing_ok=True)
        order = {
            "arguments": list(arguments),
            "environment": dict(environment),
            "moment": moment and asdict(moment),
            "journal": journal and str(journal),
            **files,
        }
        self._orders.write(json.dumps(order) + "\n")
        self._orders.flush()
        watch(int(self._news.readline()))
        status = int(self._news.readline())
        moments = Path(files["moments"])
        return Ended(
            status=None if status == -signal.SIGKILL else status,
            out=Path(files["out"]).read_text(encoding="utf-8"),
            err=Path(files["err"]).read_text(encoding="utf-8"),
            moments=json.loads(moments.read_text(encoding="utf-8")) if moments.exists() else {},
        )


@contextmanager
def warm_starts(folder: Path) -> Iterator[WarmStarts]:
    """A process that starts others; ``folder`` is for what they print."""
    # NumPy's threads would be lost in the fork.
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.support.warm_starts"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment,
    ) as process:
        try:
            yield WarmStarts(process, folder)
        finally:
            assert process.stdin is not None
            process.stdin.close()


class _Switch:
    """Counts the moments of this process, and kills it when the one that was chosen has come.

    With a journal, a line of JSON follows every commit that changed something: the safety catches that
    the connection had on, and a hash of the whole database as others see it now.
    """

    def __init__(self, moment: Moment | None, journal: str | None) -> None:
        self._moment = moment
        self._journal = journal
        self._seen: Counter[str] = Counter()
        self._lock = threading.Lock()

    def arm(self) -> None:
        from sqlalchemy import Engine, event  # noqa: PLC0415
        from sqlalchemy.engine.default import DefaultDialect  # noqa: PLC0415
        from sqlalchemy.pool import Pool  # noqa: PLC0415

        really: Callable[..., None] = DefaultDialect.do_commit

        def commit(dialect: DefaultDialect, connection: Any) -> None:
            changes_schema = connection.info.pop(_SCHEMA, False)
            if connection.total_changes == connection.info[_CHANGES] and not changes_schema:
                really(dialect, connection)
                return
            catches = self._journal and _safety_catches(connection)
            self._come("before commit")
            really(dialect, connection)
            if self._journal and catches:
                self._note(connection, catches)
            self._come("after commit")

        # A method of the class, which has no other way in: the events come before the commit only.
        DefaultDialect.do_commit = commit  # type: ignore[method-assign]
        # SQLAlchemy gives this function no types.
        listen: Callable[..., None] = event.listen
        listen(Engine, "begin", _count_changes)
        listen(Engine, "before_cursor_execute", self._statement)
        listen(Pool, "connect", lambda connection, _: connection.set_progress_handler(self._step, _STEP))

    def save(self, file: str) -> None:
        Path(file).write_text(json.dumps(self._seen), encoding="utf-8")

    def _statement(self, connection: Any, _cursor: object, statement: str, *_: object) -> None:
        if statement.lstrip().startswith(("CREATE", "ALTER", "DROP")):
            connection.info[_SCHEMA] = True
        self._come("statement")

    def _step(self) -> int:
        self._come("step")
        return 0

    def _come(self, what: Inside) -> None:
        with self._lock:
            self._seen[what] += 1
            if self._moment == Moment(what, self._seen[what]):
                os.kill(os.getpid(), signal.SIGKILL)

    def _note(self, connection: Any, catches: Mapping[str, object]) -> None:
        import sqlite3  # noqa: PLC0415

        from tests.support.invariants import contents  # noqa: PLC0415

        file = connection.execute("PRAGMA database_list").fetchone()[2]
        # What others see, and so over a connection of its own.
        other = sqlite3.connect(file)
        line = json.dumps({**catches, "contents": contents(other)})
        other.close()
        with Path(str(self._journal)).open("a", encoding="utf-8") as journal:
            journal.write(line + "\n")


def _count_changes(connection: Any) -> None:
    """Note what the connection had changed before its transaction."""
    connection.info[_CHANGES] = connection.connection.total_changes


def _safety_catches(connection: Any) -> dict[str, object]:
    names = ("synchronous", "journal_mode", "foreign_keys")
    return {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names}


def _child(order: Mapping[str, Any]) -> int:
    """Become the program; gives its exit status."""
    for name, descriptor in (("out", 1), ("err", 2)):
        file = os.open(order[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(file, descriptor)
        os.close(file)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.environ.update(order["environment"])
    moment = Moment(**order["moment"]) if order["moment"] else None
    switch = _Switch(moment, order["journal"])
    switch.arm()
    atexit.register(switch.save, order["moments"])
    from analyzer.cli import main  # noqa: PLC0415

    try:
        main(order["arguments"])
    except SystemExit as leave:
        return int(leave.code or 0)
    return 0


def _import_everything() -> None:
    """All that the program would import when it is needed."""
    import importlib  # noqa: PLC0415

    for name in (
        "analyzer.cli",
        "analyzer.cli.collect",
        "analyzer.cli.answers",
        "analyzer.cli.progress",
        "analyzer.cli.report",
        "analyzer.cli.what_if",
        "analyzer.collect",
        "analyzer.collect.session",
        "analyzer.nightly",
        "analyzer.store.opening",
        "analyzer.store.schema",
        "alembic.command",
        "botocore.retries.adaptive",
        "reports",
        "tests.support.invariants",
    ):
        importlib.import_module(name)


def _read_models() -> None:
    """What every session of the program reads of botocore's files."""
    import boto3  # noqa: PLC0415

    from tests.support.quick_starts import share_models  # noqa: PLC0415

    share_models()
    session = boto3.Session("nobody", "nobody", region_name="eu-west-1")
    for service in ("ecr", "sts"):
        session.client(service)


def _serve(orders: Sequence[str] | IO[str]) -> int:
    for line in orders:
        child = os.fork()
        if not child:
            return _child(json.loads(line))
        print(child, flush=True)
        _, ended = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(ended), flush=True)
    return 0


if __name__ == "__main__":
    _import_everything()
    _read_models()
    # What the children share they need not copy.
    gc.freeze()
    sys.exit(_serve(sys.stdin))
