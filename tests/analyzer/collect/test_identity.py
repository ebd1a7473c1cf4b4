"""Whose credentials a session has: what STS says becomes part of names and is believed only if it can be."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from boto3.session import Session

from analyzer.collect.clients import Identity, fetch_identity
from analyzer.errors import RunError

ACCOUNT = "123456789012"


def _identity(answer: dict[str, object]) -> Identity:
    class Sts:
        def client(self, *_: object, **__: object) -> Any:
            events = SimpleNamespace(register=lambda *_: None)
            return SimpleNamespace(get_caller_identity=lambda: answer, meta=SimpleNamespace(events=events))

    return fetch_identity(cast(Session, Sts()), ["eu-west-1"])


@pytest.mark.parametrize(
    "partition", ["aws", "aws-cn", "aws-us-gov", "aws-iso", "aws-iso-b", "aws-eusc", "aws-iso-f"]
)
def test_every_partition_is_believed(partition: str) -> None:
    arn = f"arn:{partition}:sts::{ACCOUNT}:assumed-role/r/s"
    assert _identity({"Arn": arn, "Account": ACCOUNT}) == (partition, ACCOUNT, arn, "eu-west-1")


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"Arn": f"arn:aws:sts::{ACCOUNT}:root"},
        {"Account": ACCOUNT},
        {"Arn": f"arn:aws:sts::{ACCOUNT}:root", "Account": 123456789012},
        {"Arn": None, "Account": ACCOUNT},
        {"Arn": "", "Account": ACCOUNT},
        {"Arn": "arn", "Account": ACCOUNT},
        {"Arn": "arn:azure:sts::1:x", "Account": ACCOUNT},
        {"Arn": "arn:aws\x1b[31m:sts::1:x", "Account": ACCOUNT},
        {"Arn": "arn:aws-:sts::1:x", "Account": ACCOUNT},
        {"Arn": "arn:awsome:sts::1:x", "Account": ACCOUNT},
        {"Arn": f"arn:aws-{'x' * 60}:sts::1:x", "Account": ACCOUNT},
        {"Arn": f"arn:aws:sts::{ACCOUNT}:root", "Account": "12345678901"},
        {"Arn": f"arn:aws:sts::{ACCOUNT}:root", "Account": "1234567890123"},
        {"Arn": f"arn:aws:sts::{ACCOUNT}:root", "Account": f"{ACCOUNT}\n"},
        {"Arn": f"arn:aws:sts::{ACCOUNT}:root", "Account": "١٢٣٤٥٦٧٨٩٠١٢"},
        {"Arn": f"arn:aws:sts::{ACCOUNT}:root", "Account": "[red]\x1b[31m"},
    ],
    ids=str,
)
def test_what_no_sts_says_is_not_believed(answer: dict[str, object]) -> None:
    with pytest.raises(RunError, match="AWS_ENDPOINT_URL") as caught:
        _identity(answer)
    assert str(caught.value).isprintable()
