"""`demurrage demo`: the whole pipeline on an emulated AWS, for a look at it without an account."""

from __future__ import annotations

import hashlib
import json
import secrets
import shlex
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from analyzer.cli.common import (
    HELP,
    WITH_GAPS,
    Common,
    NamedFolder,
    TypedCommand,
    common,
    global_options,
    load_price_book,
    report_options,
    require_folder,
)
from analyzer.cli.streams import tell
from analyzer.errors import InputError, RunError

if TYPE_CHECKING:
    from analyzer.demo import Refusal
    from analyzer.model.units import ScopeChoice
    from analyzer.store.engine import Database

_NIGHTS = 3
#: The emulator is in this process: there is nobody to be gentle with.
_REQUESTS_PER_SECOND = 100_000.0
_DATABASE = "demo.sqlite"
#: Holds the database's hash as a demo left it, in the form of sha256sum.
_SEAL = "demo.sqlite.sha256"
_GAPS = "demo-gaps.toml"
_POLICY = "demo-policy.json"
#: The tag by which the made-up company's repositories name their owners.
_OWNER_TAG = "team"


@click.command("demo", cls=TypedCommand, context_settings=HELP)
@click.option(
    "--output-dir",
    type=NamedFolder(),
    default=Path("demurrage-demo"),
    show_default=True,
    metavar="DIR",
    help="Folder for the report and (without --db) the database, demo.sqlite.",
)
@click.option("--seed", type=int, default=2026, show_default=True, help="Another seed, another registry.")
@report_options
@global_options
@click.pass_context
def demo_command(
    context: click.Context, output_dir: Path, seed: int, scope: str, stale_days: int, prices: Path | None
) -> int:
    """Try it: collect an emulated AWS for three nights and report on it.

    Needs no AWS account and no network. The collector is the real one; only AWS is emulated (by
    moto, with made-up registries of realistic shape).

    It keeps away from your data: only what is typed counts, DEMURRAGE_… variables and configuration
    files do not. It writes to --output-dir, replaces no database but one that an earlier demo left
    there as demo.sqlite, and takes a --db only when that is new or empty.

    demo-gaps.toml, which it leaves beside the report, is an example for --accept-gaps: it accepts
    what the emulated AWS refuses. demo-policy.json is a lifecycle policy for what-if; the report has
    a section on what it would do.
    """
    from analyzer.acceptance import parse_accepted_gaps
    from analyzer.cli.report import write_answer
    from analyzer.hygiene.judging import Agreements
    from analyzer.hygiene.owners import Ownership
    from analyzer.lifecycle.parsing import parse_policy
    from analyzer.nightly import ReportOptions
    from analyzer.store.opening import open_database

    shared = common(context)
    book = load_price_book(prices)
    if shared.db is not None:
        database = open_database(shared.db, create=True)
        _require_no_runs(database)
        require_folder(output_dir)
        refusals = _collect(shared, database, seed)
    else:
        require_folder(output_dir)
        with _own_database(output_dir) as file:
            database = open_database(_url(file), create=True)
            try:
                refusals = _collect(shared, database, seed)
            finally:
                database.engine.dispose()
        database = open_database(_url(output_dir / _DATABASE))
    gaps, policy = _accepted_gaps(refusals), _example_policy()
    _write(output_dir / _GAPS, gaps)
    _write(output_dir / _POLICY, policy)
    options = ReportOptions(
        prices=book,
        scope=cast("ScopeChoice", scope),
        stale_days=stale_days,
        accepted=parse_accepted_gaps(gaps, origin=_GAPS),
        agreements=Agreements(ownership=Ownership(tag_keys=(_OWNER_TAG,))),
    )
    report, _ = write_answer(
        shared,
        database,
        output_dir,
        options,
        policies=[(Path(_POLICY), parse_policy(policy), policy)],
        told=output_dir,
    )
    if not shared.quiet:
        database_url = shared.db or _url(output_dir / _DATABASE)
        words = shlex.join(["--db", database_url, "--policy", str(output_dir / _POLICY)])
        tell(f"Try a lifecycle policy on it: demurrage what-if {words}")
        words = shlex.join(["--db", database_url, "--owner-tag", _OWNER_TAG, "--fail-on", "high"])
        tell(f"See what is unhygienic there: demurrage findings {words}")
    return WITH_GAPS if report.gaps else 0


