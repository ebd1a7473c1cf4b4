"""The steps of a night, one after another: one that fails stops those that need it, and no others."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

#: How a step went: with gaps is done, but not on everything that it was meant to see.
StepStatus = Literal["done", "gaps", "failed", "skipped"]

_WENT_WELL: Final = ("done", "gaps")


@dataclass(frozen=True, slots=True)
class StepResult:
    """How one step went."""

    name: str
    status: StepStatus
    #: What it came to, or why it failed: one line.
    detail: str = ""
    seconds: float = 0.0

    @property
    def went_well(self) -> bool:
        """Whether what needs the step can go on."""
        return self.status in _WENT_WELL


@dataclass(frozen=True, slots=True)
class Step:
    """One step; ``work`` is given how the earlier ones went, and gives its own status and detail."""

    name: str
    work: Callable[[Mapping[str, StepResult]], tuple[StepStatus, str]]
    #: Steps without which it makes no sense.
    needs: tuple[str, ...] = ()
    #: Whether it is done by an earlier attempt if that says so.
    is_kept: bool = False


def run_steps(
    steps: Sequence[Step],
    *,
    failures: type[Exception],
    before: Mapping[str, StepResult] | None = None,
    begun: Callable[[str], None] = lambda _name: None,
    ended: Callable[[StepResult, Exception | None], None],
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, StepResult]:
    """Do ``steps`` in their order; how each went, by its name.

    A ``failures`` fails its step and stops nothing but what needs it; whatever else is raised ends all.
    Of ``before``, an earlier attempt at the same, what is kept is not done again. ``begun`` and ``ended``
    are told of each step that is done, the latter with the error that it ended with.
    """
    results: dict[str, StepResult] = {}
    for step in steps:
        known = (before or {}).get(step.name)
        if step.is_kept and known is not None and known.went_well:
            results[step.name] = known
            continue
        missing = [name for name in step.needs if name not in results or not results[name].went_well]
        error: Exception | None = None
        if missing:
            result = StepResult(step.name, "skipped", f"it needs {' and '.join(missing)}")
        else:
            begun(step.name)
            start = clock()
            try:
                status, detail = step.work(results)
            except failures as caught:
                error, status, detail = caught, "failed", str(caught) or type(caught).__name__
            result = StepResult(step.name, status, detail, round(clock() - start, 3))
        results[step.name] = result
        ended(result, error)
    return results


def to_plain(results: Mapping[str, StepResult]) -> dict[str, Any]:
    """``results`` as they are stored."""
    return {
        name: {"status": result.status, "detail": result.detail, "seconds": result.seconds}
        for name, result in results.items()
    }


def from_plain(stored: Mapping[str, Any]) -> dict[str, StepResult]:
    """What `to_plain` gave."""
    return {
        name: StepResult(name, value["status"], value["detail"], value["seconds"])
        for name, value in stored.items()
    }


def worst(results: Iterable[StepResult]) -> StepStatus:
    """How they went together."""
    found = {result.status for result in results}
    return "failed" if "failed" in found else "gaps" if "gaps" in found else "done"
