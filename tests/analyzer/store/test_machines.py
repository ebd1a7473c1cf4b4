"""Machines in the store: the last place in which each was seen, until it is forgotten."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from analyzer.model.pulls import Machine
from analyzer.store.engine import Database
from analyzer.store.machines import forget_machines, machine_regions, remember_machines
from tests.support.databases import Provider
from tests.support.examples import database_examples

_MACHINES = st.builds(
    Machine,
    st.sampled_from(["i-0a1b2c3d", "i-0a1b2c3e", "vpce-1", "vpce-2"]),
    st.sampled_from(["111111111111", "222222222222"]),
    st.sampled_from(["eu-west-1", "us-east-1"]),
    st.integers(1, 4),
)


def _remember(database: Database, machines: list[Machine]) -> None:
    with database.write() as connection:
        remember_machines(connection, machines)


def _regions(database: Database, names: set[str] | None = None) -> dict[str, str]:
    with database.read() as connection:
        return machine_regions(connection, names)


@given(st.lists(st.lists(_MACHINES, max_size=6), max_size=3), st.integers(0, 5))
@database_examples(25)
def test_what_was_seen_last_is_remembered(
    sqlite: Provider, batches: list[list[Machine]], before_day: int
) -> None:
    database = sqlite.clean()
    expected: dict[str, Machine] = {}
    for batch in batches:
        _remember(database, batch)
        for machine in batch:
            if machine.name not in expected or expected[machine.name].seen_day <= machine.seen_day:
                expected[machine.name] = machine
    assert _regions(database) == {name: machine.region for name, machine in expected.items()}
    with database.write() as connection:
        forgotten = forget_machines(connection, before_day)
    kept = {name: machine for name, machine in expected.items() if machine.seen_day >= before_day}
    assert forgotten == len(expected) - len(kept)
    assert _regions(database) == {name: machine.region for name, machine in kept.items()}


def test_many_are_remembered_and_asked_for(database: Database) -> None:
    machines = [Machine(f"i-{number:08x}", "1", f"r-{number % 3}", 1) for number in range(2_500)]
    _remember(database, machines)
    # What is seen again is not there twice, and an earlier day changes nothing.
    _remember(database, [machines[0]._replace(region="new", seen_day=2), machines[1]._replace(seen_day=0)])
    assert len(_regions(database)) == 2_500
    names = {machines[0].name, machines[1].name, "i-unknown"}
    assert _regions(database, names) == {machines[0].name: "new", machines[1].name: "r-1"}
    assert _regions(database, set()) == {}
    _remember(database, [])
