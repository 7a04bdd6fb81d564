"""A run opens the warehouse once per step of checks, and identifies its decisions once."""

from contextlib import contextmanager

import pytest

from mab_pipeline.allocation import gate
from mab_pipeline.assets import allocations
from mab_store.warehouse.duckdb.warehouse import DuckDBWarehouse
from mab_store.warehouse.warehouse import rolled_back

DAY, NEXT = "2025-03-18", "2025-03-19"
NAME = "checkout"
# One per step of checks; per asset those of its own work, and one that looks at the home.
CHECK_STEPS = 6
OF_ASSETS = {
    "home": 1,
    "experiments": 1,
    "raw_metrics": 2,
    "daily_metrics": 2,
    "windowed_aggregates": 1,
    "allocations": 3,
    "publication": 4,  # one to compare the decisions before the writing one
}


@pytest.fixture
def world(make_world):
    world = make_world(now="2025-03-19T02:00:00")
    world.register(NAME)
    for day in (DAY, NEXT):
        world.metrics(day, (NAME, "control", 400, 4), (NAME, "variant_a", 400, 8))
    return world


@pytest.fixture
def openings(monkeypatch):
    """Count how often the file of the warehouse is opened."""
    opened, original = [], DuckDBWarehouse._opened

    @contextmanager
    def counted(self):
        opened.append(self)
        with original(self) as connection:
            yield connection

    monkeypatch.setattr(DuckDBWarehouse, "_opened", counted)
    return opened


@pytest.fixture
def identified(monkeypatch):
    """Count how often decisions are identified."""
    calls, original = [], gate.identify

    def counted(inputs, *args, **more):
        calls.append(len(inputs))
        return original(inputs, *args, **more)

    monkeypatch.setattr(gate, "identify", counted)
    monkeypatch.setattr(allocations, "identify", counted)
    return calls


def test_a_days_run_opens_the_warehouse_once_per_check_step(world, openings, identified):
    world.run(DAY)
    assert len(openings) <= CHECK_STEPS + sum(OF_ASSETS.values())
    assert len(identified) == 1


def test_the_next_run_identifies_the_decisions_itself(world, identified):
    world.run(DAY)
    world.clock.set("2025-03-20T02:00:00")
    world.run(DAY)
    assert [rows for rows in identified if rows] == [2, 2]


def test_a_changed_window_is_identified_again_within_a_run(world, identified):
    world.run(DAY)
    world.query("update windowed_aggregates set impressions = impressions + 1")
    with world.platform.warehouse.reading() as queries:
        days = {"start_date": DAY, "end_date": NEXT}
        inputs = queries.fetch_arrow("assets/allocations_inputs", days)
    (before, *_) = gate.identified(inputs, world.platform).allocation_ids
    assert gate.identified(inputs, world.platform).allocation_ids[0] == before
    assert len(identified) == 2

    world.query("update windowed_aggregates set impressions = impressions + 1")
    with world.platform.warehouse.reading() as queries:
        inputs = queries.fetch_arrow("assets/allocations_inputs", days)
    assert gate.identified(inputs, world.platform).allocation_ids[0] != before


def test_a_transaction_within_a_block_of_reading_shares_its_opening(world, openings):
    world.run(DAY)
    openings.clear()
    warehouse = world.platform.warehouse
    with warehouse.reading() as queries:
        with rolled_back(warehouse) as trial:
            trial.execute("ledger/delete_day", {"metric_date": DAY})
        with warehouse.reading() as inner:
            (row,) = inner.fetch_arrow("checks/publication_newest_day").to_pylist()
        assert queries.fetch_arrow("checks/publication_newest_day").to_pylist() == [row]
    assert len(openings) == 1
    with warehouse.transaction():
        pass
    assert len(openings) == 2


def test_a_block_of_reading_that_fails_leaves_the_warehouse_usable(world, openings):
    world.run(DAY)
    openings.clear()
    with pytest.raises(ZeroDivisionError), world.platform.warehouse.reading():
        raise ZeroDivisionError
    with world.platform.warehouse.reading() as queries:
        queries.fetch_arrow("checks/publication_newest_day")
    assert len(openings) == 2
