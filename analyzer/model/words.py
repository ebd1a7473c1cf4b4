"""Numbers with their nouns, as all sentences for people say them."""

from __future__ import annotations


def counted(number: int, one: str, many: str = "") -> str:
    """``1 repository``, ``1,234 repositories``; ``many`` is ``one`` with an s unless given."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def images(number: int) -> str:
    """``1 image``, ``1,234 images``."""
    return counted(number, "image")
