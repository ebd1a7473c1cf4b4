"""The registries of the demo, made from a seed: the same seed and time give the same bytes.

They are shaped like the 86 public repositories measured (see ``layers``): sizes of layers and
layers per image as they are there, tags alive too, a third of their images per repository, so
that a demo takes seconds.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta

from analyzer.demo.builds import Builder, Family, new_repository
from analyzer.demo.catalogue import EUROPE, MAIN, POLICIES, SPECS, UNTAGGED_DAYS, WEST, Spec
from analyzer.demo.layers import (
    DOCKER_CONFIG,
    DOCKER_MANIFEST,
    DOCKER_SCHEMA_1,
    IMAGES_PER_REPOSITORY,
    OCI_MANIFEST,
    TAGS_PER_REPOSITORY,
    Bases,
    artifact_manifest,
    blob,
    dice,
    image_manifest,
    quantile,
)
from analyzer.demo.plan import (
    CreationTemplate,
    Image,
    PullThroughRule,
    Refusal,
    Registry,
    Repository,
    Scan,
)

#: How many images a repository gets for each that the measured ones have.
_SCALE = 1 / 3
_HISTORY = timedelta(days=730)
_HELM_CONFIG = "application/vnd.cncf.helm.config.v1+json"
_HELM_CHART = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"


class Fleet:
    """Every registry of the emulated account, at a time that ``pass_night`` moves on."""

    def __init__(self, account: str, now: datetime, seed: int) -> None:
        """Registries as they are at ``now`` (aware)."""
        self.account = account
        self.now = now
        self._seed = seed
        self._night = 0
        self._epoch = now - _HISTORY
        self._bases = Bases(seed, self._epoch)
        self._builders: dict[tuple[str, str], Builder] = {}
        self._repositories: dict[tuple[str, str], Repository] = {}
        for spec in SPECS:
            created_at = self._epoch + timedelta(minutes=len(self._repositories), milliseconds=250)
            self._repositories[spec.region, spec.name] = new_repository(spec, created_at, account)
        self._fill()
        self._copy_releases()
        for repository in self._oddities():
            self._repositories[repository.region, repository.name] = repository

    @property
    def repositories(self) -> list[Repository]:
        """Every repository by region and name, with what it holds now."""
        for key, builder in self._builders.items():
            self._repositories[key].images = [m for family in builder.families for m in family.members]
        return [self._repositories[key] for key in sorted(self._repositories)]

    @property
    def registries(self) -> tuple[Registry, ...]:
        """The settings of each region."""
        rule = PullThroughRule("docker-hub", "registry-1.docker.io", "docker-hub", self._epoch)
        collector = f"arn:aws:iam::{self.account}:role/demurrage"
        cached = CreationTemplate(
            prefix="docker-hub",
            applied_for=("PULL_THROUGH_CACHE",),
            created_at=self._epoch,
            lifecycle_policy=POLICIES["untagged"],
            tags={"team": "platform"},
        )
        copied = CreationTemplate(prefix="ROOT", applied_for=("REPLICATION",), created_at=self._epoch)
        return (
            Registry(
                region=MAIN,
                blob_mounting="ENABLED",
                pull_through_rules=(rule,),
                pull_time_exclusions=(collector,),
                scan_filters={"SCAN_ON_PUSH": ("payments/*", "identity", "security/*")},
                replicated={"checkout/": (EUROPE,), "orders/": (EUROPE,)},
                templates=(cached,),
            ),
            Registry(
                region=EUROPE,
                pull_time_exclusions=(collector,),
                scan_type="ENHANCED",
                scan_filters={"CONTINUOUS_SCAN": ("eu/*",), "SCAN_ON_PUSH": ("*/api",)},
                templates=(copied,),
            ),
            Registry(region=WEST, policy=_replicated_from("210987654321", WEST, self.account)),
        )

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """What a collector is refused or cannot read, on purpose."""
        denied = "AccessDeniedException"

        def refusal(region: str, repository: str, call: str, code: str, why: str) -> Refusal:
            return Refusal(self.account, region, repository, call, code, why)

        fixed = [
            refusal(
                MAIN,
                "security/vault-sidecar",
                "ecr:DescribeImages",
                denied,
                "a repository policy of the demo's security team denies it",
            ),
            refusal(
                MAIN,
                "payments/ledger",
                "ecr:GetLifecyclePolicy",
                denied,
                "the role lacks this action on one repository",
            ),
            refusal(WEST, "", "ecr:GetAccountSetting", denied, "the role lacks this action in one region"),
            refusal(
                MAIN,
                "archive/legacy-tools",
                "ecr:BatchGetImage",
                "UnknownMediaType",
                "the demo holds an image of the oldest manifest format, which has no sizes",
            ),
        ]
        archived = [
            refusal(
                repository.region,
                repository.name,
                "ecr:BatchGetImage",
                "ImageNotFound",
                "the manifests of archived images cannot be fetched",
            )
            for repository in self.repositories
            if any(image.status != "ACTIVE" for image in repository.images)
        ]
        return (*fixed, *archived)

    def pass_night(self) -> None:
        """Move on by a day: pushes, moved tags, pulls, and what clean-up took away."""
        self._night += 1
        self.now += timedelta(days=1)
        rng = dice(f"{self._seed}/night/{self._night}")
        for builder in self._builders.values():
            spec = builder.spec
            if spec.idle_days or spec.copies:
                continue
            if rng.random() < spec.busy / 120:
                for _ in range(rng.choice((1, 1, 2))):
                    builder.push(self.now)
            builder.pull(self.now)
            if spec.policy in ("untagged", "keep-100", "branches"):
                self._repositories[spec.region, spec.name].lifecycle_evaluated_at = self.now
                builder.drop_oldest(rng.randrange(4))
            elif spec.policy == "archive":
                self._repositories[spec.region, spec.name].lifecycle_evaluated_at = self.now
                builder.archive_oldest(rng.randrange(1, 4), self.now)
            elif spec.adopts:
                self._adopt(builder, POLICIES[spec.adopts])

    def _adopt(self, builder: Builder, policy: str) -> None:
        """Put a policy in the first night, and let ECR act by it in all later ones."""
        repository = self._repositories[builder.spec.region, builder.spec.name]
        if repository.lifecycle_policy is None:
            repository.lifecycle_policy = policy
            return
        repository.lifecycle_evaluated_at = self.now
        builder.expire_untagged(UNTAGGED_DAYS, self.now)

    # --- what is there at the start -------------------------------------------------------------

    def _fill(self) -> None:
        """Give every repository of its own images a past, sized by its place in the order of activity."""
        specs = [spec for spec in SPECS if not spec.copies]
        by_activity = sorted(specs, key=lambda spec: (spec.busy, spec.region, spec.name))
        # Tags do not follow activity strictly: some busy repositories are tidy, some quiet ones are not.
        order = dice(f"{self._seed}/tags")
        by_tags = sorted(by_activity, key=lambda spec: spec.busy + order.uniform(-30, 30))
        tags = {
            id(spec): quantile(TAGS_PER_REPOSITORY, (place + 0.5) / len(specs))
            for place, spec in enumerate(by_tags)
        }
        for place, spec in enumerate(by_activity):
            images = quantile(IMAGES_PER_REPOSITORY, (place + 0.5) / len(specs)) * _SCALE
            builder = Builder(spec, self._seed, self._bases)
            builder.fill(max(1, round(images)), round(tags[id(spec)]), self.now)
            self._builders[spec.region, spec.name] = builder

    def _copy_releases(self) -> None:
        """Fill the repositories that get their images from another one: promotions and replicas."""
        for spec in SPECS:
            if spec.copies:
                region, _, name = spec.copies.partition("/")
                source = self._builders[region, name]
                self._repositories[spec.region, spec.name].images = _copied(spec, source.families)

    def _oddities(self) -> Sequence[Repository]:
        """Repositories that hold what is rare but real."""
        return (
            self._windows(),
            self._charts(),
            self._old_format(),
            *self._cached(),
            self._repository("sandbox/new-service", {"service": "new-service"}, []),
        )

    def _repository(self, name: str, tags: dict[str, str], images: list[Image]) -> Repository:
        return Repository(
            region=MAIN, name=name, created_at=self._epoch + timedelta(days=9), tags=tags, images=images
        )

    def _windows(self) -> Repository:
        """Windows images, whose base layers stay with Microsoft."""
        images = []
        rng = dice(f"{self._seed}/windows")
        for number in range(14):
            at = self.now - timedelta(days=400 - 24 * number, hours=rng.uniform(0, 20))
            release = self._bases.release("windows", at)
            own = [
                blob(f"{self._seed}/windows/{number}/{n}", round(size * rng.uniform(0.9, 1.1)))
                for n, size in enumerate((1_300, 41_000_000, 1_250, 88_000_000, 1_400))
            ]
            layers = [*self._bases.layers("windows", "windows/amd64", release), *own]
            text = image_manifest(blob(f"{self._seed}/windows/{number}/config", 3_800), layers)
            images.append(
                Image(
                    manifest=text,
                    media_type=DOCKER_MANIFEST,
                    artifact_media_type=DOCKER_CONFIG,
                    pushed_at=at,
                    tags=[f"ltsc2022-{at:%Y%m}"] if number % 3 == 0 else [],
                    pulled_at=at + timedelta(days=11) if number % 2 else None,
                    scan=Scan("UNSUPPORTED_IMAGE", None),
                )
            )
        return self._repository("legacy/billing-windows", {"team": "finance"}, images)

    def _charts(self) -> Repository:
        """Helm charts: artifacts that are no images."""
        images = []
        for number in range(22):
            at = self.now - timedelta(days=500 - 21 * number)
            config = (blob(f"{self._seed}/chart/{number}/config", 412 + number), _HELM_CONFIG)
            layer = (blob(f"{self._seed}/chart/{number}", 21_000 + 137 * number), _HELM_CHART)
            images.append(
                Image(
                    manifest=artifact_manifest("", [layer], config=config),
                    media_type=OCI_MANIFEST,
                    artifact_media_type=_HELM_CONFIG,
                    pushed_at=at,
                    tags=[f"0.{number}.0"],
                    pulled_at=at + timedelta(days=20),
                )
            )
        return self._repository("charts/checkout", {"team": "checkout"}, images)

    def _old_format(self) -> Repository:
        """One image of Docker's first manifest format, which names layers without their sizes."""
        layers = [{"blobSum": blob(f"{self._seed}/old/{n}", 0).digest} for n in range(5)]
        text = json.dumps(
            {
                "schemaVersion": 1,
                "name": "archive/legacy-tools",
                "tag": "2016",
                "architecture": "amd64",
                "fsLayers": layers,
                "history": [{"v1Compatibility": "{}"}] * len(layers),
            },
            indent=3,
        )
        image = Image(
            manifest=text,
            media_type=DOCKER_SCHEMA_1,
            pushed_at=self._epoch + timedelta(days=10),
            tags=["2016"],
        )
        return self._repository("archive/legacy-tools", {}, [image])

    def _cached(self) -> Sequence[Repository]:
        """What the pull-through-cache rule brought in: upstream bases with little on top."""
        made = []
        for name, base, releases in (("nginx", "nginx", 11), ("redis", "alpine", 7), ("python", "python", 9)):
            images: list[Image] = []
            for number in range(releases):
                at = self.now - timedelta(days=12 + 43 * (releases - 1 - number), hours=5)
                layers = [
                    *self._bases.layers(base, "linux/amd64", self._bases.release(base, at)),
                    blob(f"{self._seed}/hub/{name}/{number}", 9_400_000 + 1_000 * number),
                ]
                config = blob(f"{self._seed}/hub/{name}/{number}/config", 8_300)
                images.append(
                    Image(
                        manifest=image_manifest(config, layers, oci=True),
                        media_type=OCI_MANIFEST,
                        pushed_at=at,
                        pulled_at=min(at + timedelta(days=43), self.now - timedelta(hours=9)),
                        tags=["latest"] if number == releases - 1 else [],
                    )
                )
            made.append(self._repository(f"docker-hub/library/{name}", {}, images))
        return made


def _replicated_from(source: str, region: str, account: str) -> str:
    """The text of a registry policy that lets account ``source`` replicate into the registry."""
    statement = {
        "Sid": "ReplicationFromSubsidiary",
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{source}:root"},
        "Action": ["ecr:CreateRepository", "ecr:ReplicateImage"],
        "Resource": f"arn:aws:ecr:{region}:{account}:repository/*",
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]}, indent=2)


def _copied(spec: Spec, families: Sequence[Family]) -> list[Image]:
    """Every other build of ``families``, as copied to another repository an hour later."""
    images = []
    # A standby gets only what is recent.
    for number, family in enumerate(families[len(families) // 2 :: 2]):
        for member in family.members:
            if member.status != "ACTIVE":
                continue
            images.append(
                Image(
                    manifest=member.manifest,
                    digest=member.digest,
                    media_type=member.media_type,
                    artifact_media_type=member.artifact_media_type,
                    subject_digest=member.subject_digest,
                    pushed_at=member.pushed_at + timedelta(hours=1),
                    pulled_at=member.pulled_at,
                    tags=[f"r{number + 1}"] if member is family.head and member.tags else [],
                    scan=member.scan if spec.scanned else None,
                )
            )
    return images
