"""Where to collect: registries, and the way into the account of each.

Whoever collects is given places and need not know how they were found: from one set of credentials,
from a list of accounts, from an organization.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from analyzer.model.records import Gap, RegistryKey

if TYPE_CHECKING:
    from boto3.session import Session
    from botocore.config import Config


class Access(Protocol):
    """The way into one account; safe to share between threads."""

    @property
    def caller(self) -> str:
        """ARN of who calls, as sts:GetCallerIdentity gives it; "" where it is not known."""

    @property
    def is_own(self) -> bool:
        """Whether the credentials are those that the run began with."""

    def client(self, service: str, region: str, config: Config) -> Any:
        """A new client of ``service`` (boto3's name) in ``region``."""


@dataclass(frozen=True, slots=True)
class Place:
    """One registry to collect."""

    key: RegistryKey
    access: Access
    #: What the organization calls the account; "" where nobody said.
    account_name: str = ""
    #: Of a public registry, what its repositories' names begin with at public.ecr.aws, in their URIs.
    public_alias: str = ""
    #: All that they may begin with, sorted.
    public_aliases: tuple[str, ...] = ()


class Skipped(NamedTuple):
    """An account that is not collected, and is not meant to be."""

    account: str
    #: What the organization calls it.
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Places:
    """All registries to collect, and what could not be entered."""

    #: By account and region, each once.
    places: tuple[Place, ...]
    #: Why accounts or regions that were asked for are not among them; of a whole account, with
    #: region "".
    gaps: tuple[tuple[RegistryKey, Gap], ...] = ()
    #: Accounts that are suspended, or that the options leave out; by account.
    skipped: tuple[Skipped, ...] = ()
    #: ARN of whoever runs the collector.
    caller: str = ""


class OwnAccess:
    """The account of the session's own credentials."""

    def __init__(self, session: Session, caller: str, *, is_own: bool = True) -> None:
        """``is_own`` is False where the run has other credentials too, which outlive these."""
        self.caller = caller
        self.is_own = is_own
        self._session = session
        self._lock = threading.Lock()

    def client(self, service: str, region: str, config: Config) -> Any:
        """A new client; sessions are not safe to use from threads, so one is made at a time."""
        with self._lock:
            # The service is no literal, which is what the stubs' overloads tell the types by.
            make: Any = self._session.client
            return make(service, region_name=region, config=config)
