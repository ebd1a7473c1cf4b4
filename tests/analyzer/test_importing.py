"""What the AWS CLI printed, imported: the same as collected, or a gap that says what is not."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from analyzer.cli.folders import files_of
from analyzer.collect import CollectOptions, CollectResult, SilentProgress
from analyzer.documents.gathering import gather
from analyzer.documents.sorting import registries_of
from analyzer.documents.spool import Spool
from analyzer.errors import InputError
from analyzer.importing import Imported, ImportOptions, import_answers
from analyzer.model.answers import Unanswered
from analyzer.model.records import ABSENT, ImageStatus, ReadStatus, RegistryKey, RegistryRead, RepositoryRead
from analyzer.nightly import collect_snapshots
from analyzer.store import tables
from analyzer.store.engine import Database
from analyzer.store.manifests import load_manifests
from analyzer.store.opening import open_database
from analyzer.store.snapshots import load_gaps, newest_snapshots, rebuild, snapshots_of_run
from tests.support.cli_files import epoch_times, iso_times, printed, write_recipe
from tests.support.examples import examples
from tests.support.registry import OCI_INDEX, World, generate, index_text, manifest_text
from tests.support.stub_ecr import Server, serve

REGION = "eu-west-1"
ACCOUNT = "123456789012"
KEY = RegistryKey("aws", ACCOUNT, REGION)
#: After everything that the world holds.
NOW = 1_790_000_000.0
DAY_MS = 86_400_000
TAGS = "aws resourcegroupstaggingapi get-resources --resource-type-filters ecr:repository"
#: As the AWS CLI writes them to stderr; versions differ in what stands before.
REFUSALS = f"""
An error occurred (LifecyclePolicyNotFoundException) when calling the GetLifecyclePolicy operation: \
Lifecycle policy does not exist for the repository with name 'aa' in the registry with id '{ACCOUNT}'

