"""One repository's builds: how its images come about, get tags, lose them and age."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from analyzer.demo.catalogue import ARM, POLICIES, SHARED, Spec
from analyzer.demo.layers import (
    DOCKER_CONFIG,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    EMPTY_LAYER,
    IN_TOTO,
    LAYER_SIZES,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_MANIFEST,
    Bases,
    Blob,
    Json,
    artifact_manifest,
    blob,
    child,
    dice,
    image_manifest,
    index_manifest,
    quantile,
)
from analyzer.demo.plan import Image, Repository, Scan

#: Shares of LAYER_SIZES from which the layers of each part of an image are drawn.
_DEPENDENCIES, _APPLICATION, _TRIFLES = (0.75, 0.985), (0.56, 0.95), (0.02, 0.55)
_ARCHIVE_AFTER = timedelta(days=180)
#: Of a package cache that got into the images of a repository.
_CACHE_BYTES = 486_000_000
_SPDX = "application/spdx+json"
_SIGNATURE = "application/vnd.dev.cosign.artifact.sig.v1+json"
_SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"


@dataclass(slots=True, eq=False)
class Family:
    """One build: what its tags point at, and everything that came with it."""

    head: Image
    #: The images by platform; of a build for one platform just the head.
    images: list[Image]
    #: Attestations, signatures, SBOMs.
    others: list[Image] = field(default_factory=list)

    @property
    def members(self) -> list[Image]:
        """Everything of the build in the order it is pushed: an index after its children."""
        index = [] if self.head in self.images else [self.head]
        return [*self.images, *self.others, *index]


class Builder:
    """Makes the images of one repository, night after night."""

    def __init__(self, spec: Spec, seed: int, bases: Bases) -> None:
        self.spec = spec
        self.families: list[Family] = []
        self._bases = bases
        self._seed = f"{seed}/{spec.region}/{spec.name}"
        self._rng = rng = dice(self._seed)
        self._minted = 0
        # The drawn sizes of its own layers, lowest first, and how many of them are dependencies.
        self._dependencies = rng.choice((0, 1, 1, 2))
        parts = [_DEPENDENCIES] * self._dependencies
        for _ in range(rng.choice((1, 1, 2))):
            parts += [_APPLICATION, *[_TRIFLES] * rng.choice((0, 0, 1, 1, 2, 5))]
        self._sizes = [quantile(LAYER_SIZES, rng.uniform(*part)) for part in parts]
        self._release: tuple[int, ...] | None = None
        self._own: dict[str, list[Blob]] = {}
        self._moving: dict[str, Family] = {}
        self._version = [1, 0, 0]
        self._bloated_from: datetime | None = None

    # --- pushing -------------------------------------------------------------------------------

    def fill(self, images: int, tags: int, now: datetime) -> None:
        """Give the repository a past: so many images, of which so many tags are left at ``now``."""
        rng = self._rng
        if self.spec.bloated_days:
            self._bloated_from = now - timedelta(days=self.spec.bloated_days)
        count = max(1, round(images / len(self.spec.platforms)))
        # Busy repositories were busy for longer; all push more of late than in the beginning.
        span = 560.0 if self.spec.archived else min(700.0, 150 + count * rng.uniform(1.5, 4.0))
        end = now - timedelta(days=self.spec.idle_days, hours=rng.uniform(1, 20))
        ages = sorted((rng.random() ** 1.3 * span for _ in range(count)), reverse=True)
        for age in ages:
            self.families.append(self._build(end - timedelta(days=age)))
        self._tag(max(1, tags))
        for family in self.families:
            self._use(family, now)
        for family in self.families[-20:]:
            if self.spec.signed and family.head.tags:
                family.others += self._referrers(family)

    def push(self, now: datetime) -> Family:
        """Build once more at ``now``: the moving tags move, and what they leave may stay untagged."""
        family = self._build(now - timedelta(minutes=self._rng.randrange(30, 1200)))
        self.families.append(family)
        for tag, before in sorted(self._moving.items()):
            # Only some builds reach the later stages.
            if tag in ("staging", "production") and self._rng.random() < 0.6:
                continue
            before.head.tags.remove(tag)
            family.head.tags.append(tag)
            self._moving[tag] = family
        if self._rng.random() < 0.5 or not self._moving:
            family.head.tags += self._fixed_tags(family)
        family.head.tags.sort()
        if self.spec.signed:
            family.others += self._referrers(family)
        self._use(family, now)
        return family

    def pull(self, now: datetime) -> None:
        """Let the newest images that are in service be pulled during the night before ``now``."""
        for family in {id(family): family for family in self._moving.values()}.values():
            self._pulled(family, now - timedelta(hours=2))

    def drop_oldest(self, count: int) -> int:
        """Delete up to ``count`` of the oldest builds without a tag; the number deleted."""
        gone = [family for family in self.families if not family.head.tags][:count]
        self.families = [family for family in self.families if family not in gone]
        return len(gone)

    def expire_untagged(self, days: int, now: datetime) -> int:
        """Delete the builds of single images without a tag that were pushed ``days`` ago or earlier.

        That is what ECR does of itself by a rule on untagged images; how many were deleted.
        """
        before = now - timedelta(days=days)
        gone = [
            family for family in self.families if not family.head.tags and family.head.pushed_at <= before
        ]
        self.families = [family for family in self.families if family not in gone]
        return len(gone)

    def archive_oldest(self, count: int, now: datetime) -> int:
        """Move up to ``count`` of the oldest active builds without a tag to the archive; the number moved."""
        old = [f for f in self.families if not f.head.tags and f.head.status == "ACTIVE"][:count]
        for family in old:
            _archive(family, now)
        return len(old)

    # --- building ------------------------------------------------------------------------------

    def _mint(self, what: str, size: float) -> Blob:
        self._minted += 1
        return blob(f"{self._seed}/{what}/{self._minted}", max(32, round(size)))

    def _relayer(self, at: datetime) -> None:
        """Decide what this build changes, and make new layers from the first changed one upwards."""
        rng, spec = self._rng, self.spec
        newest = self._bases.release(spec.base, at)
        rebased = self._release is None or (newest != self._release and rng.random() < spec.refresh)
        if rebased:
            self._release, first = newest, 0
        elif self._dependencies and rng.random() < 0.13:
            first = rng.randrange(self._dependencies)
        elif rng.random() < 0.75:
            first = self._dependencies
        else:
            # A change of a late step leaves the earlier ones in the cache.
            first = rng.randrange(self._dependencies, len(self._sizes))
        for platform in spec.platforms:
            kept = self._own.get(platform, [])[:first]
            self._own[platform] = kept + [
                self._mint(platform, size * rng.uniform(0.93, 1.08)) for size in self._sizes[first:]
            ]

    def _build(self, at: datetime) -> Family:
        spec = self.spec
        self._relayer(at)
        assert self._release is not None  # noqa: S101 - _relayer sets it; for the type checker alone
        images: list[Image] = []
        attestations: list[Image] = []
        entries: list[Json] = []
        for platform in spec.platforms:
            layers = [*self._bases.layers(spec.base, platform, self._release), *self._own[platform]]
            if self._bloated_from is not None and at >= self._bloated_from:
                layers.append(blob(f"{self._seed}/cache/{platform}", _CACHE_BYTES))
            if spec.repeats:
                layers = [*layers[:-1], Blob(EMPTY_LAYER, 32), layers[-1], Blob(EMPTY_LAYER, 32)]
            config = self._mint("config", self._rng.uniform(1_500, 14_000))
            text = image_manifest(config, layers, oci=spec.oci, zstd=spec.zstd)
            image = Image(
                manifest=text,
                media_type=OCI_MANIFEST if spec.oci else DOCKER_MANIFEST,
                artifact_media_type=OCI_CONFIG if spec.oci else DOCKER_CONFIG,
                pushed_at=at + timedelta(seconds=20 * len(images)),
                scan=self._scan(at) if spec.scanned else None,
            )
            images.append(image)
            entries.append(child(text, image.digest, image.media_type, platform))
            if spec.attested:
                attestations.append(self._attestation(image))
        for attestation, image in zip(attestations, images, strict=False):
            note = {
                "vnd.docker.reference.digest": image.digest,
                "vnd.docker.reference.type": "attestation-manifest",
            }
            entries.append(
                child(
                    attestation.manifest,
                    attestation.digest,
                    OCI_MANIFEST,
                    "unknown/unknown",
                    annotations=note,
                )
            )
        if len(entries) == 1:
            return Family(images[0], images)
        text = index_manifest(entries, oci=spec.oci)
        pushed_at = at + timedelta(seconds=20 * len(entries))
        index = Image(manifest=text, media_type=OCI_INDEX if spec.oci else DOCKER_LIST, pushed_at=pushed_at)
        return Family(index, images, attestations)

    def _attestation(self, image: Image) -> Image:
        """BuildKit's provenance and SBOM of one platform's image: a child of the index, not a referrer."""
        layers = [
            (self._mint("sbom", self._rng.uniform(90_000, 900_000)), IN_TOTO),
            (self._mint("provenance", self._rng.uniform(9_000, 40_000)), IN_TOTO),
        ]
        config = (self._mint("config", 241), OCI_CONFIG)
        return Image(
            manifest=artifact_manifest("", layers, config=config),
            media_type=OCI_MANIFEST,
            artifact_media_type=OCI_CONFIG,
            pushed_at=image.pushed_at + timedelta(seconds=2),
        )

    def _referrers(self, family: Family) -> list[Image]:
        """A signature and an SBOM that name the build's head as their subject."""
        head = family.head
        subject: Json = {
            "mediaType": head.media_type,
            "digest": head.digest,
            "size": len(head.manifest.encode()),
        }
        made: list[Image] = []
        for kind, media_type, size in (
            (_SIGNATURE, _SIMPLE_SIGNING, 245.0),
            (_SPDX, _SPDX, self._rng.uniform(60_000, 800_000)),
        ):
            text = artifact_manifest(kind, [(self._mint(kind, size), media_type)], subject=subject)
            made.append(
                Image(
                    manifest=text,
                    media_type=OCI_MANIFEST,
                    artifact_media_type=kind,
                    subject_digest=head.digest,
                    pushed_at=head.pushed_at + timedelta(minutes=1 + len(made)),
                )
            )
        return made

    def _scan(self, at: datetime) -> Scan:
        rng = self._rng
        findings = {
            severity: rng.randrange(most)
            for severity, most in (("CRITICAL", 3), ("HIGH", 12), ("MEDIUM", 40), ("LOW", 60))
        }
        return Scan("COMPLETE", at + timedelta(minutes=3), {name: n for name, n in findings.items() if n})

    # --- tags ----------------------------------------------------------------------------------

    def _tag(self, tags: int) -> None:
        """Hand out so many tags as the past left: moving ones to the newest, the rest to builds at large."""
        rng, families = self._rng, self.families
        moving: Sequence[tuple[str, int]] = {
            "semver": (("latest", 0), ("1", 0)),
            "branch": (("latest", 0), ("main", 0), ("develop", 1)),
            "date": (("latest", 0),),
            "environment": (("dev", 0), ("staging", 1), ("production", 3)),
        }[self.spec.style]
        if not self.spec.immutable:
            for tag, back in moving[:tags]:
                family = families[max(0, len(families) - 1 - back)]
                family.head.tags.append(tag)
                self._moving[tag] = family
        # Mostly recent builds keep tags of their own; of the older ones, those nobody cleaned up.
        each = 2 if self.spec.style in ("semver", "environment") else 1
        wanted = tags - len(self._moving)
        builds = -(-wanted // each)
        recent = families[len(families) - builds // 2 :]
        older = families[: len(families) - builds // 2]
        tagged = [*recent, *rng.sample(older, min(len(older), builds - len(recent)))]
        # In the order they were built, for versions only rise.
        for family in sorted(tagged, key=lambda family: family.head.pushed_at):
            own = self._fixed_tags(family)[:wanted]
            family.head.tags += own
            wanted -= len(own)
        for family in families:
            family.head.tags.sort()

    def _fixed_tags(self, family: Family) -> list[str]:
        """The tags that stay with a build, as its repository's style has them."""
        rng = self._rng
        commit = family.head.digest[7:14]
        day = family.head.pushed_at
        match self.spec.style:
            case "semver":
                part = rng.choice((1, 2, 2, 2))
                self._version[part:] = [self._version[part] + 1, *[0] * (2 - part)]
                version = ".".join(map(str, self._version))
                return [f"v{version}", f"main-{commit}"]
            case "date":
                return [f"{day:%Y-%m-%d}-{commit}"]
            case "environment":
                return [commit, f"build-{rng.randrange(1_000, 99_999)}"]
            case "branch":
                branch = rng.choice(
                    ("main", "main", "develop", "feature-login", "feature-retry", "fix-timeout")
                )
                return [f"{branch}-{commit}"]

    # --- use -----------------------------------------------------------------------------------

    def _use(self, family: Family, now: datetime) -> None:
        """Decide when the build was last pulled, if ever, and whether it is archived by now."""
        rng, spec = self._rng, self.spec
        pushed = family.head.pushed_at
        if family in self._moving.values() and spec.idle_days < 100:
            self._pulled(family, now - timedelta(days=spec.idle_days / 3, hours=rng.uniform(1, 22)))
        elif rng.random() < (0.6 if family.head.tags else 0.35):
            # In service from a day to a month, until a newer build took its place.
            self._pulled(family, min(now - timedelta(hours=3), pushed + timedelta(days=rng.uniform(1, 30))))
        used = family.head.pulled_at or pushed
        if spec.archived and used + _ARCHIVE_AFTER < now:
            _archive(family, used + _ARCHIVE_AFTER + timedelta(hours=rng.uniform(1, 24)))

    def _pulled(self, family: Family, at: datetime) -> None:
        """Record a pull of the head and, of an index, of the child that was wanted."""
        family.head.pulled_at = at
        arm = [
            image
            for image, platform in zip(family.images, self.spec.platforms, strict=True)
            if platform == ARM
        ]
        wanted = arm[0] if arm and self._rng.random() < 0.3 else family.images[0]
        wanted.pulled_at = at


def _archive(family: Family, at: datetime) -> None:
    for member in family.members:
        member.status, member.archived_at = "ARCHIVED", at


def new_repository(spec: Spec, created_at: datetime, account: str) -> Repository:
    """The empty repository of ``spec``, with its settings and its owner's tags."""
    tags: Mapping[str, str] = {"service": spec.name.rpartition("/")[2]}
    if spec.team != "unowned":
        tags = {"team": spec.team, **tags}
    key = "5d1c7a3e-0b6f-4f52-9a64-1f6e2c8b7d90"
    return Repository(
        region=spec.region,
        name=spec.name,
        created_at=created_at,
        tags=tags,
        kms_key=f"arn:aws:kms:{spec.region}:{account}:key/{key}" if spec.kms else None,
        immutable=spec.immutable,
        scan_on_push=spec.scanned,
        policy=SHARED[spec.shared] if spec.shared else None,
        lifecycle_policy=POLICIES[spec.policy] if spec.policy else None,
    )
