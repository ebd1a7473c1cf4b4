"""`demurrage what-if` on a database, as a user and as CI meet it."""

from __future__ import annotations

import csv
import io
import json
import os
import sqlite3
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from analyzer.lifecycle.parsing import Code
from analyzer.model.media_types import OCI_MANIFEST
from analyzer.model.records import (
    Artifact,
    BlobReference,
    Gap,
    Kind,
    Manifest,
    ReadStatus,
    RegistryRead,
    RepositoryRead,
)
from analyzer.store.engine import Database
from analyzer.store.schema import upgrade_schema
from analyzer.store.writer import Store
from tests.analyzer.cli.conftest import Outcome
from tests.analyzer.cli.judged_database import (
    ACCOUNT,
    GONE,
    HOST,
    KEY,
    LAST_NIGHT,
    NEW,
    OLD,
    POLICY,
    REGION,
    URL,
    image,
    make_database,
)
from tests.analyzer.lifecycle.documents import DAYS, TRANSITION, archived, document, rule, tagged
from tests.analyzer.lifecycle.test_plans import change, policy_text
from tests.analyzer.lifecycle.test_plans import document as plan_of
from tests.analyzer.store.examples import commit
from tests.strategies.registries import sha256
from tests.support.report_fixture import HOSTILE

Cli = Callable[..., Outcome]
Json = dict[str, Any]

_GB = 2**30
_REFUSED = Gap(ACCOUNT, REGION, "copy", "ecr:GetLifecyclePolicy", "AccessDeniedException")
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_HALF_PRICE = 'format = 1\ncurrency = "USD"\ndiscount_factor = "0.5"\n'
ROOT = Path(__file__).parents[3]


def _manifest(of: Artifact, **layers: int) -> Manifest:
    blobs = [BlobReference(sha256(name), size * _GB, _LAYER) for name, size in layers.items()]
    return Manifest(of.digest, Kind.IMAGE, OCI_MANIFEST, 500, blobs)


def _make(folder: Path, *gaps: Gap) -> Path:
    """The judged database with sizes: 6 GB in ``app``, 5 GB in ``copy``, 6 GB together."""
    make_database(folder, *gaps)
    Store(Database(f"sqlite:///{folder / 'judged.sqlite'}"), lambda: 0).add_manifests(
        [
            _manifest(OLD, base=3, old=2),
            _manifest(NEW, base=3, new=1),
            _manifest(GONE, base=3, gone=4),
        ]
    )
    return folder / "judged.sqlite"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database in which everything was read; to be copied."""
    return _make(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def partial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a gap about ``copy``; to be copied."""
    return _make(tmp_path_factory.mktemp("partial"), _REFUSED)