aws: [ERROR]: An error occurred (AccessDeniedException) when calling the DescribeImages operation \
(reached max retries: 4): User: arn:aws:iam::{ACCOUNT}:user/x is not authorized to perform: \
ecr:DescribeImages on resource: arn:aws:ecr:{REGION}:{ACCOUNT}:repository/cc because no policy allows it
"""


@pytest.fixture
def world() -> World:
    """Repositories with all that the recipe asks about, and that a listing may hold."""
    world = generate(3, 7, 4, 5)
    registry = world.registry()
    first, second, third = world.repositories()
    first.lifecycle_policy = '{"rules": [{"rulePriority": 1, "description": "drei \\u00e4ltere"}]}'
    second.resource_tags = {"team": "kühl", "cost-centre": "42"}
    second.scan_on_push = True
    second.encryption = {"encryptionType": "KMS", "kmsKey": "arn:aws:kms:eu-west-1:123456789012:key/k"}
    images = list(third.images.values())
    index = third.put_image(
        index_text(images[:2], [("linux", "amd64"), ("linux", "arm64")]), tag="multi", media_type=OCI_INDEX
    )
    index.scan = {
        "imageScanStatus": {"status": "COMPLETE"},
        "imageScanFindingsSummary": {
            "imageScanCompletedAt": 1_770_000_000.25,
            "findingSeverityCounts": {"HIGH": 2},
        },
    }
    third.archive_image(images[3].digest)
    registry.create_repository("empty/one")
    registry.settings["BLOB_MOUNTING"] = "ENABLED"
    registry.pull_through_cache_rules = [
        {"ecrRepositoryPrefix": "hub", "upstreamRegistryUrl": "registry-1.docker.io", "registryId": ACCOUNT}
    ]
    registry.pull_time_update_exclusions = [f"arn:aws:iam::{ACCOUNT}:role/scanner"]
    return world


@pytest.fixture
def aws(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-a-secret")
    with serve(world) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "answers"
    made.mkdir()
    return made


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return open_database(f"sqlite:///{tmp_path / 'imported.sqlite'}", create=True)


def ecr(region: str = REGION) -> Any:
    return boto3.Session().client("ecr", region_name=region)


def collected(database: Database, *regions: str, at: float = NOW) -> CollectResult:
    options = CollectOptions(regions=regions or (REGION,), requests_per_second=1e6)
    return collect_snapshots(database, boto3.Session(), options, SilentProgress(), clock=lambda: at)


def imported(database: Database, folder: Path, at: float = NOW, **options: Any) -> Imported:
    files, _ = files_of(folder)
    wanted = ImportOptions(**{"taken_at_ms": round(at * 1000), **options})
    return import_answers(database, files, wanted, SilentProgress(), clock=lambda: at + 60)


def read_back(database: Database, key: RegistryKey = KEY) -> RegistryRead:
    with database.read() as connection:
        return rebuild(connection, newest_snapshots(connection)[key])


def stored(database: Database) -> int:
    """Rows that artifacts take, of all nights."""
    with database.read() as connection:
        return connection.execute(select(func.count()).select_from(tables.artifact)).scalar_one()


def repository(read: RegistryRead, name: str) -> RepositoryRead:
    (found,) = (one for one in read.repositories if one.name == name)
    return found


def gaps(database: Database) -> list[tuple[str, str, str]]:
    """(repository, call, reason) of what the last run recorded."""
    with database.read() as connection:
        run = max(snapshot.run for snapshot in newest_snapshots(connection).values())
        found = load_gaps(connection, snapshots_of_run(connection, run), run)
    return [(gap.repository, gap.call, gap.reason) for gap in found]


def write(folder: Path, name: str, *documents: object) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(json.dumps(document) for document in documents), encoding="utf-8")
    return path


def listed(name: str, **fields: Any) -> dict[str, Any]:
    return {
        "repositoryArn": f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{name}",
        "registryId": ACCOUNT,
        "repositoryName": name,
        "createdAt": 1_700_000_000,
        **fields,
    }


def image(name: str, number: int, **fields: Any) -> dict[str, Any]:
    return {
        "registryId": ACCOUNT,
        "repositoryName": name,
        "imageDigest": f"sha256:{number:064x}",
        "imagePushedAt": "2026-03-01T12:00:00+00:00",
        "imageStatus": "ACTIVE",
        **fields,
    }


def images_of(name: str, *details: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The recipe's own form."""
    return {
        "repositoryName": name,
        "filter": {"imageStatus": "ANY"},
        "imageDetails": list(details),
        **fields,
    }


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize("times", [iso_times, epoch_times])
def test_an_imported_snapshot_is_the_collected_one(
    database: Database, folder: Path, tmp_path: Path, times: Callable[[datetime], object]
) -> None:
    other = open_database(f"sqlite:///{tmp_path / 'collected.sqlite'}", create=True)
    live = collected(other)
    write_recipe(ecr(), folder, times)
    offline = imported(database, folder)
    assert offline.notes == ()
    expected, found = read_back(other), read_back(database)
    # Nobody called, so that nobody's pulls can be excluded; what else is there is all the same.
    settings = {name: text for name, text in expected.settings.items() if name != "collector_excluded"}
    assert found == replace(expected, settings=settings)
    assert found.taken_at_ms == NOW * 1000
    assert {setting for one in found.repositories for setting in one.settings} >= {"tags", "encryption"}
    digests = {artifact.digest for one in found.repositories for artifact in one.artifacts}
    assert load_manifests(database, digests) == load_manifests(other, digests)
    (of_live,), (of_files,) = live.registries, offline.result.registries
    assert of_files == of_live
    assert [gap.reason for gap in of_files.gaps] == ["ImageArchived"]
    assert gaps(database) == gaps(other)
    assert (offline.result.calls, offline.result.status) == ({}, "gaps")


@pytest.mark.usefixtures("aws")
def test_the_next_import_stores_only_what_changed(database: Database, folder: Path, world: World) -> None:
    write_recipe(ecr(), folder)
    imported(database, folder)
    before = stored(database)
    world.push_and_delete(0.2)
    write_recipe(ecr(), folder)
    result = imported(database, folder, at=NOW + 86_400).result
    assert result.registries[0].snapshot == 2
    changed = sum(round(len(one.images) * 0.2) for one in world.repositories())
    assert result.registries[0].manifests_fetched == changed
    assert stored(database) == before + changed


