"""Policies written down: read back the same, and safe to paste into a file or a shell."""

from __future__ import annotations

import base64
import json
import os
import re
import shlex
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.lifecycle.parsing import InvalidPolicy, parse_policy
from analyzer.lifecycle.policy import Action, CountType, Policy, Rule, StorageClass, TagStatus
from analyzer.lifecycle.writing import policy_cli, policy_json, policy_terraform
from tests.strategies.policies import draw_policy, policies, policy_documents

SMALLEST = Policy(
    (
        Rule(
            priority=1,
            tag_status=TagStatus.ANY,
            count_type=CountType.IMAGE_COUNT_MORE_THAN,
            count_number=1,
            action=Action.EXPIRE,
        ),
    )
)
#: One of everything.
LARGE = Policy(
    (
        Rule(
            priority=1,
            tag_status=TagStatus.TAGGED,
            tag_patterns=("prod*", "*-${x}"),
            count_type=CountType.SINCE_IMAGE_PULLED,
            count_number=30,
            action=Action.TRANSITION,
            description='say "hi"',
        ),
        Rule(
            priority=20,
            tag_status=TagStatus.TAGGED,
            tag_prefixes=("dev",),
            count_type=CountType.SINCE_IMAGE_PUSHED,
            count_number=7,
            action=Action.EXPIRE,
        ),
        Rule(
            priority=300,
            tag_status=TagStatus.UNTAGGED,
            storage_class=StorageClass.ARCHIVE,
            count_type=CountType.SINCE_IMAGE_TRANSITIONED,
            count_number=90,
            action=Action.EXPIRE,
            description="",
        ),
    )
)


def described(description: str) -> Policy:
    return Policy((replace(SMALLEST.rules[0], description=description),))


def test_json_has_the_keys_of_the_guide_in_its_order() -> None:
    assert policy_json(LARGE) == (
        '{"rules":['
        '{"rulePriority":1,"description":"say \\"hi\\"",'
        '"selection":{"tagStatus":"tagged","tagPatternList":["prod*","*-${x}"],'
        '"countType":"sinceImagePulled","countUnit":"days","countNumber":30},'
        '"action":{"type":"transition","targetStorageClass":"archive"}},'
        '{"rulePriority":20,'
        '"selection":{"tagStatus":"tagged","tagPrefixList":["dev"],'
        '"countType":"sinceImagePushed","countUnit":"days","countNumber":7},'
        '"action":{"type":"expire"}},'
        '{"rulePriority":300,"description":"",'
        '"selection":{"tagStatus":"untagged","storageClass":"archive",'
        '"countType":"sinceImageTransitioned","countUnit":"days","countNumber":90},'
        '"action":{"type":"expire"}}]}'
    )


def test_smallest_policy_is_longer_than_the_least_that_ecr_takes() -> None:
    assert len(policy_json(SMALLEST)) == 138
    assert parse_policy(policy_json(SMALLEST)) == SMALLEST


def test_rules_are_written_by_priority() -> None:
    assert policy_json(Policy(LARGE.rules[::-1])) == policy_json(LARGE)


def test_indented_json_says_the_same() -> None:
    text = policy_json(LARGE, indent=2)
    assert text.startswith('{\n  "rules": [\n    {\n      "rulePriority": 1,\n')
    assert json.loads(text) == json.loads(policy_json(LARGE))


@given(policies(), st.none() | st.integers(0, 4))
def test_what_is_written_reads_back_the_same(policy: Policy, indent: int | None) -> None:
    assert parse_policy(policy_json(policy, indent=indent)) == policy


@given(st.text(st.characters(exclude_categories=())), st.none() | st.just(2))
def test_any_description_reads_back_the_same_and_is_seen(description: str, indent: int | None) -> None:
    text = policy_json(described(description), indent=indent)
    assert parse_policy(text) == described(description)
    assert text.encode()
    # What Unicode has not assigned, or has left to private use, a terminal shows as a box.
    assert not re.search(
        "[\x00-\x09\x0b-\x1f\x7f-\x9f\xad\u200b-\u200f\u2028-\u202e\ufeff\ud800-\udfff]", text
    )


@given(policy_documents())
def test_text_without_spaces_is_the_shortest(document: str) -> None:
    try:
        policy = parse_policy(document)
    except InvalidPolicy:
        return
    assert len(policy_json(policy)) <= len(document)


