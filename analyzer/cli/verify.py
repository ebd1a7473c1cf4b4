"""`demurrage verify`: our verdicts against ECR's own lifecycle preview."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from analyzer.cli.common import (
    HELP,
    WITH_FINDINGS,
    WITH_GAPS,
    Common,
    NumberRange,
    accept_gaps_option,
    common,
    global_options,
    load_accepted_gaps,
    words,
)
from analyzer.cli.configuration import read_text
from analyzer.cli.streams import tell
from analyzer.errors import InputError

if TYPE_CHECKING:
    from analyzer.acceptance import AcceptedGap
    from analyzer.collect.preview import PreviewAnswer, PreviewRequest
    from analyzer.lifecycle.policy import Policy
    from analyzer.model.frames import Frames, Int64
    from analyzer.model.verification import RepositoryVerification, Verification
    from analyzer.store.engine import Database

#: --policy of the policy in force.
_LIVE = "live"

#: What ECR's waiter for a preview waits between two looks.
_POLL_SECONDS = 5.0


@click.command("verify", context_settings=HELP)
@click.option(
    "--repository",
    "repositories",
    multiple=True,
    required=True,
    metavar="GLOB",
    help="Repositories of the last snapshot to preview; may be repeated.",
)
@click.option(
    "--policy",
    default=_LIVE,
    show_default=True,
    metavar="FILE",
    help="Policy to preview on all of them (JSON), or live: the one that each has in force.",
)
@click.option(
    "--region",
    multiple=True,
    envvar="DEMURRAGE_REGION",
    show_envvar=True,
    metavar="REGION",
    help="Only repositories in this region; may be repeated.  [all of the snapshot]",
)
@click.option(
    "--account",
    multiple=True,
    envvar="DEMURRAGE_ACCOUNT",
    show_envvar=True,
    metavar="ID",
    help="Account that the credentials must belong to, one of several.",
)
@click.option(
    "--profile",
    multiple=True,
    envvar="DEMURRAGE_PROFILE",
    show_envvar=True,
    metavar="NAME",
    help="Profile of your AWS configuration; only one here.",
)
@click.option(
    "--at-once",
    type=click.IntRange(1, 32),
    default=4,
    show_default=True,
    metavar="N",
    help="Previews that run at the same time.",
)
@click.option(
    "--wait",
    type=NumberRange(min=1, max=86_400),
    default=600.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for one preview.",
)
@click.option(
    "--requests-per-second",
    type=NumberRange(min=0, min_open=True),
    envvar="DEMURRAGE_REQUESTS_PER_SECOND",
    default=10.0,
    show_default=True,
    show_envvar=True,
    help="Calls to one registry.",
)
@accept_gaps_option
@global_options
@click.pass_context
def verify_command(
    context: click.Context,
    /,
    repositories: tuple[str, ...],
    policy: str,
    accept_gaps: Path | None,
    **options: Any,
) -> int:
    """Hold our verdicts against ECR's own lifecycle preview.

    Asks ECR to preview the policy on each repository and reports every image on which its answer and
    ours differ. A preview changes no image and no policy, but starting one is a call of write level
    (ecr:StartLifecyclePolicyPreview, beside ecr:GetLifecyclePolicyPreview, ecr:GetLifecyclePolicy and
    ecr:DescribeImages): no other command makes it. It replaces the last preview that somebody started
    on the repository; one that is running with another policy is left alone.

    Exit status: 0 all agree; 3 some disagree; 4 some could not be verified.
    """
    shared = common(context)
    accepted = load_accepted_gaps(accept_gaps)
    verification = _verified(shared, repositories, policy, accepted, **options)
    shared.write(_rendered(verification, shared.format))
    if verification.disagrees:
        return WITH_FINDINGS
    return WITH_GAPS if verification.gaps else 0


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """What was stored last."""

    database: Database
    frames: Frames

    def digests(self, positions: Int64) -> list[str]:
        """Digests of the artifacts at ``positions``."""
        from analyzer.store.names import load_digest_texts

        ids = self.frames.artifacts.digest_id[positions].tolist()
        # Digests are never renumbered, so another transaction reads the same.
        with self.database.read() as connection:
            texts = load_digest_texts(connection, ids)
        return [texts[key] for key in ids]


@dataclass(frozen=True, slots=True)
class _Given:
    """The policy of --policy; both None for the one in force."""

    text: str | None
    policy: Policy | None


def _verified(
    shared: Common,
    globs: Sequence[str],
    policy: str,
    accepted: Sequence[AcceptedGap],
    *,
    region: tuple[str, ...],
    account: tuple[str, ...],
    profile: tuple[str, ...],
    at_once: int,
    wait: float,
    requests_per_second: float,
) -> Verification:
    from analyzer.acceptance import split_gaps
    from analyzer.collect.preview import PreviewOptions, PreviewRequest, require_account, run_previews
    from analyzer.collect.session import open_session
    from analyzer.model.records import RegistryKey
    from analyzer.model.units import from_ms
    from analyzer.model.verification import Verification
    from analyzer.store.opening import open_database

    if len(profile) > 1:
        raise InputError(f"--profile {' '.join(profile)}: verify works with one; name the one to use")
    given = _given(shared, policy)
    snapshot = _load(open_database(shared.db_url), words(region))
    frames = snapshot.frames
    rows, public = _matching(frames, globs)
    places = [
        RegistryKey(registry["partition"], registry["account"], registry["region"])
        for registry in frames.registries.to_dict("records")
    ]
    of_row = frames.repositories["registry"].tolist()
    names = frames.repositories["repository"].tolist()
    session = open_session(profile[0] if profile else None)
    regions = sorted({places[of_row[row]].region for row in rows})
    identity = require_account(session, regions, words(account))
    # A repository that was made anew under its name follows the old one, where both are still there.
    row_of = {
        PreviewRequest(places[of_row[row]], names[row], given.text): row
        for row in rows
        if places[of_row[row]].account == identity.account
    }
    if not row_of:
        others = ", ".join(sorted({places[of_row[row]].account for row in rows}))
        raise InputError(
            f"the credentials belong to account {identity.account}, the repositories that match to {others};"
            " choose another profile"
        )
    if not shared.quiet:
        number = len(row_of)
        tell(f"previewing {number} {'repository' if number == 1 else 'repositories'}; ECR may take minutes")

    def told(answer: PreviewAnswer) -> None:
        if not shared.quiet:
            tell(f"{answer.request.key.region}/{answer.request.repository}: {_progress(answer)}")

    started_ms = round(time.time() * 1000)
    answers = run_previews(
        session,
        list(row_of),
        PreviewOptions(
            workers=at_once,
            requests_per_second=requests_per_second,
            poll_seconds=_POLL_SECONDS,
            wait_seconds=wait,
        ),
        done=told,
    )
    open_gaps, covered = split_gaps([answer.gap for answer in answers if answer.gap], accepted)
    elsewhere = len(rows) - sum(1 for row in rows if places[of_row[row]].account == identity.account)
    notes = []
    if elsewhere:
        notes.append(
            f"{elsewhere} more that match belong to other accounts than {identity.account}, and were not"
            " verified"
        )
    if public:
        notes.append(f"{public} more that match are public repositories, which can have no lifecycle policy")
    return Verification(
        at=from_ms(started_ms),
        policy=policy,
        repositories=tuple(_compared(snapshot, row_of[answer.request], answer, given) for answer in answers),
        gaps=tuple(open_gaps),
        accepted_gaps=tuple(covered),
        notes=tuple(notes),
    )


def _given(shared: Common, policy: str) -> _Given:
    """The policy of --policy; an invalid one is also told as JSON where that is asked for."""
    from analyzer.lifecycle.parsing import InvalidPolicy, error_document, parse_policy, policy_text_of

    if policy == _LIVE:
        return _Given(None, None)
    text = policy_text_of(read_text(Path(policy), "--policy"))
    try:
        return _Given(text, parse_policy(text))
    except InvalidPolicy as error:
        if shared.format == "json":
            shared.write(json.dumps(error_document(error), indent=2))
        raise


def _load(database: Database, regions: Sequence[str]) -> _Snapshot:
    """The last snapshots of the registries in ``regions``, of all without any."""
    from analyzer.store.frames import load_frames
    from analyzer.store.snapshots import last_run, snapshots_of_run

    with database.read() as connection:
        every = snapshots_of_run(connection, last_run(connection))
        chosen = [one for one in every if not regions or one.key.region in regions]
        if not chosen:
            there = ", ".join(sorted({one.key.region for one in every}))
            raise InputError(
                f"--region {', '.join(regions)}: there are snapshots of {there} only; name one of them,"
                " or run: demurrage collect"
            )
        return _Snapshot(database, load_frames(connection, chosen))


def _matching(frames: Frames, globs: Sequence[str]) -> tuple[list[int], int]:
    """Rows of the repositories that are asked for, and the number of public ones beside them.

    There is no preview of what can have no policy. Raises InputError where a glob matches none, and where
    all that match are public.
    """
    names = frames.repositories["repository"].tolist()
    found: set[int] = set()
    for glob in globs:
        matched = [row for row, name in enumerate(names) if fnmatchcase(name, glob)]
        if not matched:
            regions = ", ".join(sorted(set(frames.registries["region"])))
            raise InputError(
                f"--repository {glob}: no repository of the last snapshot of {regions} has such a name;"
                " name another, or run: demurrage collect"
            )
        found.update(matched)
    is_public = frames.is_public
    rows = [row for row in sorted(found) if not is_public[row]]
    if not rows:
        raise InputError(
            f"--repository {' '.join(globs)}: every repository that matches is a public one, which can have"
            " no lifecycle policy; name private ones"
        )
    return rows, len(found) - len(rows)


def _compared(snapshot: _Snapshot, row: int, answer: PreviewAnswer, given: _Given) -> RepositoryVerification:
    """What came of one repository, its answer held against our verdicts."""
    from analyzer.collect.preview import same_policy
    from analyzer.lifecycle.parsing import InvalidPolicy, parse_policy
    from analyzer.model.verification import RepositoryVerification, VerificationStatus
    from analyzer.verification import compare

    request: PreviewRequest = answer.request

    def result(status: VerificationStatus, **more: Any) -> RepositoryVerification:
        return RepositoryVerification(
            account=request.key.account,
            region=request.key.region,
            repository=request.repository,
            status=status,
            **more,
        )

    repository = snapshot.frames.repositories.iloc[row]
    stored, known = repository["lifecycle_policy_text"], bool(repository["lifecycle_policy_known"])
    stored = stored if isinstance(stored, str) else None
    if answer.has_no_policy:
        changed = known and stored is not None
        return result(VerificationStatus.NO_POLICY, policy_changed=changed)
    if answer.policy_refused:
        said = f"ECR refuses the policy, which we accept: {answer.policy_refused}"
        return result(VerificationStatus.DISAGREES, validation=said)
    if answer.preview is None or answer.listing is None:
        return result(VerificationStatus.UNVERIFIED)
    changed = (
        given.text is None
        and known
        and not (stored is not None and same_policy(stored, answer.preview.policy_text))
    )
    try:
        policy = given.policy or parse_policy(answer.preview.policy_text)
    except InvalidPolicy as error:
        said = f"we refuse the policy, which ECR accepts: {' '.join(map(str.strip, error.lines))}"
        return result(VerificationStatus.DISAGREES, validation=said, policy_changed=changed)
    compared = compare(snapshot.frames, snapshot.digests, row, policy, answer.preview, answer.listing)
    disagrees = bool(compared.disagreements) or compared.summary_differs
    status = VerificationStatus.DISAGREES if disagrees else VerificationStatus.AGREES
    return result(status, compared=compared, policy_changed=changed)


def _progress(answer: PreviewAnswer) -> str:
    if answer.gap is not None:
        return f"not previewed ({answer.gap.reason})"
    if answer.has_no_policy:
        return "has no policy"
    if answer.preview is None:
        return "ECR refuses the policy"
    return f"previewed, {len(answer.preview.rows):,} images with an action"


def _rendered(verification: Verification, form: str) -> str:
    from analyzer.cli.tables import gaps_text
    from reports.verification import verification_csv, verification_json, verification_text

    if form == "json":
        return verification_json(verification)
    if form == "csv":
        return verification_csv(verification)
    gaps = gaps_text(verification.gaps, accepted=len(verification.accepted_gaps))
    return verification_text(verification) + gaps
