"""Checks of layers that are stored more often than they need be, and of images that grew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Final

import numpy as np

from analyzer.hygiene.bases import Build, find_spreads
from analyzer.hygiene.blobs import ClassBytes
from analyzer.hygiene.estate import EXAMPLES, Check, Estate, Found, Unjudged
from analyzer.hygiene.sharing import KeyPart, find_key_splits, find_mountable
from analyzer.hygiene.sizes import find_jumps
from analyzer.hygiene.words import data, listed
from analyzer.lifecycle.payback import saving
from analyzer.model.findings import CheckText, Evidence
from analyzer.model.lint import Severity
from analyzer.model.records import PUBLIC_REGION, ImageStatus
from analyzer.model.transfer import MoneyRange
from analyzer.model.units import GB, Money, Scope, from_ms
from analyzer.model.words import counted
from analyzer.storage import DAY_MS

#: Below so many bytes (five cents a month at list price) sharing is not worth a finding, and below such a
#: part of what is stored it is not worth much.
WORTH_BYTES: Final = GB // 2
_MUCH: Final = Fraction(1, 10)
#: Below so many bytes builds of one base are none.
WORTH_BASE_BYTES: Final = 100 * 2**20
#: How far back pushes are looked at for what they could have shared.
RECENT_DAYS: Final = 30

_SHARING: Final = "ECR user guide, Cross-repository layer sharing (blob mounting)"
_ACCOUNT_SETTING: Final = "aws ecr get-account-setting --region {region} --name BLOB_MOUNTING"
_NOTHING: Final = Money(Decimal(0))


def keys_split(estate: Estate) -> Iterator[Found | Unjudged]:
    """Per private registry: what repositories with different encryption types or keys hold in common."""
    registries = estate.known.frames.registries
    for split in find_key_splits(estate.known.frames, estate.blobs):
        of = split.registry
        was_on = bool(registries["blob_mounting_ever"].iloc[of])
        low = high = _saving(estate, of, "registry", split.repeated)
        note = "if these images are pushed again into repositories of one key, by clients that mount layers"
        what = "; blob mounting is on, and shares nothing between them"
        if not was_on:
            low = _NOTHING
            note += ", once blob mounting is on"
            what = "; switching blob mounting on shares nothing between them"
        if split.unknown:
            what += (
                f" ({counted(split.unknown, 'repository', 'repositories')} of unknown encryption left out)"
            )
        yield Found(
            registry=of,
            row=None,
            message=(
                f"its repositories use {len(split.parts)} encryption keys, and {data(split.repeated.total)}"
                f" of layers are stored under several of them{what}"
            ),
            severity=Severity.MEDIUM if was_on else Severity.LOW,
            images=0,
            saving=MoneyRange(low=low, high=high),
            saving_note=note,
            evidence=tuple(map(_key, split.parts[:EXAMPLES])),
        )


def blob_mounting_off(estate: Estate) -> Iterator[Found | Unjudged]:
    """Private registries where layers could be shared and the setting that lets them is off."""
    registries = estate.known.frames.registries
    since = estate.known.at_ms - RECENT_DAYS * DAY_MS
    for mountable in find_mountable(estate.known.frames, estate.blobs, since):
        of = mountable.registry
        setting = str(registries["blob_mounting"].iloc[of])
        if (
            estate.regions[of] == PUBLIC_REGION
            or setting == "ENABLED"
            or mountable.repeated.total < WORTH_BYTES
        ):
            continue
        if not setting:
            yield Unjudged(registry=of, row=None, reason="the account setting BLOB_MOUNTING was not read")
            continue
        recent = _saving(estate, of, "repository", mountable.recent)
        monthly = "" if recent.amount is None else f" (${recent.amount:,.2f} a month)"
        yield Found(
            registry=of,
            row=None,
            message=(
                f"blob mounting is off, and {data(mountable.repeated.total)} of {data(mountable.apart.total)}"
                f" are layers that another repository with the same key holds too;"
                f" {data(mountable.recent.total)}{monthly} of that came in the last {RECENT_DAYS} days,"
                " as far as images that are"
                " still there show"
            ),
            severity=Severity.LOW if mountable.repeated.total < _MUCH * mountable.apart.total else None,
            images=0,
            # It is not retroactive, and needs clients that ask: nothing is promised.
            saving=MoneyRange(low=_NOTHING, high=_saving(estate, of, "repository", mountable.repeated)),
            saving_note=(
                "in time: what is stored stays as it is, and layers are shared from then on where the client"
                " that pushes asks for it; at most this much once all images have been pushed again"
            ),
        )


def base_builds(estate: Estate) -> Iterator[Found | Unjudged]:
    """Per registry and base: several builds that the newest images of repositories stand on."""
    known = estate.known
    status = known.frames.artifacts.image_status
    current = ~estate.stale & (status != ImageStatus.ARCHIVED) & (status != ImageStatus.ACTIVATING)
    found = find_spreads(known.frames, known.families, estate.platforms, current)
    tops = known.digest_texts(sorted({build.layers[-1] for spread in found for build in spread.builds}))
    for spread in found:
        newest = spread.builds[0]
        if spread.spare_bytes < WORTH_BASE_BYTES:
            continue
        was_on = bool(known.frames.registries["blob_mounting_ever"].iloc[spread.registry])
        amount = _saving(estate, spread.registry, "registry", ClassBytes(spread.spare_bytes, 0))
        row, platform = spread.first
        name = f" {estate.platforms.names[platform]}" if platform >= 0 else ""
        yield Found(
            registry=spread.registry,
            row=None,
            # Builds come and go; whose base it is stays.
            subject=f"{estate.names[row]}{name}",
            message=(
                f"the newest images of {counted(len(spread.rows), 'repository', 'repositories')} stand on"
                f" {len(spread.builds)} builds of one base"
                f" ({counted(len(newest.layers), 'layer', 'layers')},"
                f" {data(newest.size_bytes)} in the newest build): on the newest alone they would need"
                f" {data(spread.spare_bytes)} less of base layers"
            ),
            images=0,
            saving=MoneyRange(low=_NOTHING, high=amount) if was_on else None,
            saving_note=(
                "once the images on older builds are gone, where layers are mounted"
                if was_on
                else "none while blob mounting is off: each repository stores its base by itself"
            ),
            evidence=tuple(_build(estate, build, tops) for build in spread.builds[:EXAMPLES]),
        )


def size_jumps(estate: Estate) -> Iterator[Found | Unjudged]:
    """Per repository and platform: a push from which on images are much larger."""
    known = estate.known
    sizes = known.storage.artifacts["logical_bytes"].to_numpy(np.int64)
    found = find_jumps(
        known.frames,
        known.facts,
        known.families,
        estate.platforms,
        sizes,
        known.at_ms - known.stale_days * DAY_MS,
    )
    shown = sorted({layer for jump in found for layer in jump.new_layers[:EXAMPLES]})
    digests = known.digest_texts(shown)
    for jump in found:
        row = int(estate.repository[jump.artifact])
        platform = int(estate.platforms.platform[jump.artifact])
        name = estate.platforms.names[platform] if platform >= 0 else ""
        pushed = from_ms(int(known.frames.artifacts.pushed_at_ms[jump.artifact]))
        unknown = Money.unknown("what smaller images would save shows once they are pushed")
        yield Found(
            registry=estate.registry[row],
            row=row,
            subject=name,
            message=(
                f"images{f' for {name}' if name else ''} grew from {data(jump.median_bytes)}"
                f" (the median of the {jump.before} pushes before) to {data(jump.size_bytes)} with the push"
                f" of {pushed:%Y-%m-%d %H:%M} UTC, {data(jump.new_bytes)} of it in"
                f" {counted(len(jump.new_layers), 'new layer', 'new layers')}; the newest has"
                f" {data(jump.newest_bytes)}"
            ),
            artifacts=np.array([jump.artifact], np.int64),
            saving=MoneyRange(low=unknown, high=unknown),
            evidence=tuple(
                Evidence(
                    kind="layer",
                    name=digests.get(layer, ""),
                    digest=digests.get(layer, ""),
                    size_bytes=int(known.frames.blob_size_bytes[layer]),
                    note="new with that push",
                )
                for layer in jump.new_layers[:EXAMPLES]
            ),
        )


def _saving(estate: Estate, registry: int, scope: Scope, freed: ClassBytes) -> Money:
    """USD per month when these bytes leave the registry's region, which holds what it holds at ``scope``."""
    sums = estate.known.storage.registries
    region = estate.regions[registry]
    of = [number for number, name in enumerate(estate.regions) if name == region]
    archive = sum(int(sums[f"archive_bytes_{scope}"].iloc[number]) for number in of)
    physical = sum(int(sums[f"physical_bytes_{scope}"].iloc[number]) for number in of)
    return saving(
        estate.known.prices,
        region,
        standard_bytes=physical - archive,
        archive_bytes=archive,
        freed_standard_bytes=freed.standard,
        freed_archive_bytes=freed.archive,
        archived_bytes=0,
    )


