"""Pods and their templates, as the Kubernetes API of one EKS cluster gives them.

The cluster is asked through the official client, which also knows what a kubeconfig may say. Its
answers are taken as JSON: of a pod only the names and images are kept, never its environment.

Names of workloads: ``cluster/namespace/Kind/name`` of whatever made the pod, because pods themselves
have another name every day.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from analyzer.collect.clients import StoppedError
from analyzer.collect.refusals import Reach, Refusal, RefusedError, one_line
from analyzer.collect.workloads.eks import PODS
from analyzer.collect.workloads.kubeconfig import context_of
from analyzer.collect.workloads.reading import Reading, entries, mapping, text, with_digest
from analyzer.errors import InputError
from analyzer.model.records import UseKind

#: Objects that one answer brings at most.
_PAGE = 500
_MOST_PAGES = 2_000
#: A list whose continuation ran out (after some minutes) is begun again so often.
_READINGS = 3
#: Seconds to connect, and to wait for an answer. A private endpoint does not answer at all.
_TIMEOUT = (5.0, 30.0)

_FORBIDDEN = {401: "Unauthorized", 403: "Forbidden"}
_GONE = 410


class _List(NamedTuple):
    """One list of the Kubernetes API, as the client has it, and what a gap of it is filed under."""

    api: str
    method: str
    kind: str
    call: str


_PODS = _List("CoreV1Api", "list_pod_for_all_namespaces", "Pod", PODS)
#: Where the templates of new pods are.
_TEMPLATES = tuple(
    _List(api, f"list_{name}_for_all_namespaces", kind, f"kubernetes:List{kind}s")
    for api, name, kind in (
        ("AppsV1Api", "daemon_set", "DaemonSet"),
        ("AppsV1Api", "deployment", "Deployment"),
        ("AppsV1Api", "replica_set", "ReplicaSet"),
        ("AppsV1Api", "stateful_set", "StatefulSet"),
        ("BatchV1Api", "cron_job", "CronJob"),
    )
)
_CONTAINERS = {
    "containers": "containerStatuses",
    "initContainers": "initContainerStatuses",
    "ephemeralContainers": "ephemeralContainerStatuses",
}
#: What a CronJob adds to its name for each of its jobs: the minute it was due.
_MINUTE = re.compile(r"-[0-9]{8,}$")


class _Unreadable(Exception):  # noqa: N818  # it is a refusal, not an error
    """A list could not be read."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.detail)
        self.refusal = refusal


def read_cluster(reading: Reading, name: str, cluster: Mapping[str, Any]) -> bool:
    """Note what the cluster ``name`` runs; ``cluster`` is what DescribeCluster says of it.

    Gives whether its pods were read; whatever could not be is noted.
    """
    try:
        with _opened(reading, name, cluster) as ask:
            for pod in _listed(reading, ask, _PODS):
                _note_pod(reading, name, pod)
            for what in _TEMPLATES:
                try:
                    for entry in _listed(reading, ask, what):
                        _note_template(reading, name, what.kind, entry)
                except _Unreadable as error:
                    _note_trouble(reading, what.call, name, error.refusal)
    except _Unreadable as error:
        _note_trouble(reading, PODS, name, error.refusal)
        return False
    return True


def _note_trouble(reading: Reading, call: str, name: str, refusal: Refusal) -> None:
    detail = one_line(f"cluster {name}: {refusal.detail}", 600)
    reading.trouble(call, refusal._replace(detail=detail), about=name)


# What the answers say.


def _note_pod(reading: Reading, cluster: str, pod: Mapping[str, Any]) -> None:
    status, spec = mapping(pod.get("status")), mapping(pod.get("spec"))
    if status.get("phase") in ("Succeeded", "Failed"):
        return
    workload = _owner(cluster, "Pod", pod)
    for containers, statuses in _CONTAINERS.items():
        ids = {text(entry.get("name")): text(entry.get("imageID")) for entry in entries(status.get(statuses))}
        for container in entries(spec.get(containers)):
            # ``docker-pullable://host/name@sha256:…`` or without the scheme; a bare ``sha256:…`` is
            # the config's digest, which names no manifest.
            digest = ids.get(text(container.get("name")), "").partition("@")[2]
            kind = UseKind.RUNNING if digest else UseKind.CONFIGURED
            reading.use(workload, with_digest(container.get("image"), digest), kind)


