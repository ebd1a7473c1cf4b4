"""Who uses which image: resolution through tags, digests and families, against a plain search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.errors import InputError
from analyzer.families import find_families
from analyzer.model.frames import NO_TIME, Int64, LifecycleFacts
from analyzer.model.records import Kind, ReadStatus, UseKind
from analyzer.model.usage import KINDS, UNUSED, Coverage, PlaceCoverage, SourceRead, Usage, Use, Workloads
from analyzer.references import coverage_of, find_usage, parse_reference, up_to, use_words
from analyzer.references.resolution import read_texts, take_apart
from tests.oracle.usage import Held, Meant, Repository, Searched, Told
from tests.strategies.frames import ArtifactSpec, ManifestSpec, RepositorySpec, build_frames
from tests.support.examples import examples

PLACES = (
    ("111111111111", "eu-west-1"),
    ("111111111111", "us-east-1"),
    ("222222222222", "eu-west-1"),
    ("222222222222", "public"),
)
PUBLIC = 3
#: Of the public registry.
ALIASES = ("a1b2c3d4", "shop")
SOURCES = ("ecs", "eks", "lambda")
RUNNING, CONFIGURED, PREVIOUS = UseKind


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


def host(place: int) -> str:
    account, region = PLACES[place]
    return f"{account}.dkr.ecr.{region}.amazonaws.com"


def workloads_of(uses: Sequence[Told], reads: Sequence[SourceRead] = ()) -> Workloads:
    names = sorted({use.workload for use in uses}, reverse=True)
    references = sorted({use.reference for use in uses}, reverse=True)
    return Workloads(
        place=np.array([use.place for use in uses], np.int32),
        source=np.array([SOURCES.index(use.source) for use in uses], np.int32),
        workload=np.array([names.index(use.workload) for use in uses], np.int32),
        reference=np.array([references.index(use.reference) for use in uses], np.int32),
        kind=np.array([use.kind for use in uses], np.uint8),
        sources=SOURCES,
        names=names,
        references=references,
        reads=reads,
    )


class Fleet:
    """Repositories as frames, with digests that are their numbers."""

    def __init__(
        self,
        repositories: Sequence[Repository],
        partial: frozenset[int] = frozenset(),
        aliases: tuple[str, ...] = ALIASES,
    ) -> None:
        self.repositories = sorted(repositories, key=lambda one: (PLACES.index(_place(one)), one.name))
        numbers = {
            text for one in self.repositories for held in one.held for text in (held.digest, *held.children)
        }
        self.ids = {text: number for number, text in enumerate(sorted(numbers), 1)}
        manifests = {
            self.ids[held.digest]: ManifestSpec(
                Kind.INDEX if held.children else Kind.IMAGE,
                children=tuple(sorted(self.ids[child] for child in held.children)),
            )
            for one in self.repositories
            for held in one.held
        }
        specs = [
            RepositorySpec(
                tuple(ArtifactSpec(self.ids[held.digest], tags=len(held.tags)) for held in one.held),
                registry=PLACES.index(_place(one)),
                name=one.name,
                pull_through_cache=one.is_cache,
            )
            for one in self.repositories
        ]
        frames = build_frames(specs, manifests, {}, registries=len(PLACES))
        status = [
            str(ReadStatus.COMPLETE if one.is_whole else ReadStatus.PARTIAL) for one in self.repositories
        ]
        of_registry = [
            str(ReadStatus.PARTIAL if n in partial else ReadStatus.COMPLETE) for n in range(len(PLACES))
        ]
        of_place = pd.Series([*[()] * PUBLIC, aliases], dtype="object")
        self.frames = replace(
            frames,
            repositories=frames.repositories.assign(status=status),
            registries=frames.registries.assign(status=of_registry, public_aliases=of_place),
        )
        self.keys = [
            (position, held.digest)
            for position, one in enumerate(self.repositories)
            for held in sorted(one.held, key=lambda held: self.ids[held.digest])
        ]
        tags = {key: sorted(self._held(key).tags, reverse=True) for key in self.keys}
        names = sorted({tag for of_one in tags.values() for tag in of_one})
        nothing = np.full(len(self.keys), NO_TIME)
        self.facts = LifecycleFacts(
            pulled_at_ms=nothing,
            archived_at_ms=nothing,
            activated_at_ms=nothing,
            tie=nothing,
            tag_offsets=np.cumsum([0, *(len(tags[key]) for key in self.keys)]),
            tags=np.array([names.index(tag) for key in self.keys for tag in tags[key]], np.int32),
            tag_names=names,
        )

    def _held(self, key: tuple[int, str]) -> Held:
        return next(held for held in self.repositories[key[0]].held if held.digest == key[1])

    def digest_ids(self, digests: Sequence[str]) -> Int64:
        return np.array([self.ids.get(text, -1) for text in digests], np.int64)

    def usage(self, uses: Sequence[Told], listed: Sequence[str] = ()) -> Usage:
        return find_usage(
            workloads_of(uses),
            [parse_reference(text) for text in listed],
            self.frames,
            self.facts,
            find_families(self.frames),
            self.digest_ids,
        )

    def kinds(self, usage: Usage) -> dict[tuple[str, str], str]:
        """Kind by repository and digest; without those that nobody uses."""
        return {
            (self.repositories[position].name, text): KINDS[kind]
            for (position, text), kind in zip(self.keys, usage.kind.tolist(), strict=True)
            if kind != UNUSED
        }


def _place(one: Repository) -> tuple[str, str]:
    return one.account, one.region


def app(
    *held: Held, name: str = "app", place: int = 0, whole: bool = True, cache: bool = False
) -> Repository:
    return Repository(*PLACES[place], name, held, is_whole=whole, is_cache=cache)


def held(number: int, *tags: str, children: Sequence[int] = ()) -> Held:
    return Held(digest(number), frozenset(tags), frozenset(map(digest, children)))


def told(reference: str, kind: UseKind = RUNNING, workload: str = "prod/web", place: int = 0) -> Told:
    return Told(place, "ecs", workload, int(kind), reference)


def test_tag_names_what_has_it_in_the_snapshot_with_the_platforms_under_it() -> None:
    fleet = Fleet([app(held(1, "v1", children=(2, 3)), held(2), held(3), held(4, "old"))])
    usage = fleet.usage([told(f"{host(0)}/app:v1", CONFIGURED)])
    assert fleet.kinds(usage) == {("app", digest(n)): "configured" for n in (1, 2, 3)}
    assert usage.in_use.tolist() == [True, True, True, False]


def test_digest_beats_the_tag_that_has_moved_since() -> None:
    fleet = Fleet([app(held(1), held(2, "v1"))])
    usage = fleet.usage([told(f"{host(0)}/app:v1@{digest(1)}")])
    assert fleet.kinds(usage) == {("app", digest(1)): "running"}


def test_platform_that_runs_keeps_its_index_and_what_that_names() -> None:
    """ECS tells the digest of the platform; the next task pulls the index, on whatever platform."""
    fleet = Fleet([app(held(1, children=(2, 3)), held(2), held(3), held(4, children=(3,)))])
    usage = fleet.usage([told(f"{host(0)}/app:v1@{digest(2)}")])
    expected = {1: "configured", 2: "running", 3: "configured"}
    assert fleet.kinds(usage) == {("app", digest(n)): kind for n, kind in expected.items()}
    assert [use.kind for use in usage.of(0)] == ["configured"]
    assert [use.kind for use in usage.of(1)] == ["running"]


def test_platform_that_is_only_configured_by_digest_needs_no_index() -> None:
    fleet = Fleet([app(held(1, children=(2,)), held(2))])
    usage = fleet.usage([told(f"{host(0)}/app@{digest(2)}", CONFIGURED)])
    assert fleet.kinds(usage) == {("app", digest(2)): "configured"}


def test_platform_that_a_deployment_got_for_its_tag_keeps_its_index() -> None:
    """A service of ECS that is scaled to nothing keeps to the digest that its tag had."""
    fleet = Fleet([app(held(1, children=(2, 3)), held(2), held(3))])
    usage = fleet.usage([told(f"{host(0)}/app:v1@{digest(2)}", CONFIGURED)])
    assert fleet.kinds(usage) == {("app", digest(n)): "configured" for n in (1, 2, 3)}
    previous = fleet.usage([told(f"{host(0)}/app:v1@{digest(2)}", PREVIOUS)])
    assert fleet.kinds(previous) == {("app", digest(2)): "previous"}


def test_running_beats_configured_beats_previous() -> None:
    fleet = Fleet([app(held(1, "v1", "v2", "v3"))])
    uses = [
        told(f"{host(0)}/app:v1", PREVIOUS, "a"),
        told(f"{host(0)}/app:v2", CONFIGURED, "b"),
        told(f"{host(0)}/app:v3", RUNNING, "a"),
        told(f"{host(0)}/app:v3", PREVIOUS, "a", place=1),
    ]
    usage = fleet.usage(uses)
    assert KINDS[usage.kind[0]] == "running"
    # Each workload once, by what counts most; a workload of that name elsewhere is another one.
    assert [(use.kind, use.workload, use.region) for use in usage.of(0)] == [
        ("running", "a", "eu-west-1"),
        ("configured", "b", "eu-west-1"),
        ("previous", "a", "us-east-1"),
    ]
    assert (usage.count(0), usage.of(0, 1)) == (3, usage.of(0)[:1])
    assert KINDS[fleet.usage(uses[:2]).kind[0]] == "configured"


def test_use_in_one_account_and_region_names_an_image_of_another() -> None:
    fleet = Fleet([app(held(1, "v1"), place=2)])
    usage = fleet.usage([told("222222222222.dkr-ecr-fips.eu-west-1.on.aws/app:v1")])
    assert usage.of(0) == (
        Use("ecs", *PLACES[0], "prod/web", "running", "222222222222.dkr-ecr-fips.eu-west-1.on.aws/app:v1"),
    )


def test_same_name_in_another_registry_is_another_image() -> None:
    fleet = Fleet([app(held(1, "v1"), name="nginx")])
    foreign = ["nginx:v1", "docker.io/nginx:v1", "public.ecr.aws/nginx:v1", f"{host(1)}/nginx:v1"]
    usage = fleet.usage([told(text) for text in foreign])
    assert not usage.in_use.any()
    assert [one.reference for one in usage.missing] == [foreign[3]]
    assert (usage.unresolved.elsewhere, usage.unresolved.elsewhere_example) == (3, "docker.io/nginx:v1")


def test_alias_of_a_public_registry_names_what_it_has() -> None:
    fleet = Fleet([app(held(1, "v1"), held(2, "v2"), place=PUBLIC), app(held(3, "v1"), place=2)])
    named = ["public.ecr.aws/shop/app:v1", f"ecr-public.aws.com/a1b2c3d4/app@{digest(2)}"]
    usage = fleet.usage([told(text) for text in named])
    assert fleet.kinds(usage) == {("app", digest(n)): "running" for n in (1, 2)}
    # By a workload in a private region.
    assert [use.region for use in usage.of(1)] == [PLACES[0][1]]
    broken = ["public.ecr.aws/shop/app:gone", "public.ecr.aws/shop/none:v1"]
    others = ["public.ecr.aws/stranger/app:v1", "public.ecr.aws/shop:v1", "docker.io/shop/app:v1"]
    usage = fleet.usage([told(text) for text in [*broken, *others]])
    assert not usage.in_use.any()
    assert [one.reference for one in usage.missing] == broken
    assert usage.unresolved.elsewhere == len(others)


def test_alias_that_was_not_read_is_unknown_and_never_missing() -> None:
    named = [told("public.ecr.aws/shop/app:v1"), told("public.ecr.aws/shop/none:v1")]
    repositories = [app(held(1, "v1"), place=PUBLIC)]
    usage = Fleet(repositories, aliases=()).usage(named)
    assert (usage.missing, usage.unresolved.elsewhere) == ((), 2)
    assert not usage.in_use.any()
    # The same of what a registry that was read in part does not show.
    usage = Fleet(repositories, partial=frozenset({PUBLIC})).usage(named)
    assert (usage.missing, usage.unresolved.elsewhere) == ((), 1)


def test_what_is_not_there_is_broken_unless_it_was_not_read_or_a_cache_fetches_it() -> None:
    repositories = [
        app(held(1, "v1")),
        app(name="part", whole=False),
        app(name="cache", cache=True),
        app(name="other", place=2),
    ]
    fleet = Fleet(repositories, partial=frozenset({2}))
    names = ("app:gone", "part:gone", "cache:gone", "none:gone")
    uses = [told(f"{host(0)}/{name}", PREVIOUS) for name in names]
    uses += [told(f"{host(2)}/none:v1"), told(f"{host(0)}/app:gone", CONFIGURED, "b"), told("${IMAGE}")]
    usage = fleet.usage(uses, [f"{host(0)}/app@{digest(7)}"])
    assert [(one.kind, one.reference, len(one.users)) for one in usage.missing] == [
        ("configured", f"{host(0)}/app:gone", 2),
        ("previous", f"{host(0)}/none:gone", 1),
        ("listed", f"{host(0)}/app@{digest(7)}", 1),
    ]
    assert [use.workload for use in usage.of_missing(usage.missing[0])] == ["b", "prod/web"]
    left = usage.unresolved
    assert (left.elsewhere, left.cached, left.unreadable) == (2, 1, 1)
    assert (left.cached_example, left.unreadable_example) == (f"{host(0)}/cache:gone", "${IMAGE}")


def test_weaker_kinds_can_be_left_out() -> None:
    fleet = Fleet([app(held(1, "v1"), held(2, "v2"), held(3, "v3"))])
    uses = [told(f"{host(0)}/app:v{n}", kind) for n, kind in enumerate(UseKind, 1)]
    found = [
        find_usage(
            up_to(workloads_of(uses), kind),
            (),
            fleet.frames,
            fleet.facts,
            find_families(fleet.frames),
            fleet.digest_ids,
        ).in_use.tolist()
        for kind in UseKind
    ]
    assert found == [[True, False, False], [True, True, False], [True, True, True]]
    assert up_to(workloads_of(uses), RUNNING).references == [f"{host(0)}/app:v1"]


def test_nobody_and_nothing() -> None:
    fleet = Fleet([app(held(1, "v1"))])
    families = find_families(fleet.frames)
    usage = find_usage(None, (), fleet.frames, fleet.facts, families, fleet.digest_ids)
    assert (usage.kind.tolist(), usage.missing, usage.of(0), usage.count(0)) == ([UNUSED], (), (), 0)
    empty = Fleet([])
    assert empty.usage([told(f"{host(0)}/app:v1")]).missing[0].users == (0,)


def test_word_for_how_an_image_is_used() -> None:
    held_twice = (held(1, "v1"), held(2, "v2"))
    fleet = Fleet([app(*held_twice), app(*held_twice, place=1), app(*held_twice, place=2)])
    usage = fleet.usage([told(f"{host(1)}/app:v1"), told(f"{host(0)}/app:v2", PREVIOUS)])
    reads = [SourceRead(0, "ecs", ReadStatus.COMPLETE), SourceRead(1, "ecs", ReadStatus.PARTIAL)]
    coverage = coverage_of(workloads_of([], reads), fleet.frames.registries)
    # In the second place one source was read in part only, in the third none was asked.
    assert set(use_words(None, None, fleet.frames)) == {"unknown"}
    # Of what no workload was asked about, only a list says anything.
    assert set(use_words(usage, None, fleet.frames)) - set(KINDS) == {"unknown"}
    words = use_words(usage, coverage, fleet.frames)
    assert words.tolist() == ["", "previous", "running", "unknown", "unknown", "unknown"]
    possibly = replace(usage, possibly=~usage.in_use)
    assert use_words(possibly, coverage, fleet.frames).tolist()[:2] == ["unknown", "previous"]


def test_list_of_the_user_and_workloads_count_together() -> None:
    fleet = Fleet([app(held(1, "v1", children=(2,)), held(2), held(3, "v3"))])
    usage = fleet.usage([told(f"{host(0)}/app@{digest(2)}", PREVIOUS)], [f"{host(0)}/app:v1", digest(3)])
    expected = {1: "listed", 2: "previous", 3: "listed"}
    assert fleet.kinds(usage) == {("app", digest(n)): kind for n, kind in expected.items()}
    assert [(use.source, use.kind) for use in usage.of(1)] == [("ecs", "previous"), ("list", "listed")]


def test_coverage_names_sources_by_how_their_last_read_went() -> None:
    reads = [
        SourceRead(0, "lambda", ReadStatus.COMPLETE),
        SourceRead(0, "ecs", ReadStatus.COMPLETE),
        SourceRead(0, "eks", ReadStatus.REFUSED),
        SourceRead(1, "batch", ReadStatus.PARTIAL),
        SourceRead(1, "inspector", ReadStatus.COMPLETE),
    ]
    fleet = Fleet([])
    coverage = coverage_of(workloads_of([], reads), fleet.frames.registries)
    everything = ("ecs", "lambda", "eks", "apprunner", "batch", "sagemaker", "codebuild")
    assert coverage.places == (
        PlaceCoverage(
            *PLACES[0], ("ecs", "lambda"), (), ("eks",), ("apprunner", "batch", "sagemaker", "codebuild")
        ),
        PlaceCoverage(
            *PLACES[1],
            ("inspector",),
            ("batch",),
            (),
            ("ecs", "lambda", "eks", "apprunner", "sagemaker", "codebuild"),
        ),
        PlaceCoverage(*PLACES[2], never_asked=everything),
        PlaceCoverage(*PLACES[PUBLIC]),
    )
    assert (coverage.is_complete, coverage.is_nothing) == (False, False)
    assert Coverage((PlaceCoverage("1", "r", everything),)).is_complete
    assert Coverage((PlaceCoverage("1", "r", never_asked=everything),)).is_nothing


NAMES = st.sampled_from(["a", "b", "a/b"])
TAGS = st.sampled_from(["1", "2", "latest"])
NUMBERS = st.integers(1, 6)
HELD = st.builds(
    Held,
    NUMBERS.map(digest),
    st.frozensets(TAGS, max_size=2),
    st.just(frozenset()) | st.frozensets(NUMBERS.map(digest), max_size=3),
)


@st.composite
def repositories(draw: st.DrawFn) -> list[Repository]:
    """Up to four of them: a manifest has the same children wherever it is, a tag names one image."""
    children = {digest(n): draw(HELD).children for n in range(1, 7)}
    places = draw(st.lists(st.tuples(st.integers(0, PUBLIC), NAMES), unique=True, max_size=4))
    found = []
    for place, name in places:
        entries = draw(st.lists(HELD, max_size=5, unique_by=lambda held: held.digest))
        seen: set[str] = set()
        whole = []
        for entry in entries:
            whole.append(Held(entry.digest, entry.tags - seen, children[entry.digest]))
            seen |= entry.tags
        found.append(
            Repository(
                *PLACES[place],
                name,
                tuple(whole),
                is_whole=draw(st.integers(0, 3)) > 0,
                is_cache=draw(st.integers(0, 3)) == 0,
            )
        )
    return found


@st.composite
def references(draw: st.DrawFn) -> tuple[str, Meant]:
    """A reference in one of many spellings, and what it says."""
    number, name = draw(st.integers(0, PUBLIC)), draw(NAMES)
    account, region = PLACES[number]
    tag = draw(st.none() | TAGS)
    by_digest = draw(st.none() | NUMBERS.map(digest))
    alias = draw(st.sampled_from([*ALIASES, "stranger"])) if number == PUBLIC else ""
    start = draw(
        st.sampled_from(
            [f"public.ecr.aws/{alias}/", f"docker://ECR-public.aws.com/{alias}/"]
            if alias
            else [
                f"{account}.dkr.ecr.{region}.amazonaws.com/",
                f"{account}.dkr-ecr.{region}.on.aws/",
                f"{account}.dkr.ecr-fips.{region}.amazonaws.com:443/",
                f"docker-pullable://{account}.DKR.ecr.{region}.amazonaws.com/",
                "docker.io/",
                "",
            ]
        )
    )
    text = f"{start}{name}" + (f":{tag}" if tag else "") + (f"@{by_digest}" if by_digest else "")
    is_ours = account in start
    tag = tag or ("latest" if by_digest is None else None)
    return text, Meant(account if is_ours else "", region if is_ours else "", name, tag, by_digest, alias)


@examples(150)
@given(
    drawn=repositories(),
    named=st.lists(references(), min_size=1, max_size=8),
    uses=st.lists(
        st.tuples(
            st.integers(0, 2),
            st.sampled_from(SOURCES),
            st.sampled_from("wv"),
            st.integers(0, 3),
            st.integers(0, 7),
        ),
        max_size=14,
    ),
    partial=st.frozensets(st.integers(0, PUBLIC)),
    aliases=st.sampled_from([(), ALIASES[:1], ALIASES]),
)
def test_users_are_what_a_plain_search_finds(
    drawn: list[Repository],
    named: list[tuple[str, Meant]],
    uses: list[tuple[int, str, str, int, int]],
    partial: frozenset[int],
    aliases: tuple[str, ...],
) -> None:
    fleet = Fleet(drawn, partial, aliases)
    every = [
        Told(place, source, workload, kind, named[n % len(named)][0])
        for place, source, workload, kind, n in uses
    ]
    listed = sorted({use.reference for use in every if use.kind == 3})
    stored = [use for use in every if use.kind != 3]
    found = fleet.usage(stored, listed)
    whole = frozenset(place for n, place in enumerate(PLACES) if n not in partial)
    known = dict.fromkeys(aliases, PLACES[PUBLIC])
    on_list = [Told(-1, "list", "", 3, text) for text in listed]
    expected = Searched(fleet.repositories, whole, [*stored, *on_list], dict(named), known)

    def owner(use: Use) -> tuple[int, str, str]:
        if use.source == "list":
            return -1, "list", use.reference
        return PLACES.index((use.account, use.region)), use.source, use.workload

    for position, key in enumerate(fleet.keys):
        users = found.of(position)
        of = expected.users.get(key, {})
        assert {owner(use): KINDS.index(use.kind) for use in users} == of
        assert len(users) == found.count(position) == len(of)
        assert int(found.kind[position]) == min(of.values(), default=UNUSED)
    assert {
        one.reference: {owner(use): KINDS.index(use.kind) for use in found.of_missing(one)}
        for one in found.missing
    } == expected.missing
    left = found.unresolved
    assert (left.elsewhere, left.cached) == (len(expected.elsewhere), len(expected.cached))


@examples(200)
@given(st.lists(references().map(lambda one: one[0]) | st.text("ab:/@.-_ 1sh56\n", max_size=16) | st.text()))
def test_references_read_together_are_those_read_one_by_one(texts: list[str]) -> None:
    together = read_texts(texts)
    for n, text in enumerate(texts):
        meant = together.meant[together.group[n]]
        try:
            alone = parse_reference(text)
        except InputError:
            assert meant is None
            continue
        apart = take_apart([alone])
        assert meant is not None
        assert (meant.registry, meant.account, meant.region, meant.repository) == (
            alone.registry,
            alone.account,
            alone.region,
            alone.repository,
        )
        assert (together.tag[n], together.digest[n]) == (apart.tag[0], apart.digest[0])


@pytest.mark.parametrize("text", ["sha256:abc", "docker://sha256:abc", "h/a:b:c", "a.b/c:1@", " a.b/c :1"])
def test_unusual_references_are_read_as_a_whole(text: str) -> None:
    try:
        alone = parse_reference(text)
    except InputError:
        assert read_texts([text]).meant[read_texts([text]).group[0]] is None
        return
    meant = read_texts([text]).meant[read_texts([text]).group[0]]
    assert meant is not None
    assert meant.registry is alone.registry
