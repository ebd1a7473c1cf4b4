"""Pods through a Kubernetes API that speaks HTTPS, with the official client."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from analyzer.collect.workloads.kubeconfig import context_of, load_kubeconfig
from analyzer.errors import InputError
from analyzer.model.records import Gap, ReadStatus, WorkloadRead
from tests.analyzer.collect.workloads.fakes import (
    ACCOUNT,
    CONFIGURED,
    PREVIOUS,
    REGION,
    RUNNING,
    digest,
    image,
    read,
)
from tests.support import stub_kubernetes
from tests.support.stub_kubernetes import CRON_JOBS, DEPLOYMENTS, PODS, REPLICA_SETS, Cluster
from tests.support.stub_workloads import Request, Workloads

pytest.importorskip("kubernetes", reason="the extra demurrage[kubernetes] is not installed")

ARN = f"arn:aws:eks:{REGION}:{ACCOUNT}:cluster/prod"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with stub_kubernetes.serve(tmp_path_factory.mktemp("cluster")) as served:
        yield served


@pytest.fixture
def cluster(api: Cluster) -> Cluster:
    fresh = Cluster()
    api.objects, api.refused, api.requests = fresh.objects, fresh.refused, fresh.requests
    api.expired, api.page_size, api.body = fresh.expired, fresh.page_size, fresh.body
    return api


def eks(cluster: Cluster, **changed: Any) -> Workloads:
    described = {
        "name": "prod",
        "arn": ARN,
        "endpoint": cluster.url,
        "certificateAuthority": {"data": cluster.certificate},
        **changed,
    }
    return Workloads(
        {"eks:ListClusters": {"clusters": ["prod"]}, "eks:DescribeCluster": {"cluster": described}}
    )


def read_pods(cluster: Cluster, **options: Any) -> tuple[WorkloadRead, list[Gap]]:
    (found,), gaps = read(eks(cluster), "eks", **{"eks_pods": True, **options})
    return found, gaps


def owned(kind: str, name: str) -> list[dict[str, Any]]:
    return [{"kind": "Other", "name": "x"}, {"kind": kind, "name": name, "controller": True}]


def pod(
    name: str, containers: dict[str, tuple[str, str]], phase: str = "Running", **metadata: Any
) -> dict[str, Any]:
    return {
        "metadata": {"namespace": "shop", "name": name, **metadata},
        "spec": {
            "containers": [
                {"name": key, "image": one, "env": "secret"} for key, (one, _) in containers.items()
            ]
        },
        "status": {
            "phase": phase,
            "containerStatuses": [{"name": key, "imageID": it} for key, (_, it) in containers.items()],
        },
    }


def template(*images: str) -> dict[str, Any]:
    return {
        "template": {"spec": {"containers": [{"name": f"c{n}", "image": i} for n, i in enumerate(images)]}}
    }


def test_pods_are_told_by_what_made_them_with_the_digests_they_got(cluster: Cluster) -> None:
    labels = {"pod-template-hash": "5d9f"}
    owner = owned("ReplicaSet", "web-5d9f")
    running = {
        "main": (image("web:7"), image("web", "a")),
        "side": ("envoy", f"docker-pullable://e@{digest('b')}"),
    }
    starting = pod("new", {"main": (image("new:1"), "")}, phase="Pending")
    local = pod("local", {"main": ("built", "sha256:" + "f" * 64)})
    with_init = pod("init", {"main": (image("m:1"), image("m", "c"))})
    with_init["spec"]["initContainers"] = [{"name": "i", "image": image("i:1")}]
    with_init["spec"]["ephemeralContainers"] = [{"name": "e", "image": image("e:1")}]
    with_init["status"]["initContainerStatuses"] = [{"name": "i", "imageID": image("i", "d")}]
    with_init["status"]["ephemeralContainerStatuses"] = [{"name": "e", "imageID": image("e", "e")}]
    cluster.objects[PODS] = [
        *(pod(f"web-5d9f-{n}", running, labels=labels, ownerReferences=owner) for n in range(3)),
        pod("db-0", {"main": (image("db:1"), image("db", "a"))}, ownerReferences=owned("StatefulSet", "db")),
        pod(
            "j-x", {"main": (image("j:1"), image("j", "a"))}, ownerReferences=owned("Job", "nightly-29012345")
        ),
        pod("k-x", {"main": (image("k:1"), image("k", "a"))}, ownerReferences=owned("Job", "migrate")),
        pod("done", {"main": (image("done:1"), image("done", "a"))}, phase="Succeeded"),
        starting,
        local,
        with_init,
    ]
    found, gaps = read_pods(cluster)
    assert gaps == []
    assert found.status is ReadStatus.COMPLETE
    assert [tuple(use) for use in found.uses] == [
        ("prod/shop/CronJob/nightly", image("j:1", "a"), RUNNING),
        ("prod/shop/Deployment/web", image("web:7", "a"), RUNNING),
        ("prod/shop/Deployment/web", f"envoy@{digest('b')}", RUNNING),
        ("prod/shop/Job/migrate", image("k:1", "a"), RUNNING),
        ("prod/shop/Pod/init", image("e:1", "e"), RUNNING),
        ("prod/shop/Pod/init", image("i:1", "d"), RUNNING),
        ("prod/shop/Pod/init", image("m:1", "c"), RUNNING),
        ("prod/shop/Pod/local", "built", CONFIGURED),
        ("prod/shop/Pod/new", image("new:1"), CONFIGURED),
        ("prod/shop/StatefulSet/db", image("db:1", "a"), RUNNING),
    ]
    # Two a page here; with the limit that asks for more at a time.
    assert [query.get("continue") for query in cluster.asked(PODS)] == [None, "2", "4", "6", "8"]
    assert {query["limit"] for query in cluster.asked(PODS)} == {"500"}


def test_templates_name_what_would_run_next_and_what_a_rollback_would(cluster: Cluster) -> None:
    def named(name: str, **metadata: Any) -> dict[str, Any]:
        return {"namespace": "shop", "name": name, **metadata}

    labels = {"pod-template-hash": "1"}
    of_web = {"ownerReferences": owned("Deployment", "web"), "labels": labels}
    cluster.objects[DEPLOYMENTS] = [{"metadata": named("web"), "spec": {"replicas": 0, **template("web:2")}}]
    cluster.objects[REPLICA_SETS] = [
        {"metadata": named("web-1", **of_web), "spec": {"replicas": 0, **template("web:1")}},
        {"metadata": named("web-2", **of_web), "spec": {"replicas": 2, **template("web:2")}},
        {"metadata": named("bare"), "spec": {"replicas": 1, **template("bare:1")}},
    ]
    cluster.objects[CRON_JOBS] = [
        {"metadata": named("nightly"), "spec": {"jobTemplate": {"spec": template("job:1")}}}
    ]
    found, gaps = read_pods(cluster)
    assert gaps == []
    assert [tuple(use) for use in found.uses] == [
        ("prod/shop/CronJob/nightly", "job:1", CONFIGURED),
        ("prod/shop/Deployment/web", "web:1", PREVIOUS),
        ("prod/shop/Deployment/web", "web:2", CONFIGURED),
        ("prod/shop/ReplicaSet/bare", "bare:1", CONFIGURED),
    ]


def test_each_request_carries_a_token_signed_for_this_cluster_alone(cluster: Cluster) -> None:
    read_pods(cluster)
    assert len(cluster.requests) == 6
    for _, _, authorization in cluster.requests:
        scheme, _, token = authorization.partition(" ")
        prefix, _, coded = token.rpartition(".")
        assert (scheme, prefix) == ("Bearer", "k8s-aws-v1")
        assert not coded.endswith("=")
        url = urlsplit(base64.urlsafe_b64decode(coded + "=" * (-len(coded) % 4)).decode())
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        assert url.hostname == f"sts.{REGION}.amazonaws.com"
        assert query["Action"] == "GetCallerIdentity"
        assert query["X-Amz-Expires"] == "60"
        assert "x-k8s-aws-id" in query["X-Amz-SignedHeaders"].split(";")
        assert f"/{REGION}/sts/" in query["X-Amz-Credential"]


@pytest.mark.parametrize(("status", "reason"), [(401, "Unauthorized"), (403, "Forbidden"), (500, "Http500")])
def test_pods_that_may_not_be_listed_are_a_gap(cluster: Cluster, status: int, reason: str) -> None:
    cluster.refused[PODS] = status
    found, (gap,) = read_pods(cluster)
    assert (gap.call, gap.reason) == ("kubernetes:ListPods", reason)
    assert "cluster prod: " in gap.detail
    assert found.status is ReadStatus.PARTIAL


def test_each_cluster_that_is_not_read_has_a_gap_of_its_own(cluster: Cluster) -> None:
    cluster.refused[PODS] = 403
    aws = eks(cluster)
    aws.answers["eks:ListClusters"] = {"clusters": ["prod", "test"]}
    _, gaps = read(aws, "eks", eks_pods=True)
    assert [(gap.call, gap.count) for gap in gaps] == [("kubernetes:ListPods", 1)] * 2
    assert ["cluster prod: " in gap.detail for gap in gaps] == [True, False]
    assert ["cluster test: " in gap.detail for gap in gaps] == [False, True]


def test_templates_that_may_not_be_listed_are_a_gap_and_the_pods_still_count(cluster: Cluster) -> None:
    cluster.objects[PODS] = [pod("a", {"main": (image("a:1"), image("a", "a"))})]
    cluster.objects[CRON_JOBS] = [
        {"metadata": {"name": "n"}, "spec": {"jobTemplate": {"spec": template("j")}}}
    ]
    cluster.refused[DEPLOYMENTS] = 403
    found, (gap,) = read_pods(cluster)
    assert (gap.call, gap.reason) == ("kubernetes:ListDeployments", "Forbidden")
    assert [use.reference for use in found.uses] == ["j", image("a:1", "a")]


def test_a_list_whose_continuation_ran_out_is_begun_again(cluster: Cluster) -> None:
    cluster.objects[PODS] = [pod(f"p{n}", {"m": (f"i{n}", image("i", "a"))}) for n in range(5)]
    cluster.expired = 2
    found, gaps = read_pods(cluster)
    assert gaps == []
    assert len(found.uses) == 5
    assert len(cluster.asked(PODS)) == 7


def test_a_list_that_never_comes_to_its_end_is_a_gap_and_keeps_what_came(cluster: Cluster) -> None:
    cluster.objects[PODS] = [pod(f"p{n}", {"m": (f"i{n}", image("i", "a"))}) for n in range(5)]
    cluster.expired = 99
    found, (gap,) = read_pods(cluster)
    assert gap.reason == "Expired"
    assert len(found.uses) == 2


@pytest.mark.parametrize(
    ("body", "reason"),
    [(b'{"items": [', "UnreadableAnswer"), (b"[]", "InvalidAnswer"), (b'{"items": 7}', "InvalidAnswer")],
)
def test_answers_that_are_no_lists_are_gaps(cluster: Cluster, body: bytes, reason: str) -> None:
    cluster.body = body
    found, gaps = read_pods(cluster)
    assert {gap.reason for gap in gaps} == {reason}
    assert found.uses == ()


def test_objects_of_the_wrong_shape_end_nothing(cluster: Cluster) -> None:
    values: tuple[Any, ...] = (None, 7, "text", [], {"containers": 3, "template": [], "jobTemplate": 1})
    for value in values:
        for path in (PODS, DEPLOYMENTS, CRON_JOBS):
            cluster.objects[path] = [{"metadata": value, "spec": value, "status": value}]
        found, gaps = read_pods(cluster)
        assert (found.uses, gaps) == ((), [])


def test_a_cluster_that_proves_to_be_another_gets_no_token(cluster: Cluster, tmp_path: Path) -> None:
    certificate, _ = stub_kubernetes._certificate(tmp_path)
    other = {"data": base64.b64encode(certificate).decode()}
    (found,), (gap,) = read(eks(cluster, certificateAuthority=other), "eks", eks_pods=True)
    assert (gap.call, gap.reason) == ("kubernetes:ListPods", "ClusterUnreachable")
    assert cluster.requests == []
    assert found.status is ReadStatus.PARTIAL


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"endpoint": "http://127.0.0.1:1"}, "NoEndpoint"),
        ({"endpoint": None}, "NoEndpoint"),
        ({"certificateAuthority": {"data": "no base64!"}}, "NoCertificate"),
        ({"certificateAuthority": {}}, "NoCertificate"),
        ({"endpoint": "https://127.0.0.1:1"}, "ClusterUnreachable"),
    ],
)
def test_a_cluster_without_a_way_in_is_a_gap(cluster: Cluster, changed: dict[str, Any], reason: str) -> None:
    _, (gap,) = read(eks(cluster, **changed), "eks", eks_pods=True)
    assert (gap.call, gap.reason) == ("kubernetes:ListPods", reason)


def test_without_the_client_the_gap_says_what_to_install(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "kubernetes", None)
    _, (gap,) = read_pods(cluster)
    assert gap.reason == "KubernetesClientMissing"
    assert 'pip install "demurrage[kubernetes]"' in gap.detail


def test_a_cluster_deleted_meanwhile_is_no_gap(cluster: Cluster) -> None:
    from tests.support.stub_workloads import Refused  # noqa: PLC0415

    def gone(_: Request) -> dict[str, Any]:
        raise Refused("ResourceNotFoundException", "No cluster found for name: prod.", 404)

    aws = eks(cluster)
    aws.answers["eks:DescribeCluster"] = gone
    (found,), gaps = read(aws, "eks", eks_pods=True)
    assert (found.status, gaps) == (ReadStatus.COMPLETE, [])


# A kubeconfig.


def kubeconfig(folder: Path, *clusters: tuple[str, str, dict[str, Any]]) -> Path:
    """A file with a context for each cluster (name of context, name of cluster, its settings)."""
    file = folder / "config"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": it} for _, name, it in clusters],
        "users": [{"name": "u", "user": {"token": "from-the-file"}}],
        "contexts": [
            {"name": context, "context": {"cluster": name, "user": "u"}} for context, name, _ in clusters
        ],
    }
    file.write_text(json.dumps(document))
    return file


def test_a_kubeconfig_opens_the_cluster_that_its_context_points_at(cluster: Cluster, tmp_path: Path) -> None:
    cluster.objects[PODS] = [pod("a", {"main": (image("a:1"), image("a", "a"))})]
    settings = {"server": cluster.url + "/", "certificate-authority-data": cluster.certificate}
    file = kubeconfig(tmp_path, ("other", "x", {"server": "https://127.0.0.1:1"}), ("mine", "y", settings))
    found, gaps = read_pods(cluster, eks_pods=False, kubeconfig=file)
    assert gaps == []
    assert [use.workload for use in found.uses] == ["prod/shop/Pod/a"]
    assert {authorization for _, _, authorization in cluster.requests} == {"Bearer from-the-file"}


def test_a_cluster_that_is_not_in_the_kubeconfig_is_a_gap_or_entered_as_ourselves(
    cluster: Cluster, tmp_path: Path
) -> None:
    file = kubeconfig(tmp_path, ("other", "x", {"server": "https://127.0.0.1:1"}))
    _, (gap,) = read_pods(cluster, eks_pods=False, kubeconfig=file)
    assert gap.reason == "NotInKubeconfig"
    _, gaps = read_pods(cluster, eks_pods=True, kubeconfig=file)
    assert gaps == []


def test_a_way_to_log_in_that_fails_is_a_gap(cluster: Cluster, tmp_path: Path) -> None:
    settings = {"server": cluster.url, "certificate-authority-data": "%%%"}
    file = kubeconfig(tmp_path, ("mine", "y", settings))
    found, (gap,) = read_pods(cluster, eks_pods=False, kubeconfig=file)
    assert gap.reason == "ClusterUnreachable"
    assert found.status is ReadStatus.PARTIAL


ENDPOINT = "https://ABC.gr7.eu-west-1.eks.amazonaws.com"


@pytest.mark.parametrize(
    ("context", "name", "server", "found"),
    [
        ("c", "x", ENDPOINT.lower() + "/", True),
        ("c", "x", ENDPOINT + ":443", True),
        (ARN, ARN, "https://127.0.0.1:8443", True),
        ("prod", "x", "https://tunnel.example", True),
        ("c", f"prod.{REGION}.eksctl.io", "https://tunnel.example", True),
        ("prod", "prod", "https://DEF.gr7.us-east-1.eks.amazonaws.com", False),
        ("test", "test", "https://tunnel.example", False),
    ],
)
def test_contexts_are_matched_by_server_then_by_name(
    tmp_path: Path, context: str, name: str, server: str, found: bool
) -> None:
    file = kubeconfig(tmp_path, (context, name, {"server": server}))
    matched = context_of(file, name="prod", arn=ARN, endpoint=ENDPOINT, region=REGION)
    assert matched == (context if found else None)


@pytest.mark.parametrize("content", [b"", b"[]", b"a: [", b"\xff\xfe", b"apiVersion: v1\n"])
def test_a_file_that_is_no_kubeconfig_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "config"
    file.write_bytes(content)
    with pytest.raises(InputError, match="--kubeconfig"):
        load_kubeconfig(file)