@pytest.mark.usefixtures("aws")
def test_what_is_not_given_is_unknown_and_each_kind_of_it_one_gap(database: Database, folder: Path) -> None:
    kept = {"repositories.json", "images.json"}
    write_recipe(ecr(), folder)
    for path in folder.iterdir():
        if path.name not in kept:
            path.unlink()
    imported(database, folder)
    read = read_back(database)
    assert read.settings == {}
    for one in read.repositories:
        assert one.status is ReadStatus.COMPLETE
        assert not one.settings.keys() & {
            "lifecycle_policy_text",
            "tags",
            "repository_policy_text",
            "scanning",
        }
    found = gaps(database)
    of_registry = sorted((call, reason) for name, call, reason in found if not name)
    assert of_registry == [
        ("ecr:BatchGetRepositoryScanningConfiguration", "NoneGiven"),
        ("ecr:DescribePullThroughCacheRules", "NotGiven"),
        ("ecr:DescribeRegistry", "NotGiven"),
        ("ecr:DescribeRepositoryCreationTemplates", "NotGiven"),
        ("ecr:GetAccountSetting", "NotGiven"),
        ("ecr:GetLifecyclePolicy", "NoneGiven"),
        ("ecr:GetRegistryPolicy", "NotGiven"),
        ("ecr:GetRegistryScanningConfiguration", "NotGiven"),
        ("ecr:GetRepositoryPolicy", "NoneGiven"),
        ("ecr:ListPullTimeUpdateExclusions", "NotGiven"),
        ("ecr:ListTagsForResource", "NoneGiven"),
    ]
    assert {(call, reason) for name, call, reason in found if name} == {
        ("ecr:BatchGetImage", "NotGiven"),
        ("ecr:BatchGetImage", "ImageArchived"),
    }


@pytest.mark.usefixtures("aws")
def test_a_repository_without_its_images_is_refused_and_keeps_what_was_known(
    database: Database, folder: Path, world: World
) -> None:
    write_recipe(ecr(), folder)
    imported(database, folder)
    before = read_back(database)
    name = next(world.repositories()).name
    write_recipe(ecr(), folder, leave_out=["images.json"])
    documents = _documents((folder / "images.json").read_text(encoding="utf-8"))
    write(folder, "images.json", *(one for one in documents if one["repositoryName"] != name))
    imported(database, folder, at=NOW + 60)
    after = read_back(database)
    assert repository(after, name) == replace(repository(before, name), status=ReadStatus.REFUSED)
    assert (name, "ecr:DescribeImages", "NotGiven") in gaps(database)


def _documents(text: str) -> list[dict[str, Any]]:
    decoder, found, at = json.JSONDecoder(), [], 0
    while at < len(text):
        value, at = decoder.raw_decode(text, at)
        found.append(value)
        at += len(text[at:]) - len(text[at:].lstrip())
    return found


def test_only_a_whole_list_of_repositories_makes_others_disappear(database: Database, folder: Path) -> None:
    write(folder, "r.json", {"repositories": [listed("aa"), listed("bb")]})
    write(folder, "i.json", images_of("aa", image("aa", 1)), images_of("bb", image("bb", 2)))
    imported(database, folder)
    write(folder, "r.json", {"repositories": [listed("aa")], "NextToken": "x"})
    write(folder, "i.json", images_of("aa", image("aa", 1)))
    imported(database, folder, at=NOW + 1)
    read = read_back(database)
    assert read.status is ReadStatus.PARTIAL
    assert [(one.name, one.status) for one in read.repositories] == [
        ("aa", ReadStatus.COMPLETE),
        ("bb", ReadStatus.REFUSED),
    ]
    assert ("", "ecr:DescribeRepositories", "Truncated") in gaps(database)
    write(folder, "r.json", {"repositories": [listed("aa")]})
    imported(database, folder, at=NOW + 2)
    assert [one.name for one in read_back(database).repositories] == ["aa"]


def test_an_empty_repository_is_told_from_one_that_was_not_asked(database: Database, folder: Path) -> None:
    write(folder, "r.json", {"repositories": [listed("aa"), listed("bb")]})
    write(folder, "i.json", images_of("aa"), {"imageDetails": []})
    result = imported(database, folder)
    read = read_back(database)
    assert repository(read, "aa").status is ReadStatus.COMPLETE
    assert repository(read, "bb").status is ReadStatus.REFUSED
    assert result.notes == (
        "i.json, document 2, imageDetails has no images, and does not say of which repository; not read",
    )


