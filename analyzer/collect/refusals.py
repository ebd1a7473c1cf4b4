"""Which failures of a call are expected refusals, and how far each of them reaches.

A refusal becomes a gap and the run goes on. Credentials that fail for the whole session end the
run with a RunError. A request that botocore does not accept, or ECR where it is about a whole
registry, is a fault of ours: it is no refusal and propagates.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum
from typing import NamedTuple

from botocore import exceptions
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from analyzer.errors import RunError
from analyzer.model.answers import NONE_GIVEN


class Reach(Enum):
    """What else a refusal says something about."""

    #: Nothing else.
    CALL = "call"
    #: The same call on the same repository will be refused again.
    REPOSITORY = "repository"
    #: Every call to this registry will be refused.
    REGISTRY = "registry"
    #: It may pass: throttling, server errors, the network.
    TRANSIENT = "transient"


class Refusal(NamedTuple):
    """Why a call got no answer."""

    #: A stable code: AWS's own where there is one.
    reason: str
    reach: Reach
    #: What AWS or botocore says, in one line.
    detail: str


class RefusedError(Exception):
    """A call was refused; never leaves this package."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(f"{refusal.reason}: {refusal.detail}")
        self.refusal = refusal


class ExpiredPageTokenError(RefusedError):
    """A page was refused for the token that it was asked for with.

    The token alone can be the reason: the other parameters are those that gave it.
    """


#: Botocore's list of throttling codes (retries/standard.py). LimitExceededException is also the
#: code of hard quotas; either way the call got no answer.
THROTTLING_CODES = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)

#: What ECR answers when a request's parameters are not to its liking. A fault of ours as a rule,
#: but also how an outdated page token, a setting that a region does not know, and a repository or
#: image that it listed and will not take are refused.
PARAMETER_CODES = frozenset({"InvalidParameterException", "ValidationException"})

#: How a page token that has grown too old is refused: by ECR as any parameter is (botocore's models of
#: ecr and ecr-public have no other error for it), and by other services, and emulators, by name.
PAGE_TOKEN_CODES = PARAMETER_CODES | {
    "ExpiredNextTokenException",
    "InvalidContinuationTokenException",
    "InvalidNextTokenException",
    "InvalidPaginationTokenException",
    "PaginationTokenExpiredException",
}

#: An endpoint that does not know the call: an emulator, or a partition that lags behind, or a
#: folder of answers without any to it. It will not know it for the next repository either.
UNSERVED_CODES = frozenset(
    {
        NONE_GIVEN,
        "InvalidAction",
        "NotImplemented",
        "UnknownOperationException",
        "UnsupportedCommandException",
        "UnsupportedOperationException",
    }
)

#: Somebody has to grant something.
ACCESS_CODES = frozenset(
    {"AccessDenied", "AccessDeniedException", "AuthorizationError", "NotAuthorized", "UnauthorizedOperation"}
)

#: Reason of whatever is not asked because the account's credentials failed.
CREDENTIALS_FAILED = "CredentialsFailed"
#: Reason of a success whose body could not be read.
UNREADABLE = "UnreadableAnswer"
REPOSITORY_GONE = "RepositoryNotFoundException"

_REACH_OF_CODE = {
    **dict.fromkeys(THROTTLING_CODES, Reach.TRANSIENT),
    **dict.fromkeys(
        (*ACCESS_CODES, REPOSITORY_GONE),
        Reach.REPOSITORY,
    ),
    **dict.fromkeys(
        ("ImageNotFoundException", "UnableToGetUpstreamImageException", "KmsException", "KmsError"),
        Reach.CALL,
    ),
    **dict.fromkeys(UNSERVED_CODES, Reach.CALL),
    **dict.fromkeys(
        (
            "InternalFailure",
            "InternalServerError",
            "InternalServerException",
            "RequestTimeout",
            "RequestTimeoutException",
            "ServerException",
            "ServiceUnavailable",
            "ServiceUnavailableException",
        ),
        Reach.TRANSIENT,
    ),
    # A region that is not enabled for the account answers with one of these to good credentials.
    **dict.fromkeys(
        (
            "AuthFailure",
            "InvalidClientTokenId",
            "InvalidToken",
            "OptInRequired",
            "SubscriptionRequiredException",
            "UnrecognizedClientException",
        ),
        Reach.REGISTRY,
    ),
}

