"""Which repository creation template covers which repository, and what it would set.

A template covers the names below its prefix, to whose end a slash is always assumed; ``ROOT`` covers
what no other does (ECR API reference, "CreateRepositoryCreationTemplate"). Of nested prefixes the
longest is taken to count. Templates act when ECR creates a repository by itself, and change none that
is there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from analyzer.model.registry_settings import Template

_ROOT = "ROOT"


def read_templates(settings: Mapping[str, str]) -> tuple[Template, ...] | None:
    """The templates among the settings of a registry, longest prefix first; None where not known."""
    text = settings.get("repository_creation_templates")
    found = None if text is None else json.loads(text)
    if not isinstance(found, list):
        return None
    return tuple(sorted(map(_template, found), key=lambda t: (t.prefix == _ROOT, -len(t.prefix), t.prefix)))


def template_of(templates: Sequence[Template], name: str) -> Template | None:
    """The template that would make the repository ``name``; None for none. They come as read."""
    for template in templates:
        if template.prefix == _ROOT or name.startswith(f"{template.prefix.removesuffix('/')}/"):
            return template
    return None


def _template(entry: Mapping[str, Any]) -> Template:
    encryption = entry.get("encryptionConfiguration") or {}
    return Template(
        prefix=str(entry.get("prefix")),
        applied_for=tuple(sorted(map(str, entry.get("appliedFor") or ()))),
        encryption_type=str(encryption.get("encryptionType") or ""),
        kms_key=str(encryption.get("kmsKey") or ""),
        # ECR takes an empty text for none.
        lifecycle_policy_text=entry.get("lifecyclePolicy") or None,
        has_repository_policy=bool(entry.get("repositoryPolicy")),
        image_tag_mutability=str(entry.get("imageTagMutability") or ""),
        tags=tuple(
            sorted(
                (str(tag.get("Key")), str(tag.get("Value") or "")) for tag in entry.get("resourceTags") or ()
            )
        ),
    )
