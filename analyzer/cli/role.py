"""`demurrage role`: the role to roll out, as templates and as plain policies."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import TYPE_CHECKING

import click

from analyzer.cli.common import HELP, common, global_options
from analyzer.cli.publishing import require_bucket_for_key
from analyzer.errors import InputError

if TYPE_CHECKING:
    from analyzer.collect.permissions import Permission

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
@click.option(
    "--trail",
    multiple=True,
    metavar="S3URL",
    help="With the policies: with what reading this trail's bucket takes; may be repeated.",
)
@click.option(
    "--publish",
    multiple=True,
    metavar="S3URL",
    help="With the policies: with what publishing there takes, as s3://BUCKET/PREFIX; may be repeated.",
)
@click.option(
    "--publish-kms-key", metavar="KEY", help="With --publish: and what encrypting with this key takes."
)
@click.option(
    "--notify",
    multiple=True,
    metavar="ARN",
    help="With the policies: with what telling this SNS topic takes; may be repeated.",
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
    trail: tuple[str, ...],
    publish: tuple[str, ...],
    publish_kms_key: str | None,
    notify: tuple[str, ...],
) -> int:
    """Print the role that demurrage needs, for you to review and roll out.

    cloudformation and terraform are the whole role, for member accounts; policy is the JSON of its
    permissions alone. base-policy is what lets the credentials that you start with find the accounts
    of an organization and assume the role in them. With those credentials a trail is read, reports are
    published and topics told: add --trail, --publish and --notify to the policy that they have.
    """
    shared = common(context, formats=("table", "json"))
    if form in _FILES:
        if trail or publish or publish_kms_key or notify:
            raise InputError(
                "--trail, --publish and --notify are for the credentials that you start with, and"
                f" {form} is the role of other accounts: add them to policy or base-policy"
            )
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
        parts |= set(PULLS) if not is_base else set() if trail else {TRAIL}
    if without_workloads:
        parts -= set(WORKLOADS)
    if without_public or partition != PUBLIC_PARTITION:
        parts -= {PUBLIC}
    rows = permissions_of(parts) + _rows_of_places(partition, trail, publish, publish_kms_key, notify)
    shared.write(policy_text(rows, partition, role=name))
    return 0


def _rows_of_places(
    partition: str,
    trails: tuple[str, ...],
    publish: tuple[str, ...],
    kms_key: str | None,
    topics: tuple[str, ...],
) -> tuple[Permission, ...]:
    """What reading, publishing and telling takes there, and nowhere else; raises InputError for no places."""
    from analyzer.collect.delivery_probes import topic_permissions
    from analyzer.collect.trail_probes import trail_permissions
    from analyzer.publishing.bucket import BucketTarget
    from analyzer.publishing.notify import TopicNotifier

    require_bucket_for_key(publish, kms_key)
    rows: tuple[Permission, ...] = ()
    for url in trails:
        rows += trail_permissions(url, partition)
    for url in publish:
        rows += BucketTarget(url, kms_key=kms_key).place.permissions(partition)
    for arn in topics:
        rows += topic_permissions(TopicNotifier(arn).label)
    return rows
