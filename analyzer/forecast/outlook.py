"""The forecast: everything replayed under each supposition about policies, and what limits it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from analyzer.births import Births, blob_births
from analyzer.families import Families, find_families
from analyzer.forecast.courses import Simulation, Supposition, Today, replay_costs
from analyzer.forecast.draws import HALF_LIFE, RUN, WINDOW, Draws
from analyzer.forecast.growth import weekly_news
from analyzer.forecast.intervals import points_of, repositories_of, weeks_text
from analyzer.forecast.pricing import RegionPrices
from analyzer.forecast.record import FEWEST_OF_REPOSITORY, FEWEST_WEEKS, MOST_WEEKS, WEEK_MS, Record
from analyzer.forecast.worlds import STEPS
from analyzer.lifecycle.policy import CountType
from analyzer.model.frames import Bools, Frames, Int64, LifecycleFacts
from analyzer.model.trends import Forecast, NoForecast, ScenarioForecast
from analyzer.model.units import from_ms
from analyzer.pricing import PriceBook
from analyzer.storage import Storage

#: Replays, and the probability that their interval is made for.
REPLAYS = 40
LEVEL = 0.8
SEED = 1
#: Where a repository is very large.
FEWEST_REPLAYS = 8
#: Simulated artifacts of all replays together; what goes beyond is scaled.
BUDGET = 500_000

_CADENCE = (
    f"The pushes of the last {MOST_WEEKS} weeks, or of those that are known, are replayed week by week: each "
    "brings as many new bytes, shares as many layers and carries the same tags as it did."
)
_DRAWN = (
    f"A replay draws runs of consecutive weeks (of {RUN} on average: a stationary bootstrap), all from "
    f"{WINDOW} weeks that lie together; {WINDOW} weeks that began {HALF_LIFE:.0f} weeks earlier are half as "
    "likely. All repositories live through the same weeks."
)
_JUDGED = (
    "Policies are applied at the end of each month by the evaluator that judges real images, and what is "
    "left is counted layer by layer, at both scopes."
)
_INTERVAL = (
    "The middle is the mean of the replays, the interval goes from quantile to quantile of them; it says "
    "how uneven pushes were, not what nobody has seen yet."
)
METHOD = (_CADENCE, _DRAWN, _JUDGED, _INTERVAL)


def forecast(
    record: Record,
    frames: Frames,
    facts: LifecycleFacts,
    families: Families,
    storage: Storage,
    births: Births,
    prices: PriceBook,
    suppositions: Sequence[Supposition],
    *,
    at_ms: int,
    chosen: Bools | None = None,
    limits: Sequence[str] = (),
    replays: int = REPLAYS,
    level: float = LEVEL,
    seed: int = SEED,
    budget: int = BUDGET,
) -> Forecast | NoForecast:
    """A year ahead from ``at_ms`` under each of ``suppositions``.

    ``frames``, ``facts``, ``families``, ``storage`` and ``births`` are what is there now, ``record`` what
    was pushed. With ``chosen`` (by repository) it is about these repositories alone, as if there were no
    others. ``limits`` are said beside those that are found here.
    """
    rows = np.ones(len(frames.repositories), np.bool_) if chosen is None else chosen
    known = np.where(rows, record.weeks, 0)
    pushed = np.bincount(record.repository[record.week < known[record.repository]], minlength=len(known))
    weeks = int(known[rows].max(initial=0))
    if weeks < FEWEST_WEEKS:
        return NoForecast(
            reason=f"{weeks_text(weeks)} of pushes are known; "
            f"fewer than {FEWEST_WEEKS} tell nothing of a year"
        )
    usable = np.where(known >= FEWEST_OF_REPOSITORY, known, 0)
    ever = births if record.frames is frames else blob_births(record.frames, find_families(record.frames))
    news = weekly_news(record, ever, record.frames.blob_size_bytes, _rows(record), at_ms=at_ms)
    has_policy = np.logical_or.reduce([rows & (one.policy_of >= 0) for one in suppositions])
    cost = replay_costs(frames, news, usable)
    # Of a repository that is too large for the budget by itself there are fewer replays.
    dearest = int(cost[has_policy].max(initial=1))
    replays = min(replays, max(FEWEST_REPLAYS, budget // dearest))
    draws = Draws(np.random.default_rng(seed), weeks=weeks, replays=replays)
    simulation = Simulation(
        replace(record, weeks=usable),
        Today(frames, facts, families, storage, births),
        news,
        draws,
        rows,
        has_policy,
        cost,
        at_ms=at_ms,
        budget=budget,
    )
    courses = [simulation.course(one) for one in suppositions]
    priced = RegionPrices(prices, frames.registries["region"].tolist())
    quantiles = ((1 - level) / 2, (1 + level) / 2)
    found = _limits(record, rows, known, pushed, suppositions)
    return Forecast(
        at=from_ms(at_ms),
        months=STEPS - 1,
        level=level,
        replays=replays,
        seed=seed,
        measured_from=from_ms(at_ms - weeks * WEEK_MS),
        measured_to=from_ms(at_ms),
        pushes=int(pushed.sum()),
        basis="history" if record.observed[rows & (pushed > 0)].all() and pushed.any() else "present",
        method=(*METHOD, *simulation.words(courses)),
        limits=(*limits, *found),
        scenarios=tuple(
            ScenarioForecast(
                name=one.name,
                title=one.title,
                policies=int((one.policy_of[rows] >= 0).sum()),
                points=points_of(course, priced, at_ms, quantiles),
            )
            for one, course in zip(suppositions, courses, strict=True)
        ),
        repositories=repositories_of(frames, storage, rows, known, pushed, courses, quantiles),
    )


def _rows(record: Record) -> Int64:
    """Row of the present frames of each repository of the record's, -1 for none."""
    rows = np.full(len(record.frames.repositories), -1)
    rows[record.frames.artifacts.repository[record.artifact]] = record.repository
    return rows


def _limits(
    record: Record,
    rows: Bools,
    known: Int64,
    pushed: Int64,
    suppositions: Sequence[Supposition],
) -> tuple[str, ...]:
    found = []
    guessed = int((rows & (pushed > 0) & ~record.observed).sum())
    if guessed:
        found.append(
            "Repositories whose pushes are known from the images that are still there, so that what was "
            f"deleted is missing and more may be pushed than is forecast: {guessed:,}."
        )
    young = int((rows & (known < FEWEST_OF_REPOSITORY)).sum())
    if young:
        found.append(
            f"Repositories with fewer than {FEWEST_OF_REPOSITORY} known weeks, held constant: {young:,}."
        )
    found.append(
        "Repositories that do not exist yet, images deleted by hand, and tags moved back are not in it."
    )
    pulled = any(
        rule.count_type is CountType.SINCE_IMAGE_PULLED
        for one in suppositions
        for number in np.unique(one.policy_of[one.policy_of >= 0]).tolist()
        for rule in one.policies[number].rules
    )
    if pulled:
        found.append(
            "Images of today are taken not to be pulled again, and simulated ones as long after their push "
            "as the image that they repeat: rules that count days since the last pull may act later."
        )
    return tuple(found)
