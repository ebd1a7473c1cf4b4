"""What a folder of the AWS CLI's answers says of each registry, ready to be asked as AWS is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from analyzer.documents.cli_answers import cli_command
from analyzer.documents.gathering import OF_A_REPOSITORY, Gathered, Given, Images, Listing
from analyzer.model.answers import NONE_GIVEN, NOT_GIVEN, TRUNCATED, Unanswered
from analyzer.model.records import Gap, RegistryKey

#: How many repositories a gap names; what is more is counted.
_NAMED_AT_MOST = 10
#: The code with which BatchGetImage answers for what it does not have.
_IMAGE_NOT_FOUND = "ImageNotFound"


@dataclass(slots=True)
class Contents:
    """What the files hold of one registry."""

    listing: Listing = field(default_factory=Listing)
    is_listed: bool = False
    images: dict[str, list[Images]] = field(default_factory=dict)
    #: By operation and what it is about.
    given: dict[tuple[str, str], Given] = field(default_factory=dict)
    refused: dict[tuple[str, str], Unanswered] = field(default_factory=dict)
    contradicted: set[tuple[str, str]] = field(default_factory=set)
    tags: dict[str, list[Any]] = field(default_factory=dict)
    has_all_tags: bool = False


class RegistryAnswers:
    """The answers about one registry; a ``model.answers.WrittenAnswers``."""

    def __init__(self, key: RegistryKey, contents: Contents, gathered: Gathered) -> None:
        self._key = key
        self._contents = contents
        self._gathered = gathered
        self._created_at_ms: Mapping[str, int] = {}

    @property
    def key(self) -> RegistryKey:
        """The registry."""
        return self._key

    @property
    def listed_at_ms(self) -> int:
        """When the newest of the files that list repositories and images was written."""
        times = [images.modified_at_ms for images in self._all_images()]
        return max(times, default=self._contents.listing.modified_at_ms)

    @property
    def newest_event_ms(self) -> int:
        """When the last of the images was pushed or pulled, 0 where none says."""
        return max((images.newest_event_ms for images in self._all_images()), default=0)

    @property
    def unsure_of_archived(self) -> frozenset[str]:
        """The repositories of whose images nothing shows that archived ones were asked for."""
        return frozenset(
            name
            for name, several in self._contents.images.items()
            if not any(images.has_any_status for images in several)
        )

    def know_creation(self, created_at_ms: Mapping[str, int]) -> None:
        """Take repositories that no list dates for those which are known by that name."""
        self._created_at_ms = created_at_ms

    def ask(self, operation: str, parameters: Mapping[str, object]) -> Mapping[str, Any] | Unanswered:
        """The answer to one call (``DescribeImages``) with the parameters of the API."""
        token = parameters.get("nextToken")
        number = int(str(token)) if token else 0
        name = str(parameters.get("repositoryName") or "")
        if operation == "DescribeRepositories":
            return self._repositories(number)
        if operation == "DescribeImages":
            return self._images(name, number)
        if operation == "BatchGetImage":
            return self._manifests(parameters)
        if operation == "ListTagsForResource":
            return self._tags(str(parameters.get("resourceArn")).partition(":repository/")[2])
        if operation == "BatchGetRepositoryScanningConfiguration":
            return self._scanning(parameters)
        return self._other(operation, name or str(parameters.get("name") or ""), number)

    def gaps(self) -> list[Gap]:
        """What cannot be told from the answers, beside those that are not there."""
        contents = self._contents
        found = []
        if names := self.undated:
            found.append(
                self._gap(
                    "DescribeRepositories",
                    "NoCreationTime",
                    f"{_of_them(names)} without the time of creation: not to be told from another that was "
                    "made under its name before or after",
                    len(names),
                )
            )
        if names := sorted(contents.images.keys() - self._names().keys()):
            found.append(
                self._gap(
                    "DescribeRepositories",
                    "NotListed",
                    f"{_of_them(names)} with images that the list of repositories does not name: left out",
                    len(names),
                )
            )
        if contents.images and len(names := sorted(self.unsure_of_archived)) == len(contents.images):
            found.append(
                self._gap(
                    "DescribeImages",
                    "ArchivedNotShown",
                    f"{_of_them(names)} whose images were listed without a sign of --filter imageStatus=ANY: "
                    "archived images, which are billed, would be missing",
                    len(names),
                )
            )
        for name, several in sorted(contents.images.items()):
            if count := sum(images.contradictions for images in several):
                detail = (
                    f"{count} images listed more than once with different facts: what is listed last counts"
                )
                found.append(self._gap("DescribeImages", "Contradiction", detail, count, name))
            if len(several) > 1 or any(images.differ for images in several):
                detail = (
                    "listed more than once with different images: all of them count; remove the older list"
                )
                found.append(self._gap("DescribeImages", "Contradiction", detail, 1, name))
        for operation, subject in sorted(contents.contradicted):
            repository = subject if subject in self._names() else ""
            what = f" about {subject}" if subject and not repository else ""
            detail = f"given more than once{what} with different answers: the later counts"
            found.append(self._gap(operation, "Contradiction", detail, 1, repository))
        return found

    def _gap(self, operation: str, reason: str, detail: str, count: int, repository: str = "") -> Gap:
        key = self._key
        return Gap(key.account, key.region, repository, f"ecr:{operation}", reason, detail, count)

    def _all_images(self) -> Iterable[Images]:
        return (images for several in self._contents.images.values() for images in several)

    # Repositories.

    def _names(self) -> dict[str, Mapping[str, Any]]:
        """Entries of all repositories; of those that no list names only where no list is whole."""
        contents = self._contents
        entries = dict(contents.listing.entries)
        if not (contents.is_listed and contents.listing.is_whole):
            for name in sorted(contents.images.keys() - entries.keys()):
                entries[name] = {"repositoryName": name, "registryId": self._key.account}
        return entries

    @property
    def undated(self) -> list[str]:
        """The repositories that no list says the time of creation of, sorted."""
        return sorted(name for name, entry in self._names().items() if entry.get("createdAt") is None)

    def _repositories(self, number: int) -> Mapping[str, Any] | Unanswered:
        contents = self._contents
        ending: Unanswered | None = None
        if not contents.is_listed:
            ending = self._unanswered("DescribeRepositories", "")
        elif not contents.listing.is_whole:
            ending = _truncated()
        entries = [*map(self._completed, self._names().values()), *contents.listing.nameless]
        if ending is None:
            return {"repositories": entries}
        if number or not entries:
            return ending
        return {"repositories": entries, "nextToken": "1"}

    def _completed(self, entry: Mapping[str, Any]) -> Mapping[str, Any]:
        """The entry with what its name, and what is known of it already, add."""
        name = entry["repositoryName"]
        added: dict[str, Any] = {}
        if entry.get("createdAt") is None:
            added["createdAt"] = self._created_at_ms.get(name, 0) / 1000
        if not entry.get("repositoryArn"):
            key = self._key
            added["repositoryArn"] = f"arn:{key.partition}:ecr:{key.region}:{key.account}:repository/{name}"
        return {**entry, **added}

    # Images.

    def _images(self, name: str, number: int) -> Mapping[str, Any] | Unanswered:
        several = self._contents.images.get(name, ())
        pages = [span for images in several for span in images.pages]
        if not pages:
            return self._unanswered("DescribeImages", name)
        ending: Unanswered | None = None
        if not all(images.is_whole for images in several):
            ending = _truncated()
        elif filtered := next((images.filtered for images in several if images.filtered), ""):
            ending = Unanswered(
                "Filtered", f"they were asked for with {filtered}; ask for imageStatus=ANY alone"
            )
        if number == len(pages) and ending is not None:
            return ending
        page = {"imageDetails": self._gathered.spool.get(pages[number])}
        if number + 1 < len(pages) or ending is not None:
            return {**page, "nextToken": str(number + 1)}
        return page

    def _manifests(self, parameters: Mapping[str, object]) -> Mapping[str, Any]:
        gathered = self._gathered
        images, failures = [], []
        for image_id in _dicts(parameters.get("imageIds")):
            digest = image_id["imageDigest"]
            span = gathered.manifests.get(digest)
            if span is not None:
                entry = gathered.spool.get(span)
                if not isinstance(entry["imageManifest"], str):
                    # No text hashes to a digest that is not a text.
                    entry["imageManifest"] = ""
                images.append({**entry, "imageId": image_id})
                continue
            code, reason = gathered.failures.get(digest, (NOT_GIVEN, _remedy("BatchGetImage")))
            if code == NOT_GIVEN and any(digest in images.archived for images in self._all_images()):
                code = _IMAGE_NOT_FOUND
            failures.append({"imageId": image_id, "failureCode": code, "failureReason": reason})
        return {"images": images, "failures": failures}

    # Everything else.

    def _has_none(self, operation: str) -> bool:
        """Whether nothing at all is known of an operation that is asked repository by repository."""
        contents = self._contents
        sources = {operation, *_INSTEAD.get(operation, ())}
        return not any(key[0] in sources for key in (*contents.given, *contents.refused))

    def _tags(self, name: str) -> Mapping[str, Any] | Unanswered:
        contents = self._contents
        if name in contents.tags:
            return {"tags": contents.tags[name]}
        if contents.has_all_tags:
            # GetResources leaves out what never had a tag.
            return {"tags": []}
        if not contents.tags and self._has_none("ListTagsForResource"):
            return _none_given("ListTagsForResource")
        return self._unanswered("ListTagsForResource", name)

    def _scanning(self, parameters: Mapping[str, object]) -> Mapping[str, Any] | Unanswered:
        operation = "BatchGetRepositoryScanningConfiguration"
        if self._has_none(operation):
            return _none_given(operation)
        found, failures = [], []
        names = parameters.get("repositoryNames")
        for name in names if isinstance(names, list) else []:
            given = self._contents.given.get((operation, name))
            if given is not None:
                found.append(given.pages[0])
                continue
            missing = self._unanswered(operation, name)
            failures.append(
                {"repositoryName": name, "failureCode": missing.reason, "failureReason": missing.detail}
            )
        return {"scanningConfigurations": found, "failures": failures}

    def _other(self, operation: str, subject: str, number: int) -> Mapping[str, Any] | Unanswered:
        given = self._contents.given.get((operation, subject))
        if given is None:
            if operation in OF_A_REPOSITORY and self._has_none(operation):
                return _none_given(operation)
            return self._unanswered(operation, subject)
        if number == len(given.pages):
            return _truncated()
        page = {name: value for name, value in given.pages[number].items() if name not in _TOKENS}
        if number + 1 < len(given.pages) or given.is_open:
            page["nextToken"] = str(number + 1)
        return page

    def _unanswered(self, operation: str, subject: str) -> Unanswered:
        """Why there is no answer: what AWS said, or that none was given."""
        refused = self._contents.refused
        if (found := refused.get((operation, subject))) is not None:
            return found
        for source in (operation, *_INSTEAD.get(operation, ())):
            found = refused.get((source, ""))
            # That something is not there is said of one thing, and here it is not known which.
            if found is not None and not found.reason.endswith("NotFoundException"):
                return found
        return Unanswered(NOT_GIVEN, _remedy(operation))


_TOKENS = ("nextToken", "NextToken", "PaginationToken")
#: Whose answers stand for those of another call.
_INSTEAD = {"ListTagsForResource": ("GetResources",)}


def _dicts(value: object) -> Sequence[dict[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _of_them(names: Sequence[str]) -> str:
    several = f"{len(names)} repositories" if len(names) != 1 else "1 repository"
    more = f" and {len(names) - _NAMED_AT_MOST} more" if len(names) > _NAMED_AT_MOST else ""
    return f"{several} ({', '.join(names[:_NAMED_AT_MOST])}{more})"


def _remedy(operation: str) -> str:
    return f"add what `{cli_command(operation)}` prints"


def _none_given(operation: str) -> Unanswered:
    return Unanswered(NONE_GIVEN, _remedy(operation))


def _truncated() -> Unanswered:
    return Unanswered(
        TRUNCATED,
        "it ends with a token and what follows was not given; ask without --no-paginate and --max-items",
    )
