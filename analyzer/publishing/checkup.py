"""Whether reports could be published, and digests sent: for `doctor`, which publishes and sends nothing.

Of a folder it is tried with a file that is taken away again: no permission tells whether a file system
renames and locks. Buckets and topics are judged by what `analyzer.collect.delivery_probes` was told.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from analyzer.collect.delivery_probes import BucketProbe, TopicProbe
from analyzer.collect.refusals import ACCESS_CODES, Reach, Refusal, one_line
from analyzer.errors import RunError
from analyzer.model.checks import Check, CheckStatus
from analyzer.model.publication import INDEX_JSON, REPORTS
from analyzer.model.units import iso
from analyzer.publishing.catalog import read_catalog
from analyzer.publishing.folder import locked
from analyzer.publishing.notify import FileNotifier, WebhookNotifier

_OK, _FAILED, _UNKNOWN = CheckStatus.OK, CheckStatus.FAILED, CheckStatus.UNKNOWN


def check_folder(folder: Path) -> Check:
    """Whether reports can be published into ``folder``, or it can be made."""
    name, subject = "publishing.folder", str(folder)
    place = folder.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        return _failed(name, subject, f"{place} cannot be written by this user", "give write access to it")
    if not folder.exists():
        return Check(id=name, subject=subject, status=_OK, found="run would make it")
    reports = folder / REPORTS
    try:
        _try_files(reports if reports.exists() else folder)
        index = folder / INDEX_JSON
        found = _published(index.read_bytes() if index.exists() else None, subject)
    except OSError as error:
        said = f"a file cannot be written, locked and renamed there: {error.strerror or error}"
        return _failed(name, subject, said, "give write access to it, or name another folder with --publish")
    except RunError as error:
        return _failed(name, subject, str(error), "")
    return Check(id=name, subject=subject, status=_OK, found=found)


def check_bucket(bucket: BucketProbe) -> Check:
    """Whether the bucket is there, and what is published in it."""
    name, subject = "publishing.bucket", bucket.place.label
    if bucket.refusal is not None:
        return _refused(name, subject, bucket.refusal, "check --publish, and the permissions below")
    try:
        found = _published(bucket.index, subject)
    except RunError as error:
        return _failed(name, subject, str(error), "")
    return Check(id=name, subject=subject, status=_OK, found=found)


def check_topic(topic: TopicProbe) -> Check:
    """Whether the topic is there, and whether anybody would hear of it."""
    name, subject = "digest.topic", topic.arn
    if topic.refusal is not None:
        if topic.refusal.reason in ACCESS_CODES:
            return Check(
                id=name,
                subject=subject,
                status=_UNKNOWN,
                found=f"whether it is there is not known: {topic.refusal.reason}: {topic.refusal.detail}",
                mend="allow sns:GetTopicAttributes, which only doctor asks for, or see what run says",
            )
        return _refused(name, subject, topic.refusal, "check --notify")
    locked_with = f", encrypted with {topic.kms_key}" if topic.kms_key else ""
    if topic.subscriptions == 0:
        return Check(
            id=name,
            subject=subject,
            status=CheckStatus.WARNING,
            found=f"nobody is subscribed to it{locked_with}",
            mend="subscribe somebody, and let them confirm",
        )
    heard = "" if topic.subscriptions is None else f", with {topic.subscriptions:,} subscribed"
    return Check(id=name, subject=subject, status=_OK, found=f"it is there{heard}{locked_with}")


def check_webhook(webhook: WebhookNotifier, resolve: Callable[..., Any] = socket.getaddrinfo) -> Check:
    """Whether the name in the webhook's URL is known; nothing is posted, and nobody is called."""
    name, (host, port) = "digest.webhook", webhook.address
    if webhook.is_proxied:
        found = "not looked up: it is reached by the environment's proxy"
        return Check(id=name, subject=host, status=CheckStatus.SKIPPED, found=found)
    try:
        resolve(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        said = f"the name cannot be looked up: {one_line(getattr(error, 'strerror', None) or error)}"
        return _failed(name, host, said, "check the URL of --notify, and this machine's DNS")
    return Check(id=name, subject=host, status=_OK, found="the name is known; nothing was posted")


def check_file(notifier: FileNotifier) -> Check:
    """Whether the digest can be written where it belongs."""
    name, folder = "digest.file", notifier.folder
    if not os.access(folder, os.W_OK | os.X_OK):
        said = f"{folder.absolute()} cannot be written by this user"
        return _failed(name, notifier.label, said, "give write access to it, or name another file")
    return Check(id=name, subject=notifier.label, status=_OK, found="its folder can be written")


def _try_files(folder: Path) -> None:
    """Write, lock and rename a file in ``folder`` and take it away; raises OSError where that fails."""
    probe = folder / f".{secrets.token_hex(8)}.part"
    renamed = probe.with_suffix(".gone")
    try:
        with probe.open("wb") as file, locked(file):
            file.write(b"demurrage")
            file.flush()
            os.fsync(file.fileno())
        probe.rename(renamed)
    finally:
        probe.unlink(missing_ok=True)
        renamed.unlink(missing_ok=True)


def _published(index: bytes | None, place: str) -> str:
    """What an index says; raises RunError where it is none of ours."""
    if index is None:
        return "nothing is published there yet"
    reports = read_catalog(index, place).reports
    if not reports:
        return "no report is published there"
    noun = "report is" if len(reports) == 1 else "reports are"
    return f"{len(reports):,} {noun} published there, the newest of {iso(reports[0].taken_to)}"


def _refused(name: str, subject: str, refusal: Refusal, mend: str) -> Check:
    said = f"{refusal.reason}: {refusal.detail}"
    if refusal.reach is Reach.TRANSIENT:
        return Check(id=name, subject=subject, status=_UNKNOWN, found=said, mend=mend)
    return _failed(name, subject, said, mend)


def _failed(name: str, subject: str, found: str, mend: str) -> Check:
    """What makes `run` end with a failure."""
    return Check(id=name, subject=subject, status=_FAILED, found=found, mend=mend, blocks_run=True)
