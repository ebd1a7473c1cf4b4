"""The schema: SQLAlchemy Core tables, the same on SQLite and PostgreSQL.

Three habits run through it:

* Digests, tag names, media types, platforms and setting values are interned: their text or bytes
  are stored once and everything else refers to a small integer.
* What a registry held is kept as intervals in the registry's own snapshot numbers:
  ``first_snapshot`` is the first that saw the row's fact, ``gone_snapshot`` the first (complete)
  one that did not, NULL while it still holds.
* A manifest never changes, so it is stored once; its blobs are one packed array of little-endian
  32-bit digest ids (config first, then layers in order, repeats included) beside one of 16-bit
  media-type codes whose top bit marks a foreign layer.

Times are milliseconds since 1970-01-01 UTC, days are days since then, sizes are bytes.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    Unicode,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

#: SQLite numbers rows by itself only in a column spelled INTEGER PRIMARY KEY.
_Id = BigInteger().with_variant(Integer, "sqlite")

#: Top bit of a code in ``manifest.blob_media_types``: the registry does not store this layer.
FOREIGN_BIT = 1 << 15


def _id() -> Column[int]:
    return Column("id", _Id, primary_key=True)


def _interval() -> tuple[Column[int], Column[int | None], CheckConstraint]:
    return (
        Column("first_snapshot", Integer, primary_key=True),
        Column("gone_snapshot", Integer),
        CheckConstraint("gone_snapshot > first_snapshot", name="interval"),
    )


def _reference(name: str, table: str, *, primary_key: bool = False, nullable: bool = False) -> Column[int]:
    return Column(name, _Id, ForeignKey(f"{table}.id"), primary_key=primary_key, nullable=nullable)


registry = Table(
    "registry",
    metadata,
    _id(),
    Column("partition", String(32), nullable=False),
    Column("account", String(32), nullable=False),
    Column("region", String(32), nullable=False),
    UniqueConstraint("account", "region", "partition"),
)

run = Table(
    "run",
    metadata,
    _id(),
    Column("started_at_ms", BigInteger, nullable=False),
    Column("finished_at_ms", BigInteger),
    Column("status", String(16), nullable=False),
    Column("host", Text, nullable=False),
    Column("version", String(64), nullable=False),
    #: ARN of whoever collected, as AWS gave it; NULL where it is not known.
    Column("caller", Text),
)

#: One registry as one run saw it, numbered from 1 in each registry.
snapshot = Table(
    "snapshot",
    metadata,
    _reference("registry_id", "registry", primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    _reference("run_id", "run"),
    Column("taken_at_ms", BigInteger, nullable=False),
    Column("status", String(16), nullable=False),
    Index(None, "run_id"),
    sqlite_with_rowid=False,
)

#: A snapshot that was taken out: intervals of what is left may begin or end there.
pruned_snapshot = Table(
    "pruned_snapshot",
    metadata,
    _reference("registry_id", "registry", primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("taken_at_ms", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

#: Who is collecting a registry. ``fence`` grows with every holder; a commit checks it.
lease = Table(
    "lease",
    metadata,
    _reference("registry_id", "registry", primary_key=True),
    Column("fence", BigInteger, nullable=False),
    Column("holder", Text),
    Column("host", Text),
    Column("acquired_at_ms", BigInteger),
    Column("heartbeat_at_ms", BigInteger),
)

gap = Table(
    "gap",
    metadata,
    _id(),
    _reference("run_id", "run"),
    _reference("registry_id", "registry"),
    Column("repository", String(256), nullable=False),
    Column("call", String(128), nullable=False),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("count", Integer, nullable=False),
    Index(None, "registry_id", "run_id"),
)

digest = Table(
    "digest",
    metadata,
    _id(),
    Column("algorithm", String(16), nullable=False),
    Column("hash", LargeBinary, nullable=False),
    UniqueConstraint("hash", "algorithm"),
)

media_type = Table("media_type", metadata, _id(), Column("name", Text, nullable=False, unique=True))

platform = Table("platform", metadata, _id(), Column("name", Text, nullable=False, unique=True))

tag_name = Table("tag_name", metadata, _id(), Column("name", Text, nullable=False, unique=True))

#: Canonical JSON texts of settings; long ones (policies) repeat across repositories and nights.
setting_value = Table(
    "setting_value",
    metadata,
    _id(),
    Column("sha256", LargeBinary, nullable=False, unique=True),
    Column("value", Text, nullable=False),
)

#: Configs and layers, sized as the first manifest that named them says.
blob = Table(
    "blob",
    metadata,
    Column("digest_id", _Id, ForeignKey("digest.id"), primary_key=True, autoincrement=False),
    Column("size_bytes", BigInteger, nullable=False),
)

manifest = Table(
    "manifest",
    metadata,
    Column("digest_id", _Id, ForeignKey("digest.id"), primary_key=True, autoincrement=False),
    #: ``model.records.Kind``.
    Column("kind", SmallInteger, nullable=False),
    _reference("media_type_id", "media_type"),
    _reference("artifact_type_id", "media_type", nullable=True),
    _reference("subject_id", "digest", nullable=True),
    Column("size_bytes", Integer, nullable=False),
    Column("blob_ids", LargeBinary, nullable=False),
    Column("blob_media_types", LargeBinary, nullable=False),
    Column("child_ids", LargeBinary, nullable=False),
    #: 16-bit platform ids beside ``child_ids``, 0 where the index names none.
    Column("child_platforms", LargeBinary, nullable=False),
    #: JSON object, NULL for none.
    Column("annotations", Text),
)

#: Sizes that manifests give their blobs in contradiction to ``blob.size_bytes``; append-only.
blob_conflict = Table(
    "blob_conflict",
    metadata,
    _reference("manifest_id", "digest", primary_key=True),
    _reference("digest_id", "digest", primary_key=True),
    Column("size_bytes", BigInteger, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)

repository = Table(
    "repository",
    metadata,
    _id(),
    _reference("registry_id", "registry"),
    Column("name", String(256), nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    UniqueConstraint("registry_id", "name", "created_at_ms"),
)

#: The repository exists during the interval, and its reads went that way.
repository_read = Table(
    "repository_read",
    metadata,
    _reference("repository_id", "repository", primary_key=True),
    *_interval(),
    Column("status", String(16), nullable=False),
    sqlite_with_rowid=False,
)

#: An image, index or referrer is present, in that state; a change of state is a new interval.
artifact = Table(
    "artifact",
    metadata,
    _reference("repository_id", "repository", primary_key=True),
    _reference("digest_id", "digest", primary_key=True),
    *_interval(),
    Column("pushed_at_ms", BigInteger),
    #: ``model.records.ImageStatus``: the storage class.
    Column("image_status", SmallInteger, nullable=False),
    Column("archived_at_ms", BigInteger),
    Column("activated_at_ms", BigInteger),
    Column("reported_size_bytes", BigInteger),
    _reference("media_type_id", "media_type", nullable=True),
    _reference("artifact_media_type_id", "media_type", nullable=True),
    _reference("subject_id", "digest", nullable=True),
    sqlite_with_rowid=False,
)

#: The day of lastRecordedPullTime; an artifact without a row has no recorded pull.
artifact_pull = Table(
    "artifact_pull",
    metadata,
    _reference("repository_id", "repository", primary_key=True),
    _reference("digest_id", "digest", primary_key=True),
    *_interval(),
    Column("pulled_day", Integer, nullable=False),
    sqlite_with_rowid=False,
)

artifact_scan = Table(
    "artifact_scan",
    metadata,
    _reference("repository_id", "repository", primary_key=True),
    _reference("digest_id", "digest", primary_key=True),
    *_interval(),
    Column("status", Text, nullable=False),
    Column("completed_day", Integer),
    Column("critical", Integer, nullable=False),
    Column("high", Integer, nullable=False),
    Column("medium", Integer, nullable=False),
    Column("low", Integer, nullable=False),
    Column("informational", Integer, nullable=False),
    Column("undefined", Integer, nullable=False),
    sqlite_with_rowid=False,
)

tag = Table(
    "tag",
    metadata,
    _reference("repository_id", "repository", primary_key=True),
    _reference("tag_name_id", "tag_name", primary_key=True),
    *_interval(),
    _reference("digest_id", "digest"),
    sqlite_with_rowid=False,
)

repository_setting = Table(
    "repository_setting",
    metadata,
    _reference("repository_id", "repository", primary_key=True),
    Column("name", String(64), primary_key=True),
    *_interval(),
    _reference("value_id", "setting_value"),
    sqlite_with_rowid=False,
)

registry_setting = Table(
    "registry_setting",
    metadata,
    _reference("registry_id", "registry", primary_key=True),
    Column("name", String(64), primary_key=True),
    *_interval(),
    _reference("value_id", "setting_value"),
    sqlite_with_rowid=False,
)

#: Manifests that could not be read when last asked for, so that they are not asked for in vain.
manifest_refusal = Table(
    "manifest_refusal",
    metadata,
    _reference("repository_id", "repository", primary_key=True),
    _reference("digest_id", "digest", primary_key=True),
    Column("reason", Text, nullable=False),
    Column("image_status", SmallInteger, nullable=False),
    sqlite_with_rowid=False,
)

#: Aggregates of a repository, kept as facts so that trends never rescan; written when they change.
repository_fact = Table(
    "repository_fact",
    metadata,
    _reference("repository_id", "repository", primary_key=True),
    *_interval(),
    Column("images", Integer, nullable=False),
    Column("indexes", Integer, nullable=False),
    Column("referrers", Integer, nullable=False),
    Column("unknown", Integer, nullable=False),
    Column("untagged_images", Integer, nullable=False),
    Column("orphaned_images", Integer, nullable=False),
    Column("logical_bytes", BigInteger, nullable=False),
    #: At repository scope.
    Column("physical_bytes", BigInteger, nullable=False),
    #: At registry scope.
    Column("unique_bytes", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

#: The part of a registry's aggregates that its repositories do not add up to.
registry_fact = Table(
    "registry_fact",
    metadata,
    _reference("registry_id", "registry", primary_key=True),
    *_interval(),
    Column("shared_bytes", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

#: Names of workloads inside their account and region: ``cluster/service``, a function, a job.
workload = Table("workload", metadata, _id(), Column("name", Text, nullable=False, unique=True))

#: Image references as workloads give them, with the digest where the workload says which it got.
image_reference = Table("image_reference", metadata, _id(), Column("name", Text, nullable=False, unique=True))

#: A workload of the registry's account and region names an image, wherever that is.
workload_use = Table(
    "workload_use",
    metadata,
    _reference("registry_id", "registry", primary_key=True),
    #: Of what kind it is: ecs, lambda, eks…
    Column("source", String(32), primary_key=True),
    _reference("workload_id", "workload", primary_key=True),
    _reference("image_reference_id", "image_reference", primary_key=True),
    #: ``model.records.UseKind``.
    Column("kind", SmallInteger, primary_key=True, autoincrement=False),
    *_interval(),
    sqlite_with_rowid=False,
)

#: Sources of workloads were read during the interval, and went that way.
workload_read = Table(
    "workload_read",
    metadata,
    _reference("registry_id", "registry", primary_key=True),
    Column("source", String(32), primary_key=True),
    *_interval(),
    Column("status", String(16), nullable=False),
    sqlite_with_rowid=False,
)

#: Snapshots of an earlier run, cut short, that a run took for its own because they were young enough.
resumed_snapshot = Table(
    "resumed_snapshot",
    metadata,
    _reference("run_id", "run", primary_key=True),
    _reference("registry_id", "registry", primary_key=True),
    Column("number", Integer, nullable=False),
    sqlite_with_rowid=False,
)

#: Repositories read while a registry's snapshot is still being taken, for whoever has to take it
#: again after a kill; the snapshot's commit removes them.
checkpoint = Table(
    "checkpoint",
    metadata,
    _reference("registry_id", "registry", primary_key=True),
    Column("repository", String(256), primary_key=True),
    Column("created_at_ms", BigInteger, primary_key=True, autoincrement=False),
    Column("read_at_ms", BigInteger, nullable=False),
    #: A ``model.records.RepositoryRead`` and its gaps: ``store.checkpoints``.
    Column("payload", LargeBinary, nullable=False),
)

#: What pulls ask for: a layer, an image by digest or tag. ``kind`` is `store.pulls.KINDS`; from 10 on it
#: says why events about the registry are not counted, and the rest is empty.
pull_target = Table(
    "pull_target",
    metadata,
    _id(),
    #: Hash of the other columns.
    Column("key", LargeBinary, nullable=False, unique=True),
    Column("account", String(32), nullable=False),
    Column("region", String(32), nullable=False),
    Column("repository", String(256), nullable=False),
    Column("kind", SmallInteger, nullable=False),
    _reference("digest_id", "digest", nullable=True),
    _reference("tag_name_id", "tag_name", nullable=True),
)

#: Who pulls, from where, and how that was told: `model.pulls.Puller`.
puller = Table(
    "puller",
    metadata,
    _id(),
    #: Hash of the other columns.
    Column("key", LargeBinary, nullable=False, unique=True),
    Column("account", String(32), nullable=False),
    Column("principal", Text, nullable=False),
    Column("region", String(32), nullable=False),
    Column("method", String(16), nullable=False),
    Column("confidence", String(16), nullable=False),
)

#: So many pulls on one day.
pull = Table(
    "pull",
    metadata,
    Column("day", Integer, primary_key=True, autoincrement=False),
    _reference("target_id", "pull_target", primary_key=True),
    _reference("puller_id", "puller", primary_key=True),
    Column("times", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

#: Which events of a day are counted in ``pull``, so that none is counted twice: a row a batch. A closed
#: day has forgotten them, and takes no more.
pull_events = Table(
    "pull_events",
    metadata,
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    #: Sorted little-endian 64-bit hashes.
    Column("events", LargeBinary, nullable=False),
    #: Of events that CloudTrail gives in several copies: `store.pull_events.COPY`.
    Column("copies", LargeBinary, nullable=False),
    Column("is_closed", SmallInteger, nullable=False),
)

#: Which files of a source are in ``pull``, by the day of their name.
pull_files = Table(
    "pull_files",
    metadata,
    Column("source", Text, primary_key=True),
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    #: Sorted little-endian 64-bit hashes.
    Column("files", LargeBinary, nullable=False),
)

#: What a source holds about one registry's account and region on one day.
pull_coverage = Table(
    "pull_coverage",
    metadata,
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("account", String(32), primary_key=True),
    Column("region", String(32), primary_key=True),
    Column("source", Text, primary_key=True),
    #: Of which there are files or events, bit 0 being the first.
    Column("hours", Integer, nullable=False),
    #: Whether a read event was among them: a trail of writes alone keeps no pulls.
    Column("has_reads", SmallInteger, nullable=False),
    #: Whether the source vouches for the hours that are missing.
    Column("is_whole", SmallInteger, nullable=False),
    #: What went wrong when it was last read; "" for nothing.
    Column("problem", Text, nullable=False),
    sqlite_with_rowid=False,
)

#: AWS's ip-ranges.json as of one moment: the newest that is known, and no other.
ip_ranges = Table(
    "ip_ranges",
    metadata,
    #: When AWS made it.
    Column("created_at_ms", BigInteger, primary_key=True, autoincrement=False),
    Column("stored_at_ms", BigInteger, nullable=False),
    #: Address or name of the file that it came from.
    Column("source", Text, nullable=False),
    #: What its server calls this version of it; "" where it came from a file.
    Column("etag", Text, nullable=False),
    #: The file as it came, packed by zlib.
    Column("document", LargeBinary, nullable=False),
)

#: Where EC2 instances and VPC endpoints are, or were: `model.pulls.Machine`. AWS forgets an instance
#: about an hour after its end, and pulls are told of later.
machine = Table(
    "machine",
    metadata,
    #: ``i-…`` or ``vpce-…``, which no two have.
    Column("name", String(64), primary_key=True),
    Column("account", String(32), nullable=False),
    Column("region", String(32), nullable=False),
    #: The last day it was seen.
    Column("seen_day", Integer, nullable=False),
    sqlite_with_rowid=False,
)

#: The scheduled service, ``demurrage serve``: who runs it, and what it is to run when.
service = Table(
    "service",
    metadata,
    Column("name", String(64), primary_key=True),
    #: Grows with every holder; whatever the service records checks it.
    Column("fence", BigInteger, nullable=False),
    Column("holder", Text),
    Column("host", Text),
    Column("acquired_at_ms", BigInteger),
    #: The last sign of life, also of a holder that is gone.
    Column("heartbeat_at_ms", BigInteger),
    #: A line of crontab and its time zone; NULL before the first.
    Column("schedule", Text),
    Column("timezone", Text),
    #: Since when that is the schedule: nothing is due before.
    Column("since_ms", BigInteger),
)

#: A moment of the schedule, and what became of it. That it is here says that it is taken.
service_slot = Table(
    "service_slot",
    metadata,
    Column("service", String(64), ForeignKey("service.name"), primary_key=True),
    Column("fire_at_ms", BigInteger, primary_key=True, autoincrement=False),
    #: ``store.slots.SlotStatus``.
    Column("status", String(16), nullable=False),
    #: How often it was begun.
    Column("attempts", Integer, nullable=False),
    #: Of the holder that worked on it last.
    Column("fence", BigInteger, nullable=False),
    Column("host", Text, nullable=False),
    Column("started_at_ms", BigInteger),
    Column("finished_at_ms", BigInteger),
    #: The last run of the collector that it began; written with the run itself.
    _reference("run_id", "run", nullable=True),
    #: How each step went, as JSON.
    Column("steps", Text, nullable=False),
    #: The report's figures, as JSON; NULL without a report.
    Column("figures", Text),
)

#: Jobs of the scheduler, as APScheduler's own store has them.
service_job = Table(
    "service_job",
    metadata,
    Column("id", Unicode(191), primary_key=True),
    #: Seconds since 1970 UTC.
    Column("next_run_time", Float(25), index=True),
    Column("job_state", LargeBinary, nullable=False),
)