def test_text_at_the_limit_stays_within_it() -> None:
    # Escapes would make it six times as long; the characters themselves are legal.
    room = 30_720 - len(policy_json(described("")))
    for character in ("\u200b", "é", "\N{GRINNING FACE}", "\x7f"):
        policy = described(character * room)
        assert len(policy_json(policy)) == 30_720
        assert parse_policy(policy_json(policy)) == policy
    halves = described("\ud800" * (room // 6))
    assert parse_policy(policy_json(halves)) == halves
    assert policy_json(halves).isascii()


def test_terraform_is_laid_out_as_terraform_does() -> None:
    assert policy_terraform(LARGE, "team/app.web-1") == (
        'resource "aws_ecr_lifecycle_policy" "team__app--web-1" {\n'
        '  repository = "team/app.web-1"\n'
        "\n"
        "  policy = jsonencode({\n"
        "    rules = [\n"
        "      {\n"
        "        rulePriority = 1\n"
        '        description  = "say \\"hi\\""\n'
        "        selection = {\n"
        '          tagStatus      = "tagged"\n'
        '          tagPatternList = ["prod*", "*-$${x}"]\n'
        '          countType      = "sinceImagePulled"\n'
        '          countUnit      = "days"\n'
        "          countNumber    = 30\n"
        "        }\n"
        "        action = {\n"
        '          type               = "transition"\n'
        '          targetStorageClass = "archive"\n'
        "        }\n"
        "      },\n"
        "      {\n"
        "        rulePriority = 20\n"
        "        selection = {\n"
        '          tagStatus     = "tagged"\n'
        '          tagPrefixList = ["dev"]\n'
        '          countType     = "sinceImagePushed"\n'
        '          countUnit     = "days"\n'
        "          countNumber   = 7\n"
        "        }\n"
        "        action = {\n"
        '          type = "expire"\n'
        "        }\n"
        "      },\n"
        "      {\n"
        "        rulePriority = 300\n"
        '        description  = ""\n'
        "        selection = {\n"
        '          tagStatus    = "untagged"\n'
        '          storageClass = "archive"\n'
        '          countType    = "sinceImageTransitioned"\n'
        '          countUnit    = "days"\n'
        "          countNumber  = 90\n"
        "        }\n"
        "        action = {\n"
        '          type = "expire"\n'
        "        }\n"
        "      }\n"
        "    ]\n"
        "  })\n"
        "}\n"
    )


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("${a} %{b}", "$${a} %%{b}"),
        ("$${a} %%{b}", "$$${a} %%%{b}"),
        ("$ { % {", "$ { % {"),
        ('a"b\\c', 'a\\"b\\\\c'),
        ("\n\r\t", "\\n\\r\\t"),
        ("\x00\x7f\u202e\U000e0001", "\\u0000\\u007f\\u202e\\U000e0001"),
        ("\ud800", "\\ufffd"),
        ("é\N{GRINNING FACE}", "é\N{GRINNING FACE}"),
    ],
)
def test_terraform_takes_every_character_for_itself(text: str, written: str) -> None:
    assert f'        description  = "{written}"\n' in policy_terraform(described(text), "app")


@pytest.mark.parametrize(
    ("repository", "name"),
    [
        ("app", "app"),
        ("a/b", "a__b"),
        ("a.b", "a--b"),
        ("a-b_c", "a-b_c"),
        ("1password", "_1password"),
        # None of ECR's, and still a name for Terraform.
        ("é/${x}", "__xe9____x24__x7b_x_x7d_"),
        ("", "_"),
    ],
)
def test_terraform_name_says_the_repository(repository: str, name: str) -> None:
    assert policy_terraform(SMALLEST, repository).startswith(
        f'resource "aws_ecr_lifecycle_policy" "{name}" {{\n'
    )


# Runs of letters and digits with one separator between: API reference, CreateRepository, "repositoryName".
REPOSITORY_NAMES = st.lists(st.tuples(st.text("ax1", min_size=1, max_size=3), st.sampled_from("/._-"))).map(
    lambda parts: "".join(run + separator for run, separator in parts) + "a1"
)


def terraform_name(repository: str) -> str:
    return policy_terraform(SMALLEST, repository).split('"')[3]


@given(REPOSITORY_NAMES, st.data())
def test_terraform_names_are_legal_and_differ(repository: str, data: st.DataObject) -> None:
    assert re.fullmatch("[A-Za-z_][A-Za-z0-9_-]*", terraform_name(repository))
    places = [place for place, character in enumerate(repository) if character in "/._-"]
    if places:
        place = data.draw(st.sampled_from(places))
        for separator in "/._-":
            other = repository[:place] + separator + repository[place + 1 :]
            assert (terraform_name(other) == terraform_name(repository)) == (other == repository)


