"""`demurrage explain`: why one image goes or stays, and what would leave with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from analyzer.cli.choices import (
    at_option,
)
from analyzer.cli.common import HELP, WITH_GAPS, Common, common, global_options
from analyzer.cli.judging import (
    document_options,
    read_policy,
    world_of_files,
)
from analyzer.cli.needs import (
    needed_images,
    needed_options,
    read_uses,
    tell_coverage,
    tell_warnings,
)
from analyzer.errors import InputError

if TYPE_CHECKING:
    from analyzer.lifecycle.policy import Policy
    from analyzer.model.explanation import Explanation, SeenPulls
    from analyzer.references import ImageReference
    from analyzer.store.engine import Database
    from analyzer.what_if import World

#: Images that the refusal of a name for several of them lists.
_LISTED = 10
_DAY_MS = 86_400_000


@click.command("explain", context_settings=HELP)
@click.argument("image", metavar="IMAGE")
@click.option(
    "--policy",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Judge this policy in place of the one in force.",
)
@document_options
@needed_options
@at_option("Judge at this moment", otherwise="that of the snapshot; with --images: now")
@global_options
@click.pass_context
def explain_command(
    context: click.Context,
    image: str,
    policy: Path | None,
    images: tuple[Path, ...],
    manifests: tuple[Path, ...],
    in_use: Path | None,
    workloads: str,
    protect: tuple[str, ...],
    at: datetime | None,
) -> int:
    """Explain what becomes of IMAGE under its lifecycle policy, and why.

    IMAGE is a URI, REPOSITORY:TAG, REPOSITORY@DIGEST or a digest. Shows its facts, its family, the
    verdict with every rule's part in it, and what would leave with it. Asks nothing of AWS and
    changes nothing.

    Exit status: 0 done; 4 something about its repository was not read.
    """
    shared = common(context)
    if manifests and not images:
        raise InputError("--manifests needs the images they belong to; give them with --images FILE")
    reference = _reference(image)
    candidate = None if policy is None else read_policy(shared, policy)
    from analyzer.store.opening import open_database

    database = None if images else open_database(shared.db_url)
    explanation = _explained(
        shared,
        world_of_files(images, manifests, at=at) if database is None else _from_database(database, at),
        reference,
        (candidate, str(policy)),
        in_use,
        workloads,
        protect,
        is_stored=not images,
    )
    if database is not None:
        explanation = replace(explanation, seen_pulls=_seen_pulls(database, explanation))
    shared.write(_rendered(explanation, shared.format))
    return WITH_GAPS if explanation.gaps and not images else 0


def _reference(image: str) -> ImageReference:
    """What IMAGE names. A host that is nobody's is the first part of a repository's name."""
    from analyzer.references import RegistryKind, parse_reference

    reference = parse_reference(image)
    if reference.registry is RegistryKind.OTHER:
        path = (reference.host, reference.repository)
        return replace(
            reference, registry=RegistryKind.PRIVATE, host="", repository="/".join(filter(None, path))
        )
    return reference


def _explained(
    shared: Common,
    world: World,
    reference: ImageReference,
    candidate: tuple[Policy | None, str],
    in_use: Path | None,
    workloads: str,
    protect: Sequence[str],
    *,
    is_stored: bool,
) -> Explanation:
    from analyzer.lifecycle.explanation import explain
    from analyzer.references import find_in_use, parse_protect

    needed = needed_images(
        world, read_uses(in_use, workloads), parse_protect(protect), whole_registries=is_stored
    )
    # What workloads name elsewhere says nothing of this image.
    tell_warnings(shared, replace(needed, of_workloads=()))
    if shared.format == "csv":
        tell_coverage(shared, needed)
    found = find_in_use([reference], world.frames, world.facts, world.families, world.digest_ids)
    (positions,) = found.named
    if not positions:
        raise InputError(
            f"{reference.text}: there is no such image"
            f"{' in the last snapshot' if is_stored else ' in --images'}; name one by REPOSITORY:TAG, by "
            "REPOSITORY@DIGEST, by digest, or by its whole URI"
        )
    if len(positions) > 1:
        raise InputError(_ambiguous(world, reference, positions))
    policy, name = candidate
    explanation = explain(
        world,
        positions[0],
        policy=policy,
        policy_name=name,
        usage=needed.usage,
        coverage=needed.coverage,
        protected=needed.protected,
    )
    place = explanation.account, explanation.region
    return replace(
        explanation,
        gaps=tuple(
            gap
            for gap in world.gaps
            if (gap.account, gap.region) == place and gap.repository in {"", explanation.repository}
        ),
    )


def _ambiguous(world: World, reference: ImageReference, positions: Sequence[int]) -> str:
    """That ``reference`` names several images, and by which names each can be told."""
    import numpy as np

    frames = world.frames
    uris = []
    for position, digest in zip(positions, world.digests(np.array(positions, np.int64)), strict=True):
        repository = frames.repositories.iloc[int(frames.artifacts.repository[position])]
        registry = frames.registries.iloc[int(repository["registry"])]
        domain = "amazonaws.com.cn" if registry["partition"] == "aws-cn" else "amazonaws.com"
        host = f"{registry['account']}.dkr.ecr.{registry['region']}.{domain}/" if registry["account"] else ""
        uris.append(f"{host}{repository['repository']}@{digest}")
    shown = ", ".join(sorted(uris)[:_LISTED])
    more = f" and {len(uris) - _LISTED:,} more" if len(uris) > _LISTED else ""
    return f"{reference.text} names {len(uris):,} images; name one of them: {shown}{more}"


def _from_database(database: Database, at: datetime | None) -> World:
    from analyzer.model.units import to_ms
    from analyzer.what_if import load_world

    return load_world(database, at_ms=None if at is None else to_ms(at))


def _seen_pulls(database: Database, explanation: Explanation) -> SeenPulls | None:
    """What CloudTrail recorded of the image since its push."""
    from analyzer.model.units import to_ms
    from analyzer.store.last_pulls import load_seen_pulls

    pushed_at = explanation.pushed_at
    with database.read() as connection:
        return load_seen_pulls(
            connection,
            explanation.account,
            explanation.region,
            explanation.repository,
            explanation.digest,
            explanation.tags,
            0 if pushed_at is None else to_ms(pushed_at) // _DAY_MS,
        )


def _rendered(explanation: Explanation, form: str) -> str:
    from analyzer.cli.tables import gaps_text
    from reports.explain import explain_csv, explain_json, explain_text

    if form == "json":
        return explain_json(explanation)
    if form == "csv":
        return explain_csv(explanation)
    return explain_text(explanation) + gaps_text(explanation.gaps)
