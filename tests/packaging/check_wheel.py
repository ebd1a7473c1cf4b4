"""Build the wheel and the sdist, and try the wheel where nothing else is: ``make package-check``.

Nothing is fetched but the locked requirements: the build backend is in the lock. Every complaint
is printed; the exit status is 1 if there is any.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]

#: In the wheel beside every Python file of the two packages.
NEEDED = (
    "analyzer/_migrations/env.py",
    "analyzer/prices.toml",
    "analyzer/transfer_prices.toml",
    "analyzer/py.typed",
    "analyzer/roles/member-role.cfn.yaml",
    "analyzer/roles/member-role.tf",
    "reports/py.typed",
)

#: Finds, inside the installed package, what is looked up by name at run time.
LOOK_UP = """
import importlib.resources, pathlib, sys
import jinja2
from analyzer.pricing import bundled_prices

assert bundled_prices().price("us-east-1", "standard"), "no price of us-east-1"
folder = pathlib.Path(str(importlib.resources.files("analyzer")))
assert pathlib.Path(sys.prefix) in folder.parents, f"analyzer came from {folder}"
environment = jinja2.Environment(loader=jinja2.PackageLoader("reports"), autoescape=True)
for name in sys.argv[1:]:
    assert environment.loader.get_source(environment, name)[0].strip(), f"{name} is empty"
print("found", len(sys.argv) - 1, "templates and the price book")
"""


def main() -> int:
    """Build, look inside, install, run; 0 when all is well."""
    with tempfile.TemporaryDirectory(prefix="demurrage-package-") as folder:
        place = Path(folder)
        _run([sys.executable, "-m", "build", "--no-isolation", "--outdir", place / "dist", ROOT], cwd=place)
        (wheel,) = (place / "dist").glob("*.whl")
        (sdist,) = (place / "dist").glob("*.tar.gz")
        complaints = [*_wheel_complaints(wheel), *_sdist_complaints(sdist)]
        for complaint in complaints:
            print(f"package-check: {complaint}", file=sys.stderr)
        if complaints:
            return 1
        _try(wheel, place)
    print(f"package-check: {wheel.name} and {sdist.name} are well")
    return 0


def _templates() -> list[str]:
    folder = ROOT / "reports" / "templates"
    return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())


def _wheel_complaints(wheel: Path) -> list[str]:
    """What is missing from the wheel, and what has no business in it."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    complaints = []
    tops = {name.split("/")[0] for name in names}
    if strangers := sorted(top for top in tops - {"analyzer", "reports"} if not top.endswith(".dist-info")):
        complaints.append(f"{wheel.name} has more at its top level: {', '.join(strangers)}")
    wanted = {*NEEDED, *(f"reports/templates/{name}" for name in _templates())}
    for package in ("analyzer", "reports"):
        wanted |= {file.relative_to(ROOT).as_posix() for file in (ROOT / package).rglob("*.py")}
    for file in (ROOT / "migrations").rglob("*.py"):
        wanted.add(f"analyzer/_migrations/{file.relative_to(ROOT / 'migrations').as_posix()}")
    complaints += [f"{wheel.name} lacks {name}" for name in sorted(wanted - names)]
    if not any(name.endswith("/licenses/LICENSE") for name in names):
        complaints.append(f"{wheel.name} lacks the licence")
    return complaints


def _sdist_complaints(sdist: Path) -> list[str]:
    """What a packager would miss in the sdist."""
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {
        "pyproject.toml",
        "LICENSE",
        "README.md",
        "Makefile",
        "constraints/run.txt",
        "constraints/dev.txt",
    }
    wanted |= {file.relative_to(ROOT).as_posix() for file in (ROOT / "migrations").rglob("*.py")}
    return [f"{sdist.name} lacks {name}" for name in sorted(wanted - names)]


def _try(wheel: Path, place: Path) -> None:
    """Install the wheel and what it needs in an empty environment, and run it from an empty folder."""
    venv, empty = place / "venv", place / "empty"
    empty.mkdir()
    _run([sys.executable, "-m", "venv", venv], cwd=empty)
    python = venv / "bin" / "python"
    install: list[str | Path] = [
        python,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "install",
        "--quiet",
        "--no-compile",
    ]
    _run([*install, "--require-hashes", "-r", ROOT / "constraints" / "run.txt"], cwd=empty)
    _run([*install, "--no-deps", wheel], cwd=empty)
    _run([python, "-m", "pip", "--disable-pip-version-check", "check"], cwd=empty)
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    command = venv / "bin" / "demurrage"
    shown = _run([command, "--version"], cwd=empty)
    if version not in shown:
        raise SystemExit(f"package-check: demurrage --version says {shown!r}, pyproject.toml {version}")
    _run([command, "--help"], cwd=empty)
    _run([command, "role", "cloudformation"], cwd=empty)
    _run([command, "db", "upgrade", "--db", f"sqlite:///{place / 'new.db'}"], cwd=empty)
    _run([command, "db", "status", "--db", f"sqlite:///{place / 'new.db'}"], cwd=empty)
    print(_run([python, "-c", LOOK_UP, *_templates()], cwd=empty).strip())


def _run(command: Sequence[str | Path], *, cwd: Path) -> str:
    """Standard output of a command; its whole output and an end of the check if it fails."""
    # Neither the source tree nor anyone's settings may help.
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("DEMURRAGE_", "AWS_")) and name not in ("PYTHONPATH", "VIRTUAL_ENV")
    }
    done = subprocess.run(command, cwd=cwd, env=environment, text=True, capture_output=True, check=False)
    if done.returncode:
        spelt = " ".join(str(part) for part in command)
        raise SystemExit(
            f"package-check: exit status {done.returncode} of {spelt}\n{done.stdout}{done.stderr}"
        )
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
