"""What the commands share that hold policies against images: which images are needed, which policy."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
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
    from analyzer.model.usage import Coverage, Usage
    from analyzer.pricing import PriceBook
    from analyzer.recommending import Recommended, RecommendQuestion
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
        "--workloads",
        type=click.Choice(["all", "configured", "running", "none"]),
        default="all",
        show_default=True,
        envvar="DEMURRAGE_WORKLOADS",
        show_envvar=True,
        help="Which workloads of the snapshot make an image in use: all; those that run it or would start"
        " with it; those that run it; none.",
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
    """Add --in-use, --workloads and --protect; `needed_images` reads them."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class Needed:
    """Which artifacts are needed; None where nobody said."""

    usage: Usage | None
    protected: Bools | None
    #: Which workloads ``usage`` covers; None where these were not asked about.
    coverage: Coverage | None
    #: What an answer about them does not cover: of --in-use and --protect, and of the workloads.
    warnings: tuple[str, ...] = ()
    of_workloads: tuple[str, ...] = ()

    @property
    def in_use(self) -> Bools | None:
        """Per artifact whether it is known to be in use."""
        return None if self.usage is None else self.usage.in_use

    @property
    def missing(self) -> tuple[str, ...] | None:
        """Named as in use and not there, though their repository was read."""
        return None if self.usage is None else tuple(one.reference for one in self.usage.missing)


def needed_images(
    world: World,
    in_use: Path | None,
    workloads: str,
    protect: Sequence[str],
    *,
    whole_registries: bool,
    required: bool = False,
) -> Needed:
    """What --in-use, --workloads and --protect say is needed in ``world``.

    The warnings are the caller's to show. Raises InputError for a file that cannot be read or
    understood, for a GLOB that is none, and where something is ``required`` and nothing is known of
    what is needed, or the list is about nothing that was read.
    """
    from analyzer.references import find_protected, parse_protect

    protected = None
    warnings: list[str] = []
    usage, coverage = _usage(
        world, in_use, workloads, warnings, whole_registries=whole_registries, required=required
    )
    if protect:
        covered = find_protected(
            parse_protect(protect), world.frames, world.facts, world.families, world.digests
        )
        protected = covered.protected
        warnings += [f"--protect {glob}: there is no such image" for glob in covered.unmatched]
    if required and usage is None and protected is None:
        raise InputError(
            "--fail-on-in-use: no workloads of these accounts and regions were read, and so nothing could "
            "fail; collect them, or add --in-use FILE or --protect GLOB"
        )
    return Needed(usage, protected, coverage, tuple(warnings), tuple(_of_workloads(usage)))


def _usage(
    world: World,
    in_use: Path | None,
    weakest: str,
    warnings: list[str],
    *,
    whole_registries: bool,
    required: bool,
) -> tuple[Usage | None, Coverage | None]:
    """Who uses what, and which workloads that covers; what a list does not cover goes to ``warnings``."""
    from analyzer.model.records import UseKind
    from analyzer.references import coverage_of, find_in_use, find_usage, read_references, up_to

    frames, facts, families = world.frames, world.facts, world.families
    references: list[ImageReference] = []
    if in_use is not None:
        references = read_references(
            _text(in_use), "--in-use" if str(in_use) == "-" else f"--in-use {in_use}"
        )
        found = find_in_use(
            references, frames, facts, families, world.digest_ids, whole_registries=whole_registries
        )
        warnings += _uncovered(references, found)
        if required and references and len(found.elsewhere) == len(references):
            raise InputError(
                f"--in-use {in_use}: none of its {len(references):,} references is to anything that was "
                f"read, {references[0].text} for one, and so nothing could fail; write whole image URIs"
            )
    stored = None if weakest == "none" else world.workloads
    coverage = None
    if stored is not None:
        coverage = coverage_of(stored, frames.registries)
        if weakest != "all":
            stored = up_to(stored, UseKind[weakest.upper()])
        if coverage.is_nothing and not len(stored.kind):
            stored = None
    if stored is None and in_use is None:
        return None, coverage
    usage = find_usage(
        stored, references, frames, facts, families, world.digest_ids, whole_registries=whole_registries
    )
    return usage, coverage