def _write(folder: Path, name: str, content: object) -> str:
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / name).write_text(text, encoding="utf-8")
    return name


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with ``old.json`` (older than 30 days), ``one.json`` (keep one), ``none.json`` (keep all)."""
    _write(tmp_path, "old.json", POLICY)
    _write(tmp_path, "one.json", policy_text(1))
    _write(tmp_path, "none.json", policy_text(1000))
    _write(tmp_path, "used.txt", f"{HOST}/app:dev-1\n{HOST}/app:dev-2\n{HOST}/app:nowhere\n")
    return tmp_path


def _copy(database: Path, folder: Path) -> Path:
    # Of a database that is in use the file alone does not hold everything.
    with (
        closing(sqlite3.connect(database)) as source,
        closing(sqlite3.connect(folder / database.name)) as copy,
    ):
        source.backup(copy)
    return folder


@pytest.fixture
def database(files: Path, whole: Path) -> Path:
    """The files, and beside them the judged database."""
    return _copy(whole, files)


@pytest.fixture
def with_gap(files: Path, partial: Path) -> Path:
    """The files, and beside them the judged database with a gap."""
    return _copy(partial, files)


@pytest.fixture
def what_if(demurrage: Cli, database: Path) -> Cli:
    """Calls the command on the judged database."""
    assert (database / "judged.sqlite").exists()
    return lambda *arguments: demurrage("what-if", "--db", URL, *arguments)


def _answer(outcome: Outcome) -> Json:
    assert (outcome.status, outcome.err) == (0, "")
    found: Json = json.loads(outcome.out)
    return found


def _leaving(answer: Json) -> dict[str, list[str]]:
    """Tags of what a rule takes, by repository."""
    return {
        row["repositoryName"]: sorted(tag for one in row["previewResults"] for tag in one["imageTags"])
        for row in answer["repositories"]
    }


def _bad_usage(outcome: Outcome, said: str) -> None:
    """One line on stderr that says it, nothing on stdout, status 2."""
    assert (outcome.status, outcome.out) == (2, "")
    *_, line = outcome.err.splitlines()
    assert said in line, outcome.err
    assert "Traceback" not in outcome.err


# --- what is asked -------------------------------------------------------------------------------


def test_the_last_snapshot_is_judged_at_its_own_time(what_if: Cli) -> None:
    answer = _answer(what_if("--policy", "old.json", "--format", "json"))
    assert (answer["at"], answer["policy"]) == ("2026-11-23T02:00:00Z", "old.json")
    assert answer["snapshot"] == {"taken_from": "2026-11-23T02:00:00Z", "taken_to": "2026-11-23T02:00:00Z"}
    assert _leaving(answer) == {"app": ["dev-1"], "copy": ["dev-1"]}
    assert {(row["registryId"], row["region"]) for row in answer["repositories"]} == {(ACCOUNT, REGION)}
    assert answer["totals"]["bytes"]["freed"] == 7 * _GB
    assert answer["totals"]["cost"]["saving"]["low"]["amount"] == "0.70"


def test_a_terminal_gets_totals_that_add_up(what_if: Cli) -> None:
    text = what_if("--policy", "old.json").out
    assert text.startswith(
        "2 repositories under old.json at 2026-11-23T02:00:00Z, from snapshots of 2026-11-23T02:00:00Z\n"
    )
    lines = {
        line.split()[0]: line.split()[1:5]
        for line in text.splitlines()
        if line.startswith(("TOTAL", "LEAVES", "ARCHIVED ", "KEPT"))
    }
    assert lines["TOTAL"] == ["3", "11.00", "GB", "$1.10"]
    assert lines["LEAVES"] == ["2", "7.00", "GB", "$0.70"]
    assert lines["ARCHIVED"] == ["0", "0.00", "GB", "$0.00"]
    assert lines["KEPT"] == ["1", "4.00", "GB", "$0.40"]
    assert "Naive: tools that add up image sizes would say 10.0 GB and $1.00 per month leave" in text


def test_only_the_repositories_that_are_asked_for(what_if: Cli) -> None:
    asked = ("--policy", "old.json", "--format", "json")
    assert set(_leaving(_answer(what_if(*asked, "--repository", "c*")))) == {"copy"}
    both = what_if(*asked, "--repository", "c?py", "--repository", "[a-b]pp")
    assert set(_leaving(_answer(both))) == {"app", "copy"}
    # Case counts, and a name is a name.
    for glob in ("nothing/*", "App", "ap", ""):
        _bad_usage(
            what_if(*asked, "--repository", "app", "--repository", glob),
            f"--repository {glob}: no repository has such a name",
        )


def test_several_policies_stand_side_by_side_in_their_order(what_if: Cli) -> None:
    given = ("--policy", "one.json", "--policy", "none.json", "--policy", "old.json")
    candidates = _answer(what_if(*given, "--format", "json"))["candidates"]
    assert [one["policy"] for one in candidates] == ["one.json", "none.json", "old.json"]
    assert [one["totals"]["counts"]["leaving"] for one in candidates] == [1, 0, 2]
    alone = _answer(what_if("--policy", "old.json", "--format", "json"))
    assert candidates[2]["repositories"] == alone["repositories"]
    assert candidates[2]["totals"] == alone["totals"]
    text = what_if(*given).out
    assert next(line for line in text.splitlines() if line.startswith("LEAVES")).split() == [
        "LEAVES",
        "1",
        "0",
        "2",
    ]
    rows = list(csv.DictReader(io.StringIO(what_if(*given, "--format", "csv").out)))
    assert [row["leaving"] for row in rows if row["row"] == "total"] == ["1", "0", "2"]


def test_the_change_from_what_is_in_force(what_if: Cli) -> None:
    asked = ("--policy", "old.json", "--against", "live")
    answer = _answer(what_if(*asked, "--format", "json"))
    change_of = {row["repositoryName"]: row["against"]["change"] for row in answer["repositories"]}
    # In app the very same policy is in force, in copy none is.
    assert {name: one["leaving"] for name, one in change_of.items()} == {"app": 0, "copy": 1}
    assert answer["totals"]["against"]["change"]["freedBytes"]["repository"] == 5 * _GB
    text = what_if(*asked).out
    assert "in force" in text
    assert [line.split()[-1] for line in text.splitlines() if line.startswith(("app ", "copy "))] == [
        "+1",
        "+0",
    ]
    assert "against" not in _answer(what_if("--policy", "old.json", "--format", "json"))["totals"]


def test_the_past_is_judged_on_what_was_there(what_if: Cli) -> None:
    asked = ("--policy", "one.json", "--format", "json")
    then = _answer(what_if(*asked, "--at", "2026-11-05T12:00:00+02:00"))
    assert (then["at"], then["snapshot"]["taken_to"]) == ("2026-11-05T10:00:00Z", "2026-11-01T02:00:00Z")
    assert _leaving(then)["app"] == ["prod-1"]
    first = _answer(what_if(*asked, "--run", "1"))
    assert (first["at"], _leaving(first)["app"]) == ("2026-11-01T02:00:00Z", ["prod-1"])
    before = _answer(what_if(*asked, "--at", "2020-01-01"))
    assert before["snapshot"]["taken_to"] == "2026-11-01T02:00:00Z"


def test_the_future_is_judged_on_what_is_there_now(what_if: Cli) -> None:
    later = _answer(what_if("--policy", "old.json", "--at", "2027-02-01", "--format", "json"))
    assert _leaving(later)["app"] == ["dev-1", "dev-2", "latest"]
    # Rule 5 has room for the release.
    past_run = what_if("--policy", "old.json", "--run", "1", "--at", "2027-02-01", "--format", "json")
    assert _leaving(_answer(past_run))["app"] == ["dev-1"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--run", "3"), "--run 3: the last run is 2"),
        (("--run", "0"), "--run"),
        (("--at", "yesterday"), "'yesterday' is not a time"),
        (("--at", "1999-12-31"), "is not between the years 2000 and 2200"),
        (("--against", "dead"), "--against"),
        (("--scope", "world"), "--scope"),
    ],
)
def test_what_cannot_be_asked(what_if: Cli, arguments: tuple[str, ...], said: str) -> None:
    _bad_usage(what_if("--policy", "old.json", *arguments), said)


def test_the_scope_decides_what_is_freed(what_if: Cli) -> None:
    freed = {
        scope: _answer(what_if("--policy", "one.json", "--scope", scope, "--format", "json"))["totals"]
        for scope in ("auto", "repository", "registry")
    }
    # Whether repositories share layers was not read, so that they are taken to share none.
    sizes = [(one["bytes"]["scope"], one["bytes"]["freed"]) for one in freed.values()]
    assert sizes == [("repository", 2 * _GB), ("repository", 2 * _GB), ("registry", 0)]
    assert freed["registry"]["cost"]["saving"]["low"] == {
        "amount": "0.00",
        "currency": "USD",
        "period": "month",
        "scope": "registry",
    }


def test_own_prices(what_if: Cli, files: Path) -> None:
    _write(files, "prices.toml", _HALF_PRICE)
    asked = ("--policy", "old.json", "--format", "json", "--prices")
    assert _answer(what_if(*asked, "prices.toml"))["totals"]["cost"]["saving"]["low"]["amount"] == "0.35"
    _write(files, "prices.toml", "discount_factor = ")
    _bad_usage(what_if(*asked, "prices.toml"), "--prices prices.toml is not valid TOML")


def test_what_each_rule_brings(what_if: Cli) -> None:
    asked = ("--policy", "old.json", "--by-rule")
    idle, busy = _answer(what_if(*asked, "--format", "json"))["rules"]
    assert (idle["rulePriority"], idle["expiringImageTotalCount"]) == (5, 0)
    assert (busy["rulePriority"], busy["expiringImageTotalCount"]) == (7, 2)
    assert busy["marginalFreed"]["repository"] == busy["aloneFreed"]["repository"] == 7 * _GB
    assert "BRINGS" in what_if(*asked).out
    assert _answer(what_if("--policy", "old.json", "--format", "json"))["rules"] == []


def test_a_spreadsheet_gets_a_row_per_repository_or_image(what_if: Cli) -> None:
    asked = ("--policy", "old.json", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(what_if(*asked).out)))
    assert [(row["row"], row["repository"], row["leaving"]) for row in rows] == [
        ("repository", "copy", "1"),
        ("repository", "app", "1"),
        ("shared", "", "0"),
        ("total", "", "2"),
    ]
    images = list(csv.DictReader(io.StringIO(what_if(*asked, "--rows", "image").out)))
    assert [(row["repository"], row["digest"], row["rule"], row["outcome"]) for row in images] == [
        ("copy", OLD.digest, "7", "expired"),
        ("app", OLD.digest, "7", "expired"),
    ]


def test_whether_children_take_slots_is_the_users_choice(what_if: Cli) -> None:
    # Without indexes it makes no difference; with them see the tests of documents.
    asked = ("--policy", "one.json", "--format", "json")
    assert _answer(what_if(*asked, "--no-children-take-slots")) == _answer(what_if(*asked))


# --- what is needed ------------------------------------------------------------------------------


def test_images_in_use_that_would_be_taken_come_first(what_if: Cli) -> None:
    text = what_if("--policy", "old.json", "--in-use", "used.txt").out
    assert text.startswith("!! IN USE: 1 image that is in use would be taken\n")
    assert f"{HOST}/app:nowhere" in text
    answer = _answer(what_if("--policy", "old.json", "--in-use", "used.txt", "--format", "json"))
    named = {
        row["repositoryName"]: [one["imageTags"] for one in row["inUse"]] for row in answer["repositories"]
    }
    assert named == {"app": [["dev-1"]], "copy": []}
    assert answer["missingInUse"] == [f"{HOST}/app:nowhere"]
    assert answer["totals"]["counts"]["inUse"] == 1


def test_a_list_about_other_registries_does_not_pass_for_a_clean_one(what_if: Cli, files: Path) -> None:
    _write(files, "typo.txt", f"{HOST.replace(ACCOUNT, '999999999999')}/app:dev-1\n")
    asked = ("--policy", "old.json", "--in-use", "typo.txt")
    _bad_usage(what_if(*asked, "--fail-on-in-use"), "--in-use typo.txt: none of its 1 references")
    outcome = what_if(*asked)
    said = "--in-use: 1 of 1 references are to registries or repositories that were not read"
    assert (outcome.status, said in " ".join(outcome.out.split())) == (0, True)
    assert said in _answer(what_if(*asked, "--format", "json"))["warnings"][0]


def test_a_list_of_images_in_use_may_come_through_a_pipe(
    what_if: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ("--policy", "old.json", "--in-use", "-", "--fail-on-in-use")
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps([f"{HOST}/app:dev-1"])))
    assert what_if(*asked).status == 3
    monkeypatch.setattr(sys, "stdin", io.StringIO("[]"))
    assert what_if(*asked).status == 0
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    _bad_usage(what_if(*asked), "--in-use names no image")


def test_taking_what_is_needed_fails_where_that_is_asked(what_if: Cli) -> None:
    asked = ("--policy", "old.json", "--in-use", "used.txt")
    assert what_if(*asked).status == 0
    assert what_if(*asked, "--fail-on-in-use").status == 3
    assert what_if("--policy", "none.json", "--in-use", "used.txt", "--fail-on-in-use").status == 0
    # One of several is enough.
    assert what_if("--policy", "none.json", *asked, "--fail-on-in-use").status == 3
    # What happens in another repository is not in question.
    assert what_if(*asked, "--repository", "copy", "--fail-on-in-use").status == 0
    assert what_if("--policy", "old.json", "--protect", "copy:dev-*", "--fail-on-in-use").status == 3


def test_protected_images_are_named_and_a_glob_in_vain_is_told(what_if: Cli) -> None:
    asked = ("--policy", "old.json", "--protect", "app:dev-*", "--protect", "nothing", "--format", "json")
    answer = _answer(what_if(*asked))
    assert answer["warnings"] == ["--protect nothing: there is no such image"]
    assert answer["totals"]["counts"]["protected"] == 1
    # A table of cells has no place for it.
    cells = what_if(*asked[:-1], "csv")
    assert cells.err == "--protect nothing: there is no such image\n"
    quiet = what_if(*asked[:-1], "csv", "--quiet")
    assert (quiet.err, quiet.out) == ("", cells.out)
    _bad_usage(what_if("--policy", "old.json", "--protect", "a:b:c"), "--protect 'a:b:c' is no pattern")


# --- gaps ----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("with_gap")
def test_a_gap_is_shown_and_status_4(demurrage: Cli) -> None:
    asked = ("what-if", "--db", URL, "--policy", "old.json")
    outcome = demurrage(*asked)
    assert outcome.status == 4
    assert f"{ACCOUNT}/{REGION}/copy: ecr:GetLifecyclePolicy AccessDeniedException" in outcome.out
    assert "ecr:GetLifecyclePolicy" in demurrage(*asked, "--format", "markdown").out
    (gap,) = json.loads(demurrage(*asked, "--format", "json").out)["gaps"]
    assert (gap["repository"], gap["call"]) == ("copy", "ecr:GetLifecyclePolicy")
    # It is not about what was asked.
    assert demurrage(*asked, "--repository", "app").status == 0


@pytest.mark.usefixtures("with_gap")
def test_taking_what_is_needed_counts_more_than_a_gap(demurrage: Cli) -> None:
    asked = ("what-if", "--db", URL, "--policy", "old.json", "--in-use", "used.txt")
    assert demurrage(*asked, "--fail-on-in-use").status == 3
    assert demurrage(*asked).status == 4
    assert demurrage(*asked, "--fail-on-in-use", "--run", "9").status == 2


def test_an_accepted_gap_is_still_shown_and_clean(demurrage: Cli, with_gap: Path) -> None:
    _write(with_gap, "gaps.toml", '[[gap]]\nrepository = "cop*"\nreason = "agreed until 2027"\n')
    asked = ("what-if", "--db", URL, "--policy", "old.json", "--accept-gaps", "gaps.toml")
    answer = _answer(demurrage(*asked, "--format", "json"))
    assert answer["gaps"] == []
    (gap,) = answer["accepted_gaps"]
    assert (gap["call"], gap["accepted_because"]) == ("ecr:GetLifecyclePolicy", "agreed until 2027")
    table = demurrage(*asked)
    assert (table.status, table.err) == (0, "")
    assert "Accepted gaps: 1" in table.out
    _write(with_gap, "gaps.toml", '[[gap]]\nrepository = "app"\nreason = "another"\n')
    assert demurrage(*asked).status == 4


# --- Terraform plans -----------------------------------------------------------------------------


def _plan(folder: Path, *changes: Json) -> tuple[str, ...]:
    _write(folder, "plan.json", plan_of(*changes))
    return ("--terraform-plan", "plan.json")


def _set(repository: str, keep: int = 1, **more: Any) -> Json:
    """A plan's entry that puts a policy."""
    return change("create", after={"repository": repository, "policy": policy_text(keep)}, **more)


