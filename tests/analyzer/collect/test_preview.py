"""ECR's lifecycle preview as this package asks for it, over real boto3 clients."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from analyzer.collect import preview as previews
from analyzer.collect.preview import (
    PreviewAnswer,
    PreviewOptions,
    PreviewRequest,
    require_account,
    run_previews,
    same_policy,
)
from analyzer.errors import InputError, RunError
from analyzer.model.records import RegistryKey
from analyzer.model.verification import PreviewRow
from tests.analyzer.collect.fakes import ACCOUNT, REGION, Aws, Request, session
from tests.support.registry import (
    DAY,
    EPOCH,
    LifecyclePreview,
    Repository,
    World,
    manifest_text,
)
from tests.support.stub_ecr import Answer, Fault

KEY = RegistryKey("aws", ACCOUNT, REGION)
POLICY = json.dumps(
    {
        "rules": [
            {
                "rulePriority": 1,
                "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 3},
                "action": {"type": "expire"},
            }
        ]
    }
)
OTHER = POLICY.replace("3", "4")
PULLED = EPOCH + 1.234


def everything_goes(repository: Repository, text: str) -> list[dict[str, Any]]:
    """Rows in which each image of a repository expires by rule 1."""
    assert json.loads(text)["rules"]
    return [
        {
            "imageDigest": image.digest,
            "imagePushedAt": image.pushed_at,
            "action": {"type": "EXPIRE"},
            "appliedRulePriority": 1,
            "storageClass": "STANDARD",
            **({"imageTags": image.tags} if image.tags else {}),
        }
        for image in repository.images.values()
    ]


@pytest.fixture
def world() -> World:
    world = World()
    world.previewer = everything_goes
    repository = world.registry().create_repository("team/app")
    repository.lifecycle_policy = POLICY
    for number in range(5):
        digest = f"sha256:{number:064x}"
        repository.put_image(
            manifest_text([(digest, 10)], (digest, 5)),
            tag=f"v{number}" if number else None,
            pushed_at=EPOCH + number * DAY,
        )
    newest = list(repository.images.values())[-1]
    newest.pulled_at = PULLED
    newest.changed()
    return world


@pytest.fixture
def aws(world: World) -> Aws:
    return Aws(world)


class Clock:
    """Seconds that pass only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1_780_000_000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def ask(
    clock: Clock,
    *names: str,
    text: str | None = POLICY,
    wait_seconds: float = 60,
    done: Callable[[PreviewAnswer], None] = lambda _: None,
) -> list[PreviewAnswer]:
    options = PreviewOptions(requests_per_second=1e9, attempts=1, wait_seconds=wait_seconds)
    requests = [PreviewRequest(KEY, name, text) for name in names or ("team/app",)]
    return run_previews(session(), requests, options, clock=clock, sleep=clock.sleep, done=done)


def reason_of(answer: PreviewAnswer) -> tuple[str, str]:
    assert answer.preview is None
    assert answer.gap is not None
    assert answer.gap.repository == answer.request.repository
    return answer.gap.call, answer.gap.reason


# --- what comes back ----------------------------------------------------------------------------


def test_preview_is_waited_for_and_read_with_a_listing_taken_after_it(
    aws: Aws, world: World, clock: Clock
) -> None:
    repository = world.registry().repositories["team/app"]
    repository.preview_looks = 3
    (answer,) = ask(clock)
    assert clock.slept == [5.0, 5.0, 5.0]
    assert answer.gap is None
    preview = answer.preview
    assert preview is not None
    assert preview.policy_text == POLICY
    assert (preview.started_at_ms, preview.completed_at_ms) == (1_780_000_000_000, 1_780_000_015_000)
    assert not preview.joined
    assert preview.rows[0] == PreviewRow(next(iter(repository.images)), (), round(EPOCH * 1000), "EXPIRE", 1)
    assert preview.rows[4].tags == ("v4",)
    assert (preview.expiring_total, preview.transitioning_total) == (5, 0)
    listing = answer.listing
    assert listing is not None
    assert list(listing.artifacts) == list(repository.images)
    assert listing.pulled_at_ms == {list(repository.images)[4]: round(PULLED * 1000)}
    calls = [request.operation for request in aws.requests]
    assert calls == [
        "StartLifecyclePolicyPreview",
        *["GetLifecyclePolicyPreview"] * 4,
        "DescribeImages",
    ]
    assert aws.asked("DescribeImages")[0].parameters["filter"] == {"imageStatus": "ANY"}


