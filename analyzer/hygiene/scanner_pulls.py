"""Check of images that only scanners and collectors pull: they look used, and nobody uses them.

ECR notes the day of the last pull, whoever pulled; CloudTrail says who did. Where a day is covered without a
gap and ECR notes a pull on it that is not among those recorded of clients, it was one of those that are
counted apart: a scanner's, ECR's own, or that of a collector as this one is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

import numpy as np

from analyzer.families import IMAGE
from analyzer.hygiene.estate import Check, Estate, Found, Unjudged
from analyzer.model.findings import CheckText, Evidence
from analyzer.model.frames import NEVER_PULLED, NO_TIME, Bools, Int64
from analyzer.model.lint import Severity
from analyzer.model.pulls import LeftOut, PullHistory, PullKind
from analyzer.model.records import PUBLIC_REGION
from analyzer.model.units import from_day
from analyzer.model.words import counted, images
from analyzer.storage import DAY_MS

#: Pulls that are nobody's who uses the image.
APART: Final = (LeftOut.SCANNER, LeftOut.COLLECTOR, LeftOut.SERVICE)
#: An image must have been there on so many days that are covered without a gap.
LEAST_DAYS: Final = 7
_NOBODY: Final = "no pulls were recorded: CloudTrail was not read"
_NO_DAYS: Final = f"fewer than {LEAST_DAYS} days of its pulls are recorded without a gap"


def only_scanners(estate: Estate) -> Iterator[Found | Unjudged]:
    """Per repository: images whose last pull was a scanner's or collector's, and that no client pulled since.

    *Since* is the first day that is recorded. Images that workloads use are left out.
    """
    history = estate.pull_history
    judged = {}
    for registry, region in enumerate(estate.regions):
        if region == PUBLIC_REGION:
            continue
        days = set() if history is None else _complete_days(estate, history, registry)
        if len(days) >= LEAST_DAYS:
            judged[registry] = days
        else:
            yield Unjudged(registry=registry, row=None, reason=_NOBODY if history is None else _NO_DAYS)
    if history is None or not judged:
        return
    apart = _left_out(estate, history)
    chosen = np.zeros(len(estate.repository), np.bool_)
    by_client, rows_of_clients = _pulled_by_clients(estate, history)
    for registry, days in judged.items():
        # Without a call that was counted apart on that day ECR's note says something else.
        explained = np.array(sorted(day for day in days if apart.get((registry, day))), np.int64)
        of_registry = np.array(estate.registry, np.int64)[estate.repository] == registry
        artifacts = estate.known.frames.artifacts
        noted = np.isin(artifacts.pulled_day, explained) & (artifacts.pulled_day != NEVER_PULLED)
        chosen |= of_registry & noted & _there_long_enough(estate, days)
    chosen &= ~by_client & ~estate.needed & (estate.known.families.kind == IMAGE)
    for row, positions in estate.by_repository(chosen):
        days = judged[estate.registry[row]]
        yield _found(estate, row, positions, days, apart, alone=row not in rows_of_clients)


def _found(
    estate: Estate,
    row: int,
    positions: Int64,
    days: set[int],
    apart: dict[tuple[int, int], dict[str, int]],
    *,
    alone: bool,
) -> Found:
    registry = estate.registry[row]
    artifacts = estate.known.frames.artifacts
    pulled = artifacts.pulled_day[positions]
    first = artifacts.pushed_at_ms[positions] < estate.known.at_ms - estate.known.stale_days * DAY_MS
    # The image of an index leaves with its index alone.
    leaving = positions[first & ~np.isin(positions, estate.known.families.child)]
    reasons: dict[str, int] = defaultdict(int)
    for day in np.unique(pulled).tolist():
        for reason, times in apart[registry, day].items():
            reasons[reason] += times
    whose = ", ".join(f"{reason} {times:,}" for reason, times in sorted(reasons.items()))
    return Found(
        registry=registry,
        row=row,
        message=(
            f"{images(len(positions))} {'was' if len(positions) == 1 else 'were'} last pulled by scanners or"
            f" collectors, and on {counted(len(days), 'recorded day', 'recorded days')} since"
            f" {from_day(min(days)).isoformat()} by no client"
            f"{': nobody else pulled from the repository' if alone else ''}"
        ),
        artifacts=positions,
        leaves=estate.with_referrers(leaving) if len(leaving) else None,
        saving_note=(
            f"if those of them leave that were pushed more than {estate.known.stale_days} days ago"
            if len(leaving)
            else ""
        ),
        evidence=(
            Evidence(
                kind="setting",
                name="calls counted apart",
                note=f"on the days of these pulls, in the whole registry: {whose}",
            ),
        ),
    )


def _complete_days(estate: Estate, history: PullHistory, registry: int) -> set[int]:
    place = estate.accounts[registry], estate.regions[registry]
    return {
        row.day for row in history.coverage if (row.account, row.region) == place and row.status == "complete"
    }


def _left_out(estate: Estate, history: PullHistory) -> dict[tuple[int, int], dict[str, int]]:
    """By registry and day: the calls that were counted apart, by whose they were."""
    places = {place: number for number, place in enumerate(zip(estate.accounts, estate.regions, strict=True))}
    found: dict[tuple[int, int], dict[str, int]] = defaultdict(dict)
    for one in history.left_out:
        if (
            one.reason in APART
            and one.times
            and (registry := places.get((one.account, one.region))) is not None
        ):
            of_day = found[registry, one.day]
            of_day[one.reason] = of_day.get(one.reason, 0) + one.times
    return dict(found)


def _there_long_enough(estate: Estate, days: set[int]) -> Bools:
    """Pushed before the last LEAST_DAYS of ``days`` began; at an unknown time is not known to be."""
    pushed = estate.known.frames.artifacts.pushed_at_ms
    there: Bools = (pushed != NO_TIME) & (pushed < sorted(days)[-LEAST_DAYS] * DAY_MS)
    return there


def _pulled_by_clients(estate: Estate, history: PullHistory) -> tuple[Bools, set[int]]:
    """What a client pulled, or may have pulled, on any recorded day; with its whole family.

    A pull by tag is of the image that has the tag now where that was pushed by then. Where the tag moved
    since, or a layer was pulled and no image, any image that was there may be meant. With it the rows that
    clients pulled anything from.
    """
    frames = estate.known.frames
    bounds = np.searchsorted(frames.artifacts.repository, np.arange(len(estate.names) + 1)).tolist()
    rows = {
        (estate.accounts[registry], estate.regions[registry], name): row
        # Of a repository that was made again the later row is the one that is there.
        for row, (registry, name) in enumerate(zip(estate.registry, estate.names, strict=True))
    }
    by_digest: dict[int, set[str]] = defaultdict(set)
    by_tag: dict[int, dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
    layers: dict[int, int] = {}
    for one in history.pulls:
        row = rows.get((one.account, one.region, one.repository))
        if row is None:
            continue
        if one.kind is PullKind.LAYER:
            layers[row] = max(one.day, layers.get(row, one.day))
            continue
        if one.digest:
            by_digest[row].add(one.digest)
        else:
            by_tag[row][one.tag].add(one.day)
    #: Rows of which anything pushed up to a day may have been pulled.
    open_until = {row: day for row, day in layers.items() if row not in by_digest and row not in by_tag}
    pulled = np.zeros(len(estate.repository), np.bool_)
    digests = sorted({digest for own in by_digest.values() for digest in own})
    ids = dict(zip(digests, estate.known.digest_ids(digests).tolist(), strict=True)) if digests else {}
    for row, own in by_digest.items():
        begin, end = bounds[row], bounds[row + 1]
        wanted = np.array(sorted({ids[digest] for digest in own}), np.int64)
        pulled[begin:end] |= np.isin(frames.artifacts.digest_id[begin:end], wanted)
    names = {name: number for number, name in enumerate(estate.known.facts.tag_names)} if by_tag else {}
    for row, tags in by_tag.items():
        for tag, days in tags.items():
            holder = _holder(estate, bounds[row], bounds[row + 1], names.get(tag, -1))
            for day in days:
                if holder >= 0 and _pushed_by(estate, holder, day):
                    pulled[holder] = True
                else:
                    open_until[row] = max(day, open_until.get(row, day))
    for row, day in open_until.items():
        mine = slice(bounds[row], bounds[row + 1])
        pushed = frames.artifacts.pushed_at_ms[mine]
        pulled[mine] |= (pushed == NO_TIME) | (pushed < (day + 1) * DAY_MS)
    families = estate.known.families
    rows_of_clients = {*layers, *by_digest, *by_tag}
    return families.reachable(families.with_indexes(pulled)), rows_of_clients


def _holder(estate: Estate, begin: int, end: int, tag: int) -> int:
    """The artifact between these positions that carries the tag of that number, or -1."""
    facts = estate.known.facts
    first, last = facts.tag_offsets[[begin, end]].tolist()
    at = np.flatnonzero(facts.tags[first:last] == tag)
    if tag < 0 or not len(at):
        return -1
    return int(np.searchsorted(facts.tag_offsets, first + int(at[0]), side="right")) - 1


def _pushed_by(estate: Estate, position: int, day: int) -> bool:
    """Whether it was pushed before ``day``: on that day the tag may have been another's still."""
    pushed = int(estate.known.frames.artifacts.pushed_at_ms[position])
    return pushed != NO_TIME and pushed < day * DAY_MS


CHECKS: Final[tuple[Check, ...]] = (
    Check(
        CheckText(
            id="PULLED_BY_SCANNERS_ONLY",
            severity=Severity.LOW,
            title="Images that only scanners or collectors pull",
            meaning=(
                "ECR notes a pull of these images on a day of which CloudTrail's events were read without a"
                " gap, and none of the pulls by clients can be theirs: it was a scanner, ECR itself or a"
                " collector of manifests. No client pulled them on any recorded day, and no workload that was"
                " read uses them. Such pulls make images look used, and hold back rules of countType"
                " sinceImagePulled. A pull by a tag that has moved since leaves open whose it was, and what"
                " it may have been of is left out."
            ),
            validate=(
                "look for BatchGetImage events of the repository in CloudTrail, on the days that the evidence"
                " gives as the last pull, and at their userIdentity"
            ),
            fix=(
                "let these roles' pulls not count: aws ecr register-pull-time-update-exclusion"
                " --region {region} --principal-arn ROLE_ARN; then let rules by age or count take the images"
            ),
            source="ECR API reference, RegisterPullTimeUpdateExclusion; ImageDetail: lastRecordedPullTime",
        ),
        only_scanners,
    ),
)
