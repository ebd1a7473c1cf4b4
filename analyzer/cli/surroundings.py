"""What `doctor` finds out about this machine: Python, packages, configuration, environment, files."""

from __future__ import annotations

import difflib
import os
import platform
import re
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from analyzer.cli.agreements import load_agreements
from analyzer.cli.common import load_accepted_gaps, load_price_book
from analyzer.cli.configuration import all_options, is_nightly
from analyzer.cli.ingest import load_role_rules
from analyzer.cli.needs import read_uses
from analyzer.errors import InputError
from analyzer.model.checks import Check, CheckStatus
from analyzer.model.words import counted

_OK, _WARNING, _FAILED = CheckStatus.OK, CheckStatus.WARNING, CheckStatus.FAILED
_PACKAGE = "demurrage"
_PREFIX = "DEMURRAGE_"
#: Options of findings that are not looked at.
_NO_AGREEMENTS: Mapping[str, Any] = {"waivers": None, "owners": None, "owner_tag": (), "known_account": ()}
#: Packages whose version a bug report should name.
_TOLD = ("boto3", "botocore", "sqlalchemy", "pandas", "numpy")


def check_surroundings(context: click.Context) -> list[Check]:
    """Everything about the machine that a nightly run with the same settings would meet."""
    return [
        _python(),
        *_packages(),
        *_settings(context),
        *_schedule(context),
        *_files(context),
    ]


def _python() -> Check:
    wanted = _numbers((metadata(_PACKAGE)["Requires-Python"] or "").lstrip(">="))
    at_hand = platform.python_version()
    name = "program.python"
    if _numbers(at_hand) < wanted:
        needed = ".".join(map(str, wanted))
        return Check(
            id=name,
            status=_FAILED,
            found=f"Python {at_hand} is older than {needed}",
            mend=f"install demurrage with Python {needed} or later",
            blocks_run=True,
        )
    return Check(id=name, status=_OK, found=f"demurrage {version(_PACKAGE)} on Python {at_hand}")


def _packages() -> Iterator[Check]:
    """Whether what is installed is what the package asks for."""
    name = "program.packages"
    bad = False
    for package, least, extra in _requirements():
        try:
            at_hand = version(package)
        except PackageNotFoundError:
            # Whoever needs an extra is told when it is needed.
            if not extra:
                bad = True
                yield _unfit(name, package, f"{package} is not installed")
            continue
        if _numbers(at_hand) < _numbers(least):
            bad = True
            yield _unfit(name, package, f"{package} {at_hand} is older than {least}")
    if not bad:
        told = ", ".join(f"{package} {version(package)}" for package in _TOLD)
        yield Check(id=name, status=_OK, found=told)


def _unfit(name: str, package: str, found: str) -> Check:
    return Check(
        id=name,
        subject=package,
        status=_FAILED,
        found=found,
        mend=f"run: pip install --upgrade {_PACKAGE}",
        blocks_run=True,
    )


