"""/metrics for Prometheus: what the last report came to, how old it is, and how this server's nights went.

What is not known has no sample: it is never zero. Figures of reports come from the database, so that every
server shows the same, also one that was just started or stands by; counters are this process's own, as
Prometheus expects of counters. Labels are account, region, scope and words of this program, never names of
repositories, images or tags, and registries are labelled up to a bound.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from analyzer import __version__
from analyzer.errors import DemurrageError
from analyzer.service.health import Watch, is_alive, look
from analyzer.service.server import ServerState
from analyzer.service.steps import StepResult
from analyzer.store.engine import Database
from analyzer.store.slots import SlotStatus

#: Registries that get samples of their own, the oldest snapshots first; the rest is counted.
MOST_REGISTRIES: Final = 1_000
CONTENT_TYPE: Final = CONTENT_TYPE_LATEST

_MONEY: Final = (
    ("cost", "demurrage_cost_per_month", "What all that is stored costs per month"),
    (
        "orphaned_cost",
        "demurrage_orphaned_cost_per_month",
        "What would leave with the orphaned images, per month",
    ),
    ("stale_cost", "demurrage_stale_cost_per_month", "What would leave with the stale images, per month"),
)
_BYTES: Final = (
    ("stored_bytes", "demurrage_stored_bytes", "Bytes stored, each blob once within its scope"),
    ("orphaned_bytes", "demurrage_orphaned_bytes", "Bytes that would leave with the orphaned images"),
    ("stale_bytes", "demurrage_stale_bytes", "Bytes that would leave with the stale images"),
)


class Metrics:
    """A registry of metrics of its own, and what counts into it."""

    def __init__(
        self, database: Database, state: ServerState, clock: Callable[[], float] = time.time
    ) -> None:
        """Show ``database`` and ``state``; ``clock`` gives seconds since 1970 UTC."""
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Stored(database, state, clock))
        self._runs = Counter(
            "demurrage_runs",
            "Runs that this process ended, by how they ended",
            ["status"],
            registry=self._registry,
        )
        for status in (SlotStatus.DONE, SlotStatus.FAILED, SlotStatus.INTERRUPTED):
            self._runs.labels(str(status))
        self._steps = Counter(
            "demurrage_steps",
            "Steps of runs that this process ended, by how they ended",
            ["step", "status"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "demurrage_step_duration_seconds",
            "How long steps took",
            ["step"],
            buckets=(1, 5, 15, 60, 300, 900, 3600, 10800, 36000),
            registry=self._registry,
        )
        self._calls = Counter(
            "demurrage_aws_calls",
            "Calls to AWS by the collector, without retries",
            ["call"],
            registry=self._registry,
        )
        self._billed = Counter(
            "demurrage_aws_billed_calls", "Those of them that AWS charges for", registry=self._registry
        )
        self._retries = Counter("demurrage_aws_retries", "Calls made again", registry=self._registry)
        self._throttles = Counter(
            "demurrage_aws_throttles", "Attempts that AWS throttled", registry=self._registry
        )
        self._expired_page_tokens = Counter(
            "demurrage_aws_expired_page_tokens",
            "Pages of listings that were refused because their token had grown too old",
            registry=self._registry,
        )
        self._received = Counter(
            "demurrage_aws_received_bytes", "Bytes of AWS's answers", registry=self._registry
        )

    def run_ended(self, status: str) -> None:
        """Count a run."""
        self._runs.labels(status).inc()

    def step_ended(self, result: StepResult) -> None:
        """Count a step."""
        self._steps.labels(result.name, result.status).inc()
        if result.status != "skipped":
            self._seconds.labels(result.name).observe(result.seconds)

    def collected(
        self,
        calls: Mapping[str, int],
        *,
        billed: int,
        retries: int,
        throttles: int,
        expired_page_tokens: int,
        received_bytes: int,
    ) -> None:
        """Count the calls of a collection; ``calls`` by service and operation."""
        for call, times in calls.items():
            self._calls.labels(call).inc(times)
        self._billed.inc(billed)
        self._retries.inc(retries)
        self._throttles.inc(throttles)
        self._expired_page_tokens.inc(expired_page_tokens)
        self._received.inc(received_bytes)

    def render(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)


class _Stored(Collector):
    """What the database and the server's state say at the moment of asking."""

    def __init__(self, database: Database, state: ServerState, clock: Callable[[], float]) -> None:
        self._database = database
        self._state = state
        self._clock = clock

    def collect(self) -> Iterable[Metric]:
        """The samples; where the database cannot be read, only those that need none."""
        yield InfoMetricFamily("demurrage_build", "The program", value={"version": __version__})
        yield GaugeMetricFamily(
            "demurrage_service_leading",
            "1 where this server runs the schedule, 0 where it stands by",
            value=float(self._state.role == "leading"),
        )
        yield GaugeMetricFamily(
            "demurrage_service_alive", "1 where the server's loop turns", value=float(is_alive(self._state))
        )
        yield GaugeMetricFamily(
            "demurrage_service_running",
            "1 during a run",
            value=float(self._state.running_since_ms is not None),
        )
        now_ms = round(self._clock() * 1000)
        following = self._state.schedule.after(now_ms)
        if following is not None:
            yield GaugeMetricFamily(
                "demurrage_next_run_timestamp_seconds", "The schedule's next moment", value=following / 1000
            )
        try:
            seen = look(self._database, now_ms)
        except DemurrageError:
            yield GaugeMetricFamily("demurrage_database_up", "1 where the database can be read", value=0)
            return
        yield GaugeMetricFamily("demurrage_database_up", "1 where the database can be read", value=1)
        yield from _ages(seen)
        yield from _last_run(seen)
        if seen.reported is not None and seen.reported.figures is not None:
            yield from _figures(seen.reported.figures)


