"""The configuration file: values for the options of every night, in TOML."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from analyzer.errors import InputError


def read_configuration(path: Path, context: click.Context) -> dict[str, Any]:
    """The values of a TOML configuration file, by parameter name, as click's ``default_map`` wants them.

    Each is held against the option it belongs to, also where the command at hand does not have it.
    Raises InputError, naming file and key, for what is no option, has no place in a file, or is
    not what the option takes.
    """
    origin = f"--config {path}"
    try:
        values = tomllib.loads(read_text(path, "--config"))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{origin} is not valid TOML: {error}; mend the file") from error
    options = all_options(context)
    nightly = {name: option for name, option in options.items() if is_nightly(option)}
    found: dict[str, Any] = {}
    for key, value in values.items():
        name = key.replace("-", "_")
        if name not in nightly:
            names = ", ".join(sorted(option.replace("_", "-") for option in nightly))
            what = "is not for every night and must be typed" if name in options else "is not an option"
            raise InputError(f"{origin}: {key!r} {what}; the options for this file are {names}")
        if name in found:
            raise InputError(f"{origin}: {key!r} is there twice; write it once")
        found[name] = _checked(value, nightly[name], context, f"{origin}, {key}")
    return found


def read_text(path: Path, option: str) -> str:
    """The text of a file that ``option`` names; raises InputError where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"{option} {path}: {error.strerror or error}; name a file that can be read"
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{option} {path} is not UTF-8 text; name another file") from error


def is_nightly(option: click.Option) -> bool:
    """Whether ``option`` may be left to the environment or to a configuration file."""
    return option.envvar is not None and option.name != "config"


def all_options(context: click.Context) -> dict[str, click.Option]:
    """Every option of the program by parameter name; nightly ones, and the command's own, come first."""
    options: dict[str, click.Option] = {}
    everywhere = [option for command in _commands(context.find_root().command) for option in command]
    own = [option for option in context.command.params if isinstance(option, click.Option)]
    for option in sorted((*own, *everywhere), key=lambda option: not is_nightly(option)):
        options.setdefault(str(option.name), option)
    return options


def _commands(command: click.Command) -> Iterator[list[click.Option]]:
    yield [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    if isinstance(command, click.Group):
        for child in command.commands.values():
            yield from _commands(child)


def _checked(value: object, option: click.Option, context: click.Context, place: str) -> object:
    """``value`` for ``option``, in a list where it takes several."""
    kinds, advice = _expected(option)
    entries = value if option.multiple and isinstance(value, list) else [value]
    for entry in entries:
        # To Python true is a number, and to TOML it is none.
        if not isinstance(entry, kinds) or (isinstance(entry, bool) and bool not in kinds):
            what = "not what it takes" if option.hide_input else _spelt(value)
            raise InputError(f"{place}: is {what}; write {advice}")
        if isinstance(entry, str) and (not entry.strip() or "\0" in entry):
            raise InputError(f"{place}: is {_spelt(value)}; write something in it, or leave the line out")
    wanted = entries if option.multiple else value
    try:
        option.type_cast_value(context, wanted)
    except click.BadParameter as error:
        raise InputError(f"{place}: {error.message.rstrip('.')}") from error
    return wanted


def _expected(option: click.Option) -> tuple[tuple[type, ...], str]:
    """Which types of value ``option`` takes, and how to say so."""
    if option.is_flag:
        return (bool,), "true or false"
    if isinstance(option.type, click.types.IntParamType):
        return (int,), "a whole number"
    if isinstance(option.type, click.types.FloatParamType):
        return (int, float), "a number"
    if option.multiple:
        return (str,), 'text in quotes, or a list of them: ["one", "two"]'
    return (str,), "text in quotes"


def _spelt(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "a table" if isinstance(value, dict) else repr(value)
