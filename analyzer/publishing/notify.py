"""Where digests go: an SNS topic, a webhook that takes Slack's messages, a file.

A webhook's URL is its own password: it is in no message, and no redirect takes it elsewhere.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol, cast
from urllib.parse import urlsplit

from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.httpsession import URLLib3Session
from botocore.session import Session
from botocore.utils import get_environ_proxies

from analyzer.collect.refusals import one_line
from analyzer.collect.session import open_session
from analyzer.errors import InputError, RunError
from analyzer.model.digest import DigestTexts

#: arn:aws:sns:eu-west-1:123456789012:topic
_TOPIC: Final = re.compile(r"arn:[a-z0-9-]+:sns:([a-z0-9-]+):[0-9]{12}:[A-Za-z0-9_-]{1,256}(?:\.fifo)?")
#: SNS takes 256 KiB, and subjects of up to 100 printable ASCII characters (API reference, Publish).
_SUBJECT: Final = 100
_ATTEMPTS: Final = 4
_CONNECT_SECONDS, _READ_SECONDS = 5.0, 10.0
#: Longest wait that a webhook may ask for.
_LONGEST_WAIT: Final = 30.0


class Notifier(Protocol):
    """Somebody to tell."""

    @property
    def label(self) -> str:
        """What messages call it; no secret."""

    def send(self, texts: DigestTexts) -> None:
        """Tell it; raises RunError where it cannot be told."""


def notifier_of(place: str, *, profile: str | None = None) -> Notifier:
    """Who is meant by an option's ``place``; raises InputError where nobody is."""
    if place.startswith("arn:"):
        return TopicNotifier(place, profile)
    if re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*://", place):
        return WebhookNotifier(place)
    return FileNotifier(Path(place))


class FileNotifier:
    """A file that always holds the last digest: as JSON where its name ends so."""

    def __init__(self, file: Path) -> None:
        """Write to ``file``; raises InputError where its folder is not there."""
        if file.is_dir() or not file.resolve().parent.is_dir():
            raise InputError(f"--notify {file}: is no file in a folder that exists; name one")
        self._file = file

    @property
    def folder(self) -> Path:
        """Where the digest is written, beside the file at first."""
        return self._file.parent

    @property
    def label(self) -> str:
        """The file's path."""
        return str(self._file)

    def send(self, texts: DigestTexts) -> None:
        """Write the digest beside the file, and rename it."""
        text = texts.json if self._file.suffix == ".json" else f"{texts.subject}\n\n{texts.plain}"
        beside = self._file.with_name(f".{self._file.name}.{secrets.token_hex(4)}.part")
        try:
            try:
                with beside.open("w", encoding="utf-8") as opened:
                    opened.write(text if text.endswith("\n") else f"{text}\n")
                    opened.flush()
                    os.fsync(opened.fileno())
                beside.replace(self._file)
            finally:
                beside.unlink(missing_ok=True)
        except OSError as error:
            raise RunError(f"cannot write --notify {self._file}: {error.strerror or error}") from error


class TopicNotifier:
    """An SNS topic."""

    def __init__(self, arn: str, profile: str | None = None) -> None:
        """Publish to ``arn``; raises InputError where that is no topic's."""
        found = _TOPIC.fullmatch(arn)
        if found is None:
            raise InputError(
                f"--notify {one_line(arn)}: is no topic's ARN; write one like arn:aws:sns:REGION:ACCOUNT:NAME"
            )
        self._arn = arn
        self._region = found[1]
        self._profile = profile

    @property
    def label(self) -> str:
        """The topic's ARN."""
        return self._arn

    def send(self, texts: DigestTexts) -> None:
        """Publish one message."""
        ascii_only = re.sub(r"[^\x20-\x7e]+", " ", texts.subject.replace("\N{EN DASH}", "-"))
        subject = " ".join(ascii_only.split())[:_SUBJECT] or "demurrage"
        config = Config(
            retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=_READ_SECONDS,
        )
        more: dict[str, Any] = {}
        if self._arn.endswith(".fifo"):
            more = {"MessageGroupId": "demurrage", "MessageDeduplicationId": texts.id}
        try:
            client = open_session(self._profile).client("sns", region_name=self._region, config=config)
            client.publish(TopicArn=self._arn, Subject=subject, Message=texts.plain, **more)
        except (ClientError, BotoCoreError) as error:
            raise RunError(
                f"cannot notify {self._arn}: {one_line(error)}; it takes sns:Publish there"
            ) from error


class WebhookNotifier:
    """An https URL that takes ``{"text": …}``, as Slack's and Mattermost's incoming webhooks do."""

    def __init__(self, url: str, sleep: Callable[[float], None] = time.sleep) -> None:
        """Post to ``url``, plain http on this machine alone; raises InputError for any other."""
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname or "", parts.port
        except ValueError:
            host, parts = "", urlsplit("")
        if not host or not (parts.scheme == "https" or (parts.scheme == "http" and _is_here(host))):
            raise InputError("--notify: the webhook is no https URL; write it as https://HOST/PATH")
        self._url = url
        self._host = host
        #: Where it listens.
        self.address = host, parts.port or (443 if parts.scheme == "https" else 80)
        self._sleep = sleep

    @property
    def label(self) -> str:
        """The host, which is all of the URL that is no secret."""
        return f"the webhook at {self._host}"

    def send(self, texts: DigestTexts) -> None:
        """Post the message, again where the server or the network failed."""
        body = json.dumps({"text": texts.slack}).encode()
        failure = ""
        http = self._session()
        try:
            for attempt in range(_ATTEMPTS):
                status, failure, wait = self._post(http, body)
                if 200 <= status < 300:
                    return
                if status and status != 429 and status < 500:
                    break
                if attempt < _ATTEMPTS - 1:
                    self._sleep(min(_LONGEST_WAIT, wait or 2.0**attempt))
        finally:
            http.close()
        raise RunError(f"cannot notify {self.label}: {failure}")

    @property
    def is_proxied(self) -> bool:
        """Whether the environment's proxies lead there, who look up the name themselves."""
        return bool(self._proxies())

    def _proxies(self) -> dict[str, str]:
        return {} if _is_here(self._host) else get_environ_proxies(self._url)

    def _session(self) -> URLLib3Session:
        try:
            verify = Session().get_config_variable("ca_bundle") or True
        except BotoCoreError as error:
            raise RunError(f"AWS configuration: {one_line(error)}") from error
        return URLLib3Session(
            # It takes the name of a file as well, which its type does not say.
            verify=cast(bool, verify),
            proxies=self._proxies(),
            # Connecting, and each read: it takes the two apart, which its type does not say either.
            timeout=cast(int, (_CONNECT_SECONDS, _READ_SECONDS)),
            max_pool_connections=1,
        )

    def _post(self, http: URLLib3Session, body: bytes) -> tuple[int, str, float]:
        """Status of one attempt (0 without an answer), what is wrong, and how long to wait."""
        headers = {"Content-Type": "application/json; charset=utf-8"}
        request = AWSRequest(method="POST", url=self._url, headers=headers, data=body).prepare()
        try:
            # It follows no redirect.
            answer = http.send(request)
        except HTTPClientError as error:
            # Their text has the URL in it.
            return 0, type(error).__name__, 0.0
        wait = 0.0
        with suppress(ValueError):
            wait = float(
                {name.lower(): value for name, value in answer.headers.items()}.get("retry-after", "")
            )
        return answer.status_code, f"HTTP status {answer.status_code}", max(0.0, wait)


def _is_here(host: str) -> bool:
    """Whether ``host`` is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
