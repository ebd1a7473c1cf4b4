"""The services that run images, as far as the collector asks them: one table of answers.

Requests come as boto3 sends them (JSON, REST-JSON and CBOR) and are held against botocore's model:
a parameter that it does not know, or of the wrong type, is refused, because the collector's clients
do not check. What the table does not have is answered with nothing: no clusters, no functions.
"""

from __future__ import annotations

import json
import re
import struct
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

import botocore.session
from botocore.model import OperationModel, ServiceModel, StructureShape
from botocore.parsers import create_parser
from botocore.validate import ParamValidator

#: boto3's names of the services that are served.
SERVICES = (
    "apprunner",
    "batch",
    "codebuild",
    "ecs",
    "eks",
    "events",
    "inspector2",
    "lambda",
    "sagemaker",
    "scheduler",
)
_CBOR = "smithy-rpc-v2-cbor"


class Refused(Exception):  # noqa: N818  # what a service answers
    """Raised by an answer that is a refusal."""

    def __init__(self, code: str, message: str = "refused", status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


class Request(NamedTuple):
    """One call, decoded."""

    service: str
    operation: str
    region: str
    parameters: dict[str, Any]


Answerer = Callable[[Request], Mapping[str, Any]]


class Reply(NamedTuple):
    """One HTTP answer."""

    body: bytes
    status: int
    headers: dict[str, str]


@dataclass
class Workloads:
    """Answers by ``service:Operation``: what is said, whoever asks, or a function of the request."""

    answers: dict[str, Mapping[str, Any] | Answerer] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    requests: list[Request] = field(default_factory=list)

    def handle(
        self, service: str, region: str, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> Reply:
        """The answer to a request of ``service``, by its name in signatures."""
        model = _model(service)
        operation, labels = _operation(model, method, urlsplit(url).path, headers)
        parameters = _parameters(model, operation, labels, urlsplit(url).query, body)
        request = Request(model.service_name, operation.name, region, parameters)
        name = f"{request.service}:{request.operation}"
        self.calls[name] += 1
        self.requests.append(request)
        protocol = model.resolved_protocol
        try:
            assert operation.input_shape is not None
            report = ParamValidator().validate(parameters, operation.input_shape)
            if report.has_errors():
                raise Refused("ValidationException", report.generate_report())
            answer = self.answers.get(name, {})
            found = answer(request) if callable(answer) else answer
            return Reply(_encoded(protocol, found), 200, _headers(protocol))
        except Refused as error:
            said = {"__type": error.code, "message": error.message}
            return Reply(
                _encoded(protocol, said), error.status, {**_headers(protocol), "x-amzn-errortype": error.code}
            )


@cache
def _model(service: str) -> ServiceModel:
    return botocore.session.get_session().get_service_model(service)


def _headers(protocol: str) -> dict[str, str]:
    if protocol == _CBOR:
        return {"content-type": "application/cbor", "smithy-protocol": "rpc-v2-cbor"}
    return {"content-type": "application/json"}


def _operation(
    model: ServiceModel, method: str, path: str, headers: Mapping[str, str]
) -> tuple[OperationModel, dict[str, str]]:
    if model.resolved_protocol == _CBOR:
        return model.operation_model(path.rpartition("/")[2]), {}
    if target := headers.get("x-amz-target"):
        return model.operation_model(target.rpartition(".")[2]), {}
    for name in model.operation_names:
        operation = model.operation_model(name)
        uri = operation.http["requestUri"].partition("?")[0]
        pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(uri).replace("\\-", "-"))
        matched = re.fullmatch(pattern.rstrip("/") + "/?", path)
        if operation.http["method"] == method and matched is not None:
            return operation, {label: unquote(value) for label, value in matched.groupdict().items()}
    raise LookupError(f"{model.service_name} has no operation at {method} {path}")


def _parameters(
    model: ServiceModel, operation: OperationModel, labels: dict[str, str], query: str, body: bytes
) -> dict[str, Any]:
    if model.resolved_protocol == _CBOR:
        parser: Any = create_parser(_CBOR)
        found: Any = parser.parse_data_item(parser.get_peekable_stream_from_bytes(body)) if body else {}
        return dict(found)
    parameters: dict[str, Any] = json.loads(body or b"{}")
    shape = operation.input_shape
    assert isinstance(shape, StructureShape)
    given = {**dict(parse_qsl(query)), **labels}
    for name, member in shape.members.items():
        if (
            value := given.get(member.serialization.get("name", name))
        ) is not None and name not in parameters:
            parameters[name] = int(value) if member.type_name in ("integer", "long") else value
    return parameters


def _encoded(protocol: str, value: Mapping[str, Any]) -> bytes:
    if protocol == _CBOR:
        return b"".join(_cbor(value))
    return json.dumps(value, default=_seconds).encode()


def _seconds(value: object) -> float:
    assert isinstance(value, datetime)
    return value.timestamp()


def _cbor(value: object) -> Iterator[bytes]:
    """As much of RFC 8949 as answers need."""
    match value:
        case None:
            yield b"\xf6"
        case str():
            yield _head(3, len(value.encode()))
            yield value.encode()
        case int():
            yield _head(0, value)
        case list():
            yield _head(4, len(value))
            for entry in value:
                yield from _cbor(entry)
        case dict():
            yield _head(5, len(value))
            for key, entry in value.items():
                yield from _cbor(key)
                yield from _cbor(entry)
        case _:
            raise TypeError(f"no CBOR for {value!r}")


def _head(major: int, number: int) -> bytes:
    return bytes([major << 5 | 26]) + struct.pack(">I", number)
