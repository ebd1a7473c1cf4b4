"""Publishing into S3: the report's objects first, under a prefix of its own; the index last.

``index.json`` is written on condition that it is as it was read (conditional writes: S3 user guide, "Add
preconditions to S3 operations"), so that two publishers lose nothing of each other's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from analyzer.collect.delivery_probes import BucketPlace
from analyzer.collect.refusals import one_line
from analyzer.collect.session import open_session
from analyzer.errors import InputError, RunError
from analyzer.model.publication import INDEX_JSON, REPORTS, PublishedReport
from analyzer.publishing.catalog import ChangedIndexError
from analyzer.publishing.publish import content_type

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

#: Bucket names (S3 user guide, "Bucket naming rules"), and ARNs of access points.
_URL: Final = re.compile(
    r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9]|arn:[a-z-]+:s3[a-z-]*:[^/\s]+(?:accesspoint/[a-z0-9-]+))(?:/(.*))?"
)
_ATTEMPTS: Final = 5
#: Most keys that one DeleteObjects takes.
_DELETED_AT_ONCE: Final = 1_000
_CHANGED: Final = frozenset({"PreconditionFailed", "ConditionalRequestConflict"})
_ABSENT: Final = frozenset({"NoSuchKey", "404"})


class BucketTarget:
    """A prefix in a bucket."""

    def __init__(self, url: str, *, profile: str | None = None, kms_key: str | None = None) -> None:
        """Publish under ``s3://BUCKET/PREFIX``, encrypted with ``kms_key`` if there is one.

        Without, the bucket's own default encrypts. Raises InputError where that is no such URL.
        """
        found = _URL.fullmatch(url)
        if found is None:
            raise InputError(f"--publish {one_line(url)}: is not s3://BUCKET or s3://BUCKET/PREFIX")
        self._bucket = found[1]
        self._prefix = "/".join(part for part in (found[2] or "").split("/") if part)
        self._profile = profile
        self._kms_key = kms_key
        self._known: S3Client | None = None

    @property
    def label(self) -> str:
        """``s3://BUCKET/PREFIX``."""
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    @property
    def place(self) -> BucketPlace:
        """Where that is."""
        return BucketPlace(label=self.label, bucket=self._bucket, prefix=self._prefix, kms_key=self._kms_key)

    def put_report(self, entry: PublishedReport, files: Mapping[str, Path]) -> None:
        """Write every file; where one cannot be written, those before it are taken away again."""
        written: list[str] = []
        try:
            for name, source in files.items():
                key = self._key(REPORTS, entry.id, name)
                with self._told("s3:PutObject"), source.open("rb") as body:
                    self._client().put_object(Body=body, **self._put(key, name, "private, max-age=31536000"))
                written.append(key)
        except RunError:
            # Nobody was led there; what cannot be removed either stays, and the next try writes over it.
            self._remove(written, lambda _error: None)
            raise

    def read_index(self) -> tuple[bytes, str] | None:
        """index.json and its ETag."""
        with self._told("s3:GetObject and s3:ListBucket"):
            try:
                answer = self._client().get_object(Bucket=self._bucket, Key=self._key(INDEX_JSON))
                return answer["Body"].read(), answer["ETag"]
            except ClientError as error:
                # Who may not list is told that the object is denied where it is not there.
                if _code(error) in _ABSENT:
                    return None
                raise

    def write_index(self, data: bytes, version: str | None) -> None:
        """Write index.json if it is as it was read."""
        condition: dict[str, Any] = {"IfNoneMatch": "*"} if version is None else {"IfMatch": version}
        with self._told("s3:PutObject"):
            try:
                self._client().put_object(
                    Body=data, **self._put(self._key(INDEX_JSON), INDEX_JSON, "no-cache"), **condition
                )
            except ClientError as error:
                if _code(error) in _CHANGED:
                    raise ChangedIndexError from error
                raise

    def write_page(self, name: str, data: bytes) -> None:
        """Write a page beside the index."""
        with self._told("s3:PutObject"):
            self._client().put_object(Body=data, **self._put(self._key(name), name, "no-cache"))

    def remove_report(self, entry: PublishedReport) -> None:
        """Delete the report's objects: those that the index names, and no others."""

        def fail(error: str) -> None:
            raise RunError(f"{self.label}: s3:DeleteObject: {error}")

        self._remove([self._key(REPORTS, entry.id, name) for name in entry.files], fail)

    def _remove(self, keys: list[str], fail: Callable[[str], None]) -> None:
        for start in range(0, len(keys), _DELETED_AT_ONCE):
            objects: Any = [{"Key": key} for key in keys[start : start + _DELETED_AT_ONCE]]
            try:
                answer = self._client().delete_objects(
                    Bucket=self._bucket, Delete={"Objects": objects, "Quiet": True}
                )
            except (ClientError, BotoCoreError) as error:
                fail(one_line(error))
                return
            for refused in answer.get("Errors", ()):
                fail(one_line(f"{refused.get('Code')}: {refused.get('Message')}"))

    def _client(self) -> S3Client:
        if self._known is None:
            session = open_session(self._profile)
            config = Config(
                retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
                connect_timeout=10,
                read_timeout=60,
            )
            # The bucket may be anywhere: S3 says where, and botocore goes there.
            region = session.region_name or "us-east-1"
            self._known = session.client("s3", region_name=region, config=config)
        return self._known

    def _key(self, *parts: str) -> str:
        return "/".join(part for part in (self._prefix, *parts) if part)

    def _put(self, key: str, name: str, cache: str) -> dict[str, Any]:
        encryption = (
            {} if self._kms_key is None else {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": self._kms_key}
        )
        return {
            "Bucket": self._bucket,
            "Key": key,
            "ContentType": content_type(name),
            "CacheControl": cache,
            **encryption,
        }

    @contextmanager
    def _told(self, action: str) -> Iterator[None]:
        try:
            yield
        except (ClientError, BotoCoreError, OSError) as error:
            # Credentials may have been exchanged since: the next try asks for them anew.
            self._known = None
            raise RunError(
                f"cannot publish to {self.label}: {one_line(error)}; it takes {action} there"
            ) from error


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
