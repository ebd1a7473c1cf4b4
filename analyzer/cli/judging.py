"""What the commands share that hold policies against images: which images are needed, which policy."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

import click

from analyzer.cli.common import Common, Decorated
from analyzer.cli.configuration import read_text
from analyzer.cli.streams import tell
from analyzer.errors import InputError

if TYPE_CHECKING:
    from analyzer.lifecycle.policy import Policy
    from analyzer.model.frames import Bools, Frames, Int64
    from analyzer.references import ImageReference, InUse
    from analyzer.what_if import World

_OPTIONS = (
    click.option(
        "--in-use",
        type=click.Path(path_type=Path, allow_dash=True),
        envvar="DEMURRAGE_IN_USE",
        show_envvar=True,
        metavar="FILE",
        help="Images in use: one reference a line, JSON, or what kubectl or aws ecs print; - is stdin.",
    ),
    click.option(
        "--protect",
        multiple=True,
        envvar="DEMURRAGE_PROTECT",
        show_envvar=True,
        metavar="GLOB",
        help="Images never to be touched: REPOSITORY, REPOSITORY:TAG, :TAG or a digest, with * for any"
        " characters; may be repeated.",
    ),
)


_DOCUMENTS = (
    click.option(
        "--images",
        type=click.Path(path_type=Path),
        multiple=True,
        metavar="FILE",
        help="Look at this output of `aws ecr describe-images` in place of the database; may be repeated.",
    ),
    click.option(
        "--manifests",
        type=click.Path(path_type=Path),
        multiple=True,
        metavar="FILE",
        help="With --images: output of `aws ecr batch-get-image`; may be repeated.",
    ),
)


def document_options(command: Decorated) -> Decorated:
    """Add --images and --manifests; `world_of_files` reads them."""
    for option in reversed(_DOCUMENTS):
        command = option(command)
    return command


def world_of_files(
    images: Sequence[Path], manifests: Sequence[Path], *, at: datetime | None, region: str | None = None
) -> World:
    """The images in files that the AWS CLI wrote, judged now where ``at`` does not say otherwise.

    Raises InputError for a file that cannot be read or understood.
    """
    from analyzer.documents import read_documents
    from analyzer.model.units import to_ms
    from analyzer.what_if import world_of_documents

    at_ms = round(time.time() * 1000) if at is None else to_ms(at)
    documents = read_documents(
        [(f"--images {path}", read_text(path, "--images")) for path in images],
        [(f"--manifests {path}", read_text(path, "--manifests")) for path in manifests],
        region=region,
        taken_at_ms=at_ms,
    )
    return world_of_documents(documents, at_ms=at_ms)


def needed_options(command: Decorated) -> Decorated:
    """Add --in-use and --protect; `needed_images` reads them."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class Needed:
    """Which artifacts are needed; None where nobody said."""

    in_use: Bools | None
    protected: Bools | None
    #: Named as in use and not there, though their repository was read.
    missing: tuple[str, ...] | None
    #: What an answer about them does not cover.
    warnings: tuple[str, ...] = ()


def needed_images(
    world: World,
    in_use: Path | None,
    protect: Sequence[str],
    *,
    whole_registries: bool,
    required: bool = False,
) -> Needed:
    """What --in-use and --protect name in ``world``; its ``warnings`` are the caller's to show.

    Raises InputError for a file that cannot be read or understood, for a GLOB that is none, and where
    the list is ``required`` and about nothing that was read.
    """
    from analyzer.references import find_in_use, find_protected, parse_protect, read_references

    used, missing, protected = None, None, None
    warnings: list[str] = []
    frames, facts, families = world.frames, world.facts, world.families
    digests = world.digests
    if in_use is not None:
        references = read_references(
            _text(in_use), "--in-use" if str(in_use) == "-" else f"--in-use {in_use}"
        )
        found = find_in_use(references, frames, facts, families, digests, whole_registries=whole_registries)
        used, missing = found.in_use, tuple(reference.text for reference in found.unmatched)
        warnings += _uncovered(references, found)
        if required and references and len(found.elsewhere) == len(references):
            raise InputError(
                f"--in-use {in_use}: none of its {len(references):,} references is to anything that was "
                f"read, {references[0].text} for one, and so nothing could fail; write whole image URIs"
            )
    if protect:
        covered = find_protected(parse_protect(protect), frames, facts, families, digests)
        protected = covered.protected
        warnings += [f"--protect {glob}: there is no such image" for glob in covered.unmatched]
    return Needed(used, protected, missing, tuple(warnings))


def tell_warnings(shared: Common, needed: Needed) -> None:
    """Say on stderr what ``needed`` does not cover: for answers that have no place for it."""
    if not shared.quiet:
        for warning in needed.warnings:
            tell(warning)


def _uncovered(references: Sequence[ImageReference], found: InUse) -> list[str]:
    """What a list of images in use says nothing about, though whoever gave it may think so."""
    import numpy as np

    warnings = []
    if found.elsewhere:
        example = found.elsewhere[0].text
        warnings.append(
            f"--in-use: {len(found.elsewhere):,} of {len(references):,} references are to registries or "
            f"repositories that were not read, {example} for one; nothing is said about these"
        )
    if possibly := int(np.count_nonzero(found.possibly)):
        warnings.append(
            f"--in-use: {possibly:,} more images may be in use, as children of an index that was not read"
        )
    return warnings


def _text(path: Path) -> str:
    if str(path) != "-":
        return read_text(path, "--in-use")
    try:
        return sys.stdin.read()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--in-use -: stdin cannot be read as text: {error}") from error


def read_policy(shared: Common, path: Path) -> Policy:
    """The policy of --policy; raises InvalidPolicy, which is also told as JSON where that is asked for."""
    return read_policy_document(shared, path)[0]


def read_policy_document(shared: Common, path: Path) -> tuple[Policy, str]:
    """The policy of --policy and its text; raises what `read_policy` does."""
    from analyzer.lifecycle.parsing import InvalidPolicy, error_document, parse_policy, policy_text_of

    text = policy_text_of(read_text(path, "--policy"))
    try:
        return parse_policy(text), text
    except InvalidPolicy as error:
        if shared.format == "json":
            shared.write(json.dumps(error_document(error), indent=2))
        raise


def matching_rows(frames: Frames, globs: Sequence[str]) -> Int64:
    """Rows of the repositories whose names fit one of ``globs``, all of them without any.

    Raises InputError where a glob fits none.
    """
    import numpy as np

    names = [str(name) for name in frames.repositories["repository"]]
    chosen = set(range(len(names)) if not globs else ())
    for glob in globs:
        matched = [row for row, name in enumerate(names) if fnmatchcase(name, glob)]
        if not matched:
            raise InputError(f"--repository {glob}: no repository has such a name; name another")
        chosen.update(matched)
    return np.array(sorted(chosen), np.int64)
