"""A report of any size, the same for the same arguments, whose figures obey the model's sums.

No blob is simulated: bytes are drawn per image and per repository, then summed upwards, so that
whatever should add up does, and physical lies between unique and logical.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Literal

import numpy as np
import pandas as pd

from analyzer.model.records import Gap
from analyzer.model.registry_settings import SEVERITIES
from analyzer.model.results import (
    AgeBucket,
    Counts,
    PriceRow,
    RegistryRow,
    Report,
    RepositoryRow,
    ScopedBytes,
    ScopedMoney,
    Totals,
)
from analyzer.model.units import GB, Money, add_up

#: Names and tags as an attacker, or a careless pipeline, would choose them.
HOSTILE = (
    "<script>alert(1)</script>",
    '"onmouseover="alert(1)" x="',
    "=cmd|'/C calc'!A0",
    "invoice\u202egnp.exe",
    "two\nlines\ttab\rreturn",
    "\x1b[31mred\x1b[0m\x00\x07",
    "{{7*7}}{% raw %}${7*7}",
    "＝1+1",
    "  \u00a0@SUM(A1)",
    "</title></style><img src=http://example.invalid/x.png onerror=alert(1)>",
    "zero\u200bwidth\u2066isolate\u2069",
    "lone\ud800surrogate",
)

AT = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
STALE_DAYS = 90

_TEAMS = ("checkout", "data", "identity", "infra", "logistics", "ml", "mobile", "payments", "search", "web")
_SERVICES = ("api", "batch", "gateway", "importer", "indexer", "notebook", "proxy", "trainer", "worker")
_REGISTRIES = (
    ("111122223333", "eu-central-1"),
    ("111122223333", "eu-west-1"),
    ("111122223333", "us-east-1"),
    ("444455556666", "eu-west-1"),
    ("444455556666", "me-central-1"),
    ("444455556666", "us-east-1"),
)
_UNPRICED = "me-central-1"
_PRICE = Decimal("0.10")

Mounting = Literal["off", "unreadable", "on", "mixed"]

#: Reasons as the assembly gives them.
UNKNOWN_SIZE = "artifacts of unknown size"
NEVER_LISTED = "images that were never listed"
REPOSITORIES_NEVER_LISTED = "repositories that were never listed"
POSSIBLY_REACHED = "images that may belong to an index that could not be read"

RUN = 42
_IMAGE_ORDER = ("account", "region", "repository", "digest")


def build_report(
    repositories: int,
    *,
    scope: Literal["auto", "repository", "registry"] = "auto",
    mounting: Mounting = "off",
    unpriced: bool = False,
    gaps: bool = False,
    unknowns: bool = False,
    not_read: bool = False,
    hostile: bool = False,
    seed: int = 7,
) -> Report:
    """A report of ``repositories`` rows.

    Up to five live in one account and two regions, more in two accounts and six registries.
    ``unpriced`` takes the price of one region away (with five or fewer, that of the second);
    ``gaps`` refuses some reads, so that one repository in a hundred was never read and one list of
    repositories came in part; ``unknowns`` makes some artifacts unreadable, all those of the last
    repository among them, and leaves open whether a tag reaches some images; ``not_read`` shows the
    last registry as of an earlier run; ``hostile`` gives the dearest repositories, and tags, the
    names in ``HOSTILE``.
    """
    rng = np.random.default_rng([seed, repositories])
    keys = _REGISTRIES if repositories > 5 else _REGISTRIES[:2]
    unknown_region = (_UNPRICED if repositories > 5 else keys[1][1]) if unpriced else ""
    most = 400 if repositories <= 500 else 60
    rows: list[RepositoryRow] = []
    frames: list[pd.DataFrame] = []
    for n in range(repositories):
        account, region = keys[n % len(keys)]
        name = f"{_TEAMS[n % 10]}/{_SERVICES[n * 7 // 10 % 9]}" + (f"-{n // 10}" if n >= 10 else "")
        row, images = _repository(
            rng, n, account, region, name, most, gaps, unknown_region, unknowns=unknowns
        )
        if gaps and n % 97 == 3:
            row, images = _never_read(row), images.iloc[:0]
        elif unknowns and n == repositories - 1:
            row, images = _unreadable(row), images.assign(kind="unknown", logical_bytes=0)
        rows.append(row)
        frames.append(images)
    order = sorted(
        range(repositories),
        key=lambda n: (
            rows[n].cost.repository.amount is None,
            -(rows[n].cost.repository.amount or 0),
            -rows[n].physical_bytes.repository,
            n,
        ),
    )
    rows = [rows[n] for n in order]
    frames = [frames[n] for n in order]
    if hostile and rows:
        for n, name in enumerate(HOSTILE[: len(rows)]):
            rows[n] = replace(rows[n], repository=name)
            # As objects: Arrow, which pandas keeps texts in where it is installed, takes no half a pair.
            names = pd.Series([name] * len(frames[n]), frames[n].index, dtype=object)
            frames[n] = frames[n].assign(repository=names)
        frames[0]["tags"] = frames[0]["tags"].astype(object)
        frames[0].loc[frames[0].index[: len(HOSTILE)], "tags"] = HOSTILE[: len(frames[0])]
    return _report(rows, frames, keys, scope, mounting, unknown_region, gaps, not_read=not_read)


def nothing_known() -> Report:
    """A report of one registry whose list of repositories was refused from the start."""
    report = build_report(0)
    unknown = Money.unknown(REPOSITORIES_NEVER_LISTED)
    both = ScopedMoney(repository=unknown, registry=unknown)
    registry = replace(report.registries[0], status="refused", cost=both, cost_low=unknown, cost_high=unknown)
    totals = replace(
        report.totals,
        registries=1,
        cost=both,
        cost_low=unknown,
        cost_high=unknown,
        orphaned_cost=both,
        stale_cost=both,
    )
    return replace(report, registries=(registry,), totals=totals)


def _priced(size_bytes: int, region: str, unknown_region: str) -> Money:
    if size_bytes and region == unknown_region:
        return Money.unknown(f"no storage price for {region}")
    return Money(Decimal(size_bytes) / GB * _PRICE)


def _beside(money: Money, *reasons: str) -> Money:
    """``money`` that also leaves out what ``reasons`` name."""
    return replace(money, leaves_out=tuple(sorted({*money.leaves_out, *reasons})))


def _emptied(row: RepositoryRow, reason: str, counts: Counts) -> RepositoryRow:
    """``row`` without one byte that is known, for ``reason``."""
    unknown = Money.unknown(reason)
    return replace(
        row,
        counts=counts,
        logical_bytes=0,
        physical_bytes=ScopedBytes(repository=0, registry=0),
        unique_bytes=0,
        shared_bytes=0,
        untagged_freed_bytes=0,
        orphaned_freed_bytes=0,
        stale_freed_bytes=0,
        cost=ScopedMoney(repository=unknown, registry=unknown),
        orphaned_cost=unknown,
    )


def _never_read(row: RepositoryRow) -> RepositoryRow:
    emptied = _emptied(row, NEVER_LISTED, _summed([]))
    return replace(emptied, status="refused", complete_at=None)


def _unreadable(row: RepositoryRow) -> RepositoryRow:
    artifacts = row.counts.images + row.counts.indexes + row.counts.referrers + row.counts.unknown
    return _emptied(row, UNKNOWN_SIZE, replace(_summed([]), unknown=artifacts))


def _repository(
    rng: np.random.Generator,
    n: int,
    account: str,
    region: str,
    name: str,
    most: int,
    gaps: bool,
    unknown_region: str,
    *,
    unknowns: bool,
) -> tuple[RepositoryRow, pd.DataFrame]:
    size = int(np.clip(rng.lognormal(3.2, 1.1), 1, most))
    unreadable = 0.02 if unknowns else 0.0
    kind = rng.choice(
        ["image", "index", "referrer", "unknown"], size, p=[0.9, 0.05, 0.05 - unreadable, unreadable]
    )
    image = kind == "image"
    bytes_ = np.where(image, rng.lognormal(18.8, 1.0, size), rng.integers(400, 9000, size)).astype(np.int64)
    bytes_[(kind == "index") | (kind == "unknown")] = 0
    orphaned = rng.random(size) < rng.beta(1.3, 2.0)
    tagged = ~orphaned & (rng.random(size) < 0.9)
    stale = rng.random(size) < 0.5
    never = rng.random(size) < 0.3
    age = rng.integers(0, 900, size)
    logical = int(bytes_.sum())
    physical = int(logical / rng.uniform(1.2, 4.5))
    unique = int(physical * rng.uniform(0.3, 1.0))
    orphaned_bytes = int(physical * 0.8 * bytes_[orphaned].sum() / max(logical, 1))
    partial = gaps and n % 89 == 2
    counts = Counts(
        images=int(image.sum()),
        indexes=int((kind == "index").sum()),
        referrers=int((kind == "referrer").sum()),
        unknown=int((kind == "unknown").sum()),
        untagged_images=int((image & ~tagged).sum()),
        orphaned_images=int((image & orphaned).sum()),
        possibly_reached_images=int((image & ~orphaned & ~tagged).sum()) if unknowns and n % 3 == 1 else 0,
        stale_images=int((image & stale).sum()),
        never_pulled_images=int((image & never).sum()),
        archived_images=0,
    )
    unseen = (UNKNOWN_SIZE,) if counts.unknown else ()
    reached = (POSSIBLY_REACHED,) if counts.possibly_reached_images else ()
    row = RepositoryRow(
        account=account,
        region=region,
        repository=name,
        created_at=AT - timedelta(days=900 + n),
        status="partial" if partial else "complete",
        complete_at=AT - timedelta(days=9) if partial else AT,
        counts=counts,
        logical_bytes=logical,
        physical_bytes=ScopedBytes(repository=physical, registry=unique),
        unique_bytes=unique,
        shared_bytes=physical - unique,
        untagged_freed_bytes=min(physical, int(orphaned_bytes * 1.1)),
        orphaned_freed_bytes=orphaned_bytes,
        stale_freed_bytes=int(physical * 0.6 * bytes_[stale].sum() / max(logical, 1)),
        cost=ScopedMoney(
            repository=_beside(_priced(physical, region, unknown_region), *unseen),
            registry=_beside(_priced(unique, region, unknown_region), *unseen),
        ),
        orphaned_cost=_beside(_priced(orphaned_bytes, region, unknown_region), *unseen, *reached),
        has_lifecycle_policy=None if gaps and n % 11 == 5 else bool(rng.random() < 0.4),
        pull_through_cache=None if gaps and n % 13 == 4 else n % 23 == 22,
    )
    images = pd.DataFrame(
        {
            "account": account,
            "region": region,
            "repository": name,
            "digest": [f"sha256:{n:08x}{i:056x}" for i in range(size)],
            "kind": kind,
            "tags": np.where(tagged, [f"v1.{i} build-{i}" for i in range(size)], ""),
            "tagged": tagged,
            "orphaned": orphaned,
            "stale": stale,
            "pushed_at": pd.to_datetime(
                (AT.replace(tzinfo=None) - pd.to_timedelta(age, unit="D")).astype("datetime64[ms]"), utc=True
            ),
            "last_pull": np.where(never, "never", "2026-11-01"),
            "image_status": "ACTIVE",
            "logical_bytes": bytes_,
            "unique_bytes_repository": bytes_ // 3,
            "unique_bytes_registry": bytes_ // 4,
            "in_use": np.where(never, "", "running"),
            **_looked_at(size, n),
        }
    )
    return row, images


def _looked_at(size: int, n: int) -> dict[str, object]:
    """Columns about scans and replicas; every second repository is scanned, and no draw is made."""
    scanned = n % 2 == 0
    counts = pd.Series([n % 5 if scanned else None] * size, dtype="Int64")
    return {
        "scan_status": "COMPLETE" if scanned else "",
        "scan_completed": "2026-11-01" if scanned else "",
        **{f"findings_{severity}": counts for severity in SEVERITIES},
        "replica": ("no", "yes", "unknown")[n % 3],
        "replicated": n % 2,
        "not_replicated": 0,
        "replication_unknown": 0,
    }


def _summed(counts: Sequence[Counts]) -> Counts:
    return Counts(**{f.name: sum(getattr(c, f.name) for c in counts) for f in fields(Counts)})


def _setting(mounting: Mounting, n: int) -> tuple[str, bool]:
    if mounting == "mixed":
        return (("ENABLED", True), ("DISABLED", True), ("DISABLED", False), ("", False))[n % 4]
    return {"off": ("DISABLED", False), "unreadable": ("", False), "on": ("ENABLED", True)}[mounting]


def _report(
    rows: list[RepositoryRow],
    frames: list[pd.DataFrame],
    keys: Sequence[tuple[str, str]],
    scope: Literal["auto", "repository", "registry"],
    mounting: Mounting,
    unknown_region: str,
    gaps: bool,
    *,
    not_read: bool,
) -> Report:
    registries, shared_costs = [], []
    for n, (account, region) in enumerate(keys):
        own = [row for row in rows if (row.account, row.region) == (account, region)]
        shared = sum(row.shared_bytes for row in own) * 2 // 5
        shared_cost = _priced(shared, region, unknown_region)
        shared_costs.append(shared_cost)
        partial = gaps and n == 1
        unlisted = (REPOSITORIES_NEVER_LISTED,) if partial else ()
        cost = ScopedMoney(
            repository=_beside(add_up(row.cost.repository for row in own), *unlisted),
            registry=_beside(add_up([*(row.cost.registry for row in own), shared_cost]), *unlisted),
        )
        setting, ever = _setting(mounting, n)
        earlier = not_read and n == len(keys) - 1
        low_scope = ("registry" if ever else "repository") if scope == "auto" else scope
        registries.append(
            RegistryRow(
                partition="aws",
                account=account,
                region=region,
                snapshot=40 + n,
                run=RUN - 2 if earlier else RUN,
                taken_at=AT - timedelta(days=3) if earlier else AT + timedelta(seconds=n * 37),
                status="partial" if partial else "complete",
                blob_mounting=setting,
                blob_mounting_ever=ever,
                repositories=len(own),
                counts=_summed([row.counts for row in own]),
                logical_bytes=sum(row.logical_bytes for row in own),
                physical_bytes=ScopedBytes(
                    repository=sum(row.physical_bytes.repository for row in own),
                    registry=sum(row.unique_bytes for row in own) + shared,
                ),
                shared_bytes=shared,
                cost=cost,
                cost_low=cost.registry if low_scope == "registry" else cost.repository,
                cost_high=cost.registry if scope == "registry" else cost.repository,
            )
        )
    images = pd.concat(frames, ignore_index=True) if frames else _no_images()
    # Not by pandas, which would sort by Arrow's texts.
    names = list(zip(*(images[name].tolist() for name in _IMAGE_ORDER), strict=True))
    images = images.take(sorted(range(len(names)), key=names.__getitem__)).reset_index(drop=True)
    return Report(
        scope=scope,
        at=AT,
        stale_days=STALE_DAYS,
        run=RUN,
        taken_from=min(row.taken_at for row in registries),
        taken_to=max(row.taken_at for row in registries),
        totals=_totals(rows, registries, images, scope),
        registries=tuple(registries),
        repositories=tuple(rows),
        shared_cost=add_up(shared_costs),
        ages=_ages(sum(row.physical_bytes.repository for row in rows)),
        prices=tuple(
            PriceRow(
                region=region,
                storage_class="standard",
                from_gb=0,
                usd_per_gb_month=None if region == unknown_region else _PRICE,
                discount_factor=Decimal(1),
                source="AWS price list",
                as_of="2026-09-24",
                confidence="unknown" if region == unknown_region else "high",
            )
            for region in sorted({region for _, region in keys})
        ),
        gaps=_gaps(rows) if gaps else (),
        accepted_gaps=tuple(
            (_gap(row, "ecr:GetRegistryScanningConfiguration"), "no permission wanted, see runbook")
            for row in rows[: int(gaps)]
        ),
        images=images,
    )


def _totals(
    rows: list[RepositoryRow],
    registries: list[RegistryRow],
    images: pd.DataFrame,
    scope: Literal["auto", "repository", "registry"],
) -> Totals:
    cost = ScopedMoney(
        repository=add_up(row.cost.repository for row in registries),
        registry=add_up(row.cost.registry for row in registries),
    )
    orphaned_cost = _beside(add_up(row.orphaned_cost for row in rows), *cost.repository.leaves_out)
    ever = {row.blob_mounting_ever for row in registries}
    low_scope: Literal["repository", "registry", "mixed"] = "mixed"
    if scope != "auto":
        low_scope = scope
    elif len(ever) == 1:
        low_scope = "registry" if ever.pop() else "repository"
    stale_cost = Money(
        None
        if orphaned_cost.amount is None
        else Decimal(sum(row.stale_freed_bytes for row in rows)) / GB * _PRICE,
        leaves_out=cost.repository.leaves_out,
    )
    freed = {
        name: sum(getattr(row, name) for row in rows)
        for name in ("untagged_freed_bytes", "orphaned_freed_bytes", "stale_freed_bytes")
    }
    return Totals(
        repositories=len(rows),
        registries=len(registries),
        counts=_summed([row.counts for row in rows]),
        logical_bytes=sum(row.logical_bytes for row in rows),
        physical_bytes=ScopedBytes(
            repository=sum(row.physical_bytes.repository for row in registries),
            registry=sum(row.physical_bytes.registry for row in registries),
        ),
        shared_bytes=sum(row.shared_bytes for row in registries),
        **{name: ScopedBytes(repository=n, registry=n * 4 // 5) for name, n in freed.items()},
        cost=cost,
        cost_low=add_up(row.cost_low for row in registries),
        cost_high=add_up(row.cost_high for row in registries),
        cost_low_scope=low_scope,
        cost_high_scope="registry" if scope == "registry" else "repository",
        orphaned_cost=ScopedMoney(repository=orphaned_cost, registry=_scaled(orphaned_cost)),
        stale_cost=ScopedMoney(repository=stale_cost, registry=_scaled(stale_cost)),
        reported_size_bytes=int(images["logical_bytes"].sum() * 101 // 100),
    )


def _scaled(money: Money) -> Money:
    return replace(money, amount=None if money.amount is None else money.amount * Decimal("0.8"))


def _ages(physical: int) -> tuple[AgeBucket, ...]:
    shares = {
        "under 30 days": 9,
        "30 to 90 days": 14,
        "90 to 180 days": 17,
        "180 days to 1 year": 22,
        "1 to 2 years": 28,
    }
    ages = [AgeBucket(label=label, physical_bytes=physical * part // 100) for label, part in shares.items()]
    rest = physical - sum(age.physical_bytes for age in ages)
    return (*ages, AgeBucket(label="over 2 years", physical_bytes=rest))


def _gap(row: RepositoryRow, call: str) -> Gap:
    return Gap(
        account=row.account,
        region=row.region,
        repository=row.repository,
        call=call,
        reason="AccessDeniedException",
        detail=f"not authorized to perform {call}; add it to the role",
    )


def _gaps(rows: list[RepositoryRow]) -> tuple[Gap, ...]:
    refused = [_gap(row, "ecr:DescribeImages") for row in rows if row.status != "complete"]
    unread = [_gap(row, "ecr:GetLifecyclePolicy") for row in rows if row.has_lifecycle_policy is None]
    return tuple(sorted([*refused, *unread]))


def _no_images() -> pd.DataFrame:
    texts = ["account", "region", "repository", "digest", "kind", "tags", "last_pull", "image_status"]
    texts += ["in_use"]
    return pd.DataFrame(
        {
            **{name: pd.Series([], dtype="str") for name in texts},
            **{name: pd.Series([], dtype=bool) for name in ("tagged", "orphaned", "stale")},
            "pushed_at": pd.Series([], dtype="datetime64[ms, UTC]"),
            **{
                name: pd.Series([], dtype=np.int64)
                for name in ("logical_bytes", "unique_bytes_repository", "unique_bytes_registry")
            },
            **_looked_at(0, 0),
        }
    )
