"""The media types of manifests that registries hold, and what each is."""

from __future__ import annotations

from collections.abc import Mapping

from analyzer.model.records import Kind

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"

#: What this version can read.
KINDS: Mapping[str, Kind] = {
    DOCKER_MANIFEST: Kind.IMAGE,
    OCI_MANIFEST: Kind.IMAGE,
    DOCKER_LIST: Kind.INDEX,
    OCI_INDEX: Kind.INDEX,
}
