"""ECR's own lifecycle preview of single repositories, and their images right after it.

StartLifecyclePolicyPreview is a call of write level (it changes no image): only ``verify`` makes it,
for the repositories it was told. A repository has one preview at a time, the last one started; its
answer is used only where it is of the policy asked for, and one that somebody else runs with another
policy is left alone.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from analyzer.collect.clients import (
    TOTAL_ATTEMPTS,
    AwsRegistryClient,
    CallSettings,
    Identity,
    StoppedError,
    fetch_identity,
)
from analyzer.collect.ecr import fetch_lifecycle_policy
from analyzer.collect.gaps import gap_of
from analyzer.collect.images import add_page, milliseconds
from analyzer.collect.places import OwnAccess, Place
from analyzer.collect.refusals import PARAMETER_CODES, Reach, Refusal, RefusedError, one_line
from analyzer.errors import InputError
from analyzer.manifests import is_digest, storable
from analyzer.model.records import ABSENT, Artifact, Gap, RegistryKey
from analyzer.model.verification import Listing, Preview, PreviewAction, PreviewRow

if TYPE_CHECKING:
    from boto3.session import Session

_START = "StartLifecyclePolicyPreview"
_GET = "GetLifecyclePolicyPreview"
_LIST = "DescribeImages"
_POLICY = "GetLifecyclePolicy"

_IN_PROGRESS = "LifecyclePolicyPreviewInProgressException"
_NOT_FOUND = "LifecyclePolicyPreviewNotFoundException"
_NO_POLICY = "LifecyclePolicyNotFoundException"

#: Results on a page of a preview, and images on one of a listing, at most.
_PREVIEW_PAGE = 100
_LISTING_PAGE = 1000


@dataclass(frozen=True, slots=True)
class PreviewRequest:
    """One repository to preview."""

    key: RegistryKey
    repository: str
    #: None for the policy in force.
    policy_text: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewOptions:
    """How hard to press AWS."""

    #: Repositories previewed at a time.
    workers: int = 4
    #: Calls per second to one registry.
    requests_per_second: float = 5.0
    #: ECR's own waiter asks this often.
    poll_seconds: float = 5.0
    #: A preview that takes longer is given up on: AWS's waiter allows 100 s, which large
    #: repositories exceed.
    wait_seconds: float = 600.0
    #: Attempts of one call, the first included.
    attempts: int = TOTAL_ATTEMPTS


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewAnswer:
    """What came of one request: a preview with a listing, no policy, a refused policy, or a gap."""

    request: PreviewRequest
    preview: Preview | None = None
    listing: Listing | None = None
    has_no_policy: bool = False
    #: ECR's words on why it does not take the policy it was given; "" where it does.
    policy_refused: str = ""
    gap: Gap | None = None


def require_account(session: Session, regions: Sequence[str], accounts: Sequence[str]) -> Identity:
    """Whose credentials ``session`` has; raises InputError where they are of none of ``accounts``, if any.

    Raises RunError when they cannot be used.
    """
    identity = fetch_identity(session, regions)
    if accounts and identity.account not in accounts:
        raise InputError(
            f"the credentials belong to account {identity.account}, not to {', '.join(accounts)}; "
            "choose another profile or account"
        )
    return identity


def run_previews(
    session: Session,
    requests: Sequence[PreviewRequest],
    options: PreviewOptions,
    *,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] | None = None,
    done: Callable[[PreviewAnswer], None] = lambda _: None,
) -> list[PreviewAnswer]:
    """An answer to each request, in their order.

    ``clock`` gives seconds since 1970 UTC; ``sleep`` is what is waited with between looks at a
    preview (by default a wait that an interrupt ends); ``done`` is told each answer as it comes, in
    the caller's thread. Refusals become gaps; raises RunError when the credentials cannot be used,
    and whatever unexpected a thread raised.
    """
    stop = threading.Event()
    settings = CallSettings(
        requests_per_second=options.requests_per_second,
        connections=max(10, options.workers),
        attempts=options.attempts,
        stop=stop,
    )
    access = OwnAccess(session, "")
    client_of = {key: AwsRegistryClient(Place(key, access), settings) for key in {r.key for r in requests}}
    # A name twice over would start a preview while its own is running.
    asked = dict.fromkeys(requests)
    answers: dict[PreviewRequest, PreviewAnswer] = {}

    def wait(seconds: float) -> None:
        if sleep is None:
            stop.wait(seconds)
        else:
            sleep(seconds)
        if stop.is_set():
            raise StoppedError

    pool = ThreadPoolExecutor(max(1, min(options.workers, len(asked))), thread_name_prefix="preview")
    try:
        futures = [
            pool.submit(_answer, client_of[request.key], request, options, clock, wait) for request in asked
        ]
        for future in as_completed(futures):
            answer = future.result()
            answers[answer.request] = answer
            done(answer)
    finally:
        # Nothing is left to do, or an interrupt or fault ends it: no thread is to begin another call.
        stop.set()
        pool.shutdown(wait=False, cancel_futures=True)
    return [answers[request] for request in requests]


def _answer(
    client: AwsRegistryClient,
    request: PreviewRequest,
    options: PreviewOptions,
    clock: Callable[[], float],
    wait: Callable[[float], None],
) -> PreviewAnswer:
    name = request.repository
    preview = fetch_preview(client, name, request.policy_text, options, clock=clock, wait=wait)
    if isinstance(preview, _Refused):
        refusal = preview.refusal
        if refusal.reason == _NO_POLICY:
            return PreviewAnswer(request=request, has_no_policy=True)
        if preview.operation == _START and refusal.reason in PARAMETER_CODES and request.policy_text:
            # The policy is the only parameter that ECR did not name itself.
            return PreviewAnswer(request=request, policy_refused=refusal.detail)
        return PreviewAnswer(request=request, gap=gap_of(client.key, name, preview.operation, refusal))
    try:
        listing = fetch_listing(client, name)
    except RefusedError as error:
        return PreviewAnswer(request=request, gap=gap_of(client.key, name, _LIST, error.refusal))
    return PreviewAnswer(request=request, preview=preview, listing=listing)


@dataclass(frozen=True, slots=True)
class _Refused:
    """The call that ended a preview, and why."""

    operation: str
    refusal: Refusal


def fetch_preview(
    client: AwsRegistryClient,
    repository: str,
    policy_text: str | None,
    options: PreviewOptions,
    *,
    clock: Callable[[], float],
    wait: Callable[[float], None],
) -> Preview | _Refused:
    """ECR's preview of ``policy_text`` (None: of the policy in force) on ``repository``."""
    operation = _START
    try:
        started = _ms(clock)
        expected, joined = _start(client, repository, policy_text)
        if expected is None:
            operation = _POLICY
            expected = _live_policy(client, repository)
        operation = _GET
        first = _completed(client, repository, expected, options, wait, joined=joined)
        completed = _ms(clock)
        rows: dict[str, PreviewRow] = {}
        for page in _results(client, repository, first, expected):
            for entry in _list(page.get("previewResults", [])):
                row = _row(entry)
                if rows.setdefault(row.digest, row) != row:
                    raise RefusedError(_unusable(f"two rows differ on {row.digest}"))
    except RefusedError as error:
        return _Refused(operation, error.refusal)
    expiring, transitioning = _summary(first.get("summary"))
    said = first.get("lifecyclePolicyText")
    return Preview(
        policy_text=said if isinstance(said, str) else expected,
        started_at_ms=started,
        completed_at_ms=completed,
        joined=joined,
        rows=tuple(rows.values()),
        expiring_total=expiring,
        transitioning_total=transitioning,
    )


