"""Reads AWS into the store; the only package that knows boto3."""

from analyzer.collect.contract import (
    AfterSnapshot,
    CollectOptions,
    CollectResult,
    Progress,
    RegistrySummary,
    SilentProgress,
    SnapshotStore,
)
from analyzer.collect.run import collect

__all__ = [
    "AfterSnapshot",
    "CollectOptions",
    "CollectResult",
    "Progress",
    "RegistrySummary",
    "SilentProgress",
    "SnapshotStore",
    "collect",
]