@given(REPOSITORY_NAMES, REPOSITORY_NAMES)
def test_terraform_names_of_two_repositories_differ(one: str, other: str) -> None:
    assert (terraform_name(one) == terraform_name(other)) == (one == other)


def terraform(folder: Path, *arguments: str, typed: str = "") -> str:
    program = shutil.which("terraform") or shutil.which("tofu")
    if program is None:
        pytest.skip("neither terraform nor tofu is installed")
    environment = os.environ | {"CHECKPOINT_DISABLE": "1", "TF_CLI_CONFIG_FILE": os.devnull, "NO_COLOR": "1"}
    done = subprocess.run(
        [program, *arguments],
        cwd=folder,
        env=environment,
        input=typed,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


HOSTILE = [
    "${jsonencode(1)} %{if true}",
    "$${a} $$${b} %%{c} $",
    'quote " backslash \\ end \\',
    "line\nfeed\r\ttab\x00\x7f",
    "\u202e\u2028\U000e0001\N{GRINNING FACE}é",
    "<&> ' /* // #",
]


def test_terraform_itself_finds_nothing_to_lay_out_anew(tmp_path: Path) -> None:
    samples = [LARGE, SMALLEST, *map(described, HOSTILE), *(draw_policy(Random(seed)) for seed in range(30))]
    for number, policy in enumerate(samples):
        (tmp_path / f"{number}.tf").write_text(policy_terraform(policy, "a/b"), encoding="utf-8")
    assert terraform(tmp_path, "fmt", "-check", "-diff") == ""


def test_terraform_itself_reads_the_same_policies(tmp_path: Path) -> None:
    samples = [LARGE, SMALLEST, *map(described, HOSTILE), *(draw_policy(Random(seed)) for seed in range(30))]
    expressions = []
    for policy in samples:
        written = policy_terraform(policy, "a/b")
        expressions.append(written[written.index("jsonencode(") : written.rindex("}\n")].rstrip())
    lines = "".join(f"  p{number} = {expression}\n" for number, expression in enumerate(expressions))
    # A file without the resource needs no provider.
    (tmp_path / "main.tf").write_text(f"locals {{\n{lines}}}\n", encoding="utf-8")
    names = ", ".join(f"local.p{number}" for number in range(len(samples)))
    answer = terraform(tmp_path, "console", typed=f"base64encode(jsonencode([{names}]))\n")
    texts = json.loads(base64.b64decode(answer.strip().strip('"')))
    assert [parse_policy(text) for text in texts] == samples


def test_command_names_all_that_it_is_given() -> None:
    assert policy_cli(SMALLEST, "team/app", "eu-west-1", "123456789012") == (
        "aws ecr put-lifecycle-policy --region eu-west-1 --registry-id 123456789012 "
        "--repository-name team/app --lifecycle-policy-text "
        '\'{"rules":[{"rulePriority":1,"selection":{"tagStatus":"any","countType":"imageCountMoreThan",'
        '"countNumber":1},"action":{"type":"expire"}}]}\''
    )
    assert "--re" not in policy_cli(SMALLEST, "app").replace("--repository-name", "")


@given(st.text(st.characters(exclude_categories=())), st.text(), st.none() | st.text())
def test_command_is_one_line_of_the_words_meant(
    description: str, repository: str, region: str | None
) -> None:
    policy = described(description)
    words = shlex.split(policy_cli(policy, repository, region))
    assert words[:3] == ["aws", "ecr", "put-lifecycle-policy"]
    assert words[words.index("--lifecycle-policy-text") + 1 :] == [policy_json(policy)]
    assert words[-4:-2] == ["--repository-name", repository]
    assert "\n" not in policy_cli(policy, "app")


@pytest.mark.parametrize("description", [*HOSTILE, "it's $(id) `id` $HOME \\' !x", "'\"'\"'"])
def test_a_shell_hands_the_policy_over_as_it_is(description: str) -> None:
    policy = described(description)
    command = policy_cli(policy, "app").replace("aws ecr", "printf '%s\\n'", 1)
    printed = subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, check=True, encoding="utf-8"
    )
    assert parse_policy(printed.stdout.splitlines()[-1]) == policy
