"""What the AWS CLI prints about images, to what the analyses take: no database and no AWS.

So a policy can be tried on a file that somebody sent. All that documents leave out stays unknown,
and is a gap: the region and with it every price, the policy in force, whether layers are shared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from analyzer.documents.arrays import make_arrays
from analyzer.documents.images import read_listing
from analyzer.documents.manifests import read_manifests
from analyzer.documents.notes import Notes
from analyzer.model.frames import Frames, LifecycleFacts
from analyzer.model.records import Gap

__all__ = ["Documents", "read_documents"]


@dataclass(frozen=True, slots=True)
class Documents:
    """The images of some documents.

    In ``frames`` "" stands for an account, region, partition or repository name that is not known;
    ``snapshot`` and ``run`` are 0 and ``created_at_ms`` is NO_TIME, for there are none. Artifacts
    are in the order of their digests' text within a repository. Manifests of one digest that differ
    from repository to repository are each there.
    """

    frames: Frames
    facts: LifecycleFacts
    #: Digest by artifact position.
    digests: list[str]
    #: What is missing or was not as it should be, sorted; ``call`` names the document it is about.
    gaps: list[Gap]


def read_documents(
    images: Sequence[tuple[str, str]],
    manifests: Sequence[tuple[str, str]] = (),
    *,
    region: str | None = None,
    taken_at_ms: int,
) -> Documents:
    """The images that ``aws ecr describe-images`` and ``batch-get-image`` printed.

    Both are given as (name for messages, text). A text may hold one document, several in any layout
    (JSON Lines too), lists of them, or what they contain (a list of imageDetails or images, as
    ``--query`` and jq print it); a byte order mark does no harm. Times are ISO 8601 text, seconds
    since 1970 or placebo's objects, UTC where they do not say otherwise.

    Images are those that ``images`` lists, in as many repositories and registries as it may be; a
    repository is known by registryId and repositoryName, images without are together in one. Entries
    for one image are united. ``manifests`` say what they consist of, by digests that are taken as
    given; an image without one has an unknown size.

    ``region`` is where all of it lies, ``taken_at_ms`` (milliseconds since 1970 UTC) when it was so.

    Raises InputError, in one line, for a document of another kind or one whose images cannot be
    told, tagged or dated.
    """
    notes = Notes()
    listing, partial = read_listing(images, notes)
    given = read_manifests(manifests, notes)
    frames, facts, digests = make_arrays(
        listing, partial, given, notes, region=region or "", taken_at_ms=taken_at_ms
    )
    return Documents(frames, facts, digests, notes.gaps(region or ""))
