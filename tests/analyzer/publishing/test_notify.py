"""Digests to a topic, a webhook and a file; a webhook's URL is in no message."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest

from analyzer.errors import InputError, RunError
from analyzer.model.digest import DigestTexts
from analyzer.publishing import notify
from analyzer.publishing.notify import FileNotifier, TopicNotifier, WebhookNotifier, notifier_of
from tests.support.emulators import moto_server

TEXTS = DigestTexts("1" * 64, "ECR costs €5–6 per month\n", "plain\n", "slack", '{"now": 1}\n')


class _Hook:
    """A webhook that answers as it is told, and remembers."""

    def __init__(self, *answers: int, headers: dict[str, str] | None = None) -> None:
        self.answers = list(answers)
        self.headers = headers or {}
        self.got: list[tuple[str, dict[str, Any]]] = []
        self.waits: list[float] = []
        self.url = ""

    def notifier(self) -> WebhookNotifier:
        return WebhookNotifier(self.url, sleep=self.waits.append)


@contextmanager
def _hook(*answers: int, headers: dict[str, str] | None = None) -> Iterator[_Hook]:
    hook = _Hook(*answers, headers=headers)
    silence = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            hook.got.append((self.path, json.loads(body)))
            status = hook.answers.pop(0)
            if not status:
                silence.wait(20)
                return
            self.send_response(status)
            for name, value in hook.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    hook.url = f"http://127.0.0.1:{server.server_port}/services/T0/B0/sesame"
    try:
        yield hook
    finally:
        silence.set()
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_webhook_gets_what_slack_takes() -> None:
    with _hook(200) as hook:
        hook.notifier().send(TEXTS)
    assert hook.got == [("/services/T0/B0/sesame", {"text": "slack"})]


def test_a_webhook_that_fails_is_tried_again_and_asked_how_long_to_wait() -> None:
    with _hook(500, 429, 503, 204, headers={"Retry-After": "7"}) as hook:
        hook.notifier().send(TEXTS)
    assert len(hook.got) == 4
    assert hook.waits == [7.0, 7.0, 7.0]


@pytest.mark.parametrize(
    ("answers", "why"),
    [((500, 500, 500, 500), "HTTP status 500"), ((404,), "HTTP status 404"), ((302,), "HTTP status 302")],
)
def test_a_webhook_that_refuses_is_told_without_its_address(answers: tuple[int, ...], why: str) -> None:
    with _hook(*answers, headers={"Location": "http://127.0.0.1:9/elsewhere"}) as hook:
        with pytest.raises(RunError) as error:
            hook.notifier().send(TEXTS)
        assert len(hook.got) == len(answers)
    assert str(error.value) == f"cannot notify the webhook at 127.0.0.1: {why}"


def test_a_webhook_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "_READ_SECONDS", 0.05)
    with _hook(0, 0, 0, 0) as hook, pytest.raises(RunError) as error:
        hook.notifier().send(TEXTS)
    assert "sesame" not in str(error.value)
    assert "Timeout" in str(error.value)
    assert hook.waits == [1.0, 2.0, 4.0]


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example/services/sesame",
        "ftp://hooks.example/sesame",
        "https:///sesame",
        "https://hooks.example:port/sesame",
        "https://[sesame",
    ],
)
def test_a_webhook_is_https_and_a_bad_one_is_not_repeated(url: str) -> None:
    with pytest.raises(InputError, match="--notify: the webhook is no https URL") as error:
        notifier_of(url)
    assert "sesame" not in str(error.value)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    with moto_server() as url:
        for name, value in {
            "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "not-a-secret",
            "AWS_ENDPOINT_URL": url,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": str(tmp_path / "none"),
        }.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("AWS_PROFILE", raising=False)
        yield url


@pytest.mark.parametrize("name", ["nightly", "nightly.fifo"])
def test_a_topic_gets_the_plain_text(aws: str, name: str) -> None:
    sns = boto3.client("sns", endpoint_url=aws, region_name="eu-west-1")
    attributes = {"FifoTopic": "true"} if name.endswith(".fifo") else {}
    arn = sns.create_topic(Name=name, Attributes=attributes)["TopicArn"]
    from moto.sns.models import sns_backends  # noqa: PLC0415

    notifier_of(arn).send(TEXTS)
    (sent,) = sns_backends["123456789012"]["eu-west-1"].topics[arn].sent_notifications
    assert sent[1] == "plain\n"
    # SNS takes ASCII alone.
    assert sent[2] == "ECR costs 5-6 per month"


def test_a_topic_that_is_not_there_is_told(aws: str) -> None:
    assert aws
    with pytest.raises(RunError, match=r"NotFound.*it takes sns:Publish there"):
        TopicNotifier("arn:aws:sns:eu-west-1:123456789012:absent").send(TEXTS)


@pytest.mark.parametrize("arn", ["arn:aws:sqs:eu-west-1:123456789012:queue", "arn:aws:sns:eu-west-1:1:topic"])
def test_what_is_no_topic_is_refused(arn: str) -> None:
    with pytest.raises(InputError, match="is no topic's ARN"):
        notifier_of(arn)


def test_a_file_holds_the_last_digest(tmp_path: Path) -> None:
    for name, text in (("digest.txt", "ECR costs €5–6 per month\n\n\nplain\n"), ("digest.json", TEXTS.json)):
        for _ in range(2):
            notifier_of(str(tmp_path / name)).send(TEXTS)
        assert (tmp_path / name).read_text(encoding="utf-8") == text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["digest.json", "digest.txt"]


def test_a_file_in_no_folder_is_refused_and_one_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--notify"):
        FileNotifier(tmp_path / "no" / "digest.txt")
    notifier = FileNotifier(tmp_path / "digest.txt")
    (tmp_path / "digest.txt").mkdir()
    with pytest.raises(RunError, match="cannot write --notify"):
        notifier.send(TEXTS)
