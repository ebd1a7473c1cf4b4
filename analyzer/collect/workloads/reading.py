"""How a source of workloads is read: calls that may be refused, lists page by page, what was named.

A source never ends the collection of its registry: whatever it is refused becomes a gap, and what
it could read counts. Its read is complete only when nothing at all was refused or left out, for
only then may a use that was not seen be taken for gone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from analyzer.collect.clients import AwsRegistryClient
from analyzer.collect.gaps import gap_of
from analyzer.collect.refusals import PARAMETER_CODES, Reach, Refusal, RefusedError, one_line
from analyzer.collect.workloads.options import WorkloadOptions
from analyzer.model.records import Gap, KnownUse, ReadStatus, RegistryKey, UseKind, WorkloadRead, WorkloadUse

#: Calls of one operation by one source in one account and region and night. Task definitions and
#: functions are described once and then known: of more than these the rest follows on later nights.
MOST_CALLS = 5_000
#: Refusals of an operation after which it is not asked about further things: the permission is
#: missing altogether, as a rule.
_DENIALS = 3
#: Longer names and references are cut; AWS's own limits are below these.
_WORKLOAD_CHARACTERS, _REFERENCE_CHARACTERS = 512, 1024
#: What is changed less than this before it was first seen may have been changed after it was read:
#: a snapshot bears the time at which the last of its registry was listed.
_READING_MS = 3_600_000

#: In the year 9999; a time beyond it is none.
_END_OF_TIME = 253_000_000_000

#: What an endpoint answers that does not have the service at all (an emulator, a partition that
#: lags behind), and AWS to an account that never signed up for it: nothing can run there.
_NOT_THERE = frozenset(
    {
        "InvalidAction",
        "NotImplemented",
        "OptInRequired",
        "SubscriptionRequiredException",
        "UnknownOperationException",
        "UnsupportedCommandException",
        "UnsupportedOperationException",
    }
)


class NotThereError(Exception):
    """The service does not exist there; never leaves this package."""


class SourceOutcome(NamedTuple):
    """What one source gave, and what it was refused."""

    reads: Sequence[WorkloadRead]
    gaps: Sequence[Gap]


class _Trouble(NamedTuple):
    refusal: Refusal
    #: How often the same call was refused for the same reason.
    times: int
    #: Entries that came before lists broke off.
    kept: int


class Reading:
    """One source being read in the account and region of one registry; used by one thread."""

    def __init__(
        self, client: AwsRegistryClient, source: str, known: Iterable[KnownUse], options: WorkloadOptions
    ) -> None:
        """``known`` are the uses that the last snapshot has of this source."""
        self.client = client
        self.source = source
        self.options = options
        self._known: dict[str, list[KnownUse]] = {}
        for entry in known:
            self._known.setdefault(entry.use.workload, []).append(entry)
        self._uses: set[WorkloadUse] = set()
        #: By call, reason and what it is about where each of these has a gap of its own.
        self._troubles: dict[tuple[str, str, str], _Trouble] = {}
        self._answered: set[str] = set()
        self._denied: Counter[str] = Counter()
        self._asked: Counter[str] = Counter()

    @property
    def key(self) -> RegistryKey:
        """The registry in whose account and region this is."""
        return self.client.key

    def call(
        self,
        service: str,
        operation: str,
        *,
        is_gone: Callable[[Refusal], bool] = lambda _: False,
        **parameters: object,
    ) -> Mapping[str, Any] | None:
        """The answer of ``service`` (boto3's name), or None when it was refused, which is noted.

        ``is_gone`` says which refusals mean that what was asked about has gone in the meantime: those
        are nothing to note. Raises NotThereError when the endpoint does not have the service.
        """
        answer, refusal = self._ask(service, operation, parameters)
        if refusal is not None and not is_gone(refusal):
            self.trouble(f"{service}:{operation}", refusal)
        return answer

    def pages(
        self,
        service: str,
        operation: str,
        entries: str,
        *,
        by: str = "nextToken",
        next_by: str | None = None,
        most: int = MOST_CALLS,
        is_gone: Callable[[Refusal], bool] = lambda _: False,
        **parameters: object,
    ) -> Iterator[Any]:
        """The items of the list ``entries``, page by page; a list that breaks off is noted.

        ``by`` is the parameter that asks for a further page and ``next_by`` the field that
        brings it, where that has another name; ``most`` pages are read.
        """
        call = f"{service}:{operation}"
        kept = 0
        seen: set[str] = set()
        for _ in range(most):
            answer, refusal = self._ask(service, operation, parameters)
            if answer is None or refusal is not None:
                if refusal is not None and not is_gone(refusal):
                    self.trouble(call, refusal, kept=kept)
                return
            page = answer.get(entries)
            if isinstance(page, list):
                kept += len(page)
                yield from page
            elif page is not None:
                self.trouble(call, Refusal("InvalidAnswer", Reach.CALL, f"{entries} is no list"), kept=kept)
            following = answer.get(next_by or by)
            if not following:
                return
            if not isinstance(following, str) or following in seen:
                detail = "the token of the next page is one that was there before"
                self.trouble(call, Refusal("InvalidAnswer", Reach.CALL, detail), kept=kept)
                return
            seen.add(following)
            parameters[by] = following
        self.trouble(call, Refusal("TooManyPages", Reach.CALL, f"{most} pages are read at most"), kept=kept)

    def _ask(
        self, service: str, operation: str, parameters: Mapping[str, object]
    ) -> tuple[Mapping[str, Any] | None, Refusal | None]:
        call = f"{service}:{operation}"
        if self._denied[call] >= _DENIALS:
            known = next(t.refusal for (name, *_), t in self._troubles.items() if name == call)
            return None, known
        if self._asked[call] >= MOST_CALLS:
            return None, Refusal(
                "TooManyCalls", Reach.CALL, f"{MOST_CALLS} such calls a night are made at most"
            )
        self._asked[call] += 1
        try:
            answer = self.client.service(service).call(operation, tolerate=PARAMETER_CODES, **parameters)
        except RefusedError as error:
            refusal = error.refusal
            if refusal.reason in _NOT_THERE and not self._answered:
                raise NotThereError from error
            if refusal.reach in (Reach.REPOSITORY, Reach.REGISTRY) and call not in self._answered:
                self._denied[call] += 1 if refusal.reach is Reach.REPOSITORY else _DENIALS
            return None, refusal
        self._answered.add(call)
        return answer, None

    def trouble(self, call: str, refusal: Refusal, *, count: int = 1, kept: int = 0, about: str = "") -> None:
        """Note that ``call``, as IAM spells it, left something unread.

        Of a call that is refused for the same reason again and again there is one gap, or one for each
        thing that it is ``about``.
        """
        key = call, refusal.reason, about
        before = self._troubles.get(key, _Trouble(refusal, 0, 0))
        self._troubles[key] = _Trouble(before.refusal, before.times + count, before.kept + kept)

    def use(self, workload: str, reference: object, kind: UseKind) -> None:
        """Note that ``workload`` names an image, if ``reference`` is one."""
        if isinstance(reference, str) and reference.strip():
            name = one_line(workload, _WORKLOAD_CHARACTERS)
            self._uses.add(WorkloadUse(name, one_line(reference, _REFERENCE_CHARACTERS), kind))

    def known(self, workload: str, *, changed_at_ms: int | None = None) -> tuple[str, ...]:
        """The references that ``workload`` is known to name, if it is as it was when they were read.

        ``changed_at_ms`` is when it was last changed; None for what never changes. Empty when it is
        not known, or has changed since.
        """
        entries = self._known.get(one_line(workload, _WORKLOAD_CHARACTERS), [])
        if changed_at_ms is not None and any(
            changed_at_ms >= entry.seen_at_ms - _READING_MS for entry in entries
        ):
            return ()
        return tuple(sorted({entry.use.reference for entry in entries}))

    @property
    def has_known_uses(self) -> bool:
        """Whether the last snapshot has uses of this source."""
        return bool(self._known)

    @property
    def is_untroubled(self) -> bool:
        """Whether nothing was refused or left out so far."""
        return not self._troubles

    def outcome(self) -> SourceOutcome:
        """What was read in all."""
        status = ReadStatus.COMPLETE
        if self._troubles:
            status = ReadStatus.PARTIAL if self._answered else ReadStatus.REFUSED
        gaps = [
            gap_of(self.key, "", call, trouble.refusal, kept=trouble.kept, count=trouble.times)
            for (call, *_), trouble in sorted(self._troubles.items())
        ]
        return SourceOutcome([WorkloadRead(self.source, status, tuple(sorted(self._uses)))], gaps)


def text(value: object) -> str:
    """``value`` if it is text, else ""."""
    return value if isinstance(value, str) else ""


def entries(value: object) -> list[Mapping[str, Any]]:
    """The objects of a list in an answer; none where it is no list."""
    return [entry for entry in value if isinstance(entry, Mapping)] if isinstance(value, list) else []


def mapping(value: object) -> Mapping[str, Any]:
    """``value`` if it is an object of an answer, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def batches(items: Iterable[object], size: int) -> Iterator[list[str]]:
    """``items`` in lists of ``size``, without those that are no text or empty."""
    batch: list[str] = []
    for item in items:
        if isinstance(item, str) and item:
            batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def with_digest(image: object, digest: object) -> str:
    """``image`` as a workload names it, with the digest that it got behind it."""
    name = text(image)
    if not name or not text(digest) or "@" in name:
        return name
    return f"{name}@{digest}"


def last_part(arn: object) -> str:
    """What comes after the last slash of an ARN: a cluster's name, ``family:revision``."""
    return text(arn).rpartition("/")[2]


def time_ms(value: object) -> int | None:
    """A time of an answer, in milliseconds UTC; None if it cannot be understood.

    Services that speak JSON give seconds since 1970, Lambda ISO 8601.
    """
    if isinstance(value, float | int) and 0 <= value < _END_OF_TIME:
        return round(value * 1000)
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    if value.tzinfo is None:
        value = value.replace(tzinfo=UTC)
    return round(value.timestamp() * 1000)


def revision(name: str) -> tuple[str, int] | None:
    """Family and number of ``family:revision``, or None."""
    family, _, number = name.rpartition(":")
    return (family, int(number)) if family and number.isdecimal() and len(number) < 19 else None


class Revisions:
    """The last few revisions of each family, from a list in any order."""

    def __init__(self, most: int) -> None:
        """Keep ``most`` of each family."""
        self._most = most
        self._numbers: dict[str, list[int]] = {}

    def add(self, family: str, number: int) -> None:
        """Count one revision in."""
        numbers = self._numbers.setdefault(family, [])
        numbers.append(number)
        if len(numbers) > 2 * self._most + 100:
            self._numbers[family] = sorted(numbers)[-self._most :]

    def last(self) -> Iterator[tuple[str, bool]]:
        """Each ``family:revision`` that is among the last, and whether it is the newest of its family."""
        for family, numbers in sorted(self._numbers.items()):
            kept = sorted(set(numbers))[-self._most :]
            for number in kept:
                yield f"{family}:{number}", number == kept[-1]
