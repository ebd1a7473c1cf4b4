"""Legal rules to spoil, and the texts that AWS answers with."""

from __future__ import annotations

import json
from typing import Any

import pytest

from analyzer.lifecycle.parsing import InvalidPolicy, PolicyError, parse_policy

Json = dict[str, Any]

FRAME = "Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: '{}'"
UNMAPPED = FRAME.format("Lifecycle policy parsing failure: Could not map policyString into LifecyclePolicy.")


def said(detail: str) -> str:
    return FRAME.format(f"Lifecycle policy validation failure: {detail}")


def rule(priority: int = 1, *, selection: Json | None = None, action: Json | None = None) -> Json:
    """A legal rule, some of whose parts are replaced; ``...`` takes a key out."""
    chosen = {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 5} | (selection or {})
    return {
        "rulePriority": priority,
        "selection": {key: value for key, value in chosen.items() if value is not ...},
        "action": {"type": "expire"} if action is None else action,
    }


def tagged(priority: int = 1, **selection: Any) -> Json:
    return rule(priority, selection={"tagStatus": "tagged", "tagPatternList": ["v*"], **selection})


def archived(priority: int = 1, **selection: Any) -> Json:
    in_archive = {
        "storageClass": "archive",
        "countType": "sinceImageTransitioned",
        "countUnit": "days",
        "countNumber": 90,
    }
    return rule(priority, selection=in_archive | selection)


def document(*rules: object) -> str:
    """The text of a policy of these rules, long enough for one."""
    return json.dumps({"rules": list(rules)}).ljust(100)


TRANSITION: Json = {"type": "transition", "targetStorageClass": "archive"}
DAYS: Json = {"countType": "sinceImagePushed", "countUnit": "days"}


def errors_of(text: str) -> tuple[PolicyError, ...]:
    with pytest.raises(InvalidPolicy) as caught:
        parse_policy(text)
    return caught.value.errors
