"""Which failures are refusals, and the gaps they leave."""

from __future__ import annotations

from typing import Any

import pytest
from botocore import exceptions
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from botocore.retries import standard

from analyzer.collect.gaps import gap_of
from analyzer.collect.refusals import THROTTLING_CODES, Reach, Refusal, one_line, refusal_of
from analyzer.errors import RunError
from analyzer.model.records import RegistryKey

KEY = RegistryKey("aws", "123456789012", "eu-west-1")


def client_error(code: str, status: int = 400, message: str = "no") -> ClientError:
    answer = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "DescribeImages")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "reason", "reach"),
    [
        (client_error("AccessDeniedException"), "AccessDeniedException", Reach.REPOSITORY),
        (client_error("RepositoryNotFoundException"), "RepositoryNotFoundException", Reach.REPOSITORY),
        (client_error("ThrottlingException"), "ThrottlingException", Reach.TRANSIENT),
        (client_error("LimitExceededException"), "LimitExceededException", Reach.TRANSIENT),
        (client_error("ServerException", 500), "ServerException", Reach.TRANSIENT),
        (client_error("KmsException"), "KmsException", Reach.CALL),
        (client_error("UnrecognizedClientException"), "UnrecognizedClientException", Reach.REGISTRY),
        (client_error("InvalidClientTokenId", 403), "InvalidClientTokenId", Reach.REGISTRY),
        (client_error("502", 502), "Http502", Reach.TRANSIENT),
        (client_error("", 503), "Http503", Reach.TRANSIENT),
        (client_error("NobodyKnows", 500), "NobodyKnows", Reach.TRANSIENT),
        (client_error("NobodyKnows", 429), "NobodyKnows", Reach.TRANSIENT),
        (exceptions.ReadTimeoutError(endpoint_url="u"), "ReadTimeoutError", Reach.TRANSIENT),
        (exceptions.ConnectTimeoutError(endpoint_url="u"), "ConnectTimeoutError", Reach.TRANSIENT),
        (exceptions.EndpointConnectionError(endpoint_url="u"), "EndpointConnectionError", Reach.TRANSIENT),
        (exceptions.ConnectionClosedError(endpoint_url="u"), "ConnectionClosedError", Reach.TRANSIENT),
        (ResponseParserError("bad"), "UnreadableAnswer", Reach.TRANSIENT),
    ],
)
def test_expected_refusals(error: ClientError | BotoCoreError, reason: str, reach: Reach) -> None:
    refusal = refusal_of(error)
    assert refusal is not None
    assert (refusal.reason, refusal.reach) == (reason, reach)


@pytest.mark.parametrize(
    "error",
    [
        client_error("InvalidParameterException"),
        exceptions.ParamValidationError(report="bug"),
        exceptions.DataNotFoundError(data_path="x"),
    ],
)
def test_anything_else_is_none(error: ClientError | BotoCoreError) -> None:
    assert refusal_of(error) is None


def test_a_code_that_is_new_is_a_refusal_of_its_call() -> None:
    assert refusal_of(client_error("SomethingNewException")) == Refusal(
        "SomethingNewException", Reach.CALL, "no"
    )


def test_a_call_may_tolerate_a_code_of_its_own() -> None:
    error = client_error("InvalidParameterException")
    assert refusal_of(error, ("InvalidParameterException",)) == Refusal(
        "InvalidParameterException", Reach.CALL, "no"
    )


@pytest.mark.parametrize(
    "error",
    [
        client_error("ExpiredTokenException"),
        client_error("ExpiredToken"),
        client_error("SignatureDoesNotMatch", 403),
        exceptions.NoCredentialsError(),
        exceptions.PartialCredentialsError(provider="env", cred_var="x"),
        exceptions.TokenRetrievalError(provider="sso", error_msg="x"),
        exceptions.SSOTokenLoadError(error_msg="x"),
    ],
)
def test_credentials_that_fail_for_the_session_end_the_run(error: ClientError | BotoCoreError) -> None:
    with pytest.raises(RunError, match="credentials"):
        refusal_of(error)


def test_throttling_codes_are_botocores() -> None:
    checker: Any = standard.ThrottledRetryableChecker
    assert set(checker._THROTTLED_ERROR_CODES) == THROTTLING_CODES


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\n b\t\tc ", "a b c"),
        ("nul\0 esc\x1b[31m", "nul\ufffd esc\ufffd[31m"),
        ("half \ud800", "half \ufffd"),
        ("x" * 400, "x" * 299 + "…"),
        (None, "None"),
    ],
)
def test_other_peoples_text_becomes_one_plain_line(text: object, expected: str) -> None:
    assert one_line(text) == expected


@pytest.mark.parametrize(
    ("repository", "operation", "refusal", "kept", "start"),
    [
        (
            "team/app",
            "GetLifecyclePolicy",
            Refusal("AccessDeniedException", Reach.REPOSITORY, "d"),
            0,
            "missing ecr:GetLifecyclePolicy on 123456789012/eu-west-1 team/app; whether it has",
        ),
        (
            "a/b",
            "DescribeImages",
            Refusal("RepositoryNotFoundException", Reach.REPOSITORY, "d"),
            0,
            "123456789012/",
        ),
        (
            "",
            "DescribeRepositories",
            Refusal("ThrottlingException", Reach.TRANSIENT, "d"),
            12,
            "ecr:DescribeRepositories on 123456789012/eu-west-1 was throttled until the last retry",
        ),
        (
            "",
            "X",
            Refusal("AuthFailure", Reach.REGISTRY, "d"),
            0,
            "123456789012/eu-west-1 refuses these credentials",
        ),
        (
            "",
            "X",
            Refusal("ReadTimeoutError", Reach.TRANSIENT, "d"),
            0,
            "ecr:X on 123456789012/eu-west-1 failed (d)",
        ),
    ],
)
def test_a_gap_says_what_failed_where_and_what_is_unknown(
    repository: str, operation: str, refusal: Refusal, kept: int, start: str
) -> None:
    gap = gap_of(KEY, repository, operation, refusal, kept=kept)
    assert (gap.account, gap.region, gap.repository) == (KEY.account, KEY.region, repository)
    assert (gap.call, gap.reason, gap.count) == (f"ecr:{operation}", refusal.reason, 1)
    assert gap.detail.startswith(start)
