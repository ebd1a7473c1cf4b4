"""The tags that one repository had, as its snapshots saw them come and go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from analyzer.model.frames import Int64


@dataclass(frozen=True, slots=True)
class TagHistory:
    """s spans, in any order; times in milliseconds since 1970 UTC."""

    #: Time of the first snapshot of the repository, or of the first behind which none was pruned.
    since_ms: int
    #: Which artifact carried the tag: any number that tells the repository's artifacts apart.
    artifact: Int64
    #: Positions in ``tag_names``.
    tag: Int64
    #: Times of the first and of the last snapshot that had this tag on this artifact.
    first_ms: Int64
    last_ms: Int64
    #: Distinct names.
    tag_names: Sequence[str]
