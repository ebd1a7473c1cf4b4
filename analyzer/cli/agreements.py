"""What the commands share that judge by what the user's side agreed on: owners, waivers, known accounts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from analyzer.cli.common import Decorated, with_options, words
from analyzer.cli.configuration import read_text
from analyzer.errors import InputError

if TYPE_CHECKING:
    from analyzer.hygiene.judging import Agreements

_GRANTEE: Final = re.compile(r"\d{12}|o-[a-z0-9]{10,32}")

_OPTIONS = (
    click.option(
        "--waivers",
        type=click.Path(path_type=Path),
        envvar="DEMURRAGE_WAIVERS",
        show_envvar=True,
        metavar="FILE",
        help="Findings that were accepted until a day (TOML): shown as waived, and no reason to fail.",
    ),
    click.option(
        "--owner-tag",
        multiple=True,
        envvar="DEMURRAGE_OWNER_TAG",
        show_envvar=True,
        metavar="KEY",
        help="Tag of repositories that names the owner; may be repeated, the first that is there counts.",
    ),
    click.option(
        "--owners",
        type=click.Path(path_type=Path),
        envvar="DEMURRAGE_OWNERS",
        show_envvar=True,
        metavar="FILE",
        help="Owners by how repositories' names begin (TOML), where no tag names one.",
    ),
    click.option(
        "--known-account",
        multiple=True,
        envvar="DEMURRAGE_KNOWN_ACCOUNT",
        show_envvar=True,
        metavar="ID",
        help="Account or organization that policies may let in, beside the collected ones; may be repeated.",
    ),
)


def agreement_options(command: Decorated) -> Decorated:
    """Add --waivers, --owner-tag, --owners and --known-account; `take_agreements` reads them."""
    return with_options(_OPTIONS, command)


def take_agreements(options: dict[str, Any]) -> Agreements:
    """What those options say, which are taken out of ``options``.

    Raises InputError for a file that cannot be read or understood, and for what is no account.
    """
    names = ("waivers", "owner_tag", "owners", "known_account")
    return load_agreements({name: options.pop(name) for name in names})


def load_agreements(options: Mapping[str, Any]) -> Agreements:
    """As `take_agreements`."""
    from analyzer.hygiene.judging import ALL_CHECKS, Agreements
    from analyzer.hygiene.owners import Ownership, parse_owned_prefixes
    from analyzer.hygiene.waivers import parse_waivers

    waivers: Path | None = options["waivers"]
    owners: Path | None = options["owners"]
    known = words(options["known_account"])
    for who in known:
        if not _GRANTEE.fullmatch(who):
            raise InputError(
                f"--known-account {who}: is no account or organization; write one like 123456789012 or"
                " o-a1b2c3d4e5"
            )
    return Agreements(
        ownership=Ownership(
            tag_keys=tuple(dict.fromkeys(options["owner_tag"])),
            prefixes=()
            if owners is None
            else parse_owned_prefixes(read_text(owners, "--owners"), origin=f"--owners {owners}"),
        ),
        waivers=()
        if waivers is None
        else parse_waivers(
            read_text(waivers, "--waivers"),
            origin=f"--waivers {waivers}",
            ids=[check.id for check in ALL_CHECKS],
        ),
        known_accounts=frozenset(known),
    )
