"""A real registry (Debian's docker-registry) with images pushed by skopeo: the truth about stored bytes."""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from analyzer.demo import pour
from analyzer.demo.plan import Image, Registry, Repository, digest_of

TOOLS = ("docker-registry", "skopeo", "umoci")
_MEDIA_TYPES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_OCI_INDEX = "application/vnd.oci.image.index.v1+json"
_START_SECONDS = 20.0


def require_tools() -> None:
    """Skip the test where a tool is not installed."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


class StoredManifest(NamedTuple):
    """A manifest as the registry serves it, and the tags that point at it."""

    digest: str
    media_type: str
    text: str
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DockerRegistry:
    """A running registry and its folder."""

    host: str
    root: Path

    def manifests(self) -> dict[str, list[StoredManifest]]:
        """What each repository serves: every tagged manifest, and the children of indexes."""
        names = self._json("_catalog")["repositories"]
        return {name: self._manifests_of(name) for name in sorted(names)}

    def stored_bytes(self) -> int:
        """Bytes of its blob folder less those blobs that are manifests: configs and layers, each once."""
        manifests = {manifest.digest for held in self.manifests().values() for manifest in held}
        blobs = self.root / "docker" / "registry" / "v2" / "blobs" / "sha256"
        return sum(
            data.stat().st_size
            for data in blobs.glob("*/*/data")
            if f"sha256:{data.parent.name}" not in manifests
        )

    def push(self, layout: Path, image: str, repository: str, tag: str, *options: str) -> None:
        """Copy ``image`` of an OCI layout to ``repository:tag`` with skopeo."""
        _run(
            "skopeo",
            "copy",
            "--insecure-policy",
            "--dest-tls-verify=false",
            *options,
            f"oci:{layout}:{image}",
            f"docker://{self.host}/{repository}:{tag}",
        )

    def _manifests_of(self, repository: str) -> list[StoredManifest]:
        tags: dict[str, list[str]] = {}
        for tag in self._json(f"{repository}/tags/list")["tags"] or []:
            _, text = self._get(f"{repository}/manifests/{tag}")
            tags.setdefault(digest_of(text), []).append(tag)
        found: dict[str, StoredManifest] = {}
        wanted = sorted(tags)
        while wanted:
            digest = wanted.pop()
            if digest in found:
                continue
            media_type, text = self._get(f"{repository}/manifests/{digest}")
            found[digest] = StoredManifest(digest, media_type, text, tuple(sorted(tags.get(digest, ()))))
            wanted += [entry["digest"] for entry in json.loads(text).get("manifests", ())]
        return [found[digest] for digest in sorted(found)]

    def _get(self, path: str) -> tuple[str, str]:
        """Media type and text of one answer."""
        request = urllib.request.Request(
            f"http://{self.host}/v2/{path}", headers={"Accept": ", ".join(_MEDIA_TYPES)}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - always http, to this machine
            return answer.headers.get_content_type(), answer.read().decode()

    def _json(self, path: str) -> Any:
        return json.loads(self._get(path)[1])


@contextmanager
def docker_registry(folder: Path) -> Iterator[DockerRegistry]:
    """A registry that keeps its blobs below ``folder``; skips where the tools are missing."""
    require_tools()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{probe.getsockname()[1]}"
    root = folder / "registry"
    settings = folder / "registry.yml"
    settings.write_text(
        f"version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {root}\nhttp:\n  addr: {host}\n"
    )
    with (folder / "registry.log").open("wb") as log:
        server = subprocess.Popen(["docker-registry", "serve", str(settings)], stdout=log, stderr=log)
        try:
            _await(host, server)
            yield DockerRegistry(host, root)
        finally:
            server.terminate()
            server.wait(timeout=30)


def _await(host: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            urllib.request.urlopen(f"http://{host}/v2/", timeout=5).close()
        except OSError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"


def fill(registry: DockerRegistry, folder: Path) -> None:
    """Push images that share layers: OCI and Docker manifests, an index, one image in two repositories."""
    layout = folder / "layout"
    # base <- app <- app-2, and base <- worker; a tag that moves leaves the image under it behind.
    _run("umoci", "init", "--layout", str(layout))
    _run("umoci", "new", "--image", f"{layout}:base")
    _layer(folder, layout, "base", "base", 300_000)
    _layer(folder, layout, "base", "tools", 120_000)
    for image, below, size in (("app", "base", 50_000), ("worker", "base", 70_000), ("app-2", "app", 9_000)):
        _run("umoci", "tag", "--image", f"{layout}:{below}", image)
        _layer(folder, layout, image, image, size)
    _index(layout, "multi", ["app", "worker"])

    registry.push(layout, "base", "platform/base", "1")
    registry.push(layout, "app", "team/app", "v1")
    registry.push(layout, "app-2", "team/app", "v2")
    registry.push(layout, "app-2", "team/app", "latest")
    registry.push(layout, "app", "team/app-docker", "v1", "--format", "v2s2")
    registry.push(layout, "worker", "team/worker", "v1", "--format", "v2s2")
    registry.push(layout, "app-2", "mirror/app", "v2")
    registry.push(layout, "multi", "team/multi", "v1", "--all")


def _layer(folder: Path, layout: Path, image: str, name: str, size: int) -> None:
    """Add a layer of one file of ``size`` bytes that no compression makes smaller."""
    content = folder / name
    content.mkdir()
    (content / "data").write_bytes(random.Random(name).randbytes(size))
    rootless = () if os.geteuid() == 0 else ("--rootless",)
    _run("umoci", "insert", *rootless, "--image", f"{layout}:{image}", str(content), f"/{name}")


def _index(layout: Path, name: str, images: Sequence[str]) -> None:
    """Write an index of ``images`` into an OCI layout by hand, for umoci makes none."""
    top = json.loads((layout / "index.json").read_text())
    by_name = {entry["annotations"]["org.opencontainers.image.ref.name"]: entry for entry in top["manifests"]}
    children = []
    for image, architecture in zip(images, ("amd64", "arm64"), strict=True):
        entry: Mapping[str, Any] = by_name[image]
        child = {key: entry[key] for key in ("mediaType", "digest", "size")}
        children.append(child | {"platform": {"os": "linux", "architecture": architecture}})
    text = json.dumps({"schemaVersion": 2, "mediaType": _OCI_INDEX, "manifests": children})
    digest = digest_of(text)
    (layout / "blobs" / "sha256" / digest.partition(":")[2]).write_text(text)
    top["manifests"].append(
        {
            "mediaType": _OCI_INDEX,
            "digest": digest,
            "size": len(text),
            "annotations": {"org.opencontainers.image.ref.name": name},
        }
    )
    (layout / "index.json").write_text(json.dumps(top))


def transcribe(registry: DockerRegistry, account: str, region: str) -> None:
    """Put what ``registry`` holds into moto's backend, blob mounting on; under ``moto_faults.mended()``."""
    pour.pour_registry(account, Registry(region=region, blob_mounting="ENABLED"))
    pushed_at = datetime(2026, 11, 1, tzinfo=UTC)
    for name, manifests in registry.manifests().items():
        images = [
            Image(
                manifest=manifest.text,
                media_type=manifest.media_type,
                digest=manifest.digest,
                pushed_at=pushed_at,
                tags=list(manifest.tags),
            )
            for manifest in manifests
        ]
        repository = Repository(region=region, name=name, created_at=pushed_at, images=images)
        pour.pour_repository(account, repository)
