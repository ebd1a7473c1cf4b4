"""The samples of the README and the Dockerfile: read by what would read them, where that is here."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from analyzer.cli import cli
from analyzer.service.schedule import Schedule

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCKERFILE = (ROOT / ".docker" / "Dockerfile").read_text(encoding="utf-8")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def _instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions and their arguments."""
    lines = "\n".join(line for line in DOCKERFILE.splitlines() if not line.startswith("#"))
    joined = lines.replace("\\\n", " ").splitlines()
    return [
        (line.split(None, 1)[0], " ".join(line.split(None, 1)[1].split())) for line in joined if line.strip()
    ]


def _options(words: list[str]) -> None:
    """Hold the options of a call of the program against it."""
    command = cli.commands[words[0]]
    with command.make_context(words[0], words[1:], resilient_parsing=False) as context:
        assert context.params


def test_the_crontab_line_of_the_readme_is_one() -> None:
    (line,) = re.findall(r"^(\S+ \S+ \S+ \S+ \S+)  (DEMURRAGE_REGION=.*)$", README, re.MULTILINE)
    assert str(Schedule(line[0], "UTC")) == f"{line[0]} (UTC)"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_the_units_are_accepted_by_systemd(tmp_path: Path) -> None:
    units = [block for block in _blocks("ini") if "/etc/systemd/system/" in block]
    names = []
    for unit in units:
        (name,) = re.findall(r"^# /etc/systemd/system/([a-z.]+)", unit)
        (tmp_path / name).write_text(unit, encoding="utf-8")
        names.append(name)
    assert names == ["demurrage.service", "demurrage.timer"]
    files = [str(tmp_path / name) for name in names]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *files], capture_output=True, text=True, check=False
    )
    complaints = [line for line in done.stderr.splitlines() if "demurrage" in line]
    assert complaints == []
    (when,) = re.findall(r"OnCalendar=(.*)", units[1])
    assert (
        subprocess.run(["systemd-analyze", "calendar", when], capture_output=True, check=False).returncode
        == 0
    )


def test_the_cron_job_has_no_field_that_kubernetes_does_not_know(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    client = pytest.importorskip("kubernetes.client", reason="the Kubernetes client is not installed")
    (block,) = (block for block in _blocks("yaml") if "kind: CronJob" in block)
    job = yaml.safe_load(block)

    def hold(value: Any, kind: str, place: str) -> None:
        if (listed := re.fullmatch(r"list\[(.*)\]", kind)) is not None:
            assert isinstance(value, list), place
            for number, entry in enumerate(value):
                hold(entry, listed[1], f"{place}[{number}]")
        elif (model := getattr(client, kind, None)) is not None:
            assert isinstance(value, dict), place
            names = {name: attribute for attribute, name in model.attribute_map.items()}
            for name, entry in value.items():
                assert name in names, f"{place}.{name}"
                hold(entry, model.openapi_types[names[name]], f"{place}.{name}")
            # The client's own constructor refuses what lacks a required field.
            model(**{names[name]: entry for name, entry in value.items()})
        else:
            expected = {"int": int, "bool": bool, "str": str}.get(kind)
            assert expected is None or isinstance(value, expected), place

    hold(job, "V1CronJob", "")
    Schedule(job["spec"]["schedule"], job["spec"]["timeZone"])
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsUser"] == int(dict(_instructions())["USER"].split(":")[0])
    monkeypatch.chdir(tmp_path)
    _options(container["args"])


def test_the_image_runs_without_rights_and_writes_to_its_volume_alone() -> None:
    instructions = _instructions()
    last = dict(instructions)
    assert re.fullmatch("[1-9][0-9]+:[1-9][0-9]+", last["USER"])
    assert last["VOLUME"] == "/data"
    assert "XDG_DATA_HOME=/data" in last["ENV"]
    assert last["ENTRYPOINT"] == '["demurrage"]'
    assert last["CMD"] == '["serve"]'
    assert "/livez" in last["HEALTHCHECK"]
    order = [name for name, _ in instructions]
    # Nothing is done as root once the user is set.
    assert not {"RUN", "COPY", "ADD"} & set(order[order.index("USER") :])
    assert "ADD" not in order
    # Values that are secret come when it is run.
    assert not re.search(r"(?i)secret|password|token|AWS_ACCESS", DOCKERFILE)


def test_every_package_of_the_image_is_pinned_with_its_hash() -> None:
    installs = [
        text for name, text in _instructions() if name == "RUN" and "pip" in text and "install" in text
    ]
    first, second = (text.split("pip", 1)[1] for text in installs)
    assert "--require-hashes -r constraints/image.txt" in first
    assert "--no-deps --no-build-isolation ." in second
    lock = (ROOT / "constraints" / "image.txt").read_text(encoding="utf-8")
    pins = re.findall(r"^([a-z0-9.-]+)==", lock, re.MULTILINE)
    assert {"psycopg", "kubernetes", "apscheduler", "hatchling"} <= set(pins)
    assert lock.count("--hash=sha256:") >= len(pins)


def test_what_the_image_is_made_of_goes_to_the_builder_and_nothing_else() -> None:
    first, *allowed = [
        line
        for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#") and not line.startswith("**")
    ]
    assert first == "*"
    named = {line.removeprefix("!") for line in allowed}
    copied: set[str] = set()
    for name, text in _instructions():
        if name == "COPY" and not text.startswith("--from"):
            copied.update(text.split()[:-1])
    assert copied == named
    assert all((ROOT / name).exists() for name in copied)