def test_a_plan_is_judged_on_the_repositories_that_it_changes(what_if: Cli, files: Path) -> None:
    asked = _plan(files, _set("app", name="app"), _set("nowhere", name="new"))
    answer = _answer(what_if(*asked, "--format", "json"))
    assert (answer["policy"], _leaving(answer)) == ("plan.json", {"app": ["dev-1"]})
    assert json.loads(answer["repositories"][0]["lifecyclePolicyText"]) == json.loads(policy_text(1))
    (note,) = answer["warnings"]
    assert note.startswith("aws_ecr_lifecycle_policy.new: repository nowhere is not among those")
    # A plan is a change from what there was.
    assert answer["totals"]["against"]["change"]["leaving"] == 0
    table = what_if(*asked).out
    assert "1 repository under plan.json" in table
    assert " ".join(note.split()) in " ".join(table.split())


def test_a_pull_request_gets_a_comment(what_if: Cli, files: Path) -> None:
    asked = _plan(
        files,
        _set("copy", name="copy"),
        change("delete", before={"repository": "app", "policy": policy_text(1)}, name="app"),
        change("no-op", before={"repository": "app"}, after={"repository": "app"}, name="same"),
        _set("nowhere", name="new"),
    )
    outcome = what_if(*asked, "--format", "markdown", "--in-use", "used.txt")
    assert (outcome.status, outcome.err) == (0, "")
    text = outcome.out
    assert text.startswith(
        "<!-- demurrage: lifecycle policies -->\n### ECR lifecycle policies: no image would"
    )
    assert f"| `{ACCOUNT}/{REGION}/app` | `aws_ecr_lifecycle_policy.app` | 1 → 0 |" in text
    assert "`aws_ecr_lifecycle_policy.copy` | 0 |" in text
    assert "same" not in text
    # What could not be judged is said once.
    assert text.count("repository nowhere is not among those") == 1


