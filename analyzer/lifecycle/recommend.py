"""The lifecycle policy to put in each repository, and the proof that it takes nothing needed.

    advised = Adviser(evaluator, needs, in_force, options).advise(rows)

What the search finds is not believed: the evaluator, which shares nothing with the search but the
order of images, judges every policy on the images of today, and once more at the end of the margin with
the pushes that are to come by then taken from every number of images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from analyzer.lifecycle.evaluation import Evaluator
from analyzer.lifecycle.needed import Needs
from analyzer.lifecycle.parsing import parse_policy
from analyzer.lifecycle.policy import Action, CountType, Policy, Rule, StorageClass, TagStatus
from analyzer.lifecycle.recommend_search import Found, Search, Setting
from analyzer.lifecycle.recommend_view import Fleet, Selector, View
from analyzer.lifecycle.refusals import InvalidPolicy
from analyzer.lifecycle.writing import policy_json
from analyzer.model.frames import NO_TIME, Bools, Int64
from analyzer.model.recommendation import RecommendOptions, RuleBasis, Status, TagFamily
from analyzer.model.verdicts import Outcome
from analyzer.storage import DAY_MS

#: A rule that is safe for longer than that is safe for good, as far as anybody can tell.
_FOR_EVER_DAYS: Final = 3_650


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """The policies in force, as ``in_force.policies_in_force`` gives them."""

    policies: Sequence[Policy]
    policy_of: Int64
    problems: Mapping[int, InvalidPolicy]


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """What comes of one repository."""

    status: Status
    reason: str = ""
    #: None where none is to be put.
    policy: Policy | None = None
    rules: tuple[RuleBasis, ...] = ()
    families: tuple[TagFamily, ...] = ()
    #: Needed artifacts that the policy in force takes.
    current_takes: int = 0
    #: Days that it is safe for at the present rate of pushes; None for as long as anybody can tell.
    safe_days: int | None = None


@dataclass(frozen=True, slots=True)
class _Draft:
    """A policy that was found, before it is proven."""

    view: View
    found: Found
    policy: Policy
    families: tuple[TagFamily, ...]
    selectors: tuple[Selector, ...]


class Adviser:
    """The advice on repositories at the moment of ``evaluator``."""

    def __init__(
        self, evaluator: Evaluator, needs: Needs, in_force: InForce, options: RecommendOptions
    ) -> None:
        self._evaluator = evaluator
        self._needs = needs
        self._in_force = in_force
        self._options = options
        self._offsets = evaluator.census.offsets
        self._repositories = evaluator.frames.repositories[
            ["complete_at_ms", "lifecycle_policy_known"]
        ].to_dict("list")
        self._later = at_the_end(evaluator, options)
        #: Of the repositories that something could be found for: what the search saw.
        self.views: dict[int, tuple[View, tuple[Selector, ...]]] = {}
        #: What the drafts make leave at the end of the margin.
        self._drafts_later: Bools = np.zeros(0, np.bool_)
        self._drafts_now: Bools = np.zeros(0, np.bool_)
        self._fleet = Fleet(
            evaluator.frames, evaluator.facts, evaluator.families, evaluator.census, needs, options
        )

    def advise(self, rows: Int64) -> dict[int, Advice]:
        """The advice for each of ``rows`` of the repositories."""
        advised: dict[int, Advice] = {}
        drafts: dict[int, _Draft] = {}
        leaves_now, leaves_later = self._leave(self._in_force.policies, self._in_force.policy_of)
        for row in rows.tolist():
            reason = self._unknown(row)
            if reason:
                advised[row] = Advice(status=Status.UNKNOWN, reason=reason)
            elif self._offsets[row] == self._offsets[row + 1]:
                advised[row] = Advice(status=Status.NOTHING, reason="it holds no image")
            else:
                span = self._span(row)
                is_safe = not (self._needs.needed[span] & leaves_now[span]).any()
                drafts[row] = self._draft(row, is_safe=is_safe)
        failures = self._prove(drafts)
        self.views = {row: (draft.view, draft.selectors) for row, draft in drafts.items()}
        for row, draft in drafts.items():
            if row in failures:
                families = draft.families
                advised[row] = Advice(status=Status.UNPROVEN, reason=failures[row], families=families)
            else:
                span = self._span(row)
                advised[row] = self._judged(row, draft, leaves_now[span], leaves_later[span])
        return advised

    def _span(self, row: int) -> slice:
        return slice(*self._offsets[row : row + 2].tolist())

    def _unknown(self, row: int) -> str:
        """Why nothing can be advised; "" where something can."""
        if self._repositories["complete_at_ms"][row] == NO_TIME:
            return "its images were never listed whole"
        if not self._repositories["lifecycle_policy_known"][row]:
            return "whether it has a policy could not be read"
        if row in self._in_force.problems:
            return "its policy in force is not one that this version understands"
        unknown, span = self._needs.unknown, self._span(row)
        if unknown[span].all() and (span.stop - span.start) and self._evaluator.families.opaque[span].any():
            return "an image could not be read and may be an index of any other"
        return ""

    def _draft(self, row: int, *, is_safe: bool) -> _Draft:
        options = self._options
        least = options.pulled_within_days
        number = int(self._in_force.policy_of[row])
        if is_safe and number >= 0:
            least = min(least, _untagged_days(self._in_force.policies[number]) or least)
        view = View(self._fleet, row, least_untagged_days=least)
        families, selectors = view.families()
        search = Search(view, margin_days=options.margin_days, age_rules=options.age_rules)
        found = search.best(selectors, options.loss)
        # What is in the archive is another class, and leaves by rules of its own.
        of_archive = () if number < 0 or not is_safe else _of_archive(self._in_force.policies[number])
        policy = policy_of(found.settings, of_archive)
        return _Draft(view, found, policy, tuple(families), tuple(selectors))

    def _leave(self, policies: Sequence[Policy], chosen: Int64) -> tuple[Bools, Bools]:
        """What leaves or is archived under these policies, now and at the end of the margin."""
        now, later = (each.judge(policies, chosen).outcome for each in (self._evaluator, self._later))
        return now != Outcome.KEPT, later != Outcome.KEPT

    def _prove(self, drafts: Mapping[int, _Draft]) -> dict[int, str]:
        """Why drafts are not to be put: nothing for those that stand."""
        failures: dict[int, str] = {}
        for row, draft in drafts.items():
            text = policy_json(draft.policy)
            try:
                if parse_policy(text) != draft.policy:
                    failures[row] = "the policy that was found does not read back as it was meant"
            except InvalidPolicy as error:
                failures[row] = f"ECR would refuse the policy that was found: {error.errors[0].message}"
        chosen = np.full(len(self._offsets) - 1, -1)
        chosen[list(drafts)] = np.arange(len(drafts))
        policies = [draft.policy for draft in drafts.values()]
        self._drafts_now = now = self._evaluator.judge(policies, chosen).outcome != Outcome.KEPT
        self._drafts_later = self._later.judge(policies, chosen).outcome != Outcome.KEPT
        grown = [shrunk(draft.policy, draft.found.settings) for draft in drafts.values()]
        later = self._later.judge(grown, chosen).outcome != Outcome.KEPT
        repository = self._evaluator.frames.artifacts.repository
        for taken, when in (
            (self._needs.needed & now, "today"),
            (self._needs.lasting & later, f"within {self._options.margin_days} days"),
        ):
            rows, counts = np.unique(repository[taken], return_counts=True)
            for row, count in zip(rows.tolist(), counts.tolist(), strict=True):
                failures.setdefault(
                    row, f"the policy that was found would take {count:,} needed images {when}"
                )
        return failures

    def stands(self, settings: Mapping[int, Sequence[Setting]]) -> bool:
        """Whether these policies, by row, take nothing needed, now and at the end of the margin."""
        chosen = np.full(len(self._offsets) - 1, -1)
        chosen[list(settings)] = np.arange(len(settings))
        policies = [policy_of(own) for own in settings.values()]
        now = self._evaluator.judge(policies, chosen).outcome != Outcome.KEPT
        grown = [shrunk(policy, own) for policy, own in zip(policies, settings.values(), strict=True)]
        later = self._later.judge(grown, chosen).outcome != Outcome.KEPT
        return not ((self._needs.needed & now) | (self._needs.lasting & later)).any()

    def _judged(self, row: int, draft: _Draft, current_now: Bools, current_later: Bools) -> Advice:
        """The advice where the policy that was found is proven."""
        found = draft.found
        span = self._span(row)
        taken = int(np.count_nonzero(self._needs.needed[span] & current_now))
        soon = int(np.count_nonzero(self._needs.lasting[span] & current_later))
        status, reason = self._compared(row, draft, current_now, current_later, taken, soon)
        rules = tuple(
            basis(setting, rule) for setting, rule in zip(found.settings, draft.policy.rules, strict=False)
        )
        return Advice(
            status=status,
            reason=reason,
            policy=draft.policy if status.advises else None,
            rules=rules if status.advises else (),
            families=draft.families,
            current_takes=taken or soon,
            safe_days=_safe_days(found.settings) if status.advises else None,
        )

    def _compared(
        self, row: int, draft: _Draft, current_now: Bools, current_later: Bools, taken: int, soon: int
    ) -> tuple[Status, str]:
        view, span = draft.view, self._span(row)
        freed = view.freed_by(self._drafts_now[span])
        if self._in_force.policy_of[row] < 0:
            if freed:
                return Status.SET, ""
            if any(setting.selector.growth for setting in draft.found.settings):
                return Status.SET, "it takes nothing today, and keeps the repository from growing for ever"
            return Status.NOTHING, "every image that a rule could take is needed"
        if taken:
            return Status.SAFER, f"the policy in force takes {taken:,} needed images"
        if soon:
            within = f"within {self._options.margin_days} days"
            return Status.SAFER, f"the policy in force will take {soon:,} needed images {within}"
        # What it archives counts as much as what it expires: the advice has to be better than both.
        if freed <= view.freed_by(current_now):
            return Status.KEEP, "the policy in force is as safe, and saves as much"
        if view.freed_by(self._drafts_later[span]) < view.freed_by(current_later):
            return Status.KEEP, (
                f"the policy in force is as safe, and saves more within {self._options.margin_days} days"
            )
        return Status.REPLACE, ""


def at_the_end(evaluator: Evaluator, options: RecommendOptions) -> Evaluator:
    """The evaluator of the same images at the end of the margin."""
    return Evaluator(
        evaluator.frames,
        evaluator.facts,
        evaluator.families,
        now_ms=evaluator.now_ms + options.margin_days * DAY_MS,
        options=evaluator.options,
    )


def _untagged_days(policy: Policy) -> int | None:
    """After how many days ``policy`` expires untagged images; None where it does not go by days."""
    for rule in policy.rules:
        if rule.storage_class is not StorageClass.STANDARD or rule.tag_status is TagStatus.TAGGED:
            continue
        by_push = rule.count_type is CountType.SINCE_IMAGE_PUSHED and rule.action is Action.EXPIRE
        return rule.count_number if by_push else None
    return None


def _of_archive(policy: Policy) -> tuple[Rule, ...]:
    return tuple(rule for rule in policy.rules if rule.storage_class is StorageClass.ARCHIVE)


def policy_of(settings: Sequence[Setting], of_archive: Sequence[Rule] = ()) -> Policy:
    """The policy of these rules, in their order, then of those for the archive as they are."""
    rules = [_rule(priority, setting) for priority, setting in enumerate(settings, start=1)]
    after = [replace(rule, priority=number) for number, rule in enumerate(of_archive, start=len(rules) + 1)]
    return Policy((*rules, *after))


def _rule(priority: int, setting: Setting) -> Rule:
    selector = setting.selector
    by_images = setting.by == "images"
    return Rule(
        priority=priority,
        tag_status=selector.tag_status,
        tag_patterns=(selector.pattern,) if selector.tag_status is TagStatus.TAGGED else (),
        count_type=CountType.IMAGE_COUNT_MORE_THAN if by_images else CountType.SINCE_IMAGE_PUSHED,
        count_number=setting.number,
        action=Action.EXPIRE,
        description=_description(setting),
    )


def _description(setting: Setting) -> str:
    """What the rule does, for whoever reads the policy."""
    selector, number = setting.selector, setting.number
    if selector.is_exact:
        return f"Keep the image with the tag {selector.pattern}"
    what = {
        TagStatus.TAGGED: "tagged images"
        if selector.pattern == "*"
        else f"images with a tag like {selector.pattern}",
        TagStatus.UNTAGGED: "untagged images",
        TagStatus.ANY: "images of any kind",
    }[selector.tag_status]
    rest = selector.tag_status is TagStatus.ANY or selector.pattern == "*"
    unless = ", and what rules above keep" if rest else ""
    if setting.by == "days":
        return f"Keep {what} for {number:,} days after their push{unless}"
    return f"Keep the {number:,} newest {what}{unless}"


def shrunk(policy: Policy, settings: Sequence[Setting]) -> Policy:
    """``policy`` as it looks to the images of today once as many as are expected have been pushed."""
    rules = [
        replace(rule, count_number=max(1, rule.count_number - setting.selector.growth))
        if setting.by == "images"
        else rule
        for rule, setting in zip(policy.rules, settings, strict=False)
    ]
    return Policy((*rules, *policy.rules[len(rules) :]))


def basis(setting: Setting, rule: Rule) -> RuleBasis:
    """Where the number of the rule comes from."""
    takes = setting.decided & ~setting.kept
    return RuleBasis(
        priority=rule.priority,
        description=rule.description or "",
        selects=setting.selector.text,
        by=setting.by,
        number=setting.number,
        required=setting.required,
        margin=setting.margin,
        rounding=setting.number - setting.required - setting.margin,
        decides=setting.decided.bit_count(),
        takes=takes.bit_count(),
        pushes_per_day=setting.selector.pushes_per_day,
    )


def _safe_days(settings: Sequence[Setting]) -> int | None:
    """For how many days no rule comes to its limit; None for good."""
    least = _FOR_EVER_DAYS
    for setting in settings:
        room = setting.number - setting.required
        if not setting.margin:
            continue
        rate = setting.selector.pushes_per_day if setting.by == "images" else 1.0
        least = min(least, int(room / rate))
    return None if least >= _FOR_EVER_DAYS else least
