"""What the commands share that hold policies against images: files of images, policies, repositories."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

import click

from analyzer.cli.common import Common, Decorated, with_options
from analyzer.cli.configuration import read_text
from analyzer.errors import InputError

if TYPE_CHECKING:
    from analyzer.lifecycle.policy import Policy
    from analyzer.model.frames import Frames, Int64
    from analyzer.pricing import PriceBook
    from analyzer.recommending import Recommended, RecommendQuestion
    from analyzer.what_if import World

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
    return with_options(_DOCUMENTS, command)


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

    from analyzer.model.words import counted

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