def test_a_plan_that_takes_images_in_use_stops_the_pipeline(what_if: Cli, files: Path) -> None:
    asked = (*_plan(files, _set("app")), "--in-use", "used.txt", "--format", "markdown")
    outcome = what_if(*asked, "--fail-on-in-use")
    assert outcome.status == 3
    assert "> [!CAUTION]\n> **1 image that is in use would be taken:**" in outcome.out
    assert what_if(*_plan(files, _set("app", 2)), *asked[2:], "--fail-on-in-use").status == 0


def test_the_rules_of_a_plan_are_shown_where_it_sets_one_policy(what_if: Cli, files: Path) -> None:
    one = _answer(what_if(*_plan(files, _set("app")), "--by-rule", "--format", "json"))
    assert ([rule["rulePriority"] for rule in one["rules"]], one["warnings"]) == ([1], [])
    asked = _plan(files, _set("app", name="app"), _set("copy", 2, name="copy"))
    two = _answer(what_if(*asked, "--by-rule", "--format", "json"))
    assert two["rules"] == []
    assert two["warnings"] == ["--by-rule shows the rules of one policy, and the plan sets several"]


def test_a_plan_without_policies_changes_nothing(what_if: Cli, files: Path) -> None:
    answer = _answer(what_if(*_plan(files), "--format", "json"))
    assert (answer["repositories"], answer["totals"]["counts"]["leaving"]) == ([], 0)
    assert what_if(*_plan(files), "--format", "markdown").status == 0


