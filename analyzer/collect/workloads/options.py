"""Which workloads are asked for what they run, and how far."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

#: Revisions of each ECS task definition and Batch job definition that are looked at.
REVISIONS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadOptions:
    """What to read of workloads in the account and region of each registry."""

    #: Names of sources, as in ``SOURCES``; none reads no workloads.
    sources: tuple[str, ...] = ()
    #: The last so many revisions of each task definition and job definition are in use or may be
    #: rolled back to.
    revisions: int = REVISIONS
    #: Ask the Kubernetes API of each EKS cluster for its pods, as the collector's own AWS identity.
    eks_pods: bool = False
    #: The same, as whom a kubeconfig says; its contexts are matched to the clusters.
    kubeconfig: Path | None = None


NO_WORKLOADS = WorkloadOptions()
