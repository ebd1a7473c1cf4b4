"""What AWS and the machine said to `doctor`, judged: checks, and the permissions to be granted.

Nothing here asks anybody: facts in, checks out.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from analyzer.collect.examination import AwsFacts, BesideFacts, SessionFacts
from analyzer.collect.permissions import WORKLOADS, Permission, policy_document
from analyzer.collect.probes import PlaceProbe, Probed, Verdict
from analyzer.collect.refusals import Reach
from analyzer.collect.trail_probes import TrailProbe
from analyzer.model.checks import Check, CheckStatus, Examination, MissingPolicy
from analyzer.model.units import iso

_OK, _WARNING, _FAILED = CheckStatus.OK, CheckStatus.WARNING, CheckStatus.FAILED

#: AWS refuses signatures whose time is further off (Signature Version 4; five minutes).
_REFUSED_SECONDS = 300
#: A clock that is kept right is never so far off.
_NOTABLE_SECONDS = 30
#: Credentials that nobody renews should outlast a night's run.
_NIGHT_SECONDS = 12 * 3600

_STATUS_OF = {
    Verdict.GRANTED: _OK,
    Verdict.DENIED: _FAILED,
    Verdict.NOT_OFFERED: CheckStatus.UNKNOWN,
    Verdict.NOTHING_THERE: CheckStatus.UNKNOWN,
    Verdict.UNKNOWN: CheckStatus.UNKNOWN,
    Verdict.UNTRIED: CheckStatus.SKIPPED,
}
_LISTINGS = frozenset({"ecr:DescribeRepositories", "ecr-public:DescribeRepositories"})


def judge(
    checks: Sequence[Check],
    aws: AwsFacts | None,
    now: datetime,
    *,
    asks_clusters: bool = False,
    other_pulls: bool = False,
) -> Examination:
    """All checks: those made already, and those that ``aws`` allows; None where it was not asked.

    ``asks_clusters`` is whether the nightly run has a way into EKS clusters, ``other_pulls`` whether it
    reads pulls from elsewhere than the trails' buckets too.
    """
    if aws is None:
        return Examination(checks=tuple(checks))
    return Examination(
        checks=(
            *checks,
            *_session_checks(aws, now),
            *_place_checks(aws, asks_clusters=asks_clusters),
            *(_beside_checks(aws.beside, other_pulls=other_pulls) if aws.beside else ()),
        ),
        missing=missing_policies(aws),
    )


def missing_policies(aws: AwsFacts) -> tuple[MissingPolicy, ...]:
    """Per account and caller the policy that grants what is denied in any of its regions."""
    probes = [
        *((one.account, one.caller, one.partition, one.probed) for one in aws.accounts),
        *((one.key.account, one.caller, one.key.partition, one.probed) for one in aws.probes),
        *_probed_beside(aws.beside),
    ]
    denied: dict[tuple[str, str, str], set[Permission]] = {}
    for account, caller, partition, probed in probes:
        rows = {entry.permission for entry in probed if entry.verdict is Verdict.DENIED}
        if rows:
            denied.setdefault((account, caller, partition), set()).update(rows)
    return tuple(
        MissingPolicy(
            account=account,
            principal=caller,
            actions=tuple(sorted({row.action for row in rows})),
            policy=policy_document(rows, partition),
        )
        for (account, caller, partition), rows in sorted(denied.items())
    )


def _probed_beside(beside: BesideFacts | None) -> Iterator[tuple[str, str, str, Sequence[Probed]]]:
    """Account, caller and partition of what was tried beside registries, and what became of it."""
    if beside is not None:
        _, partition, _, _, account, _ = beside.caller.split(":", 5)
        for _, probed in _labelled(beside):
            yield account, beside.caller, partition, probed


def _labelled(beside: BesideFacts) -> Iterator[tuple[str, Sequence[Probed]]]:
    """What was tried beside registries, with the name of where."""
    yield from ((trail.name, trail.probed) for trail in beside.trails)
    yield from ((bucket.place.label, bucket.probed) for bucket in beside.buckets)
    yield from ((topic.arn, topic.probed) for topic in beside.topics)


def _session_checks(aws: AwsFacts, now: datetime) -> Iterator[Check]:
    is_useless = all(session.unusable for session in aws.sessions)
    for session in aws.sessions:
        subject = f"profile {session.profile}" if len(aws.sessions) > 1 else ""
        if session.unusable:
            yield Check(
                id="aws.credentials",
                subject=subject,
                status=_FAILED,
                found=session.unusable,
                mend="see the AWS CLI's own word on it: aws sts get-caller-identity",
                blocks_run=is_useless,
            )
        else:
            yield _credentials(session, subject, now)
        yield _endpoint(session, subject)
    if aws.sessions:
        yield _clock(aws.ahead_seconds)
    if aws.unusable is not None:
        yield Check(
            id="aws.accounts",
            status=_FAILED,
            found=str(aws.unusable),
            mend="mend the options or the credentials",
            blocks_run=True,
        )


def _credentials(session: SessionFacts, subject: str, now: datetime) -> Check:
    who = f"{session.caller} ({session.method})"
    status, mend = _OK, ""
    ends = f" (these end {iso(session.expires_at)})" if session.expires_at else ""
    left = (session.expires_at - now).total_seconds() if session.expires_at else 0.0
    if not session.is_temporary:
        found = f"{who}; they do not expire"
    elif session.is_renewed:
        found = f"{who}; temporary, and renewed by themselves{ends}"
    elif left >= _NIGHT_SECONDS:
        found = f"{who}; temporary{ends}"
    else:
        status = _WARNING
        found = f"{who}; temporary{ends}, and nobody renews them: a nightly job would find them expired"
        mend = "give the job a profile, SSO session or role that boto3 renews by itself"
    return Check(id="aws.credentials", subject=subject, status=status, found=found, mend=mend)


def _endpoint(session: SessionFacts, subject: str) -> Check:
    name = "aws.endpoint"
    if not session.endpoints:
        return Check(id=name, subject=subject, status=_OK, found="AWS's own endpoints")
    found = ", ".join(f"{service} at {url}" for service, url in sorted(session.endpoints.items()))
    plain = [url for url in session.endpoints.values() if _is_plain(url)]
    if plain:
        return Check(
            id=name,
            subject=subject,
            status=_WARNING,
            found=f"{found}: not encrypted, and not this machine",
            mend="use https, or take AWS_ENDPOINT_URL and endpoint_url out of the configuration",
        )
    return Check(id=name, subject=subject, status=_OK, found=f"set by your configuration: {found}")


def _is_plain(url: str) -> bool:
    """Whether what is sent to ``url`` can be read on its way."""
    return re.match(r"http://(?!(localhost|127\.[0-9.]+|\[::1\])(:|/|$))", url, re.IGNORECASE) is not None


def _clock(ahead_seconds: float | None) -> Check:
    name = "aws.clock"
    if ahead_seconds is None:
        return Check(id=name, status=CheckStatus.SKIPPED, found="no answer of AWS said what time it is there")
    off = abs(ahead_seconds)
    # The header has whole seconds, and the answer took a moment.
    found = f"this machine is {off:,.0f} s {'ahead of' if ahead_seconds > 0 else 'behind'} AWS"
    mend = "set the clock: let the system keep it by NTP"
    if off >= _REFUSED_SECONDS:
        return Check(
            id=name,
            status=_FAILED,
            found=f"{found}, which refuses signatures 300 s off",
            mend=mend,
            blocks_run=True,
        )
    if off >= _NOTABLE_SECONDS:
        return Check(id=name, status=_WARNING, found=found, mend=mend)
    return Check(id=name, status=_OK, found="as AWS's, within 2 s" if off < 2 else found)


def _beside_checks(beside: BesideFacts, *, other_pulls: bool) -> Iterator[Check]:
    """The trails, and every permission beside registries; what is published to is judged elsewhere."""
    # Where not one source of pulls can be read, the run says that it failed.
    is_useless = not other_pulls and not any(trail.has_files for trail in beside.trails)
    for trail in beside.trails:
        yield _trail(trail, is_useless=is_useless)
    for label, probed in _labelled(beside):
        for one in probed:
            yield _permission(one, label, "", blocks_run=False)


def _trail(trail: TrailProbe, *, is_useless: bool) -> Check:
    name, subject = "pulls.trail", trail.name
    if trail.refusal is not None:
        is_lasting = trail.refusal.reach is not Reach.TRANSIENT
        return Check(
            id=name,
            subject=subject,
            status=_FAILED if is_lasting else CheckStatus.UNKNOWN,
            found=f"cannot be listed: {trail.refusal.reason}: {trail.refusal.detail}",
            mend="check --trail, and the permissions below",
            blocks_run=is_useless and is_lasting,
        )
    if not trail.has_files:
        return Check(
            id=name,
            subject=subject,
            status=_FAILED,
            found="there is no file of a trail",
            mend="name bucket and prefix as the trail has them; a new trail writes within minutes",
            blocks_run=is_useless,
        )
    if trail.state is None:
        return Check(
            id=name,
            subject=subject,
            status=CheckStatus.UNKNOWN,
            found="files are there; whether pulls are in them is not known, as CloudTrail does not tell",
            mend="see the permissions below",
        )
    if trail.state.problem:
        return Check(
            id=name,
            subject=subject,
            status=_WARNING,
            found=trail.state.problem,
            mend="let its event selectors take management events that read, ECR's among them",
        )
    if trail.state.note:
        return Check(
            id=name, subject=subject, status=_WARNING, found=f"files are there, but {trail.state.note}"
        )
    return Check(id=name, subject=subject, status=_OK, found="files are there, and the trail keeps reads")


def _place_checks(aws: AwsFacts, *, asks_clusters: bool) -> Iterator[Check]:
    for account in aws.accounts:
        for probed in account.probed:
            yield _permission(probed, account.account, "", blocks_run=False)
    if aws.places is None:
        return
    # Where not one registry could be listed there would be nothing to report on.
    granted = {
        (place.key.account, probed.permission.action): place.key.region
        for place in reversed(aws.probes)
        for probed in place.probed
        if probed.verdict is Verdict.GRANTED
    }
    is_useless = not any(action in _LISTINGS for _, action in granted)
    for key, gap in aws.places.gaps:
        yield Check(
            id="account.entered" if not key.region else "registry.reachable",
            subject="/".join(part for part in (key.account, key.region) if part),
            status=_FAILED,
            found=f"{gap.call} {gap.reason}: {gap.detail}",
            mend="see Permissions in README.md, or leave it out",
            blocks_run=is_useless,
        )
    for place in aws.probes:
        yield from _registry_checks(place, granted, is_useless=is_useless, asks_clusters=asks_clusters)
    if not aws.probes and not aws.places.gaps:
        yield Check(
            id="registry.reachable",
            status=_FAILED,
            found="not one registry to collect",
            mend="check --region, and which accounts are chosen",
            blocks_run=True,
        )


def _registry_checks(
    place: PlaceProbe, granted: Mapping[tuple[str, str], str], *, is_useless: bool, asks_clusters: bool
) -> Iterator[Check]:
    """The checks of one registry; ``granted`` names a region for (account, action) where it is there."""
    subject = f"{place.key.account}/{place.key.region}"
    if place.out_of_reach is not None:
        refusal = place.out_of_reach
        yield Check(
            id="registry.reachable",
            subject=subject,
            status=_FAILED,
            found=f"{refusal.reason}: {refusal.detail}",
            mend="may this machine reach ECR Public's endpoint?"
            if place.key.is_public
            else "is the region enabled for the account, and may this machine reach its ECR endpoint?",
            blocks_run=is_useless,
        )
        return
    service = "ECR Public" if place.key.is_public else "ECR"
    yield Check(id="registry.reachable", subject=subject, status=_OK, found=f"{service} answers")
    for probed in place.probed:
        blocks_run = is_useless and probed.permission.action in _LISTINGS
        elsewhere = granted.get((place.key.account, probed.permission.action), "")
        yield _permission(probed, subject, elsewhere, blocks_run=blocks_run)
    if not place.key.is_public:
        yield _exclusion(place, subject)
    if place.eks_clusters:
        yield _pods(place.eks_clusters, subject, asks_clusters=asks_clusters)


def _pods(clusters: int, subject: str, *, asks_clusters: bool) -> Check:
    name = "registry.pods"
    what = "1 EKS cluster" if clusters == 1 else f"{clusters:,} EKS clusters"
    if asks_clusters:
        found = f"{what}; whether Kubernetes lets the collector list pods is not tried"
        return Check(id=name, subject=subject, status=CheckStatus.SKIPPED, found=found)
    return Check(
        id=name,
        subject=subject,
        status=_WARNING,
        found=f"{what}, whose pods are not asked for: what they run is a gap",
        mend="give a way in with --eks-pods or --kubeconfig, or leave eks out of --workload-sources",
    )


def _permission(probed: Probed, subject: str, elsewhere: str, *, blocks_run: bool) -> Check:
    """One permission; ``elsewhere`` is a region where the account grants it, "" where none is known."""
    row, status = probed.permission, _STATUS_OF[probed.verdict]
    found, mend = probed.detail or "granted", ""
    if probed.verdict is Verdict.DENIED:
        mend = f"grant {row.action} ({row.purpose}); the policy is below"
        if "explicit deny" in probed.detail:
            # AWS says so where a policy forbids it, which no grant outweighs.
            mend = f"{row.action} ({row.purpose}) is forbidden by the policy that AWS names, not only missing"
    elif probed.verdict is Verdict.NOT_OFFERED:
        found = f"not offered here ({found})"
        if row.part in WORKLOADS:
            # Nothing can run there, and the nightly run has no gap of it either.
            status = CheckStatus.SKIPPED
    elif probed.verdict is Verdict.NOTHING_THERE and elsewhere:
        # IAM knows no regions: what is granted in one is granted here, unless somebody forbade it.
        status, found = CheckStatus.SKIPPED, f"{found}; granted in {elsewhere}"
    return Check(
        id=f"permission.{row.action}",
        subject=subject,
        status=status,
        found=found,
        mend=mend,
        blocks_run=blocks_run and probed.verdict is not Verdict.GRANTED,
    )


def _exclusion(place: PlaceProbe, subject: str) -> Check:
    name = "registry.exclusion"
    if place.is_excluded is None:
        return Check(
            id=name,
            subject=subject,
            status=CheckStatus.UNKNOWN,
            found="whether the collector's pulls leave a trace is not known",
        )
    if place.is_excluded:
        return Check(id=name, subject=subject, status=_OK, found="the collector's pulls leave no trace")
    return Check(
        id=name,
        subject=subject,
        status=_WARNING,
        found="the first look at an image counts as a pull of it",
        mend="an administrator may run: " + exclusion_command(place.caller, place.key.region),
    )


def exclusion_command(caller: str, region: str) -> str:
    """The AWS CLI's command that keeps the pulls of ``caller``, an ARN as STS gives it, from being recorded.

    Of an assumed role STS does not tell the path: where it has one it is to be put in.
    """
    found = re.fullmatch(r"arn:([^:]+):sts::(\d{12}):assumed-role/([^/]+)/.*", caller)
    arn = f"arn:{found[1]}:iam::{found[2]}:role/{found[3]}" if found else caller
    where = f"--region {shlex.quote(region)}"
    return f"aws ecr register-pull-time-update-exclusion {where} --principal-arn {shlex.quote(arn)}"