def test_a_plan_of_an_invalid_policy_is_refused_with_address_and_code(what_if: Cli, files: Path) -> None:
    broken = json.dumps({"rules": []}).ljust(100)
    asked = _plan(files, change("create", after={"repository": "app", "policy": broken}, name="bad"))
    outcome = what_if(*asked, "--format", "json")
    assert outcome.status == 2
    error = json.loads(outcome.out)["error"]
    assert error["code"] == "RULE_COUNT"
    assert error["message"].startswith("aws_ecr_lifecycle_policy.bad: ")
    _bad_usage(what_if(*asked), "aws_ecr_lifecycle_policy.bad: ")


def test_what_is_no_plan(what_if: Cli, files: Path) -> None:
    for text in ("{}", "[]", "", "[" * 100_000, policy_text(1)):
        _write(files, "plan.json", text)
        _bad_usage(what_if("--terraform-plan", "plan.json"), "plan.json")


def test_a_plan_may_be_tried_on_documents(demurrage: Cli, files: Path) -> None:
    asked = _plan(files, _set("app"))
    details = [
        {
            "repositoryName": "app",
            "imageDigest": one.digest,
            "imagePushedAt": (one.pushed_at_ms or 0) / 1000,
            "imageTags": list(one.tags),
        }
        for one in (OLD, NEW)
    ]
    _write(files, "images.json", {"imageDetails": details})
    answer = _answer(demurrage("what-if", *asked, "--images", "images.json", "--format", "json"))
    assert _leaving(answer) == {"app": ["dev-1"]}
    assert "against" not in answer["totals"]


# --- policies that ECR refuses -------------------------------------------------------------------

_UNTAGGED = {"tagStatus": "untagged"}
#: (text, which errors ECR's rules find in it). Together they have every code.
INVALID: list[tuple[str, list[str]]] = [
    ("{}", ["TEXT_LENGTH", "MISSING_PROPERTY"]),
    (document(rule()).ljust(30_721), ["TEXT_LENGTH"]),
    ("x" * 100, ["NOT_JSON_OBJECT"]),
    ("[" * 20_000, ["NOT_JSON_OBJECT"]),
    (document(rule()).replace('"rules"', '"rules": [], "rules"'), ["DUPLICATE_KEY"]),
    (document(rule(selection={"countNumber": ...})), ["MISSING_PROPERTY"]),
    (document(rule() | {"prio": 1}), ["UNKNOWN_PROPERTY"]),
    (document(rule(selection={"countNumber": "5"})), ["WRONG_TYPE"]),
    (document(rule(selection={"countNumber": int("9" * 4_000)})), ["WRONG_TYPE"]),
    (document(), ["RULE_COUNT"]),
    (document(rule(0)), ["BELOW_MINIMUM"]),
    (document(rule(selection={"tagStatus": "ANY"})), ["BAD_ENUM"]),
    (document(rule(selection={"countUnit": "days"})), ["SELECTION_SCHEMA"]),
    (document(rule(action={"type": "expire", "targetStorageClass": "archive"})), ["ACTION_SCHEMA"]),
    (document(rule(action={"type": "transition"})), ["ACTION_SCHEMA"]),
    (document(tagged(), rule(1)), ["DUPLICATE_PRIORITY"]),
    (document(tagged(tagPatternList=[])), ["TAG_LIST_REQUIRED"]),
    (document(tagged(tagPrefixList=["v"])), ["TAG_LIST_BOTH"]),
    (document(rule(selection=_UNTAGGED | {"tagPrefixList": ["v"]})), ["TAG_LIST_FORBIDDEN"]),
    (document(tagged(tagPatternList=["*****"])), ["TOO_MANY_WILDCARDS"]),
    (document(archived(storageClass=...)), ["STORAGE_CLASS_MISMATCH"]),
    (document(rule(selection=DAYS | {"countType": "sinceImagePulled"})), ["ACTION_COUNTTYPE_MISMATCH"]),
    (document(archived(countNumber=89)), ["ARCHIVE_MIN_DAYS"]),
    (document(rule(1, selection=_UNTAGGED), rule(2, selection=_UNTAGGED)), ["MULTIPLE_UNTAGGED"]),
    (document(rule(1), rule(2)), ["MULTIPLE_ANY", "ANY_NOT_LAST"]),
    (document(rule(1), tagged(2)), ["ANY_NOT_LAST"]),
    (document(tagged(1), tagged(2, countNumber=7)), ["DUPLICATE_TAG_SET"]),
]


