"""The event history over HTTP: pages, throttling, refusals."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import pytest

from analyzer.collect.clients import CallSettings
from analyzer.collect.lookups import LOOKUP_RATES, EventHistory
from analyzer.collect.places import OwnAccess, Place
from analyzer.model.records import RegistryKey
from analyzer.pulls.files import UnreadableFileError, records_of
from tests.support.trails import OWNER, REGION, record

_DAY = 20_731
_START = _DAY * 86_400


class _CloudTrail(ThreadingHTTPServer):
    """Answers LookupEvents in pages of two."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        #: Answers that come first: status and error code.
        self.errors: list[tuple[int, str]] = []
        self.endless = False


class _Handler(BaseHTTPRequestHandler):
    server: _CloudTrail

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(asked)
        if self.server.errors:
            status, code = self.server.errors.pop(0)
            self._answer(status, {"__type": code, "message": "no"})
            return
        (condition,) = asked["LookupAttributes"]
        found = [event for event in self.server.events if event["eventName"] == condition["AttributeValue"]]
        first = int(asked.get("NextToken", 0))
        page: dict[str, Any] = {
            "Events": [
                {"EventId": e["eventID"], "CloudTrailEvent": json.dumps(e)} for e in found[first : first + 2]
            ]
        }
        if self.server.endless or first + 2 < len(found):
            page["NextToken"] = "7" if self.server.endless else str(first + 2)
        self._answer(200, page)

    def _answer(self, status: int, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def cloudtrail(monkeypatch: pytest.MonkeyPatch) -> Iterator[_CloudTrail]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "demurrage-tests")
    with _CloudTrail() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def _history(settings: CallSettings | None = None) -> EventHistory:
    place = Place(RegistryKey("aws", OWNER, REGION), OwnAccess(boto3.Session(), ""))
    return EventHistory(place, settings or CallSettings(requests_per_second=1e6))


def _ids(history: EventHistory) -> list[str]:
    return [found["eventID"] for page in history.pages(_DAY) for found in records_of({"Events": page})]


def test_both_calls_are_asked_for_page_by_page_within_the_day(cloudtrail: _CloudTrail) -> None:
    cloudtrail.events = [record(f"l{n}") for n in range(5)]
    cloudtrail.events += [record(f"i{n}", name="BatchGetImage") for n in range(2)]
    assert _ids(_history()) == ["i0", "i1", *(f"l{n}" for n in range(5))]
    assert [asked.get("NextToken") for asked in cloudtrail.asked] == [None, None, "2", "4"]
    assert {(asked["StartTime"], asked["EndTime"]) for asked in cloudtrail.asked} == {
        (_START, _START + 86_399)
    }


def test_two_requests_a_second_are_asked_and_throttling_is_tried_again(cloudtrail: _CloudTrail) -> None:
    settings = CallSettings(requests_per_second=1e6, operation_rates=LOOKUP_RATES, sleep=lambda _: None)
    cloudtrail.events = [record(f"l{n}") for n in range(4)]
    cloudtrail.errors = [(400, "ThrottlingException")]
    history = _history(settings)
    assert _ids(history) == ["l0", "l1", "l2", "l3"]
    assert settings.counts.throttles == 1
    assert settings.counts.calls == {"cloudtrail:LookupEvents": 3}
    assert history._client._buckets["LookupEvents"]._interval == 0.5


def test_a_refusal_and_a_token_that_comes_twice_are_told(cloudtrail: _CloudTrail) -> None:
    cloudtrail.errors = [(400, "AccessDeniedException")]
    with pytest.raises(UnreadableFileError, match="cloudtrail:LookupEvents: AccessDeniedException"):
        _ids(_history())
    cloudtrail.endless = True
    with pytest.raises(UnreadableFileError, match="twice in a row"):
        _ids(_history())
