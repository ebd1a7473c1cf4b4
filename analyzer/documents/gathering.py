"""A folder of what the AWS CLI printed, file by file, to what it says of each registry.

What decides where an answer belongs has to be readable, or the file is refused; what an answer holds
is read later, by the collector, as if AWS had given it. Only a file's own text is in memory at a
time, and of what it says the small part that has to be known of all: names, digests, times.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from analyzer.documents.cli_answers import Answer, answers_in, refusals_in
from analyzer.documents.fields import FieldError, milliseconds, text_of
from analyzer.documents.spool import Span, Spool
from analyzer.errors import InputError
from analyzer.json_texts import each_json_text, shown
from analyzer.manifests import parse_manifest
from analyzer.model.answers import Unanswered
from analyzer.model.records import Manifest

_REMEDY = "give what the AWS CLI prints with --output json, as it is"
_ARN = re.compile(r"arn:([a-z-]{3,32}):ecr:([a-z0-9-]{3,32}):(\d{12}):repository/(\S{2,256})", re.ASCII)
_URI = re.compile(r"(\d{12})\.dkr[.-]ecr(?:-fips)?\.([a-z0-9-]{3,32})\.\S+/\S+", re.ASCII)
_PUBLIC_ARN = "arn:aws:ecr-public:"

#: Answers that are about a repository, which they name.
OF_A_REPOSITORY = ("GetLifecyclePolicy", "GetRepositoryPolicy")
#: Answers about a whole registry whose entries, or which themselves, may say whose they are.
_ENTRIES_OF = {
    "DescribePullThroughCacheRules": "pullThroughCacheRules",
    "DescribeRepositoryCreationTemplates": "repositoryCreationTemplates",
    "ListPullTimeUpdateExclusions": "pullTimeUpdateExclusions",
}


class Source(Protocol):
    """A file of answers."""

    @property
    def name(self) -> str:
        """What it is called in messages: its path from the folder on."""

    @property
    def folder(self) -> str:
        """Path of the folder that it lies in, "" for the outermost."""

    @property
    def modified_at_ms(self) -> int:
        """When it was written (milliseconds, UTC)."""

    def read(self) -> str:
        """Its text; raises InputError."""


class Where(NamedTuple):
    """Which registry an answer is of, as far as it says; "" for what it does not say."""

    folder: str
    account: str = ""
    region: str = ""
    partition: str = ""


@dataclass(slots=True)
class Listing:
    """The repositories of a registry: entries of DescribeRepositories, by name."""

    entries: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    #: Entries without a name that could be understood.
    nameless: list[Any] = field(default_factory=list)
    #: A page came that ended the list; where it is False, more was to come.
    is_whole: bool = False
    is_open: bool = False
    modified_at_ms: int = 0


@dataclass(slots=True)
class Images:
    """The images of a repository: pages of imageDetails, on disk."""

    place: str
    pages: list[Span] = field(default_factory=list)
    is_whole: bool = False
    #: The page read last has a token: the next one goes on from it.
    is_open: bool = False
    #: It was asked for, or shows, images that are archived.
    has_any_status: bool = False
    #: A filter of the request that leaves images out.
    filtered: str = ""
    #: Hash of the entry by digest.
    seen: dict[str, int] = field(default_factory=dict)
    #: Digests listed more than once with different facts.
    contradictions: int = 0
    #: Whole listings that came, and whether they name different images.
    listings: int = 0
    differ: bool = False
    #: Digests of what is archived, or being restored.
    archived: set[str] = field(default_factory=set)
    newest_event_ms: int = 0
    modified_at_ms: int = 0
    #: Digests of the listing at hand, where it is not the first.
    again: set[str] | None = None


@dataclass(slots=True)
class Given:
    """The answer to a call that is not about images."""

    place: str
    pages: list[Mapping[str, Any]]
    is_open: bool


@dataclass(slots=True)
class Gathered:
    """What all files say; see `gather`."""

    spool: Spool
    listings: dict[Where, Listing] = field(default_factory=dict)
    #: By registry and name of the repository.
    images: dict[tuple[Where, str], Images] = field(default_factory=dict)
    #: By registry, operation and what it is about: a repository's name, a setting's, "".
    given: dict[tuple[Where, str, str], Given] = field(default_factory=dict)
    refused: dict[tuple[Where, str, str], Unanswered] = field(default_factory=dict)
    #: The same as ``given`` whose contents contradict each other; the later counts.
    contradicted: set[tuple[Where, str, str]] = field(default_factory=set)
    #: Tags by registry and repository; registries whose tags are all there.
    tags: dict[tuple[Where, str], list[Any]] = field(default_factory=dict)
    all_tags: set[Where] = field(default_factory=set)
    #: BatchGetImage's entries by digest, on disk, and failures.
    manifests: dict[str, Span] = field(default_factory=dict)
    failures: dict[str, tuple[str, str]] = field(default_factory=dict)
    #: What was passed over, and why; in the order of the files.
    notes: list[str] = field(default_factory=list)


def gather(sources: list[Source], spool: Spool) -> Gathered:
    """What ``sources`` say. The later written count where they contradict each other.

    Raises InputError for a file that begins as JSON and is none, and for an answer that cannot be
    told from another.
    """
    gathered = Gathered(spool)
    for source in sorted(sources, key=lambda source: (source.modified_at_ms, source.name)):
        _File(source, gathered).read()
    for images in gathered.images.values():
        _end_listing(images)
    return gathered


class _File:
    """One file, on its way into what is gathered."""

    def __init__(self, source: Source, gathered: Gathered) -> None:
        self._source = source
        self._gathered = gathered
        #: Whose images the last page held, if it had a token.
        self._open: tuple[Where, str] | None = None

    def read(self) -> None:
        """Add what the file says."""
        source = self._source
        text = source.read()
        start = text.lstrip("\ufeff \t\r\n")[:1]
        if start not in {"{", "["}:
            self._read_words(text, is_empty=not start)
            return
        for number, value in enumerate(each_json_text(text, source.name, _REMEDY), 1):
            for answer in answers_in(value, f"{source.name}, document {number}"):
                if isinstance(answer, str):
                    self._gathered.notes.append(f"{answer}; not read")
                else:
                    self._add(answer)

    def _read_words(self, text: str, *, is_empty: bool) -> None:
        """A file that is not JSON: perhaps what the CLI wrote to stderr."""
        refused = refusals_in(text)
        for line in refused:
            where = Where(self._source.folder, line.account, line.region)
            key = (where, line.operation, line.repository)
            self._gathered.refused[key] = Unanswered(line.code, line.message)
        if not refused:
            what = "is empty" if is_empty else "is neither JSON nor what the AWS CLI says of refused calls"
            self._gathered.notes.append(f"{self._source.name} {what}; not read")

    def _add(self, answer: Answer) -> None:
        operation = answer.operation
        try:
            if operation == "DescribeRepositories":
                self._add_repositories(answer)
            elif operation == "DescribeImages":
                self._add_images(answer)
            elif operation == "BatchGetImage":
                self._add_manifests(answer)
            elif operation == "GetResources":
                self._add_tags(answer)
            elif operation == "BatchGetRepositoryScanningConfiguration":
                self._add_scanning(answer)
            else:
                self._add_other(answer)
        except FieldError as error:
            raise InputError(f"{answer.place}: {error}; {_REMEDY}") from error

    # Repositories.

    def _add_repositories(self, answer: Answer) -> None:
        entries = _list(answer, "repositories")
        listings: dict[Where, Listing] = {}
        for number, entry in enumerate(entries):
            if not isinstance(entry, dict):
                raise FieldError(f"repositories [{number}] is {shown(entry)} and no repository")
            if str(entry.get("repositoryArn")).startswith(_PUBLIC_ARN):
                self._gathered.notes.append(
                    f"{answer.place}: repositories [{number}] is of ECR Public; not read"
                )
                continue
            where = _where_of_repository(entry, self._source.folder)
            listing = listings.setdefault(where, self._listing(where))
            name = entry.get("repositoryName")
            if isinstance(name, str):
                listing.entries.pop(name, None)
                listing.entries[name] = entry
            else:
                listing.nameless.append(entry)
        if not entries:
            where = Where(self._source.folder)
            listings[where] = self._listing(where)
        for listing in listings.values():
            listing.modified_at_ms = max(listing.modified_at_ms, self._source.modified_at_ms)
            listing.is_open = answer.more
            listing.is_whole = listing.is_whole or not answer.more

    def _listing(self, where: Where) -> Listing:
        return self._gathered.listings.setdefault(where, Listing())

    # Images.

    def _add_images(self, answer: Answer) -> None:
        content = answer.content
        said = Where(self._source.folder, text_of(content.get("registryId"), "registryId"))
        said_name = text_of(content.get("repositoryName"), "repositoryName")
        by_repository: dict[tuple[Where, str], list[Mapping[str, Any]]] = {}
        for number, detail in enumerate(content["imageDetails"]):
            if not isinstance(detail, dict):
                raise FieldError(f"[{number}] is {shown(detail)} and no image")
            name = text_of(detail.get("repositoryName"), f"[{number}] repositoryName") or said_name
            if not name:
                raise FieldError(f"[{number}] does not say in which repository it is (repositoryName)")
            account = text_of(detail.get("registryId"), f"[{number}] registryId") or said.account
            key = (Where(self._source.folder, account), name)
            by_repository.setdefault(key, []).append(detail)
        if not by_repository:
            key = self._open or (said, said_name)
            if not key[1]:
                self._gathered.notes.append(
                    f"{answer.place} has no images, and does not say of which repository; not read"
                )
                return
            by_repository[key] = []
        for key, details in by_repository.items():
            self._add_page(key, details, answer)
        self._open = next(reversed(by_repository)) if answer.more else None

    def _add_page(self, key: tuple[Where, str], details: list[Mapping[str, Any]], answer: Answer) -> None:
        images = self._gathered.images.setdefault(key, Images(answer.place))
        if not images.is_open and not answer.is_part:
            _end_listing(images)
            images.listings += 1
            if images.listings > 1:
                images.again = set()
        for detail in details:
            _look_at(detail, images)
        images.pages.append(self._gathered.spool.add(details))
        images.is_open = answer.more
        images.is_whole = images.is_whole or not answer.more
        images.modified_at_ms = max(images.modified_at_ms, self._source.modified_at_ms)
        asked = answer.content.get("filter")
        if asked == {"imageStatus": "ANY"}:
            images.has_any_status = True
        elif asked:
            images.filtered = shown(asked) if not isinstance(asked, dict) else _spelt(asked)

    # Manifests.

    def _add_manifests(self, answer: Answer) -> None:
        gathered = self._gathered
        for number, image in enumerate(answer.content["images"]):
            digest = _digest_of(image)
            if digest is None:
                raise FieldError(f"[{number}] has no imageId with an imageDigest")
            entry = {"imageManifest": image.get("imageManifest")}
            if image.get("imageManifestMediaType") is not None:
                entry["imageManifestMediaType"] = image["imageManifestMediaType"]
            before = gathered.manifests.get(digest)
            if before is None or _is_better(digest, entry, gathered.spool.get(before)):
                gathered.manifests[digest] = gathered.spool.add(entry)
        for failure in answer.content["failures"]:
            digest = _digest_of(failure)
            if digest is not None:
                code, reason = failure.get("failureCode"), failure.get("failureReason")
                gathered.failures[digest] = (str(code or "Unknown"), str(reason or ""))

    # Everything else.

    def _add_tags(self, answer: Answer) -> None:
        registries: set[Where] = set()
        for number, entry in enumerate(_list(answer, "ResourceTagMappingList")):
            arn = entry.get("ResourceARN") if isinstance(entry, dict) else None
            if not isinstance(arn, str):
                raise FieldError(f"ResourceTagMappingList [{number}] has no ResourceARN")
            matched = _ARN.fullmatch(arn)
            if matched is None:
                continue
            partition, region, account, name = matched.groups()
            where = Where(self._source.folder, account, region, partition)
            registries.add(where)
            tags = entry.get("Tags")
            self._gathered.tags[where, name] = tags if isinstance(tags, list) else []
        if not answer.more:
            self._gathered.all_tags |= registries or {Where(self._source.folder)}

    def _add_scanning(self, answer: Answer) -> None:
        for number, entry in enumerate(_list(answer, "scanningConfigurations")):
            if not isinstance(entry, dict):
                raise FieldError(f"scanningConfigurations [{number}] is {shown(entry)} and no object")
            name = text_of(entry.get("repositoryName"), f"scanningConfigurations [{number}] repositoryName")
            self._give(_where_of_repository(entry, self._source.folder), name, answer, entry)

    def _add_other(self, answer: Answer) -> None:
        content = answer.content
        account = text_of(content.get("registryId"), "registryId")
        subject = ""
        if answer.operation in OF_A_REPOSITORY:
            subject = text_of(content.get("repositoryName"), "repositoryName")
            if not subject:
                raise FieldError("does not say of which repository it is (repositoryName)")
        elif answer.operation == "GetAccountSetting":
            subject = text_of(content.get("name"), "name")
        elif answer.operation in _ENTRIES_OF:
            entries = _list(answer, _ENTRIES_OF[answer.operation])
            first = entries[0] if entries and isinstance(entries[0], dict) else {}
            account = account or text_of(first.get("registryId"), "registryId")
        self._give(Where(self._source.folder, account), subject, answer, content)

    def _give(self, where: Where, subject: str, answer: Answer, content: Mapping[str, Any]) -> None:
        key = (where, answer.operation, subject)
        before = self._gathered.given.get(key)
        if before is not None and before.is_open:
            before.pages.append(content)
            before.is_open = answer.more
            return
        if before is not None and before.pages != [content]:
            self._gathered.contradicted.add(key)
        self._gathered.given[key] = Given(answer.place, [content], answer.more)


def _list(answer: Answer, name: str) -> list[Any]:
    entries = answer.content.get(name)
    if not isinstance(entries, list):
        raise FieldError(f"{name} is {shown(entries)} and no list")
    return entries


def _where_of_repository(entry: Mapping[str, Any], folder: str) -> Where:
    """The registry of an entry that has an ARN, a URI, or the account's number at least."""
    arn, uri = entry.get("repositoryArn"), entry.get("repositoryUri")
    matched = _ARN.fullmatch(arn) if isinstance(arn, str) else None
    if matched is not None:
        return Where(folder, matched[3], matched[2], matched[1])
    matched = _URI.fullmatch(uri) if isinstance(uri, str) else None
    if matched is not None:
        return Where(folder, matched[1], matched[2])
    return Where(folder, text_of(entry.get("registryId"), "registryId"))


