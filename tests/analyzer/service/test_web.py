"""The endpoint over real HTTP: health, metrics, reports, and what it does not show."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import insert
from waitress.trigger import trigger

from analyzer.errors import InputError
from analyzer.model.records import ReadStatus
from analyzer.publishing.catalog import entry_of
from analyzer.publishing.folder import FolderTarget
from analyzer.publishing.publish import publish
from analyzer.service.figures import figures_of
from analyzer.service.metrics import Metrics
from analyzer.service.schedule import Schedule
from analyzer.service.server import ServerState
from analyzer.service.steps import StepResult
from analyzer.service.web import Address, Site, listening, parse_address
from analyzer.store import tables
from analyzer.store.engine import Database
from tests.support.databases import Provider
from tests.support.report_fixture import build_report, nothing_known

HOUR = 3_600_000
NOW = 1_800_000_000_000


class _World:
    """A site, what it shows, and requests to it."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.folder = folder
        self.now_ms = NOW
        self.state = ServerState(Schedule("30 2 * * *", "UTC"), role="leading", started_at_ms=NOW)
        self.metrics = Metrics(database, self.state, lambda: self.now_ms / 1000)
        self.site = self._site(any_host=False)
        self.port = 0

    def _site(self, *, any_host: bool) -> Site:
        return Site(
            self.database,
            self.state,
            self.metrics,
            folder=self.folder,
            max_age_ms=26 * HOUR,
            any_host=any_host,
            clock=lambda: self.now_ms / 1000,
        )

    def ask(
        self, path: str, method: str = "GET", headers: dict[str, str] | None = None
    ) -> tuple[http.client.HTTPResponse, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, headers=headers or {})
            answer = connection.getresponse()
            return answer, answer.read()
        finally:
            connection.close()

    def snapshot(
        self, region: str, taken_at_ms: int, *, run: int, status: ReadStatus = ReadStatus.COMPLETE
    ) -> None:
        with self.database.write() as connection:
            values = {"partition": "aws", "account": "123456789012", "region": region}
            known = connection.execute(
                tables.registry.select().with_only_columns(tables.registry.c.id).filter_by(region=region)
            ).scalar()
            key = (
                known
                or connection.execute(
                    insert(tables.registry).values(**values).returning(tables.registry.c.id)
                ).scalar_one()
            )
            connection.execute(
                insert(tables.snapshot).values(
                    registry_id=key, number=run, run_id=run, taken_at_ms=taken_at_ms, status=str(status)
                )
            )

    def run(self, number: int, status: str = "complete") -> None:
        with self.database.write() as connection:
            connection.execute(
                insert(tables.run).values(id=number, started_at_ms=1, status=status, host="h", version="1")
            )

    def slot(self, status: str, figures: object = None, *, fire_at_ms: int = NOW) -> None:
        with self.database.write() as connection:
            if connection.execute(tables.service.select()).first() is None:
                connection.execute(insert(tables.service).values(name="nightly", fence=1))
            connection.execute(
                insert(tables.service_slot).values(
                    service="nightly",
                    fire_at_ms=fire_at_ms,
                    status=status,
                    attempts=1,
                    fence=1,
                    host="h",
                    started_at_ms=fire_at_ms,
                    finished_at_ms=fire_at_ms + 61_000,
                    steps='{"collect": {"status": "done", "detail": "secret of AWS", "seconds": 1}}',
                    figures=None if figures is None else json.dumps(figures),
                )
            )


@pytest.fixture
def world(sqlite: Provider, tmp_path: Path) -> Iterator[_World]:
    world = _World(sqlite.clean(), tmp_path / "reports")
    with listening(world.site, Address("127.0.0.1", 0)) as port:
        world.port = port
        yield world


@pytest.fixture
def published(world: _World, tmp_path: Path) -> str:
    """A report in the folder; gives its id."""
    files = {}
    for name, text in {"report.html": "<p>hello", "images.csv": "a,b\n", "policies/one.json": "{}"}.items():
        files[name] = tmp_path / "made" / name
        files[name].parent.mkdir(parents=True, exist_ok=True)
        files[name].write_text(text)
    entry = entry_of(build_report(5, gaps=True, mounting="mixed"), files)
    publish(FolderTarget(world.folder), entry, files, keep=3)
    return entry.id


