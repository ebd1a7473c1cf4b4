"""Reads AWS into the store; the only package that knows boto3."""

from analyzer.collect.run import (
    CollectOptions,
    CollectResult,
    Progress,
    RegistrySummary,
    SnapshotStore,
    collect,
)

__all__ = ["CollectOptions", "CollectResult", "Progress", "RegistrySummary", "SnapshotStore", "collect"]