def _of_workloads(usage: Usage | None) -> Iterator[str]:
    """What the workloads say nothing about, and what they may mean."""
    import numpy as np

    from reports.text import shortened

    if usage is None:
        return
    left = usage.unresolved
    for number, example, what in (
        (
            left.elsewhere,
            left.elsewhere_example,
            "in registries or repositories that were not read, {} for one; nothing is said about these",
        ),
        (
            left.cached,
            left.cached_example,
            "that are not there and that a pull-through cache fetches again, {} for one",
        ),
        (left.unreadable, left.unreadable_example, "by what is no reference, {} for one"),
    ):
        if number:
            images = "1 image" if number == 1 else f"{number:,} images"
            yield f"workloads name {images} {what.format(shortened(example, 300))}"
    if possibly := int(np.count_nonzero(usage.possibly)):
        yield f"in use: {possibly:,} more images may be, as children of an index that was not read"


def tell_coverage(shared: Common, needed: Needed) -> None:
    """Say on stderr which workloads ``needed`` covers: for formats that have no place for it.

    Where nothing is known of images in use, such formats say nothing about them.
    """
    from reports.usage import coverage_sentences

    if not shared.quiet and needed.coverage is not None and needed.usage is not None:
        for sentence in coverage_sentences(needed.coverage):
            tell(sentence)


def tell_warnings(shared: Common, needed: Needed, left_out: Sequence[str] = ()) -> None:
    """Say on stderr what ``needed`` does not cover, and what was ``left_out``.

    For answers that have no place for it.
    """
    if not shared.quiet:
        for warning in (*left_out, *needed.warnings, *needed.of_workloads):
            tell(warning)


def _uncovered(references: Sequence[ImageReference], found: InUse) -> list[str]:
    """What a list of images in use says nothing about, though whoever gave it may think so."""
    warnings = []
    for left, what in (
        (
            found.elsewhere,
            "to registries or repositories that were not read, {} for one; nothing is said about these",
        ),
        (found.cached, "to images that a pull-through cache fetches again, {} for one"),
    ):
        if left:
            said = what.format(left[0].text)
            warnings.append(f"--in-use: {len(left):,} of {len(references):,} references are {said}")
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


def advice_on(world: World, question: RecommendQuestion, prices: PriceBook) -> Recommended:
    """The policies recommended in ``world``, beside those in force there."""
    from analyzer.lifecycle.recommend import InForce
    from analyzer.recommending import recommend

    return recommend(
        question,
        world.frames,
        world.facts,
        world.families,
        prices,
        InForce(policies=world.policies, policy_of=world.policy_of, problems=world.policy_problems),
        digests=world.digests,
        digest_ids=world.digest_ids,
    )


def matching_rows(frames: Frames, globs: Sequence[str]) -> tuple[Int64, tuple[str, ...]]:
    """Rows of the private repositories whose names fit one of ``globs``, all of them without any.

    Public repositories can have no lifecycle policy: they are left out, and the second part says so.
    Raises InputError where a glob fits none, or there is no other repository than public ones.
    """
    import numpy as np

    from reports.figures import counted

    names = [str(name) for name in frames.repositories["repository"]]
    chosen = set(range(len(names)) if not globs else ())
    for glob in globs:
        matched = [row for row, name in enumerate(names) if fnmatchcase(name, glob)]
        if not matched:
            raise InputError(f"--repository {glob}: no repository has such a name; name another")
        chosen.update(matched)
    rows = np.array(sorted(chosen), np.int64)
    is_public = frames.is_public[rows]
    number = int(is_public.sum())
    if not number:
        return rows, ()
    if number == len(rows):
        asked = f"--repository {' '.join(globs)}: " if globs else ""
        raise InputError(
            f"{asked}every repository is a public one, which can have no lifecycle policy; there is nothing"
            " to judge"
        )
    what = counted(number, "public repository", "public repositories")
    return rows[~is_public], (f"{what} left out: these can have no lifecycle policy",)
