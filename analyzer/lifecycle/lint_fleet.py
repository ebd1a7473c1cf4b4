"""The fleet as the checks of ``lint`` see it, and what makes a finding of a set of images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice, pairwise
from typing import NamedTuple, Protocol

import numpy as np

from analyzer.families import Families
from analyzer.lifecycle.census import Census
from analyzer.lifecycle.evaluation import Evaluator
from analyzer.lifecycle.parsing import InvalidPolicy
from analyzer.lifecycle.policy import CountType, Policy, Rule
from analyzer.lifecycle.savings import Holdings
from analyzer.model.frames import NO_TIME, Bools, Frames, Int64, LifecycleFacts, UInt8
from analyzer.model.lint import LintCode, LintFinding, Severity
from analyzer.model.results import ScopedBytes
from analyzer.model.usage import Use
from analyzer.model.verdicts import Outcome, Reason, Verdicts

#: Images named in a finding.
EXAMPLES = 5


class World(Protocol):
    """Registries, their artifacts and the policies in force, at the moment ``at_ms``."""

    @property
    def frames(self) -> Frames:
        """Registries, repositories and artifacts."""

    @property
    def facts(self) -> LifecycleFacts:
        """What rules look at beside, artifacts in the same order."""

    @property
    def families(self) -> Families:
        """How these artifacts hang together."""

    @property
    def at_ms(self) -> int:
        """The moment that policies are evaluated at, milliseconds since 1970 UTC."""

    @property
    def policies(self) -> Sequence[Policy]:
        """The distinct policies in force."""

    @property
    def policy_of(self) -> Int64:
        """Position in ``policies`` for each row of ``frames.repositories``; -1 for none."""

    @property
    def policy_problems(self) -> Mapping[int, InvalidPolicy]:
        """Rows of ``frames.repositories`` whose policy's text is not valid, with what is wrong."""

    def digests(self, positions: Int64) -> Sequence[str]:
        """The digests of the artifacts at ``positions``."""


class Slot(NamedTuple):
    """The rules that stand at one place of their policies, over the whole fleet."""

    #: By row of ``frames.repositories``, for those whose policies have so many rules.
    rules: Mapping[int, Rule]
    #: Per row of ``frames.repositories``: the rule's priority, 0 for none.
    priority: Int64
    #: Per artifact: whether that rule of its repository selects it.
    selected: Bools
    #: Likewise: 1 for the youngest of those, where the rule counts images; else 0.
    rank: Int64


@dataclass(frozen=True, slots=True)
class Said:
    """The words of one finding."""

    message: str
    fix: str
    severity: Severity
    rule: int | None = None
    users: tuple[Use, ...] = ()


