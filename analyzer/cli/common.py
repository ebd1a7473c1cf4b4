"""What all commands share: the global options, the configuration file, and where answers go."""

from __future__ import annotations

import os
import secrets
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from analyzer.errors import InputError

if TYPE_CHECKING:
    from analyzer.acceptance import AcceptedGap
    from analyzer.pricing import PriceBook

HELP: Mapping[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

#: Exit status of a command that did its work, but not on everything it was meant to see.
WITH_GAPS = 4

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

#: Prefix of the global options in click's ``meta``, which all contexts of one call share.
_META = "demurrage."


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """The global options, as the command at hand sees them."""

    db: str | None
    format: str
    output: str
    quiet: bool

    @property
    def db_url(self) -> str:
        """The database's URL: what was given, or SQLite in the user's data folder."""
        if self.db:
            return self.db
        from platformdirs import user_data_path

        folder = user_data_path("demurrage", appauthor=False)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"cannot make {folder}: {error.strerror}; name a database with --db URL"
            ) from error
        return f"sqlite:///{folder / 'demurrage.sqlite'}"

    def write(self, text: str) -> None:
        """Give the answer to whom it is for: stdout, or a file that appears when it is complete."""
        if self.output == "-":
            click.echo(text, nl=not text.endswith("\n"))
            return
        target = Path(self.output)
        beside = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
        try:
            try:
                beside.write_text(text if text.endswith("\n") else f"{text}\n", encoding="utf-8")
                beside.replace(target)
            finally:
                beside.unlink(missing_ok=True)
        except OSError as error:
            raise InputError(f"--output {target}: {error.strerror or error}; name another file") from error


def common(context: click.Context) -> Common:
    """The global options of the call, wherever in it they stood."""
    values = {name: context.meta.get(_META + name) for name in ("db", "format", "output", "quiet")}
    return Common(
        db=values["db"],
        format=values["format"] or "table",
        output=values["output"] or "-",
        quiet=bool(values["quiet"]),
    )


