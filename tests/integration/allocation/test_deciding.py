"""Deciding: only missing decisions are computed, and each commit has its own journal entry."""

from datetime import date, datetime

import pytest

from mab_pipeline.assets.allocations import allocate
from mab_pipeline.jobs import REFRESHED
from mab_store.days import Days

FIRST, LAST = date(2025, 3, 12), date(2025, 3, 13)
BOTH = Days(FIRST, date(2025, 3, 14))
NAMES = ("one", "two", "three")


@pytest.fixture(scope="module")
def world(make_world):
    """Three experiments and two days; the windows are made, nothing is decided."""
    world = make_world(now="2025-03-14T02:00:00")
    for name in NAMES:
        world.register(name)
    for day in (FIRST, LAST):
        rows = [(name, v, 500, 10) for name in NAMES for v in ("control", "variant_a")]
        world.metrics(str(day), *rows)
    world.run(str(FIRST), str(LAST), assets=tuple(REFRESHED))
    return world


def test_runs_that_read_the_same_time_have_a_journal_entry_each(world, monkeypatch):
    moment = datetime(2025, 3, 14, 4)  # noqa: DTZ001  # the warehouse holds naive UTC
    monkeypatch.setattr("mab_pipeline.assets.allocations.next_stamp", lambda *_: moment)
    for days in (Days(FIRST, LAST), Days(LAST, BOTH.end)):
        assert allocate(world.platform, days, run_id="r").added == 2 * len(NAMES)
        with world.platform.warehouse.transaction() as transaction:
            world.platform.journal.write_missing(transaction)
    journaled = world.platform.journal.read("allocations")
    assert len(journaled) == 4 * len(NAMES)
    assert len(set(journaled["computed_at"].to_pylist())) == 2


def test_deciding_again_computes_nothing_and_adds_nothing(world, monkeypatch):
    monkeypatch.setattr("mab_pipeline.assets.allocations.decide", None)  # is not called
    again = allocate(world.platform, BOTH, run_id="two")
    assert (again.row_count, again.added) == (4 * len(NAMES), 0)
