"""The options of publishing and of digests, and what they come to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from analyzer.cli.common import Decorated, NumberRange, require_names, with_options, words
from analyzer.errors import InputError, RunError

if TYPE_CHECKING:
    from analyzer.model.digest import Thresholds
    from analyzer.model.results import Report
    from analyzer.nightly import ReportOptions
    from analyzer.publishing.notify import Notifier
    from analyzer.publishing.publish import Target
    from analyzer.store.engine import Database

_S3 = "s3://"

_PUBLISH_OPTIONS = (
    click.option(
        "--publish",
        multiple=True,
        envvar="DEMURRAGE_PUBLISH",
        show_envvar=True,
        metavar="DIR|S3URL",
        help="Also publish the report there, with an index of those before it; may be repeated.",
    ),
    click.option(
        "--keep-reports",
        type=click.IntRange(min=1, max=10_000),
        envvar="DEMURRAGE_KEEP_REPORTS",
        default=30,
        show_default=True,
        show_envvar=True,
        metavar="N",
        help="Published reports to keep: the newest so many.",
    ),
    click.option(
        "--publish-kms-key",
        envvar="DEMURRAGE_PUBLISH_KMS_KEY",
        show_envvar=True,
        metavar="KEY",
        help="KMS key to encrypt what is published to S3 with; without it the bucket's default does.",
    ),
)
_NOTIFY_OPTIONS = (
    click.option(
        "--notify",
        multiple=True,
        envvar="DEMURRAGE_NOTIFY",
        show_envvar=True,
        # The URL of a webhook is its password: no message repeats it.
        hide_input=True,
        metavar="ARN|URL|FILE",
        help="Send a digest to this SNS topic, https webhook (as Slack takes it; better given in the"
        " environment) or file; may be repeated.",
    ),
    click.option(
        "--notify-when",
        type=click.Choice(["always", "alert"]),
        envvar="DEMURRAGE_NOTIFY_WHEN",
        default="always",
        show_default=True,
        show_envvar=True,
        help="Whether the digest goes out every time, or only with an alert or a failure in it.",
    ),
    click.option(
        "--alert-cost-above",
        type=NumberRange(min=0),
        envvar="DEMURRAGE_ALERT_COST_ABOVE",
        show_envvar=True,
        metavar="USD",
        help="Alert where the cost per month is above this.",
    ),
    click.option(
        "--alert-growth-above",
        type=NumberRange(min=0),
        envvar="DEMURRAGE_ALERT_GROWTH_ABOVE",
        show_envvar=True,
        metavar="PERCENT",
        help="Alert where the cost per month grew by more than this within --alert-growth-days.",
    ),
    click.option(
        "--alert-growth-days",
        type=click.IntRange(min=1, max=3650),
        envvar="DEMURRAGE_ALERT_GROWTH_DAYS",
        default=7,
        show_default=True,
        show_envvar=True,
        metavar="N",
        help="How far back growth is counted from; from the oldest snapshots where there are none so old.",
    ),
)


def publish_options(command: Decorated) -> Decorated:
    """Add the options that say where reports are published; `take_publishing` reads them."""
    return with_options(_PUBLISH_OPTIONS, command)


def notify_options(command: Decorated) -> Decorated:
    """Add the options that say who is told; `take_delivery` reads them, and those of publishing."""
    return with_options(_NOTIFY_OPTIONS, command)


@dataclass(frozen=True, slots=True, kw_only=True)
class Publishing:
    """Where reports are published, and how many are kept."""

    targets: tuple[Target, ...]
    keep: int

    @property
    def labels(self) -> tuple[str, ...]:
        """What messages call the targets."""
        return tuple(target.label for target in self.targets)

    def publish(self, report: Report, files: Mapping[str, Path], note: Callable[[str], None]) -> str:
        """Publish to every target, whatever becomes of the others; says where.

        Raises RunError, naming each target that failed.
        """
        from analyzer.publishing.catalog import entry_of
        from analyzer.publishing.publish import publish

        entry = entry_of(report, files)
        failures = []
        for target in self.targets:
            try:
                publish(target, entry, files, keep=self.keep, note=note)
            except RunError as error:
                failures.append(str(error))
        if failures:
            raise RunError("; ".join(failures))
        return f"{entry.id} is in {', '.join(target.label for target in self.targets)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """Who is told of a report, and when."""

    notifiers: tuple[Notifier, ...]
    #: Whether only with something alarming.
    only_alarming: bool
    thresholds: Thresholds

    def tell(
        self,
        database: Database,
        options: ReportOptions,
        report: Report | None,
        *,
        failures: Sequence[tuple[str, str]] = (),
        places: Sequence[str] = (),
        note: Callable[[str], None],
    ) -> str:
        """Tell everybody, whatever becomes of the others; says whom.

        ``report`` was made with ``options``, and None where that failed; ``note`` is told each alert.
        Raises RunError, naming each that could not be told.
        """
        from analyzer.comparison import former_reports
        from analyzer.digest import build_digest
        from reports.digest_text import digest_texts

        limits = self.thresholds
        days = None if limits.growth_above is None else limits.growth_days
        former = None if report is None else former_reports(database, options, report, days=days)
        digest = build_digest(
            report,
            previous=None if former is None else former.previous,
            earlier=None if former is None else former.earlier,
            thresholds=limits,
            failures=failures,
            places=places,
        )
        for alert in digest.alerts:
            note(f"alert: {alert}")
        if not self.notifiers or (self.only_alarming and not digest.is_alarming):
            return "there was nobody to tell" if not self.notifiers else "nothing alarming: nobody was told"
        texts, untold = digest_texts(digest), []
        for notifier in self.notifiers:
            try:
                notifier.send(texts)
            except RunError as error:
                untold.append(str(error))
        if untold:
            raise RunError("; ".join(untold))
        return f"told {', '.join(notifier.label for notifier in self.notifiers)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What becomes of a report that was made."""

    #: None where it is published nowhere.
    publishing: Publishing | None
    #: None where nobody is told, and nothing is alarming.
    telling: Telling | None
    #: What must not be in any log.
    secrets: tuple[str, ...]


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder for the files of a report that is published and kept nowhere else."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="demurrage-") as folder:
        yield Path(folder)


