"""`demurrage role`: the role to roll out, as templates and as plain policies."""

from __future__ import annotations

import re
from importlib.resources import files

import click

from analyzer.cli.common import HELP, common, global_options

_FILES = {"cloudformation": "member-role.cfn.yaml", "terraform": "member-role.tf"}


def _checked_role(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    name = value.removeprefix("/")
    if not re.fullmatch(r"[\w+=,.@-]+(/[\w+=,.@-]+)*", name, re.ASCII):
        raise click.BadParameter("write the name of a role, with its path if it has one")
    return name


@click.command("role", context_settings=HELP)
@click.argument("form", type=click.Choice([*_FILES, "policy", "base-policy"]))
@click.option(
    "--partition",
    type=click.Choice(["aws", "aws-cn", "aws-us-gov", "aws-eusc"]),
    default="aws",
    show_default=True,
    help="With the policies: which AWS they are for. The templates find out by themselves.",
)
@click.option(
    "--name",
    metavar="NAME",
    default="demurrage-reader",
    show_default=True,
    callback=_checked_role,
    help="With base-policy: the role to assume, with its path if it has one.",
)
@click.option(
    "--without-workloads", is_flag=True, help="With policy: without what reads the users of images."
)
@click.option("--without-public", is_flag=True, help="With policy: without what reads public registries.")
@click.option("--for-verify", is_flag=True, help="With policy: with what `demurrage verify` needs.")
@click.option(
    "--for-pulls",
    is_flag=True,
    help="With policy: with what `demurrage ingest` needs in an account; with base-policy: for a trail.",
)
@global_options
@click.pass_context
def role_command(
    context: click.Context,
    /,
    form: str,
    partition: str,
    name: str,
    *,
    without_workloads: bool,
    without_public: bool,
    for_verify: bool,
    for_pulls: bool,
) -> int:
    """Print the role that demurrage needs, for you to review and roll out.

    cloudformation and terraform are the whole role, for member accounts; policy is the JSON of its
    permissions alone. base-policy is what lets the credentials that you start with find the accounts
    of an organization and assume the role in them.
    """
    shared = common(context, formats=("table", "json"))
    if form in _FILES:
        shared.write(files("analyzer").joinpath("roles", _FILES[form]).read_text(encoding="utf-8"))
        return 0
    from analyzer.collect.permissions import (
        BASE,
        PUBLIC,
        PULLS,
        READER,
        TRAIL,
        VERIFY,
        WORKLOADS,
        permissions_of,
        policy_text,
    )
    from analyzer.collect.regions import PUBLIC_PARTITION

    is_base = form == "base-policy"
    parts = set(BASE if is_base else READER)
    if for_verify and not is_base:
        parts |= {VERIFY}
    if for_pulls:
        parts |= {TRAIL} if is_base else set(PULLS)
    if without_workloads:
        parts -= set(WORKLOADS)
    if without_public or partition != PUBLIC_PARTITION:
        parts -= {PUBLIC}
    shared.write(policy_text(permissions_of(parts), partition, role=name))
    return 0