def _remember(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
    """A global option may stand before the command or after it, where it counts more.

    What was typed beats the environment, which beats the configuration file.
    """
    key = f"{_META}{parameter.name}"
    typed = context.get_parameter_source(str(parameter.name)) is ParameterSource.COMMANDLINE
    is_group = isinstance(context.command, click.Group)
    if typed or (not is_group and key not in context.meta):
        context.meta[key] = value
    return context.meta.get(key)


def _configure(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
    value = _remember(context, parameter, value)
    if value is not None and not isinstance(context.command, click.Group):
        context.default_map = _configuration(Path(value), context)
    return value


def _configuration(path: Path, context: click.Context) -> dict[str, Any]:
    """The values of a TOML configuration file, by option name."""
    text = read_text(path, "--config")
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"--config {path} is not valid TOML: {error}; mend the file") from error
    known = _option_names(context.find_root().command)
    found = {}
    for key, value in values.items():
        name = key.replace("-", "_")
        if name not in known:
            names = ", ".join(sorted(known))
            raise InputError(f"--config {path}: {key!r} is not an option; the options are {names}")
        if not isinstance(value, str | int | float | list):
            raise InputError(f"--config {path}, {key}: is {value!r}; write one value, or a list of them")
        found[name] = value
    return found


def _option_names(command: click.Command) -> set[str]:
    names = {str(parameter.name) for parameter in command.params if isinstance(parameter, click.Option)}
    if isinstance(command, click.Group):
        for child in command.commands.values():
            names |= _option_names(child)
    return names - {"config", "help", "version"}


def _global(*names: str, **settings: Any) -> Callable[[Decorated], Decorated]:
    settings.setdefault("callback", _remember)
    return click.option(*names, expose_value=False, show_envvar=True, **settings)


_GLOBAL_OPTIONS = (
    _global(
        "--db",
        envvar="DEMURRAGE_DB_URL",
        metavar="URL",
        help="Database, as an SQLAlchemy URL. Without it: SQLite in your data folder.",
    ),
    _global(
        "--config",
        envvar="DEMURRAGE_CONFIG",
        metavar="FILE",
        callback=_configure,
        is_eager=True,
        help="TOML file with values for any option, by its name.",
    ),
    _global(
        "--format",
        envvar="DEMURRAGE_FORMAT",
        type=click.Choice(["table", "json", "csv"]),
        help="How to print the answer (table).",
    ),
    _global(
        "--output", envvar="DEMURRAGE_OUTPUT", metavar="FILE", help="Where to print the answer; - is stdout."
    ),
    _global(
        "--quiet",
        envvar="DEMURRAGE_QUIET",
        is_flag=True,
        default=None,
        help="Print no progress, only answer and errors.",
    ),
    _global(
        "--debug",
        envvar="DEMURRAGE_DEBUG",
        is_flag=True,
        default=None,
        is_eager=True,
        help="Show a traceback where something fails.",
    ),
)


def global_options(command: Decorated) -> Decorated:
    """Add the options that stand before or after every command; `common` reads them."""
    for option in reversed(_GLOBAL_OPTIONS):
        command = option(command)
    return command


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


class Moment(click.ParamType[datetime]):
    """A moment in ISO 8601; without an offset it is UTC."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The aware UTC moment that ``value`` names."""
        if isinstance(value, datetime):
            moment = value
        else:
            try:
                moment = datetime.fromisoformat(str(value))
            except ValueError:
                self.fail(f"{value!r} is not a time; write one like 2026-11-23T02:00:00Z", param, ctx)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


_REPORT_OPTIONS = (
    click.option(
        "--scope",
        type=click.Choice(["auto", "repository", "registry"]),
        envvar="DEMURRAGE_SCOPE",
        default="auto",
        show_default=True,
        show_envvar=True,
        help="How far layers are taken to be shared: inside a repository (upper bound), across the"
        " registry (lower bound), or as the registry's settings say.",
    ),
    click.option(
        "--stale-days",
        type=click.IntRange(min=1, max=36_500),
        envvar="DEMURRAGE_STALE_DAYS",
        default=90,
        show_default=True,
        show_envvar=True,
        help="An image neither pushed nor pulled for longer is stale.",
    ),
    click.option(
        "--prices",
        type=click.Path(path_type=Path),
        envvar="DEMURRAGE_PRICES",
        show_envvar=True,
        metavar="FILE",
        help="Your own prices or discount (TOML), in place of the bundled ones.",
    ),
)

_ACCEPT_GAPS = click.option(
    "--accept-gaps",
    type=click.Path(path_type=Path),
    envvar="DEMURRAGE_ACCEPT_GAPS",
    show_envvar=True,
    metavar="FILE",
    help="Known gaps (TOML): still shown, but no reason for exit status 4.",
)


def report_options(command: Decorated) -> Decorated:
    """Add the options that decide what a report shows."""
    for option in reversed(_REPORT_OPTIONS):
        command = option(command)
    return command


def accept_gaps_option(command: Decorated) -> Decorated:
    """Add --accept-gaps."""
    return _ACCEPT_GAPS(command)


def load_price_book(path: Path | None) -> PriceBook:
    """The bundled prices, overridden by the user's file if there is one."""
    from analyzer.pricing import bundled_prices, load_prices

    prices = bundled_prices()
    if path is None:
        return prices
    return prices.overridden_by(load_prices(read_text(path, "--prices"), origin=f"--prices {path}"))


def load_accepted_gaps(path: Path | None) -> tuple[AcceptedGap, ...]:
    """The gaps of the user's file; none without one."""
    from analyzer.acceptance import parse_accepted_gaps

    if path is None:
        return ()
    return parse_accepted_gaps(read_text(path, "--accept-gaps"), origin=f"--accept-gaps {path}")


def words(values: Sequence[str]) -> tuple[str, ...]:
    """``values`` with each one split at commas and spaces, as an environment variable holds them."""
    return tuple(word for value in values for word in value.replace(",", " ").split())


def is_terminal(stream: Any) -> bool:
    """Whether a person is looking at ``stream``."""
    return bool(stream.isatty()) and os.environ.get("TERM") != "dumb"
