"""`demurrage collect`: a snapshot of each registry."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from analyzer.cli.common import (
    HELP,
    WITH_GAPS,
    Common,
    Decorated,
    NumberRange,
    accept_gaps_option,
    common,
    global_options,
    load_accepted_gaps,
    with_options,
    words,
)
from analyzer.errors import InputError, RunError

if TYPE_CHECKING:
    from boto3.session import Session

    from analyzer.collect import CollectOptions, CollectResult, Progress
    from analyzer.store.engine import Database
    from analyzer.store.slots import OnRun

_COLLECT_OPTIONS = (
    click.option(
        "--region",
        multiple=True,
        envvar="DEMURRAGE_REGION",
        show_envvar=True,
        metavar="REGION",
        help="Region to collect, public for the account's public registry, or all: every region that the"
        " account has enabled, and public where it has one; may be repeated."
        " Without it: the region AWS is configured for.",
    ),
    click.option(
        "--account",
        multiple=True,
        envvar="DEMURRAGE_ACCOUNT",
        show_envvar=True,
        metavar="ID",
        help="Account to assume the role in; without --role-name, the one that the credentials must belong"
        " to. May be repeated.",
    ),
    click.option(
        "--organization",
        is_flag=True,
        envvar="DEMURRAGE_ORGANIZATION",
        show_envvar=True,
        help="Assume the role in every active account of the organization; for its management account or a"
        " delegated administrator.",
    ),
    click.option(
        "--include",
        multiple=True,
        envvar="DEMURRAGE_INCLUDE",
        show_envvar=True,
        metavar="PATTERN",
        help="Only these accounts of the organization: a pattern over id and name (prod-*), or ou: and a"
        " unit's id or path (ou:/Root/Prod); may be repeated.",
    ),
    click.option(
        "--exclude",
        multiple=True,
        envvar="DEMURRAGE_EXCLUDE",
        show_envvar=True,
        metavar="PATTERN",
        help="Not these accounts of the organization; as --include, and stronger.",
    ),
    click.option(
        "--role-name",
        envvar="DEMURRAGE_ROLE_NAME",
        show_envvar=True,
        metavar="NAME",
        help="Role to assume in each account: its name, with its path if it has one, or its ARN; {account}"
        " and {partition} are filled in.",
    ),
    click.option(
        "--role-in-own-account",
        is_flag=True,
        envvar="DEMURRAGE_ROLE_IN_OWN_ACCOUNT",
        show_envvar=True,
        help="Assume the role in the account of the credentials as well, which otherwise read it themselves.",
    ),
    click.option(
        "--external-id",
        envvar="DEMURRAGE_EXTERNAL_ID",
        show_envvar=True,
        # Half a secret: no message repeats it.
        hide_input=True,
        metavar="ID",
        help="What the role's trust policy asks for; better given in the environment.",
    ),
    click.option(
        "--session-name",
        envvar="DEMURRAGE_SESSION_NAME",
        default="demurrage",
        show_default=True,
        show_envvar=True,
        metavar="NAME",
        help="Name of the sessions, as CloudTrail shows it.",
    ),
    click.option(
        "--profile",
        multiple=True,
        envvar="DEMURRAGE_PROFILE",
        show_envvar=True,
        metavar="NAME",
        help="Profile of your AWS configuration; of several, each leads to its own account or"
        " organization, in its own partition.",
    ),
    click.option(
        "--workers",
        type=click.IntRange(1, 256),
        envvar="DEMURRAGE_WORKERS",
        default=32,
        show_default=True,
        show_envvar=True,
        help="Calls to AWS, and registries being read, at a time.",
    ),
    click.option(
        "--requests-per-second",
        type=NumberRange(min=0, min_open=True),
        envvar="DEMURRAGE_REQUESTS_PER_SECOND",
        default=10.0,
        show_default=True,
        show_envvar=True,
        help="Calls of one describe, list or get operation to one registry; AWS publishes no limit for them.",
    ),
    click.option(
        "--read-timeout",
        type=NumberRange(min=0.1, max=3600),
        envvar="DEMURRAGE_READ_TIMEOUT",
        default=60.0,
        show_default=True,
        show_envvar=True,
        metavar="SECONDS",
        help="How long one answer of AWS may take.",
    ),
    click.option(
        "--resume-hours",
        type=NumberRange(min=0, max=168),
        envvar="DEMURRAGE_RESUME_HOURS",
        default=6.0,
        show_default=True,
        show_envvar=True,
        metavar="HOURS",
        help="What a run that was cut short read in the last so many hours is not read again; 0 reads"
        " everything.",
    ),
    click.option(
        "--workload-sources",
        envvar="DEMURRAGE_WORKLOAD_SOURCES",
        default="all",
        show_default=True,
        show_envvar=True,
        metavar="NAMES",
        help="Who is asked what uses the images: all, none, or names with commas between them of ecs, lambda,"
        " eks, inspector, apprunner, batch, sagemaker, codebuild.",
    ),
    click.option(
        "--revisions",
        type=click.IntRange(1, 1000),
        envvar="DEMURRAGE_REVISIONS",
        default=3,
        show_default=True,
        show_envvar=True,
        metavar="N",
        help="The last so many revisions of each ECS task definition and Batch job definition count as"
        " in use.",
    ),
    click.option(
        "--eks-pods",
        is_flag=True,
        envvar="DEMURRAGE_EKS_PODS",
        show_envvar=True,
        help="Ask the Kubernetes API of each EKS cluster for its pods, as your own AWS identity.",
    ),
    click.option(
        "--kubeconfig",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        envvar="DEMURRAGE_KUBECONFIG",
        show_envvar=True,
        metavar="FILE",
        help="The same, as the contexts of FILE say; what it tells to run, to log in, is run.",
    ),
)


def collect_options(command: Decorated) -> Decorated:
    """Add the options that decide what is collected, and how fast."""
    return with_options(_COLLECT_OPTIONS, command)


@click.command("collect", context_settings=HELP)
@collect_options
@accept_gaps_option
@global_options
@click.pass_context
def collect_command(context: click.Context, /, accept_gaps: Path | None, **options: Any) -> int:
    """Take a snapshot of the registries of an account, or of many.

    Only reads from AWS. What was refused is recorded as a gap, and the rest goes on.
    """
    from analyzer.acceptance import split_gaps
    from analyzer.cli.answers import rendered

    shared = common(context)
    accepted = load_accepted_gaps(accept_gaps)
    result, _ = collect_from_aws(shared, **options)
    shared.write(rendered(result, accepted, shared.format))
    require_something_read(result)
    return WITH_GAPS if split_gaps(result.gaps, accepted)[0] else 0


def collect_from_aws(shared: Common, **options: Any) -> tuple[CollectResult, Database]:
    """Collect with the user's own AWS configuration."""
    from analyzer.cli.progress import shown_progress
    from analyzer.store.opening import open_database

    sessions, chosen = prepare_collection(**options)
    database = open_database(shared.db_url, create=True)
    return collect_shown(shown_progress(quiet=shared.quiet), database, sessions, chosen), database


