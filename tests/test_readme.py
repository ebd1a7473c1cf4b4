"""The README agrees with the program: options, exit codes, commands, permissions, examples."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import click
import pytest

from analyzer.acceptance import parse_accepted_gaps
from analyzer.cli import INTERRUPTED, TERMINATED, cli
from analyzer.cli.common import WITH_FINDINGS, WITH_GAPS
from analyzer.collect.permissions import PUBLIC, REGIONS, REGISTRY, permissions_of
from analyzer.errors import DemurrageError, InputError
from analyzer.hygiene.judging import ALL_CHECKS
from analyzer.hygiene.owners import parse_owned_prefixes
from analyzer.hygiene.waivers import parse_waivers
from analyzer.pricing import load_prices
from analyzer.pulls.role_rules import parse_role_rules
from tests.support.pipeline import Pipeline
from tests.support.registry import generate
from tests.support.stub_ecr import serve

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
#: What the program does where the option is left out, in the README's words.
UNSAID = {
    "--db": "SQLite in your data folder",
    "--format": "table",
    "--output": "- (stdout)",
    "--region": "the region AWS is configured for",
    "--account": "whichever the credentials belong to",
    "--ip-ranges": "what AWS publishes",
    "--max-snapshot-age": "the schedule's longest pause, --misfire-grace and 2 hours",
    "--redact-key": "a new key",
    "--prices": "the bundled price book",
}


def _table(head: str) -> list[list[str]]:
    """The rows of the table whose first column is headed ``head``, without their backquotes."""
    (found,) = re.findall(rf"^\| {head} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", README, re.MULTILINE)
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in found.splitlines()]
    return [[cell.replace("`", "").replace("\\|", "|").strip() for cell in row] for row in rows]


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def _commands(command: click.Command, name: str = "demurrage") -> dict[str, click.Command]:
    if not isinstance(command, click.Group):
        return {name: command}
    children = (_commands(child, f"{name} {key}") for key, child in command.commands.items())
    return {key: child for found in children for key, child in found.items()}


def _spelt(option: click.Option) -> str:
    """An option as the README's table writes it."""
    flag = max(option.opts, key=len)
    if option.is_flag:
        return flag
    if isinstance(option.type, click.Choice):
        return f"{flag} {'|'.join(option.type.choices)}"
    more = " (repeatable)" if option.multiple else ""
    return f"{flag} {option.metavar or 'N'}{more}"


def _default(option: click.Option) -> str:
    flag = max(option.opts, key=len)
    if option.default is None or not option.show_default:
        return UNSAID.get(flag, "")
    value = option.default
    return f"{value:g}" if isinstance(value, float) else str(value)


def test_the_options_are_those_of_the_commands() -> None:
    expected = {}
    for command in _commands(cli).values():
        for option in command.params:
            if isinstance(option, click.Option) and option.envvar is not None:
                expected[_spelt(option)] = [str(option.envvar), _default(option)]
    assert {row[0]: row[1:] for row in _table("option")} == expected


def test_every_option_that_is_not_in_the_table_has_a_reason() -> None:
    listed = {row[0].split()[0] for row in _table("option")}
    others = {
        max(option.opts, key=len)
        for command in _commands(cli).values()
        for option in command.params
        if isinstance(option, click.Option)
    } - listed
    # They say what one question is about; none of them makes sense for every night.
    assert others == {
        "--against",
        "--at",
        "--at-once",
        "--back-test",
        "--by",
        "--by-rule",
        "--check",
        "--children-take-slots",
        "--days",
        "--dry-run",
        "--fleet",
        "--for-pulls",
        "--for-verify",
        "--images",
        "--list-checks",
        "--list-columns",
        "--manifests",
        "--name",
        "--owner",
        "--partition",
        "--policy",
        "--recommended",
        "--redact",
        "--repository",
        "--rows",
        "--run",
        "--seed",
        "--taken-at",
        "--terraform-plan",
        "--to",
        "--top",
        "--vacuum",
        "--wait",
        "--without-public",
        "--without-workloads",
    }


def test_the_exit_statuses_are_those_of_the_program() -> None:
    rows = {int(status): row[1] for row in _table("status") for status in row[0].split(", ")}
    assert set(rows) == {
        0,
        DemurrageError.exit_status,
        InputError.exit_status,
        WITH_FINDINGS,
        WITH_GAPS,
        INTERRUPTED,
        TERMINATED,
    }
    assert "gaps" in rows[WITH_GAPS]


def test_the_commands_are_those_of_the_program() -> None:
    listed = set()
    for row in _table("command"):
        first, *more = row[0].split(" · ")
        listed |= {first, *(f"demurrage {name}" for name in more)}
    assert listed == set(_commands(cli))


def test_the_checks_are_those_of_the_program() -> None:
    assert _table("check") == [[check.id, str(check.severity), check.title] for check in ALL_CHECKS]


def test_the_role_may_do_what_is_called_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (policy,) = (json.loads(block) for block in _blocks("json"))
    allowed = [action for statement in policy["Statement"] for action in statement["Action"]]
    assert len(allowed) == len(set(allowed))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "demurrage-tests")
    with serve(generate(2, 3, 2, seed=1)) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        Pipeline(tmp_path).collect(boto3.Session(), "eu-west-1")
        # Everybody may ask STS who they are.
        called = {f"ecr:{name}" for name in server.calls if name != "GetCallerIdentity"}
    assert {row.action for row in permissions_of((REGISTRY,))} == called
    granted = {
        row.action: row.resource.format(partition="aws")
        for row in permissions_of((REGISTRY, REGIONS, PUBLIC))
    }
    assert granted == {
        action: statement["Resource"] for statement in policy["Statement"] for action in statement["Action"]
    }


def test_the_files_in_the_examples_are_accepted() -> None:
    read: dict[str, Any] = {
        "--accept-gaps": parse_accepted_gaps,
        "--owners": parse_owned_prefixes,
        "--prices": load_prices,
        "--role-regions": parse_role_rules,
        "--waivers": partial(parse_waivers, ids=[check.id for check in ALL_CHECKS]),
    }
    for block in _blocks("toml"):
        (option,) = re.findall(r"^# demurrage \w+ (--[a-z-]+) ", block)
        assert read.pop(option)(block, origin="README.md")
    assert read == {}
