"""What all commands share: the global options, the configuration file, and where answers go."""

from __future__ import annotations

import errno
import math
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from analyzer.cli.configuration import read_configuration, read_text
from analyzer.cli.streams import print_answer
from analyzer.errors import InputError, RunError

if TYPE_CHECKING:
    from analyzer.acceptance import AcceptedGap
    from analyzer.pricing import PriceBook

HELP: Mapping[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

#: Exit status where there is a finding that the user asked to fail on.
WITH_FINDINGS = 3
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
        """The database's URL: what was given, or SQLite in the user's data folder, which is made."""
        folder = self.data_folder
        if folder is not None:
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise InputError(
                    f"cannot make {folder}: {error.strerror}; name a database with --db URL"
                ) from error
        return self.db_location

    @property
    def data_folder(self) -> Path | None:
        """The user's data folder, where the database is in it."""
        if self.db:
            return None
        from platformdirs import user_data_path

        return user_data_path("demurrage", appauthor=False)

    @property
    def db_location(self) -> str:
        """As ``db_url``, without making anything."""
        return self.db or f"sqlite:///{self.data_folder}/demurrage.sqlite"

    def write(self, text: str) -> None:
        """Give the answer to whom it is for: stdout, or a file that appears when it is complete.

        Raises RunError where it cannot be written.
        """
        text = text if text.endswith("\n") else f"{text}\n"
        if self.output == "-":
            print_answer(text, is_json=self.format == "json")
            return
        target = Path(self.output)
        try:
            if _is_special(target):
                with target.open("w", encoding="utf-8") as file:
                    file.write(text)
            else:
                _write_whole(target.resolve(), text)
        except OSError as error:
            raise RunError(f"cannot write --output {target}: {error.strerror or error}") from error


def common(context: click.Context, *, formats: Sequence[str] = ("table", "json", "csv")) -> Common:
    """The global options of the call, wherever in it they stood; ``formats`` are the command's.

    Raises InputError for another --format, and InputError or RunError when there is no writing to
    --output: the work that the answer is about should not be done in vain.
    """
    values = {name: context.meta.get(_META + name) for name in ("db", "format", "output", "quiet")}
    context.meta[_META + "begun"] = True
    output = values["output"] or "-"
    if (values["format"] or "table") not in formats:
        raise InputError(f"--format {values['format']}: {context.info_name} prints {', '.join(formats)}")
    if output != "-":
        _require_target(Path(output))
    return Common(
        db=values["db"], format=values["format"] or "table", output=output, quiet=bool(values["quiet"])
    )


def wants_traceback(context: click.Context) -> bool:
    """Whether --debug is on, as far as the command line was read."""
    return bool(context.meta.get(_META + "debug"))


def has_begun(context: click.Context) -> bool:
    """Whether the command line was read and its command has begun."""
    return _META + "begun" in context.meta


def _is_special(target: Path) -> bool:
    """Whether ``target`` is a device or a pipe, which is written to and never replaced."""
    return target.exists() and not target.is_file()


def _require_target(target: Path) -> None:
    if target.is_dir():
        raise InputError(f"--output {target} is a folder; name a file")
    folder = target.parent
    if not folder.is_dir():
        raise InputError(f"--output {target}: there is no folder {folder}; make it, or name another file")
    if not os.access(target if _is_special(target) else target.resolve().parent, os.W_OK):
        raise RunError(f"cannot write --output {target}: Permission denied")


def _write_whole(target: Path, text: str) -> None:
    beside = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)


def require_folder(folder: Path) -> None:
    """Make ``folder`` and see that a file can be written there.

    Raises InputError where it cannot, RunError where that is for want of room.
    """
    probe = folder / f".{secrets.token_hex(8)}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            probe.write_bytes(b"demurrage")
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        kind = RunError if error.errno in (errno.ENOSPC, errno.EDQUOT) else InputError
        raise kind(
            f"--output-dir {folder} cannot be written: {error.strerror or error}; name another folder"
        ) from error


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
    if value is None or isinstance(context.command, click.Group):
        return value
    if isinstance(context.command, TypedCommand):
        raise InputError(
            f"--config {value}: this command reads no configuration file; type the options it should use"
        )
    context.default_map = read_configuration(Path(value), context)
    return value


