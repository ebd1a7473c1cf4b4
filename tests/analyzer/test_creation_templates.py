"""Which template would make which repository."""

from __future__ import annotations

import json

import pytest

from analyzer.creation_templates import read_templates, template_of
from analyzer.model.registry_settings import Template

TEMPLATES = [
    {"prefix": "ROOT", "appliedFor": ["REPLICATION", "CREATE_ON_PUSH"]},
    {
        "prefix": "prod",
        "appliedFor": ["PULL_THROUGH_CACHE"],
        "lifecyclePolicy": '{"rules": []}',
        "encryptionConfiguration": {"encryptionType": "KMS", "kmsKey": "arn:key"},
        "imageTagMutability": "IMMUTABLE",
        "resourceTags": [{"Key": "team", "Value": "a"}],
        "repositoryPolicy": "{}",
    },
    {"prefix": "prod/team/", "appliedFor": ["REPLICATION"], "lifecyclePolicy": ""},
]


def read(*templates: object) -> tuple[Template, ...]:
    found = read_templates({"repository_creation_templates": json.dumps(templates)})
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "prefix"),
    [
        ("prod/app", "prod"),
        ("prod/team/app", "prod/team/"),
        ("prod/teams/app", "prod"),
        ("prod", "ROOT"),
        ("production/app", "ROOT"),
        ("app", "ROOT"),
    ],
)
def test_the_longest_prefix_counts_and_ends_in_a_slash(name: str, prefix: str) -> None:
    found = template_of(read(*TEMPLATES), name)
    assert found is not None
    assert found.prefix == prefix


def test_without_root_what_no_prefix_covers_has_no_template() -> None:
    assert template_of(read(*TEMPLATES[1:]), "app") is None
    assert template_of((), "app") is None


def test_what_a_template_sets() -> None:
    longest, prod, root = read(*TEMPLATES)
    assert prod == Template(
        prefix="prod",
        applied_for=("PULL_THROUGH_CACHE",),
        encryption_type="KMS",
        kms_key="arn:key",
        lifecycle_policy_text='{"rules": []}',
        has_repository_policy=True,
        image_tag_mutability="IMMUTABLE",
        tags=(("team", "a"),),
    )
    assert root.applied_for == ("CREATE_ON_PUSH", "REPLICATION")
    assert (longest.lifecycle_policy_text, longest.encryption_type) == (None, "")


def test_templates_that_were_not_read_are_not_none() -> None:
    assert read_templates({}) is None
    assert read() == ()


def test_a_tag_without_a_value_has_an_empty_one() -> None:
    (template,) = read({"prefix": "prod", "resourceTags": [{"Key": "team"}, {"Key": "tier", "Value": None}]})
    assert template.tags == (("team", ""), ("tier", ""))
