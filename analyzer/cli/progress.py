"""How a run shows that it gets on: a bar on a terminal, plain lines in a log, or nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO, cast

from analyzer.cli.streams import Dropping, is_terminal, tell
from analyzer.collect import SilentProgress
from analyzer.model.words import counted
from reports.text import visible

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from analyzer.collect import Progress, RegistrySummary
    from analyzer.model.records import RegistryKey


#: Registries with a bar of their own.
_BARS = 12


@contextmanager
def shown_progress(*, quiet: bool) -> Iterator[Progress]:
    """A Progress that suits stderr, for the duration of a run."""
    if quiet:
        yield SilentProgress()
    elif is_terminal(sys.stderr):
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars

        # All that rich asks of a file is what Dropping has.
        stderr = cast(TextIO, Dropping(sys.stderr))
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[detail]}", markup=False),
            TimeElapsedColumn(),
        )
        with Bars(*columns, console=Console(file=stderr), transient=True) as bars:
            yield _OnTerminal(bars)
    else:
        yield _InLog()


class _InLog(SilentProgress):
    """A line when a registry begins and when it ends."""

    def places_known(self, count: int) -> None:
        tell(f"{count:,} {'registry' if count == 1 else 'registries'} to read")

    def registry_started(self, key: RegistryKey) -> None:
        tell(f"{_name(key)}: reading")

    def registry_done(self, summary: RegistrySummary) -> None:
        tell(f"{_name(summary.key)}: {_outcome(summary)}")


class _OnTerminal(SilentProgress):
    """A bar per registry, which a line replaces when it is done."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._tasks: dict[RegistryKey, TaskID] = {}
        self._artifacts: dict[RegistryKey, int] = {}
        self._manifests: dict[RegistryKey, int] = {}
        self._all: TaskID | None = None

    def places_known(self, count: int) -> None:
        if count > 1:
            self._all = self._bars.add_task("registries", total=count, detail="")

    def registry_started(self, key: RegistryKey) -> None:
        # More would push each other off the screen; how many there are the first bar says.
        shown = len(self._tasks) < _BARS
        self._tasks[key] = self._bars.add_task(_name(key), total=None, detail="", visible=shown)

    def repositories_known(self, key: RegistryKey, count: int) -> None:
        self._bars.update(self._tasks[key], total=count)

    def repository_done(self, key: RegistryKey, repository: str, artifacts: int) -> None:  # noqa: ARG002
        self._artifacts[key] = self._artifacts.get(key, 0) + artifacts
        self._bars.update(self._tasks[key], advance=1, detail=self._detail(key))

    def manifests_fetched(self, key: RegistryKey, count: int) -> None:
        self._manifests[key] = self._manifests.get(key, 0) + count
        self._bars.update(self._tasks[key], detail=self._detail(key))

    def registry_done(self, summary: RegistrySummary) -> None:
        from rich.text import Text

        task = self._tasks.pop(summary.key, None)
        if task is not None:
            self._bars.remove_task(task)
        if self._all is not None:
            self._bars.advance(self._all)
        line = Text(visible(f"{_name(summary.key)}: {_outcome(summary)}"))
        self._bars.console.print(line, highlight=False, soft_wrap=True)

    def _detail(self, key: RegistryKey) -> str:
        return f"{self._artifacts.get(key, 0):,} artifacts, {self._manifests.get(key, 0):,} new manifests"


def _name(key: RegistryKey) -> str:
    return visible(f"{key.account} {key.region}")


def _outcome(summary: RegistrySummary) -> str:
    if summary.snapshot is None:
        return "; ".join(gap.detail for gap in summary.gaps) or summary.status
    gaps = f", gaps: {len(summary.gaps)}" if summary.gaps else ""
    resumed = " (of a run that was cut short a while ago)" if summary.is_resumed else ""
    return (
        f"snapshot {summary.snapshot}{resumed} {summary.status}, "
        f"{counted(summary.repositories, 'repository', 'repositories')}, "
        f"{counted(summary.artifacts, 'artifact')}, "
        f"{counted(summary.manifests_fetched, 'new manifest')}{gaps}"
    )
