"""Clients that share what they know of the names of botocore's events."""

from __future__ import annotations

from typing import Any

import botocore.session
import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.hooks import EventAliaser, HierarchicalEmitter

from analyzer.collect.event_names import ClientSession
from analyzer.collect.session import open_session

#: Services that botocore has had two names for, the old one first, and a call of each.
_CALLS: list[tuple[str, str, dict[str, Any]]] = [
    ("logs", "describe_log_groups", {}),
    ("ecr", "describe_registry", {}),
]


class _Raw:
    def stream(self) -> list[bytes]:
        return [b"{}"]


def _noting(events: list[str]) -> Any:
    """A handler that keeps the names of what it hears."""

    def note(event_name: str, **_: object) -> None:
        events.append(event_name)

    return note


def client(session: botocore.session.Session, service: str) -> Any:
    """A client of ``service`` that is answered with an empty object, without a network."""
    make: Any = session.create_client
    made = make(service, region_name="eu-west-1", aws_access_key_id="test", aws_secret_access_key="test")
    answer = AWSResponse("http://127.0.0.1", 200, HTTPHeaders(), _Raw())
    made.meta.events.register("before-send", lambda **_: answer)
    return made


@pytest.mark.parametrize(("service", "call", "parameters"), _CALLS, ids=[call[0] for call in _CALLS])
def test_the_same_events_reach_the_same_handlers_as_in_a_session_of_botocores(
    service: str, call: str, parameters: dict[str, Any]
) -> None:
    heard: dict[str, list[str]] = {}
    for name, session in (("theirs", botocore.session.Session()), ("ours", ClientSession())):
        heard[name] = []
        note = _noting(heard[name])

        for kind in ("provide-client-params", "before-call", "before-sign", "needs-retry", "after-call"):
            # Under the old name, and before there is a client.
            session.register(f"{kind}.{service}", note)
        made = client(session, service)
        made.meta.events.register_first(f"request-created.{service}", note)
        made.meta.events.register_last(f"response-received.{service}", note)
        getattr(made, call)(**parameters)
    assert heard["ours"] == heard["theirs"]
    assert len(heard["ours"]) >= 7


def test_handlers_of_one_client_are_not_called_for_another() -> None:
    session, heard = ClientSession(), []
    one, other = client(session, "ecr"), client(session, "ecr")

    def note(**_: object) -> None:
        heard.append("one")

    one.meta.events.register("before-call", note)
    other.describe_registry()
    assert heard == []
    one.describe_registry()
    assert heard == ["one"]
    one.meta.events.unregister("before-call", note)
    one.describe_registry()
    assert heard == ["one"]


def test_the_first_answer_of_a_handler_stands_in_for_the_call() -> None:
    made = client(ClientSession(), "ecr")
    made.meta.events.register(
        "before-call.ecr", lambda **_: (AWSResponse("", 200, HTTPHeaders(), None), {"answer": 1})
    )
    assert made.describe_registry() == {"answer": 1}


def test_a_session_of_ours_says_of_names_what_botocore_says() -> None:
    emitter = HierarchicalEmitter()
    theirs, ours = EventAliaser(emitter), open_session().events
    seen: list[str] = []
    emitter.register("made-up", lambda event_name, **_: seen.append(event_name))
    ours.register("made-up", lambda event_name, **_: seen.append(event_name))
    for name in ("made-up.runtime.sagemaker.InvokeEndpoint", "made-up.logs.DescribeLogGroups"):
        theirs.emit(name)
        ours.emit(name)
        assert seen[-1] == seen[-2] != name
