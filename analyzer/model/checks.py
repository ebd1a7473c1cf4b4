"""What `doctor` found: checks with a stable name and a status, and the permissions that are missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class CheckStatus(StrEnum):
    """How a check went."""

    OK = "ok"
    #: The nightly run works, and something about it deserves a look.
    WARNING = "warning"
    #: Something that was asked for cannot be had.
    FAILED = "failed"
    #: It could not be found out; neither good nor bad is known.
    UNKNOWN = "unknown"
    #: Not looked at: there is no such thing here, or what it hangs on failed.
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing looked at."""

    #: Stable: ``database.schema``, ``permission.ecr:DescribeImages``. What is before the dot groups it.
    id: str
    #: What it is about where there can be several: an account, ``account/region``, a variable.
    subject: str = ""
    status: CheckStatus
    #: What was found.
    found: str
    #: What to do about it; "" where there is nothing to do.
    mend: str = ""
    #: While this stays as it is, the nightly run cannot work.
    blocks_run: bool = False

    @property
    def group(self) -> str:
        """What the check belongs to: ``database``, ``aws``."""
        return self.id.partition(".")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingPolicy:
    """The permissions that are denied in one account, as the IAM policy that grants them and no more."""

    account: str
    #: ARN of whom it is to be attached to, as sts:GetCallerIdentity gives it; "" where it is not known.
    principal: str
    actions: tuple[str, ...]
    #: The policy document.
    policy: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """All that was looked at, in the order in which things depend on each other."""

    checks: tuple[Check, ...]
    #: By account.
    missing: tuple[MissingPolicy, ...] = ()

    @property
    def is_clean(self) -> bool:
        """Whether there is nothing to do and nothing left unknown."""
        return all(check.status in (CheckStatus.OK, CheckStatus.SKIPPED) for check in self.checks)

    @property
    def can_run(self) -> bool:
        """Whether the nightly run could work, be it with gaps."""
        return not any(check.blocks_run for check in self.checks)
