"""The lock files hold what pyproject.toml asks for, with hashes and nothing of any machine."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PYTHONS = ("3.11", "3.12", "3.13")


def _pins(name: str) -> dict[str, tuple[Version, Requirement]]:
    text = (ROOT / "constraints" / name).read_text(encoding="utf-8").replace("\\\n", " ")
    pins: dict[str, tuple[Version, Requirement]] = {}
    for line in text.splitlines():
        requirement = Requirement(line.split("--hash")[0].strip())
        (only,) = requirement.specifier
        assert only.operator == "=="
        pins[canonicalize_name(requirement.name)] = (Version(only.version), requirement)
    return pins


def _asked(extras: tuple[str, ...]) -> Iterator[Requirement]:
    """What the project needs with those extras, its own extras followed."""
    lists = PROJECT["project"]["optional-dependencies"]
    texts = [*PROJECT["project"]["dependencies"], *PROJECT["build-system"]["requires"], "editables"]
    for text in (*texts, *(text for extra in extras for text in lists[extra])):
        requirement = Requirement(text)
        if requirement.name == "demurrage":
            yield from _asked(tuple(sorted(requirement.extras)))
        else:
            yield requirement


@pytest.mark.parametrize(
    ("name", "extras"),
    [("run.txt", ("demo",)), ("dev.txt", ("dev",)), ("image.txt", ("kubernetes", "postgres"))],
)
def test_lock_satisfies_every_requirement(name: str, extras: tuple[str, ...]) -> None:
    pins = _pins(name)
    for requirement in _asked(extras):
        version, _ = pins[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), f"{name}: {requirement}; run make lock"


@pytest.mark.parametrize("name", ["run.txt", "dev.txt", "image.txt"])
def test_lock_has_hashes_and_neither_addresses_nor_paths(name: str) -> None:
    text = (ROOT / "constraints" / name).read_text(encoding="utf-8")
    for entry in text.replace("\\\n", " ").splitlines():
        assert re.fullmatch(r"[a-z0-9-]+==\S+ (; [^\\]+?)?( +--hash=sha256:[0-9a-f]{64})+", entry), entry
    assert "//" not in text
    assert "file:" not in text


def test_both_locks_agree() -> None:
    run, dev = _pins("run.txt"), _pins("dev.txt")
    assert {name: str(pin) for name, (pin, _) in run.items()} == {name: str(dev[name][0]) for name in run}


@pytest.mark.parametrize("python", PYTHONS)
def test_no_requirement_is_left_out_on_a_supported_python(python: str) -> None:
    linux = {
        "python_version": python,
        "sys_platform": "linux",
        "os_name": "posix",
        "implementation_name": "cpython",
    }
    linux |= {"python_full_version": f"{python}.0", "platform_python_implementation": "CPython"}
    left_out = {
        name
        for name, (_, requirement) in _pins("dev.txt").items()
        if requirement.marker and not requirement.marker.evaluate(linux)
    }
    assert left_out <= {"colorama", "pywin32", "tzdata"}, left_out
