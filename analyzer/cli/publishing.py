"""The options of publishing, and what they come to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from analyzer.cli.common import Decorated
from analyzer.errors import RunError

if TYPE_CHECKING:
    from analyzer.model.results import Report
    from analyzer.publishing.publish import Target

_OPTIONS = (
    click.option(
        "--publish",
        multiple=True,
        envvar="DEMURRAGE_PUBLISH",
        show_envvar=True,
        metavar="DIR|S3URL",
        help="Also publish the report there, with an index of those before it; may be repeated.",
    ),
    click.option(
        "--keep-reports",
        type=click.IntRange(min=1, max=10_000),
        envvar="DEMURRAGE_KEEP_REPORTS",
        default=30,
        show_default=True,
        show_envvar=True,
        metavar="N",
        help="Published reports to keep: the newest so many.",
    ),
)


def publish_options(command: Decorated) -> Decorated:
    """Add the options that say where reports are published."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True, kw_only=True)
class Publishing:
    """Where reports are published, and how many are kept."""

    targets: tuple[Target, ...]
    keep: int

    def publish(self, report: Report, files: Mapping[str, Path], note: Callable[[str], None]) -> str:
        """Publish to every target, whatever becomes of the others; says where.

        Raises RunError, naming each target that failed.
        """
        from analyzer.publishing.catalog import entry_of
        from analyzer.publishing.publish import publish

        entry = entry_of(report, files)
        failures = []
        for target in self.targets:
            try:
                publish(target, entry, files, keep=self.keep, note=note)
            except RunError as error:
                failures.append(str(error))
        if failures:
            raise RunError("; ".join(failures))
        return f"{entry.id} is in {', '.join(target.label for target in self.targets)}"


def publishing_of(publish: Sequence[str], keep_reports: int) -> Publishing | None:
    """What the options say; None where nothing is to be published.

    Raises InputError for a target that cannot be used.
    """
    if not publish:
        return None
    from analyzer.publishing.folder import FolderTarget

    targets = tuple(FolderTarget(Path(name)) for name in dict.fromkeys(publish))
    return Publishing(targets=targets, keep=keep_reports)
