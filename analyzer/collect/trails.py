"""A trail's files in S3, and what CloudTrail says of the trail: the layout is in `analyzer.pulls.names`.

Objects are listed a day at a time, so that a night asks for nothing old, and read whole. S3 charges for
listing and reading; what was read before is not read again.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import HTTPClientError, IncompleteReadError, ReadTimeoutError, ResponseStreamingError

from analyzer.collect.clients import CallSettings, ServiceClient, client_config
from analyzer.collect.refusals import RefusedError, one_line
from analyzer.errors import InputError
from analyzer.model.trails import StoredFile, TrailPlace, TrailState
from analyzer.pulls.files import MAX_BYTES, UnreadableFileError

if TYPE_CHECKING:
    from boto3.session import Session

_URL = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?")
_EPOCH = date(1970, 1, 1)
_ACCOUNT = re.compile("[0-9]{12}")
_ORGANIZATION = re.compile("o-[a-z0-9]{10,32}")
_REGION = re.compile("[a-z]{2,8}(?:-[a-z0-9]{1,16}){1,4}")
#: Codes of S3 that say that there is nothing to be had from the bucket.
_NOT_THERE = ("NoSuchBucket", "NoSuchKey", "InvalidObjectState", "KMS.DisabledException")
#: Folder of a trail's files below its prefix.
FILES: Final = "AWSLogs"
_READINGS = 3
#: Sources whose events are excluded from a trail say nothing about ECR's.
_ECR = "ecr.amazonaws.com"

#: Calls per second of one kind: far below what S3 takes for one prefix.
S3_RATES: Final = {"s3:ListObjectsV2": 100.0, "s3:GetObject": 500.0}

#: What is known where CloudTrail knows no such trail.
NO_TRAIL: Final = TrailState(
    note="no trail that these credentials can see writes there; whether hours without a file were quiet is"
    " not known"
)


def trail_place(url: str) -> tuple[str, str]:
    """Bucket and prefix of ``s3://BUCKET[/PREFIX]``, the prefix being the trail's own, or further down.

    Raises InputError.
    """
    found = _URL.fullmatch(url)
    if found is None:
        raise InputError(f"--trail {one_line(url)}: is not s3://BUCKET or s3://BUCKET/PREFIX")
    before, _, _ = f"/{(found[2] or '').strip('/')}/".partition(f"/{FILES}/")
    return found[1], before.strip("/")


class TrailBucket:
    """The files under one prefix of a bucket."""

    def __init__(self, url: str, session: Session, settings: CallSettings, region: str) -> None:
        """Open ``url``, as `trail_place` reads it, without asking anybody.

        ``region`` is where to begin to ask; the bucket may be in another. Raises InputError.
        """
        self._bucket, self._prefix = trail_place(url)
        self._session = session
        self._settings = settings
        self._region = region
        self._s3 = self._client("s3", region)
        self._roots: dict[TrailPlace, str] = {}
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """``s3://BUCKET/PREFIX``."""
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    def places(self) -> list[TrailPlace]:
        """Of which accounts and regions there are files, sorted; raises UnreadableFileError."""
        top = f"{self._prefix}/{FILES}/".lstrip("/")
        for root in self._accounts(top):
            account = root.rstrip("/").rpartition("/")[2]
            for folder in self._folders(f"{root}CloudTrail/"):
                region = folder.rstrip("/").rpartition("/")[2]
                if _REGION.fullmatch(region):
                    self._roots[TrailPlace(account, region)] = folder
        return sorted(self._roots)

    def files(self, place: TrailPlace, day: int) -> list[StoredFile]:
        """The objects of a day, sorted; raises UnreadableFileError where they cannot be listed."""
        folder = f"{self._roots[place]}{_EPOCH + timedelta(days=day):%Y/%m/%d}/"
        return sorted(
            StoredFile(str(entry["Key"]), int(entry["Size"]))
            for page in self._pages(folder)
            for entry in page.get("Contents") or ()
        )

    def fetch(self, name: str) -> bytes:
        """The bytes of an object; raises UnreadableFileError."""
        for reading in range(_READINGS):
            try:
                answer = self._s3.call("GetObject", tolerate=_NOT_THERE, Bucket=self._bucket, Key=name)
                if int(answer.get("ContentLength") or 0) > MAX_BYTES:
                    raise UnreadableFileError("is larger than any file of CloudTrail's")
                data: bytes = answer["Body"].read()
            except RefusedError as error:
                raise UnreadableFileError(_why("s3:GetObject", error)) from error
            except (HTTPClientError, IncompleteReadError, ReadTimeoutError, ResponseStreamingError) as error:
                if reading == _READINGS - 1:
                    raise UnreadableFileError(f"broke off while it was read: {one_line(error)}") from error
            else:
                self._settings.counts.receive(len(data))
                return data
        raise AssertionError("unreachable")

    def state(self) -> TrailState:
        """What CloudTrail says of the trail that writes here; a note where it does not."""
        try:
            trail = self.find_trail()
            if trail is None:
                return NO_TRAIL
            selectors = self.selectors(trail)
            return self.state_of(trail, selectors, self.status(trail) if keeps_reads(selectors) else {})
        except RefusedError as error:
            return TrailState(
                note=f"{_why('CloudTrail', error)}; whether hours without a file were quiet is not known"
            )

    def first_file(self) -> StoredFile | None:
        """One of the trail's files that is not empty, of the first thousand; raises RefusedError."""
        top = f"{self._prefix}/{FILES}/".lstrip("/")
        page = self._s3.call("ListObjectsV2", tolerate=_NOT_THERE, Bucket=self._bucket, Prefix=top)
        # CloudTrail begins each folder with an object that is empty.
        found = (entry for entry in page.get("Contents") or () if int(entry["Size"]) > 0)
        return next((StoredFile(str(entry["Key"]), int(entry["Size"])) for entry in found), None)

    def peek(self, name: str) -> None:
        """Ask for the first byte of an object; raises RefusedError."""
        answer = self._s3.call(
            "GetObject", tolerate=_NOT_THERE, Bucket=self._bucket, Key=name, Range="bytes=0-0"
        )
        answer["Body"].close()

    def find_trail(self) -> Mapping[str, Any] | None:
        """CloudTrail's description of the trail that writes here, if it knows one; raises RefusedError."""
        answer = self._client("cloudtrail", self._region).call("DescribeTrails")
        for trail in answer.get("trailList") or ():
            prefix = str(trail.get("S3KeyPrefix") or "").strip("/")
            if trail.get("S3BucketName") == self._bucket and prefix == self._prefix:
                found: Mapping[str, Any] = trail
                return found
        return None

    def selectors(self, trail: Mapping[str, Any]) -> Mapping[str, Any]:
        """What the trail keeps, by its event selectors; raises RefusedError."""
        return self._at_home(trail).call("GetEventSelectors", TrailName=_arn(trail))

    def status(self, trail: Mapping[str, Any]) -> Mapping[str, Any]:
        """Whether the trail logs, and since when; raises RefusedError."""
        return self._at_home(trail).call("GetTrailStatus", Name=_arn(trail))

    def _at_home(self, trail: Mapping[str, Any]) -> ServiceClient:
        return self._client("cloudtrail", str(trail.get("HomeRegion") or self._region))

    def state_of(
        self, trail: Mapping[str, Any], selectors: Mapping[str, Any], status: Mapping[str, Any]
    ) -> TrailState:
        """What the answers about a trail come to; ``status`` counts only where it keeps reads."""
        home = str(trail.get("HomeRegion") or self._region)
        label = f"the trail {one_line(trail.get('Name') or _arn(trail), 128)}"
        if not keeps_reads(selectors):
            return TrailState(problem=f"{label} keeps no read events (its event selectors): pulls are reads")
        region = "" if trail.get("IsMultiRegionTrail") else home
        started, delivered = _day(status.get("StartLoggingTime")), _day(status.get("LatestDeliveryTime"))
        if not status.get("IsLogging"):
            return TrailState(
                first_day=started,
                last_day=_day(status.get("StopLoggingTime")),
                region=region,
                note=f"{label} is not logging",
            )
        failure = status.get("LatestDeliveryError")
        if failure:
            note = f"{label} could not deliver its last files: {one_line(failure)}"
            return TrailState(region=region, note=note)
        return TrailState(first_day=started, last_day=delivered, region=region)

    def _accounts(self, top: str) -> Iterator[str]:
        for folder in self._folders(top):
            name = folder.rstrip("/").rpartition("/")[2]
            if _ACCOUNT.fullmatch(name):
                yield folder
            elif _ORGANIZATION.fullmatch(name):
                yield from (
                    inner
                    for inner in self._folders(folder)
                    if _ACCOUNT.fullmatch(inner.rstrip("/").rpartition("/")[2])
                )

    def _folders(self, prefix: str) -> Iterator[str]:
        for page in self._pages(prefix, Delimiter="/"):
            for entry in page.get("CommonPrefixes") or ():
                yield str(entry["Prefix"])

    def _pages(self, prefix: str, **more: object) -> Iterator[Mapping[str, Any]]:
        token: dict[str, object] = {}
        while True:
            try:
                page = self._s3.call(
                    "ListObjectsV2", tolerate=_NOT_THERE, Bucket=self._bucket, Prefix=prefix, **more, **token
                )
            except RefusedError as error:
                raise UnreadableFileError(_why("s3:ListObjectsV2", error)) from error
            yield page
            following = page.get("NextContinuationToken")
            if not page.get("IsTruncated") or not following:
                return
            if following == token.get("ContinuationToken"):
                raise UnreadableFileError("s3:ListObjectsV2: the same page token came twice in a row")
            token = {"ContinuationToken": following}

    def _client(self, service: str, region: str) -> ServiceClient:
        make: Any = self._session.client
        client = make(service, region_name=region, config=client_config(self._settings))
        return ServiceClient(client, service, self._settings)


