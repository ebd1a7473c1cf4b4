"""The evaluator for people with a table of images and no database: DataFrames in and out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import pandas as pd

from analyzer.errors import InputError
from analyzer.families import IMAGE, INDEX, REFERRER, Families
from analyzer.lifecycle.evaluation import Evaluator, Options
from analyzer.lifecycle.policy import Policy
from analyzer.model.frames import (
    NEVER_PULLED,
    NO_MANIFEST,
    NO_SIZE,
    NO_TIME,
    Artifacts,
    Frames,
    Int64,
    LifecycleFacts,
    Listed,
    Manifests,
)
from analyzer.model.records import ImageStatus
from analyzer.model.units import to_ms
from analyzer.model.verdicts import Outcome, Reason, Verdicts

_COLUMNS = (
    "repository",
    "digest",
    "tags",
    "pushed_at",
    "last_recorded_pull_time",
    "status",
    "archived_at",
    "activated_at",
)
_FAMILY_COLUMNS = ("repository", "digest", "relation", "of")
_AS_DOCUMENTED = Options()
_STATUSES = {
    status.name: status for status in (ImageStatus.ACTIVE, ImageStatus.ARCHIVED, ImageStatus.ACTIVATING)
}


def evaluate(
    policy: Policy,
    images: pd.DataFrame,
    now: datetime,
    *,
    families: pd.DataFrame | None = None,
    options: Options = _AS_DOCUMENTED,
) -> pd.DataFrame:
    """What ECR would do at ``now`` to each of ``images`` if ``policy`` were set on every repository.

    ``images`` has one row per image, index and referrer, everything that its repositories hold:

    - repository, digest: text; together they name a row
    - tags: a list of text, empty (or None) where untagged
    - pushed_at, last_recorded_pull_time, archived_at, activated_at: aware datetimes, missing where
      AWS gives none; a missing push time is an unknown one
    - status: ECR's imageStatus, "ACTIVE", "ARCHIVED" or "ACTIVATING"
    - children (optional): of an index, the list of digests that it names
    - subject (optional): of a referrer, the digest that it refers to

    ``families`` may say the same as the last two columns, one relation per row: repository, digest,
    relation ("child" or "referrer") and of, the digest whose child or referrer it is. Relations with
    digests that their repository does not hold count for nothing, as in ECR.

    The answer has a row per image under the index of ``images``:

    - outcome: "KEPT", "EXPIRED" or "TRANSITIONED" (archived)
    - reason: a name of ``analyzer.model.verdicts.Reason``, where they are explained
    - rule: priority of the first rule that selects it, which alone can act on it; missing where none
      does or may
    - rank: where that rule counts images, 1 for the youngest that it selects; else missing
    - age: where it counts days, the time that has passed; else, or where unknown, missing
    - by: digest of the index or subject that the reason speaks of; else missing
    - deferred: it leaves, and so does an index that names it: ECR may need two runs
    - near_limit: less than a day decides: it depends on when ECR runs

    Raises InputError where a column is missing or holds something else, a time has no time zone, or
    a digest comes twice in a repository.
    """
    if now.tzinfo is None:
        raise InputError(f"now ({now}) has no time zone: give an aware datetime")
    _require(images, _COLUMNS, "images")
    repository, names = _numbered(images, "repository")
    digest, digests = _numbered(images, "digest")
    order = np.lexsort((digest, repository))
    _refuse_repeats(repository[order], digest[order], names, digests)
    ordered, repository, digest = images.iloc[order], repository[order], digest[order]

    frames = _frames(ordered, repository, digest, names)
    facts = _facts(ordered, digest)
    relatives = _families(ordered, families, _Finder(repository, digest, names, digests))
    evaluator = Evaluator(frames, facts, relatives, now_ms=to_ms(now), options=options)
    verdicts = evaluator.judge([policy], np.zeros(len(names), np.int64))
    return _answer(verdicts, ordered["digest"]).iloc[np.argsort(order)].set_axis(images.index)


class _Finder:
    """Rows by the names of their repository and digest."""

    def __init__(self, repository: Int64, digest: Int64, names: pd.Index, digests: pd.Index) -> None:
        self._names = names
        self._digests = digests
        self._rows = pd.Index(repository * len(digests) + digest)

    def __call__(self, repository: pd.Series, digest: pd.Series) -> Int64:
        """Positions of the rows, -1 where there is none."""
        name = self._names.get_indexer(pd.Index(repository))
        code = self._digests.get_indexer(pd.Index(digest))
        known = (name >= 0) & (code >= 0)
        found = self._rows.get_indexer(pd.Index(name * len(self._digests) + code))
        return np.where(known, found, -1)


def _require(table: pd.DataFrame, columns: Sequence[str], name: str) -> None:
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise InputError(f"{name} has no column {', '.join(missing)}")


def _texts(table: pd.DataFrame, column: str) -> pd.Series:
    """The column, which must hold text and nothing else."""
    values = table[column].astype(object)
    kind = "partly missing" if values.isna().any() else pd.api.types.infer_dtype(values)
    if len(values) and kind != "string":
        raise InputError(f"column {column} must hold text in every row, but is {kind}")
    return values


def _numbered(table: pd.DataFrame, column: str) -> tuple[Int64, pd.Index]:
    """For every row the number of its text, in the order of the texts, and these."""
    numbers, texts = pd.factorize(_texts(table, column), sort=True)
    return numbers.astype(np.int64), pd.Index(texts)


def _refuse_repeats(repository: Int64, digest: Int64, names: pd.Index, digests: pd.Index) -> None:
    repeats = np.flatnonzero((np.diff(repository) == 0) & (np.diff(digest) == 0))
    if len(repeats):
        first = repeats[0]
        raise InputError(
            f"{digests[digest[first]]} comes twice in repository {names[repository[first]]}: "
            "give each image one row with all its tags"
        )


def _times(images: pd.DataFrame, column: str) -> Int64:
    """Milliseconds since 1970 UTC, NO_TIME where missing."""
    values = images[column]
    if values.isna().all():
        return np.full(len(values), NO_TIME)
    if not isinstance(values.dtype, pd.DatetimeTZDtype):
        given = values.dropna()
        if not all(getattr(moment, "tzinfo", None) for moment in given):
            raise InputError(f"column {column} must hold datetimes with a time zone, or nothing")
        values = pd.to_datetime(values, utc=True)
    milliseconds = values.dt.tz_convert("UTC").dt.round("ms").dt.as_unit("ms").astype("int64")
    # What pandas keeps for a missing moment is NO_TIME itself.
    known: Int64 = milliseconds.to_numpy(np.int64)
    return known


def _frames(images: pd.DataFrame, repository: Int64, digest: Int64, names: pd.Index) -> Frames:
    """The rows as the evaluator reads them; nothing is known of manifests, and nothing asked."""
    count = len(images)
    status = pd.Index(list(_STATUSES)).get_indexer(pd.Index(images["status"]))
    if (status < 0).any():
        unknown = images["status"].iloc[int(np.flatnonzero(status < 0)[0])]
        raise InputError(f"status {unknown!r} is none of {', '.join(_STATUSES)}")
    artifacts = Artifacts(
        repository=repository.astype(np.int32),
        digest_id=(digest + 1).astype(np.uint32),
        manifest=np.full(count, NO_MANIFEST, np.int32),
        pushed_at_ms=_times(images, "pushed_at"),
        image_status=np.array(list(_STATUSES.values()), np.uint8)[status],
        pulled_day=np.full(count, NEVER_PULLED, np.int32),
        tags=np.zeros(count, np.int32),
        reported_size_bytes=np.full(count, NO_SIZE),
        subject=np.zeros(count, np.uint32),
        listed=np.full(count, Listed.IMAGE, np.uint8),
    )
    manifests = Manifests.none()
    repositories = pd.DataFrame({"registry": 0, "repository": names})
    return Frames(pd.DataFrame(index=[0]), repositories, artifacts, manifests, np.zeros(0, np.int64))


def _facts(images: pd.DataFrame, digest: Int64) -> LifecycleFacts:
    owner, tag = _exploded(images, "tags")
    code, names = pd.factorize(tag, sort=True)
    # Each name once per image, and sorted by name within it.
    pairs = np.unique(owner * max(len(names), 1) + code)
    offsets = np.searchsorted(pairs, np.arange(len(images) + 1) * max(len(names), 1))
    return LifecycleFacts(
        pulled_at_ms=_times(images, "last_recorded_pull_time"),
        archived_at_ms=_times(images, "archived_at"),
        activated_at_ms=_times(images, "activated_at"),
        tie=digest,
        tag_offsets=offsets.astype(np.int64),
        tags=(pairs % max(len(names), 1)).astype(np.int32),
        tag_names=list(names),
    )


def _exploded(images: pd.DataFrame, column: str) -> tuple[Int64, pd.Series]:
    """The position of the row and the text of every entry of the lists in ``column``."""
    lists = images[column].reset_index(drop=True)
    if str in set(map(type, lists)):
        raise InputError(f"column {column} must hold lists of text, but holds text")
    entries = lists.explode().dropna()
    return entries.index.to_numpy(np.int64), _texts(entries.to_frame(), column)


def _families(images: pd.DataFrame, families: pd.DataFrame | None, find: _Finder) -> Families:
    """The relations that both forms of them name."""
    relations = [pd.DataFrame(columns=list(_FAMILY_COLUMNS), dtype=object)]
    if "children" in images:
        owner, named = _exploded(images, "children")
        rows = images.iloc[owner]
        relations.append(_relations(rows["repository"], named, "child", rows["digest"]))
    if "subject" in images:
        rows = images[images["subject"].notna()]
        _texts(rows, "subject")
        relations.append(_relations(rows["repository"], rows["digest"], "referrer", rows["subject"]))
    if families is not None:
        _require(families, _FAMILY_COLUMNS, "families")
        strange = families["relation"][~families["relation"].isin(["child", "referrer"])]
        if len(strange):
            raise InputError(f"relation {strange.iloc[0]!r} is none of child, referrer")
        relations.append(families[list(_FAMILY_COLUMNS)])
    given = pd.concat([r for r in relations if len(r)] or relations, ignore_index=True)
    low, high = (find(given["repository"], given[column]) for column in ("digest", "of"))
    present = (low >= 0) & (high >= 0)
    refers = (given["relation"] == "referrer").to_numpy()

    subject = np.full(len(images), -1)
    subject[low[present & refers]] = high[present & refers]
    if (subject[low[present & refers]] != high[present & refers]).any():
        raise InputError("a referrer has one subject, but two are given for the same digest")
    parent, child = high[present & ~refers], low[present & ~refers]
    kind = np.full(len(images), IMAGE)
    kind[low[(low >= 0) & refers]] = REFERRER
    kind[high[(high >= 0) & ~refers]] = INDEX
    return Families(kind, parent, child, subject, np.zeros(len(images), np.bool_))


def _relations(repository: pd.Series, digest: pd.Series, relation: str, of: pd.Series) -> pd.DataFrame:
    columns = (repository.to_numpy(), digest.to_numpy(), relation, of.to_numpy())
    return pd.DataFrame(dict(zip(_FAMILY_COLUMNS, columns, strict=True)))


def _answer(verdicts: Verdicts, digest: pd.Series) -> pd.DataFrame:
    by = verdicts.by
    return pd.DataFrame(
        {
            "outcome": np.array([outcome.name for outcome in Outcome])[verdicts.outcome],
            "reason": np.array([reason.name for reason in Reason])[verdicts.reason],
            "rule": pd.Series(verdicts.rule, dtype="Int64").mask(verdicts.rule == 0),
            "rank": pd.Series(verdicts.rank, dtype="Int64").mask(verdicts.rank == 0),
            # NO_TIME is what NumPy keeps for a missing span.
            "age": verdicts.age_ms.view("timedelta64[ms]"),
            "by": digest.reset_index(drop=True).reindex(by).to_numpy(),
            "deferred": verdicts.deferred,
            "near_limit": verdicts.near_limit,
        }
    )
