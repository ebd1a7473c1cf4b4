"""A database of two nights with policies to judge, for the commands that do."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from analyzer.model.media_types import OCI_MANIFEST
from analyzer.model.records import (
    ABSENT,
    Artifact,
    Gap,
    ReadStatus,
    RegistryKey,
    RegistryRead,
    RepositoryRead,
)
from analyzer.model.units import to_ms
from analyzer.store.engine import Database
from analyzer.store.schema import upgrade_schema
from tests.analyzer.store.examples import commit
from tests.strategies.registries import sha256

ACCOUNT, REGION = "111111111111", "eu-west-1"
KEY = RegistryKey("aws", ACCOUNT, REGION)
HOST = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"
DAY_MS = 86_400_000
FIRST_NIGHT, LAST_NIGHT = (to_ms(datetime(2026, 11, day, 2, tzinfo=UTC)) for day in (1, 23))
URL = "sqlite:///judged.sqlite"

#: Priority 5 is met by an image of the first night only.
POLICY = {
    "rules": [
        {
            "rulePriority": 5,
            "selection": {
                "tagStatus": "tagged",
                "tagPatternList": ["prod-*"],
                "countType": "imageCountMoreThan",
                "countNumber": 10,
            },
            "action": {"type": "expire"},
        },
        {
            "rulePriority": 7,
            "selection": {
                "tagStatus": "any",
                "countType": "sinceImagePushed",
                "countUnit": "days",
                "countNumber": 30,
            },
            "action": {"type": "expire"},
        },
    ]
}


def image(name: str, *tags: str, age_days: float) -> Artifact:
    """An image pushed so long before the last night."""
    pushed = LAST_NIGHT - round(age_days * DAY_MS)
    return Artifact(sha256(name), tags, pushed_at_ms=pushed, media_type=OCI_MANIFEST)


OLD, NEW, GONE = (
    image("old", "dev-1", age_days=41),
    image("new", "dev-2", "latest", age_days=3),
    image("gone", "prod-1", age_days=50),
)


def make_database(folder: Path, *gaps: Gap) -> None:
    """The database ``URL`` in ``folder``: two repositories, of which ``app`` has ``POLICY``."""
    database = Database(f"sqlite:///{folder / 'judged.sqlite'}")
    upgrade_schema(database)
    commit(database, _night(FIRST_NIGHT, [OLD, GONE]))
    commit(database, _night(LAST_NIGHT, [OLD, NEW], gaps))


def _night(taken_at_ms: int, images: list[Artifact], gaps: tuple[Gap, ...] = ()) -> RegistryRead:
    text = json.dumps(json.dumps(POLICY))
    repositories = [
        RepositoryRead("app", 1, ReadStatus.COMPLETE, images, {"lifecycle_policy_text": text}),
        RepositoryRead("copy", 1, ReadStatus.COMPLETE, [OLD], {"lifecycle_policy_text": ABSENT}),
    ]
    return RegistryRead(KEY, taken_at_ms, ReadStatus.COMPLETE, repositories, {}, gaps)
