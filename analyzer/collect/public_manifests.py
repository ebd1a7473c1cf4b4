"""Manifests of ECR Public, from the registry's own HTTP API: its AWS API has no call that gives them.

That is the OCI distribution API at public.ecr.aws, asked without credentials, with a token that
everybody gets (distribution's token specification; ECR Public hands it out at /token/). Nothing
but the name of what is asked for leaves this machine.

Who does not sign in may pull one image a second, and this is not adjustable (ECR Public service
quotas, "Rate of unauthenticated image pulls"): a first night takes a second for each manifest, and
all later ones hardly any.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple, cast
from urllib.parse import quote, urlencode

from botocore.awsrequest import AWSRequest
from botocore.httpsession import URLLib3Session
from botocore.utils import get_environ_proxies

from analyzer.collect.clients import CallCounts, StoppedError
from analyzer.collect.rates import TokenBucket
from analyzer.collect.refusals import NETWORK_ERRORS, one_line
from analyzer.manifests import ACCEPTED_MEDIA_TYPES

#: Where ECR Public's registry is.
REGISTRY_URL = "https://public.ecr.aws"
#: Pulls a second of somebody who does not sign in.
PULLS_PER_SECOND = 1.0

_ATTEMPTS = 5
_TIMEOUT_SECONDS = 60
#: After so many manifests in a row that could not be had, nothing more is asked.
_PATIENCE = 3
#: The name under which these calls are counted.
_COUNTED_AS = "ecr-public:GetManifest"
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')


class FetchedManifest(NamedTuple):
    """A manifest as the registry gave it; not checked against its digest."""

    text: str
    media_type: str


class ManifestFailure(NamedTuple):
    """Why there is none."""

    code: str
    detail: str


class PublicManifests:
    """The registry's HTTP API; safe to share between threads."""

    def __init__(
        self,
        *,
        stop: threading.Event,
        counts: CallCounts,
        url: str = REGISTRY_URL,
        per_second: float = PULLS_PER_SECOND,
        verify: bool | str = True,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """``stop`` is set when the run is ending; ``verify`` may be a file of certificates to trust."""
        self._url = url
        self._stop = stop
        self._counts = counts
        self._sleep = sleep
        self._bucket = TokenBucket(per_second, sleep=sleep)
        self._http = URLLib3Session(
            # It takes the name of a file as well, which its type does not say.
            verify=cast(bool, verify),
            proxies=get_environ_proxies(url),
            timeout=_TIMEOUT_SECONDS,
            max_pool_connections=4,
        )
        self._lock = threading.Lock()
        self._tokens: dict[str, str] = {}
        self._failures = 0

    def get(self, repository: str, digest: str) -> FetchedManifest | ManifestFailure:
        """The manifest ``digest`` of ``repository`` (``alias/name``); raises StoppedError."""
        if self._failures >= _PATIENCE:
            detail = f"not asked: the last {_PATIENCE} manifests could not be had"
            return ManifestFailure("GaveUp", detail)
        found = ManifestFailure("Unknown", "")
        for attempt in range(_ATTEMPTS):
            if attempt:
                self._sleep(2.0 ** (attempt - 1))
            answer = self._ask(repository, digest)
            if not isinstance(answer, _Passing):
                self._failures = 0
                return answer
            found = answer.failure
        self._failures += 1
        return found

    def _ask(self, repository: str, digest: str) -> FetchedManifest | ManifestFailure | _Passing:
        url = f"{self._url}/v2/{quote(repository)}/manifests/{quote(digest, safe=':')}"
        answer = self._get(url, self._headers(repository))
        if answer.status == 401:
            # No token yet, or one that has grown too old.
            refused = self._fetch_token(repository, answer.headers.get("www-authenticate", ""))
            if refused is not None:
                return refused
            answer = self._get(url, self._headers(repository))
        if answer.status != 200:
            return _failure(answer)
        try:
            text = answer.body.decode()
        except UnicodeDecodeError:
            return ManifestFailure("InvalidAnswer", "what came is no UTF-8 text")
        return FetchedManifest(text, answer.headers.get("content-type", "").partition(";")[0].strip())

    def _headers(self, repository: str) -> dict[str, str]:
        headers = {"Accept": ", ".join(ACCEPTED_MEDIA_TYPES)}
        with self._lock:
            token = self._tokens.get(repository)
        return headers if token is None else {**headers, "Authorization": f"Bearer {token}"}

    def _fetch_token(self, repository: str, challenge: str) -> ManifestFailure | _Passing | None:
        """Get the token that everybody gets; gives why it cannot be had."""
        asked = dict(_CHALLENGE.findall(challenge))
        realm = asked.get("realm", "")
        # An answer must not send us elsewhere.
        if not challenge.lower().startswith("bearer ") or not realm.startswith(f"{self._url}/"):
            return ManifestFailure(
                "InvalidAnswer", f"the registry asks for {one_line(challenge, 100) or 'nothing'}"
            )
        service = asked.get("service", "")
        query = urlencode({"service": service, "scope": f"repository:{repository}:pull"})
        answer = self._get(f"{realm}?{query}", {})
        if answer.status != 200:
            return _failure(answer)
        try:
            token = json.loads(answer.body)["token"]
        except (ValueError, KeyError, TypeError, RecursionError):
            token = None
        if not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]+", token):
            return ManifestFailure("InvalidAnswer", "the registry gave no token")
        with self._lock:
            self._tokens[repository] = token
        return None

    def _get(self, url: str, headers: Mapping[str, str]) -> _Answer:
        self._bucket.acquire()
        if self._stop.is_set():
            raise StoppedError
        request = AWSRequest(method="GET", url=url, headers=dict(headers)).prepare()
        try:
            answer = self._http.send(request)
            body = answer.content
        except NETWORK_ERRORS as error:
            self._counts.count(_COUNTED_AS)
            return _Answer(0, {}, b"", f"{type(error).__name__}: {one_line(error)}")
        self._counts.count(_COUNTED_AS, len(body))
        return _Answer(
            answer.status_code, {name.lower(): value for name, value in answer.headers.items()}, body, ""
        )


class _Answer(NamedTuple):
    #: 0 where none came.
    status: int
    #: Names in lower case.
    headers: Mapping[str, str]
    body: bytes
    #: What went wrong on the way.
    error: str


class _Passing(NamedTuple):
    """A failure that another attempt may not meet."""

    failure: ManifestFailure


def _failure(answer: _Answer) -> ManifestFailure | _Passing:
    if answer.status == 0:
        code, _, detail = answer.error.partition(": ")
        return _Passing(ManifestFailure(code, detail))
    if answer.status == 404:
        return ManifestFailure("ImageNotFound", "the registry does not have it")
    failure = ManifestFailure(f"Http{answer.status}", one_line(answer.body.decode("utf-8", "replace"), 200))
    return _Passing(failure) if answer.status == 429 or answer.status >= 500 else failure
