"""An organization over HTTP: Organizations, AssumeRole and the regions of accounts, beside the stub ECR.

It speaks what boto3 speaks: AWS JSON 1.1 to Organizations, query and XML to STS and EC2, REST and JSON to
Account Management. No account has a public registry. Credentials that it gave count for the account of
their role until they have signed ``credential_uses`` requests; from then on every service answers that
they have expired, whatever their ``Expiration`` says, so that a test need not wait for it.

Faults are those of the stub ECR. Matched against their ``repository`` is the account that the call is about:
that of the role for AssumeRole, the parent for the calls about organizational units.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

from tests.support.registry import World
from tests.support.stub_ecr import Answer, ApiError, Fault, Stub, refuse

_ORGANIZATIONS = "AWSOrganizationsV20161128."
#: More than the 20 that AWS gives at a time would prove nothing.
_PAGE = 2

ENABLED_BY_DEFAULT = ("eu-west-1", "us-east-1")


@dataclass(slots=True)
class Account:
    """One account of the organization."""

    name: str
    #: What State says; None is an endpoint that sends Status alone.
    state: str | None = "ACTIVE"
    status: str = "ACTIVE"
    #: Id of the root or unit that it is in.
    parent: str = "r-root"
    #: Its regions and what account:ListRegions says of each.
    regions: dict[str, str] = field(
        default_factory=lambda: dict.fromkeys(ENABLED_BY_DEFAULT, "ENABLED_BY_DEFAULT")
    )
    #: Name (with path) of the role that lets us in.
    role: str = "demurrage-reader"
    external_id: str | None = None


@dataclass(slots=True)
class Organization:
    """Accounts by id, and units by id with their parent and name."""

    accounts: dict[str, Account] = field(default_factory=dict)
    units: dict[str, tuple[str, str]] = field(default_factory=dict)
    root: str = "r-root"
    root_name: str = "Root"


class OrganizationStub(Stub):
    """A stub ECR with an organization around it; ``world.account`` is who asks first."""

    def __init__(
        self,
        world: World,
        organization: Organization,
        *,
        faults: Sequence[Fault] = (),
        credential_seconds: float = 3600.0,
        credential_uses: int | None = None,
    ) -> None:
        super().__init__(world, faults=faults)
        self.organization = organization
        #: Parameters of every AssumeRole that was answered, by account.
        self.assumed: dict[str, list[dict[str, str]]] = {}
        #: Regions of STS that were asked.
        self.sts_regions: set[str] = set()
        self._credential_seconds = credential_seconds
        self._credential_uses = credential_uses
        self._account_of_key: dict[str, str] = {}
        self._uses: Counter[str] = Counter()

    def handle(self, path: str, headers: dict[str, str], body: bytes) -> Answer:
        """The answer to one HTTP request."""
        with self.world.lock:
            authorization = headers.get("authorization", "")
            found = re.search(r"Credential=([^/,]*)/\d+/([^/,]*)/([^/,]*)/", authorization)
            key, region, service = found.groups() if found else ("", "", "")
            account = self._account_of_key.get(key, self.world.account)
            if key in self._account_of_key:
                self._uses[key] += 1
                if self._credential_uses is not None and self._uses[key] > self._credential_uses:
                    return _refusal(service, ApiError("ExpiredTokenException", "The security token expired"))
                headers = {**headers, "authorization": authorization.replace(key, account, 1)}
            try:
                match service:
                    case "organizations":
                        operation = headers["x-amz-target"].removeprefix(_ORGANIZATIONS)
                        return self._organizations(operation, json.loads(body or b"{}"), account)
                    case "account":
                        return self._list_regions(json.loads(body or b"{}"), account)
                    case "ec2":
                        return self._describe_regions(account)
                    case "ecr-public":
                        self._strike(service, "DescribeRegistries", account, account)
                        return Answer(b'{"registries":[]}', content_type="application/json")
                    case "sts":
                        self.sts_regions.add(region)
                        parameters = {name: values[0] for name, values in parse_qs(body.decode()).items()}
                        if parameters.get("Action") == "AssumeRole":
                            return self._assume_role(parameters, account)
                    case _:
                        if region not in self._regions(account):
                            message = "The security token included in the request is invalid."
                            raise ApiError("UnrecognizedClientException", message)
            except ApiError as error:
                return _refusal(service, error)
            return super().handle(path, headers, body)

    def _strike(self, service: str, operation: str, about: str, caller: str) -> None:
        self.calls[operation] += 1
        for fault in self.faults:
            if fault.strikes(operation, about, ""):
                refuse(fault, operation, caller, "", "", service=service)

    def _regions(self, account: str) -> set[str]:
        """The regions that an account can use; those of one outside of the organization are not told."""
        known = self.organization.accounts.get(account)
        if known is None:
            return set(ENABLED_BY_DEFAULT)
        return {name for name, status in known.regions.items() if status.startswith("ENABLED")}

    # --- Organizations ----------------------------------------------------------------------------

    def _organizations(self, operation: str, parameters: dict[str, Any], account: str) -> Answer:
        parent = str(parameters.get("ParentId", ""))
        self._strike("organizations", operation, parent, account)
        accounts = self.organization.accounts
        match operation:
            case "ListAccounts":
                rows = [_listed(number, one) for number, one in accounts.items()]
                return _page("Accounts", rows, parameters)
            case "ListAccountsForParent":
                rows = [_listed(number, one) for number, one in accounts.items() if one.parent == parent]
                return _page("Accounts", rows, parameters)
            case "ListRoots":
                rows = [{"Id": self.organization.root, "Name": self.organization.root_name}]
                return _page("Roots", rows, parameters)
            case "ListOrganizationalUnitsForParent":
                rows = [
                    {"Id": unit, "Name": name}
                    for unit, (above, name) in self.organization.units.items()
                    if above == parent
                ]
                return _page("OrganizationalUnits", rows, parameters)
        raise ApiError("UnknownOperationException", f"{operation} is not served by this stub")

    # --- regions ----------------------------------------------------------------------------------

    def _list_regions(self, parameters: dict[str, Any], account: str) -> Answer:
        self._strike("account", "ListRegions", account, account)
        known = self.organization.accounts[account].regions
        rows = [{"RegionName": name, "RegionOptStatus": status} for name, status in known.items()]
        return _page("Regions", rows, parameters)

    def _describe_regions(self, account: str) -> Answer:
        self._strike("ec2", "DescribeRegions", account, account)
        words = {"ENABLED_BY_DEFAULT": "opt-in-not-required", "ENABLED": "opted-in"}
        items = "".join(
            f"<item><regionName>{name}</regionName>"
            f"<optInStatus>{words.get(status, 'not-opted-in')}</optInStatus></item>"
            for name, status in self.organization.accounts[account].regions.items()
        )
        text = f"<DescribeRegionsResponse><regionInfo>{items}</regionInfo></DescribeRegionsResponse>"
        return Answer(text.encode(), content_type="text/xml")

    # --- STS --------------------------------------------------------------------------------------

    def _assume_role(self, parameters: dict[str, str], caller: str) -> Answer:
        arn = parameters["RoleArn"]
        account = arn.split(":")[4]
        self._strike("sts", "AssumeRole", account, caller)
        known = self.organization.accounts.get(account)
        trusted = (
            known is not None
            and arn == f"arn:aws:iam::{account}:role/{known.role}"
            and known.external_id == parameters.get("ExternalId")
        )
        if not trusted:
            # AWS tells nobody whether there is such a role.
            message = (
                f"User: arn:aws:sts::{caller}:assumed-role/c/t is not authorized to perform: sts:AssumeRole"
            )
            raise ApiError("AccessDenied", f"{message} on resource: {arn}")
        given = self.assumed.setdefault(account, [])
        given.append(parameters)
        key = f"ASIA{account}{len(given):04d}"
        self._account_of_key[key] = account
        name = arn.rpartition("/")[2]
        expires = datetime.now(UTC) + timedelta(seconds=self._credential_seconds)
        text = (
            '<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>'
            f"<AssumedRoleUser><Arn>arn:aws:sts::{account}:assumed-role/{name}/{parameters['RoleSessionName']}"
            "</Arn><AssumedRoleId>AROAEXAMPLE:tests</AssumedRoleId></AssumedRoleUser>"
            f"<Credentials><AccessKeyId>{key}</AccessKeyId><SecretAccessKey>s</SecretAccessKey>"
            f"<SessionToken>t</SessionToken><Expiration>{expires:%Y-%m-%dT%H:%M:%SZ}</Expiration></Credentials>"
            "</AssumeRoleResult></AssumeRoleResponse>"
        )
        return Answer(text.encode(), content_type="text/xml")


def _listed(number: str, account: Account) -> dict[str, str]:
    state = {} if account.state is None else {"State": account.state}
    return {"Id": number, "Name": account.name, "Status": account.status, **state}


def _page(key: str, rows: Sequence[dict[str, Any]], parameters: dict[str, Any]) -> Answer:
    """A page of ``rows``; as AWS may, an empty one comes first and says that there is more."""
    token = parameters.get("NextToken")
    start = 0 if token is None else int(token)
    page = [] if token is None and rows else list(rows[start : start + _PAGE])
    answer: dict[str, Any] = {key: page}
    if start + len(page) < len(rows):
        answer["NextToken"] = str(start + len(page))
    return Answer(json.dumps(answer).encode(), content_type="application/json")


def _refusal(service: str, error: ApiError) -> Answer:
    if service in ("sts", "ec2"):
        inner = f"<Error><Code>{error.code}</Code><Message>{error.message}</Message></Error>"
        text = (
            f"<ErrorResponse>{inner}</ErrorResponse>"
            if service == "sts"
            else f"<Response><Errors>{inner}</Errors></Response>"
        )
        return Answer(text.encode(), error.status, "text/xml")
    refusal = {"__type": error.code, "message": error.message}
    return Answer(json.dumps(refusal).encode(), error.status)
