"""Options of many commands: which repositories, which night, which moment, where to, and when to fail."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from analyzer.cli.common import Decorated, Moment, NamedFolder


def repositories_option(what: str = "Only repositories of such names") -> Callable[[Decorated], Decorated]:
    """Add --repository, which may be repeated; ``what`` says what it narrows the answer to."""
    return click.option(
        "--repository",
        "repositories",
        multiple=True,
        metavar="GLOB",
        help=f"{what}; may be repeated.  [all]",
    )


def run_option(otherwise: str = "the last") -> Callable[[Decorated], Decorated]:
    """Add --run; ``otherwise`` is the run that is looked at without it."""
    return click.option(
        "--run",
        type=click.IntRange(min=1),
        metavar="N",
        help=f"Look at the registries as of run N.  [{otherwise}]",
    )


def at_option(
    what: str = "Count ages to this moment", *, otherwise: str = "that of the snapshot"
) -> Callable[[Decorated], Decorated]:
    """Add --at; ``what`` is done at that moment, and ``otherwise`` is the one without it."""
    return click.option("--at", type=Moment(), metavar="TIME", help=f"{what}.  [{otherwise}]")


def policies_option(what: str) -> Callable[[Decorated], Decorated]:
    """Add --policy, which may be repeated; ``what`` says what is done with each."""
    return click.option(
        "--policy", "policies", type=click.Path(path_type=Path), multiple=True, metavar="FILE", help=what
    )


def output_dir_option(what: str, *, required: bool = False) -> Callable[[Decorated], Decorated]:
    """Add --output-dir; ``what`` says what comes to lie there."""
    return click.option(
        "--output-dir",
        type=NamedFolder(),
        required=required,
        envvar="DEMURRAGE_OUTPUT_DIR",
        show_envvar=True,
        metavar="DIR",
        help=what,
    )


def fail_on_option(but: str = "") -> Callable[[Decorated], Decorated]:
    """Add --fail-on; ``but`` says which findings do not count."""
    return click.option(
        "--fail-on",
        type=click.Choice(["high", "medium", "low", "info"]),
        envvar="DEMURRAGE_FAIL_ON",
        show_envvar=True,
        help=f"Exit with status 3 for a finding of this severity or a higher one{but}.",
    )


def fail_on_in_use_option(command: Decorated) -> Decorated:
    """Add --fail-on-in-use."""
    return click.option(
        "--fail-on-in-use",
        is_flag=True,
        envvar="DEMURRAGE_FAIL_ON_IN_USE",
        show_envvar=True,
        help="Exit with status 3 where a policy takes an image in use, or a protected one.",
    )(command)


def top_option(command: Decorated) -> Decorated:
    """Add --top."""
    return click.option(
        "--top",
        type=click.IntRange(min=0),
        default=10,
        show_default=True,
        metavar="N",
        help="Repositories that the table names.",
    )(command)