def test_nothing_but_the_preview_is_started(aws: Aws, clock: Clock) -> None:
    ask(clock)
    (started,) = aws.asked("StartLifecyclePolicyPreview")
    assert started.parameters == {"repositoryName": "team/app", "lifecyclePolicyText": POLICY}


@pytest.mark.usefixtures("aws")
def test_pages_are_followed_to_their_end(world: World, clock: Clock) -> None:
    aws = Aws(world, page_size=2)
    (answer,) = ask(clock)
    assert answer.preview is not None
    assert [row.tags for row in answer.preview.rows] == [(), ("v1",), ("v2",), ("v3",), ("v4",)]
    assert [request.parameters["maxResults"] for request in aws.asked("GetLifecyclePolicyPreview")] == [
        100
    ] * 4
    assert answer.listing is not None
    assert len(answer.listing.artifacts) == 5


@pytest.mark.usefixtures("aws")
def test_transitions_and_their_count_are_read(world: World, clock: Clock) -> None:
    def archive(repository: Repository, text: str) -> list[dict[str, Any]]:
        first, *others = everything_goes(repository, text)
        return [{**first, "action": {"type": "TRANSITION", "targetStorageClass": "ARCHIVE"}}, *others]

    world.previewer = archive
    (answer,) = ask(clock)
    assert answer.preview is not None
    assert [row.action for row in answer.preview.rows] == ["TRANSITION", *["EXPIRE"] * 4]
    assert (answer.preview.expiring_total, answer.preview.transitioning_total) == (4, 1)


def test_policy_in_force_is_previewed_as_ecr_says_it(aws: Aws, world: World, clock: Clock) -> None:
    (answer,) = ask(clock, text=None)
    assert aws.asked("StartLifecyclePolicyPreview")[0].parameters == {"repositoryName": "team/app"}
    assert answer.preview is not None
    assert answer.preview.policy_text == POLICY
    world.registry().repositories["team/app"].lifecycle_policy = None
    (answer,) = ask(clock, text=None)
    assert answer.has_no_policy
    assert (answer.gap, answer.preview) == (None, None)


@pytest.mark.usefixtures("aws")
def test_a_missing_summary_is_unknown_and_not_zero(world: World, clock: Clock) -> None:
    repository = world.registry().repositories["team/app"]
    repository.preview_summary = {}
    (answer,) = ask(clock)
    assert answer.preview is not None
    assert (answer.preview.expiring_total, answer.preview.transitioning_total) == (None, None)
    repository.preview_summary = {"transitioningImageTotalCounts": [{"imageTotalCount": "many"}]}
    (answer,) = ask(clock)
    assert answer.preview is not None
    assert (answer.preview.expiring_total, answer.preview.transitioning_total) == (None, None)


def test_answers_come_in_the_order_asked_for_and_are_told_as_they_come(
    aws: Aws, world: World, clock: Clock
) -> None:
    names = [f"team/app{number}" for number in range(6)]
    for name in names:
        world.registry().create_repository(name)
    told: list[str] = []
    main = threading.current_thread()

    def done(answer: PreviewAnswer) -> None:
        assert threading.current_thread() is main
        told.append(answer.request.repository)

    answers = ask(clock, *reversed(names), names[0], done=done)
    assert [answer.request.repository for answer in answers] == [*reversed(names), names[0]]
    assert sorted(told) == names
    assert len(aws.asked("StartLifecyclePolicyPreview")) == 6


# --- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "call"),
    [
        ("StartLifecyclePolicyPreview", "ecr:StartLifecyclePolicyPreview"),
        ("GetLifecyclePolicyPreview", "ecr:GetLifecyclePolicyPreview"),
        ("DescribeImages", "ecr:DescribeImages"),
    ],
)
@pytest.mark.parametrize(
    ("kind", "reason"), [("deny", "AccessDeniedException"), ("throttle", "ThrottlingException")]
)
def test_a_refused_call_is_a_gap_of_its_repository(
    aws: Aws, world: World, clock: Clock, operation: str, call: str, kind: Any, reason: str
) -> None:
    world.registry().create_repository("other")
    aws.stub.faults = [Fault(kind, operation, "team/*")]
    refused, other = ask(clock, "team/app", "other")
    assert reason_of(refused) == (call, reason)
    assert other.gap is None
    assert other.preview is not None


