"""Settings of one snapshot against those of an earlier one, and whether policies ever changed."""

from __future__ import annotations

from dataclasses import replace

from analyzer.model.history import SettingChange
from analyzer.store.engine import Database
from analyzer.store.setting_changes import load_setting_changes, policies_changed
from analyzer.store.snapshots import runs_with_snapshots, snapshots_of_run
from tests.analyzer.store.examples import KEY, commit, image, read_of


def _commit(database: Database, at_ms: int, mounting: str, **settings: str) -> None:
    read = read_of(image("a"), taken_at_ms=at_ms)
    repository = replace(read.repositories[0], settings=settings)
    commit(database, replace(read, repositories=[repository], settings={"blob_mounting": mounting}))


def test_changed_set_and_first_known_settings_are_told_and_others_are_not(database: Database) -> None:
    _commit(database, 1, '"DISABLED"', lifecycle_policy_text="null", scan_on_push="true")
    _commit(database, 2, '"ENABLED"', lifecycle_policy_text='"{}"', scan_on_push="true", scanning="{}")
    with database.read() as connection:
        before, after = (snapshots_of_run(connection, run) for run in (1, 2))
        changes = load_setting_changes(connection, before, after)
        assert load_setting_changes(connection, after, after) == []
        assert policies_changed(connection, after)
        assert not policies_changed(connection, before)
        assert runs_with_snapshots(connection) == [(1, 1), (2, 2)]
    place = {"account": KEY.account, "region": KEY.region}
    assert changes == [
        SettingChange(**place, repository="", name="blob_mounting", before='"DISABLED"', after='"ENABLED"'),
        SettingChange(**place, repository="app", name="lifecycle_policy_text", before="null", after='"{}"'),
        SettingChange(**place, repository="app", name="scanning", before=None, after="{}"),
    ]
