"""What doctor says of where reports are published and digests sent."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from analyzer.collect.delivery_probes import BucketPlace, BucketProbe, TopicProbe
from analyzer.collect.refusals import Reach, Refusal
from analyzer.model.publication import Catalog
from analyzer.publishing.catalog import write_catalog
from analyzer.publishing.checkup import check_bucket, check_file, check_folder, check_topic, check_webhook
from analyzer.publishing.folder import FolderTarget
from analyzer.publishing.notify import FileNotifier, WebhookNotifier
from tests.analyzer.publishing.test_publish import _made

PLACE = BucketPlace(label="s3://reports/ecr", bucket="reports", prefix="ecr")
TOPIC = "arn:aws:sns:eu-west-1:123456789012:digests"
DENIED = Refusal("AccessDenied", Reach.REPOSITORY, "not authorized")
SLOW = Refusal("ReadTimeoutError", Reach.TRANSIENT, "no answer")


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


def test_a_folder_is_tried_and_left_as_it_was(tmp_path: Path) -> None:
    target = FolderTarget(tmp_path)
    before = _names(tmp_path)
    check = check_folder(tmp_path)
    assert (check.status, check.found) == ("ok", "nothing is published there yet")
    assert _names(tmp_path) == before
    entry, _ = _made(tmp_path / "made", 7)
    target.write_page("index.json", write_catalog(Catalog((entry,))))
    assert check_folder(tmp_path).found.startswith("1 report is published there, the newest of 2026-")


def test_a_folder_that_does_not_rename_is_a_failed_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_self: Path, _target: Any) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(Path, "rename", refuse)
    check = check_folder(tmp_path)
    assert (check.status, check.blocks_run) == ("failed", True)
    assert "renamed" in check.found
    assert _names(tmp_path) == []


def test_a_folder_with_an_index_that_is_none_of_ours_is_a_failed_check(tmp_path: Path) -> None:
    (tmp_path / "index.json").write_text("{}")
    check = check_folder(tmp_path)
    assert (check.status, check.blocks_run) == ("failed", True)
    assert "is not an index that demurrage wrote" in check.found
    assert check_bucket(BucketProbe(place=PLACE, probed=(), index=b"[]")).status == "failed"


def test_a_bucket_says_what_is_published_in_it(tmp_path: Path) -> None:
    entries = tuple(_made(tmp_path, run)[0] for run in (9, 8))
    found = check_bucket(BucketProbe(place=PLACE, probed=(), index=write_catalog(Catalog(entries))))
    assert (found.status, found.subject) == ("ok", "s3://reports/ecr")
    assert found.found.startswith("2 reports are published there")
    assert check_bucket(BucketProbe(place=PLACE, probed=())).found == "nothing is published there yet"


@pytest.mark.parametrize(("refusal", "status"), [(DENIED, "failed"), (SLOW, "unknown")])
def test_a_bucket_that_refuses_fails_and_one_that_does_not_answer_is_unknown(
    refusal: Refusal, status: str
) -> None:
    check = check_bucket(BucketProbe(place=PLACE, probed=(), refusal=refusal))
    assert (check.status, check.blocks_run) == (status, status == "failed")
    assert refusal.detail in check.found


@pytest.mark.parametrize(
    ("topic", "status", "said"),
    [
        (TopicProbe(arn=TOPIC, probed=(), subscriptions=2), "ok", "with 2 subscribed"),
        (TopicProbe(arn=TOPIC, probed=()), "ok", "it is there"),
        (TopicProbe(arn=TOPIC, probed=(), subscriptions=0, kms_key="alias/x"), "warning", "alias/x"),
        (TopicProbe(arn=TOPIC, probed=(), refusal=DENIED), "unknown", "whether it is there"),
        (TopicProbe(arn=TOPIC, probed=(), refusal=SLOW), "unknown", "no answer"),
        (
            TopicProbe(arn=TOPIC, probed=(), refusal=Refusal("NotFound", Reach.CALL, "x")),
            "failed",
            "NotFound",
        ),
    ],
)
def test_a_topic_is_ok_only_where_it_said_so(topic: TopicProbe, status: str, said: str) -> None:
    check = check_topic(topic)
    assert check.status == status
    assert said in check.found
    assert check.blocks_run == (status == "failed")


def test_a_webhooks_name_is_looked_up_and_its_path_told_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    asked = []

    def resolve(host: str, port: int, **_: object) -> None:
        asked.append((host, port))
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    webhook = WebhookNotifier("https://hooks.example.com/services/secret")
    check = check_webhook(webhook, resolve)
    assert asked == [("hooks.example.com", 443)]
    assert (check.status, check.blocks_run, check.subject) == ("failed", True, "hooks.example.com")
    assert "Name or service not known" in check.found
    assert "secret" not in f"{check.found}{check.mend}"
    assert check_webhook(webhook, lambda *_, **__: []).status == "ok"
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    asked.clear()
    assert check_webhook(webhook, resolve).status == "skipped"
    assert asked == []


def test_a_file_in_a_folder_that_cannot_be_written_is_a_failed_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notifier = FileNotifier(tmp_path / "digest.json")
    assert check_file(notifier).status == "ok"
    # Root may write anywhere.
    monkeypatch.setattr(os, "access", lambda *_: False)
    check = check_file(notifier)
    assert (check.status, check.blocks_run) == ("failed", True)
    assert str(tmp_path) in check.found
    assert check_folder(tmp_path).status == "failed"
