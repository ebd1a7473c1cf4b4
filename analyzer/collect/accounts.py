"""Which registries there are to collect.

That is: whose credentials we have, which accounts they lead into, and which regions each of those has.
Accounts are entered side by side before the first registry is read: one AssumeRole each, and where all
regions are wanted one more call. An account that lets nobody in is a gap of its own and holds up no other.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from analyzer.collect.account_patterns import choose, need_units, parse_patterns
from analyzer.collect.clients import (
    CallSettings,
    Identity,
    ServiceClient,
    check_regions,
    client_config,
    fetch_identity,
)
from analyzer.collect.contract import CollectOptions
from analyzer.collect.credentials import RoleDoor
from analyzer.collect.ecr_public import NOT_OFFERED, PublicRegistry, find_public_registry
from analyzer.collect.gaps import account_gap, gap_of
from analyzer.collect.organization import Member, fetch_members, fetch_units, is_account
from analyzer.collect.places import Access, OwnAccess, Place, Places, Skipped
from analyzer.collect.refusals import ACCESS_CODES, Reach, Refusal, RefusedError, one_line
from analyzer.collect.regions import (
    ALL_REGIONS,
    PUBLIC_PARTITION,
    fetch_enabled_regions,
    greeting_regions,
    partition_of,
    wants_public,
)
from analyzer.errors import InputError, RunError
from analyzer.model.records import PUBLIC_REGION, Gap, RegistryKey

if TYPE_CHECKING:
    from boto3.session import Session

#: What a role may be named by (IAM: names of up to 64 characters, paths of up to 512).
_ROLE_NAME = r"(?:[\w+=,.@/-]|\{account\}|\{partition\}){1,576}"
_ROLE_ARN = r"arn:(\{partition\}|aws[a-z0-9-]*):iam::(\{account\}|[0-9]{12}):role/"
_SESSION_NAME = r"[\w+=,.@-]{2,64}"
_EXTERNAL_ID = r"[\w+=,.@:/-]{2,1224}"

#: Attempts to ask for an account's public registry: that nobody answers is found out soon, for where
#: private endpoints are all there is the whole run would wait for it.
_PUBLIC_ATTEMPTS = 3
#: Reasons for which the next account would not reach it either.
_UNREACHABLE = frozenset(
    {"ConnectTimeoutError", "EndpointConnectionError", "ProxyConnectionError", "SSLError"}
)


def find_places(sessions: Sequence[Session], options: CollectOptions, settings: CallSettings) -> Places:
    """The registries that ``options`` name, each with the way into its account.

    Raises InputError when the options make no sense or the credentials are another account's, and
    RunError when the credentials cannot be used. With several sessions, one whose credentials cannot
    be used is a gap.
    """
    check_options(options, len(sessions))
    finders = [_Finder(session, options, settings, alone=len(sessions) == 1) for session in sessions]
    found: list[Places] = []
    failures: list[tuple[Session, RunError]] = []
    for finder in finders:
        try:
            found.append(finder.find())
        except RunError as error:
            if len(sessions) == 1:
                raise
            failures.append((finder.session, error))
    if not found:
        raise RunError(
            "; ".join(f"profile {session.profile_name}: {failure}" for session, failure in failures)
        )
    if not failures:
        _require_all_used(options, finders)
    gaps = [gap for one in found for gap in one.gaps]
    for session, failure in failures:
        detail = f"profile {one_line(session.profile_name, 60)}: {one_line(failure)}"
        gaps.append(
            (RegistryKey("", "", ""), Gap("", "", "", "sts:GetCallerIdentity", "ProfileFailed", detail))
        )
    # Two profiles may lead into one account; the first is taken.
    places = {place.key: place for one in reversed(found) for place in reversed(one.places)}
    skipped = sorted({row for one in found for row in one.skipped})
    if not places and not gaps:
        if any(finder.has_entered for finder in finders):
            raise InputError(
                f"--region {PUBLIC_REGION}: none of the accounts has a public registry; name a region beside"
                " it or instead"
            )
        if not skipped:
            raise InputError(
                "no account is left to collect: the organization lists none; name it with --account"
            )
        why = "; ".join(f"{row.account} {row.name}: {row.reason}" for row in skipped[:3])
        raise InputError(f"no account is left to collect ({why}); mend --include or --exclude")
    return Places(
        tuple(places[key] for key in sorted(places, key=lambda key: (key.account, key.region))),
        tuple(sorted(gaps, key=lambda entry: entry[1])),
        tuple(skipped),
        found[0].caller,
    )


def check_options(options: CollectOptions, sessions: int = 1) -> None:
    """Raise InputError where the options of accounts and regions make no sense together."""
    if ALL_REGIONS in options.regions and len(options.regions) > 1:
        raise InputError(f"--region {ALL_REGIONS} stands alone; name regions, or take all")
    check_regions(options.regions)
    for account in options.accounts:
        if not is_account(account):
            raise InputError(f"--account {one_line(account, 60)}: an account's id is twelve digits")
    patterns = (
        *parse_patterns(options.include, "--include"),
        *parse_patterns(options.exclude, "--exclude"),
    )
    if patterns and not options.organization:
        raise InputError(f"{patterns[0].origin}: chooses among the accounts of --organization; add that")
    role = options.role
    if role is None:
        if options.organization:
            raise InputError("--organization needs the role to assume in each account: add --role-name")
        if options.role_in_own_account:
            raise InputError("--role-in-own-account needs a role: add --role-name")
        if len(options.accounts) > 1 and sessions == 1:
            raise InputError(
                f"--account is there {len(options.accounts)} times, and the credentials belong to one account"
                " alone; name the role to assume in each with --role-name"
            )
        return
    _check_role(role.template, options)
    if not re.fullmatch(_SESSION_NAME, role.session_name, re.ASCII):
        raise InputError(
            f"--session-name {one_line(role.session_name, 80)}: has to be 2 to 64 letters, digits and _+=,.@-"
        )
    if role.external_id is not None and not re.fullmatch(_EXTERNAL_ID, role.external_id, re.ASCII):
        # It is half a secret: it is not shown.
        raise InputError("--external-id: has to be 2 to 1224 letters, digits and _+=,.@:/-")
    if not (options.organization or options.accounts or options.role_in_own_account):
        raise InputError(
            f"--role-name {role.template}: there is no account to assume it in; add --account or"
            " --organization"
        )
    if options.accounts and sessions > 1:
        raise InputError(
            "--account beside --role-name and several --profile: nothing says which profile leads into which"
            " account; use one profile, or --organization"
        )


def _check_role(template: str, options: CollectOptions) -> None:
    advice = "write its name, or arn:{partition}:iam::{account}:role/NAME"
    arn = re.match(_ROLE_ARN, template)
    if template.startswith("arn:") and arn is None:
        raise InputError(f"--role-name {one_line(template, 120)}: is not the ARN of a role; {advice}")
    name = template[arn.end() :] if arn else template.removeprefix("/")
    if not re.fullmatch(_ROLE_NAME, name, re.ASCII) or name.endswith("/") or "//" in name:
        raise InputError(f"--role-name {one_line(template, 120)}: is not the name of a role; {advice}")
    if arn and arn[2] != "{account}" and (options.organization or set(options.accounts) - {arn[2]}):
        raise InputError(
            f"--role-name {template}: is a role of account {arn[2]} and leads into no other; write"
            " {account} in place of the number"
        )


def _require_all_used(options: CollectOptions, finders: Sequence[_Finder]) -> None:
    """Raise InputError for a region or an account that no credentials lead into."""
    if ALL_REGIONS not in options.regions:
        used = {region for finder in finders for region in finder.regions}
        for region in sorted(set(options.regions) - used):
            partitions = ", ".join(sorted({finder.identity.partition for finder in finders}))
            raise InputError(
                f"--region {region}: is of another partition than the credentials, which are of"
                f" {partitions}; leave it out, or add a --profile with credentials for it"
            )
    if options.role is None:
        owned = {finder.identity.account for finder in finders}
        for account in options.accounts:
            if account not in owned:
                raise InputError(
                    f"the credentials belong to account {', '.join(sorted(owned))}, not to {account}; "
                    "choose another profile or account"
                )


@dataclass(frozen=True, slots=True)
class _Entered:
    """One account, or why nobody gets in."""

    places: tuple[Place, ...] = ()
    gaps: tuple[Gap, ...] = ()


class _Finder:
    """Finds what one session leads into; used once."""

    def __init__(
        self, session: Session, options: CollectOptions, settings: CallSettings, *, alone: bool
    ) -> None:
        """``alone`` says that the run has no other session: if its credentials fail the run does."""
        self.session = session
        self.identity = Identity("", "")
        self.regions: tuple[str, ...] = ()
        self._options = options
        self._settings = settings
        self._alone = alone
        self._gaps: list[Gap] = []
        #: Whether at least one account let us in.
        self.has_entered = False
        self._lock = threading.Lock()
        #: Why ECR Public, which is in one place for all accounts, cannot be reached from here.
        self._public_unreachable: Refusal | None = None

    def find(self) -> Places:
        """Where this session leads; raises InputError and RunError."""
        options = self._options
        asked = greeting_regions(self.session, options.regions)
        self.identity = identity = fetch_identity(self.session, asked, self._settings)
        if ALL_REGIONS not in options.regions:
            # Alone, these credentials are all there is to try any region with.
            self.regions = tuple(
                region
                for region in check_regions(options.regions)
                if self._alone or partition_of(self.session, region) in (None, identity.partition)
            )
        members, skipped = self._members()
        entered = self._enter_all(members)
        gaps = (*self._gaps, *(gap for one in entered for gap in one.gaps))
        return Places(
            tuple(place for one in entered for place in one.places),
            tuple((RegistryKey(identity.partition, gap.account, gap.region), gap) for gap in gaps),
            tuple(skipped),
            identity.arn,
        )

    def _members(self) -> tuple[list[Member], list[Skipped]]:
        """The accounts to enter, by id, and those of the organization that are left out."""
        own = self.identity.account
        if not self._options.organization:
            if self._options.role is None:
                return [Member(own)], []
            return [Member(account) for account in sorted(set(self._options.accounts) or {own})], []
        members, skipped = self._organization()
        known = {member.account for member in members}
        members += [Member(account) for account in set(self._options.accounts) - known]
        # Whoever is named is meant.
        skipped = [row for row in skipped if row.account not in self._options.accounts]
        return sorted(members), skipped

    def _organization(self) -> tuple[list[Member], list[Skipped]]:
        """The accounts of the organization that are meant; raises RunError when they cannot be listed."""
        own = self.identity.account
        config = client_config(self._settings)
        # A global service: botocore turns to the partition's one endpoint.
        made = self.session.client("organizations", region_name=self.identity.region, config=config)
        client = ServiceClient(made, "organizations", self._settings, is_own=self._alone)
        include = parse_patterns(self._options.include, "--include")
        exclude = parse_patterns(self._options.exclude, "--exclude")
        listing = fetch_members(client)
        if listing.refusal is not None:
            gap = account_gap(own, "organizations:ListAccounts", listing.refusal, kept=len(listing.members))
            if not listing.members and not self._options.accounts:
                raise RunError(
                    f"the accounts of the organization cannot be listed: {gap.detail}; run as its management"
                    " account or a delegated administrator, or name the accounts with --account"
                )
            self._gaps.append(gap)
        if listing.left_out:
            detail = f"{listing.left_out} accounts of the organization's list have no id to know them by"
            self._gaps.append(
                Gap(own, "", "", "organizations:ListAccounts", "InvalidAnswer", detail, listing.left_out)
            )
        units = {}
        if listing.members and need_units(include, exclude):
            try:
                units = dict(fetch_units(client))
            except RefusedError as error:
                raise RunError(
                    "--include or --exclude names organizational units, which cannot be read"
                    f" ({error}); allow organizations:ListRoots, ListOrganizationalUnitsForParent and"
                    " ListAccountsForParent, or leave the units out"
                ) from error
        return choose(listing.members, units, include, exclude)

    def _enter_all(self, members: Sequence[Member]) -> list[_Entered]:
        """Every account, entered side by side, in the order given."""
        role = self._options.role
        door = None
        if role is not None:
            door = RoleDoor(self.session, self.identity, role, self._settings)
        executor = ThreadPoolExecutor(min(self._options.workers, len(members)) or 1, "accounts")
        try:
            return list(executor.map(lambda member: self._enter(member, door), members))
        except BaseException:
            # Those that wait for their turn at AWS are let go as well.
            self._settings.stop.set()
            raise
        finally:
            executor.shutdown(cancel_futures=True)

    def _enter(self, member: Member, door: RoleDoor | None) -> _Entered:
        """One account; runs in a thread of its own."""
        account = member.account
        access: Access
        if door is None or (account == self.identity.account and not self._options.role_in_own_account):
            access = OwnAccess(self.session, self.identity.arn, is_own=self._alone)
        else:
            try:
                access = door.enter(account)
            except RefusedError as error:
                return _Entered(gaps=(self._barred(door.arn(account), account, error),))
        self.has_entered = True
        regions, gaps = self.regions, []
        if ALL_REGIONS in self._options.regions:
            enabled = fetch_enabled_regions(
                self.session, self.identity.partition, access, self._settings, self.identity.region
            )
            regions = enabled.regions
            gaps = list(self._unknown_regions(account, enabled.refusals))
        places = [
            Place(RegistryKey(self.identity.partition, account, region), access, member.name)
            for region in regions
            if region != PUBLIC_REGION
        ]
        if wants_public(self._options.regions):
            public, gap = self._public(member, access)
            places += [public] if public else []
            gaps += [gap] if gap else []
        return _Entered(tuple(places), tuple(gaps))

    def _public(self, member: Member, access: Access) -> tuple[Place | None, Gap | None]:
        """The account's public registry if it has one, or why nobody knows."""
        is_named = PUBLIC_REGION in self.regions
        key = RegistryKey(self.identity.partition, member.account, PUBLIC_REGION)
        if not is_named and (ALL_REGIONS not in self._options.regions or key.partition != PUBLIC_PARTITION):
            return None, None
        try:
            if key.partition != PUBLIC_PARTITION:
                detail = f"the partition {key.partition} has no ECR Public"
                raise RefusedError(Refusal(NOT_OFFERED, Reach.CALL, detail))
            registry = self._ask_for_public(access)
        except RefusedError as error:
            if error.refusal.reason == NOT_OFFERED and not is_named:
                return None, None
            gap = gap_of(key, "", "DescribeRegistries", error.refusal)
            if error.refusal.reason in ACCESS_CODES:
                way_out = f"leave {PUBLIC_REGION} out" if is_named else "name regions in place of all"
                gap = replace(gap, detail=f"{gap.detail}; allow it, or {way_out}")
            return None, gap
        if registry is None:
            return None, None
        if registry.key != key:
            detail = f"the answer is about the registry of account {registry.key.account}"
            refusal = Refusal("InvalidAnswer", Reach.CALL, detail)
            return None, gap_of(key, "", "DescribeRegistries", refusal)
        return Place(key, access, member.name, registry.alias, registry.aliases), None

    def _ask_for_public(self, access: Access) -> PublicRegistry | None:
        """The registry; raises RefusedError, of an endpoint that is out of reach without trying again."""
        with self._lock:
            if self._public_unreachable is not None:
                raise RefusedError(self._public_unreachable)
        attempts = min(self._settings.attempts, _PUBLIC_ATTEMPTS)
        try:
            return find_public_registry(access, replace(self._settings, attempts=attempts))
        except RefusedError as error:
            if error.refusal.reason in _UNREACHABLE:
                with self._lock:
                    self._public_unreachable = error.refusal
            raise

    def _barred(self, role: str, account: str, error: RefusedError) -> Gap:
        """The gap of an account whose role cannot be assumed, with what to do about it.

        AWS says AccessDenied alike where the role does not exist, does not trust us, asks for another
        external id or for MFA, and where we may not assume it.
        """
        with_id = " with this external id" if self._options.role and self._options.role.external_id else ""
        return account_gap(
            account,
            "sts:AssumeRole",
            error.refusal,
            unknown=(
                f"nothing of the account is read; {role} has to exist and to trust {self.identity.arn}"
                f"{with_id}, without MFA, and the caller needs sts:AssumeRole on it"
            ),
        )

    @staticmethod
    def _unknown_regions(account: str, refusals: Sequence[tuple[str, Refusal]]) -> Iterator[Gap]:
        """The gap of an account that does not say which regions it has, where none of the calls did."""
        if refusals:
            (call, refusal), *others = refusals
            more = "".join(f"; {other}: {one.reason}" for other, one in others)
            unknown = f"only the regions that every account has are read{more}"
            yield account_gap(account, call, refusal, unknown=unknown)