def _note_template(reading: Reading, cluster: str, kind: str, entry: Mapping[str, Any]) -> None:
    spec = mapping(entry.get("spec"))
    holder = mapping(mapping(spec.get("jobTemplate")).get("spec")) if kind == "CronJob" else spec
    pod = mapping(mapping(holder.get("template")).get("spec"))
    # ReplicaSets that a Deployment scaled down are kept for ``kubectl rollout undo``.
    is_kept = kind == "ReplicaSet" and not spec.get("replicas")
    for containers in ("containers", "initContainers"):
        for container in entries(pod.get(containers)):
            use = UseKind.PREVIOUS if is_kept else UseKind.CONFIGURED
            reading.use(_owner(cluster, kind, entry), container.get("image"), use)


def _owner(cluster: str, kind: str, entry: Mapping[str, Any]) -> str:
    """The name of what controls an object of that kind, or its own."""
    metadata = mapping(entry.get("metadata"))
    name = text(metadata.get("name"))
    for owner in entries(metadata.get("ownerReferences")):
        if owner.get("controller"):
            kind, name = text(owner.get("kind")), text(owner.get("name"))
    suffix = "-" + text(mapping(metadata.get("labels")).get("pod-template-hash"))
    if kind == "ReplicaSet" and len(suffix) > 1 and name.endswith(suffix):
        kind, name = "Deployment", name.removesuffix(suffix)
    elif kind == "Job" and (due := _MINUTE.search(name)):
        kind, name = "CronJob", name[: due.start()]
    return f"{cluster}/{text(metadata.get('namespace'))}/{kind}/{name}"


# How they are asked for.

_Ask = Callable[[_List, Mapping[str, object]], Mapping[str, Any]]


def _listed(reading: Reading, ask: _Ask, what: _List) -> Iterator[Mapping[str, Any]]:
    """The objects of a list, page by page; raises _Unreadable."""
    for attempt in range(_READINGS):
        try:
            yield from _pages(reading, ask, what)
        except _Unreadable as error:
            # What came before is the same again: uses are a set.
            if error.refusal.reason != "Expired" or attempt == _READINGS - 1:
                raise
        else:
            return


def _pages(reading: Reading, ask: _Ask, what: _List) -> Iterator[Mapping[str, Any]]:
    query: dict[str, object] = {"limit": _PAGE}
    for _ in range(_MOST_PAGES):
        if reading.client.settings.stop.is_set():
            raise StoppedError
        answer = ask(what, query)
        yield from entries(answer.get("items"))
        following = text(mapping(answer.get("metadata")).get("continue"))
        if not following:
            return
        query["_continue"] = following
    raise _Unreadable(
        Refusal("TooManyPages", Reach.CALL, f"{_MOST_PAGES} pages of {what.call} are read at most")
    )


@contextmanager
def _opened(reading: Reading, name: str, cluster: Mapping[str, Any]) -> Iterator[_Ask]:
    """What asks the cluster's API; raises _Unreadable when there is no way in."""
    try:
        from kubernetes import client as library  # noqa: PLC0415
    except ImportError as error:
        detail = 'the Kubernetes client is not installed: pip install "demurrage[kubernetes]"'
        raise _Unreadable(Refusal("KubernetesClientMissing", Reach.CALL, detail)) from error
    configuration = library.Configuration()
    # The night has better to do than to try a private endpoint several times.
    configuration.retries = False
    file = reading.options.kubeconfig
    context = None if file is None else _context(file, name, cluster, reading.key.region)
    with tempfile.TemporaryDirectory(prefix="demurrage-") as folder:
        token: Callable[[], str] | None = None
        if file is not None and context is not None:
            _load(file, context, configuration)
        elif reading.options.eks_pods:
            _configure(configuration, cluster, Path(folder))
            token = partial(reading.client.eks_token, name)
        else:
            detail = "no context of the kubeconfig is about it, by its server or its name"
            raise _Unreadable(Refusal("NotInKubeconfig", Reach.CALL, detail))
        with library.ApiClient(configuration) as client:
            yield partial(_asked, library, client, token)