def test_the_examples_have_every_code() -> None:
    assert {code for _, codes in INVALID for code in codes} == {code.value for code in Code}


@pytest.mark.parametrize(
    ("text", "codes"), INVALID, ids=[f"{n}-{codes[0]}" for n, (_, codes) in enumerate(INVALID)]
)
def test_an_invalid_policy_is_refused_before_anything_is_read(
    demurrage: Cli, files: Path, text: str, codes: list[str]
) -> None:
    _write(files, "bad.json", text)
    # There is no database at all.
    outcome = demurrage("what-if", "--policy", "bad.json", "--format", "json")
    assert outcome.status == 2
    answer = json.loads(outcome.out)
    assert list(answer) == ["error", "errors"]
    assert answer["error"] == answer["errors"][0]
    assert {"code", "message", "rule"} <= answer["error"].keys()
    assert set(codes) <= {error["code"] for error in answer["errors"]}
    assert answer["error"]["message"]

    table = demurrage("what-if", "--policy", "bad.json")
    assert (table.status, table.out) == (2, "")
    lines = table.err.splitlines()
    assert lines[0].startswith("demurrage: invalid lifecycle policy")
    said = lines if len(answer["errors"]) == 1 else lines[1:]
    assert len(said) == len(answer["errors"])
    for line, error in zip(said, answer["errors"], strict=True):
        assert f"[{error['code']}]" in line
        assert len(line) < 700
    assert not (files / "data").exists()


def test_all_errors_are_listed_with_the_rule_that_each_is_in(demurrage: Cli, files: Path) -> None:
    _write(
        files, "bad.json", document(tagged(3, tagPatternList=["*****"]), rule(3), archived(9, countNumber=5))
    )
    answer = json.loads(demurrage("what-if", "--policy", "bad.json", "--format", "json").out)
    found = {(error["code"], error["rule"]) for error in answer["errors"]}
    assert {("TOO_MANY_WILDCARDS", 1), ("ARCHIVE_MIN_DAYS", 3)} <= found
    assert "DUPLICATE_PRIORITY" in {code for code, _ in found}


def test_of_several_policies_the_invalid_ones_are_named(demurrage: Cli, files: Path) -> None:
    _write(files, "bad.json", document())
    _write(files, "worse.json", document(rule(0)))
    given = [f"--policy={name}.json" for name in ("bad", "old", "worse")]
    errors = json.loads(demurrage("what-if", *given, "--format", "json").out)["errors"]
    assert [(one["code"], one["message"].partition(":")[0]) for one in errors] == [
        ("RULE_COUNT", "bad.json"),
        ("BELOW_MINIMUM", "worse.json"),
    ]
    told = demurrage("what-if", *given).err
    assert [name in told for name in ("bad.json", "worse.json", "old.json")] == [True, True, False]


def test_an_error_in_json_goes_where_the_answer_would(demurrage: Cli, files: Path) -> None:
    _write(files, "bad.json", document())
    outcome = demurrage("what-if", "--policy", "bad.json", "--format", "json", "--output", "out.json")
    assert (outcome.status, outcome.out) == (2, "")
    assert json.loads((files / "out.json").read_text("utf-8"))["error"]["code"] == "RULE_COUNT"


def test_policies_that_ecr_accepts_are_tried_in_every_storage_class(what_if: Cli, files: Path) -> None:
    _write(
        files,
        "archive.json",
        document(rule(1, selection=DAYS | {"countType": "sinceImagePulled"}, action=TRANSITION), archived(2)),
    )
    asked = ("--policy", "archive.json")
    answer = _answer(what_if(*asked, "--format", "json"))
    assert answer["totals"]["summary"] == {
        "expiringImageTotalCount": 0,
        "transitioningImageTotalCounts": [{"targetStorageClass": "ARCHIVE", "imageTotalCount": 2}],
    }
    (region,) = answer["archiving"]
    assert (region["saves"], region["minimumDays"]) == (False, 90)
    assert "saves nothing" in what_if(*asked).out


