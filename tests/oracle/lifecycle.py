"""The lifecycle evaluator once more, slowly: one repository at a time, loops that read like the rules.

Written from ECR's documented behaviour alone and sharing nothing with the evaluator it checks but
the policy dataclasses and the names of outcomes and reasons. Unknown times are None. The numbered
comments follow the order of an evaluation: 1 times, 2 classes, 3 eligibility, 4 tags, 5 claims,
6 indexes, 7 referrers, 8 the reason.

Facts about the rules are from the ECR user guide, pages "Lifecycle policy parameters", "Examples of
lifecycle policies", "Automate the cleanup of images by using lifecycle policies" and "Archiving an
image". What those leave open is decided as the text beside each step says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from analyzer.lifecycle.policy import Action, CountType, Policy, Rule, StorageClass, TagStatus
from analyzer.model.records import ImageStatus
from analyzer.model.verdicts import Outcome, Reason

DAY_MS = 86_400_000


@dataclass(frozen=True)
class Image:
    """One artifact of a repository: image, index or referrer."""

    digest: str
    tags: frozenset[str] = frozenset()
    pushed_at_ms: int | None = None
    last_pull_ms: int | None = None
    archived_at_ms: int | None = None
    activated_at_ms: int | None = None
    status: ImageStatus = ImageStatus.ACTIVE
    #: Digests that it names as an index; they need not be present.
    children: tuple[str, ...] = ()
    #: Digest that it refers to; it need not be present.
    subject: str | None = None


@dataclass(frozen=True)
class Verdict:
    """What becomes of one image, and why; the fields mean what those of ``Verdicts`` mean."""

    outcome: Outcome
    reason: Reason
    rule: int = 0
    rank: int = 0
    age_ms: int | None = None
    #: Digest of the index or subject that ``reason`` speaks of.
    by: str | None = None
    deferred: bool = False
    near_limit: bool = False


@dataclass(frozen=True)
class Step:
    """What one rule makes of one image, whatever other rules make of it."""

    priority: int
    selects: bool
    rank: int
    age_ms: int | None
    #: How many images the rule selects in all.
    selected: int
    #: It would act on the image if it were the only rule.
    claims: bool
    #: It is the first rule to select the image.
    decides: bool


def evaluate_slowly(
    repositories: Sequence[Sequence[Image]],
    policies: Sequence[Policy | None],
    now_ms: int,
    *,
    children_take_slots: bool = True,
) -> list[list[Verdict]]:
    """For every repository one verdict per image, in the order given.

    ``policies[k]`` is that of ``repositories[k]``, None for none. The order of the images of a
    repository decides nothing but which of several blocking indexes is named: the first.
    """
    return [
        evaluate_repository(images, policy, now_ms, children_take_slots=children_take_slots)
        for images, policy in zip(repositories, policies, strict=True)
    ]


def evaluate_repository(
    images: Sequence[Image], policy: Policy | None, now_ms: int, *, children_take_slots: bool = True
) -> list[Verdict]:
    """One verdict per image of one repository, in the order given."""
    if policy is None:
        return [Verdict(Outcome.KEPT, Reason.NO_POLICY) for _ in images]
    return _Evaluation(images, policy, now_ms, children_take_slots=children_take_slots).verdicts()


def trace_slowly(
    images: Sequence[Image], policy: Policy, now_ms: int, digest: str, *, children_take_slots: bool = True
) -> list[Step]:
    """One step per rule, by priority, for the image of that ``digest`` among ``images``."""
    return _Evaluation(images, policy, now_ms, children_take_slots=children_take_slots).steps(digest)


# 1. Times.


def base_of(image: Image) -> int | None:
    """When its life began: a restored image counts as pushed anew."""
    return image.activated_at_ms if image.activated_at_ms is not None else image.pushed_at_ms


def pulled_of(image: Image) -> int | None:
    """When it was last used: the pull, unless a restore is later or stands in for a missing one."""
    restored, pull = image.activated_at_ms, image.last_pull_ms
    if restored is not None and (pull is None or pull < restored):
        return restored
    if pull is not None:
        return pull
    return image.pushed_at_ms


def time_counted(rule: Rule, image: Image) -> int | None:
    """The moment from which ``rule``, one that counts days, counts them."""
    if rule.count_type is CountType.SINCE_IMAGE_PUSHED:
        return base_of(image)
    if rule.count_type is CountType.SINCE_IMAGE_PULLED:
        return pulled_of(image)
    assert rule.count_type is CountType.SINCE_IMAGE_TRANSITIONED
    return image.archived_at_ms


# 2. Classes. An image under restore is in none that rules look at: to touch it is never the safe
# guess. A status that is not known is taken for the usual one.


def class_of(image: Image) -> StorageClass | None:
    """The storage class whose rules look at it; None while it is being restored."""
    if image.status is ImageStatus.ARCHIVED:
        return StorageClass.ARCHIVE
    if image.status is ImageStatus.ACTIVATING:
        return None
    return StorageClass.STANDARD


# 4. Tags.


@cache
def pattern_matches(pattern: str, tag: str) -> bool:
    """Whether all of ``tag`` is met by ``pattern``: a star is any run, anything else is itself."""
    if not pattern:
        return not tag
    if pattern[0] == "*":
        return any(pattern_matches(pattern[1:], tag[taken:]) for taken in range(len(tag) + 1))
    return bool(tag) and tag[0] == pattern[0] and pattern_matches(pattern[1:], tag[1:])


def tags_pass(rule: Rule, tags: frozenset[str]) -> bool:
    """Whether an image with ``tags`` is one that ``rule`` looks at, its class aside."""
    if rule.tag_status is TagStatus.ANY:
        return True
    if rule.tag_status is TagStatus.UNTAGGED:
        return not tags
    # Every entry of the list needs a tag, the same one or another.
    for pattern in rule.tag_patterns:
        if not any(pattern_matches(pattern, tag) for tag in tags):
            return False
    for prefix in rule.tag_prefixes:
        if not any(tag[: len(prefix)] == prefix for tag in tags):
            return False
    return bool(tags)


class _Evaluation:
    """One repository under one policy at one moment."""

    def __init__(
        self, images: Sequence[Image], policy: Policy, now_ms: int, *, children_take_slots: bool
    ) -> None:
        self.images = images
        self.by_digest = {image.digest: image for image in images}
        self.rules = sorted(policy.rules, key=lambda rule: rule.priority)
        self.now_ms = now_ms
        self.children_take_slots = children_take_slots
        self.parents: dict[str, list[Image]] = {image.digest: [] for image in images}
        for index in images:
            for child in sorted(set(index.children)):
                if child in self.parents:
                    self.parents[child].append(index)
        self.selected = {rule.priority: self._select(rule) for rule in self.rules}
        self.ranks = {rule.priority: self._rank(rule) for rule in self.rules}

    # 3. Eligibility.

    def subject_of(self, image: Image) -> Image | None:
        """The artifact it refers to, if that is here (it may be itself)."""
        return None if image.subject is None else self.by_digest.get(image.subject)

    def eligible(self, image: Image) -> bool:
        """Whether rules look at it: it is not under restore, and its life is not tied to a subject."""
        return class_of(image) is not None and self.subject_of(image) is None

    # 5. Claims: each rule sees the whole repository, whatever other rules will do to it.

    def _select(self, rule: Rule) -> dict[str, Image]:
        """What ``rule`` looks at, by digest."""
        return {
            image.digest: image
            for image in self.images
            if self.eligible(image) and class_of(image) is rule.storage_class and tags_pass(rule, image.tags)
        }

    def holds_slot(self, image: Image) -> bool:
        """Whether it counts among the images that an image count keeps."""
        return self.children_take_slots or not self.parents[image.digest]

    def _rank(self, rule: Rule) -> dict[str, int]:
        """1 for the youngest that ``rule`` selects, 2 for the next, and so on; by digest."""
        holders = [image for image in self.selected[rule.priority].values() if self.holds_slot(image)]
        dated = [(base, image.digest) for image in holders if (base := base_of(image)) is not None]
        # Without a push time it may be the youngest of all, so it counts as that. Of equals the
        # smaller digest counts as the older.
        undated = [image.digest for image in holders if base_of(image) is None]
        youngest_first = sorted(undated, reverse=True) + [d for _, d in sorted(dated, reverse=True)]
        return {digest: place for place, digest in enumerate(youngest_first, start=1)}

    def claims(self, rule: Rule, image: Image) -> bool:
        """Whether ``rule`` would act on ``image``, which it selects, if it were alone."""
        if rule.count_type is CountType.IMAGE_COUNT_MORE_THAN:
            if base_of(image) is None or not self.holds_slot(image):
                return False
            return self.ranks[rule.priority][image.digest] > rule.count_number
        start = time_counted(rule, image)
        # A day is 24 hours; an image of exactly so many days stays.
        return start is not None and self.now_ms - start > rule.count_number * DAY_MS

    def deciding_rule(self, image: Image) -> Rule | None:
        """The rule of least priority number that selects it: no other one can claim it."""
        for rule in self.rules:
            if image.digest in self.selected[rule.priority]:
                return rule
        return None

    def steps(self, digest: str) -> list[Step]:
        """What every rule makes of one image, by priority."""
        image = self.by_digest[digest]
        steps = []
        for rule in self.rules:
            selects = digest in self.selected[rule.priority]
            counts_images = rule.count_type is CountType.IMAGE_COUNT_MORE_THAN
            start = None if counts_images or not selects else time_counted(rule, image)
            steps.append(
                Step(
                    priority=rule.priority,
                    selects=selects,
                    rank=self.ranks[rule.priority].get(digest, 0) if counts_images else 0,
                    age_ms=None if start is None else self.now_ms - start,
                    selected=len(self.selected[rule.priority]),
                    claims=selects and self.claims(rule, image),
                    decides=rule is self.deciding_rule(image),
                )
            )
        return steps

    def claimed(self) -> dict[str, Action]:
        """What rules mark, by digest, before indexes and subjects have their say."""
        marks = {}
        for image in self.images:
            rule = self.deciding_rule(image)
            if rule is not None and self.claims(rule, image):
                marks[image.digest] = rule.action
        return marks

    # 6. Indexes.

    def blockers(self, image: Image, action: Action, marks: dict[str, Action]) -> list[Image]:
        """The indexes here that name ``image`` and stay where they are, so that it cannot go."""
        return [
            index
            for index in self.parents[image.digest]
            if index is not image and not self._makes_way(index, action, marks)
        ]

    @staticmethod
    def _makes_way(index: Image, action: Action, marks: dict[str, Action]) -> bool:
        mark = marks.get(index.digest)
        if action is Action.EXPIRE:
            # An index in the archive can be restored, and would then lack this child.
            return mark is Action.EXPIRE
        return mark is not None or index.status is ImageStatus.ARCHIVED

    # 7. Referrers.

    @staticmethod
    def can_follow(image: Image, action: Action) -> bool:
        """Whether ``action`` on its subject takes ``image`` along: only standard images can be archived."""
        if class_of(image) is None:
            return False
        return action is Action.EXPIRE or class_of(image) is StorageClass.STANDARD

    def followed(self, marks: dict[str, Action]) -> dict[str, Action]:
        """``marks`` and those that they hand on to referrers, and to referrers of those."""
        marks = dict(marks)
        changed = True
        while changed:
            changed = False
            for image in self.images:
                subject = self.subject_of(image)
                if subject is None or image.digest in marks or subject.digest not in marks:
                    continue
                if self.can_follow(image, marks[subject.digest]):
                    marks[image.digest] = marks[subject.digest]
                    changed = True
        return marks

    def lasting(self, marks: dict[str, Action]) -> dict[str, Action]:
        """Those of ``marks`` that neither an index nor a subject that stays takes away."""
        marks = dict(marks)
        changed = True
        while changed:
            changed = False
            for image in self.images:
                if image.digest not in marks:
                    continue
                subject = self.subject_of(image)
                left_behind = subject is not None and subject.digest not in marks
                if left_behind or self.blockers(image, marks[image.digest], marks):
                    del marks[image.digest]
                    changed = True
        return marks

    # 8. The reason.

    def verdicts(self) -> list[Verdict]:
        """One verdict per image, in order."""
        claimed = self.claimed()
        final = self.lasting(self.followed(claimed))
        return [self._verdict(image, claimed, final) for image in self.images]

    def _verdict(self, image: Image, claimed: dict[str, Action], final: dict[str, Action]) -> Verdict:
        mark = final.get(image.digest)
        outcome = _OUTCOMES[mark] if mark is not None else Outcome.KEPT
        deferred = mark is not None and any(
            index is not image and index.digest in final for index in self.parents[image.digest]
        )
        subject = self.subject_of(image)
        if class_of(image) is None and (subject is None or final.get(subject.digest) is Action.EXPIRE):
            # Not even the end of its subject takes it along.
            return Verdict(outcome, Reason.ACTIVATING)
        if subject is not None:
            return self._referrer(image, subject, outcome, final, deferred=deferred)
        rule = self.deciding_rule(image)
        if rule is None:
            return Verdict(outcome, Reason.NO_RULE)

        rank, age_ms, near_limit = 0, None, False
        if rule.count_type is CountType.IMAGE_COUNT_MORE_THAN:
            rank = self.ranks[rule.priority].get(image.digest, 0)
            unknown_time = base_of(image) is None and self.holds_slot(image)
        else:
            start = time_counted(rule, image)
            unknown_time = start is None
            if start is not None:
                age_ms = self.now_ms - start
                near_limit = abs(age_ms - rule.count_number * DAY_MS) <= DAY_MS

        by = None
        if unknown_time:
            reason = Reason.UNKNOWN_TIME
        elif image.digest not in claimed:
            reason = Reason.WITHIN_LIMIT
        elif mark is None:
            reason = Reason.BLOCKED_BY_INDEX
            by = self.blockers(image, rule.action, final)[0].digest
        else:
            reason = Reason.CLAIMED
        return Verdict(
            outcome,
            reason,
            rule=rule.priority,
            rank=rank,
            age_ms=age_ms,
            by=by,
            deferred=deferred,
            near_limit=near_limit,
        )

    def _referrer(
        self, image: Image, subject: Image, outcome: Outcome, final: dict[str, Action], *, deferred: bool
    ) -> Verdict:
        if outcome is not Outcome.KEPT:
            return Verdict(outcome, Reason.FOLLOWS_SUBJECT, by=subject.digest, deferred=deferred)
        action = final.get(subject.digest)
        if action is not None and self.can_follow(image, action):
            # Its subject goes and it would follow: then only an index can hold it.
            return Verdict(outcome, Reason.BLOCKED_BY_INDEX, by=self.blockers(image, action, final)[0].digest)
        # Or the subject goes to the archive, where this one is or is coming from.
        return Verdict(outcome, Reason.SUBJECT_STAYS, by=subject.digest)


_OUTCOMES = {Action.EXPIRE: Outcome.EXPIRED, Action.TRANSITION: Outcome.TRANSITIONED}
