"""When an image was last asked for, by any of its names, and what is not known of that."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from analyzer.model.explanation import SeenPulls
from analyzer.model.pull_batches import ALL_HOURS, Evidence, PullBatch
from analyzer.model.pulls import NoOrigin
from analyzer.pulls.batches import columns_of
from analyzer.pulls.files import Extract
from analyzer.pulls.records import Rules
from analyzer.store.engine import Database
from analyzer.store.last_pulls import load_seen_pulls
from analyzer.store.pulls import PullStore
from tests.support.trails import OWNER, REGION, layer, record

#: 2026-10-04.
_FIRST = 20_730
_IMAGE = layer(9)


def _asked(number: int, day: int, *names: dict[str, str], repository: str = "team/app") -> dict[str, Any]:
    return record(
        f"event-{number}",
        name="BatchGetImage",
        time=f"2026-10-{day:02}T08:00:00Z",
        repository=repository,
        asked={"imageIds": list(names)},
    )


def _write(database: Database, records: Iterable[dict[str, Any]], *, complete: int = 6) -> None:
    extract = Extract()
    extract.add(list(records), Rules())
    evidence = tuple(
        Evidence(_FIRST + n, OWNER, REGION, "s3", ALL_HOURS if n < complete else 1, has_reads=True)
        for n in range(6)
    )
    PullStore(database).write(PullBatch(columns_of([extract], NoOrigin()), evidence=evidence))


def _seen(database: Database, *tags: str, since: int = 0, region: str = REGION) -> SeenPulls | None:
    with database.read() as connection:
        return load_seen_pulls(connection, OWNER, region, "team/app", _IMAGE, tags, since)


_BY_DIGEST, _BY_TAG, _BY_OTHER = {"imageDigest": _IMAGE}, {"imageTag": "v1"}, {"imageDigest": layer(8)}


def test_the_last_day_by_digest_and_by_a_tag_it_has(database: Database) -> None:
    _write(
        database,
        [
            _asked(1, 4, _BY_DIGEST),
            _asked(2, 6, _BY_DIGEST, _BY_TAG),
            _asked(3, 7, _BY_TAG),
            _asked(4, 8, _BY_OTHER, {"imageTag": "v2"}),
            _asked(5, 9, _BY_DIGEST, repository="other"),
        ],
    )
    seen = _seen(database, "v1")
    assert seen == SeenPulls(
        first_day=_FIRST,
        last_day=_FIRST + 5,
        complete_days=6,
        by_digest_day=_FIRST + 2,
        by_tag_day=_FIRST + 3,
        tag="v1",
    )
    assert seen.is_covered
    untagged = _seen(database)
    assert untagged is not None
    assert (untagged.by_digest_day, untagged.by_tag_day, untagged.tag) == (_FIRST + 2, None, "")


def test_what_was_asked_for_before_its_push_was_another_image(database: Database) -> None:
    _write(database, [_asked(1, 4, _BY_TAG)])
    seen = _seen(database, "v1", since=_FIRST + 1)
    assert seen is not None
    assert (seen.first_day, seen.by_tag_day) == (_FIRST + 1, None)


def test_days_that_are_not_covered_claim_nothing(database: Database) -> None:
    _write(database, [], complete=4)
    seen = _seen(database, "v1")
    assert seen is not None
    assert (seen.complete_days, seen.is_covered) == (4, False)
    elsewhere = _seen(database, region="us-east-1")
    assert elsewhere is not None
    assert (elsewhere.first_day, elsewhere.is_covered) == (None, False)


def test_without_any_source_nothing_is_said(database: Database) -> None:
    assert _seen(database, "v1") is None