def _samples(world: _World) -> dict[str, float]:
    _, body = world.ask("/metrics")
    found = {}
    for family in text_string_to_metric_families(body.decode()):
        assert family.documentation
        assert family.type != "unknown"
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def test_a_new_service_is_healthy_and_waits(world: _World) -> None:
    answer, body = world.ask("/healthz")
    document = json.loads(body)
    assert answer.status == 200
    assert document["status"] == "ok"
    assert document["next_run_at"] == "2027-01-16T02:30:00Z"
    assert (document["registries"], document["last_run"]) == ([], None)


@pytest.mark.parametrize(("age_hours", "status"), [(26, 200), (26.01, 503)])
def test_health_follows_the_age_of_the_last_complete_snapshot(
    world: _World, age_hours: float, status: int
) -> None:
    world.run(1)
    world.snapshot("eu-west-1", NOW, run=1)
    world.slot("done")
    world.now_ms += round(age_hours * HOUR)
    answer, body = world.ask("/healthz")
    document = json.loads(body)
    (registry,) = document["registries"]
    assert answer.status == status
    assert registry["is_stale"] == (status == 503)
    assert registry["age_seconds"] == round(age_hours * 3600)
    assert document["last_run"]["status"] == "done"
    # What AWS said stays in the log.
    assert b"secret" not in body
    assert bool(document["problems"]) == (status == 503)


def test_a_partial_snapshot_does_not_count_and_a_registry_left_out_is_not_judged(world: _World) -> None:
    for number, region in ((1, "eu-west-1"), (1, "us-east-1")):
        if number == 1 and region == "eu-west-1":
            world.run(1)
        world.snapshot(region, NOW, run=number)
    world.run(2)
    world.snapshot("eu-west-1", NOW + 30 * HOUR, run=2, status=ReadStatus.PARTIAL)
    world.now_ms += 30 * HOUR
    document = json.loads(world.ask("/healthz")[1])
    assert [(row["region"], row["is_expected"], row["is_stale"]) for row in document["registries"]] == [
        ("eu-west-1", True, True),
        ("us-east-1", False, False),
    ]
    assert document["problems"] == ["123456789012/eu-west-1: the last complete snapshot is 30.0 hours old"]


def test_a_first_run_that_failed_is_unhealthy(world: _World) -> None:
    world.slot("failed")
    answer, body = world.ask("/healthz")
    assert answer.status == 503
    assert "the last run failed" in json.loads(body)["problems"][0]


def test_a_database_that_is_away_is_unhealthy_and_shows_no_figures(world: _World) -> None:
    with world.database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE snapshot RENAME TO away")
    try:
        answer, body = world.ask("/healthz")
        samples = _samples(world)
    finally:
        with world.database.write() as connection:
            connection.exec_driver_sql("ALTER TABLE away RENAME TO snapshot")
    assert answer.status == 503
    assert "no such table" in json.loads(body)["problems"][0]
    assert samples["demurrage_database_up"] == 0
    assert not any(name.startswith("demurrage_stored_bytes") for name in samples)


def test_a_loop_that_does_not_turn_is_neither_alive_nor_healthy(world: _World) -> None:
    assert world.ask("/livez")[0].status == 200
    world.state.turned_at -= 181
    assert world.ask("/livez")[0].status == 503
    assert world.ask("/healthz")[0].status == 503
    # A night takes as long as it takes.
    world.state.running_since_ms = NOW
    assert world.ask("/livez")[0].status == 200


