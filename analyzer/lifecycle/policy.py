"""Lifecycle policies as data. ``parsing`` makes them from documents, ``writing`` writes them.

The terms are those of the ECR user guide, "Lifecycle policy parameters".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class TagStatus(StrEnum):
    """Which images a rule looks at."""

    TAGGED = "tagged"
    UNTAGGED = "untagged"
    ANY = "any"


class StorageClass(StrEnum):
    """The class of the images that a rule looks at."""

    STANDARD = "standard"
    ARCHIVE = "archive"


class CountType(StrEnum):
    """What a rule counts."""

    IMAGE_COUNT_MORE_THAN = "imageCountMoreThan"
    SINCE_IMAGE_PUSHED = "sinceImagePushed"
    SINCE_IMAGE_PULLED = "sinceImagePulled"
    SINCE_IMAGE_TRANSITIONED = "sinceImageTransitioned"


class Action(StrEnum):
    """What becomes of the images that a rule claims; ``transition`` moves them to the archive."""

    EXPIRE = "expire"
    TRANSITION = "transition"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule. With TAGGED one of the two lists is filled, else neither."""

    priority: int
    tag_status: TagStatus
    #: Every entry must be met by a tag of the image; ``*`` stands for any run of characters.
    tag_patterns: tuple[str, ...] = ()
    #: Every entry must begin a tag of the image; nothing in it is special.
    tag_prefixes: tuple[str, ...] = ()
    storage_class: StorageClass = StorageClass.STANDARD
    count_type: CountType
    #: Images, or days for the three that count time.
    count_number: int
    action: Action
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """A valid policy: 1 to 50 rules in ascending order of priority."""

    rules: tuple[Rule, ...]
