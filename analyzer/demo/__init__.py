"""The emulated AWS of ``demurrage demo``: registries made from a seed, behind boto3's own interface."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec

from analyzer.demo.plan import Refusal
from analyzer.demo.seed import Fleet
from analyzer.demo.services import projects_of, services_of
from analyzer.errors import InputError

__all__ = ["ACCOUNT", "EmulatedAws", "Refusal", "emulated_aws"]

#: The account of the emulated AWS, whatever the credentials.
ACCOUNT = "123456789012"
_DEFAULT_SEED = 2026
#: Settings of boto3 that hold for the duration: a profile, an endpoint or a configuration file of
#: the person who runs the demo must not lead its calls to a real AWS.
_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "demurrage-demo",
    "AWS_SECRET_ACCESS_KEY": "demurrage-demo",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
}


@dataclass(frozen=True)
class EmulatedAws:
    """An account that answers boto3 while its context lasts."""

    account: str
    regions: tuple[str, ...]
    _fleet: Fleet
    _pour: Callable[[], None]

    @property
    def now(self) -> datetime:
        """The time up to which things happened in it."""
        return self._fleet.now

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """What a collector cannot read in it now, and why: the gaps to expect."""
        return self._fleet.refusals

    def pass_night(self) -> None:
        """Move on by a day: images pushed, tags moved, some deleted, some archived."""
        self._fleet.pass_night()
        self._pour()


@contextmanager
def emulated_aws(now: datetime, seed: int = _DEFAULT_SEED) -> Iterator[EmulatedAws]:
    """An emulated AWS, filled from ``seed`` as of ``now`` (aware), for the duration.

    Every call that boto3 makes in this process is answered by it, with harmless credentials and
    without the network. Raises InputError when the emulator is not installed.
    """
    if find_spec("moto") is None:
        raise InputError('the demo needs moto, which is not installed: pip install "demurrage[demo]"')
    # Heavy, and optional: only a demo pays for it.
    from moto import mock_aws  # noqa: PLC0415

    from analyzer.demo import moto_faults, pour  # noqa: PLC0415

    fleet = Fleet(ACCOUNT, now, seed)

    def pour_all() -> None:
        for repository in fleet.repositories:
            pour.pour_repository(ACCOUNT, repository)

    with _environment(), moto_faults.mended(), mock_aws():
        for registry in fleet.registries:
            pour.pour_registry(ACCOUNT, registry)
        pour_all()
        repositories = fleet.repositories
        for service in services_of(ACCOUNT, repositories):
            pour.pour_service(ACCOUNT, service)
        for project in projects_of(ACCOUNT, repositories):
            pour.pour_project(ACCOUNT, project)
        moto_faults.refuse(r for r in fleet.refusals if r.code == "AccessDeniedException")
        yield EmulatedAws(ACCOUNT, tuple(registry.region for registry in fleet.registries), fleet, pour_all)


@contextmanager
def _environment() -> Iterator[None]:
    """The settings of ``_ENVIRONMENT`` and no others of boto3's or moto's, for the duration."""
    before = {name: value for name, value in os.environ.items() if name.startswith(("AWS_", "MOTO_"))}
    for name in before:
        del os.environ[name]
    os.environ.update(_ENVIRONMENT)
    try:
        yield
    finally:
        for name in [name for name in os.environ if name.startswith(("AWS_", "MOTO_"))]:
            del os.environ[name]
        os.environ.update(before)
