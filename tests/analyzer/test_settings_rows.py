"""What the rows of a report say of settings."""

from __future__ import annotations

from analyzer.model.registry_settings import Settings
from analyzer.replication import find_replication
from analyzer.settings_rows import repository_settings
from tests.strategies.frames import RepositorySpec, build_frames


def test_a_tag_without_a_value_has_an_empty_one() -> None:
    frames = build_frames([RepositorySpec(name="a"), RepositorySpec(name="b")], {}, {})
    settings = Settings([{}], [{"tags": '{"team":null,"tier":"1"}'}, {}])
    rows = repository_settings(frames, settings, find_replication(frames, settings))
    assert [row.tags for row in rows] == [{"team": "", "tier": "1"}, None]