def keeps_reads(selectors: Mapping[str, Any]) -> bool:
    """Whether event selectors, plain or advanced, let ECR's read events into a trail."""
    for plain in selectors.get("EventSelectors") or ():
        if plain.get("IncludeManagementEvents") and plain.get("ReadWriteType") in ("All", "ReadOnly"):
            return True
    for advanced in selectors.get("AdvancedEventSelectors") or ():
        fields = {field.get("Field"): field for field in advanced.get("FieldSelectors") or ()}
        if (
            _lets_in(fields.get("eventCategory"), "Management")
            and _lets_in(fields.get("readOnly"), "true")
            and _lets_in(fields.get("eventSource"), _ECR)
        ):
            return True
    return False


def _lets_in(field: Mapping[str, Any] | None, value: str) -> bool:
    """Whether one condition of an advanced selector holds for ``value``; none holds for everything."""
    if field is None:
        return True
    tests = {
        "Equals": lambda text: value == text,
        "StartsWith": value.startswith,
        "EndsWith": value.endswith,
    }
    for name, test in tests.items():
        if field.get(name) and not any(map(test, field[name])):
            return False
        if field.get(f"Not{name}") and any(map(test, field[f"Not{name}"])):
            return False
    return True


def _arn(trail: Mapping[str, Any]) -> str:
    return str(trail.get("TrailARN"))


def _day(moment: object) -> int | None:
    if not isinstance(moment, datetime):
        return None
    return moment.astimezone(UTC).date().toordinal() - _EPOCH.toordinal()


def _why(call: str, error: RefusedError) -> str:
    return f"{call}: {error.refusal.reason} ({error.refusal.detail})"