def test_metrics_are_those_of_the_report_and_of_this_process(world: _World) -> None:
    report = build_report(5, gaps=True, mounting="mixed")
    world.run(1)
    world.snapshot("eu-west-1", NOW - HOUR, run=1)
    world.slot("done", figures_of(report))
    world.metrics.run_ended("done")
    world.metrics.step_ended(StepResult("collect", "gaps", "", 3.0))
    world.metrics.collected(
        {"ecr:DescribeImages": 7},
        billed=1,
        retries=2,
        throttles=3,
        expired_page_tokens=5,
        received_bytes=4,
    )
    samples = _samples(world)
    totals = report.totals
    assert samples["demurrage_stored_bytes{scope=repository}"] == totals.physical_bytes.repository
    assert samples["demurrage_stored_bytes{scope=registry}"] == totals.physical_bytes.registry
    assert samples["demurrage_cost_per_month{currency=USD,scope=repository}"] == float(
        totals.cost.repository.amount or 0
    )
    assert samples["demurrage_snapshot_age_seconds{account=123456789012,region=eu-west-1}"] == 3600
    assert samples["demurrage_last_run_duration_seconds"] == 61
    assert samples["demurrage_last_run_status{status=done}"] == 1
    assert samples["demurrage_runs_total{status=done}"] == 1
    assert samples["demurrage_runs_total{status=failed}"] == 0
    assert samples["demurrage_steps_total{status=gaps,step=collect}"] == 1
    assert samples["demurrage_step_duration_seconds_count{step=collect}"] == 1
    assert samples["demurrage_aws_calls_total{call=ecr:DescribeImages}"] == 7
    assert samples["demurrage_aws_throttles_total"] == 3
    assert samples["demurrage_aws_expired_page_tokens_total"] == 5
    by_registry = [name for name in samples if name.startswith("demurrage_registry_stored_bytes")]
    assert len(by_registry) == 2 * len(report.registries)


def test_what_is_not_known_has_no_sample(world: _World) -> None:
    figures = figures_of(build_report(5, gaps=True, mounting="mixed"))
    figures["cost"] = {}
    world.slot("done", figures)
    samples = _samples(world)
    assert not any(name.startswith("demurrage_cost_per_month") for name in samples)
    assert "demurrage_stored_bytes{scope=registry}" in samples
    world.slot("running", fire_at_ms=NOW + HOUR)
    # The figures of the last report stay while the next is made.
    assert _samples(world) | {"demurrage_last_run_status{status=running}": 1.0} == _samples(world)


def test_of_what_was_never_listed_nothing_is_measured(world: _World) -> None:
    world.slot("done", figures_of(nothing_known()))
    unread = ("stored", "orphaned", "stale", "cost", "artifacts", "registry_")
    samples = _samples(world)
    assert not [name for name in samples if name.startswith(tuple(f"demurrage_{what}" for what in unread))]
    assert samples["demurrage_registries"] == 1


def test_reports_are_read_in_a_browser_and_asked_for_again_for_nothing(world: _World, published: str) -> None:
    answer, body = world.ask("/")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert published in body.decode()
    for name, kind in (
        ("report.html", "text/html; charset=utf-8"),
        ("images.csv", "text/csv; charset=utf-8"),
        ("policies/one.json", "application/json"),
    ):
        answer, body = world.ask(f"/reports/{published}/{name}")
        assert (answer.status, answer.headers["Content-Type"]) == (200, kind)
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        for ask in (
            {"If-None-Match": answer.headers["ETag"]},
            {"If-None-Match": f'"other", W/{answer.headers["ETag"]}'},
            {"If-Modified-Since": answer.headers["Last-Modified"]},
        ):
            again, nothing = world.ask(f"/reports/{published}/{name}", headers=ask)
            assert (again.status, nothing) == (304, b"")
        for ask in ({"If-None-Match": '"other"'}, {"If-Modified-Since": "yesterday"}):
            assert world.ask(f"/reports/{published}/{name}", headers=ask)[1] == body
        head, nothing = world.ask(f"/reports/{published}/{name}", "HEAD")
        assert (head.status, nothing, head.headers["Content-Length"]) == (200, b"", str(len(body)))


