"""Units of bytes, money and time, each defined once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, localcontext
from typing import Literal

#: Bytes in the GB that AWS bills storage by: 2**30. ECR's own pages do not say so; S3's worked
#: example for the same usage type (TimedStorage-ByteHrs) divides by 1,073,741,824, and the bounds
#: of ECR's archive tier are multiples of 1,024.
GB = 2**30

#: Where sharing of layers is assumed to end: ``repository`` is the upper bound of what is stored,
#: ``registry`` the lower one.
Scope = Literal["repository", "registry"]

#: Which end a reader wants to see; ``auto`` goes by the registry's settings.
ScopeChoice = Literal["auto", "repository", "registry"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Digits of sums: the default of 28 would round cents away from those of many exact amounts.
_DIGITS = 200


@dataclass(frozen=True, slots=True)
class Money:
    """An amount of money over a period, or the reason why it is not known.

    ``amount`` is None when nothing could be priced; ``leaves_out`` names what an otherwise known
    amount does not contain (a region without a price, say).
    """

    amount: Decimal | None
    currency: str = "USD"
    period: str = "month"
    leaves_out: tuple[str, ...] = ()

    @classmethod
    def unknown(cls, reason: str) -> Money:
        """Money whose amount is not known, for ``reason``."""
        return cls(None, leaves_out=(reason,))

    def __add__(self, other: Money) -> Money:
        """The sum of what is known; what is not is carried in ``leaves_out``.

        Nothing and an unknown amount are together unknown, and not nothing.
        """
        if (self.currency, self.period) != (other.currency, other.period):
            raise ValueError(f"cannot add {other.currency}/{other.period} to {self.currency}/{self.period}")
        amounts = [m.amount for m in (self, other) if m.amount is not None]
        with localcontext() as context:
            context.prec = _DIGITS
            total = sum(amounts, Decimal(0)) if len(amounts) == 2 or any(amounts) else None
        return Money(
            total,
            self.currency,
            self.period,
            self._reasons_with(other),
        )

    def __sub__(self, other: Money) -> Money:
        """What this is more than ``other``, exactly; unknown where either is."""
        if self.amount is None or other.amount is None:
            return Money(None, self.currency, self.period, self._reasons_with(other))
        return self + replace(other, amount=other.amount.copy_negate())

    def _reasons_with(self, other: Money) -> tuple[str, ...]:
        return tuple(sorted({*self.leaves_out, *other.leaves_out}))


def add_up(amounts: Iterable[Money]) -> Money:
    """The sum of ``amounts``, zero of none; unknown ones are named in ``leaves_out``."""
    total: Money | None = None
    for amount in amounts:
        total = amount if total is None else total + amount
    return total if total is not None else Money(Decimal(0))


def to_ms(moment: datetime) -> int:
    """Milliseconds since 1970-01-01 UTC of a timezone-aware ``moment``, rounded to nearest."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone")
    return round((moment - _EPOCH) / timedelta(milliseconds=1))


def from_ms(milliseconds: int) -> datetime:
    """The aware UTC moment ``milliseconds`` after 1970-01-01."""
    return _EPOCH + timedelta(milliseconds=milliseconds)


def from_day(day: int) -> date:
    """The UTC date ``day`` days after 1970-01-01."""
    return _EPOCH.date() + timedelta(days=day)


def iso(moment: datetime) -> str:
    """ISO 8601 in UTC, to the second unless there is more: ``2026-11-23T02:00:00Z``."""
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds" if moment.microsecond else "seconds")
    return text.replace("+00:00", "Z")