# --- options of every command --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "name a policy with --policy FILE"),
        (("--in-use", "used.txt"), "name a policy with --policy FILE"),
        (("--policy", "old.json", "--terraform-plan", "p.json"), "cannot be mixed"),
        (("--policy", "old.json", "--manifests", "m.json"), "--images FILE"),
        (("--policy", "old.json", "--region", "eu-west-1"), "--region is for --images"),
        (("--policy", "old.json", "--images", "i.json", "--run", "1"), "--run is for the database"),
        (("--policy", "old.json", "--images", "i.json", "--against", "live"), "--against live"),
        (("--policy", "old.json", "--fail-on-in-use", "--workloads", "none"), "--in-use FILE or --protect"),
        (("--policy", "old.json", "--rows", "image"), "--rows image is for --format csv"),
        (("--policy", "old.json", "--rows", "image", "--format", "json"), "--rows image is for --format csv"),
        (("--policy", "old.json", "--by-rule", "--format", "csv"), "--by-rule has no place in --format csv"),
        (("--policy", "old.json", "--by-rule", "--format", "markdown"), "--by-rule has no place"),
        (("--policy",), "--policy"),
        (("old.json",), "old.json"),
        (("--policy", "old.json", "--format", "xml"), "xml"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_options_that_make_no_sense_together(
    demurrage: Cli, files: Path, arguments: tuple[str, ...], said: str
) -> None:
    assert (files / "old.json").exists()
    _bad_usage(demurrage("what-if", *arguments), said)


def test_files_that_cannot_be_read(demurrage: Cli, database: Path) -> None:
    (database / "binary").write_bytes(b"\xff\xfe\x00\x01")
    (database / "folder").mkdir()
    good = ("--policy", "old.json")
    for option in ("--policy", "--terraform-plan", "--in-use", "--prices", "--accept-gaps", "--images"):
        given = () if option in {"--policy", "--terraform-plan"} else good
        for name, said in (
            ("nothing", "No such file"),
            ("folder", "Is a directory"),
            ("binary", "is not UTF-8 text"),
        ):
            outcome = demurrage("what-if", "--db", URL, *given, option, name)
            _bad_usage(outcome, f"{option} {name}")
            assert said in outcome.err
            assert outcome.err.count("\n") == 1


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a":' * 100_000, "[" + "1," * 200_000, "[" + "9" * 100_000]
)
def test_huge_and_deep_documents_are_one_line(what_if: Cli, files: Path, text: str) -> None:
    _write(files, "huge", text)
    for option in ("--policy", "--terraform-plan"):
        _bad_usage(what_if(option, "huge"), "")
    outcome = what_if("--policy", "old.json", "--in-use", "huge")
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.count("\n") == 1
    assert len(outcome.err) < 700


def test_there_must_be_a_database(demurrage: Cli, files: Path) -> None:
    assert (files / "old.json").exists()
    _bad_usage(
        demurrage("what-if", "--policy", "old.json", "--db", "sqlite:///none.sqlite"), "demurrage collect"
    )
    assert not (files / "none.sqlite").exists()


@pytest.mark.parametrize("form", ["table", "json", "csv", "markdown"])
def test_a_file_gets_what_the_terminal_would(what_if: Cli, files: Path, form: str) -> None:
    asked = ("--policy", "old.json", "--format", form)
    shown = what_if(*asked)
    written = what_if(*asked, "--output", "answer")
    assert (written.status, written.out, written.err) == (0, "", "")
    assert (files / "answer").read_text("utf-8") == shown.out
    assert what_if(*asked, "--output", "-").out == shown.out
    assert {path.name for path in files.iterdir()} >= {"answer", "old.json"}
    assert not [path.name for path in files.iterdir() if path.name.endswith(".part")]


def test_a_file_that_cannot_be_written_is_refused_before_the_work(demurrage: Cli, files: Path) -> None:
    assert (files / "old.json").exists()
    asked = ("what-if", "--policy", "old.json", "--output")
    _bad_usage(demurrage(*asked, "no/such/folder.json"), "there is no folder")
    _bad_usage(demurrage(*asked, "."), "is a folder")


@pytest.mark.usefixtures("database")
def test_global_options_stand_before_or_after_the_command(demurrage: Cli) -> None:
    after = demurrage("what-if", "--policy", "old.json", "--db", URL, "--format", "json", "--quiet")
    before = demurrage("--db", URL, "--format", "json", "--quiet", "what-if", "--policy", "old.json")
    assert _answer(before) == _answer(after)
    # After it they count more.
    both = demurrage("--format", "csv", "--db", URL, "what-if", "--policy", "old.json", "--format", "json")
    assert _answer(both) == _answer(after)


def test_the_environment_stands_in_for_options(
    demurrage: Cli, with_gap: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(with_gap, "gaps.toml", '[[gap]]\nreason = "all of them"\n')
    _write(with_gap, "prices.toml", _HALF_PRICE)
    typed = ("what-if", "--policy", "old.json", "--db", URL)
    settings = {
        "FORMAT": ("--format", "json"),
        "IN_USE": ("--in-use", "used.txt"),
        "PROTECT": ("--protect", ":latest"),
        "SCOPE": ("--scope", "registry"),
        "PRICES": ("--prices", "prices.toml"),
        "ACCEPT_GAPS": ("--accept-gaps", "gaps.toml"),
    }
    expected = demurrage(*typed, *(word for pair in settings.values() for word in pair))
    assert json.loads(expected.out)["totals"]["counts"]["inUse"] == 1
    assert expected.status == 0
    for name, (_, value) in settings.items():
        monkeypatch.setenv(f"DEMURRAGE_{name}", value)
    assert demurrage(*typed) == expected
    monkeypatch.setenv("DEMURRAGE_DB_URL", URL)
    assert demurrage(*typed[:3]) == expected
    monkeypatch.setenv("DEMURRAGE_FAIL_ON_IN_USE", "1")
    assert demurrage(*typed).status == 3
    # What is typed counts more.
    monkeypatch.setenv("DEMURRAGE_OUTPUT", "other.json")
    assert demurrage(*typed, "--output", "-").out == expected.out
    assert demurrage(*typed).out == ""
    assert (with_gap / "other.json").read_text("utf-8") == expected.out
    monkeypatch.setenv("DEMURRAGE_PROTECT", ":latest nothing")
    demurrage(*typed)
    assert "--protect nothing" in (with_gap / "other.json").read_text("utf-8")
    monkeypatch.setenv("DEMURRAGE_QUIET", "1")
    assert demurrage(*typed).err == ""


def test_a_configuration_file_stands_in_for_options(demurrage: Cli, with_gap: Path) -> None:
    _write(with_gap, "gaps.toml", '[[gap]]\nreason = "all of them"\n')
    lines = [
        f'db = "{URL}"',
        'format = "json"',
        'in-use = "used.txt"',
        'protect = ["app:latest", "copy"]',
        "fail-on-in-use = true",
        'scope = "registry"',
        'accept-gaps = "gaps.toml"',
    ]
    _write(with_gap, "demurrage.toml", "\n".join(lines))
    outcome = demurrage("what-if", "--policy", "old.json", "--config", "demurrage.toml")
    assert outcome.status == 3
    totals = json.loads(outcome.out)["totals"]
    assert (totals["counts"]["inUse"], totals["counts"]["protected"]) == (1, 1)
    assert totals["bytes"]["scope"] == "registry"
    # A question is typed.
    for line in ('policy = "old.json"', "by-rule = true", 'at = "2026-01-01"'):
        _write(with_gap, "demurrage.toml", line)
        _bad_usage(
            demurrage("what-if", "--policy", "old.json", "--config", "demurrage.toml"),
            "--config demurrage.toml",
        )


@pytest.mark.parametrize("command", ["report", "lint", "frontier", "explain app:dev-1", "db status"])
@pytest.mark.usefixtures("database")
def test_only_what_if_prints_markdown(demurrage: Cli, command: str) -> None:
    outcome = demurrage(*command.split(), "--db", URL, "--format", "markdown")
    _bad_usage(outcome, "--format markdown")


# --- other people's text -------------------------------------------------------------------------

_UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def _hostile_database(folder: Path) -> None:
    """Repositories and tags of such names, as no ECR has them."""
    names = [name for name in HOSTILE if "\0" not in name and "\ud800" not in name]
    database = Database(f"sqlite:///{folder / 'judged.sqlite'}")
    upgrade_schema(database)
    repositories = [
        RepositoryRead(
            name,
            1,
            ReadStatus.COMPLETE,
            [image(name, name, "=1+1", age_days=90), image(f"{name}2", age_days=1)],
            {"lifecycle_policy_text": json.dumps(json.dumps({"rules": [{"\x1b[31m": 1}]}))},
        )
        for name in sorted(names)
    ]
    gaps = [Gap(ACCOUNT, REGION, names[0], "ecr:X\x1b[31m", "Reason\u202e", "\x1b]0;owned\x07 <b>")]
    commit(database, RegistryRead(KEY, LAST_NIGHT, ReadStatus.COMPLETE, repositories, {}, gaps))


@pytest.mark.parametrize("form", ["table", "json", "csv", "csv --rows image", "markdown"])
def test_other_peoples_text_is_only_text(demurrage: Cli, files: Path, form: str) -> None:
    _hostile_database(files)
    _write(files, "old \x1b[31m.json", POLICY)
    asked = ("--policy", "old \x1b[31m.json", "--against", "live", "--protect", "*")
    outcome = demurrage("what-if", "--db", URL, *asked, "--format", *form.split())
    assert (outcome.status, outcome.err) == (4, "")
    unseen = {char for char in outcome.out if unicodedata.category(char) in _UNSEEN} - {"\n"}
    # A spreadsheet shows them as they are; a zero-width space is how a mention is defused.
    allowed = {"csv": unseen - {"\x1b", "\x07"}, "markdown": {"\u200b"}}
    assert unseen <= allowed.get(form.partition(" ")[0], set())
    if form == "json":
        assert json.loads(outcome.out)["totals"]["counts"]["leaving"] == 10
    if form.startswith("csv"):
        cells = [cell for row in csv.reader(io.StringIO(outcome.out)) for cell in row]
        assert not [cell for cell in cells if unicodedata.normalize("NFKC", cell).strip()[:1] in {"=", "@"}]
    if form == "markdown":
        assert "<script" not in outcome.out
        assert "<img" not in outcome.out


# --- as a process --------------------------------------------------------------------------------


_SCRIPT = """
import sys
from analyzer.cli import main
try:
    main()
except SystemExit as leave:
    loaded = {name.partition(".")[0] for name in sys.modules}
    print(sorted(loaded & {"boto3", "botocore", "alembic", "jinja2", "moto"}), file=sys.stderr)
    raise
"""


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
@pytest.mark.usefixtures("with_gap")
def test_whoever_reads_the_answer_may_hang_up_and_nothing_of_aws_is_loaded() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with subprocess.Popen(
        [sys.executable, "-c", _SCRIPT, "what-if", "--db", URL, "--policy", "old.json"],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        os.close(writing)
        assert process.stderr is not None
        assert process.stderr.read() == "[]\n"
        # The work was done, and its status is that of the work.
        assert process.wait(timeout=60) == 4


def test_the_same_question_gives_the_same_bytes(what_if: Cli) -> None:
    forms: Sequence[tuple[str, ...]] = (("table",), ("json",), ("csv", "--rows", "image"), ("markdown",))
    for form in forms:
        asked = ("--policy", "old.json", "--against", "live", "--in-use", "used.txt", "--format", *form)
        assert what_if(*asked) == what_if(*asked)
