"""What runs on Amazon EKS: the pods of each cluster and the templates that new ones are made from.

AWS itself does not say: the Kubernetes API of each cluster does, to whoever may ask it. That is more
than reading AWS, so it is done only when it is asked for; else each region with a cluster has a gap.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analyzer.collect.refusals import Reach, Refusal, one_line
from analyzer.collect.workloads.reading import Reading, mapping, text

ACTIONS = ("eks:DescribeCluster", "eks:ListClusters")

#: What the gap of pods is filed under; Kubernetes has no name that IAM would know.
PODS = "kubernetes:ListPods"
_NAMED = 5


def fetch(reading: Reading) -> bool:
    """Read all clusters; gives whether some cluster's pods stay unread."""
    names = [
        text(name) for name in reading.pages("eks", "ListClusters", "clusters", maxResults=100) if text(name)
    ]
    if not names:
        return False
    if not (reading.options.eks_pods or reading.options.kubeconfig):
        some = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
        detail = one_line(f"no way into {some}; give one with --eks-pods or --kubeconfig", 600)
        reading.trouble(PODS, Refusal("NotAsked", Reach.CALL, detail), count=len(names))
        return True
    # Heavy, and an extra: only who has clusters to ask pays for it.
    from analyzer.collect.workloads import pods  # noqa: PLC0415

    unread = False
    for name in names:
        cluster = _described(reading, name)
        if cluster is not None and not pods.read_cluster(reading, name, cluster):
            unread = True
    return unread or not reading.is_untroubled


def _described(reading: Reading, name: str) -> Mapping[str, Any] | None:
    answer = reading.call("eks", "DescribeCluster", is_gone=_is_gone, name=name)
    return None if answer is None else mapping(answer.get("cluster"))


def _is_gone(refusal: Refusal) -> bool:
    return refusal.reason == "ResourceNotFoundException"