def _collect(shared: Common, database: Database, seed: int) -> tuple[Refusal, ...]:
    """Collect the emulated AWS for some nights; gives what it refused on the last."""
    from analyzer.cli.collect import collect_shown
    from analyzer.cli.progress import shown_progress
    from analyzer.collect import CollectOptions
    from analyzer.collect.session import open_session
    from analyzer.collect.workloads import WorkloadOptions
    from analyzer.demo import emulated_aws

    now = datetime.now(UTC)
    last = now.replace(hour=2, minute=0, second=0, microsecond=0)
    # The last night is the one just past.
    first = last - timedelta(days=_NIGHTS - 1 if last <= now else _NIGHTS)
    with emulated_aws(first, seed) as aws:
        options = CollectOptions(
            regions=aws.regions,
            accounts=(aws.account,),
            requests_per_second=_REQUESTS_PER_SECOND,
            batch_get_image_per_second=_REQUESTS_PER_SECOND,
            # Those that the emulated account uses; its emulator does not have all others.
            workloads=WorkloadOptions(sources=("ecs", "codebuild")),
        )
        session = open_session()
        for night in range(_NIGHTS):
            if night:
                aws.pass_night()
            progress = shown_progress(quiet=shared.quiet)
            collect_shown(progress, database, [session], options, aws.now.timestamp)
        return aws.refusals


def _example_policy() -> str:
    """A policy that many would begin with: untagged images go after two weeks, of others 50 stay."""
    from analyzer.lifecycle.policy import Action, CountType, Policy, Rule, TagStatus
    from analyzer.lifecycle.writing import policy_json

    untagged = Rule(
        priority=1,
        description="Untagged images go after two weeks",
        tag_status=TagStatus.UNTAGGED,
        count_type=CountType.SINCE_IMAGE_PUSHED,
        count_number=14,
        action=Action.EXPIRE,
    )
    newest = Rule(
        priority=2,
        description="Of all others the newest 50 stay",
        tag_status=TagStatus.ANY,
        count_type=CountType.IMAGE_COUNT_MORE_THAN,
        count_number=50,
        action=Action.EXPIRE,
    )
    return policy_json(Policy((untagged, newest)), indent=2) + "\n"


def _accepted_gaps(refusals: Iterable[Refusal]) -> str:
    """A file for --accept-gaps that covers ``refusals``."""
    lines = ["# What the emulated AWS of demurrage demo refuses, for --accept-gaps."]
    for refusal in refusals:
        keys = {
            "account": refusal.account,
            "region": refusal.region,
            "repository": refusal.repository,
            "call": refusal.call,
            "reason": f"The demo refuses this on purpose: {refusal.why}",
        }
        # Left out where it is empty: the call is about the registry. JSON's strings are TOML's.
        entries = [f"{key} = {json.dumps(value)}" for key, value in keys.items() if value]
        lines += ["", "[[gap]]", *entries]
    return "\n".join([*lines, ""])


def _require_no_runs(database: Database) -> None:
    """Raise InputError unless nothing was ever collected into ``database``."""
    from analyzer.store import tables

    with database.read() as connection:
        if connection.execute(tables.run.select().limit(1)).first() is not None:
            raise InputError(
                f"--db {database.label} holds runs already, and the demo mixes with nobody's data; "
                "name a new database, or leave --db out"
            )


@contextmanager
def _own_database(folder: Path) -> Iterator[Path]:
    """Where to make the demo's database, which becomes ``folder``'s when the block ends well.

    It takes the place of an earlier demo's, and of no other: raises InputError, before anything
    is done, unless the one there is to the byte what a demo left. Interrupted, it leaves nothing.
    """
    target = folder / _DATABASE
    if "?" in str(target):
        raise InputError(
            f"--output-dir {folder}: a database URL ends at a question mark; name another folder"
        )
    _require_sealed(folder)
    made = folder / f".{_DATABASE}.{secrets.token_hex(4)}.part"
    try:
        yield made
        _require_sealed(folder)
        try:
            for suffix in ("-wal", "-shm"):
                _beside(target, suffix).unlink(missing_ok=True)
            made.replace(target)
        except OSError as error:
            raise RunError(f"cannot write {target}: {error.strerror or error}") from error
        _write(folder / _SEAL, f"{_hash(target)}  {_DATABASE}\n")
    finally:
        for suffix in ("", "-wal", "-shm"):
            _beside(made, suffix).unlink(missing_ok=True)


def _require_sealed(folder: Path) -> None:
    """Raise InputError if ``folder`` holds a demo.sqlite that is not as a demo left it."""
    file, seal, journal = folder / _DATABASE, folder / _SEAL, folder / f"{_DATABASE}-wal"
    try:
        # What somebody wrote since, or is writing now, may still be in SQLite's journal alone.
        is_written = journal.exists() and journal.stat().st_size > 0
        if not is_written and not file.exists():
            return
        is_sealed = (
            file.exists() and seal.exists() and seal.read_bytes().split()[:1] == [_hash(file).encode()]
        )
    except OSError as error:
        raise InputError(
            f"cannot read {file}: {error.strerror or error}; name another --output-dir"
        ) from error
    if is_written or not is_sealed:
        raise InputError(
            f"{file} is not as a demo left it, and may be somebody's data; "
            "move it away, or name another --output-dir"
        )


def _beside(file: Path, suffix: str) -> Path:
    return file.with_name(file.name + suffix)


def _url(file: Path) -> str:
    return f"sqlite:///{file}"


def _hash(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _write(target: Path, text: str) -> None:
    try:
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise RunError(f"cannot write {target}: {error.strerror or error}") from error
