"""`demurrage recommend` as a user meets it."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import hcl2
import pytest

from analyzer.lifecycle.parsing import parse_policy
from analyzer.model.media_types import OCI_MANIFEST
from analyzer.model.records import (
    ABSENT,
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
from tests.analyzer.cli.judged_database import ACCOUNT, DAY_MS, HOST, KEY, LAST_NIGHT, REGION
from tests.analyzer.store.conftest import postgresql, postgresql_clean, postgresql_server
from tests.analyzer.store.examples import commit
from tests.strategies.registries import sha256
from tests.support.databases import Provider

Cli = Callable[..., Outcome]

__all__ = ["postgresql", "postgresql_clean", "postgresql_server"]

URL = "sqlite:///advised.sqlite"
_GB = 2**30
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def _image(name: str, *tags: str, age_days: float, pulled_days: int | None = None) -> Artifact:
    return Artifact(
        sha256(name),
        tags,
        pushed_at_ms=LAST_NIGHT - round(age_days * DAY_MS),
        media_type=OCI_MANIFEST,
        pulled_day=None if pulled_days is None else LAST_NIGHT // DAY_MS - pulled_days,
    )


#: Every ten days a version, long ago: of 30 the last five are to stay.
_VERSIONS = [_image(f"v{n}", f"v1.{n}.0", age_days=900 - 10 * n) for n in range(30)]
_UNTAGGED = [_image(f"u{n}", age_days=200 + n) for n in range(10)]
_HOSTILE = [_image(f"h{n}", f"<b>{n}'$(touch pwned)`\x1b[31m", age_days=400 + n) for n in range(8)]


def _repository(
    name: str, images: Sequence[Artifact], policy: object = None, status: ReadStatus = ReadStatus.COMPLETE
) -> RepositoryRead:
    text = ABSENT if policy is None else json.dumps(json.dumps(policy))
    return RepositoryRead(name, 1, status, images, {"lifecycle_policy_text": text})


def _keep(number: int) -> object:
    return {
        "rules": [
            {
                "rulePriority": 1,
                "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": number},
                "action": {"type": "expire"},
            }
        ]
    }


def _make(url: str, *gaps: Gap) -> None:
    database = Database(url)
    upgrade_schema(database)
    repositories = [
        _repository("app", [*_VERSIONS, *_UNTAGGED]),
        # It is pulled, and the policy takes it.
        _repository(
            "careless",
            [*_VERSIONS[:-2], _image("old", age_days=700, pulled_days=3)],
            _keep(2),
        ),
        _repository("empty", []),
        _repository("good", _VERSIONS[-6:], _keep(5)),
        _repository("hostile", _HOSTILE),
        _repository("loose", [*_VERSIONS, *_UNTAGGED], _keep(39)),
        RepositoryRead("secret", 1, ReadStatus.COMPLETE, _VERSIONS[:3], {}),
    ]
    commit(database, RegistryRead(KEY, LAST_NIGHT, ReadStatus.COMPLETE, repositories, {}, gaps))
    digests = sorted({image.digest for one in repositories for image in one.artifacts})
    Store(database, lambda: 0).add_manifests(
        [
            Manifest(
                digest,
                Kind.IMAGE,
                OCI_MANIFEST,
                500,
                [BlobReference(sha256(each), _GB, _LAYER) for each in ("base", f"of {digest}")],
            )
            for digest in digests
        ]
    )


@pytest.fixture
def recommend(demurrage: Cli, tmp_path: Path) -> Cli:
    _make(f"sqlite:///{tmp_path / 'advised.sqlite'}")
    return lambda *arguments: demurrage("recommend", "--db", URL, *arguments)


def _rows(outcome: Outcome) -> dict[str, dict[str, Any]]:
    return {row["repository"]: row for row in json.loads(outcome.out)["repositories"]}


def test_each_repository_gets_the_advice_that_fits_it(recommend: Cli) -> None:
    outcome = recommend("--format", "json")
    assert outcome.status == 0, outcome.err
    rows = _rows(outcome)
    assert {name: row["status"] for name, row in rows.items()} == {
        "app": "set",
        "careless": "safer",
        "empty": "nothing",
        "good": "keep",
        "hostile": "set",
        "loose": "replace",
        "secret": "unknown",
    }
    app = rows["app"]
    # The last five versions stay; what carries no tag is older than 90 days.
    assert app["effect"]["leaving"] == 35
    assert app["effect"]["freed_bytes"]["repository"] == 35 * _GB
    assert app["needed"]["releases"] == 5
    assert app["families"][0]["pattern"] == "v*"
    assert "takes 2 needed images" in rows["careless"]["reason"] or rows["careless"]["current_takes_needed"]
    assert "could not be read" in rows["secret"]["reason"]
    assert json.loads(outcome.out)["in_use_known"] is False


def test_every_policy_is_one_that_ecr_takes(recommend: Cli) -> None:
    for row in _rows(recommend("--format", "json")).values():
        if row["policy"] is not None:
            assert parse_policy(json.dumps(row["policy"])).rules


def test_images_in_use_stay_though_they_are_old(recommend: Cli, tmp_path: Path) -> None:
    (tmp_path / "used.txt").write_text(f"{HOST}/app:v1.0.0\n")
    row = _rows(recommend("--format", "json", "--in-use", "used.txt", "--repository", "app"))["app"]
    assert row["needed"]["in_use"] == 1
    # Its version is the oldest of all, so only what has no tag can leave.
    assert row["effect"]["leaving"] <= 10 + 29
    assert recommend("--in-use", "used.txt", "--repository", "app", "--format", "policy").status == 0
    judged = recommend("--format", "json", "--protect", "app:v1.*", "--repository", "app")
    assert _rows(judged)["app"]["effect"]["leaving"] == 10


def test_fewer_releases_and_a_margin_change_the_numbers(recommend: Cli) -> None:
    two = _rows(recommend("--format", "json", "--keep-releases", "2", "--repository", "app"))["app"]
    assert two["needed"]["releases"] == 2
    assert two["effect"]["leaving"] > 35


def test_a_terminal_gets_one_repository_in_full_and_many_in_a_table(recommend: Cli) -> None:
    text = recommend().out
    assert text.startswith("7 repositories at 2026-11-23T02:00:00Z: ")
    assert "which images are in use is not known" in text
    one = recommend("--repository", "app").out
    assert f"{ACCOUNT}/{REGION}/app: put this policy" in one
    assert '"tagStatus"' in one
    assert "demurrage what-if --policy policy.json --repository app --against live" in one


def test_rows_for_a_spreadsheet(recommend: Cli) -> None:
    rows = list(csv.DictReader(io.StringIO(recommend("--format", "csv").out)))
    by_name = {row["repository"]: row for row in rows}
    assert by_name["app"]["advice"] == "set"
    assert by_name["app"]["leaving"] == "35"
    assert by_name["secret"]["policy"] == ""
    assert all(not row["reason"].startswith(("=", "+", "-", "@")) for row in rows)


def test_one_policy_can_be_written_and_tried(recommend: Cli, demurrage: Cli) -> None:
    text = recommend("--repository", "app", "--format", "policy").out
    assert parse_policy(text).rules
    Path("policy.json").write_text(text)
    tried = demurrage(
        "what-if", "--db", URL, "--policy", "policy.json", "--repository", "app", "--format", "json"
    )
    assert json.loads(tried.out)["totals"]["summary"]["expiringImageTotalCount"] == 35
    several = recommend("--format", "policy")
    assert several.status == 2
    assert "prints one policy" in several.err
    assert recommend("--repository", "empty", "--format", "policy").status == 2


def test_one_policy_for_all_takes_nothing_needed_anywhere(recommend: Cli) -> None:
    document = json.loads(recommend("--fleet", "--format", "json").out)
    fleet = document["fleet"]
    assert parse_policy(json.dumps(fleet["policy"])).rules
    assert fleet["lost_bytes"]["repository"] >= 0
    assert "One policy that is safe in all" in recommend("--fleet").out


def test_terraform_reads_what_is_written(recommend: Cli) -> None:
    text = recommend("--format", "terraform").out
    resources = hcl2.loads(text)["resource"]
    assert len(resources) == 4
    assert "jsonencode" in text


def _aws(folder: Path, count: str) -> dict[str, str]:
    """An environment in which aws notes how it is called, and previews say ``count``."""
    stub = folder / "bin" / "aws"
    stub.parent.mkdir()
    stub.write_text(
        "#!/bin/sh\n"
        f'printf "%s\\n" "$2" >> "{folder}/calls"\n'
        f'case "$2" in get-caller-identity) echo {ACCOUNT} ;; '
        f'get-lifecycle-policy-preview) echo "{count}" ;; esac\n'
    )
    stub.chmod(0o755)
    return {**os.environ, "PATH": f"{stub.parent}:{os.environ['PATH']}"}


@pytest.mark.parametrize(
    ("count", "arguments", "status", "put"),
    [("3", [], 0, 0), ("3", ["--apply"], 0, 4), ("999", ["--apply"], 1, 0), ("None", ["--apply"], 1, 0)],
)
def test_the_script_puts_only_what_the_preview_agrees_with(
    recommend: Cli, tmp_path: Path, count: str, arguments: list[str], status: int, put: int
) -> None:
    script = tmp_path / "put.sh"
    script.write_text(recommend("--format", "cli", "--output", "-").out)
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0
    done = subprocess.run(
        ["sh", script, *arguments],
        env=_aws(tmp_path, count),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stderr
    calls = (tmp_path / "calls").read_text()
    assert calls.count("put-lifecycle-policy\n") == put
    assert calls.count("start-lifecycle-policy-preview\n") == 4
    # Tags are other people's text: nothing in them is run.
    assert not (tmp_path / "pwned").exists()


def test_hostile_tags_reach_no_terminal(recommend: Cli) -> None:
    for form in ("table", "json", "csv", "terraform", "cli"):
        out = recommend("--repository", "hostile", "--format", form).out
        assert "\x1b" not in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--repository", "nothing/*"], "no repository has such a name"),
        (["--keep-releases", "0"], "--keep-releases"),
        (["--format", "markdown"], "recommend prints table, json, csv, terraform, cli, policy"),
    ],
)
def test_bad_usage_is_told(recommend: Cli, arguments: list[str], said: str) -> None:
    outcome = recommend(*arguments)
    assert outcome.status == 2
    assert said in outcome.err


def test_the_advice_is_the_same_on_postgresql(demurrage: Cli, recommend: Cli, postgresql: Provider) -> None:
    url = postgresql.empty_url()
    _make(url)
    outcome = demurrage("recommend", "--db", url, "--format", "json")
    assert outcome.status == 0, outcome.err
    assert (
        json.loads(outcome.out)["repositories"]
        == json.loads(recommend("--format", "json").out)["repositories"]
    )