def test_pages_are_merged_and_a_token_at_the_end_is_a_gap(database: Database, folder: Path) -> None:
    write(folder, "r.json", {"repositories": [listed("aa"), listed("bb")]})
    first = {"imageDetails": [image("aa", 1)], "nextToken": "x"}
    write(folder, "a.json", first, {"imageDetails": [image("aa", 2)]})
    write(folder, "b.json", {"imageDetails": [image("bb", 3), image("bb", 4)], "NextToken": "x"})
    imported(database, folder)
    read = read_back(database)
    assert [len(one.artifacts) for one in read.repositories] == [2, 2]
    assert [one.status for one in read.repositories] == [ReadStatus.COMPLETE, ReadStatus.PARTIAL]
    assert ("bb", "ecr:DescribeImages", "Truncated") in gaps(database)


def test_archived_images_that_nobody_asked_for_do_not_seem_to_be_gone(
    database: Database, folder: Path
) -> None:
    write(folder, "r.json", {"repositories": [listed("aa")]})
    kept = image("aa", 1)
    write(folder, "i.json", images_of("aa", kept, image("aa", 2, imageStatus="ARCHIVED"), image("aa", 3)))
    imported(database, folder)
    assert ("", "ecr:DescribeImages", "ArchivedNotShown") not in gaps(database)
    write(folder, "i.json", {"imageDetails": [kept]})
    imported(database, folder, at=NOW + 1)
    read = repository(read_back(database), "aa")
    assert read.status is ReadStatus.PARTIAL
    assert ImageStatus.ARCHIVED in {artifact.image_status for artifact in read.artifacts}
    assert ("", "ecr:DescribeImages", "ArchivedNotShown") in gaps(database)
    write(folder, "i.json", images_of("aa", kept))
    imported(database, folder, at=NOW + 2)
    assert len(repository(read_back(database), "aa").artifacts) == 1


@pytest.mark.usefixtures("aws")
def test_answers_older_than_the_last_snapshot_are_refused_and_nothing_is_written(
    database: Database, folder: Path
) -> None:
    collected(database)
    write_recipe(ecr(), folder)
    with pytest.raises(
        InputError, match=r"^the answers of 123456789012/eu-west-1 were taken at .*, before its last"
    ):
        imported(database, folder, at=NOW - 1)
    with database.read() as connection:
        assert newest_snapshots(connection)[KEY].number == 1
    assert imported(database, folder, at=NOW + 1).result.registries[0].snapshot == 2


def test_the_time_is_that_of_the_newest_list_unless_it_is_said(database: Database, folder: Path) -> None:
    first = write(folder, "r.json", {"repositories": [listed("aa")]})
    second = write(folder, "i.json", images_of("aa", image("aa", 1)))
    third = write(folder, "s.json", {"name": "BLOB_MOUNTING", "value": "ENABLED"})
    for path, seconds in ((first, 1_780_000_000), (second, 1_780_000_100), (third, 1_780_000_200)):
        os.utime(path, (seconds, seconds))
    imported(database, folder, taken_at_ms=None)
    assert read_back(database).taken_at_ms == 1_780_000_100_000
    # A copy may have an older time than what it holds.
    os.utime(second, (1_700_000_000, 1_700_000_000))
    os.utime(first, (1_700_000_000, 1_700_000_000))
    write(folder, "i.json", images_of("aa", image("aa", 1, lastRecordedPullTime=1_785_000_000)))
    os.utime(second, (1_700_000_000, 1_700_000_000))
    imported(database, folder, taken_at_ms=None)
    assert read_back(database).taken_at_ms == 1_785_000_000_000


def test_times_that_cannot_be_are_refused(database: Database, folder: Path) -> None:
    write(folder, "r.json", {"repositories": [listed("aa")]})
    path = write(folder, "i.json", images_of("aa", image("aa", 1)))
    with pytest.raises(InputError, match=r"^--taken-at .*: is yet to come"):
        imported(database, folder, taken_at_ms=round(NOW * 1000) + DAY_MS)
    with pytest.raises(InputError, match=r"^--taken-at .*: an image of .* was pushed or pulled"):
        imported(database, folder, taken_at_ms=1_700_000_000_000)
    os.utime(path, (NOW + 86_400, NOW + 86_400))
    with pytest.raises(InputError, match=r"are of a time to come.*--taken-at TIME"):
        imported(database, folder, taken_at_ms=None)


