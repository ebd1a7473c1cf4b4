"""Replication rules as what the AWS CLI and Terraform take: those in force, and one more."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from analyzer.lifecycle.writing import hcl_string

#: Limits of PutReplicationConfiguration (its model: ReplicationRuleList, RepositoryFilterList).
MOST_RULES: Final = 25
MOST_FILTERS: Final = 100


def with_rule(
    rules: Sequence[Mapping[str, Any]], account: str, region: str, prefixes: Sequence[str]
) -> list[dict[str, Any]]:
    """``rules`` as ECR has them, and others that copy what begins with ``prefixes`` to that registry.

    ``""`` among the prefixes is everything, which ECR says by no filter at all.
    """
    destination = {"region": region, "registryId": account}
    merged = [dict(rule) for rule in rules]
    if "" in prefixes:
        return [*merged, {"destinations": [destination]}]
    for begin in range(0, len(prefixes), MOST_FILTERS):
        filters = [
            {"filter": prefix, "filterType": "PREFIX_MATCH"}
            for prefix in prefixes[begin : begin + MOST_FILTERS]
        ]
        merged.append({"destinations": [destination], "repositoryFilters": filters})
    return merged


def replication_json(rules: Sequence[Mapping[str, Any]]) -> str:
    """The document for ``aws ecr put-replication-configuration --replication-configuration``."""
    return json.dumps({"rules": list(rules)}, indent=2)


def replication_terraform(rules: Sequence[Mapping[str, Any]]) -> str:
    """The registry's ``aws_ecr_replication_configuration``, laid out as ``terraform fmt`` does."""
    lines = ['resource "aws_ecr_replication_configuration" "registry" {', "  replication_configuration {"]
    for number, rule in enumerate(rules):
        lines += [""] if number else []
        lines += ["    rule {", *_blocks(rule), "    }"]
    return "\n".join([*lines, "  }", "}", ""])


def replicates_deletions(rules: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a rule replicates deletions too, for which the Terraform resource has no argument."""
    return any((rule.get("deleteReplication") or {}).get("enabled") for rule in rules)


def _blocks(rule: Mapping[str, Any]) -> Iterator[str]:
    first = True
    for name, keys in (
        ("destination", (("region", "region"), ("registry_id", "registryId"))),
        ("repository_filter", (("filter", "filter"), ("filter_type", "filterType"))),
    ):
        for entry in rule.get("destinations" if name == "destination" else "repositoryFilters") or ():
            if not first:
                yield ""
            first = False
            width = max(len(argument) for argument, _ in keys)
            yield f"      {name} {{"
            for argument, key in keys:
                yield f"        {argument.ljust(width)} = {hcl_string(str(entry.get(key, '')))}"
            yield "      }"
