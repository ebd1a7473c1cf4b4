"""The command line: thin, it owns clock, environment, files and exit codes.

Exit status: 0 done and clean; 1 the run failed; 2 bad usage or input; 3 findings that the user asked
to fail on; 4 done, but with gaps; 130
and 143 ended by Ctrl-C or SIGTERM. Data goes to stdout, everything else to stderr.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence

import click

from analyzer import __version__
from analyzer.cli.collect import collect_command
from analyzer.cli.common import HELP, global_options, has_begun, wants_traceback
from analyzer.cli.db import db_group
from analyzer.cli.demo import demo_command
from analyzer.cli.diff import diff_command
from analyzer.cli.doctor import doctor_command
from analyzer.cli.explain import explain_command
from analyzer.cli.export import export_command
from analyzer.cli.findings import findings_command
from analyzer.cli.frontier import frontier_command
from analyzer.cli.importing import import_command
from analyzer.cli.ingest import ingest_command
from analyzer.cli.lint import lint_command
from analyzer.cli.outcome import outcome_command
from analyzer.cli.pulls import pulls_command
from analyzer.cli.recommend import recommend_command
from analyzer.cli.report import report_command
from analyzer.cli.role import role_command
from analyzer.cli.run import run_command
from analyzer.cli.serve import serve_command
from analyzer.cli.streams import abandon, prepare_streams, settle_streams, tell
from analyzer.cli.trend import trend_command
from analyzer.cli.update import update_command
from analyzer.cli.verify import verify_command
from analyzer.cli.what_if import what_if_command
from analyzer.errors import DemurrageError

_NAME = "demurrage"
#: Conventional: 128 and the number of the signal.
INTERRUPTED = 130
TERMINATED = 143


@click.group(context_settings=HELP)
@click.version_option(__version__, prog_name=_NAME)
@global_options
def cli() -> None:
    """What your Amazon ECR registries really cost, and why.

    Start with `demurrage demo`, which needs no AWS. `demurrage run` collects a snapshot of your
    registries and reports on it: that is what cron calls.
    """


for _command in (
    collect_command,
    run_command,
    serve_command,
    import_command,
    ingest_command,
    report_command,
    export_command,
    what_if_command,
    explain_command,
    lint_command,
    diff_command,
    outcome_command,
    findings_command,
    frontier_command,
    recommend_command,
    pulls_command,
    trend_command,
    verify_command,
    doctor_command,
    role_command,
    demo_command,
    update_command,
    db_group,
):
    cli.add_command(_command)


class _Terminated(KeyboardInterrupt):
    """SIGTERM, taken for a Ctrl-C: leases are let go, the run is recorded as failed."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave the process with its exit status."""
    prepare_streams()
    try:
        with _sigterm_interrupts():
            status = _status(list(sys.argv[1:] if arguments is None else arguments))
    finally:
        settle_streams()
    sys.exit(status)


def _status(arguments: list[str]) -> int:
    """Exit status of the command, its failure having been told on stderr."""
    if os.environ.get("_DEMURRAGE_COMPLETE"):
        # A shell asks what could be typed next; click answers and leaves.
        cli.main(arguments, prog_name=_NAME)
    context: click.Context | None = None
    try:
        # What click's own main() does, without its habit of taking any broken pipe for stdout's.
        with cli.make_context(_NAME, arguments) as context:
            status = cli.invoke(context)
    except click.exceptions.Exit as leave:
        return leave.exit_code
    except click.ClickException as error:
        with contextlib.suppress(OSError):
            error.show()
        return 2
    except _Terminated:
        tell(f"{_NAME}: ended by SIGTERM")
        return TERMINATED
    except (click.Abort, KeyboardInterrupt):
        tell(f"{_NAME}: interrupted")
        return INTERRUPTED
    except Exception as error:
        if isinstance(error, OSError) and not (context is not None and has_begun(context)):
            return _unread(error)
        if "--debug" in arguments or (context is not None and wants_traceback(context)):
            raise
        if isinstance(error, DemurrageError):
            first, *further = error.lines
            tell(f"{_NAME}: {first}")
            for line in further:
                tell(line)
            return error.exit_status
        what = f"{type(error).__name__}: {error}"
        tell(f"{_NAME}: something unexpected went wrong ({what}); run it again with --debug and report that")
        return 1
    return status if isinstance(status, int) else 0


def _unread(error: OSError) -> int:
    """Exit status where click could not write a help text: fine for ``| head``, not on a full disk.

    Nothing else is written before a command begins.
    """
    abandon(sys.stdout)
    if isinstance(error, BrokenPipeError):
        return 0
    tell(f"{_NAME}: cannot write to stdout: {error.strerror or error}")
    return 1


@contextlib.contextmanager
def _sigterm_interrupts() -> Iterator[None]:
    """Take a SIGTERM for a Ctrl-C, once: what it sets in motion must not be cut short by a second."""
    in_charge = threading.current_thread() is threading.main_thread()
    if not in_charge or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        # A thread cannot, and whoever chose otherwise before us had a reason.
        yield
        return

    def terminate(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_IGN)
        raise _Terminated

    signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
