"""When an image was last asked for, as CloudTrail recorded it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from sqlalchemy import Connection, func, select

from analyzer.model.explanation import SeenPulls
from analyzer.model.pulls import PullKind
from analyzer.store import tables
from analyzer.store.interning import digest_ids
from analyzer.store.pull_counts import KINDS
from analyzer.store.pull_coverage import load_coverage, pull_days

_IMAGE: Final = KINDS[PullKind.IMAGE]


def load_seen_pulls(
    connection: Connection,
    account: str,
    region: str,
    repository: str,
    digest: str,
    tags: Collection[str],
    since_day: int,
) -> SeenPulls | None:
    """The last time that the image was asked for by its digest, and by one of ``tags``.

    Days before ``since_day``, that of its push, are another image's. None where no source of
    CloudTrail's events was ever read for any registry.
    """
    known = pull_days(connection)
    if known is None:
        return None
    coverage = load_coverage(connection, max(known[0], since_day), known[1], {(account, region)})
    days = {row.day for row in coverage}
    complete = {row.day for row in coverage if row.status == "complete"}
    pull, target, name = tables.pull, tables.pull_target, tables.tag_name
    asked = (
        select(target.c.digest_id, name.c.name, func.max(pull.c.day))
        .select_from(target)
        .join(pull, pull.c.target_id == target.c.id)
        .outerjoin(name, name.c.id == target.c.tag_name_id)
        .where(
            target.c.account == account,
            target.c.region == region,
            target.c.repository == repository,
            target.c.kind == _IMAGE,
            pull.c.day >= since_day,
        )
        .group_by(target.c.digest_id, name.c.name)
    )
    own = digest_ids(connection, [digest]).get(digest)
    by_digest, by_tag = None, None
    for digest_id, tag, day in connection.execute(asked):
        if digest_id is not None and digest_id == own:
            by_digest = max(by_digest or day, day)
        elif tag in tags:
            by_tag = max(by_tag or (day, tag), (day, tag))
    return SeenPulls(
        first_day=min(days, default=None),
        last_day=max(days, default=None),
        complete_days=len(complete),
        by_digest_day=by_digest,
        by_tag_day=None if by_tag is None else by_tag[0],
        tag="" if by_tag is None else by_tag[1],
    )
