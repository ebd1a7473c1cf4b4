"""ECR Public over HTTP: its AWS API, and the registry's own at /v2/, with tokens for everybody.

Shapes are those of botocore's service model; the registry's are distribution's specification and
its token specification. A ``World`` is asked with the region "public"; the registry exists from its
first repository on.
"""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support.registry import Registry, World

_TARGET = "SpencerFrontendService."
ALIAS = "a1b2c3d4"


@dataclass
class PublicServer:
    """A running stub, and what is to go wrong with it."""

    world: World
    url: str = ""
    #: Entries of a page at most.
    page_size: int = 1000
    #: Aliases of the registry, with their status.
    aliases: dict[str, str] = field(default_factory=lambda: {ALIAS: "ACTIVE"})
    #: Error code by operation of the API.
    refused: dict[str, str] = field(default_factory=dict)
    #: Statuses of the next answers to requests for manifests, in this order.
    statuses: list[int] = field(default_factory=list)
    #: Tokens that are good; what is handed out is added.
    tokens: set[str] = field(default_factory=set)
    #: What the registry asks for of whoever has no token; {url} is its own.
    challenge: str = 'Bearer realm="{url}/token/",service="public.ecr.aws",scope="aws"'
    #: What becomes of a manifest's text on the way.
    tamper: Callable[[str], str] = lambda text: text
    calls: Counter[str] = field(default_factory=Counter)
    #: Queries of requests for a token.
    asked: list[dict[str, list[str]]] = field(default_factory=list)

    @property
    def registry(self) -> Registry:
        """The public registry."""
        return self.world.registry(region="public")

    def api(self, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        """The answer of the AWS API; raises KeyError with a code where it refuses."""
        self.calls[operation] += 1
        if operation in self.refused:
            raise KeyError(self.refused[operation])
        repositories = self.registry.repositories
        if operation == "DescribeRegistries":
            arn = f"arn:aws:ecr-public::{self.world.account}:registry/{self.world.account}"
            registry = {
                "registryId": self.world.account,
                "registryArn": arn,
                "registryUri": f"public.ecr.aws/{ALIAS}",
                "verified": False,
                "aliases": [
                    {
                        "name": name,
                        "status": status,
                        "primaryRegistryAlias": name == ALIAS,
                        "defaultRegistryAlias": name == ALIAS,
                    }
                    for name, status in self.aliases.items()
                ],
            }
            return {"registries": [registry] if repositories else []}
        if operation == "DescribeRepositories":
            rows = [self._described(name) for name in sorted(repositories)]
            return self._page("repositories", rows, parameters)
        if operation == "ListTagsForResource":
            tags = repositories[parameters["resourceArn"].partition("repository/")[2]].resource_tags
            return {"tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
        unknown = parameters.keys() - {"repositoryName", "registryId", "maxResults", "nextToken"}
        if unknown:
            raise KeyError("InvalidParameterException")
        repository = repositories.get(parameters["repositoryName"])
        if repository is None:
            raise KeyError("RepositoryNotFoundException")
        if operation == "DescribeImages":
            rows = [
                {
                    key: value
                    for key, value in json.loads(image.detail(self.world.account, "")).items()
                    if key in _DETAIL
                }
                for image in repository.images.values()
            ]
            return self._page("imageDetails", rows, parameters)
        if operation == "GetRepositoryPolicy":
            raise KeyError("RepositoryPolicyNotFoundException")
        raise KeyError("UnsupportedCommandException")

    def _described(self, name: str) -> dict[str, Any]:
        return {
            "repositoryArn": f"arn:aws:ecr-public::{self.world.account}:repository/{name}",
            "registryId": self.world.account,
            "repositoryName": name,
            "repositoryUri": f"public.ecr.aws/{ALIAS}/{name}",
            "createdAt": self.registry.repositories[name].created_at,
        }

    def _page(self, key: str, rows: list[dict[str, Any]], parameters: dict[str, Any]) -> dict[str, Any]:
        start = int(parameters.get("nextToken", 0))
        end = start + min(self.page_size, parameters.get("maxResults", 100))
        more = {"nextToken": str(end)} if end < len(rows) else {}
        return {key: rows[start:end], **more}

    def manifest(self, path: str, token: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of a request for ``/v2/…``."""
        self.calls["manifests"] += 1
        if token.removeprefix("Bearer ") not in self.tokens:
            return 401, {"WWW-Authenticate": self.challenge.format(url=self.url)}, b"{}"
        if self.statuses and (status := self.statuses.pop(0)) != 200:
            return status, {}, b'{"errors":[{"code":"TOOMANYREQUESTS"}]}'
        matched = re.fullmatch(rf"/v2/{ALIAS}/(.+)/manifests/(sha256:[0-9a-f]{{64}})", path)
        repository = self.registry.repositories.get(matched[1]) if matched else None
        image = repository.images.get(matched[2]) if repository and matched else None
        if image is None:
            return 404, {}, b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}'
        return (
            200,
            {"Content-Type": image.media_type},
            self.tamper(image.manifest).encode("utf-8", "surrogateescape"),
        )


#: Members of the public API's ImageDetail.
_DETAIL = {
    "artifactMediaType",
    "imageDigest",
    "imageManifestMediaType",
    "imagePushedAt",
    "imageSizeInBytes",
    "imageTags",
    "registryId",
}


@contextmanager
def serve_public(world: World) -> Iterator[PublicServer]:
    """The stub in a thread."""
    state = PublicServer(world)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_request(self, *_: object) -> None:
            pass

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            operation = self.headers["X-Amz-Target"].removeprefix(_TARGET)
            try:
                self._answer(200, {}, json.dumps(state.api(operation, json.loads(body or b"{}"))).encode())
            except KeyError as error:
                refusal = {"__type": error.args[0], "message": f"{operation} was refused"}
                self._answer(400, {}, json.dumps(refusal).encode())

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            if url.path == "/token/":
                state.asked.append(parse_qs(url.query))
                token = f"token-{len(state.asked)}"
                state.tokens.add(token)
                self._answer(200, {}, json.dumps({"token": token}).encode())
                return
            self._answer(*state.manifest(url.path, self.headers.get("Authorization", "")))

        def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