@pytest.mark.usefixtures("aws")
def test_registries_are_told_apart_by_their_folders(
    database: Database, folder: Path, tmp_path: Path, world: World
) -> None:
    world.registry(region="us-east-1").create_repository("only/here")
    write_recipe(ecr(), folder / "eu")
    write_recipe(ecr("us-east-1"), folder / "us")
    result = imported(database, folder).result
    assert [row.key.region for row in result.registries] == [REGION, "us-east-1"]
    other = open_database(f"sqlite:///{tmp_path / 'collected.sqlite'}", create=True)
    collected(other, REGION, "us-east-1")
    for key in (KEY, RegistryKey("aws", ACCOUNT, "us-east-1")):
        expected = read_back(other, key)
        settings = {name: text for name, text in expected.settings.items() if name != "collector_excluded"}
        assert read_back(database, key) == replace(expected, settings=settings)


def test_what_may_be_of_two_registries_is_refused(database: Database, folder: Path) -> None:
    other = listed("bb", repositoryArn=f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/bb")
    write(folder, "r.json", {"repositories": [listed("aa"), other]})
    # Told apart by name.
    write(folder, "i.json", images_of("aa", image("aa", 1)), images_of("bb", image("bb", 2)))
    assert len(imported(database, folder).result.registries) == 2
    write(folder, "s.json", {"name": "BLOB_MOUNTING", "value": "ENABLED"})
    with pytest.raises(
        InputError,
        match=r"^s.json, document 1 may be of 123456789012/eu-west-1 or 123456789012/us-east-1; "
        "put the files of each registry into a folder of its own",
    ):
        imported(database, folder)


def test_without_a_list_of_repositories_the_region_has_to_be_said(database: Database, folder: Path) -> None:
    write(folder, "i.json", images_of("aa", image("aa", 1)))
    with pytest.raises(
        InputError, match=r"^i.json, document 1, imageDetails does not say which registry.*--region"
    ):
        imported(database, folder)
    imported(database, folder, region="cn-north-1")
    read = read_back(database, RegistryKey("aws-cn", ACCOUNT, "cn-north-1"))
    assert read.status is ReadStatus.PARTIAL
    (one,) = read.repositories
    assert (one.name, one.created_at_ms, one.status) == ("aa", 0, ReadStatus.COMPLETE)
    found = gaps(database)
    assert ("", "ecr:DescribeRepositories", "NotGiven") in found
    assert ("", "ecr:DescribeRepositories", "NoCreationTime") in found


def test_a_repository_that_is_not_dated_is_the_one_known_by_its_name(
    database: Database, folder: Path
) -> None:
    path = write(folder, "r.json", {"repositories": [listed("aa")]})
    write(folder, "i.json", images_of("aa", image("aa", 1)))
    imported(database, folder)
    path.unlink()
    imported(database, folder, at=NOW + 1, region=REGION)
    (one,) = read_back(database).repositories
    assert one.created_at_ms == 1_700_000_000_000


def test_a_repository_that_gets_its_date_later_is_not_counted_twice(database: Database, folder: Path) -> None:
    write(folder, "i.json", images_of("aa", image("aa", 1)))
    imported(database, folder, region=REGION)
    write(folder, "r.json", {"repositories": [listed("aa")], "NextToken": "more"})
    imported(database, folder, at=NOW + 1)
    (one,) = read_back(database).repositories
    assert one.created_at_ms == 1_700_000_000_000


def test_an_option_that_contradicts_the_files_is_refused(database: Database, folder: Path) -> None:
    write(folder, "r.json", {"repositories": [listed("aa")]})
    cases: list[tuple[dict[str, Any], str]] = [
        ({"region": "us-east-1"}, "--region us-east-1: the files are of eu-west-1"),
        ({"account": "999999999999"}, "--account 999999999999: the files are of 123456789012"),
        ({"region": "Ireland"}, "--region Ireland: is not the name of an AWS region"),
        ({"account": "12"}, "--account 12: an account has twelve digits"),
    ]
    for wanted, complaint in cases:
        with pytest.raises(InputError, match=f"^{complaint}"):
            imported(database, folder, **wanted)


def test_refused_calls_are_known_from_what_the_cli_wrote(database: Database, folder: Path) -> None:
    write(folder, "r.json", {"repositories": [listed("aa"), listed("bb"), listed("cc")]})
    write(folder, "i.json", *(images_of(name, image(name, 1)) for name in ("aa", "bb")))
    (folder / "errors.txt").write_text(REFUSALS, encoding="utf-8")
    imported(database, folder)
    read = read_back(database)
    assert repository(read, "aa").settings["lifecycle_policy_text"] == ABSENT
    assert "lifecycle_policy_text" not in repository(read, "bb").settings
    found = gaps(database)
    assert ("bb", "ecr:GetLifecyclePolicy", "NotGiven") in found
    assert ("cc", "ecr:DescribeImages", "AccessDeniedException") in found


def test_manifests_count_only_where_they_are_what_their_digest_says(database: Database, folder: Path) -> None:
    good = manifest_text([("sha256:" + "a" * 64, 10)], ("sha256:" + "c" * 64, 1))
    digest = f"sha256:{hashlib.sha256(good.encode()).hexdigest()}"
    other = f"sha256:{7:064x}"
    write(folder, "r.json", {"repositories": [listed("aa")]})
    write(folder, "i.json", images_of("aa", image("aa", 7), image("aa", 1, imageDigest=digest)))

    def answer(text: str, of: str) -> dict[str, Any]:
        entry = {"repositoryName": "aa", "imageId": {"imageDigest": of}, "imageManifest": text}
        return {"images": [entry], "failures": []}

    write(folder, "m.json", answer(f"{good} ", digest), answer(good, digest), answer(good, other))
    result = imported(database, folder).result
    assert result.registries[0].manifests_fetched == 1
    assert load_manifests(database, [digest, other]).keys() == {digest}
    assert ("aa", "ecr:BatchGetImage", "DigestMismatch") in gaps(database)


def test_contradictions_are_named_and_what_was_written_last_counts(database: Database, folder: Path) -> None:
    write(folder, "r.json", {"repositories": [listed("aa"), listed("bb")]})
    old = write(
        folder, "z.json", images_of("aa", image("aa", 1, imageSizeInBytes=1)), images_of("bb", image("bb", 1))
    )
    new = write(
        folder, "a.json", images_of("aa", image("aa", 1, imageSizeInBytes=2)), images_of("bb", image("bb", 2))
    )
    os.utime(old, (1_780_000_000, 1_780_000_000))
    os.utime(new, (1_780_000_001, 1_780_000_001))
    imported(database, folder)
    read = read_back(database)
    assert [artifact.reported_size_bytes for artifact in repository(read, "aa").artifacts] == [2]
    assert len(repository(read, "bb").artifacts) == 2
    assert [gap for gap in gaps(database) if gap[2] == "Contradiction"] == [
        ("aa", "ecr:DescribeImages", "Contradiction"),
        ("bb", "ecr:DescribeImages", "Contradiction"),
    ]


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("a.json", '{"imageDetails": [', r"a.json is not JSON: .* at line 1, column 19"),
        ("a.json", '{"imageDetails": 3}', r"a.json, document 1: imageDetails is 3 and no list"),
        (
            "a.json",
            '{"imageDetails": [{"imageDigest": "x"}]}',
            r"a.json, document 1, imageDetails: \[0\] does not say in",
        ),
        ("a.json", '{"imageDetails": [5]}', r"a.json, document 1, imageDetails: \[0\] is 5 and no image"),
        ("a.json", '{"repositories": [5]}', r"a.json, document 1: repositories \[0\] is 5 and no repository"),
        ("a.json", '{"repositories": {}}', r"a.json, document 1: repositories is an object and no list"),
        ("a.json", '{"images": [{}]}', r"a.json, document 1, images: \[0\] has no imageId"),
        ("a.json", '{"lifecyclePolicyText": "{}"}', r"a.json, document 1: does not say of which repository"),
        ("a.json", "[[1]]", r"a.json, document 1, entry 0 is a list in a list"),
        ("a.json", "[" * 10**5, r"a.json is nested too deeply"),
    ],
)
def test_malformed_files_are_refused_in_one_line(
    database: Database, folder: Path, name: str, text: str, complaint: str
) -> None:
    write(folder, "r.json", {"repositories": [listed("aa")]})
    (folder / name).write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=f"^{complaint}") as refused:
        imported(database, folder)
    assert "\n" not in str(refused.value)
    with database.read() as connection:
        assert newest_snapshots(connection) == {}


