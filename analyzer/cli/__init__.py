"""The command line: thin, it owns clock, environment, files and exit codes.

Exit status: 0 done and clean; 1 the run failed; 2 bad usage or input; 4 done, but with gaps.
Data goes to stdout, everything else to stderr.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from analyzer import __version__
from analyzer.cli.collect import collect_command, run_command
from analyzer.cli.common import HELP, global_options
from analyzer.cli.db import db_group
from analyzer.cli.demo import demo_command
from analyzer.cli.report import report_command
from analyzer.errors import DemurrageError

#: Conventional: 128 + SIGINT.
_INTERRUPTED = 130


@click.group(context_settings=HELP)
@click.version_option(__version__, prog_name="demurrage")
@global_options
def cli() -> None:
    """What your Amazon ECR registries really cost, and why.

    Start with `demurrage demo`, which needs no AWS. `demurrage run` collects a snapshot of your
    registries and reports on it: that is what cron calls.
    """


for _command in (collect_command, run_command, report_command, demo_command, db_group):
    cli.add_command(_command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave the process with its exit status."""
    debug = "--debug" in (sys.argv[1:] if arguments is None else arguments) or _is_on("DEMURRAGE_DEBUG")
    try:
        status = cli.main(arguments, prog_name="demurrage", standalone_mode=False)
    except click.exceptions.Exit as leave:
        status = leave.exit_code
    except click.ClickException as error:
        error.show()
        status = 2
    except (click.Abort, KeyboardInterrupt):
        _say("interrupted")
        status = _INTERRUPTED
    except DemurrageError as error:
        if debug:
            raise
        _say(str(error))
        status = error.exit_status
    except BrokenPipeError:
        # Whoever read our output has seen enough; what Python still holds back must not complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    except Exception as error:
        if debug:
            raise
        kind = type(error).__name__
        _say(f"something unexpected went wrong ({kind}: {error}); run it again with --debug and report that")
        status = 1
    sys.exit(status if isinstance(status, int) else 0)


def _say(text: str) -> None:
    # Messages quote names from AWS, and a terminal obeys what is in them.
    from reports.text import visible

    click.echo(f"demurrage: {visible(text)}", err=True)


def _is_on(variable: str) -> bool:
    return os.environ.get(variable, "").lower() in ("1", "true", "t", "yes", "y", "on")
