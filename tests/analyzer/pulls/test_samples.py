"""Records as AWS documents them and as somebody really had them; invented ones for their shapes alone.

The data lies beside the repository and is not part of it.
"""

from __future__ import annotations

import json

from analyzer.model.pulls import PullKind
from analyzer.pulls.files import Extract, read_file
from analyzer.pulls.records import Rules, Side
from tests.support.corpus import require_shared


def _targets(extract: Extract) -> list[tuple[str, str, str, str]]:
    return [(str(target.kind), target.account, target.repository, target.tag) for target in extract.targets]


def test_of_the_documented_records_the_pull_is_found() -> None:
    path = require_shared() / "ecr" / "data" / "cloudtrail_docs_samples.json"
    extract = read_file(path.read_bytes(), Rules())
    assert _targets(extract) == [("image", "123456789012", "testrepo", "latest")]
    assert [hints.source_address for hints in extract.hints] == ["203.0.113.12"]


def test_of_the_collected_records_those_of_pulls_are_found() -> None:
    path = require_shared() / "data" / "cloudtrail" / "ecr_events.jsonl"
    records = [json.dumps(json.loads(line)["record"]) for line in path.read_text().splitlines()]
    extract = read_file("\n".join(records).encode(), Rules())
    assert _targets(extract) == [
        ("image", "123456789012", "testrepo", "latest"),
        ("image", "602401143452", "eks/pause", ""),
    ]
    # The one that a node really pulled names its instance, and no address.
    (node,) = (hints for hints in extract.hints if hints.session.startswith("i-"))
    assert (node.source_address, node.principal.rpartition("/")[2]) == ("", "NodeInstanceRole")


def test_of_the_invented_shapes_each_is_understood() -> None:
    path = require_shared() / "ecr" / "data" / "cloudtrail_pull_shapes_synthetic.json"
    extract = read_file(path.read_bytes(), Rules())
    kinds = [list(extract.targets)[row].kind for row in extract.target]
    assert kinds == [PullKind.IMAGE, PullKind.LAYER, PullKind.IMAGE, PullKind.IMAGE, PullKind.IMAGE]
    assert list(extract.sides) == [Side.ALONE, Side.ALONE, Side.PULLER, Side.OWNER, Side.ALONE]
    assert extract.joints[2] == extract.joints[3]
    assert [hints.endpoint for hints in extract.hints if hints.endpoint] == ["vpce-0123456789abcdef0"]