def _look_at(detail: Mapping[str, Any], images: Images) -> None:
    """Note what has to be known of an image before any is read."""
    digest = detail.get("imageDigest")
    if isinstance(digest, str):
        mark = hash(repr(sorted(detail.items())))
        if images.seen.setdefault(digest, mark) != mark:
            images.contradictions += 1
            images.seen[digest] = mark
        if images.again is not None:
            images.again.add(digest)
        if detail.get("imageStatus", "ACTIVE") != "ACTIVE":
            images.has_any_status = True
            images.archived.add(digest)
    for name in ("imagePushedAt", "lastRecordedPullTime"):
        if (time := detail.get(name)) is not None:
            try:
                images.newest_event_ms = max(images.newest_event_ms, milliseconds(time))
            except FieldError:
                # Whoever reads the entry says so.
                continue


def _end_listing(images: Images) -> None:
    """Hold a listing that came after another one against it."""
    if images.again is not None:
        images.differ = images.differ or images.again != images.seen.keys()
        images.again = None


def _digest_of(entry: object) -> str | None:
    image_id = entry.get("imageId") if isinstance(entry, dict) else None
    digest = image_id.get("imageDigest") if isinstance(image_id, dict) else None
    return digest if isinstance(digest, str) and digest else None


def _is_better(digest: str, entry: Mapping[str, Any], before: Mapping[str, Any]) -> bool:
    """Whether a manifest given again is what its digest says, where the first was not."""
    old, new = before.get("imageManifest"), entry.get("imageManifest")
    if old == new or not isinstance(new, str):
        return False
    return not isinstance(old, str) or not isinstance(parse_manifest(digest, old), Manifest)


def _spelt(asked: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in sorted(asked.items()))[:100]