def take_publishing(
    options: dict[str, Any], *, profile: str | None = None, otherwise: str | None = None
) -> Publishing | None:
    """Take what `publish_options` say out of ``options``; None where nothing is to be published.

    ``otherwise`` is published to where nothing is named; ``profile`` has the credentials. Raises InputError
    for what cannot be used.
    """
    names = options.pop("publish") or (() if otherwise is None else (otherwise,))
    keep, kms_key = options.pop("keep_reports"), options.pop("publish_kms_key")
    require_names("--publish", names)
    require_bucket_for_key(names, kms_key)
    targets = tuple(_target(name, profile, kms_key) for name in dict.fromkeys(names))
    return Publishing(targets=targets, keep=keep) if targets else None


def require_bucket_for_key(names: Sequence[str], kms_key: str | None) -> None:
    """Raise InputError where a key is given and none of the places is in S3."""
    if kms_key is not None and not any(name.startswith(_S3) for name in names):
        raise InputError("--publish-kms-key is for what is published to S3: add --publish s3://BUCKET/PREFIX")


def take_delivery(
    options: dict[str, Any], *, profile: str | None = None, otherwise: str | None = None
) -> Delivery:
    """As `take_publishing`, with what `notify_options` say."""
    publishing = take_publishing(options, profile=profile, otherwise=otherwise)
    notify: Sequence[str] = words(options.pop("notify"))
    only_alarming = options.pop("notify_when") == "alert"
    thresholds = _thresholds(options)
    telling = None
    if notify or thresholds.cost_above is not None or thresholds.growth_above is not None:
        from analyzer.publishing.notify import notifier_of

        telling = Telling(
            notifiers=tuple(notifier_of(place, profile=profile) for place in dict.fromkeys(notify)),
            only_alarming=only_alarming,
            thresholds=thresholds,
        )
    secrets = [place for place in notify if "://" in place]
    # Libraries log a URL by its parts.
    secrets += [urlsplit(place).path for place in secrets]
    return Delivery(
        publishing=publishing,
        telling=telling,
        secrets=tuple(secrets),
    )


def _target(name: str, profile: str | None, kms_key: str | None) -> Target:
    if name.startswith(_S3):
        from analyzer.publishing.bucket import BucketTarget

        return BucketTarget(name, profile=profile, kms_key=kms_key)
    from analyzer.publishing.folder import FolderTarget

    return FolderTarget(Path(name))


def _thresholds(options: dict[str, Any]) -> Thresholds:
    from analyzer.model.digest import Thresholds

    cost, growth = options.pop("alert_cost_above"), options.pop("alert_growth_above")
    return Thresholds(
        cost_above=None if cost is None else Decimal(str(cost)),
        growth_above=None if growth is None else Decimal(str(growth)),
        growth_days=options.pop("alert_growth_days"),
    )