@pytest.mark.usefixtures("aws")
def test_a_repository_that_is_gone_is_a_gap(clock: Clock) -> None:
    (answer,) = ask(clock, "never/was")
    assert reason_of(answer) == ("ecr:StartLifecyclePolicyPreview", "RepositoryNotFoundException")


def test_a_policy_that_ecr_refuses_is_told_as_such(aws: Aws, clock: Clock) -> None:
    message = "Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: 'no'"
    aws.stub.faults = [
        Fault("code", "StartLifecyclePolicyPreview", code="InvalidParameterException", message=message)
    ]
    (given,) = ask(clock)
    assert given.policy_refused == message
    assert given.gap is None
    # Where ECR takes its own policy, it is something else that it does not like.
    (live,) = ask(clock, text=None)
    assert reason_of(live) == ("ecr:StartLifecyclePolicyPreview", "InvalidParameterException")


@pytest.mark.parametrize("end", ["FAILED", "EXPIRED"])
@pytest.mark.usefixtures("aws")
def test_a_preview_that_ends_otherwise_is_a_gap(world: World, clock: Clock, end: str) -> None:
    world.registry().repositories["team/app"].preview_ends_as = end
    (answer,) = ask(clock)
    assert reason_of(answer) == ("ecr:GetLifecyclePolicyPreview", f"Preview{end.capitalize()}")
    assert answer.gap is not None
    assert end in answer.gap.detail


def test_a_preview_that_takes_too_long_is_given_up_on(aws: Aws, world: World, clock: Clock) -> None:
    world.registry().repositories["team/app"].preview_looks = 1_000
    (answer,) = ask(clock, wait_seconds=60)
    assert reason_of(answer) == ("ecr:GetLifecyclePolicyPreview", "PreviewTimeout")
    assert len(aws.asked("GetLifecyclePolicyPreview")) == 12
    assert clock.slept == [5.0] * 12


def test_a_preview_that_is_not_yet_seen_is_waited_for(aws: Aws, clock: Clock) -> None:
    aws.stub.faults = [
        Fault("code", "GetLifecyclePolicyPreview", times=2, code="LifecyclePolicyPreviewNotFoundException")
    ]
    (answer,) = ask(clock)
    assert answer.preview is not None
    assert len(clock.slept) == 3


def test_unusable_credentials_end_it(aws: Aws, clock: Clock) -> None:
    aws.stub.faults = [Fault("code", "StartLifecyclePolicyPreview", code="ExpiredTokenException")]
    with pytest.raises(RunError, match="expired"):
        ask(clock)


# --- other people's previews --------------------------------------------------------------------


def running(world: World, text: str, looks: int = 2) -> Repository:
    repository = world.registry().repositories["team/app"]
    repository.preview = LifecyclePreview(text, everything_goes(repository, text), looks)
    return repository


@pytest.mark.parametrize("text", [POLICY, None])
def test_a_running_preview_of_the_same_policy_is_used(
    aws: Aws, world: World, clock: Clock, text: str | None
) -> None:
    running(world, json.dumps(json.loads(POLICY), indent=4))
    (answer,) = ask(clock, text=text)
    assert answer.preview is not None
    assert answer.preview.joined
    assert len(answer.preview.rows) == 5
    assert len(aws.asked("StartLifecyclePolicyPreview")) == 1


@pytest.mark.parametrize("looks", [2, 50])
def test_a_running_preview_of_another_policy_is_left_alone(
    aws: Aws, world: World, clock: Clock, looks: int
) -> None:
    repository = running(world, OTHER, looks)
    (answer,) = ask(clock)
    assert reason_of(answer) == ("ecr:GetLifecyclePolicyPreview", "OtherPreviewRunning")
    assert answer.gap is not None
    assert "somebody else's preview, of another policy, is running" in answer.gap.detail
    assert repository.preview is not None
    assert repository.preview.policy_text == OTHER
    assert len(aws.asked("StartLifecyclePolicyPreview")) == 1