def fetch_listing(client: AwsRegistryClient, repository: str) -> Listing:
    """All artifacts of a repository as they are now, archived ones included; raises RefusedError.

    Unlike a collected listing it has pulls to the millisecond, and must be whole.
    """
    artifacts: dict[str, Artifact] = {}
    pulled: dict[str, int] = {}
    pages = _pages(client, _LIST, _LISTING_PAGE, repositoryName=repository, filter={"imageStatus": "ANY"})
    for page in pages:
        details = _list(page.get("imageDetails"))
        faults = add_page(details, artifacts)
        if faults.left_out or faults.mended:
            raise RefusedError(_unusable("images of the listing could not be understood"))
        for detail in details:
            moment = milliseconds(detail.get("lastRecordedPullTime"))
            if moment is not None:
                pulled[detail["imageDigest"]] = moment
    return Listing(artifacts, pulled)


def same_policy(one: str, other: str) -> bool:
    """Whether two texts are the same policy, however they are spaced."""
    if one == other:
        return True
    try:
        return bool(json.loads(one) == json.loads(other))
    except (ValueError, RecursionError):
        return False


def _start(client: AwsRegistryClient, repository: str, policy_text: str | None) -> tuple[str | None, bool]:
    """Start a preview; gives the policy it is of, and whether somebody else's is to be used instead.

    The policy is None where it is the one in force and ECR does not say which that is.
    """
    given = {} if policy_text is None else {"lifecyclePolicyText": policy_text}
    try:
        answer = client.call(_START, tolerate=PARAMETER_CODES, repositoryName=repository, **given)
    except RefusedError as error:
        if error.refusal.reason != _IN_PROGRESS:
            raise
        return policy_text, True
    said = answer.get("lifecyclePolicyText")
    return said if isinstance(said, str) else policy_text, False


def _live_policy(client: AwsRegistryClient, repository: str) -> str:
    """The policy in force; raises RefusedError where there is none."""
    stored = fetch_lifecycle_policy(client, repository)
    if stored == ABSENT:
        raise RefusedError(Refusal(_NO_POLICY, Reach.CALL, "the repository has no lifecycle policy"))
    return cast(str, json.loads(stored))