class Fleet:
    """A world under the policies to be judged, with what several checks need worked out once."""

    def __init__(self, world: World, rows: Int64, *, candidate: Policy | None) -> None:
        """``rows`` of ``frames.repositories`` (ascending) are judged, by ``candidate`` if there is one."""
        frames = world.frames
        self.world = world
        self.rows = rows
        self.is_live = candidate is None
        self.policies: Sequence[Policy] = world.policies if candidate is None else (candidate,)
        self.policy_of: Int64 = np.full(len(frames.repositories), -1)
        self.policy_of[rows] = 0 if candidate is not None else world.policy_of[rows]
        self.repository = frames.artifacts.repository
        self.judged: Bools = np.isin(np.arange(len(frames.repositories)), rows)
        self._accounts = [str(account) for account in frames.registries["account"]]
        self._regions = [str(region) for region in frames.registries["region"]]
        self._registry: list[int] = frames.repositories["registry"].tolist()
        self.names: list[str] = [str(name) for name in frames.repositories["repository"]]
        #: Whether the repository was ever listed whole: of what was not, nothing is known to be absent.
        self.listed: Bools = frames.repositories["complete_at_ms"].to_numpy(np.int64) != NO_TIME

    @cached_property
    def _evaluator(self) -> Evaluator:
        world = self.world
        return Evaluator(world.frames, world.facts, world.families, now_ms=world.at_ms)

    @cached_property
    def verdicts(self) -> Verdicts:
        """What the judged policies do to every artifact."""
        return self._evaluator.judge(self.policies, self.policy_of)

    @property
    def census(self) -> Census:
        """What single rules see."""
        return self._evaluator.census

    @cached_property
    def leaves(self) -> Bools:
        """Artifacts that leave, or are archived."""
        leaves: Bools = self.verdicts.outcome != Outcome.KEPT
        return leaves

    @cached_property
    def claimed(self) -> Bools:
        """Artifacts that their rule claims, those that an index holds back among them."""
        reason = self.verdicts.reason
        by_rule: Bools = (reason == Reason.CLAIMED) | (reason == Reason.BLOCKED_BY_INDEX)
        return by_rule & (self.verdicts.rule > 0)

    @cached_property
    def artifacts_of(self) -> Int64:
        """How many artifacts each repository holds."""
        return np.diff(self.census.offsets)

    @cached_property
    def holdings(self) -> Holdings:
        """Who holds which blobs."""
        return Holdings(self.world.frames, self.world.families)

    @cached_property
    def _oldest_first(self) -> Int64:
        """Positions by repository, then from the oldest to the youngest, unknown times last."""
        backwards = self.census.youngest_first[::-1]
        return backwards[np.argsort(self.repository[backwards], kind="stable")]

    def place(self, row: int) -> tuple[str, str, str]:
        """Account, region and name of the repository."""
        registry = self._registry[row]
        return self._accounts[registry], self._regions[registry], self.names[row]

    def decided(self, slot: Slot) -> Bools:
        """Artifacts that the rule of ``slot`` is the first of its storage class to select."""
        priority = slot.priority[self.repository]
        decided: Bools = (priority > 0) & (self.verdicts.rule == priority)
        return decided

    def per_repository(self, mask: Bools) -> Int64:
        """How many artifacts of ``mask`` each repository holds."""
        return np.bincount(self.repository[mask], minlength=len(self.names))

    @cached_property
    def shares(self) -> list[tuple[Policy, Int64]]:
        """Each different policy with the repositories (ascending) that it judges, none without any."""
        shares = self._evaluator.shares(self.policies, self.policy_of)
        return [(policy, rows) for policy, rows in shares if len(rows)]

    def slots(self) -> Iterator[Slot]:
        """The first rules of all policies, then the second ones, and so on."""
        for place in range(max((len(policy.rules) for policy, _ in self.shares), default=0)):
            rules: dict[int, Rule] = {}
            priority = np.zeros(len(self.names), np.int64)
            selected = np.zeros(len(self.repository), np.bool_)
            rank = np.zeros(len(self.repository), np.int64)
            for policy, rows in self.shares:
                if place >= len(policy.rules):
                    continue
                rule = policy.rules[place]
                priority[rows] = rule.priority
                rules.update(dict.fromkeys(rows.tolist(), rule))
                for block in self.census.blocks(rows):
                    chosen = block.selected(rule)
                    selected[block.at] = chosen
                    if rule.count_type is CountType.IMAGE_COUNT_MORE_THAN:
                        rank[block.at] = block.ranks(chosen)
            yield Slot(rules, priority, selected, rank)

    def selecting(self, rule: Rule, rows: Int64) -> Bools:
        """What ``rule`` selects in the repositories ``rows``."""
        selected = np.zeros(len(self.repository), np.bool_)
        for block in self.census.blocks(rows):
            selected[block.at] = block.selected(rule)
        return selected

    def by_repository(self, mask: Bools) -> Iterator[tuple[int, Int64]]:
        """Each repository with an artifact of ``mask``, and their positions, oldest first."""
        chosen = self._oldest_first[mask[self._oldest_first]]
        owner = self.repository[chosen]
        starts = np.flatnonzero(np.diff(owner, prepend=-1)).tolist()
        for start, end in pairwise([*starts, len(chosen)]):
            yield int(owner[start]), chosen[start:end]

    def found(
        self, code: LintCode, mask: Bools, say: Callable[[int, Int64], Said | None]
    ) -> Iterator[LintFinding]:
        """A finding for each repository with an artifact of ``mask``, unless ``say`` has nothing to say.

        ``say`` gets the row of the repository and the positions of these artifacts, oldest first.
        """
        spoken = [
            (row, positions, said)
            for row, positions in self.by_repository(mask)
            if (said := say(row, positions)) is not None
        ]
        if not spoken:
            return
        outcome: UInt8 = np.where(mask, np.uint8(Outcome.EXPIRED), np.uint8(Outcome.KEPT))
        savings = self.holdings.measure(outcome).repositories
        columns = ("unknown_expired", "freed_bytes", "freed_unique_bytes")
        unknown_of, freed_of, unique_of = (savings[name].to_numpy(np.int64) for name in columns)
        # Names are asked for once, for each question may go to a database.
        named = [positions[:EXAMPLES] for _, positions, _ in spoken]
        names = iter(self.image_names(np.concatenate(named)))
        for (row, positions, said), examples in zip(spoken, named, strict=True):
            unknown = int(unknown_of[row])
            known = None
            if unknown < len(positions):
                known = ScopedBytes(repository=int(freed_of[row]), registry=int(unique_of[row]))
            yield replace(
                self.finding(code, row, said),
                images=len(positions),
                artifacts=positions,
                affected_bytes=known,
                unknown_size=unknown,
                examples=tuple(islice(names, len(examples))),
            )

    def finding(self, code: LintCode, row: int, said: Said) -> LintFinding:
        """A finding about the repository at ``row``, and about no images."""
        account, region, repository = self.place(row)
        return LintFinding(
            code=code,
            severity=said.severity,
            account=account,
            region=region,
            repository=repository,
            rule=said.rule,
            message=said.message,
            fix=said.fix,
            users=said.users,
        )

    def image_names(self, positions: Int64) -> tuple[str, ...]:
        """``repository:tag`` with the first of the tags, ``repository@digest`` for untagged ones.

        Where documents do not name the repository, the tag or digest alone.
        """
        facts = self.world.facts
        untagged = positions[~self.census.tagged[positions]]
        digests = dict(zip(untagged.tolist(), self.world.digests(untagged), strict=True))
        names = []
        for position in positions.tolist():
            repository = self.names[int(self.repository[position])]
            if position in digests:
                names.append(f"{repository}@{digests[position]}" if repository else digests[position])
            else:
                begin, end = facts.tag_offsets[position : position + 2].tolist()
                tag = min(facts.tag_names[number] for number in facts.tags[begin:end].tolist())
                names.append(f"{repository}:{tag}" if repository else tag)
        return tuple(names)