def test_a_running_preview_where_the_policy_in_force_may_not_be_read(
    aws: Aws, world: World, clock: Clock
) -> None:
    running(world, POLICY)
    aws.stub.faults = [Fault("deny", "GetLifecyclePolicy")]
    (answer,) = ask(clock, text=None)
    assert reason_of(answer) == ("ecr:GetLifecyclePolicy", "AccessDeniedException")


@pytest.mark.parametrize("nth", [2, 3])
def test_a_preview_that_somebody_replaces_is_not_taken_for_ours(world: World, clock: Clock, nth: int) -> None:
    aws = Aws(world, page_size=2)
    repository = world.registry().repositories["team/app"]

    def replace(request: Request) -> Answer | None:
        if request.operation == "GetLifecyclePolicyPreview" and repository.preview is not None:
            looked = len(aws.asked("GetLifecyclePolicyPreview"))
            if looked == nth:
                repository.preview = LifecyclePreview(OTHER, repository.preview.rows, 0)
        return None

    aws.hook = replace
    (answer,) = ask(clock)
    assert reason_of(answer) == ("ecr:GetLifecyclePolicyPreview", "PreviewReplaced")


def test_pages_of_a_preview_that_is_started_again_are_not_mixed(world: World, clock: Clock) -> None:
    aws = Aws(world, page_size=2)
    repository = world.registry().repositories["team/app"]

    def restart(request: Request) -> Answer | None:
        if "nextToken" in request.parameters and repository.preview is not None:
            repository.preview = LifecyclePreview(POLICY, [], 5)
        return None

    aws.hook = restart
    (answer,) = ask(clock)
    assert reason_of(answer) == ("ecr:GetLifecyclePolicyPreview", "PreviewReplaced")


# --- answers that cannot be understood ----------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"imageDigest": "sha256:short"},
        {"imageDigest": None},
        {"imageTags": "v1"},
        {"imageTags": [1]},
        {"action": {"type": "COPY"}},
        {"action": None},
        {"action": "EXPIRE"},
        {"appliedRulePriority": "1"},
        {"appliedRulePriority": True},
    ],
    ids=str,
)
@pytest.mark.usefixtures("aws")
def test_a_row_that_is_not_understood_spoils_the_preview(
    world: World, clock: Clock, change: dict[str, object]
) -> None:
    # Left out, it would look like an image that ECR keeps.
    world.registry().repositories["team/app"].preview_summary = {"expiringImageTotalCount": 5}
    world.previewer = lambda repository, text: [
        {**row, **change} if number == 2 else row
        for number, row in enumerate(everything_goes(repository, text))
    ]
    (answer,) = ask(clock)
    assert reason_of(answer) == ("ecr:GetLifecyclePolicyPreview", "InvalidAnswer")


@pytest.mark.usefixtures("aws")
def test_a_row_may_lack_what_is_not_needed(world: World, clock: Clock) -> None:
    def bare(repository: Repository, _: str) -> list[dict[str, Any]]:
        return [
            {"imageDigest": digest, "action": {"type": "EXPIRE"}, "imagePushedAt": "no time"}
            for digest in repository.images
        ]

    world.previewer = bare
    (answer,) = ask(clock)
    assert answer.preview is not None
    assert {(row.tags, row.pushed_at_ms, row.rule) for row in answer.preview.rows} == {((), None, None)}


