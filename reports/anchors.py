"""Ids for the page that other people's names are made into: safe to write, stable, and unique."""

from __future__ import annotations

import json
import re
from hashlib import sha256
from typing import Final

#: Letters of a name that are kept for people to recognize it by; the digest tells names apart.
_MOST_LETTERS: Final = 32
_UNSAFE = re.compile(r"[^a-z0-9]+")


def repository_anchor(account: str, region: str, repository: str) -> str:
    """The id of a repository's row: of lower-case letters, digits and hyphens only.

    It depends on nothing but the three names, so that an address which somebody keeps leads to the
    same repository in the next night's report too.
    """
    # JSON keeps the three apart whatever is in them, lone surrogates too, and is ASCII.
    key = json.dumps([account, region, repository]).encode("ascii")
    readable = _UNSAFE.sub("-", repository.lower())[:_MOST_LETTERS].strip("-")
    return "-".join(part for part in ("r", readable, sha256(key).hexdigest()[:12]) if part)
