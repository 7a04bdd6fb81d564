"""A home that the commit before the layout made: its decisions replay as the same code's."""

import shutil
from datetime import date
from pathlib import Path

import pytest

from mab_pipeline.allocation.code_version import code_version
from mab_pipeline.allocation.recorded import find_record
from mab_pipeline.operations.replay import replay
from mab_pipeline.recovery.rebuild import rebuild
from mab_store.warehouse.reader import open_reader

HOME = Path(__file__).with_name("data") / "home_before_the_layout"


@pytest.fixture(scope="module")
def old(make_world):
    world = make_world(now="2025-03-20T02:00:00")
    shutil.copytree(HOME, world.home, dirs_exist_ok=True)
    rebuild(world.platform)
    return world


@pytest.mark.parametrize("day", [date(2025, 3, 18), date(2025, 3, 19)])
def test_the_reshaped_code_is_recognised_as_the_code_that_decided(old, day):
    with open_reader(old.settings) as copy:
        record = find_record(copy, "checkout", day)
    assert {row["code_version"] for row in record.rows.values()} == {"53b7ca78479d"}
    result = replay(old.platform, record)
    assert result.differences == []
    assert [note for note in result.notes if "numpy" not in note] == []


def test_a_decision_of_other_code_is_not(old, monkeypatch):
    monkeypatch.setattr("mab_pipeline.allocation.code_version.RECORDED_AS", {})
    with open_reader(old.settings) as copy:
        record = find_record(copy, "checkout", date(2025, 3, 19))
    code_version.cache_clear()
    try:
        assert any("code" in note for note in replay(old.platform, record).notes)
    finally:
        code_version.cache_clear()
