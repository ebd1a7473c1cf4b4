"""Findings that somebody decided to live with, until a day.

A file of them is TOML::

    [[waiver]]
    id = "MUTABLE_TAGS"          # a check; shell-style pattern
    account = "1234*"            # patterns of the place; what is left out matches everything
    region = "eu-*"
    repository = "legacy/*"
    subject = "rule-3"           # of one finding among several of a repository
    owner = "team-legacy"
    reason = "latest is how the old scheduler deploys; gone with it."
    expires = "2027-03-31"       # the last day that it holds, in UTC
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date
from fnmatch import fnmatchcase

from analyzer.errors import InputError
from analyzer.model.findings import CheckText, Evidence, Finding, Waiver
from analyzer.model.lint import Severity
from analyzer.toml_tables import read_tables

_REQUIRED = {
    "id": "say which check it waives; `demurrage findings --list-checks` has them",
    "owner": "say who answers for it",
    "reason": "say why these findings are accepted",
    "expires": "say until when, as in 2027-03-31",
}
_KEYS = ("id", "account", "region", "repository", "subject", "owner", "reason", "expires")

EXPIRED = CheckText(
    id="WAIVER_EXPIRED",
    severity=Severity.LOW,
    title="A waiver has expired",
    meaning=(
        "Findings were accepted until a day that is over. They count again, and the waiver in the file does"
        " nothing any more."
    ),
    validate="demurrage findings --format json, where each waived finding names its waiver",
    fix="mend what it waived and take it out of the file; or agree on a new day with its owner",
    source="the file of waivers",
)


def parse_waivers(text: str, *, origin: str, ids: Collection[str]) -> tuple[Waiver, ...]:
    """The waivers of a TOML ``text``; ``ids`` are those of all checks.

    Raises InputError, naming ``origin``, for a wrong one: a key missing or unknown, a day that is none, a
    pattern of ids that fits no check.
    """
    waivers = []
    for place, entry in read_tables(text, "waiver", _KEYS, origin=origin):
        for key, advice in _REQUIRED.items():
            if key not in entry:
                raise InputError(f"{place}: {key} is missing; {advice}")
        check, expires = entry.pop("id"), entry.pop("expires")
        if not any(fnmatchcase(name, check) for name in ids):
            raise InputError(
                f"{place}, id: {check!r} is no check; `demurrage findings --list-checks` has them all"
            )
        waivers.append(Waiver(check=check, expires=_day(expires, place), place=place, **entry))
    return tuple(waivers)


def _day(text: str, place: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    # Weeks and days of the year are ISO 8601 too, and nobody would know them again.
    if day is None or day.isoformat() != text:
        raise InputError(f"{place}, expires: {text!r} is no day; write one like 2027-03-31")
    return day


def covers(waiver: Waiver, finding: Finding) -> bool:
    """Whether ``finding`` is one of those that ``waiver`` is about, expired or not."""
    return (
        fnmatchcase(finding.check, waiver.check)
        and fnmatchcase(finding.account, waiver.account)
        and fnmatchcase(finding.region, waiver.region)
        and fnmatchcase(finding.repository, waiver.repository)
        and fnmatchcase(finding.subject, waiver.subject)
    )


def has_expired(waiver: Waiver, today: date) -> bool:
    """Whether its last day is over."""
    return waiver.expires < today


def waive(
    findings: Iterable[Finding], waivers: Sequence[Waiver], today: date
) -> tuple[list[Finding], list[Waiver]]:
    """The findings with the first waiver in force that covers each, and those in force that cover none."""
    in_force = [waiver for waiver in waivers if not has_expired(waiver, today)]
    used: set[int] = set()
    judged = []
    for finding in findings:
        number = next((number for number, one in enumerate(in_force) if covers(one, finding)), None)
        if number is None:
            judged.append(finding)
        else:
            used.update(other for other, one in enumerate(in_force) if covers(one, finding))
            judged.append(replace(finding, waiver=in_force[number]))
    return judged, [waiver for number, waiver in enumerate(in_force) if number not in used]


def expired_waivers(waivers: Sequence[Waiver], findings: Sequence[Finding], today: date) -> Iterator[Finding]:
    """A finding for each waiver whose last day is over; its place are the waiver's patterns.

    ``findings`` tell how many it covered.
    """
    for waiver in waivers:
        if not has_expired(waiver, today):
            continue
        covered = sum(1 for finding in findings if covers(waiver, finding))
        counts = f"{covered:,} findings count again" if covered != 1 else "1 finding counts again"
        about = f"; {counts}" if covered else "; there is nothing left that it would waive"
        yield Finding(
            check=EXPIRED.id,
            severity=EXPIRED.severity,
            title=EXPIRED.title,
            account=waiver.account,
            region=waiver.region,
            repository=waiver.repository,
            subject=f"{waiver.check}#{waiver.subject}" if waiver.subject != "*" else waiver.check,
            message=f"the waiver of {waiver.check} by {waiver.owner} expired on {waiver.expires}{about}",
            fix=EXPIRED.fix,
            validate=EXPIRED.validate,
            evidence=(Evidence(kind="waiver", name=waiver.place, note=waiver.reason),),
        )
