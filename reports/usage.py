"""Words on who uses images, and on which workloads such words cover."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from analyzer.model.simulation import Effect, Simulation
from analyzer.model.usage import KINDS, Coverage, MissingUse, PlaceCoverage, Usage, Use, UseBasis
from analyzer.model.words import counted
from reports.figures import listed
from reports.text import shortened

#: Accounts and regions that a sentence names.
_PLACES: Final = 3
#: Characters of a workload's name.
_NAME: Final = 80

#: Where nothing that is taken is in use; what it covers stands beside it.
SAFE: Final = "Nothing that is known to be in use would be taken."
_BY_WORKLOADS: Final[dict[str, str]] = {
    "all": "what a workload of the snapshot runs, would start with or would roll back to",
    "configured": "what a workload of the snapshot runs or would start with",
    "running": "what a workload of the snapshot runs",
    "none": "",
}
#: What no list of workloads covers.
_ELSEWHERE: Final = (
    "Images can also be pulled from accounts and regions that were not collected, and by what none of these"
    " sources lists."
)


def kinds_text(effect: Effect) -> str:
    """``2 running, 1 configured``: images in use that are taken, by kind of use; "" for unknown."""
    by_kind = (effect.in_use_running, effect.in_use_configured, effect.in_use_previous)
    numbers = dict(zip(KINDS, by_kind, strict=False))
    if not any(by_kind):
        return ""
    numbers["on the list given"] = effect.in_use - sum(by_kind)
    return ", ".join(f"{number:,} {kind}" for kind, number in numbers.items() if number)


def user_text(use: Use) -> str:
    """``running in ecs prod/web (111111111111/eu-west-1)``."""
    if use.source == "list":
        return "on the list given"
    return f"{use.kind} in {use.source} {shortened(use.workload, _NAME)} ({use.account}/{use.region})"


def users_text(uses: Sequence[Use], number: int) -> str:
    """The first ``uses`` of so many, in words; "" for none."""
    said = "; ".join(map(user_text, uses))
    return f"{said}; and {number - len(uses):,} more" if number > len(uses) else said


def users_of(usage: Usage | None, position: int, limit: int) -> str:
    """Who uses the artifact at ``position``, in words; "" where it is not known."""
    if usage is None:
        return ""
    return users_text(usage.of(position, limit), usage.count(position))


def in_use_words(basis: UseBasis) -> str:
    """What counted as a use of an image, to follow "in use is"."""
    named = _BY_WORKLOADS[basis.workloads]
    if basis.listed is None:
        return named or "nothing, as it was asked for"
    given = f"what a list of {counted(basis.listed, 'reference')} names"
    return f"{named}, and {given}" if named else given


def use_basis_object(basis: UseBasis) -> dict[str, Any]:
    """What counted as a use: which workloads, and how many references of a list (null without one)."""
    return {"workloads": basis.workloads, "listed": basis.listed}


def missing_texts(simulation: Simulation, limit: int) -> list[str]:
    """The first images that are named as in use and are not there, each with who names it."""
    usage = simulation.usage
    if usage is None:
        return list(simulation.missing_in_use[:limit])
    return [missing_text(usage, one) for one in usage.missing[:limit]]


def missing_text(usage: Usage, one: MissingUse) -> str:
    """The reference, and who has it."""
    if one.kind == "listed":
        return one.reference
    return f"{shortened(one.reference, 300)}: {users_text(usage.of_missing(one, 1), len(one.users))}"


def coverage_sentences(coverage: Coverage) -> list[str]:
    """What was read of the workloads and what was not, for whoever relies on what is said of use."""
    places = coverage.places
    where = _where(len(places))
    if coverage.is_nothing:
        return [f"Workloads: none were read in {where}, so what they use is not known.", _ELSEWHERE]
    read = _by_source(places, lambda place: place.read)
    said = [f"Workloads read in {where}: {_grouped(read, len(places), named=False)}."] if read else []
    lacking = [
        f"{how} {_grouped(of, len(places), named=True)}"
        for how, of in (
            ("read in part:", _by_source(places, lambda place: place.partial)),
            ("refused:", _by_source(places, lambda place: place.refused)),
            ("never asked:", _by_source(places, lambda place: place.never_asked)),
        )
        if of
    ]
    if lacking:
        incomplete = sum(bool(place.partial or place.refused or place.never_asked) for place in places)
        said.append(f"No complete list of images in use for {incomplete:,} of {where}. {_joined(lacking)}.")
    return [*said, _ELSEWHERE]


def _joined(clauses: Sequence[str]) -> str:
    text = "; ".join(clauses)
    return f"{text[0].upper()}{text[1:]}"


def _where(places: int) -> str:
    return counted(places, "account and region", "accounts and regions")


def _by_source(
    places: Sequence[PlaceCoverage], pick: Callable[[PlaceCoverage], tuple[str, ...]]
) -> dict[str, list[str]]:
    """By source the places where it is among those picked."""
    found: dict[str, list[str]] = {}
    for place in places:
        for source in pick(place):
            found.setdefault(source, []).append(f"{place.account}/{place.region}")
    return found


def _grouped(of: dict[str, list[str]], everywhere: int, *, named: bool) -> str:
    """``ecs, lambda in all; eks in 2``: sources of the same places together."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for source, places in of.items():
        groups.setdefault(tuple(places), []).append(source)
    said = []
    for where, sources in groups.items():
        if len(where) == everywhere:
            said.append(listed(sources, limit=20) + (" everywhere" if everywhere > 1 else ""))
        elif named:
            said.append(f"{listed(sources, limit=20)} in {listed(list(where), limit=_PLACES)}")
        else:
            said.append(f"{listed(sources, limit=20)} in {len(where):,}")
    return ", ".join(said)


def covered_text(coverage: Coverage) -> str:
    """``read: ecs, lambda in 2 of 3; not read: eks``."""
    places = coverage.places
    read = _by_source(places, lambda place: place.read)
    others = _by_source(places, lambda place: (*place.partial, *place.refused, *place.never_asked))
    said = [
        source if len(of) == len(places) else f"{source} in {len(of):,} of {len(places):,}"
        for source, of in read.items()
    ]
    unread = [source for source in others if source not in read]
    parts = (("read", said), ("not read", unread))
    return "; ".join(f"{label}: {', '.join(sources)}" for label, sources in parts if sources)


def coverage_object(coverage: Coverage | None, *, never_asked: str = "never_asked") -> dict[str, Any] | None:
    """The same for programs; ``never_asked`` is how the document spells that key."""
    if coverage is None:
        return None
    return {
        "complete": coverage.is_complete,
        "places": [
            {
                "account": place.account,
                "region": place.region,
                "read": list(place.read),
                "partial": list(place.partial),
                "refused": list(place.refused),
                never_asked: list(place.never_asked),
            }
            for place in coverage.places
        ],
        "statement": coverage_sentences(coverage),
    }


def use_object(use: Use) -> dict[str, str | None]:
    """One use for programs; null is what a list does not say."""
    return {
        "source": use.source,
        "account": use.account or None,
        "region": use.region or None,
        "workload": use.workload or None,
        "kind": use.kind,
        "reference": use.reference,
    }
