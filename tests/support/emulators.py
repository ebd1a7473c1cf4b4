"""Emulators of AWS over HTTP, for tests that need more services than `tests.support.stub_ecr` has.

moto runs in a thread of this process, so that its state can be reached from Python too; ministack is
another program altogether and knows nothing of moto's mistakes. What either gets wrong about ECR is said
beside the expectations of the tests that meet it. Neither refuses anything for want of permission.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import pytest
from boto3.session import Session
from moto.server import ThreadedMotoServer

#: Seconds that ministack may take to answer; it needs 0.2 on an idle machine.
_START = 60.0


@contextmanager
def moto_server() -> Iterator[str]:
    """The URL of a moto that knows nothing yet, on a free port of 127.0.0.1.

    Within `analyzer.demo.moto_faults.mended()` it also has what that adds to ECR.
    """
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        _forget(url)
        yield url
        _forget(url)
    finally:
        server.stop()


def _forget(url: str) -> None:
    """Let moto lose its state, which is that of the process, whichever server was asked for it."""
    request = urllib.request.Request(f"{url}/moto-api/reset", method="POST")  # noqa: S310 (our own URL)
    with urllib.request.urlopen(request, timeout=_START):  # noqa: S310
        pass


def ministack_command() -> str | None:
    """Where ministack is: in the environment that the Makefile makes for it, or on the PATH."""
    beside = Path(sys.prefix) / "ministack" / "bin" / "ministack"
    return str(beside) if beside.exists() else shutil.which("ministack")


@contextmanager
def ministack_server() -> Iterator[str]:
    """The URL of a new ministack on a free port of 127.0.0.1; skips the test where there is none."""
    command = ministack_command()
    if command is None:
        pytest.skip("ministack is not installed; make .venv/ministack.stamp")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {
        # Its defaults listen to the whole network, on three ports.
        "BIND_HOST": "127.0.0.1",
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "GATEWAY_PORT": str(port),
        "LOG_LEVEL": "ERROR",
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    with subprocess.Popen(
        [command], env={**kept, **settings}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            _await(f"{url}/_ministack/health", process)
            yield url
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()


def session_of(account: str, region: str = "us-east-1") -> Session:
    """A session whose access key is the account's number, by which ministack tells whose it is."""
    return boto3.Session(aws_access_key_id=account, aws_secret_access_key="not-a-secret", region_name=region)


def role_session(session: Session, url: str, account: str, role: str = "demurrage-reader") -> Session:
    """A session in another account, by a role there."""
    sts = session.client("sts", endpoint_url=url)
    given = sts.assume_role(RoleArn=f"arn:aws:iam::{account}:role/{role}", RoleSessionName="pouring")
    sts.close()
    keys = given["Credentials"]
    return boto3.Session(
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["SessionToken"],
        region_name=session.region_name,
    )


def _await(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START
    while True:
        if process.poll() is not None:
            raise RuntimeError(f"ministack ended at once, with status {process.returncode}")
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310  # our own URL
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            if time.monotonic() > deadline:
                raise
        time.sleep(0.05)
