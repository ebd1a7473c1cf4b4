"""Lifecycle policies: what ECR would do to every image, and what that would really free.

Public: ``parse_policy``, ``evaluate`` and what they take and raise. They are imported when they are
first asked for, so that reading a policy does not wait for pandas.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analyzer.lifecycle.evaluation import Options
    from analyzer.lifecycle.parsing import InvalidPolicy, parse_policy
    from analyzer.lifecycle.policy import Policy
    from analyzer.lifecycle.tables import evaluate

__all__ = ["InvalidPolicy", "Options", "Policy", "evaluate", "parse_policy"]

_HOME = {
    "InvalidPolicy": "parsing",
    "Options": "evaluation",
    "Policy": "policy",
    "evaluate": "tables",
    "parse_policy": "parsing",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
