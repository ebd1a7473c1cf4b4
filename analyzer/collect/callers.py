"""Who the collector is to ECR: whether its own pulls leave their mark on images."""

from __future__ import annotations

from collections.abc import Collection


def is_excluded(caller: str, exclusions: Collection[str]) -> bool:
    """Whether ``caller`` (an ARN as sts:GetCallerIdentity gives it) is among the ARNs ``exclusions``.

    An assumed role is called by its session there and by itself here, so account and name are
    compared; the session's ARN does not hold the role's path.
    """
    role = _role(caller)
    return caller in exclusions or (role is not None and any(_role(arn) == role for arn in exclusions))


def policy_source(caller: str) -> str | None:
    """ARN of the user or role whose policies decide what ``caller`` may do; None where it has none.

    Of an assumed role it is without its path, which STS does not tell.
    """
    role = _role(caller)
    if role is None:
        return caller if ":user/" in caller else None
    partition, account, name = role
    return f"arn:{partition}:iam::{account}:role/{name}" if ":assumed-role/" in caller else caller


def _role(arn: str) -> tuple[str, str, str] | None:
    """Partition, account and name of the role that ``arn`` is, or is a session of."""
    # arn:PARTITION:iam::ACCOUNT:role/PATH/NAME, arn:PARTITION:sts::ACCOUNT:assumed-role/NAME/SESSION
    _, partition, service, _, account, resource = (*arn.split(":", 5), *[""] * 6)[:6]
    kind, *names = resource.split("/")
    if (service, kind) == ("iam", "role") and names:
        return partition, account, names[-1]
    if (service, kind) == ("sts", "assumed-role") and names:
        return partition, account, names[0]
    return None
