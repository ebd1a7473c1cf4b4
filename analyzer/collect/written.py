"""Registries whose answers are there already, read as if AWS gave them just now."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NoReturn

from analyzer.collect.clients import CallSettings, StoppedError
from analyzer.collect.contract import AfterSnapshot, CollectResult, LeaseT, Progress, SnapshotStore
from analyzer.collect.places import Place, Places
from analyzer.collect.refusals import Reach, Refusal, RefusedError, one_line
from analyzer.collect.run import collect_places
from analyzer.model.answers import Unanswered, WrittenAnswers
from analyzer.model.records import RegistryKey

#: Reading them is work for the processor; more threads would only take turns.
_WORKERS = 2


class WrittenClient:
    """A RegistryClient that answers from what was written down."""

    #: Nobody makes calls.
    caller = ""
    #: What was not written down is to be said.
    lacking: frozenset[str] = frozenset()

    def __init__(self, answers: WrittenAnswers, settings: CallSettings) -> None:
        self._answers = answers
        self._settings = settings

    @property
    def key(self) -> RegistryKey:
        """The registry."""
        return self._answers.key

    def call(
        self,
        operation: str,
        *,
        tolerate: Collection[str] = (),  # noqa: ARG002 - every code is a refusal of the one call here
        **parameters: object,
    ) -> Mapping[str, Any]:
        """The answer to one call (``DescribeImages``).

        Raises RefusedError where it was not written down, StoppedError when the run is ending.
        """
        if self._settings.stop.is_set():
            raise StoppedError
        answer = self._answers.ask(operation, parameters)
        if isinstance(answer, Unanswered):
            raise RefusedError(Refusal(answer.reason, Reach.CALL, one_line(answer.detail)))
        return answer

    def close(self) -> None:
        """Nothing is held open."""


class _NoAccess:
    """The way into an account that nobody goes."""

    caller = ""
    is_own = False

    def client(self, service: str, region: str, config: object) -> NoReturn:
        """No service can be asked."""
        raise NotImplementedError(f"{service} in {region} is not asked: its answers were written down")


def collect_written(
    store: SnapshotStore[LeaseT],
    registries: Sequence[WrittenAnswers],
    *,
    clock: Callable[[], float],
    progress: Progress,
    after_snapshot: AfterSnapshot,
) -> CollectResult:
    """Write a snapshot of each of ``registries``, as `collect` would have of the same answers.

    The result counts no calls, for none is made.
    """
    answers = {registry.key: registry for registry in registries}
    return collect_places(
        store,
        Places(tuple(Place(key, _NoAccess()) for key in answers)),
        CallSettings(requests_per_second=1.0),
        workers=_WORKERS,
        resume_seconds=0.0,
        clock=clock,
        progress=progress,
        after_snapshot=after_snapshot,
        open_client=lambda place, settings: WrittenClient(answers[place.key], settings),
    )
