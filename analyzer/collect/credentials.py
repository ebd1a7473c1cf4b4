"""Ways into other accounts: one role in each, assumed when its turn comes and renewed while it lasts.

All accounts share one botocore session, because a session of its own costs each account 40 ms of CPU
and 9 MiB for the same service models over again. Only what `get_credentials` gives differs from client
to client, and that is a method which botocore's clients ask for by contract: no private attribute is
touched. What it gives are botocore's own `RefreshableCredentials`, which all clients of an account
share: of many threads that find them about to end one asks STS, and the others go on meanwhile.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.credentials import RefreshableCredentials

from analyzer.collect.clients import CallSettings, Identity, ServiceClient, client_config
from analyzer.collect.event_names import ClientSession
from analyzer.collect.refusals import CREDENTIALS_FAILED, Reach, Refusal, RefusedError, one_line

if TYPE_CHECKING:
    from boto3.session import Session
    from botocore.config import Config

#: Seconds that a role's credentials are asked for: what every role allows, and the most that AWS gives
#: to a caller that is itself an assumed role (role chaining).
_DURATION = 3600
#: AWS publishes no limit of AssumeRole; a thousand accounts take 20 s at this rate, and what is
#: throttled is asked again.
_ASSUMED_PER_SECOND = 50.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleOptions:
    """Which role to assume in an account, and how."""

    #: Its name, with a path if it has one, or its ARN; ``{account}`` and ``{partition}`` are filled in.
    template: str
    session_name: str = "demurrage"
    #: What the role's trust policy may ask for; not shown anywhere.
    external_id: str | None = field(default=None, repr=False)

    def arn(self, partition: str, account: str) -> str:
        """ARN of the role in ``account``."""
        filled = self.template.replace("{account}", account).replace("{partition}", partition)
        if filled.startswith("arn:"):
            return filled
        return f"arn:{partition}:iam::{account}:role/{filled.removeprefix('/')}"


class RoleDoor:
    """Assumes roles with one session's own credentials; safe to share between threads."""

    def __init__(
        self,
        session: Session,
        identity: Identity,
        options: RoleOptions,
        settings: CallSettings,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """The regional STS asked is the one that told who we are: it is there, and let us in."""
        self._partition = identity.partition
        self._options = options
        self._now = now
        config = client_config(settings)
        client = session.client("sts", region_name=identity.region, config=config)
        eager = replace(settings, requests_per_second=_ASSUMED_PER_SECOND, operation_rates={})
        # That the run's own credentials end while it goes on costs the accounts that it still has to
        # enter, and not those that are being read.
        self._sts = ServiceClient(client, "sts", eager, is_own=False)
        self._clients = _ClientMaker(None if session.profile_name == "default" else session.profile_name)

    def enter(self, account: str) -> RoleAccess:
        """The way into ``account``; raises RefusedError when it is barred."""
        role = _Role(self._sts, self._options, self._partition, account, self._now)
        first = role.assume()
        credentials = RefreshableCredentials.create_from_metadata(
            first, refresh_using=role.renew, method="assume-role"
        )
        return RoleAccess(role.caller, credentials, self._clients)

    def arn(self, account: str) -> str:
        """ARN of the role that is assumed in ``account``."""
        return self._options.arn(self._partition, account)


class RoleAccess:
    """An `Access` through an assumed role."""

    is_own = False

    def __init__(self, caller: str, credentials: RefreshableCredentials, clients: _ClientMaker) -> None:
        self.caller = caller
        self._credentials = credentials
        self._clients = clients

    def client(self, service: str, region: str, config: Config) -> Any:
        """A new client, whose credentials are renewed for as long as it is used."""
        return self._clients.make(self._credentials, service, region, config)


class _Role:
    """The role in one account."""

    def __init__(
        self,
        sts: ServiceClient,
        options: RoleOptions,
        partition: str,
        account: str,
        now: Callable[[], datetime],
    ) -> None:
        self.caller = ""
        self._sts = sts
        self._now = now
        # arn:PARTITION:sts::ACCOUNT:assumed-role/NAME/SESSION
        self._expected = f"arn:{partition}:sts::{account}:assumed-role/"
        self._account = account
        self._barred: Refusal | None = None
        self._parameters: dict[str, Any] = {
            "RoleArn": options.arn(partition, account),
            "RoleSessionName": options.session_name,
            "DurationSeconds": _DURATION,
        }
        if options.external_id is not None:
            self._parameters["ExternalId"] = options.external_id

    def assume(self) -> dict[str, str]:
        """New credentials, as botocore's machinery wants them; raises RefusedError."""
        answer = self._sts.call("AssumeRole", **self._parameters)
        caller = _text(answer, "AssumedRoleUser", "Arn")
        if not caller.startswith(self._expected):
            # What is read would be stored under an account that it does not belong to.
            detail = f"STS let us in as {one_line(caller, 120)}, which is not account {self._account}"
            raise RefusedError(Refusal("WrongAccount", Reach.REGISTRY, detail))
        expires = answer.get("Credentials", {}).get("Expiration")
        if not isinstance(expires, datetime) or expires <= self._now():
            detail = "the credentials that STS gave end in the past; is this machine's clock right?"
            raise RefusedError(Refusal("ExpiredCredentials", Reach.REGISTRY, detail))
        self.caller = one_line(caller, 2048)
        return {
            "access_key": _text(answer, "Credentials", "AccessKeyId"),
            "secret_key": _text(answer, "Credentials", "SecretAccessKey"),
            "token": _text(answer, "Credentials", "SessionToken"),
            "expiry_time": expires.isoformat(),
        }

    def renew(self) -> dict[str, str]:
        """The same once more, later; raises RefusedError, at once when it was refused before.

        Called by botocore from whichever thread is about to sign a request.
        """
        if self._barred is not None:
            raise RefusedError(self._barred)
        try:
            return self.assume()
        except RefusedError as error:
            why = error.refusal
            detail = f"its role could not be assumed again, which had run out ({why.reason}: {why.detail})"
            refusal = Refusal(CREDENTIALS_FAILED, Reach.REGISTRY, one_line(detail))
            if why.reach is not Reach.TRANSIENT:
                # Whatever else of the account is read would ask for the same in vain.
                self._barred = refusal
            raise RefusedError(refusal) from error


class _ClientMaker(ClientSession):
    """The botocore session that makes the clients of all accounts, one at a time."""

    def __init__(self, profile: str | None) -> None:
        """``profile`` is that of the run's own session: it may name endpoints, proxies, certificates."""
        super().__init__(profile)
        self._making = threading.Lock()
        self._for_next: RefreshableCredentials | None = None

    def get_credentials(self) -> Any:
        """The credentials of the client that is being made."""
        return self._for_next

    def make(self, credentials: RefreshableCredentials, service: str, region: str, config: Config) -> Any:
        """A new client that signs with ``credentials``."""
        with self._making:
            self._for_next = credentials
            try:
                create: Any = self.create_client
                return create(service, region_name=region, config=config)
            finally:
                self._for_next = None


def _text(answer: Mapping[str, Any], part: str, name: str) -> str:
    value = answer.get(part, {}).get(name)
    if not isinstance(value, str) or not value:
        detail = f"the answer of STS holds no {part}.{name}; check AWS_ENDPOINT_URL"
        raise RefusedError(Refusal("InvalidAnswer", Reach.CALL, detail))
    return value
