"""Images that are never to be touched, named by patterns."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import translate

import numpy as np

from analyzer.errors import InputError
from analyzer.families import Families
from analyzer.json_texts import shown
from analyzer.model.frames import Bools, Frames, Int64, LifecycleFacts
from analyzer.references.in_use import with_children
from analyzer.references.parsing import RegistryKind, registry_of

_DIGEST = re.compile(r"sha(?:256|512):.+", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pattern:
    """One GLOB, taken apart; None of tag and digest means every image of the repository."""

    text: str
    repository: str
    #: "" for any.
    account: str = ""
    region: str = ""
    #: Of public registries alone: the repository begins with an alias of its registry.
    is_public: bool = False
    tag: str | None = None
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class Protection:
    """What is never to be touched; nothing without patterns."""

    patterns: tuple[_Pattern, ...] = ()


@dataclass(frozen=True, slots=True)
class Protected:
    """What a protection covers among the artifacts of some frames."""

    #: Per artifact: a pattern names it, or an index that one names has it as a child, at any depth.
    protected: Bools
    #: The patterns, as written, that name nothing there.
    unmatched: tuple[str, ...]

    @property
    def warnings(self) -> tuple[str, ...]:
        """What names nothing, though whoever gave it may think so."""
        return tuple(f"--protect {glob}: there is no such image" for glob in self.unmatched)


def parse_protect(globs: Iterable[str]) -> Protection:
    """The protection that ``globs`` describe together.

    Each is ``REPOSITORY`` (all its images), ``REPOSITORY:TAG``, ``:TAG`` (in any repository),
    ``REPOSITORY@DIGEST`` or a ``DIGEST``, which begins with ``sha256:`` or ``sha512:``. In every part
    ``*`` stands for any characters (slashes too), ``?`` for one, ``[seq]`` and ``[!seq]`` for one of
    some and one of others; case counts. The repository is that of any registry, or of one whose ECR
    host (``ACCOUNT.dkr.ecr.REGION.amazonaws.com/``, ``public.ecr.aws/ALIAS/``) is written out before it.

    Raises InputError for what is none of these.
    """
    return Protection(tuple(map(_pattern, globs)))


def _pattern(glob: str) -> _Pattern:
    if _DIGEST.fullmatch(glob):
        return _Pattern(text=glob, repository="*", digest=glob)
    name, at, digest = glob.partition("@")
    name, colon, tag = (name, "", "") if at else name.partition(":")
    if (at and not (name and _DIGEST.fullmatch(digest))) or (colon and not tag) or not (name or tag):
        raise _refused(glob)
    if ":" in tag or "/" in tag:
        raise _refused(glob)
    host, _, path = name.partition("/")
    kind, account, region = registry_of(host.lower())
    if kind is not RegistryKind.OTHER:
        if not path:
            raise _refused(glob)
        name = path
    return _Pattern(
        text=glob,
        repository=name or "*",
        account=account,
        region=region,
        is_public=kind is RegistryKind.PUBLIC,
        tag=tag or None,
        digest=digest or None,
    )


def _refused(glob: str) -> InputError:
    return InputError(
        f"--protect {shown(glob)} is no pattern for images; write REPOSITORY, REPOSITORY:TAG, :TAG, "
        "REPOSITORY@sha256:… or sha256:… (with * for any characters)"
    )


def find_protected(
    protection: Protection,
    frames: Frames,
    facts: LifecycleFacts,
    families: Families,
    digests: Callable[[Int64], Sequence[str]],
) -> Protected:
    """What ``protection`` covers in ``frames``; ``digests`` gives the digests of artifact positions.

    ``digests`` is asked once for each pattern that names digests, for the repositories it names.
    """
    of_artifact = frames.artifacts.repository
    names = frames.repositories["repository"].tolist()
    registry = frames.repositories["registry"].to_numpy(np.int64)
    accounts, regions = (frames.registries[column].to_numpy(object) for column in ("account", "region"))
    aliases = frames.registries["public_aliases"].tolist()
    with_alias = [
        (f"{alias}/{name}", row)
        for row, (name, of) in enumerate(zip(names, registry.tolist(), strict=True))
        for alias in aliases[of]
    ]
    of_tag = np.repeat(np.arange(len(of_artifact)), np.diff(facts.tag_offsets))
    roots = np.zeros(len(of_artifact), np.bool_)
    unmatched = []
    for pattern in protection.patterns:
        if pattern.is_public:
            found = _matching([text for text, _ in with_alias], pattern.repository)
            repositories = np.zeros(len(names), np.bool_)
            repositories[[row for (_, row), fits in zip(with_alias, found, strict=True) if fits]] = True
        else:
            repositories = _matching(names, pattern.repository)
        if pattern.account:
            # "" is not known, and may be this one.
            fits = np.isin(accounts, ["", pattern.account]) & np.isin(regions, ["", pattern.region])
            repositories &= fits[registry]
        meant = repositories[of_artifact]
        if pattern.tag is not None:
            carries = np.zeros(len(of_artifact), np.bool_)
            carries[of_tag[_matching(facts.tag_names, pattern.tag)[facts.tags]]] = True
            meant &= carries
        if pattern.digest is not None:
            positions = np.flatnonzero(meant)
            meant[positions] = _matching(digests(positions), pattern.digest)
        roots |= meant
        if not meant.any():
            unmatched.append(pattern.text)
    return Protected(with_children(roots, families), tuple(unmatched))


def _matching(names: Sequence[str], glob: str) -> Bools:
    """Which of ``names`` fit ``glob``, as ``fnmatch.fnmatchcase`` has it."""
    match = re.compile(translate(glob)).match
    return np.fromiter((match(name) is not None for name in names), np.bool_, len(names))
