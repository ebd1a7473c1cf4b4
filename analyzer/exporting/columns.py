"""The tables of an export: their files, columns, types and order, and what each of them means.

Names and types are stable: whoever builds upon an export relies on them. A word means what it means in the
report's own tables (``reports.columns``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from analyzer.model.registry_settings import SEVERITIES
from reports.rounding import EXACT_DECIMALS


class Type(StrEnum):
    """The type of a column, in the words of the documentation."""

    TEXT = "text"
    #: Text of which much repeats.
    WORD = "text, dictionary-encoded"
    INT32 = "int32"
    INT64 = "int64"
    BOOL = "bool"
    TIME = "timestamp in milliseconds, UTC"
    DATE = "date"
    MONEY = f"decimal(18, {EXACT_DECIMALS})"


@dataclass(frozen=True, slots=True)
class Column:
    """One column. Null is unknown, unless ``meaning`` says what else it is."""

    name: str
    type: Type
    meaning: str


@dataclass(frozen=True, slots=True)
class TableText:
    """One table."""

    #: The file is called so, with ``.parquet`` behind.
    name: str
    #: What one row is.
    row: str
    #: Rows are sorted by the first so many columns.
    sorted_by: int
    columns: tuple[Column, ...]

    @property
    def file(self) -> str:
        """Name of the file."""
        return f"{self.name}.parquet"


_PLACE: Final = (
    Column("account", Type.WORD, "Account id (SubAccountId in FOCUS)"),
    Column("region", Type.WORD, "Region (RegionId in FOCUS); public for a registry in ECR Public"),
)
_REPOSITORY: Final = (*_PLACE, Column("repository", Type.WORD, "Name of the repository"))
_PERHAPS_REPOSITORY: Final = (
    *_PLACE,
    Column("repository", Type.WORD, "Name of the repository; null where it is about the whole registry"),
)
_COUNTS: Final[Mapping[str, str]] = {
    "images": "Images",
    "indexes": "Indexes (multi-platform images)",
    "referrers": "Referrers, such as signatures, SBOMs and attestations",
    "unknown": "Artifacts whose manifest was not read or not understood; their bytes are in no figure",
    "untagged_images": "Images that carry no tag themselves",
    "orphaned_images": "Images that no tag reaches, through an index or as a referrer either",
    "possibly_reached_images": "Images that may belong to an index that could not be read",
    "stale_images": "Images neither pushed nor pulled for the stale days",
    "never_pulled_images": "Images for which ECR records no pull",
    "archived_images": "Images archived or being restored",
}
_COUNT_COLUMNS: Final = tuple(Column(name, Type.INT64, text) for name, text in _COUNTS.items())
_LOGICAL: Final = Column("logical_bytes", Type.INT64, "Bytes with every image counted whole")
_COST: Final = (
    Column("cost_repository_scope_usd_per_month", Type.MONEY, "Cost, each layer once per repository"),
    Column("cost_registry_scope_usd_per_month", Type.MONEY, "Cost, each layer once per registry"),
)
_COST_LEAVES_OUT: Final = Column(
    "cost_leaves_out", Type.TEXT, "What the cost does not contain, and why; null where it is whole"
)

TABLES: Final = (
    TableText(
        "registries",
        "a registry as its snapshot saw it, whole whatever --repository says",
        2,
        (
            *_PLACE,
            Column("partition", Type.WORD, "aws, aws-cn or aws-us-gov"),
            Column("account_name", Type.TEXT, "What the organization calls the account"),
            Column("snapshot", Type.INT64, "Number of the snapshot, in its registry"),
            Column("run", Type.INT64, "Number of the run that took it"),
            Column("taken_at", Type.TIME, "When it was taken"),
            Column("status", Type.WORD, "How its last read went: complete, partial or refused"),
            Column("blob_mounting", Type.WORD, "ENABLED or DISABLED: whether repositories may share layers"),
            Column("blob_mounting_ever", Type.BOOL, "Whether any snapshot saw it on"),
            Column("repositories", Type.INT64, "Repositories"),
            *_COUNT_COLUMNS,
            _LOGICAL,
            Column("physical_bytes_repository_scope", Type.INT64, "Stored bytes: the upper bound"),
            Column("physical_bytes_registry_scope", Type.INT64, "Stored bytes: the lower bound"),
            Column("shared_bytes", Type.INT64, "Of the lower bound, what no single repository owns"),
            *_COST,
            Column("cost_low_usd_per_month", Type.MONEY, "The low end of the cost"),
            Column("cost_high_usd_per_month", Type.MONEY, "The high end of the cost"),
            _COST_LEAVES_OUT,
        ),
    ),
    TableText(
        "repositories",
        "a repository; at registry scope the registry's shared_bytes complete the sum",
        3,
        (
            *_REPOSITORY,
            Column("created_at", Type.TIME, "When it was created"),
            Column("status", Type.WORD, "How its last read went: complete, partial or refused"),
            Column("complete_at", Type.TIME, "When it was last read whole; null if never"),
            *_COUNT_COLUMNS,
            _LOGICAL,
            Column("physical_bytes_repository_scope", Type.INT64, "Stored bytes, each layer once"),
            Column(
                "physical_bytes_registry_scope", Type.INT64, "Stored bytes that no other repository holds"
            ),
            Column("untagged_freed_bytes", Type.INT64, "Would leave with all untagged images"),
            Column("orphaned_freed_bytes", Type.INT64, "Would leave with all orphaned images"),
            Column("stale_freed_bytes", Type.INT64, "Would leave with all stale images"),
            *_COST,
            Column("orphaned_cost_usd_per_month", Type.MONEY, "What its orphaned images cost"),
            _COST_LEAVES_OUT,
            Column("orphaned_cost_leaves_out", Type.TEXT, "What that does not contain; null where whole"),
            Column("has_lifecycle_policy", Type.BOOL, "Whether it has a lifecycle policy"),
            Column("pull_through_cache", Type.BOOL, "Whether ECR fills it by a pull-through cache rule"),
            Column("scan_frequency", Type.WORD, "How ECR says it is scanned"),
            Column("exposure", Type.WORD, "How widely its policy opens it"),
        ),
    ),
    TableText(
        "images",
        "an artifact in a repository: an image, an index or a referrer",
        4,
        (
            *_REPOSITORY,
            Column("digest", Type.WORD, "Digest of the manifest"),
            Column("kind", Type.WORD, "image, index or referrer; null where the manifest is not known"),
            Column("media_type", Type.WORD, "Media type of the manifest"),
            Column("artifact_type", Type.WORD, "Artifact type that the manifest names; null where none"),
            Column("tags", Type.INT32, "How many tags it carries"),
            Column("pushed_at", Type.TIME, "When it was pushed"),
            Column(
                "last_pull", Type.DATE, "Day of the last pull that ECR records; null where it records none"
            ),
            Column("image_status", Type.WORD, "ECR's status, such as ACTIVE or ARCHIVED"),
            Column("archived_at", Type.TIME, "When it was last archived; null if never"),
            Column("activated_at", Type.TIME, "When it was last restored; null if never"),
            Column("orphaned", Type.BOOL, "Whether no tag reaches it"),
            Column("stale", Type.BOOL, "Whether it was neither pushed nor pulled for the stale days"),
            Column("logical_bytes", Type.INT64, "Bytes of its config and layers; 0 for an index"),
            Column(
                "unique_bytes_repository_scope", Type.INT64, "Bytes that nothing else in its repository holds"
            ),
            Column(
                "unique_bytes_registry_scope", Type.INT64, "Bytes that nothing else in its registry holds"
            ),
            Column("reported_size_bytes", Type.INT64, "imageSizeInBytes as ECR reports it"),
            Column("in_use", Type.WORD, "running, configured, previous, listed, or none that is known of"),
            Column("scan_status", Type.WORD, "Status of its scan; null where ECR shows none"),
            Column("scan_completed", Type.DATE, "Day the scan was completed"),
            *(
                Column(f"findings_{severity}", Type.INT64, f"Vulnerabilities of severity {severity}")
                for severity in SEVERITIES
            ),
            Column("replica", Type.BOOL, "Whether it is a replica of one in another registry"),
        ),
    ),
    TableText(
        "tags",
        "a tag of a repository",
        4,
        (
            *_REPOSITORY,
            Column("tag", Type.WORD, "The tag"),
            Column("digest", Type.WORD, "Digest of the manifest it names"),
        ),
    ),
    TableText(
        "layers",
        "a reference of an image to its config or a layer, repeats included",
        5,
        (
            *_REPOSITORY,
            Column("image_digest", Type.WORD, "Digest of the image's manifest"),
            Column("position", Type.INT32, "0 for the config, then the layers in order"),
            Column("blob_digest", Type.WORD, "Digest of the config or layer"),
            Column("size_bytes", Type.INT64, "Its size"),
            Column("media_type", Type.WORD, "Its media type"),
            Column("role", Type.WORD, "config or layer"),
            Column("stored", Type.BOOL, "False for a foreign layer, which the registry does not store"),
        ),
    ),
    TableText(
        "blobs",
        "a config or layer that one of the images refers to",
        1,
        (
            Column("digest", Type.TEXT, "Its digest"),
            Column("size_bytes", Type.INT64, "Its size"),
            Column("images", Type.INT64, "How many images and referrers store it"),
            Column("repositories", Type.INT64, "How many repositories store it"),
            Column("registries", Type.INT64, "How many registries store it"),
        ),
    ),
    TableText(
        "index_children",
        "an entry of an index",
        5,
        (
            *_REPOSITORY,
            Column("index_digest", Type.WORD, "Digest of the index"),
            Column("position", Type.INT32, "From 0, in the order of the index"),
            Column("child_digest", Type.WORD, "Digest of the child"),
            Column("platform", Type.WORD, "os/architecture[/variant]; null where the index names none"),
            Column("present", Type.BOOL, "Whether the repository has the child"),
        ),
    ),
    TableText(
        "referrers",
        "an artifact with a subject",
        4,
        (
            *_REPOSITORY,
            Column("digest", Type.WORD, "Digest of the referrer"),
            Column("subject_digest", Type.WORD, "Digest of what it refers to"),
            Column("artifact_type", Type.WORD, "What it is, as its manifest says; null where it does not"),
            Column("subject_present", Type.BOOL, "Whether the repository has the subject"),
        ),
    ),
    TableText(
        "settings",
        "a setting of a repository or registry that could be read, policies among them",
        4,
        (
            *_PERHAPS_REPOSITORY,
            Column("name", Type.WORD, "Such as lifecycle_policy_text or encryption_type"),
            Column("is_set", Type.BOOL, "False where it is known that there is none"),
            Column("value", Type.TEXT, "A text as it is, anything else as JSON; null where there is none"),
        ),
    ),
    TableText(
        "workload_uses",
        "an image reference that a workload gives",
        6,
        (
            *_PLACE,
            Column("source", Type.WORD, "Where the workload was read: ecs, lambda, eks…"),
            Column("workload", Type.WORD, "Its name"),
            Column("kind", Type.WORD, "running, configured or previous"),
            Column("image_reference", Type.WORD, "The reference as the workload gives it"),
        ),
    ),
    TableText(
        "workload_sources",
        "a source of workloads in an account and region: what workload_uses covers",
        3,
        (
            *_PLACE,
            Column("source", Type.WORD, "ecs, lambda, eks…"),
            Column("status", Type.WORD, "complete, partial, refused, or never asked"),
        ),
    ),
    TableText(
        "findings",
        "a finding of the checks; what they save overlaps and does not add up",
        4,
        (
            *_PERHAPS_REPOSITORY,
            Column("key", Type.TEXT, "Names the finding, the same from night to night"),
            Column("check", Type.WORD, "Id of the check"),
            Column("severity", Type.WORD, "high, medium, low or info"),
            Column("title", Type.WORD, "What the check is about"),
            Column("subject", Type.TEXT, "What in the repository it is about; null for all of it"),
            Column("message", Type.TEXT, "What was found"),
            Column("fix", Type.TEXT, "How to mend it"),
            Column("images", Type.INT64, "Images that it is about"),
            Column(
                "freed_bytes_repository_scope", Type.INT64, "Would leave if it were mended: the upper bound"
            ),
            Column("freed_bytes_registry_scope", Type.INT64, "The same: the lower bound"),
            Column("images_of_unknown_size", Type.INT64, "Images whose bytes are in neither"),
            Column("saving_usd_per_month_low", Type.MONEY, "What mending it alone would save, at least"),
            Column("saving_usd_per_month_high", Type.MONEY, "The same, at most"),
            Column("saving_leaves_out", Type.TEXT, "What the saving does not contain; null where whole"),
            Column("owner", Type.WORD, "Whose it is; null where nobody is known"),
            Column("owner_source", Type.WORD, "What says so"),
            Column("waived_until", Type.DATE, "Last day of its waiver; null without one"),
            Column("waiver_owner", Type.TEXT, "Who waived it; null without a waiver"),
            Column("waiver_reason", Type.TEXT, "Why; null without a waiver"),
        ),
    ),
    TableText(
        "gaps",
        "something that could not be read",
        5,
        (
            *_PERHAPS_REPOSITORY,
            Column("call", Type.WORD, "The call to AWS"),
            Column("reason", Type.WORD, "AWS's error, or ours"),
            Column("detail", Type.TEXT, "What is missing because of it, and what to do"),
            Column("count", Type.INT64, "How many things it is about"),
            Column("accepted", Type.BOOL, "Whether --accept-gaps names it"),
            Column("accepted_because", Type.TEXT, "The reason given there; null where not accepted"),
        ),
    ),
)

#: By name.
TABLE: Final[Mapping[str, TableText]] = {table.name: table for table in TABLES}
