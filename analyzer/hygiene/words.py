"""Numbers as the checks say them."""

from __future__ import annotations


def counted(number: int, one: str, many: str) -> str:
    """``1 layer``, ``1,234 layers``."""
    return f"{number:,} {one if number == 1 else many}"


def images(number: int) -> str:
    """``number`` with the word."""
    return counted(number, "image", "images")
