"""columns.csv: what each column of the other tables means.

A word means the same in every table, so that most columns are told once in ``_EVERYWHERE``; what one
table says otherwise stands under its name. A test holds that nothing is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from reports.csv_cells import table_text

COLUMNS: Final = ("file", "column", "meaning")
NAME: Final = "columns.csv"

_BOTH = "each layer once per repository: the upper bound"
_LOW = "each layer once per registry: the lower bound"

#: What figures are about, at both scopes: the words before ``_repository_scope`` and ``_registry_scope``.
_SCOPED: Final[Mapping[str, str]] = {
    "physical_bytes": "Stored bytes",
    "stored_bytes": "Stored bytes, of both storage classes",
    "archive_bytes": "Those of the stored bytes that are in the archive storage class; below zero at registry"
    " scope where a repository keeps layers in the standard class that others hold archived",
    "archived_bytes": "Bytes that would move to the archive",
    "freed_bytes": "Bytes that would leave the store",
    "unique_bytes": "Bytes that no other image holds",
    "new_bytes": "Bytes that came since the known day before",
    "other_bytes": "Change by manifests read later than their images were listed, or by registries that"
    " joined or left",
    "low_bytes": "The low end of the interval, stored bytes",
    "high_bytes": "The high end of the interval, stored bytes",
    "live_freed_bytes": "Bytes that the policy in force would free",
}
#: The same for money, whose columns end in ``_usd_per_month``.
_MONEY: Final[Mapping[str, str]] = {
    "cost": "Cost of storage",
    "cost_low": "Cost of storage at the low end of the interval",
    "cost_high": "Cost of storage at the high end of the interval",
    "saving": "What is saved, by what leaves and what is archived",
    "expiry_saving": "What is saved by what leaves alone",
    "live_saving": "What the policy in force would save",
}

_EVERYWHERE: Final[Mapping[str, str]] = {
    # Places.
    "partition": "aws, aws-cn or aws-us-gov",
    "account": "Account id (SubAccountId in FOCUS)",
    "account_name": "What the organization calls the account",
    "region": "Region (RegionId in FOCUS); public for a registry in ECR Public",
    "repository": "Name of the repository",
    "digest": "Digest of the manifest",
    "tags": "Tags, separated by spaces",
    # Counts of artifacts.
    "images": "Images",
    "indexes": "Indexes (multi-platform images)",
    "referrers": "Referrers, such as signatures, SBOMs and attestations",
    "unknown": "Artifacts whose manifest was not read or not understood; their bytes are in no figure",
    "untagged_images": "Images that carry no tag themselves",
    "orphaned_images": "Images that no tag reaches, through an index or as a referrer either",
    "possibly_reached_images": "Images that may belong to an index that could not be read",
    "stale_images": "Images neither pushed nor pulled for the report's stale days",
    "never_pulled_images": "Images for which ECR records no pull",
    "archived_images": "Images archived or being restored",
    # Bytes and money.
    "logical_bytes": "Bytes with every image counted whole",
    "unique_bytes": "Bytes that would leave if this repository alone left, at registry scope",
    "shared_bytes": "Stored bytes that others of the registry hold too",
    "cost_leaves_out": "What the cost does not contain, and why; empty where it is whole",
    "saving_leaves_out": "What the saving does not contain, and why",
    "leaves_out": "What the figures of the row do not contain, and why",
    # How it was read.
    "status": "How the last read went: complete, partial or refused",
    "row": "What the row stands for: one thing, or what completes or adds up the others",
    "severity": "high, medium, low or info",
    # Pulls.
    "source": "Where the workload was read",
    "registry_account": "Account of the registry that is pulled from",
    "registry_region": "Region of the registry that is pulled from",
    "upstream": "Public registry that is pulled from; empty for ECR",
    "workloads": "How many workloads",
    "cold_pull_bytes_low": "Compressed bytes that one cold pull moves, at least",
    "cold_pull_bytes_high": "Compressed bytes that one cold pull moves, at most",
    "cost_usd_per_pull_low": "USD that one cold pull costs, at least",
    "cost_usd_per_pull_high": "USD that one cold pull costs, at most",
}

_OF: Final[Mapping[str, Mapping[str, str]]] = {
    "repositories.csv": {
        "row": "repository, or shared: what completes the columns at registry scope",
        "created_at": "When the repository was created",
        "complete_at": "When it was last read whole; empty if never",
        "physical_bytes_registry_scope": "Stored bytes that are its own at registry scope; row shared has"
        " the rest",
        "untagged_freed_bytes": "Bytes that would leave with all untagged images, at repository scope",
        "orphaned_freed_bytes": "Bytes that would leave with all orphaned images, at repository scope",
        "stale_freed_bytes": "Bytes that would leave with all stale images, at repository scope",
        "orphaned_cost_usd_per_month": "What its orphaned images cost, at repository scope",
        "orphaned_cost_leaves_out": "What that does not contain, and why",
        "has_lifecycle_policy": "Whether it has a lifecycle policy",
        "pull_through_cache": "Whether ECR fills it by a pull-through cache rule",
        "scan_frequency": "How ECR says it is scanned",
        "scan_filters": "Filters that decided that",
        "scan_frequency_by_rules": "How the registry's rules say it is scanned",
        "exposure": "How widely its policy opens it",
        "exposed_to": "To whom, and what they may",
        "replicated_to": "Registries that the rules copy it to",
        "not_replicated_artifacts": "Artifacts that should be there and are not",
        "replication_unknown_artifacts": "Artifacts of which that is unknown",
        "replica_of": "Registries whose artifacts are here too by replication",
        "replica_artifacts": "Artifacts here that are replicas",
        "possible_replica_artifacts": "Artifacts of which it is unknown",
        "replica_bytes_repository_scope": "Bytes stored for replicas alone, at repository scope",
        "possible_replica_bytes_repository_scope": "The same of those of which it is unknown, at most",
        "creation_template": "Prefix of the creation template that made it; none without",
        "tags": "AWS tags of the repository",
    },
    "registries.csv": {
        "snapshot": "Number of the snapshot, in its registry",
        "run": "Number of the run that took it",
        "taken_at": "When it was taken",
        "blob_mounting": "ENABLED or DISABLED: whether repositories may share layers",
        "blob_mounting_ever": "Whether any snapshot saw it on",
        "repositories": "Repositories",
        "cost_low_usd_per_month": "The low end of the cost",
        "cost_high_usd_per_month": "The high end of the cost",
        "cost_low_scope": "The scope at which the low end stands",
        "cost_high_scope": "The scope at which the high end stands",
        "shared_bytes": "Stored bytes at registry scope that no single repository owns",
        "scan_type": "BASIC, ENHANCED or NONE",
        "basic_scan_type_version": "Which scanner basic scanning uses",
        "scan_rules": "Rules of scanning",
        "replication_rules": "Rules of replication",
        "policy_scope": "V1 or V2: for which actions the registry's policy is asked",
        "policy_lets_in": "Whom the registry's policy lets in, and what they may",
        "creation_templates": "Prefixes of its repository creation templates",
    },
    "images.csv": {
        "kind": "image, index, referrer, or unknown",
        "tagged": "Whether it carries a tag itself",
        "orphaned": "Whether no tag reaches it",
        "stale": "Whether it was neither pushed nor pulled for the report's stale days",
        "pushed_at": "When it was pushed",
        "last_pull": "Day of the last pull that ECR records; never if none",
        "image_status": "ECR's status, such as ACTIVE or ARCHIVED",
        "logical_bytes": "Bytes of its config and layers",
        "unique_bytes_repository": "Bytes that no other image of its repository holds",
        "unique_bytes_registry": "Bytes that no other image of its registry holds",
        "in_use": "running, configured, previous, listed or unknown; empty where not known to be used",
        "scan_status": "Status of its scan",
        "scan_completed": "When the scan was completed",
        "findings_critical": "Vulnerabilities of this severity, as the scan counts them",
        "findings_high": "Vulnerabilities of this severity, as the scan counts them",
        "findings_medium": "Vulnerabilities of this severity, as the scan counts them",
        "findings_low": "Vulnerabilities of this severity, as the scan counts them",
        "findings_informational": "Vulnerabilities of this severity, as the scan counts them",
        "findings_undefined": "Vulnerabilities of this severity, as the scan counts them",
        "replica": "Whether it is a replica of one in another registry: yes, no or unknown",
        "replicated": "Of the registries that rules copy it to, how many have it",
        "not_replicated": "How many of them do not",
        "replication_unknown": "Of how many of them that is unknown",
    },
    "ages.csv": {
        "age": "How long ago the newest image that holds the bytes was pushed",
    },
    "prices.csv": {
        "storage_class": "standard or archive",
        "from_gb": "The tier begins at so many GB",
        "usd_per_gb_month": "List price; empty where it is not known",
        "discount_factor": "What is paid of the list price; 1 without a discount",
        "source": "Where the price comes from",
        "as_of": "When it was so",
        "confidence": "How sure it is",
    },
    "gaps.csv": {
        "repository": "Repository that it is about; empty for the whole registry",
        "call": "The call to AWS",
        "reason": "AWS's error, or ours",
        "detail": "What is missing because of it, and what to do",
        "count": "How many things it is about",
        "accepted": "Whether --accept-gaps names it",
        "accepted_because": "The reason given there",
    },
    "frontier.csv": {
        "row": "fleet for all repositories together, or repository",
        "keep": "images: the youngest n are kept; days: those pushed within n days",
        "n": "How many are kept; each row holds up to the next n",
        "kept_artifacts": "Images, indexes and referrers that stay",
    },
    "groups.csv": {
        "row": "value, untagged (without the tag), unknown (tags could not be read), or shared",
        "tag": "Key of the AWS tag",
        "value": "Value of the tag",
        "repositories": "Repositories with it",
        "orphaned_freed_bytes": "Bytes that would leave with all orphaned images, at repository scope",
        "orphaned_cost_usd_per_month": "What the orphaned images cost, at repository scope",
    },
    "findings.csv": {
        "key": "Names the finding, the same from night to night",
        "check": "Id of the check",
        "title": "What the check is about",
        "subject": "What in the repository it is about, such as a digest or a rule",
        "owner": "Whose it is",
        "owner_source": "What says so",
        "message": "What was found",
        "fix": "How to mend it",
        "validate": "A command that shows it",
        "images": "Images that it is about",
        "images_of_unknown_size": "Those of them whose size is not known",
        "saving_usd_per_month_low": "What would be saved if this alone were mended, at least",
        "saving_usd_per_month_high": "The same, at most; findings overlap: do not add it up",
        "saving_supposes": "What the saving takes for granted",
        "waived_until": "Day on which its waiver expires; empty without one",
        "waiver_owner": "Who waived it",
        "waiver_reason": "Why",
        "evidence": "The rows that it rests on",
    },
    "trend.csv": {
        "row": "measured (by snapshots), reconstructed (from push times: at least so much) or forecast",
        "scenario": "Of a forecast, under which policies",
        "account": "Account id; empty for everything together",
        "created_at": "When the repository was created",
        "at": "The day, or the moment",
        "known": "Whether anything is known of the day",
        "artifacts": "Images, indexes and referrers",
        "stored_bytes_repository_scope": f"Stored bytes, of a forecast the middle; {_BOTH}",
        "stored_bytes_registry_scope": f"Stored bytes, of a forecast the middle; {_LOW}",
        "freed_bytes_repository_scope": f"Bytes that left since the known day before; {_BOTH}",
        "freed_bytes_registry_scope": f"Bytes that left since the known day before; {_LOW}",
    },
    "outcomes.csv": {
        "known_before_at": "The last snapshot that saw the policy before",
        "changed_at": "The first snapshot that saw the new one",
        "until": "How far was looked",
        "pushed_at": "When the image was pushed",
        "fate": "What became of the image, beside what was predicted",
        "predicted_at": "From when on the policy was predicted to take it; empty where it was not",
        "rule": "Priority of the rule that was predicted to take it",
        "last_seen_at": "The last snapshot that saw it; empty where it is there",
        "gone_at": "The first one that did not; empty where it is there",
        "size_bytes": "Bytes of its config and layers",
        "reason": "Why it is still there, as far as that can be told",
    },
    "recommendations.csv": {
        "advice": "set, replace, safer, keep, nothing, unknown or unproven",
        "reason": "Why there is no policy to put, or why one is put though it saves less",
        "has_policy": "Whether a policy is in force",
        "pull_through_cache": "Whether it is filled by a pull-through cache",
        "rules": "Rules of the policy",
        "artifacts": "Artifacts of every kind",
        "needed": "Of these those that no policy may take",
        "needed_in_use": "In use by a workload or a list",
        "needed_protected": "Protected by --protect",
        "needed_pulled": "Pulled within the days asked for",
        "needed_releases": "Among the last releases of their tag family",
        "needed_related": "Children and referrers of needed ones, and indexes that these are pulled by",
        "needed_unknown": "May be needed, for all that is known",
        "leaving": "Artifacts that the policy takes today",
        "saving_usd_per_month_low": "What it saves beyond the policy in force, at least",
        "saving_usd_per_month_high": "The same, at most",
        "saving_leaves_out": "What the two do not contain",
        "current_takes_needed": "Needed artifacts that the policy in force takes",
        "once_pulled": "Artifacts taken of which ECR records a pull",
        "never_pulled": "Artifacts taken of which it records none",
        "last_pulled": "Day of the last pull of those taken",
        "safe_until": "Until when it is safe at the present rate of pushes; empty for good",
        "back_test_nights": "Stored nights that it was replayed over",
        "back_test_removed": "Artifacts that it would have taken on them",
        "back_test_needed": "Of these those that were needed afterwards",
        "policy": "Its text, on one line",
    },
    "pulls.csv": {
        "code": "What was found of the reference",
        "account": "Account of the workload",
        "region": "Region of the workload",
        "reference": "The image reference, as the workload names it",
        "workload_names": "The workloads, and how they use it",
        "cross_account": "Whether the registry is another account's",
        "foreign_bytes": "Bytes of layers that the registry does not store; in no figure",
        "payer": "Account that pays for the transfer",
        "better_reference": "What to name instead; empty where there is nothing better",
        "caveats": "What to know before",
    },
    "pull-routes.csv": {
        "basis": "references (of workloads) or recorded (by CloudTrail)",
        "day": "The day; empty for all",
        "account": "Account of the puller",
        "region": "Region that is pulled to",
        "workload": "The workload",
        "principal": "The role that pulled",
        "method": "How the puller's region was told",
        "confidence": "How sure that is",
        "codes": "What was found of the references",
        "accounts": "Accounts of the pullers",
        "payers": "Accounts that pay for the transfer",
        "findings": "References found",
        "crossing": "Those of them that cross regions",
        "of_unknown_size": "Those of them whose size is not known",
        "replica_bytes": "Bytes that could come from a replica in the puller's own region",
        "layer_pulls": "Layers asked for",
        "checks": "Manifests asked for, which moves no layer",
        "pulled_bytes": "Bytes of the layers asked for",
        "pulls_of_unknown_size": "Layers asked for whose size is not known",
        "transfer_usd_low": "What the transfer cost, at least",
        "transfer_usd_high": "What the transfer cost, at most",
        "nat_usd_low": "What NAT gateways took for it, at least",
        "nat_usd_high": "What NAT gateways took for it, at most",
        "pulled_bytes_per_month": "The same bytes for a month of such days",
        "transfer_usd_per_month_low": "The same transfer for a month of such days, at least",
        "transfer_usd_per_month_high": "The same, at most",
        "nat_usd_per_month_low": "The same of NAT gateways, at least",
        "nat_usd_per_month_high": "The same, at most",
    },
    "what-if.csv": {
        "row": "repository, shared (completes the columns at registry scope) or total",
        "candidate": "The policy, by its file",
        "has_policy": "Whether the policy applies to the repository",
        "artifacts": "Images, indexes and referrers",
        "leaving": "Artifacts that would leave",
        "archived": "Artifacts that would be archived",
        "kept": "Artifacts that would stay as they are",
        "followers": "Of those that go, referrers that go with their subject",
        "blocked": "Artifacts kept only because an index that stays names them",
        "deferred": "Artifacts that may take ECR more than one run",
        "near_limit": "Artifacts decided by less than a day",
        "in_use": "Artifacts in use that would be taken",
        "protected": "Protected artifacts that would be taken",
        "in_use_running": "Of those in use, what runs",
        "in_use_configured": "Of those in use, what would be pulled at the next start",
        "in_use_previous": "Of those in use, what a rollback would pull",
        "leaving_of_unknown_size": "Artifacts that would leave whose size is not known",
        "expired_logical_bytes": "Sizes of the images that leave, added up",
        "saving_low_usd_per_month": "What is surely saved",
        "saving_high_usd_per_month": "What is saved at most",
        "naive_saving_usd_per_month": "What adding up sizes would claim is saved",
        "live_leaving": "Artifacts that would leave under the policy in force",
        "live_archived": "Artifacts that would be archived under it",
        "live_in_use": "Artifacts in use that it would take",
        "live_saving_low_usd_per_month": "What it surely saves",
        "live_saving_high_usd_per_month": "What it saves at most",
        "live_saving_leaves_out": "What that does not contain, and why",
        "warnings": "Codes of warnings",
    },
    "what-if-images.csv": {
        "candidate": "The policy, by its file",
        "pushed_at": "When it was pushed",
        "storage_class": "STANDARD or ARCHIVE",
        "outcome": "kept, expired or archived",
        "reason": "Why",
        "rule": "Priority of the rule that decides",
        "rank": "Its place among what the rule selects, the youngest first",
        "age_days": "Days since what the rule counts from",
        "limit_type": "countType of the rule",
        "limit": "countNumber of the rule",
        "by_digest": "The artifact that keeps it or takes it along",
        "deferred": "Whether it may take ECR more than one run",
        "near_limit": "Whether less than a day decides",
        "in_use": "Whether it is in use",
        "protected": "Whether it is protected",
        "in_use_as": "running, configured, previous or listed",
        "used_by": "The workloads",
    },
    NAME: {
        "file": "Name of the table",
        "column": "Its column",
        "meaning": "What it means; an empty cell is unknown or does not apply",
    },
}
#: Tables that have the columns of another.
_LIKE: Final[Mapping[str, str]] = {"recorded-pulls.csv": "pull-routes.csv"}


def meaning(file: str, column: str) -> str:
    """What ``column`` means in ``file``; "" where nobody has said."""
    told = _OF.get(_LIKE.get(file, file), {}).get(column) or _EVERYWHERE.get(column)
    return told or _scoped(column)


def told_columns() -> set[tuple[str, str]]:
    """Each table with a column that is told for it alone."""
    return {(file, column) for file, columns in _OF.items() for column in columns}


def render_columns(tables: Mapping[str, str]) -> str:
    """The table of every column in ``tables``, texts by file name, and of its own."""
    heads = {name: text[: text.index("\n")].split(",") for name, text in tables.items()}
    rows = (
        (name, column, meaning(name, column))
        for name, columns in {**heads, NAME: list(COLUMNS)}.items()
        for column in columns
    )
    return table_text(COLUMNS, rows)


def _scoped(column: str) -> str:
    stem, unit = column, ""
    if stem.endswith("_usd_per_month"):
        stem, unit = stem.removesuffix("_usd_per_month"), ", USD per month"
    for ending, scope in (("_repository_scope", _BOTH), ("_registry_scope", _LOW)):
        if stem.endswith(ending):
            what = (_MONEY if unit else _SCOPED).get(stem.removesuffix(ending))
            return f"{what}{unit}; {scope}" if what else ""
    return ""
