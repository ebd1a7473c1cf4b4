"""The small HTTP endpoint: health, metrics, and the published reports to read in a browser.

It has no authentication, and so listens on loopback unless told otherwise, where it answers to names of
this machine alone: a web page that somebody reads elsewhere could have its own name lead here (DNS
rebinding), and read what was meant for this machine. It only reads, and shows no file but those below
the published folder.
"""

from __future__ import annotations

import errno
import ipaddress
import json
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from email.utils import formatdate, parsedate_to_datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, NamedTuple

from waitress.server import create_server
from waitress.wasyncore import close_all

from analyzer.errors import InputError
from analyzer.model.publication import INDEX_HTML, INDEX_JSON, LATEST_HTML, REPORTS
from analyzer.publishing.publish import content_type
from analyzer.service.health import health, is_alive
from analyzer.service.metrics import CONTENT_TYPE, Metrics
from analyzer.service.server import ServerState
from analyzer.store.engine import Database
from reports.text import json_escaped

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

_BLOCK: Final = 1 << 16
_TOP: Final = (INDEX_HTML, INDEX_JSON, LATEST_HTML)
#: Pages bring style and script along and name them by hash in a policy of their own; this one, which
#: counts as well, keeps them from being framed and from reaching anything else.
_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = (
    ("Content-Security-Policy", _POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
_STATUS: Final = {
    200: "200 OK",
    304: "304 Not Modified",
    404: "404 Not Found",
    405: "405 Method Not Allowed",
    421: "421 Misdirected Request",
    503: "503 Service Unavailable",
}
_NO_FOLDER: Final = "No folder of reports is published by this server: add --publish DIR\n"


class Address(NamedTuple):
    """Where to listen."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return _is_loopback(self.host)


class Answer(NamedTuple):
    """Status, headers and body of an answer."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes | Path


def parse_address(text: str) -> Address:
    """``127.0.0.1:8010``, ``[::1]:8010``, ``localhost:8010``; raises InputError for anything else."""
    host, colon, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    is_port = re.fullmatch("[0-9]{1,5}", port) is not None and int(port) <= 65_535
    if not colon or not bare or not is_port or (":" in host) != (bare != host):
        raise InputError(
            f"--listen {text}: is no address; write HOST:PORT, such as 127.0.0.1:8010 or [::1]:8010"
        )
    return Address(bare, int(port))


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Site:
    """The WSGI application."""

    def __init__(
        self,
        database: Database,
        state: ServerState,
        metrics: Metrics,
        *,
        folder: Path | None,
        max_age_ms: int,
        any_host: bool,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Show the reports in ``folder``; with ``any_host`` whatever name it is called by."""
        self._database = database
        self._state = state
        self._metrics = metrics
        self._folder = None if folder is None else folder.resolve()
        self._max_age_ms = max_age_ms
        self._any_host = any_host
        self._clock = clock

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        answer = self._answer(environ)
        is_head = environ["REQUEST_METHOD"] == "HEAD"
        headers = [*_HEADERS, *answer.headers]
        body: Iterable[bytes] = []
        if isinstance(answer.body, Path):
            file = answer.body.open("rb")
            # What was opened is measured: the name may lead to another file by now.
            headers.append(("Content-Length", str(file.seek(0, 2))))
            file.seek(0)
            if is_head:
                file.close()
            else:
                body = _blocks(file)
        else:
            if answer.status != 304:
                headers.append(("Content-Length", str(len(answer.body))))
            body = [] if is_head or answer.status == 304 else [answer.body]
        start_response(_STATUS[answer.status], headers)
        return body

    def _answer(self, environ: WSGIEnvironment) -> Answer:
        if not self._any_host and not _is_loopback(_host_name(environ.get("HTTP_HOST", ""))):
            return _text(421, "This address is for this machine alone; call it localhost\n")
        if environ["REQUEST_METHOD"] not in {"GET", "HEAD"}:
            answer = _text(405, "Only GET and HEAD are answered\n")
            return answer._replace(headers=[*answer.headers, ("Allow", "GET, HEAD")])
        # WSGI gives the path decoded as Latin-1 (PEP 3333).
        path = environ.get("PATH_INFO", "") or "/"
        if path == "/healthz":
            return self._health()
        if path == "/livez":
            alive = is_alive(self._state)
            return _text(200 if alive else 503, "alive\n" if alive else "the service's loop does not turn\n")
        if path == "/metrics":
            return Answer(
                200, [("Content-Type", CONTENT_TYPE), ("Cache-Control", "no-store")], self._metrics.render()
            )
        return self._file(path, environ)

    def _health(self) -> Answer:
        now_ms = round(self._clock() * 1000)
        is_well, document = health(self._database, self._state, now_ms, self._max_age_ms)
        text = json_escaped(json.dumps(document, indent=1, ensure_ascii=False)) + "\n"
        headers = [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
        return Answer(200 if is_well else 503, headers, text.encode())

    def _file(self, path: str, environ: WSGIEnvironment) -> Answer:
        """A file of the published folder: one of those at its top, or one of a report."""
        if self._folder is None:
            return _text(404, _NO_FOLDER)
        name = path.removeprefix("/") or INDEX_HTML
        parts = name.split("/")
        is_known = name in _TOP or (parts[0] == REPORTS and len(parts) > 2)
        # Nothing hidden, nothing above; and what a link leads to has to lie within as well.
        if not is_known or any(
            not part or part.startswith(".") or "\\" in part or "\0" in part for part in parts
        ):
            return _text(404, "There is no such page\n")
        try:
            file = self._folder.joinpath(*parts).resolve(strict=True)
            about = file.stat()
        except (OSError, ValueError):
            return _text(404, "No report is published yet\n" if name in _TOP else "There is no such page\n")
        if not file.is_file() or not file.is_relative_to(self._folder):
            return _text(404, "There is no such page\n")
        tag = f'"{about.st_mtime_ns:x}-{about.st_size:x}"'
        headers = [
            ("Content-Type", content_type(name)),
            ("ETag", tag),
            ("Last-Modified", formatdate(about.st_mtime, usegmt=True)),
            ("Cache-Control", "private, no-cache"),
        ]
        if _is_unchanged(environ, tag, about.st_mtime):
            return Answer(304, headers, b"")
        return Answer(200, headers, file)


def _host_name(header: str) -> str:
    """The name in a Host header, without its port."""
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.rpartition(":")[0] if ":" in header else header


def _is_unchanged(environ: Mapping[str, Any], tag: str, modified: float) -> bool:
    """Whether the client has this version already (RFC 9110, 13.2.2)."""
    known = environ.get("HTTP_IF_NONE_MATCH")
    if known is not None:
        names = {name.strip().removeprefix("W/") for name in known.split(",")}
        return tag in names or "*" in names
    since = environ.get("HTTP_IF_MODIFIED_SINCE")
    if since is None:
        return False
    try:
        return int(modified) <= parsedate_to_datetime(since).timestamp()
    except (ValueError, OverflowError):
        return False


def _text(status: int, text: str) -> Answer:
    return Answer(
        status, [("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store")], text.encode()
    )


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while block := file.read(_BLOCK):
            yield block


@contextmanager
def listening(site: Site, address: Address) -> Iterator[int]:
    """Answers requests from threads of their own until the block ends; gives the port.

    Raises InputError where the address cannot be listened to.
    """
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        bound = socket.create_server(address, family=family)
    except OSError as error:
        # Of its own text Python makes a sentence about itself; a name that nobody knows has no number.
        number = error.errno or 0
        said = os.strerror(number) if number in errno.errorcode else error.strerror or error
        raise InputError(
            f"--listen {address.host}:{address.port}: {said}; name another address, or end what listens there"
        ) from error
    sockets: dict[int, Any] = {}
    server: Any = create_server(
        site, map=sockets, sockets=[bound], threads=4, ident="demurrage", clear_untrusted_proxy_headers=True
    )
    loop = threading.Thread(target=server.run, name="http", daemon=True)
    loop.start()
    try:
        yield int(bound.getsockname()[1])
    finally:
        # This only ends the loop. Who still answers a request wakes it by a byte into a pipe, which goes by
        # number: once that is closed, into whatever file has the number then. So it is closed last.
        held: dict[int, Any] = {}

        def end() -> None:
            held.update(sockets)
            sockets.clear()

        server.trigger.pull_trigger(end)
        loop.join(10)
        server.task_dispatcher.shutdown()
        if not loop.is_alive() and not server.task_dispatcher.threads:
            close_all(held)