@pytest.mark.parametrize(
    "path",
    [
        "/reports/../secret.txt",
        "/reports/ID/../../../secret.txt",
        "/reports/ID/..%2f..%2f..%2fsecret.txt",
        "/reports/ID/%2e%2e/%2e%2e/%2e%2e/secret.txt",
        "/reports/ID/..\\..\\..\\secret.txt",
        "//etc/passwd",
        "/reports//etc/passwd",
        "/reports/ID/link.txt",
        "/reports/ID/.hidden",
        "/reports/ID/%00",
        "/reports/ID",
        "/reports/ID/",
        "/reports/ID/policies",
        "/reports/",
        "/.lock",
        "/secret.txt",
        "/reports/ID/absent.html",
    ],
)
def test_nothing_is_shown_but_files_of_reports(
    world: _World, published: str, tmp_path: Path, path: str
) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    folder = world.folder / "reports" / published
    (folder / ".hidden").write_text("secret")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    answer, body = world.ask(path.replace("ID", published))
    assert answer.status == 404
    assert b"secret" not in body


def test_only_reading_is_answered(world: _World) -> None:
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        answer, _ = world.ask("/", method)
        assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8010", 200),
        ("127.0.0.1", 200),
        ("[::1]:80", 200),
        ("evil.example", 421),
        ("evil.example:8010", 421),
        ("127.0.0.1.evil.example", 421),
    ],
)
def test_on_loopback_it_answers_to_names_of_this_machine_alone(world: _World, host: str, status: int) -> None:
    assert world.ask("/livez", headers={"Host": host})[0].status == status


def test_without_a_folder_it_says_how_to_have_one(world: _World) -> None:
    world.site._folder = None
    answer, body = world.ask("/")
    assert (answer.status, body) == (
        404,
        b"No folder of reports is published by this server: add --publish DIR\n",
    )


@pytest.mark.parametrize(
    ("text", "address"),
    [("127.0.0.1:8010", ("127.0.0.1", 8010)), ("[::1]:80", ("::1", 80)), ("localhost:0", ("localhost", 0))],
)
def test_addresses_are_read(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address
    assert parse_address(text).is_loopback


@pytest.mark.parametrize(
    "text", ["", "8010", ":8010", "localhost", "::1:80", "[::1]", "host:http", "host:70000"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="--listen"):
        parse_address(text)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "example.org"])  # noqa: S104
def test_other_addresses_are_known_to_be_reached_by_others(host: str) -> None:
    assert not Address(host, 80).is_loopback


def test_an_address_that_is_taken_is_told(world: _World) -> None:
    with (
        pytest.raises(InputError, match=r"--listen 127\.0\.0\.1:\d+: Address already in use; name another"),
        listening(world.site, Address("127.0.0.1", world.port)),
    ):
        pass


def test_who_answered_last_writes_into_no_file_of_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    answered, released = threading.Event(), threading.Event()
    loops: list[threading.Thread] = []
    pull = trigger.pull_trigger

    def late(self: Any, thunk: Any = None) -> None:
        # Without a thunk it is somebody who answered, and who comes to it when all is over.
        if thunk is None:
            answered.set()
            released.wait(60)
        pull(self, thunk)

    def answer(_: object, start: Any) -> list[bytes]:
        start("200 OK", [])
        return [b""]

    def listen() -> None:
        before = set(threading.enumerate())
        with listening(cast("Site", answer), Address("127.0.0.1", 0)) as port:
            loops.extend(one for one in set(threading.enumerate()) - before if one.name == "http")
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            connection.request("GET", "/")
            connection.getresponse().read()
            answered.wait(60)
            connection.close()

    monkeypatch.setattr(trigger, "pull_trigger", late)
    listener = threading.Thread(target=listen)
    listener.start()
    assert answered.wait(60)
    (loop,) = loops
    loop.join(60)
    # These take up whatever numbers of descriptors are free by now.
    paths = [tmp_path / f"{number}" for number in range(50)]
    with ExitStack() as files:
        for path in paths:
            files.enter_context(path.open("wb", buffering=0))
        released.set()
        listener.join(60)
    assert [path.read_bytes() for path in paths] == [b""] * len(paths)
