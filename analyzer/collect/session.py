"""The one boto3 session of a run, from the user's own AWS configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3
from botocore.exceptions import BotoCoreError

from analyzer.collect.event_names import ClientSession
from analyzer.errors import InputError

if TYPE_CHECKING:
    from boto3.session import Session


def open_session(profile: str | None = None) -> Session:
    """A session with boto3's own configuration (environment, profiles, SSO, instance metadata).

    Raises InputError when ``profile`` is not configured or the configuration cannot be read.
    """
    try:
        return boto3.Session(botocore_session=ClientSession(), profile_name=profile)
    except BotoCoreError as error:
        raise InputError(f"AWS configuration: {error}") from error


def certificates(session: Session) -> str | None:
    """The file of certificates that servers are to be trusted by, as AWS_CA_BUNDLE or the profile says."""
    # boto3 has no way to ask for it.
    found = session._session.get_config_variable("ca_bundle")  # noqa: SLF001
    return found if isinstance(found, str) and found else None


def configured_region(session: Session) -> str | None:
    """The region that the configuration names, if it does."""
    return session.region_name
