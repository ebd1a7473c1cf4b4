"""Which registries there are to collect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyzer.collect.clients import CallSettings, check_regions, fetch_identity
from analyzer.collect.contract import CollectOptions
from analyzer.collect.places import OwnAccess, Place, Places
from analyzer.errors import InputError
from analyzer.model.records import RegistryKey

if TYPE_CHECKING:
    from boto3.session import Session


def find_places(session: Session, options: CollectOptions, settings: CallSettings) -> Places:
    """The registries that ``options`` name, each with the way into its account.

    Raises InputError when the options make no sense or the credentials are another account's, and
    RunError when the credentials cannot be used.
    """
    del settings
    regions = check_regions(options.regions)
    identity = fetch_identity(session, regions)
    if options.account not in (None, identity.account):
        raise InputError(
            f"the credentials belong to account {identity.account}, not to {options.account}; "
            "choose another profile or account"
        )
    access = OwnAccess(session, identity.arn)
    keys = (RegistryKey(identity.partition, identity.account, region) for region in regions)
    return Places(tuple(Place(key, access) for key in keys), caller=identity.arn)
