"""What the commands share that say which images are needed, and how much room recommended policies leave."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from analyzer.cli.common import Common, Decorated, NumberRange, with_options
from analyzer.cli.configuration import read_text
from analyzer.cli.streams import tell
from analyzer.errors import InputError

if TYPE_CHECKING:
    from analyzer.model.frames import Bools
    from analyzer.model.recommendation import RecommendOptions
    from analyzer.model.usage import Coverage, Usage, UseBasis, WorkloadChoice
    from analyzer.references import AskedUses, Protection
    from analyzer.what_if import World

_USE_OPTIONS = (
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
)
_PROTECT = click.option(
    "--protect",
    multiple=True,
    envvar="DEMURRAGE_PROTECT",
    show_envvar=True,
    metavar="GLOB",
    help="Images never to be touched: REPOSITORY, REPOSITORY:TAG, :TAG or a digest, with * for any"
    " characters; may be repeated.",
)
_RECOMMEND_OPTIONS = (
    click.option(
        "--keep-releases",
        type=click.IntRange(min=1, max=10_000),
        envvar="DEMURRAGE_KEEP_RELEASES",
        default=5,
        show_default=True,
        show_envvar=True,
        metavar="N",
        help="Keep the last N images of each tag family: of versions, branches, dates and so on.",
    ),
    click.option(
        "--pulled-within",
        type=click.IntRange(min=1, max=3_650),
        envvar="DEMURRAGE_PULLED_WITHIN",
        default=90,
        show_default=True,
        show_envvar=True,
        metavar="DAYS",
        help="Keep what was pulled in the last DAYS; no rule goes by a shorter age.",
    ),
    click.option(
        "--margin",
        type=click.IntRange(min=0, max=365),
        envvar="DEMURRAGE_MARGIN",
        default=30,
        show_default=True,
        show_envvar=True,
        metavar="DAYS",
        help="Stay safe for DAYS at the present rate of pushes.",
    ),
    click.option(
        "--loss",
        type=NumberRange(min=0, max=0.5),
        envvar="DEMURRAGE_LOSS",
        default=0.01,
        show_default=True,
        show_envvar=True,
        metavar="SHARE",
        help="Give up to this share of the bytes away for round numbers and fewer rules.",
    ),
    click.option(
        "--age-rules",
        is_flag=True,
        envvar="DEMURRAGE_AGE_RULES",
        show_envvar=True,
        help="Let rules count days for tagged images too: once nothing is pushed, they take the last"
        " releases.",
    ),
)


def use_options(command: Decorated) -> Decorated:
    """Add --in-use and --workloads; `take_uses` reads them."""
    return with_options(_USE_OPTIONS, command)


def needed_options(command: Decorated) -> Decorated:
    """Add --in-use, --workloads and --protect; `needed_images` looks for what they say."""
    return use_options(_PROTECT(command))


def recommend_options(command: Decorated) -> Decorated:
    """Add the options of what recommended policies keep beside that; `take_recommend` reads them."""
    return with_options(_RECOMMEND_OPTIONS, command)


def take_uses(options: dict[str, Any]) -> AskedUses:
    """What --in-use and --workloads say, which are taken out of ``options``.

    Raises InputError for a file that cannot be read or understood.
    """
    return read_uses(options.pop("in_use"), options.pop("workloads"))


def read_uses(in_use: Path | None, workloads: str = "all") -> AskedUses:
    """As `take_uses`."""
    from analyzer.references import AskedUses, read_references

    origin = "--in-use" if in_use is None or str(in_use) == "-" else f"--in-use {in_use}"
    return AskedUses(
        workloads=cast("WorkloadChoice", workloads),
        listed=None if in_use is None else tuple(read_references(_text(in_use), origin)),
        origin=f"--in-use {in_use}",
    )


def take_protection(options: dict[str, Any]) -> Protection:
    """What --protect says, which is taken out of ``options``; raises InputError for what is no pattern."""
    from analyzer.references import parse_protect

    return parse_protect(options.pop("protect"))


def take_recommend(options: dict[str, Any]) -> RecommendOptions:
    """What `recommend_options` say, which are taken out of ``options``."""
    from analyzer.model.recommendation import RecommendOptions

    return RecommendOptions(
        keep_releases=options.pop("keep_releases"),
        pulled_within_days=options.pop("pulled_within"),
        margin_days=options.pop("margin"),
        loss=options.pop("loss"),
        age_rules=options.pop("age_rules"),
    )


@dataclass(frozen=True, slots=True)
class Needed:
    """Which artifacts are needed; None where nobody said."""

    usage: Usage | None
    protected: Bools | None
    #: Which workloads ``usage`` covers; None where these were not asked about.
    coverage: Coverage | None
    #: What ``usage`` and ``protected`` go by.
    use_basis: UseBasis
    protect_patterns: int
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
    uses: AskedUses,
    protection: Protection,
    *,
    whole_registries: bool,
    required: bool = False,
) -> Needed:
    """What is needed in ``world`` by what --in-use, --workloads and --protect said.

    The warnings are the caller's to show. Raises InputError where something is ``required`` and nothing
    is known of what is needed, or the list is about nothing that was read.
    """
    from analyzer.references import find_asked_uses, find_protected

    found = find_asked_uses(
        uses,
        world.workloads,
        world.frames,
        world.facts,
        world.families,
        world.digest_ids,
        whole_registries=whole_registries,
    )
    if required and uses.listed and len(found.elsewhere) == len(uses.listed):
        raise InputError(
            f"{uses.origin}: none of its {len(uses.listed):,} references is to anything that was "
            f"read, {uses.listed[0].text} for one, and so nothing could fail; write whole image URIs"
        )
    protected = None
    warnings = found.warnings
    if protection.patterns:
        covered = find_protected(protection, world.frames, world.facts, world.families, world.digests)
        protected = covered.protected
        warnings += covered.warnings
    if required and found.usage is None and protected is None:
        raise InputError(
            "--fail-on-in-use: no workloads of these accounts and regions were read, and so nothing could "
            "fail; collect them, or add --in-use FILE or --protect GLOB"
        )
    return Needed(
        usage=found.usage,
        protected=protected,
        coverage=found.coverage,
        use_basis=found.basis,
        protect_patterns=len(protection.patterns),
        warnings=warnings,
        of_workloads=tuple(_of_workloads(found.usage)),
    )


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


def _text(path: Path) -> str:
    if str(path) != "-":
        return read_text(path, "--in-use")
    try:
        return sys.stdin.read()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--in-use -: stdin cannot be read as text: {error}") from error
