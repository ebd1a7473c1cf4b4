"""Tag families: which tag names of a repository are versions of one thing, and what selects them.

Names are told apart by their shapes (``tag_shapes``) alone, whatever repository they are in; small
families of branches of one repository then become one. That decides which images are the last
releases of something. What a rule can say is less: a pattern has literal text and at most four ``*``
(ECR user guide, "Lifecycle policy parameters"), so two families may have patterns that overlap, and
some have none of their own. Whoever counts by a pattern must count all that it selects.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from analyzer.lifecycle.tag_shapes import DATE, HASH, NUMBER, ODD, VARIABLES, YEAR, find_shapes
from analyzer.model.frames import Int64
from analyzer.model.recommendation import FamilyKind

#: Wildcards that a pattern of ECR may have.
MOST_WILDCARDS: Final = 4
#: The key of the family that takes in branches with few builds.
_FEW_BUILDS: Final = "*"

_ENVIRONMENTS: Final = frozenset(
    {
        "dev",
        "development",
        "develop",
        "test",
        "testing",
        "tst",
        "qa",
        "uat",
        "sit",
        "int",
        "integration",
        "stage",
        "staging",
        "stg",
        "preprod",
        "pre-prod",
        "preproduction",
        "prod",
        "production",
        "prd",
        "live",
        "demo",
        "sandbox",
        "sbx",
        "perf",
        "loadtest",
        "dr",
    }
)
_POINTERS: Final = frozenset(
    {
        "latest",
        "stable",
        "main",
        "master",
        "trunk",
        "head",
        "default",
        "edge",
        "nightly",
        "weekly",
        "daily",
        "canary",
        "current",
        "release",
        "released",
        "lts",
        "next",
        "rolling",
        "mainline",
        "newest",
        "beta",
        "alpha",
        "rc",
        "previous",
        "experimental",
        "unstable",
        "candidate",
    }
)
_BEFORE_RELEASE: Final = (
    "alpha|beta|rc|cr|pre|preview|dev|snapshot|milestone|m|canary|nightly|experimental|ea|next|unstable|test"
)

# Version numbers, a date, and what may stand around them, in the alphabet of shapes.
_ANY: Final = f"[{VARIABLES}]"
_WHOLE: Final = f"[{NUMBER}{YEAR}{DATE}]"
_VERSION: Final = re.compile(
    f"(?P<before>(?:[^{VARIABLES}{ODD}]*[-_.])?(?:[vVrR]\\.?|[^{VARIABLES}{ODD}]{{0,12}}?))"
    f"(?P<core>{_WHOLE}(?:[._u]{_WHOLE})+)(?P<after>(?:[-_+.]?[^{VARIABLES}].*)?)",
    re.DOTALL,
)
#: v1, and 1-alpine; a number alone is none.
_SHORT_VERSION: Final = re.compile(
    f"(?P<before>(?:(?:[^{VARIABLES}{ODD}]*[-_.])?[vV](?=.))|(?=.[-_+.]))"
    f"(?P<core>{NUMBER})(?P<after>(?:[-_+.][^{VARIABLES}].*)?)",
    re.DOTALL,
)
_MARK: Final = re.compile(f"[-_+.]?(?P<mark>{_BEFORE_RELEASE}|[ab](?={NUMBER}))(?![a-z])", re.IGNORECASE)
_DESCRIBED: Final = re.compile(f"[-_+.]{NUMBER}[-_+.]{HASH}.*", re.DOTALL)
_DATED: Final = re.compile(
    f"(?P<before>[^{VARIABLES}{ODD}]*)(?P<core>{DATE}|{YEAR}[-_.]?{NUMBER}(?:[-_.]?{NUMBER})?)"
    f"(?P<after>(?:[-_.Tt+].*)?)",
    re.DOTALL,
)
_HASHED: Final = re.compile(f"(?P<before>(?:(?:git|sha|commit|rev)[-_.:]?)?){HASH}", re.IGNORECASE)
#: What cosign and registries without referrers put beside the image of that digest.
_BESIDE: Final = re.compile(f"sha{NUMBER}-{HASH}(?:\\..*)?", re.DOTALL)
_BRANCHED: Final = re.compile(f"(?P<before>.*[-_.]){HASH}(?P<after>.*)", re.DOTALL)
_COUNTED: Final = re.compile(f"(?P<before>[^{VARIABLES}]*){NUMBER}(?P<after>[^{VARIABLES}]*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Shape:
    """What a shape of names means."""

    kind: FamilyKind
    #: Names of one kind and key are one family.
    key: str
    #: The names with ``*`` for all that varies; it may have more of these than a pattern.
    skeleton: str
    #: The same for people: ``v1.2.3-alpine``, ``main-<hash>``.
    label: str


def describe(shape: str) -> Shape:
    """What ``shape``, one of ``find_shapes``, means."""
    kind, key = _kind(shape)
    return Shape(kind, key, _skeleton(shape), _label(shape))


def _kind(shape: str) -> tuple[FamilyKind, str]:
    if ODD in shape or not shape:
        return FamilyKind.OTHER, ""
    if not re.search(_ANY, shape):
        return _named(shape)
    if _BESIDE.fullmatch(shape):
        return FamilyKind.OTHER, "sha256-*"
    if found := _HASHED.fullmatch(shape):
        return FamilyKind.HASH, _skeleton(found["before"])
    if (dated := _dated(shape)) is not None:
        return dated
    if (version := _VERSION.fullmatch(shape) or _SHORT_VERSION.fullmatch(shape)) is not None:
        return _versioned(version)
    if found := _BRANCHED.fullmatch(shape):
        return FamilyKind.BRANCH, f"{_skeleton(found['before'])}*{_skeleton(found['after'])}"
    if found := _COUNTED.fullmatch(shape):
        word = found["before"].lower()
        if word in _ENVIRONMENTS and not found["after"]:
            return FamilyKind.ENVIRONMENT, shape
        return FamilyKind.BUILD, f"{found['before']}*{found['after']}"
    return FamilyKind.OTHER, ""


def _named(name: str) -> tuple[FamilyKind, str]:
    """Names without anything that varies."""
    words = re.split("[-_.]", name.lower())
    ends = {name.lower(), words[0], words[-1]}
    if ends & _POINTERS and not ends & _ENVIRONMENTS:
        return FamilyKind.POINTER, name
    if ends & _ENVIRONMENTS:
        return FamilyKind.ENVIRONMENT, name
    return FamilyKind.OTHER, ""


def _dated(shape: str) -> tuple[FamilyKind, str] | None:
    found = _DATED.fullmatch(shape)
    if found is None or (re.search("[0-9A-Za-z]$", found["before"]) and found["before"].lower() != "v"):
        return None
    after = found["after"]
    mark = _MARK.match(after)
    if mark is not None:
        return FamilyKind.PRERELEASE, f"{found['before']}date-{mark['mark'].lower()}"
    # A time of day, a number within the day and a hash are no variants.
    words = re.sub(f"[Tt](?={_ANY})|(?<={NUMBER})[Zz]|{_ANY}|[-_.+:]", "", after)
    return FamilyKind.DATE, f"{found['before']}*{words}"


def _versioned(found: re.Match[str]) -> tuple[FamilyKind, str]:
    before, after = found["before"], found["after"]
    if _DESCRIBED.fullmatch(after):
        # git describe: so many commits after a version.
        return FamilyKind.BRANCH, f"{before}*-*-*"
    mark = _MARK.match(after)
    if mark is not None:
        return FamilyKind.PRERELEASE, f"{before}*-{mark['mark'].lower()}"
    return FamilyKind.RELEASE, f"{before}*{_collapsed(_skeleton(after))}"


def _skeleton(shape: str) -> str:
    """``shape`` as a pattern: the century is what is known of a date."""
    text = re.sub(f"[{DATE}{YEAR}]", "20*", shape)
    return re.sub(r"\*+", "*", re.sub(f"[{NUMBER}{HASH}{ODD}]", "*", text))


def _label(shape: str) -> str:
    number = iter(range(1, len(shape) + 1))
    said = re.sub(NUMBER, lambda _: str(next(number)), shape)
    for code, text in ((HASH, "<hash>"), (DATE, "<date>"), (YEAR, "<year>"), (ODD, "?")):
        said = said.replace(code, text)
    return said


def _collapsed(skeleton: str) -> str:
    """``skeleton`` with one ``*`` for several that nothing but a separator parts."""
    return re.sub(r"\*(?:[-_.+:]?\*)+", "*", skeleton)


@dataclass(frozen=True, slots=True)
class NameFamilies:
    """The family of every distinct name, as its shape alone tells it."""

    #: Per name a position in ``shapes``, and in ``families``.
    shape_of: Int64
    family_of: Int64
    shapes: Sequence[Shape]
    #: Kind and key of each family.
    families: Sequence[tuple[FamilyKind, str]]
    #: The family that small ones of branches go to.
    few_builds: int


def find_name_families(names: Sequence[str]) -> NameFamilies:
    """The families of ``names``, whichever repository they are in.

    A name that moves from image to image (an environment, ``latest``) is a family of its own.
    """
    shape_of, texts = find_shapes(names)
    shapes = [describe(text) for text in texts]
    number: dict[tuple[FamilyKind, str], int] = {(FamilyKind.BRANCH, _FEW_BUILDS): 0}
    of_shape = [number.setdefault((shape.kind, shape.key), len(number)) for shape in shapes]
    family_of = np.array(of_shape, np.int64)[shape_of]
    # dev1 and dev2 have one shape, and are two things.
    moving = [
        n for n, each in enumerate(shapes) if each.kind is FamilyKind.ENVIRONMENT and NUMBER in each.key
    ]
    if moving:
        of_moving = np.flatnonzero(np.isin(shape_of, moving))
        for name in of_moving.tolist():
            family_of[name] = number.setdefault((FamilyKind.ENVIRONMENT, names[name]), len(number))
    return NameFamilies(shape_of, family_of, shapes, list(number), 0)


def moves(kind: FamilyKind) -> bool:
    """Whether names of ``kind`` go from image to image, each a family of its own."""
    return kind in {FamilyKind.ENVIRONMENT, FamilyKind.POINTER}


def patterns_of(skeletons: Iterable[str]) -> tuple[str, ...]:
    """Patterns that match all names of these ``skeletons``, from the narrowest to the widest.

    Each has at most four wildcards, and none is ``*`` alone, which tells nothing apart.
    """
    each = sorted(set(skeletons))
    wide = each if len(each) == 1 else _in_common(each) if each else []
    found: dict[str, None] = {}
    for text in wide:
        pattern = re.sub(r"\*+", "*", text)
        if pattern.count("*") <= MOST_WILDCARDS:
            found[pattern] = None
        found[fitting(pattern)] = None
        found[fitting(_collapsed(pattern))] = None
    return tuple(pattern for pattern in found if pattern.strip("*"))


def _in_common(skeletons: Sequence[str]) -> list[str]:
    """Skeletons of what all of ``skeletons``, two or more, have in common."""
    before = _common_beginning(skeletons)
    after = _common_beginning([text[::-1] for text in skeletons])[::-1]
    # The two may not overlap in the shortest.
    room = min(map(len, skeletons)) - len(before)
    after = after[max(0, len(after) - room) :]
    middle = [text[len(before) : len(text) - len(after)] for text in skeletons]
    words = [word for word in re.findall("[A-Za-z]+", middle[0]) if all(word in text for text in middle)]
    longest = max(words, key=len, default="")
    between = [f"*{longest}*"] if longest else []
    between += ["*.*.*"] if all(text.count(".") > 1 for text in middle) else []
    between += ["*.*"] if all("." in text for text in middle) else []
    return [f"{before}{text}{after}" for text in [*between, "*"]]


def _common_beginning(texts: Sequence[str]) -> str:
    # The first and the last in order differ at least as soon as any other two.
    first, last = min(texts), max(texts)
    length = next(
        (at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), None
    )
    return first[: min(len(first), len(last)) if length is None else length]


def fitting(pattern: str) -> str:
    """``pattern``, or a wider one with no more wildcards than ECR allows.

    What is between two of them is given up from the middle on, so that beginning and end remain.
    """
    pieces = pattern.split("*")
    while len(pieces) - 1 > MOST_WILDCARDS:
        inner = range(1, len(pieces) - 1)
        # The least telling text between two wildcards: no letters, then the shortest.
        least = min(inner, key=lambda at: (bool(re.search("[A-Za-z]", pieces[at])), len(pieces[at]), at))
        del pieces[least]
    return "*".join(pieces)