def test_files_of_other_kinds_are_passed_over_and_named(database: Database, folder: Path) -> None:
    write(folder, "r.json", {"repositories": [listed("aa")]})
    write(folder, "other.json", {"imageIds": []}, {"tags": []}, {"x": 1}, [], 5)
    (folder / "README.txt").write_text("the answers of Tuesday", encoding="utf-8")
    (folder / "nothing.json").write_text("", encoding="utf-8")
    (folder / "picture.png").write_bytes(b"\x89PNG\xff\xfe")
    (folder / ".hidden").write_text("{", encoding="utf-8")
    (folder / ".git").mkdir()
    (folder / ".git" / "x.json").write_text("{", encoding="utf-8")
    assert sorted(imported(database, folder).notes) == [
        "README.txt is neither JSON nor what the AWS CLI says of refused calls; not read",
        "nothing.json is empty; not read",
        "other.json, document 1 is what `aws ecr list-images` prints, without times and sizes; not read",
        f"other.json, document 2 is of tags without their repository; `{TAGS}` prints both; not read",
        "other.json, document 3 is not the answer of a call that is used here; not read",
        "other.json, document 4 is an empty list; not read",
        "other.json, document 5 is 5; not read",
        "picture.png is neither JSON nor what the AWS CLI says of refused calls; not read",
    ]


