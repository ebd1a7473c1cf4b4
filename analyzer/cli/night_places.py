"""Where a night reads pulls from, publishes and tells, beside its registries: `doctor`'s checks of it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analyzer.cli.common import require_names, words
from analyzer.cli.publishing import require_bucket_for_key
from analyzer.errors import InputError
from analyzer.model.checks import Check, CheckStatus

if TYPE_CHECKING:
    from analyzer.collect.examination import AwsFacts, Beside

_S3 = "s3://"
#: What does not say where, of the options of `ingest`, of publishing and of digests.
_NO_PLACES = (
    "since",
    "scanner",
    "role_regions",
    "processes",
    "keep_reports",
    "notify_when",
    "alert_cost_above",
    "alert_growth_above",
    "alert_growth_days",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NightPlaces:
    """Where a night goes beside its registries."""

    #: What of it is AWS's.
    beside: Beside
    #: Whether pulls are read from elsewhere than trails' buckets too, and from event histories.
    has_other_pulls: bool
    asks_history: bool
    #: The checks of what can be judged without AWS.
    checks: tuple[Check, ...]


def take_places(options: dict[str, Any]) -> NightPlaces:
    """What the options of `ingest`, of publishing and of digests name, which are taken out of ``options``.

    Raises InputError where they make no sense together; a place that cannot be used is a failed check.
    """
    from analyzer.collect.examination import Beside

    trails: Sequence[str] = tuple(dict.fromkeys(options.pop("trail")))
    asks_history: bool = options.pop("lookup")
    publish: Sequence[str] = tuple(dict.fromkeys(options.pop("publish")))
    kms_key: str | None = options.pop("publish_kms_key")
    notify = tuple(dict.fromkeys(words(options.pop("notify"))))
    for name in _NO_PLACES:
        del options[name]
    require_names("--trail", trails)
    require_names("--publish", publish)
    require_bucket_for_key(publish, kms_key)
    checks: list[Check] = []
    buckets = [name for name in trails if name.startswith(_S3)]
    return NightPlaces(
        beside=Beside(
            trails=tuple(_trails(buckets, checks)),
            buckets=tuple(_published(publish, kms_key, checks)),
            topics=tuple(_told(notify, checks)),
        ),
        has_other_pulls=asks_history or len(buckets) < len(trails),
        asks_history=asks_history,
        checks=(*_folders(trails), *checks),
    )


def delivery_checks(places: NightPlaces, aws: AwsFacts | None) -> Iterator[Check]:
    """The checks of all places; those in AWS by what ``aws`` says of them, or that it was not asked."""
    from analyzer.publishing.checkup import check_bucket, check_topic

    yield from places.checks
    if aws is not None and aws.beside is not None:
        yield from map(check_bucket, aws.beside.buckets)
        yield from map(check_topic, aws.beside.topics)
        return
    beside = places.beside
    for name, subjects in (
        ("pulls.trail", beside.trails),
        ("publishing.bucket", [bucket.label for bucket in beside.buckets]),
        ("digest.topic", beside.topics),
    ):
        for subject in subjects:
            found = "not asked, for want of credentials"
            yield Check(id=name, subject=subject, status=CheckStatus.SKIPPED, found=found)


def _folders(trails: Sequence[str]) -> Iterator[Check]:
    """The folders with files of a trail."""
    for name in trails:
        folder = Path(name)
        if name.startswith(_S3):
            continue
        if not folder.is_dir() or not os.access(folder, os.R_OK | os.X_OK):
            yield Check(
                id="pulls.folder",
                subject=name,
                status=CheckStatus.FAILED,
                found="there is no such folder that this user can read",
                mend="mend --trail; a bucket is written s3://BUCKET/PREFIX",
                blocks_run=True,
            )
        else:
            yield Check(id="pulls.folder", subject=name, status=CheckStatus.OK, found="it can be read")


def _trails(urls: Sequence[str], checks: list[Check]) -> Iterator[str]:
    from analyzer.collect.trails import trail_place

    for url in urls:
        with _noted(checks, "pulls.trail", "--trail"):
            trail_place(url)
            yield url


def _published(names: Sequence[str], kms_key: str | None, checks: list[Check]) -> Iterator[Any]:
    from analyzer.publishing.bucket import BucketTarget
    from analyzer.publishing.checkup import check_folder

    for name in names:
        if not name.startswith(_S3):
            checks.append(check_folder(Path(name)))
            continue
        with _noted(checks, "publishing.bucket", "--publish"):
            yield BucketTarget(name, kms_key=kms_key).place


def _told(names: Sequence[str], checks: list[Check]) -> Iterator[str]:
    from analyzer.publishing.checkup import check_file, check_webhook
    from analyzer.publishing.notify import FileNotifier, TopicNotifier, WebhookNotifier, notifier_of

    for name in names:
        with _noted(checks, "digest.place", "--notify"):
            notifier = notifier_of(name)
            if isinstance(notifier, WebhookNotifier):
                checks.append(check_webhook(notifier))
            elif isinstance(notifier, FileNotifier):
                checks.append(check_file(notifier))
            elif isinstance(notifier, TopicNotifier):
                yield notifier.label


@contextmanager
def _noted(checks: list[Check], name: str, option: str) -> Iterator[None]:
    """Make a failed check of what is no place at all: the night would end before it began."""
    try:
        yield
    except InputError as error:
        checks.append(
            Check(
                id=name,
                status=CheckStatus.FAILED,
                found=str(error),
                mend=f"mend {option}: run ends with status 2",
                blocks_run=True,
            )
        )
