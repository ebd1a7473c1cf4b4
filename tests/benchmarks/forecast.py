"""The forecast on held-back months of the real corpus, beside naive ones.

    python -m tests.benchmarks.forecast [--every WEEKS] [--replays N]

Every few weeks of the corpus's eighteen months a forecast is made from what had been seen by then, without
a policy and under three, and held against what came to be 4, 13 and 26 weeks later. Prints the mean absolute
error in per cent of what came (MAPE) of the forecast's middle and of two naive forecasts, and how often the
truth lay within the 80 % interval. The naive ones: what is stored when the policies have acted stays (last
value); it changes on as it did on average since the corpus began (drift).

WINDOW, HALF_LIFE and RUN of the forecast were chosen among a dozen settings by weekly new bytes of this
corpus and of the Kubernetes promotions, without policies. In September 2017 the official images began to be
built for several platforms: no forecast made before that sees it coming.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np

from analyzer.births import blob_births
from analyzer.forecast.courses import Supposition
from analyzer.forecast.draws import MONTH_ENDS
from analyzer.forecast.outlook import REPLAYS, forecast
from analyzer.forecast.record import record_of_present
from analyzer.lifecycle.evaluation import Evaluator
from analyzer.lifecycle.parsing import parse_policy
from analyzer.lifecycle.policy import Policy
from analyzer.lifecycle.savings import Holdings
from analyzer.model.trends import Forecast, Span
from analyzer.pricing import bundled_prices
from analyzer.storage import analyze
from tests.support.tag_trail import WEEK_MS, Moment, TagTrail

_RULE = '{"rulePriority": %d, "selection": {%s}, "action": {"type": "expire"}}'
_UNTAGGED = _RULE % (
    1,
    '"tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 14',
)
_NEWEST = _RULE % (2, '"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 30')
_DAYS = _RULE % (
    3,
    '"tagStatus": "any", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 90',
)
#: By name, None for none.
POLICIES: dict[str, Policy | None] = {
    "no policy": None,
    "untagged 14 days": parse_policy(f'{{"rules": [{_UNTAGGED}]}}'),
    "newest 30": parse_policy(f'{{"rules": [{_NEWEST}]}}'),
    "90 days": parse_policy(f'{{"rules": [{_DAYS}]}}'),
}
#: Months of the forecast, by the weeks after which they end.
_MONTHS = {MONTH_ENDS[month]: month for month in (1, 3, 6)}
#: Weeks before the first forecast.
_TRAINED = 26


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the errors."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--every", type=int, default=6, help="weeks from one forecast to the next")
    parser.add_argument("--replays", type=int, default=REPLAYS)
    asked = parser.parse_args(arguments)
    trail = TagTrail()
    weeks = (trail.end_ms - trail.start_ms) // WEEK_MS
    origins = range(_TRAINED, weeks - min(_MONTHS), asked.every)
    moments: dict[int, Moment] = {}

    def at(week: int) -> Moment:
        if week not in moments:
            moments[week] = trail.at(trail.start_ms + week * WEEK_MS)
        return moments[week]

    kept = {
        (name, week): _kept(at(week), policy)
        for name, policy in POLICIES.items()
        for week in sorted({1} | {o + h for o in origins for h in (0, *_MONTHS) if o + h <= weeks})
    }
    rows: dict[tuple[str, int], list[tuple[float, float, float, bool]]] = {}
    for origin in origins:
        made = _forecast(at(origin), asked.replays)
        for number, name in enumerate(POLICIES):
            for ahead, month in _MONTHS.items():
                if origin + ahead > weeks:
                    continue
                truth, now = kept[name, origin + ahead], kept[name, origin]
                drift = now + (now - kept[name, 1]) * ahead / (origin - 1)
                span = made.scenarios[number].points[month].bytes_repository
                errors = (abs(value - truth) / truth * 100 for value in (span.middle, now, drift))
                ours, last, drifted = errors
                rows.setdefault((name, ahead), []).append((ours, last, drifted, _within(span, truth)))
    print(
        f"{len(origins)} forecasts, one every {asked.every} weeks, {asked.replays} replays; repository scope"
    )
    heads = ("forecast", "last value", "drift", "within 80 %")
    print(f"{'':18} weeks  made  {'  '.join(f'{head:>11}' for head in heads)}")
    for name in POLICIES:
        for ahead in _MONTHS:
            found = rows.get((name, ahead), [])
            if not found:
                continue
            ours, last, drift, inside = np.array(found, np.float64).mean(axis=0)
            figures = "  ".join(f"{value:>10.1f}%" for value in (ours, last, drift, inside * 100))
            print(f"{name:18} {ahead:>5} {len(found):>5}  {figures}")


def _within(span: Span, truth: int) -> bool:
    return span.low <= truth <= span.high


def _kept(moment: Moment, policy: Policy | None) -> int:
    """Bytes at repository scope that ``policy`` leaves of everything seen by then."""
    policies = [] if policy is None else [policy]
    rows = len(moment.frames.repositories)
    judge = Evaluator(moment.frames, moment.facts, moment.families, now_ms=moment.at_ms).judge
    outcome = judge(policies, np.full(rows, len(policies) - 1)).outcome
    of = Holdings(moment.frames, moment.families).measure(outcome).registries.iloc[0]
    return int(of["physical_bytes_repository"] - of["freed_bytes_repository"])


def _forecast(moment: Moment, replays: int) -> Forecast:
    frames, rows = moment.frames, len(moment.frames.repositories)
    record = record_of_present(
        frames,
        moment.facts,
        moment.families,
        at_ms=moment.at_ms,
        may_have_lost=np.zeros(rows, np.bool_),
    )
    made = forecast(
        record,
        frames,
        moment.facts,
        moment.families,
        analyze(frames, now_ms=moment.at_ms, stale_days=90),
        blob_births(frames, moment.families),
        bundled_prices(),
        [
            Supposition(
                name="none" if policy is None else "candidate",
                title=name,
                policies=() if policy is None else (policy,),
                policy_of=np.full(rows, -1 if policy is None else 0),
            )
            for name, policy in POLICIES.items()
        ],
        at_ms=moment.at_ms,
        replays=replays,
    )
    assert isinstance(made, Forecast)
    return made


if __name__ == "__main__":
    main()
