"""What the package offers."""

from __future__ import annotations

from analyzer import collect


def test_the_public_names_are_those_of_the_contract() -> None:
    assert sorted(collect.__all__) == [
        "AfterSnapshot",
        "CollectOptions",
        "CollectResult",
        "Progress",
        "RegistrySummary",
        "SilentProgress",
        "SnapshotStore",
        "collect",
    ]
    assert all(hasattr(collect, name) for name in collect.__all__)