@pytest.mark.usefixtures("aws")
def test_two_rows_for_one_image_must_be_equal(world: World, clock: Clock) -> None:
    world.previewer = lambda repository, text: everything_goes(repository, text) * 2
    (answer,) = ask(clock)
    assert answer.preview is not None
    assert len(answer.preview.rows) == 5
    world.previewer = lambda repository, text: [
        {**row, "appliedRulePriority": number // 5 + 1}
        for number, row in enumerate(everything_goes(repository, text) * 2)
    ]
    (answer,) = ask(clock)
    assert reason_of(answer) == ("ecr:GetLifecyclePolicyPreview", "InvalidAnswer")


def answered(operation: str, bodies: Sequence[dict[str, Any]]) -> Callable[[Request], Answer | None]:
    left: Iterator[dict[str, Any]] = iter(bodies)

    def hook(request: Request) -> Answer | None:
        if request.operation != operation:
            return None
        return Answer(json.dumps(next(left)).encode())

    return hook


@pytest.mark.parametrize(
    ("operation", "bodies"),
    [
        ("GetLifecyclePolicyPreview", [{"status": "BUSY"}]),
        ("GetLifecyclePolicyPreview", [{}]),
        ("GetLifecyclePolicyPreview", [{"status": "COMPLETE", "previewResults": {}}]),
        ("GetLifecyclePolicyPreview", [{"status": "COMPLETE", "nextToken": "a"}] * 2),
        ("DescribeImages", [{}]),
        ("DescribeImages", [{"imageDetails": [{"imageDigest": "none"}]}]),
        ("DescribeImages", [{"imageDetails": [{"imageDigest": f"sha256:{0:064}", "imagePushedAt": "?"}]}]),
        ("DescribeImages", [{"imageDetails": [], "nextToken": "a"}] * 2),
    ],
    ids=str,
)
def test_an_answer_that_is_not_understood_is_a_gap(
    aws: Aws, clock: Clock, operation: str, bodies: Sequence[dict[str, Any]]
) -> None:
    aws.hook = answered(operation, bodies)
    (answer,) = ask(clock)
    assert reason_of(answer) == (f"ecr:{operation}", "InvalidAnswer")


def test_an_image_status_that_is_new_is_no_reason_to_give_up(aws: Aws, clock: Clock) -> None:
    detail = {"imageDigest": f"sha256:{0:064}", "imagePushedAt": EPOCH, "imageStatus": "RESTING"}
    aws.hook = answered("DescribeImages", [{"imageDetails": [detail]}])
    (answer,) = ask(clock)
    assert answer.listing is not None


def test_without_a_policy_in_the_answers_the_one_asked_for_counts(aws: Aws, clock: Clock) -> None:
    aws.hook = lambda request: {
        "StartLifecyclePolicyPreview": Answer(b'{"status": "IN_PROGRESS"}'),
        "GetLifecyclePolicyPreview": Answer(b'{"status": "COMPLETE"}'),
    }.get(request.operation)
    for text in (POLICY, None):
        (answer,) = ask(clock, text=text)
        assert answer.preview is not None
        assert answer.preview.policy_text == POLICY
        assert answer.preview.rows == ()


# --- ending early, and who we are ---------------------------------------------------------------


def test_a_fault_stops_the_others_before_their_next_call(aws: Aws, world: World) -> None:
    for number in range(20):
        world.registry().create_repository(f"slow{number}").preview_looks = 10_000

    def broken(request: Request) -> Answer | None:
        if request.parameters.get("repositoryName") == "team/app":
            raise ZeroDivisionError
        return None

    aws.hook = broken
    options = PreviewOptions(requests_per_second=1e9, attempts=1, workers=3)
    names = ["slow0", "slow1", "team/app", *(f"slow{number}" for number in range(2, 20))]
    requests = [PreviewRequest(KEY, name, POLICY) for name in names]
    # With a real wait of five seconds, which the end cuts short.
    with pytest.raises(ZeroDivisionError):
        run_previews(session(), requests, options)
    for thread in threading.enumerate():
        if thread.name.startswith("preview"):
            thread.join(4)
            assert not thread.is_alive()
    assert len(aws.asked("StartLifecyclePolicyPreview")) <= 4


@pytest.mark.usefixtures("aws")
def test_credentials_of_another_account_are_refused() -> None:
    assert require_account(session(), [REGION], ()).account == ACCOUNT
    assert require_account(session(), [REGION], ("111111111111", ACCOUNT)).partition == "aws"
    with pytest.raises(InputError, match="belong to account 123456789012, not to 999999999999"):
        require_account(session(), [REGION], ["999999999999"])


def test_policies_are_compared_by_what_they_say() -> None:
    assert same_policy(POLICY, json.dumps(json.loads(POLICY), indent=1))
    assert not same_policy(POLICY, OTHER)
    assert not same_policy(POLICY, "{")
    assert not same_policy("[" * 100_000, "{")
    assert same_policy("{", "{")


def test_options_are_polite_by_default() -> None:
    options = previews.PreviewOptions()
    assert options.workers <= 4
    assert options.poll_seconds == 5.0