#: These are about the session, not about the place that was asked.
_SESSION_CODES = {
    "ExpiredToken": "the credentials have expired; renew them and run again",
    "ExpiredTokenException": "the credentials have expired; renew them and run again",
    "RequestExpired": "the credentials or this machine's clock are out of date",
    "InvalidSignatureException": "the secret key or this machine's clock is wrong",
    "SignatureDoesNotMatch": "the secret key or this machine's clock is wrong",
}

#: What a run is told that has none at all.
NO_CREDENTIALS = (
    "no AWS credentials were found; configure some for boto3 (a profile, SSO, an instance role, "
    "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)"
)

_SESSION_ERRORS: tuple[type[BotoCoreError], ...] = (
    exceptions.NoCredentialsError,
    exceptions.PartialCredentialsError,
    exceptions.CredentialRetrievalError,
    exceptions.MetadataRetrievalError,
    exceptions.NoAuthTokenError,
    exceptions.TokenRetrievalError,
    exceptions.RefreshWithMFAUnsupportedError,
    exceptions.SSOError,
)

#: No answer came, or only half of one.
NETWORK_ERRORS: tuple[type[BotoCoreError], ...] = (
    exceptions.ConnectionError,
    exceptions.HTTPClientError,
    exceptions.IncompleteReadError,
)

CallError = ClientError | BotoCoreError | ResponseParserError
#: What `refusal_of` can judge.
CALL_ERRORS = (ClientError, BotoCoreError, ResponseParserError)


def one_line(text: object, limit: int = 300) -> str:
    """``text`` without control characters and line breaks, cut to ``limit`` characters.

    Whatever cannot be stored as text (NUL, half a surrogate pair) becomes U+FFFD.
    """
    words = " ".join(str(text)[: 4 * limit].split())
    line = "".join(c if c.isprintable() else "\ufffd" for c in words)
    return line if len(line) <= limit else line[: limit - 1] + "…"


def error_code(error: ClientError) -> str:
    """AWS's error code, or ``Http502`` where the answer carried none."""
    code = one_line(error.response.get("Error", {}).get("Code") or "", 100)
    return f"Http{code}" if code.isdigit() else code or f"Http{_status(error)}"


def refusal_of(error: CallError, tolerate: Collection[str] = ()) -> Refusal | None:
    """The refusal that ``error`` is, or None when it is none.

    ``tolerate`` are further error codes that are refusals of this one call. Raises RunError when
    the credentials fail for the whole session.
    """
    if isinstance(error, ClientError):
        return _refusal_of_answer(error, tolerate)
    if isinstance(error, exceptions.NoCredentialsError):
        raise RunError(NO_CREDENTIALS) from error
    if isinstance(error, _SESSION_ERRORS):
        raise RunError(f"AWS credentials cannot be used: {one_line(error)}") from error
    if isinstance(error, ResponseParserError):
        return Refusal(UNREADABLE, Reach.TRANSIENT, one_line(error))
    if isinstance(error, NETWORK_ERRORS):
        return Refusal(type(error).__name__, Reach.TRANSIENT, one_line(error))
    return None


def _refusal_of_answer(error: ClientError, tolerate: Collection[str]) -> Refusal | None:
    code = error_code(error)
    message = one_line(error.response.get("Error", {}).get("Message") or "no message")
    if code in _SESSION_CODES:
        raise RunError(f"AWS refused the credentials ({code}): {_SESSION_CODES[code]}") from error
    reach = _REACH_OF_CODE.get(code)
    if reach is None and code in tolerate:
        reach = Reach.CALL
    if reach is None and (_status(error) >= 500 or _status(error) == 429):
        reach = Reach.TRANSIENT
    if reach is None and code not in PARAMETER_CODES:
        # A code that is new since this was written is AWS's word all the same: one call that got no
        # answer, and no reason to throw a whole night away.
        reach = Reach.CALL
    return None if reach is None else Refusal(code, reach, message)


def _status(error: ClientError) -> int:
    metadata = error.response.get("ResponseMetadata")
    return metadata["HTTPStatusCode"] if metadata else 0