def prepare_collection(
    *, profile: tuple[str, ...], region: tuple[str, ...], **options: Any
) -> tuple[list[Session], CollectOptions]:
    """The sessions of `collect_options` and what is to be collected with them.

    Raises InputError where there is no such profile, no region, or the options make no sense together.
    """
    sessions, regions = aws_sessions(profile, region)
    return sessions, aws_choice(regions, len(sessions), **options)


def first_profile(options: Mapping[str, Any]) -> str | None:
    """The profile whose credentials are one's own, where `collect_options` name some."""
    return next(iter(options["profile"]), None)


def aws_sessions(profile: tuple[str, ...], region: tuple[str, ...]) -> tuple[list[Session], tuple[str, ...]]:
    """A session for each profile, and the regions: those that are named, or that AWS is configured for.

    Raises InputError where there is no such profile, or no region.
    """
    from analyzer.collect.session import configured_region, open_session

    sessions = [open_session(name) for name in dict.fromkeys(profile or (None,))]
    configured = dict.fromkeys(filter(None, map(configured_region, sessions)))
    regions = words(region) or tuple(configured)
    if not regions:
        raise InputError("no region: name one with --region, or configure one for AWS (AWS_REGION)")
    return sessions, regions


def aws_choice(
    regions: tuple[str, ...],
    sessions: int,
    *,
    account: tuple[str, ...],
    organization: bool,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    role_name: str | None,
    role_in_own_account: bool,
    external_id: str | None,
    session_name: str,
    workers: int,
    requests_per_second: float,
    read_timeout: float,
    resume_hours: float,
    workload_sources: str,
    revisions: int,
    eks_pods: bool,
    kubeconfig: Path | None,
) -> CollectOptions:
    """What `collect_options` say is to be collected; raises InputError where they make no sense together."""
    from analyzer.collect import CollectOptions
    from analyzer.collect.accounts import check_options
    from analyzer.collect.credentials import RoleOptions
    from analyzer.collect.workloads import WorkloadOptions, check_sources
    from analyzer.collect.workloads.kubeconfig import load_kubeconfig

    if role_name is None and external_id is not None:
        raise InputError("--external-id is for the role to assume: add --role-name")
    sources = check_sources(words([workload_sources]))
    if (eks_pods or kubeconfig) and "eks" not in sources:
        raise InputError("--eks-pods and --kubeconfig are about EKS, which --workload-sources leaves out")
    if kubeconfig is not None:
        load_kubeconfig(kubeconfig)
    chosen = CollectOptions(
        regions=regions,
        accounts=tuple(dict.fromkeys(words(account))),
        organization=organization,
        include=include,
        exclude=exclude,
        role=None
        if role_name is None
        else RoleOptions(template=role_name, session_name=session_name, external_id=external_id),
        role_in_own_account=role_in_own_account,
        workers=workers,
        requests_per_second=requests_per_second,
        read_seconds=read_timeout,
        resume_seconds=resume_hours * 3600,
        workloads=WorkloadOptions(
            sources=sources, revisions=revisions, eks_pods=eks_pods, kubeconfig=kubeconfig
        ),
    )
    check_options(chosen, sessions)
    return chosen


def collect_shown(
    progress: AbstractContextManager[Progress],
    database: Database,
    sessions: Sequence[Session],
    options: CollectOptions,
    clock: Callable[[], float] | None = None,
    on_run: OnRun | None = None,
) -> CollectResult:
    """Collect, showing ``progress``; ``on_run`` is called in the transaction that begins the run."""
    import time

    from analyzer.nightly import collect_snapshots

    more: dict[str, Any] = {} if on_run is None else {"on_run": on_run}
    first, *others = sessions
    with progress as shown:
        return collect_snapshots(
            database, first, options, shown, more_sessions=others, clock=clock or time.time, **more
        )


def require_something_read(result: CollectResult) -> None:
    """Raise RunError when not one registry of the run could be read."""
    if any(row.snapshot is not None and row.status != "refused" for row in result.registries):
        return
    why = "; ".join(
        f"{gap.account}/{gap.region}: {gap.detail or gap.reason}".lstrip("/") for gap in result.gaps[:3]
    )
    raise RunError(f"no registry could be read ({why}); what was stored before is kept")
