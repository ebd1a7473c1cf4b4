"""Numbers as a person reads them: grouped digits, units, and never a zero that is only small."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

from analyzer.model.units import GB
from analyzer.model.words import counted

#: From this amount on a headline shows whole dollars: 999.99 still has its cents.
_WHOLE_FROM: Final = Decimal(1_000)
_EN_DASH: Final = "\N{EN DASH}"
#: What a cell shows where a figure does not apply.
NOT_APPLICABLE: Final = _EN_DASH
UNKNOWN: Final = "unknown"


def count(number: int) -> str:
    """``1,234``."""
    return f"{number:,}"


def share(part: int, whole: int) -> str:
    """``part`` of ``whole`` in per cent, ``<1%`` and ``>99%`` where rounding would hide the rest."""
    if whole == 0:
        return _EN_DASH
    percent = Decimal(part) * 100 / whole
    if 0 < percent < 1:
        return "<1%"
    if 99 < percent < 100:
        return ">99%"
    return f"{percent.quantize(Decimal(1), ROUND_HALF_EVEN)}%"


def ratio(part: int, whole: int) -> str:
    """How many times ``whole`` fits in ``part``: ``2.4``; a dash where there is nothing to divide by."""
    return _EN_DASH if whole == 0 else f"{part / whole:,.1f}"


def size(size_bytes: int) -> str:
    """Bytes in the largest fitting unit, three digits or so: ``1.23 TB``, ``456 GB``. GB = 2**30."""
    value = Decimal(size_bytes)
    for unit in ("bytes", "KB", "MB", "GB", "TB"):
        # 999.5 would be written 1000 in this unit.
        if value < Decimal("999.5") or unit == "TB":
            break
        value /= 1024
    if unit == "bytes":
        return f"{size_bytes} bytes" if size_bytes != 1 else "1 byte"
    decimals = 2 if value < Decimal("9.995") else 1 if value < Decimal("99.95") else 0
    return f"{value:,.{decimals}f} {unit}"


def exact_size(size_bytes: int) -> str:
    """``1,234 bytes``."""
    return counted(size_bytes, "byte")


def gb_decimals(total_bytes: int) -> int:
    """How many decimals a column of GB needs so that its rows say something beside this total."""
    gb = total_bytes / GB
    return 3 if gb < 10 else 2 if gb < 10_000 else 1


def column_number(shown: Decimal, exact: Decimal | int, decimals: int) -> str:
    """``shown`` to ``decimals`` places; ``<0.01`` where rounding left nothing of ``exact``."""
    if not shown and exact > 0:
        return f"<{Decimal(1).scaleb(-decimals)}"
    return f"{shown:,.{decimals}f}"


def headline_money(amount: Decimal | None, currency: str, exact: Decimal | None = None) -> str:
    """``$12.34``, ``$12,346``, ``<$0.01``, ``-$12.34``, ``unknown``; other currencies by their code.

    ``exact`` is what ``amount`` was before it was rounded, where that is known.
    """
    if amount is None:
        return UNKNOWN
    if amount < 0:
        # A saving is below nothing where a layer is left to the archive, and that is the dearer class.
        shown = headline_money(-amount, currency)
        return f">-{shown[1:]}" if shown.startswith("<") else f"-{shown}"
    sign = "$" if currency == "USD" else f"{currency} "
    if 0 < amount <= Decimal("0.005") or (not amount and exact is not None and exact > 0):
        return f"<{sign}0.01"
    return f"{sign}{amount:,.{0 if amount >= _WHOLE_FROM else 2}f}"


def span(low: str, high: str) -> str:
    """Both joined by a dash, or the one of them where they read the same; a unit they share is said once."""
    number, _, unit = low.partition(" ")
    if low != high and unit and high.endswith(f" {unit}"):
        low = number
    return low if low == high else f"{low}{_EN_DASH}{high}"


def moment(at: datetime) -> str:
    """``2026-11-23 02:00 UTC``."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def moments(first: datetime, last: datetime) -> str:
    """``2026-11-23 02:00 UTC`` of both, joined by a dash; the date only once where it is the same."""
    if moment(first) == moment(last):
        return moment(first)
    same_day = first.astimezone(UTC).date() == last.astimezone(UTC).date()
    end = f"{last.astimezone(UTC):%H:%M} UTC" if same_day else moment(last)
    return f"{moment(first).removesuffix(' UTC')}{_EN_DASH}{end}"


def listed(words: list[str], limit: int = 6) -> str:
    """``a, b and c``; beyond ``limit`` of them ``a, b and 7 more``."""
    if len(words) > limit:
        words = [*words[: limit - 1], f"{len(words) - limit + 1:,} more"]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""