def _completed(
    client: AwsRegistryClient,
    repository: str,
    expected: str,
    options: PreviewOptions,
    wait: Callable[[float], None],
    *,
    joined: bool,
) -> Mapping[str, Any]:
    """The first page of the preview once it is complete."""
    for _ in range(max(1, round(options.wait_seconds / options.poll_seconds))):
        try:
            page = _page(client, repository)
        except RefusedError as error:
            # Started a moment ago, and not seen everywhere yet.
            if error.refusal.reason != _NOT_FOUND:
                raise
            page = {"status": "IN_PROGRESS"}
        _require_policy(page, expected, joined=joined)
        status = page.get("status")
        if status == "COMPLETE":
            return page
        if status in ("FAILED", "EXPIRED"):
            detail = f"ECR says that the preview is {status}; run verify again"
            raise RefusedError(Refusal(f"Preview{status.capitalize()}", Reach.CALL, detail))
        if status != "IN_PROGRESS":
            raise RefusedError(_unusable(f"a preview has the status {one_line(repr(status), 40)}"))
        wait(options.poll_seconds)
    detail = f"it was not complete after {options.wait_seconds:g} s; wait longer with --wait"
    raise RefusedError(Refusal("PreviewTimeout", Reach.CALL, detail))


def _require_policy(page: Mapping[str, Any], expected: str, *, joined: bool) -> None:
    """Raise RefusedError where the preview is of another policy."""
    text = page.get("lifecyclePolicyText")
    if not isinstance(text, str) or same_policy(text, expected):
        return
    if joined:
        detail = "somebody else's preview, of another policy, is running there; run verify again after it"
        raise RefusedError(Refusal("OtherPreviewRunning", Reach.CALL, detail))
    detail = "somebody else started a preview of another policy meanwhile; run verify again"
    raise RefusedError(Refusal("PreviewReplaced", Reach.CALL, detail))


def _page(client: AwsRegistryClient, repository: str, **more: object) -> Mapping[str, Any]:
    return client.call(
        _GET, tolerate=PARAMETER_CODES, repositoryName=repository, maxResults=_PREVIEW_PAGE, **more
    )


def _results(
    client: AwsRegistryClient, repository: str, first: Mapping[str, Any], expected: str
) -> Iterator[Mapping[str, Any]]:
    """All pages of a complete preview, ``first`` included."""
    page = first
    while True:
        yield page
        token = page.get("nextToken")
        if not token:
            return
        page = _page(client, repository, nextToken=token)
        _require_policy(page, expected, joined=False)
        if page.get("status") != "COMPLETE":
            detail = "a new preview was started while this one was read; run verify again"
            raise RefusedError(Refusal("PreviewReplaced", Reach.CALL, detail))
        if page.get("nextToken") == token:
            raise RefusedError(_unusable("the same page token came twice in a row"))


def _pages(
    client: AwsRegistryClient, operation: str, size: int, **parameters: object
) -> Iterator[Mapping[str, Any]]:
    """The pages of a listing; raises RefusedError at the page that did not come."""
    token: object = None
    while True:
        more = {} if token is None else {"nextToken": token}
        page = client.call(operation, tolerate=PARAMETER_CODES, maxResults=size, **parameters, **more)
        yield page
        following = page.get("nextToken")
        if not following:
            return
        if following == token:
            raise RefusedError(_unusable("the same page token came twice in a row"))
        token = following


def _row(entry: object) -> PreviewRow:
    """One of ``previewResults``; raises RefusedError where it is not understood.

    To leave one out would seem like an image that ECR keeps.
    """
    found: dict[str, Any] = entry if isinstance(entry, dict) else {}
    digest, action, rule = found.get("imageDigest"), found.get("action"), found.get("appliedRulePriority")
    kind = action.get("type") if isinstance(action, dict) else None
    tags = found.get("imageTags") or []
    if not isinstance(digest, str) or not is_digest(digest):
        raise RefusedError(_unusable("a row of the preview names no image that can be understood"))
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise RefusedError(_unusable("a row of the preview has tags that can not be understood"))
    if kind not in ("EXPIRE", "TRANSITION"):
        raise RefusedError(_unusable(f"a row has the action {one_line(repr(kind), 40)}, which is not known"))
    if rule is not None and type(rule) is not int:
        raise RefusedError(_unusable(f"a row has the rule {one_line(repr(rule), 40)}"))
    try:
        pushed = milliseconds(found.get("imagePushedAt"))
    except (TypeError, ValueError, OverflowError, RuntimeError):
        pushed = None
    names = tuple(sorted({storable(tag) for tag in tags}))
    return PreviewRow(digest, names, pushed, cast(PreviewAction, kind), rule)


def _summary(summary: object) -> tuple[int | None, int | None]:
    """Images that expire and that transition, None for what the summary does not say."""
    if not isinstance(summary, dict):
        return None, None
    expiring = summary.get("expiringImageTotalCount")
    # Present only where at least one image transitions.
    counts = summary.get("transitioningImageTotalCounts") or []
    numbers: list[Any] = [one.get("imageTotalCount") for one in counts if isinstance(one, dict)]
    sound = all(type(number) is int for number in numbers) and len(numbers) == len(counts)
    return expiring if type(expiring) is int else None, sum(numbers) if sound else None


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise RefusedError(_unusable("the answer holds no list where one was due"))
    return value


def _unusable(detail: str) -> Refusal:
    return Refusal("InvalidAnswer", Reach.CALL, detail)


def _ms(clock: Callable[[], float]) -> int:
    return round(clock() * 1000)