def _load(file: Path, context: str, configuration: Any) -> None:
    """Fill ``configuration`` as a context of a kubeconfig says; raises _Unreadable."""
    from kubernetes import config  # noqa: PLC0415

    try:
        # The library has types, and this function none.
        load: Any = config.load_kube_config
        load(str(file), context, configuration, persist_config=False)
    except (config.ConfigException, OSError, ValueError) as error:
        raise _Unreadable(Refusal("KubeconfigFailed", Reach.CALL, one_line(error))) from error


def _configure(configuration: Any, cluster: Mapping[str, Any], folder: Path) -> None:
    """Fill ``configuration`` for the endpoint that EKS gives; its certificate goes to ``folder``.

    Raises _Unreadable when EKS does not say how to know the cluster.
    """
    endpoint = text(cluster.get("endpoint"))
    # The token is the collector's identity: it goes to nobody who is not proven to be the cluster.
    if not endpoint.startswith("https://"):
        detail = f"EKS gives no endpoint for it yet, or none to trust: {endpoint or 'none'}"
        raise _Unreadable(Refusal("NoEndpoint", Reach.CALL, one_line(detail)))
    try:
        data = base64.b64decode(text(mapping(cluster.get("certificateAuthority")).get("data")), validate=True)
    except binascii.Error:
        data = b""
    if not data:
        raise _Unreadable(Refusal("NoCertificate", Reach.CALL, "EKS gives no certificate for it"))
    file = folder / "ca.crt"
    file.write_bytes(data)
    configuration.host = endpoint
    configuration.ssl_ca_cert = str(file)


def _asked(
    library: Any, client: Any, token: Callable[[], str] | None, what: _List, query: Mapping[str, object]
) -> Mapping[str, Any]:
    """One page of a list; raises _Unreadable. ``token`` makes a token, where the kubeconfig has none."""
    from urllib3.exceptions import HTTPError  # noqa: PLC0415

    try:
        if token is not None:
            client.configuration.api_key = {"authorization": f"Bearer {token()}"}
        ask = getattr(getattr(library, what.api)(client), what.method)
        body = ask(**query, _preload_content=False, _request_timeout=_TIMEOUT).data
    except RefusedError as error:
        raise _Unreadable(error.refusal) from error
    except library.ApiException as error:
        raise _Unreadable(_refusal(error.status, error.reason)) from error
    except (HTTPError, OSError, ValueError) as error:
        raise _Unreadable(Refusal("ClusterUnreachable", Reach.TRANSIENT, one_line(error))) from error
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise _Unreadable(Refusal("UnreadableAnswer", Reach.TRANSIENT, one_line(error))) from error
    if not isinstance(answer, dict) or not isinstance(answer.get("items") or [], list):
        raise _Unreadable(Refusal("InvalidAnswer", Reach.CALL, f"the answer to {what.call} is no list"))
    return answer


def _refusal(status: object, reason: object) -> Refusal:
    if not status:
        # How the client says that there was no answer at all.
        return Refusal("ClusterUnreachable", Reach.TRANSIENT, one_line(reason))
    if status == _GONE:
        return Refusal("Expired", Reach.TRANSIENT, "the list's continuation ran out before its end")
    if isinstance(status, int) and status in _FORBIDDEN:
        detail = f"{_FORBIDDEN[status]}: whoever asks may not list this in all namespaces"
        return Refusal(_FORBIDDEN[status], Reach.CALL, detail)
    return Refusal(f"Http{status}", Reach.TRANSIENT, one_line(reason or "no reason given"))


def _context(file: Path, name: str, cluster: Mapping[str, Any], region: str) -> str | None:
    try:
        return context_of(
            file,
            name=name,
            arn=text(cluster.get("arn")),
            endpoint=text(cluster.get("endpoint")),
            region=region,
        )
    except InputError as error:
        raise _Unreadable(Refusal("KubeconfigFailed", Reach.CALL, one_line(error))) from error
