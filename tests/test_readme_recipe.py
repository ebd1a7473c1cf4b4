"""The README's commands for accounts where nothing may be installed do what it says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import boto3
import pytest

from analyzer.collect import CollectOptions, SilentProgress
from analyzer.model.records import RegistryKey, RegistryRead
from analyzer.nightly import collect_snapshots
from analyzer.store.opening import open_database
from analyzer.store.snapshots import newest_snapshots, rebuild
from tests.support.registry import World, generate
from tests.support.stub_ecr import serve

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
KEY = RegistryKey("aws", "123456789012", "eu-west-1")


@pytest.fixture
def world() -> World:
    world = generate(2, 2, 4, 9)
    first, second = world.repositories()
    first.lifecycle_policy = '{"rules":[]}'
    second.resource_tags = {"team": "a"}
    archived = generate(1, 1, 2, 3).registry().repositories["team-00/service-00000"]
    second.put_image(next(iter(archived.images.values())).manifest, pushed_at=1_760_000_000.5)
    return world


def _read(url: str) -> RegistryRead:
    with open_database(url).read() as connection:
        read = rebuild(connection, newest_snapshots(connection)[KEY])
    # When it was, and what only a caller has to say, differ.
    settings = {name: value for name, value in read.settings.items() if name != "collector_excluded"}
    return replace(read, taken_at_ms=0, settings=settings)


@pytest.mark.skipif(shutil.which("xargs") is None or shutil.which("sh") is None, reason="needs sh and xargs")
def test_the_recipe_gives_the_snapshot_that_it_shows(
    tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    (recipe,) = re.findall(r"```sh\n(export AWS_DEFAULT_OUTPUT.*?)```", README, re.DOTALL)
    (shown,) = re.findall(r"```console\n\$ demurrage import answers\n(.*?)```", README, re.DOTALL)
    answers, programs = tmp_path / "answers", tmp_path / "bin"
    answers.mkdir()
    programs.mkdir()
    aws = programs / "aws"
    aws.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{ROOT / "tests/support/aws_cli.py"}" "$@"\n')
    aws.chmod(0o755)
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "AKIA"),
        ("AWS_SECRET_ACCESS_KEY", "no"),
        ("AWS_REGION", KEY.region),
    ):
        monkeypatch.setenv(name, value)
    urls = [f"sqlite:///{tmp_path / name}.sqlite" for name in ("imported", "collected")]
    with serve(world) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        path = f"{programs}{os.pathsep}{os.environ['PATH']}"
        subprocess.run(["sh", "-c", recipe], cwd=answers, env={**os.environ, "PATH": path}, check=False)
        options = CollectOptions(regions=(KEY.region,), requests_per_second=1e6)
        collect_snapshots(open_database(urls[1], create=True), boto3.Session(), options, SilentProgress())
    program = [sys.executable, "-c", "from analyzer.cli import main; main()"]
    command = [*program, "--db", urls[0], "--quiet", "import", "answers"]
    outcome = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert outcome.stdout.rstrip() == shown.rstrip()
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert _read(urls[0]) == _read(urls[1])
