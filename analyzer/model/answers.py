"""Answers of AWS that somebody wrote down, as the collector asks for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from analyzer.model.records import RegistryKey

#: Reason where the answer to a call is not among those written down.
NOT_GIVEN = "NotGiven"
#: The same where no answer to such a call is, about whatever it may be.
NONE_GIVEN = "NoneGiven"
#: Reason where only the beginning of a list is.
TRUNCATED = "Truncated"


class Unanswered(NamedTuple):
    """Why there is no answer."""

    #: AWS's error code where AWS refused it, or one of ours.
    reason: str
    #: What AWS said, or how to mend it.
    detail: str


class WrittenAnswers(Protocol):
    """What is written down about one registry; safe to use from threads."""

    @property
    def key(self) -> RegistryKey:
        """The registry."""

    def ask(self, operation: str, parameters: Mapping[str, object]) -> Mapping[str, Any] | Unanswered:
        """The answer to one call (``DescribeImages``) with the parameters of the API."""