class TypedCommand(click.Command):
    """A command that listens to its command line alone: neither to environment nor to files."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        for parameter in self.params:
            parameter.envvar = None
            if isinstance(parameter, click.Option):
                parameter.show_envvar = False
                parameter.hidden = parameter.hidden or parameter.name == "config"


class _GlobalOption(click.Option):
    """An option that may stand before the command as well.

    There only what is typed counts: whether the environment does is up to the command.
    """

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        return None if isinstance(ctx.command, click.Group) else super().resolve_envvar_value(ctx)


def _global(*names: str, **settings: Any) -> Callable[[Decorated], Decorated]:
    settings.setdefault("callback", _remember)
    return click.option(*names, cls=_GlobalOption, expose_value=False, show_envvar=True, **settings)


_GLOBAL_OPTIONS = (
    _global(
        "--db",
        envvar="DEMURRAGE_DB_URL",
        metavar="URL",
        help="SQLAlchemy URL of the database. Without it: SQLite in your data folder; demo: in its DIR.",
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
        type=click.Choice(["table", "json", "csv", "markdown", "terraform", "cli", "policy"]),
        help="How to print the answer (table); markdown is for what-if, the last three are for recommend.",
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


def with_options(options: Sequence[Callable[[Any], Any]], command: Decorated) -> Decorated:
    """``command`` with these options, which --help lists in their order."""
    for option in reversed(options):
        command = option(command)
    return command


def global_options(command: Decorated) -> Decorated:
    """Add the options that stand before or after every command; `common` reads them."""
    return with_options(_GLOBAL_OPTIONS, command)


#: Registries and their images are younger, and reports will not be asked for later. Ages and the
#: dates that they lead to stay clear of the ends of Python's calendar.
_EARLIEST, _LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
_NO_SUCH_AGE = f"{{!r}} is not between the years {_EARLIEST.year} and {_LATEST.year}"


class NumberRange(click.FloatRange):
    """A number in a range: "nan", which is in every range for want of comparing, and "inf" are none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a number", param, ctx)
        return number


class NamedFolder(click.Path):
    """A folder that has a name: an empty one, of a variable that was never set, would be the one at hand."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The folder's path."""
        if value == "":
            self.fail("it is empty; name a folder, or . for the one at hand", param, ctx)
        return super().convert(value, param, ctx)


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
        try:
            moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        except OverflowError:
            # The first and the last hours that there are, seen from another offset.
            self.fail(_NO_SUCH_AGE.format(value), param, ctx)
        if not _EARLIEST <= moment <= _LATEST:
            self.fail(_NO_SUCH_AGE.format(value), param, ctx)
        return moment


_SCOPE = click.option(
    "--scope",
    type=click.Choice(["auto", "repository", "registry"]),
    envvar="DEMURRAGE_SCOPE",
    default="auto",
    show_default=True,
    show_envvar=True,
    help="How far layers are taken to be shared: inside a repository (upper bound), across the"
    " registry (lower bound), or as the registry's settings say.",
)
_STALE_DAYS = click.option(
    "--stale-days",
    type=click.IntRange(min=1, max=36_500),
    envvar="DEMURRAGE_STALE_DAYS",
    default=90,
    show_default=True,
    show_envvar=True,
    help="An image neither pushed nor pulled for longer is stale.",
)
_GROUP_BY = click.option(
    "--group-by",
    multiple=True,
    envvar="DEMURRAGE_GROUP_BY",
    show_envvar=True,
    metavar="tag:KEY",
    callback=lambda _context, _parameter, values: tag_keys(values),
    help="Also show the cost by the value of this tag of the repositories; may be repeated.",
)
_PRICES = click.option(
    "--prices",
    type=click.Path(path_type=Path),
    envvar="DEMURRAGE_PRICES",
    show_envvar=True,
    metavar="FILE",
    help="Your own prices or discount (TOML), in place of the bundled ones.",
)

_ACCEPT_GAPS = click.option(
    "--accept-gaps",
    type=click.Path(path_type=Path),
    envvar="DEMURRAGE_ACCEPT_GAPS",
    show_envvar=True,
    metavar="FILE",
    help="Known gaps (TOML): still shown, but no reason for exit status 4.",
)


def group_by_option(command: Decorated) -> Decorated:
    """Add --group-by; the command gets the keys of the tags."""
    return _GROUP_BY(command)


def tag_keys(values: Sequence[str]) -> tuple[str, ...]:
    """The keys that ``--group-by tag:KEY`` names, each once; raises BadParameter for anything else."""
    for value in values:
        if not value.startswith("tag:") or len(value) <= len("tag:"):
            raise click.BadParameter(f"{value!r} is no tag; write tag:KEY, for example tag:team")
    return tuple(dict.fromkeys(value.removeprefix("tag:") for value in values))


def report_options(command: Decorated) -> Decorated:
    """Add the options that decide what a report shows."""
    return _SCOPE(_STALE_DAYS(_PRICES(command)))


def scope_option(command: Decorated) -> Decorated:
    """Add --scope."""
    return _SCOPE(command)


def prices_option(command: Decorated) -> Decorated:
    """Add --prices; `load_price_book` reads it."""
    return _PRICES(command)


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


def require_names(option: str, values: Sequence[str]) -> None:
    """Raise InputError for an empty one: a variable that a script never set would mean the folder at hand."""
    if not all(value.strip() for value in values):
        raise InputError(f"{option} is there without a value; write one, or leave it out")


def words(values: Sequence[str]) -> tuple[str, ...]:
    """``values`` with each one split at commas and spaces, as an environment variable holds them."""
    return tuple(word for value in values for word in value.replace(",", " ").split())
