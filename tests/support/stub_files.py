"""A web server that publishes one file, as AWS's content delivery does: with an ETag, and faults."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class FileServer:
    """What is published, and what is to go wrong with it."""

    content: bytes = b""
    etag: str = '"first"'
    #: Statuses of the next answers, in this order; after these all goes well.
    statuses: list[int] = field(default_factory=list)
    #: Bytes after which the next answer breaks off.
    cut_at: int | None = None
    #: Headers of the requests that came, names in lower case.
    requests: list[dict[str, str]] = field(default_factory=list)
    url: str = ""


@contextmanager
def serve_file(server: FileServer) -> Iterator[FileServer]:
    """Run ``server`` on this machine; sets its ``url``."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.requests.append({name.lower(): value for name, value in self.headers.items()})
            status = server.statuses.pop(0) if server.statuses else 200
            if status == 200 and server.etag and self.headers.get("If-None-Match") == server.etag:
                status = 304
            body = server.content if status == 200 else b""
            self.send_response(status)
            if server.etag:
                self.send_header("ETag", server.etag)
            self.send_header("Content-Length", str(len(body)))
            if status == 302:
                self.send_header("Location", "http://192.0.2.1/")
            self.end_headers()
            self.wfile.write(body[: server.cut_at])
            server.cut_at = None
            self.close_connection = True

        def log_message(self, *arguments: Any) -> None:
            """Quiet."""

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        server.url = f"http://127.0.0.1:{listening.server_port}/ip-ranges.json"
        yield server
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()