def _ages(seen: Watch) -> Iterator[Metric]:
    age = GaugeMetricFamily(
        "demurrage_snapshot_age_seconds",
        "Age of the last complete snapshot of each registry that is collected",
        labels=["account", "region"],
    )
    expected = [row for row in seen.ages if row.is_expected]
    known = [row for row in expected if row.complete_at_ms is not None]
    known.sort(key=lambda row: row.complete_at_ms or 0)
    for row in known[:MOST_REGISTRIES]:
        seconds = max(0, seen.now_ms - (row.complete_at_ms or 0)) / 1000
        age.add_metric([row.key.account, row.key.region], seconds)
    yield age
    yield GaugeMetricFamily(
        "demurrage_registries_never_complete",
        "Registries of which no complete snapshot was ever taken",
        value=len(expected) - len(known),
    )
    yield GaugeMetricFamily(
        "demurrage_registries_not_labelled",
        "Registries that have no samples of their own, as they are too many",
        value=max(0, len(known) - MOST_REGISTRIES),
    )


def _last_run(seen: Watch) -> Iterator[Metric]:
    last = seen.last
    if last is None:
        return
    status = GaugeMetricFamily(
        "demurrage_last_run_status", "1 for how the newest run stands or ended", labels=["status"]
    )
    for word in (SlotStatus.RUNNING, SlotStatus.INTERRUPTED, SlotStatus.DONE, SlotStatus.FAILED):
        status.add_metric([str(word)], float(last.status is word))
    yield status
    yield GaugeMetricFamily(
        "demurrage_last_run_scheduled_timestamp_seconds",
        "The moment of the schedule that the newest run is of",
        value=last.fire_at_ms / 1000,
    )
    if last.finished_at_ms is not None:
        yield GaugeMetricFamily(
            "demurrage_last_run_finished_timestamp_seconds",
            "When the newest run ended",
            value=last.finished_at_ms / 1000,
        )
        if last.started_at_ms is not None:
            yield GaugeMetricFamily(
                "demurrage_last_run_duration_seconds",
                "How long the newest run took, with what interrupted it",
                value=(last.finished_at_ms - last.started_at_ms) / 1000,
            )


def _figures(figures: Mapping[str, Any]) -> Iterator[Metric]:
    """Figures of the newest report."""
    yield GaugeMetricFamily(
        "demurrage_report_snapshot_timestamp_seconds",
        "When the newest snapshot in the newest report was taken",
        value=figures["taken_at"],
    )
    for key, text in (("registries", "Registries"), ("repositories", "Repositories")):
        yield GaugeMetricFamily(f"demurrage_{key}", f"{text} in the newest report", value=figures[key])
    artifacts = GaugeMetricFamily(
        "demurrage_artifacts", "Artifacts by kind; those of unknown kind could not be read", labels=["kind"]
    )
    for kind, number in figures["artifacts"].items():
        artifacts.add_metric([kind], number)
    yield artifacts
    # What is not known is not there, neither bytes nor money.
    if "orphaned_images" in figures:
        yield GaugeMetricFamily(
            "demurrage_orphaned_images", "Images that no tag reaches", value=figures["orphaned_images"]
        )
    for key, name, text in _BYTES:
        family = GaugeMetricFamily(name, f"{text}; registry scope is the lower bound", labels=["scope"])
        for scope, number in figures[key].items():
            family.add_metric([scope], number)
        yield family
    currency = figures["currency"]
    for key, name, text in _MONEY:
        family = GaugeMetricFamily(
            name, f"{text}; registry scope is the lower bound", labels=["scope", "currency"]
        )
        for scope, amount in figures[key].items():
            family.add_metric([scope, currency], float(amount))
        yield family
    gaps = GaugeMetricFamily(
        "demurrage_gaps", "What could not be read and is not accepted, by call", labels=["call"]
    )
    for call, number in figures["gaps_by_call"].items():
        gaps.add_metric([call], number)
    yield gaps
    yield GaugeMetricFamily(
        "demurrage_gaps_accepted", "What could not be read, and is accepted", value=figures["accepted_gaps"]
    )
    if "findings" in figures:
        findings = GaugeMetricFamily("demurrage_findings", "Open findings by severity", labels=["severity"])
        for severity, number in figures["findings"].items():
            findings.add_metric([severity], number)
        yield findings
    yield from _by_registry(figures["by_registry"], currency)


def _by_registry(rows: list[Mapping[str, Any]], currency: str) -> Iterator[Metric]:
    stored = GaugeMetricFamily(
        "demurrage_registry_stored_bytes",
        "Bytes stored in each registry",
        labels=["account", "region", "scope"],
    )
    cost = GaugeMetricFamily(
        "demurrage_registry_cost_per_month",
        "What each registry costs per month",
        labels=["account", "region", "scope", "currency"],
    )
    largest = sorted(rows, key=lambda row: -row["stored_bytes"].get("repository", 0))[:MOST_REGISTRIES]
    for row in largest:
        place = [row["account"], row["region"]]
        for scope, number in row["stored_bytes"].items():
            stored.add_metric([*place, scope], number)
        for scope, amount in row["cost"].items():
            cost.add_metric([*place, scope, currency], float(amount))
    yield stored
    yield cost
