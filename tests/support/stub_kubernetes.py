"""A Kubernetes API that lists a few kinds of objects, over HTTPS with a certificate of its own.

It pages as Kubernetes does (``limit``, ``continue``), refuses what is forbidden, lets continuations
expire, and remembers who asked.
"""

from __future__ import annotations

import base64
import contextlib
import json
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PODS = "/api/v1/pods"
DEPLOYMENTS = "/apis/apps/v1/deployments"
REPLICA_SETS = "/apis/apps/v1/replicasets"
CRON_JOBS = "/apis/batch/v1/cronjobs"


@dataclass
class Cluster:
    """What a cluster holds, and how it behaves."""

    #: By path, the objects in it; other lists are empty.
    objects: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    #: By path, a status to refuse with.
    refused: dict[str, int] = field(default_factory=dict)
    #: So many continuations have run out when they are used.
    expired: int = 0
    page_size: int = 2
    #: Instead of an answer, as it is.
    body: bytes | None = None
    #: Path, query and Authorization header of each request.
    requests: list[tuple[str, dict[str, str], str]] = field(default_factory=list)
    url: str = ""
    #: PEM, as base64: what EKS calls certificateAuthority.data.
    certificate: str = ""

    def asked(self, path: str) -> list[dict[str, str]]:
        """The queries of all requests for ``path``."""
        return [query for asked, query, _ in self.requests if asked == path]

    def answer(self, path: str, query: dict[str, str]) -> tuple[int, bytes]:
        """Status and body of an answer."""
        if path in self.refused:
            return self.refused[path], json.dumps({"kind": "Status", "message": "no"}).encode()
        if self.body is not None:
            return 200, self.body
        items = self.objects.get(path, [])
        start = int(query.get("continue", 0))
        if start and self.expired:
            self.expired -= 1
            return 410, json.dumps({"kind": "Status", "reason": "Expired"}).encode()
        end = start + min(int(query["limit"]), self.page_size)
        metadata = {"continue": str(end)} if end < len(items) else {}
        return 200, json.dumps({"kind": "List", "metadata": metadata, "items": items[start:end]}).encode()


@contextlib.contextmanager
def serve(folder: Path, *, secure: bool = True) -> Iterator[Cluster]:
    """Serve an empty cluster on a free port of 127.0.0.1; its key goes to ``folder``."""
    cluster = Cluster()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            cluster.requests.append((parts.path, query, self.headers.get("Authorization", "")))
            status, body = cluster.answer(parts.path, query)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if secure:
        certificate, file = _certificate(folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        cluster.certificate = base64.b64encode(certificate).decode()
    scheme = "https" if secure else "http"
    cluster.url = f"{scheme}://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield cluster
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _certificate(folder: Path) -> tuple[bytes, Path]:
    """A certificate of an authority for 127.0.0.1, and the file with it and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubernetes")])
    now = datetime.now(UTC)
    address = x509.IPAddress(IPv4Address("127.0.0.1"))
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    file = folder / "kubernetes.pem"
    file.write_bytes(
        pem
        + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return pem, file