def test_a_folder_without_answers_is_refused(database: Database, folder: Path) -> None:
    with pytest.raises(InputError, match=r"^nothing to import: no file holds"):
        imported(database, folder)


def test_lists_may_be_entries_lines_or_one_document_after_the_other(database: Database, folder: Path) -> None:
    write(folder, "r.json", [listed("aa"), listed("bb")])
    write(
        folder, "i.json", image("aa", 1), image("aa", 2), [image("bb", 3)], [images_of("bb", image("bb", 4))]
    )
    result = imported(database, folder)
    assert result.result.registries[0].artifacts == 4
    assert result.notes == ()
    assert read_back(database).status is ReadStatus.COMPLETE


def test_windows_powershell_writes_utf_16(database: Database, folder: Path) -> None:
    (folder / "r.json").write_text(printed({"repositories": [listed("aa")]}), encoding="utf-16")
    (folder / "i.json").write_text(
        printed(images_of("aa", image("aa", 1, imageTags=["é"]))), encoding="utf-8-sig"
    )
    imported(database, folder)
    assert [a.tags for a in repository(read_back(database), "aa").artifacts] == [("é",)]


@examples(50)
@given(data=st.data())
def test_it_does_not_matter_which_file_a_document_is_in(data: st.DataObject) -> None:
    whole = [
        {"repositories": [listed("aa"), listed("bb")]},
        {"imageDetails": [image("aa", 1), image("bb", 2)], "filter": {"imageStatus": "ANY"}},
        images_of("cc", image("cc", 3, imageTags=["x"])),
        {"repositories": [listed("cc")]},
        {"registryId": ACCOUNT, "repositoryName": "aa", "lifecyclePolicyText": "{}"},
        {"name": "BLOB_MOUNTING", "value": "DISABLED"},
        {"ResourceTagMappingList": [{"ResourceARN": listed("bb")["repositoryArn"], "Tags": []}]},
    ]
    order = data.draw(st.permutations(whole))
    cuts = [data.draw(st.integers(0, 3)) for _ in order]
    with Spool() as spool:
        sources = [
            _Text(f"{number}.json", "\n".join(json.dumps(document) for document in documents))
            for number in range(4)
            if (documents := [one for one, cut in zip(order, cuts, strict=True) if cut == number])
        ]
        (found,) = registries_of(gather(list(sources), spool))
        listing = found.ask("DescribeRepositories", {})
        assert not isinstance(listing, Unanswered)
        assert {entry["repositoryName"] for entry in listing["repositories"]} == {"aa", "bb", "cc"}
        assert "nextToken" not in listing
        for name, number in (("aa", 1), ("bb", 2), ("cc", 3)):
            answer = found.ask("DescribeImages", {"repositoryName": name})
            assert not isinstance(answer, Unanswered)
            assert [detail["imageDigest"] for detail in answer["imageDetails"]] == [f"sha256:{number:064x}"]
        assert found.ask("GetLifecyclePolicy", {"repositoryName": "aa"}) == whole[4]
        assert found.ask("GetAccountSetting", {"name": "BLOB_MOUNTING"}) == whole[5]
        assert found.ask("ListTagsForResource", {"resourceArn": listed("aa")["repositoryArn"]}) == {
            "tags": []
        }
        assert found.gaps() == []


@dataclass(frozen=True)
class _Text:
    """A source in memory."""

    name: str
    text: str
    folder: str = ""
    modified_at_ms: int = 0

    def read(self) -> str:
        return self.text
