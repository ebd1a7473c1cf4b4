"""Which context of a kubeconfig is about which EKS cluster."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from analyzer.collect.refusals import one_line
from analyzer.collect.workloads.reading import entries, mapping, text
from analyzer.errors import InputError


def load_kubeconfig(file: Path) -> Mapping[str, Any]:
    """What is in a kubeconfig; raises InputError when it cannot be read or is none."""
    # Comes with the Kubernetes client, which is an extra.
    try:
        import yaml  # noqa: PLC0415
    except ImportError as error:
        raise InputError(
            '--kubeconfig needs the Kubernetes client: pip install "demurrage[kubernetes]"'
        ) from error
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise InputError(f"--kubeconfig {file}: {one_line(error)}") from error
    if not isinstance(content, dict) or not isinstance(content.get("contexts"), list):
        raise InputError(f"--kubeconfig {file}: there are no contexts in it; is it a kubeconfig?")
    return content


def context_of(file: Path, *, name: str, arn: str, endpoint: str, region: str) -> str | None:
    """The context of ``file`` for the cluster, by its server, else by a name it is commonly given.

    By name only where the context's server is not that of another EKS cluster: a tunnel or proxy.
    Raises InputError when the file cannot be read.
    """
    content = load_kubeconfig(file)
    servers = {
        text(entry.get("name")): _address(mapping(entry.get("cluster")).get("server"))
        for entry in entries(content.get("clusters"))
    }
    names = {arn, name, f"{name}.{region}.eksctl.io"}
    by_name = None
    for entry in entries(content["contexts"]):
        context, cluster = text(entry.get("name")), text(mapping(entry.get("context")).get("cluster"))
        server = servers.get(cluster, "")
        if endpoint and server == _address(endpoint):
            return context
        is_named = cluster in names or context in names
        if is_named and by_name is None and ".eks.amazonaws.com" not in server:
            by_name = context
    return by_name


def _address(server: object) -> str:
    return text(server).lower().rstrip("/").removesuffix(":443")