def _key(part: KeyPart) -> Evidence:
    return Evidence(
        kind="setting",
        name=f"{part.encryption_type} {part.kms_key}".strip(),
        size_bytes=part.elsewhere_bytes,
        note=(
            f"{counted(part.repositories, 'repository', 'repositories')} with {data(part.stored.total)};"
            " so much of it is under other keys too"
        ),
    )


def _build(estate: Estate, build: Build, tops: Mapping[int, str]) -> Evidence:
    top = tops.get(build.layers[-1], "")
    return Evidence(
        kind="layer",
        name=top,
        digest=top,
        size_bytes=build.size_bytes,
        note=(
            f"top of a build first seen {from_ms(build.first_ms):%Y-%m-%d}, under the newest images of"
            f" {listed([estate.names[row] for row in build.rows])}"
        ),
    )


CHECKS: Final[tuple[Check, ...]] = (
    Check(
        CheckText(
            id="KEYS_SPLIT_LAYERS",
            severity=Severity.MEDIUM,
            title="Encryption keys keep repositories from sharing layers",
            meaning=(
                "Layers are shared between repositories of one encryption type and key alone. These"
                " repositories hold the same layers under several: each key stores its own copy, which is"
                " what is counted, each layer once per key less each layer once. Where blob mounting was"
                " never on nothing is shared anyway, and the keys only limit what it would be worth."
            ),
            validate=(
                "aws ecr describe-repositories --registry-id {account} --region {region}"
                " --query 'repositories[].[repositoryName,encryptionConfiguration]'"
            ),
            fix=(
                "use one key for repositories with common layers. The key of a repository cannot be changed:"
                " make a new one with the other key (a repository creation template sets it), push again, and"
                " delete the old one"
            ),
            source=_SHARING,
        ),
        keys_split,
    ),
    Check(
        CheckText(
            id="BLOB_MOUNTING_OFF",
            severity=Severity.MEDIUM,
            title="Layers in common are stored once per repository",
            meaning=(
                "The account setting BLOB_MOUNTING is off in this region, so that each repository stores its"
                " own copy of layers that others have. It is not retroactive: it lets later pushes share,"
                " the client asks for it, within one encryption type and key, and never for"
                " repositories. What could be shared is each layer once per repository less each once per"
                " key."
            ),
            validate=_ACCOUNT_SETTING,
            fix=(
                "aws ecr put-account-setting --region {region} --name BLOB_MOUNTING --value ENABLED; whoever"
                " pushes needs ecr:GetDownloadUrlForLayer on the repository that has the layer, and a client"
                " that asks to mount (containerd, BuildKit and skopeo decide by themselves)"
            ),
            source=_SHARING,
        ),
        blob_mounting_off,
    ),
    Check(
        CheckText(
            id="BASE_BUILDS_DIFFER",
            severity=Severity.LOW,
            title="Repositories stand on different builds of one base image",
            meaning=(
                "The repositories stand on one base image. Some went from one build of it to the next while"
                " others stayed behind, so that their newest images have different base layers where they"
                " could have the same. Nodes pull each build by itself, and each is stored by itself. By"
                " layers alone, two rows of as many layers are builds of one base where at least two"
                " repositories moved from one to the other; copies of whole images are left out. Counted are"
                " the layers of all builds in use, each once, that the newest build does not have."
            ),
            validate=(
                "compare the first layers that aws ecr batch-get-image prints for the newest images of the"
                " repositories named"
            ),
            fix=(
                "build the newest images of these repositories again from the newest build of their base, and"
                " pin one base for all, by digest, with something that moves it everywhere at once"
            ),
            source="OCI image specification, Image Manifest: layers stand in order, the base first",
        ),
        base_builds,
    ),
    Check(
        CheckText(
            id="IMAGE_SIZE_JUMP",
            severity=Severity.LOW,
            title="Images have become much larger",
            meaning=(
                "From one push on the images of the repository (and platform) are at least one and a half"
                " times the median of the nine pushes before, and 100 MB over the largest of them, and they"
                " still are. Images with tags of a kind that always was as large are no such jump. As a rule"
                " something came in that was not meant to: a cache, a build context, a second base."
            ),
            validate=(
                "aws ecr describe-images --registry-id {account} --region {region}"
                " --repository-name {repository}"
                " --query 'sort_by(imageDetails,&imagePushedAt)[].[imagePushedAt,imageSizeInBytes,imageTags]'"
            ),
            fix=(
                "look at what the new layers hold (`docker history`, or unpack the layer by its digest), and"
                " keep it out by a .dockerignore, a build of several stages, or a clean-up in the same step"
            ),
            source="OCI image specification, Image Manifest: sizes of layers",
        ),
        size_jumps,
    ),
)
