"""What registries are set to do, in every format: known, none and unknown told apart."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

from analyzer.model.registry_settings import (
    Exposure,
    Frequency,
    Grant,
    Openness,
    Place,
    RegistrySettings,
    ReplicationRule,
    RepositorySettings,
    Scanning,
    ScanRule,
    Template,
)
from analyzer.model.results import Report
from reports import render_csvs, render_html, render_json
from reports.settings_page import settings_section
from tests.support.report_fixture import build_report

HOSTILE = "=<script>alert(1)</script>"
FRIEND = "444455556666"

KNOWN = RepositorySettings(
    scanning=Scanning(Frequency.SCAN_ON_PUSH, ("prod*",), Frequency.CONTINUOUS_SCAN, ("prod*",)),
    exposure=Exposure(Openness.ACCOUNTS, (Grant("account", FRIEND, ("pull",)),), ""),
    replicated_to=(Place(FRIEND, "eu-west-1", 5, 2, 1),),
    replica_of=(Place(FRIEND, "us-east-1", 3, 4, 0),),
    replicas=3,
    possible_replicas=2,
    replica_bytes=1000,
    possible_replica_bytes=50,
    creation_template="prod",
    tags={"team": HOSTILE},
)
NONE = RepositorySettings(
    scanning=Scanning(Frequency.MANUAL, (), Frequency.MANUAL, ()),
    exposure=Exposure(Openness.PRIVATE, (), ""),
    replicated_to=(),
    creation_template="",
    tags={},
)
REGISTRY = RegistrySettings(
    scan_type="BASIC",
    basic_scan_type_version="AWS_NATIVE",
    scan_rules=(ScanRule(frequency="SCAN_ON_PUSH", filters=("prod*",)),),
    replication_rules=(
        ReplicationRule(destinations=((FRIEND, "eu-west-1"),), prefixes=("prod",), deletes=True),
    ),
    exposure=Exposure(Openness.UNKNOWN, (), "it is not JSON"),
    policy_scope="V2",
    templates=(Template("prod", ("REPLICATION",), lifecycle_policy_text="{}"),),
)


def report() -> Report:
    """Three repositories: everything known, nothing set, nothing known."""
    made = build_report(3)
    first, second, third = made.repositories
    rows = (replace(first, settings=KNOWN), replace(second, settings=NONE), third)
    registries = (replace(made.registries[0], settings=REGISTRY), *made.registries[1:])
    return replace(made, repositories=rows, registries=registries)


def table(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(render_csvs(report())[name])))


def test_known_none_and_unknown_are_three_things_in_csv() -> None:
    known, none, unknown, shared = table("repositories.csv")
    columns = list(known)[list(known).index("scan_frequency") :]
    assert {name: known[name] for name in columns} == {
        "scan_frequency": "SCAN_ON_PUSH",
        "scan_filters": "prod*",
        "scan_frequency_by_rules": "CONTINUOUS_SCAN",
        "exposure": "accounts",
        "exposed_to": f"account {FRIEND}: pull",
        "replicated_to": f"{FRIEND}/eu-west-1",
        "not_replicated_artifacts": "2",
        "replication_unknown_artifacts": "1",
        "replica_of": f"{FRIEND}/us-east-1",
        "replica_artifacts": "3",
        "possible_replica_artifacts": "2",
        "replica_bytes_repository_scope": "1000",
        "possible_replica_bytes_repository_scope": "50",
        "creation_template": "prod",
        "tags": json.dumps({"team": HOSTILE}),
    }
    for name in ("scan_filters", "exposed_to", "replicated_to", "creation_template"):
        assert (none[name], unknown[name]) == ("none", "")
    assert (none["exposure"], unknown["exposure"]) == ("private", "")
    assert (none["tags"], unknown["tags"]) == ("{}", "")
    assert {shared[name] for name in columns} == {""}


def test_registries_in_csv() -> None:
    first, second = table("registries.csv")
    assert first["scan_rules"] == "on push: prod*"
    assert first["replication_rules"] == f"prod to {FRIEND}/eu-west-1, deletions too"
    assert (first["policy_scope"], first["policy_lets_in"]) == ("V2", "")
    assert first["creation_templates"] == "prod"
    assert {second[name] for name in list(second)[-7:]} == {""}


def test_known_none_and_unknown_are_three_things_in_json() -> None:
    document = json.loads(render_json(report()))
    known, none, unknown = (row["settings"] for row in document["repositories"])
    assert known["scanning"]["agrees"] is False
    assert known["replicated_to"] == [
        {"account": FRIEND, "region": "eu-west-1", "present": 5, "missing": 2, "unknown": 1}
    ]
    assert known["exposure"]["grants"] == [
        {"kind": "account", "who": FRIEND, "access": ["pull"], "narrowed": False}
    ]
    assert known["tags"] == {"team": HOSTILE}
    assert (none["replicated_to"], unknown["replicated_to"]) == ([], None)
    assert (none["scanning"]["frequency"], unknown["scanning"]["frequency"]) == ("MANUAL", None)
    assert (none["exposure"]["open_to"], unknown["exposure"]["open_to"]) == ("private", "unknown")
    registry, unread = (row["settings"] for row in document["registries"])
    assert registry["policy"]["unknown_because"] == "it is not JSON"
    assert registry["creation_templates"][0]["lifecycle_policy_text"] == "{}"
    assert (unread["scan_type"], unread["replication_rules"]) == (None, None)


def test_the_page_names_what_is_open_and_what_disagrees_and_counts_the_unknown() -> None:
    made = report()
    section = settings_section(made)
    assert made.repositories[0].repository in section.disagreement
    assert [row.cells[0].text for row in section.exposure.rows] == [made.repositories[0].repository]
    assert section.exposure_note == "1 repository is open to nobody else. Of 1 repository it is unknown."
    assert section.scanning.footer[-1].cells[1:] != ()
    assert [cell.text for cell in section.scanning.footer[-1].cells] == ["Total", "0", "1", "1", "1"]
    assert [cell.text for cell in section.replication.rows[0].cells[2:]] == ["1", "5", "2", "1"]
    assert section.replicas.startswith("3 artifacts are replicas of one in another registry of this report; ")
    assert "1,000 bytes" in section.replicas
    unread = section.registries.rows[1].cells[1:]
    assert {cell.text for cell in unread} == {"unknown"}


def test_texts_of_others_are_escaped_on_the_page() -> None:
    made = build_report(1)
    exposure = Exposure(Openness.UNKNOWN, (Grant("unknown", HOSTILE, ("pull",)),), HOSTILE)
    rules = (ScanRule(frequency="SCAN_ON_PUSH", filters=(HOSTILE,)),)
    page = render_html(
        replace(
            made,
            repositories=(replace(made.repositories[0], settings=replace(KNOWN, exposure=exposure)),),
            registries=(replace(made.registries[0], settings=replace(REGISTRY, scan_rules=rules)),),
        )
    )
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page
