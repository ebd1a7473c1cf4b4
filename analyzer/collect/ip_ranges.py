"""AWS's ip-ranges.json, from where AWS publishes it for everybody.

No credentials are needed and none are sent. Proxies come from the environment, and certificates to
trust from AWS_CA_BUNDLE or ``ca_bundle`` of the AWS configuration, as for every call to AWS.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Final, NamedTuple, cast

from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError
from botocore.httpsession import URLLib3Session
from botocore.response import StreamingBody
from botocore.session import Session
from botocore.utils import get_environ_proxies

from analyzer.collect.refusals import NETWORK_ERRORS, one_line
from analyzer.errors import InputError, RunError
from analyzer.pulls.addresses import MAX_BYTES

#: Where AWS publishes it (VPC user guide, "AWS IP address ranges").
IP_RANGES_URL: Final = "https://ip-ranges.amazonaws.com/ip-ranges.json"

_ATTEMPTS = 3
_CONNECT_SECONDS, _READ_SECONDS = 10.0, 30.0
_BLOCK = 1 << 16
_LENGTH = re.compile("[0-9]{1,15}")
#: A server's name for a version; longer ones are not sent back to it.
_LONGEST_ETAG = 200


class FetchedIpRanges(NamedTuple):
    """The file as it came; not judged here."""

    document: bytes
    #: What the server calls this version; "" where it does not say.
    etag: str


def fetch_ip_ranges(
    etag: str = "", *, url: str | None = None, sleep: Callable[[float], None] = time.sleep
) -> FetchedIpRanges | None:
    """What is published at ``url`` (AWS's own where it is None); None where that is still ``etag``.

    Raises RunError where it cannot be had, InputError where the AWS configuration cannot be read.
    """
    url = url or IP_RANGES_URL
    http = _session(url)
    failure = ""
    try:
        for attempt in range(_ATTEMPTS):
            if attempt:
                sleep(2.0 ** (attempt - 1))
            status, answer = _get(http, url, etag)
            if status == 200 and isinstance(answer, FetchedIpRanges):
                return answer
            if status == 304 and etag:
                return None
            failure = answer if isinstance(answer, str) else f"HTTP status {status}"
            if status and status != 429 and status < 500:
                break
    finally:
        http.close()
    raise RunError(
        f"{url} cannot be read: {failure}; see to the network or the proxy, or give the file: "
        "demurrage update --ip-ranges FILE"
    )


def _session(url: str) -> URLLib3Session:
    try:
        verify = Session().get_config_variable("ca_bundle") or True
    except BotoCoreError as error:
        raise InputError(f"AWS configuration: {one_line(error)}") from error
    return URLLib3Session(
        # It takes the name of a file as well, which its type does not say.
        verify=cast(bool, verify),
        proxies=get_environ_proxies(url),
        # Connecting, and each read: it takes the two apart, which its type does not say either.
        timeout=cast(int, (_CONNECT_SECONDS, _READ_SECONDS)),
        max_pool_connections=1,
    )


def _get(http: URLLib3Session, url: str, etag: str) -> tuple[int, FetchedIpRanges | str]:
    """Status and file of one attempt, or what is wrong; status 0 where no whole answer came."""
    headers = {"Accept-Encoding": "identity"}
    if etag:
        headers["If-None-Match"] = etag
    request = AWSRequest(method="GET", url=url, headers=headers, stream_output=True).prepare()
    try:
        answer = http.send(request)
        if answer.status_code != 200:
            return answer.status_code, f"HTTP status {answer.status_code}"
        names = {name.lower(): value for name, value in answer.headers.items()}
        length = names.get("content-length", "")
        # Without a length that can be read it is not held against what came.
        expected = cast(int, int(length) if _LENGTH.fullmatch(length) else None)
        document = _body(StreamingBody(answer.raw, expected))
    except NETWORK_ERRORS as error:
        return 0, f"{type(error).__name__}: {one_line(error)}"
    if len(document) > MAX_BYTES:
        return 200, f"it is longer than {MAX_BYTES >> 20} MiB"
    tag = names.get("etag", "")
    return 200, FetchedIpRanges(document, tag if len(tag) <= _LONGEST_ETAG and tag.isascii() else "")


def _body(stream: StreamingBody) -> bytes:
    """What comes, or as much of it as is enough to know that it is too long."""
    parts: list[bytes] = []
    length = 0
    while length <= MAX_BYTES and (block := stream.read(_BLOCK)):
        parts.append(block)
        length += len(block)
    stream.close()
    return b"".join(parts)