def _requirements() -> Iterator[tuple[str, str, str]]:
    """Name, least version and extra ("" for none) of what the package requires."""
    for line in requires(_PACKAGE) or ():
        matched = re.match(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?\s*>=\s*([0-9.]+)", line)
        extra = re.search(r"extra\s*==\s*['\"]([^'\"]+)", line)
        # Tools of those who work on it are no business of those who use it.
        if matched and not (extra and extra[1] == "dev"):
            yield matched[1], matched[2], extra[1] if extra else ""


def _numbers(text: str) -> tuple[int, ...]:
    """The leading numbers of a version, to compare: (3, 11) for 3.11rc1."""
    leading = re.match(r"[0-9]+(?:\.[0-9]+)*", text)
    return tuple(int(part) for part in leading[0].split(".")) if leading else ()


def _settings(context: click.Context) -> Iterator[Check]:
    """The configuration file and the environment, which no command looks at as a whole."""
    file = context.meta.get("demurrage.config")
    yield Check(
        id="configuration.file",
        status=_OK if file else CheckStatus.SKIPPED,
        found=f"{file}: {counted(len(context.default_map or {}), 'option')}" if file else "none is named",
    )
    options = {
        str(option.envvar): option for option in all_options(context).values() if option.envvar is not None
    }
    name = "configuration.environment"
    bad = False
    given = sorted(variable for variable in os.environ if variable.startswith(_PREFIX))
    for variable in given:
        option = options.get(variable)
        if option is None:
            bad = True
            near = difflib.get_close_matches(variable, options, n=1)
            yield Check(
                id=name,
                subject=variable,
                status=_WARNING,
                found="is no setting of demurrage, and does nothing",
                mend=f"is it meant to be {near[0]}?" if near else "remove it",
            )
            continue
        try:
            option.type_cast_value(context, option.value_from_envvar(context))
        except click.BadParameter as error:
            bad = True
            yield Check(
                id=name,
                subject=variable,
                status=_FAILED,
                found=error.message,
                mend="mend it: the command that it is for ends with status 2",
                blocks_run=True,
            )
    if not bad:
        yield Check(id=name, status=_OK, found=counted(len(given), f"{_PREFIX}… variable"))


def _files(context: click.Context) -> Iterator[Check]:
    """What the nightly run reads and writes beside the database."""
    settings = _effective(context)
    folder = settings.get("output_dir")
    if folder:
        yield _output(Path(str(folder)))
    loads: tuple[tuple[str, Callable[[Path], object]], ...] = (
        ("prices", load_price_book),
        ("accept_gaps", load_accepted_gaps),
        ("in_use", read_uses),
        ("waivers", lambda file: load_agreements({**_NO_AGREEMENTS, "waivers": file})),
        ("owners", lambda file: load_agreements({**_NO_AGREEMENTS, "owners": file})),
        ("role_regions", load_role_rules),
    )
    for name, load in loads:
        file = settings.get(name)
        # Stdin is the run's.
        if not file or str(file) == "-":
            continue
        check = f"files.{name}"
        try:
            load(Path(str(file)))
        except InputError as error:
            yield Check(id=check, status=_FAILED, found=str(error), mend="mend the file", blocks_run=True)
        else:
            yield Check(id=check, status=_OK, found=str(file))


def _schedule(context: click.Context) -> Iterator[Check]:
    """When serve would run, where that is configured."""
    settings = _effective(context)
    if not {"schedule", "timezone"} & settings.keys():
        return
    from analyzer.service.schedule import Schedule

    name, options = "configuration.schedule", all_options(context)
    # What is left out is what serve takes then.
    line, zone = (str(settings.get(key, options[key].default)) for key in ("schedule", "timezone"))
    try:
        Schedule(line, zone)
    except InputError as error:
        mend = "mend it: serve ends with status 2"
        yield Check(id=name, status=_FAILED, found=str(error), mend=mend, blocks_run=True)
    else:
        yield Check(id=name, status=_OK, found=f"{line} ({zone})")


def _effective(context: click.Context) -> Mapping[str, Any]:
    """The values that ``run`` would find for options, most of which are not this command's."""
    found: dict[str, Any] = dict(context.default_map or {})
    for name, option in all_options(context).items():
        if is_nightly(option) and option.envvar is not None and os.environ.get(str(option.envvar)):
            found[name] = os.environ[str(option.envvar)]
    typed = [
        name for name in context.params if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    ]
    return {**found, **{name: context.params[name] for name in typed}}


def _output(folder: Path) -> Check:
    """Whether reports can be written to ``folder``, or it can be made."""
    name, place = "files.output_dir", folder.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        return Check(
            id=name,
            status=_FAILED,
            found=f"{folder}: {place} cannot be written by this user",
            mend="give write access to it, or name another folder with --output-dir",
            blocks_run=True,
        )
    return Check(id=name, status=_OK, found=f"{folder}" + ("" if folder.exists() else "; run would make it"))
