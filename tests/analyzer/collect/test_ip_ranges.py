"""AWS's ip-ranges over HTTP: fetched once, and again where it failed; never more than enough of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from analyzer.collect import ip_ranges
from analyzer.collect.ip_ranges import FetchedIpRanges, fetch_ip_ranges
from analyzer.errors import InputError, RunError
from tests.support.stub_files import FileServer, serve_file


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith("AWS_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))


@pytest.fixture
def server() -> Iterator[FileServer]:
    """A server of a short file."""
    with serve_file(FileServer(b"{}")) as server:
        yield server


def _fetch(server: FileServer, etag: str = "") -> tuple[FetchedIpRanges | None, list[float]]:
    waits: list[float] = []
    return fetch_ip_ranges(etag, url=server.url, sleep=waits.append), waits


def test_the_file_is_fetched_with_its_etag_and_no_credentials(
    server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-a-secret")
    assert _fetch(server) == (FetchedIpRanges(b"{}", '"first"'), [])
    (request,) = server.requests
    assert "authorization" not in request
    assert "if-none-match" not in request


def test_what_has_not_changed_is_not_fetched_again(server: FileServer) -> None:
    assert _fetch(server, '"first"') == (None, [])
    assert _fetch(server, '"older"')[0] == FetchedIpRanges(b"{}", '"first"')
    assert [request["if-none-match"] for request in server.requests] == ['"first"', '"older"']


def test_what_may_pass_is_tried_again(server: FileServer) -> None:
    server.statuses = [503, 429]
    assert _fetch(server) == (FetchedIpRanges(b"{}", '"first"'), [1.0, 2.0])
    server.content = b"{" + b" " * 100_000 + b"}"
    server.cut_at = 70_000
    assert _fetch(server)[0] == FetchedIpRanges(server.content, '"first"')


@pytest.mark.parametrize(("status", "attempts"), [(403, 1), (302, 1), (404, 1), (500, 3), (304, 1)])
def test_what_does_not_pass_is_told_in_one_line(server: FileServer, status: int, attempts: int) -> None:
    server.statuses = [status] * 3
    with pytest.raises(RunError) as caught:
        _fetch(server)
    assert len(server.requests) == attempts
    assert str(caught.value) == (
        f"{server.url} cannot be read: HTTP status {status}; see to the network or the proxy, or give the "
        "file: demurrage update --ip-ranges FILE"
    )


def test_nobody_there_is_told_in_one_line() -> None:
    with serve_file(FileServer()) as server:
        url = server.url
    with pytest.raises(RunError, match="cannot be read: EndpointConnectionError"):
        fetch_ip_ranges(url=url, sleep=lambda _: None)


def test_a_file_without_end_is_not_read_to_the_end(
    server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ip_ranges, "MAX_BYTES", 1 << 20)
    server.content = bytes(1 << 21)
    with pytest.raises(RunError, match="it is longer than 1 MiB"):
        _fetch(server)
    assert len(server.requests) == 1


@pytest.mark.parametrize("etag", ["", '"' + "x" * 500 + '"'])
def test_an_etag_that_is_none_is_not_kept(server: FileServer, etag: str) -> None:
    server.etag = etag
    assert _fetch(server)[0] == FetchedIpRanges(b"{}", "")


def test_an_aws_configuration_that_cannot_be_read_is_an_error_of_input(
    server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(InputError, match=r"AWS configuration: .*nobody"):
        _fetch(server)


def test_certificates_are_those_of_the_aws_configuration(
    server: FileServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "none.pem"))
    with pytest.raises(RunError, match="SSL validation failed"):
        fetch_ip_ranges(url=server.url.replace("http:", "https:"), sleep=lambda _: None)
    assert server.requests == []


def test_a_proxy_of_the_environment_is_asked(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", server.url.removesuffix("/ip-ranges.json"))
    found = fetch_ip_ranges(url="http://ip-ranges.invalid/ip-ranges.json")
    assert found == FetchedIpRanges(b"{}", '"first"')
    assert server.requests[0]["host"] == "ip-ranges.invalid"
