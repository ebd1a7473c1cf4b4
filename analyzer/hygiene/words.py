"""Numbers as the checks say them."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal


def data(size_bytes: int) -> str:
    """``12 bytes``, ``1.50 GB``; of 1,024 each."""
    size = Decimal(size_bytes)
    for unit in ("bytes", "KB", "MB", "GB"):
        if size < 1_000:
            return f"{size:,.0f} {unit}" if unit == "bytes" else f"{size:,.2f} {unit}"
        size /= 1_024
    return f"{size:,.2f} TB"


def listed(names: Sequence[str], limit: int = 5) -> str:
    """The first few of ``names``, and how many more there are."""
    more = f" and {len(names) - limit:,} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
