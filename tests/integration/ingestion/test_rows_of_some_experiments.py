"""Loading the rows of some experiments: the rest is left out before it is judged."""

from datetime import date, timedelta

import pytest

from mab_pipeline.ingestion import raw_rows
from mab_pipeline.ingestion.loaders import load_experiments, load_raw_metrics
from mab_store.days import Days
from mab_store.experiments.schemas import experiment_id_of

DAY = "2025-03-12"
LOADED = Days(date(2025, 3, 12), date(2025, 3, 12) + timedelta(1))


@pytest.fixture(scope="module")
def world(make_world):
    world = make_world(now="2025-03-13T02:00:00")
    world.register("one")
    world.register("two")
    by_id = experiment_id_of("one")
    mixed = [("two", "control", 5, 1), ("one", "control", 10, 1), (by_id, "variant_a", 20, 2)]
    mixed += [("One", "control", 1, 1), ("", "control", 1, 1), ("one", "nothing", 1, 1)]
    world.metrics(DAY, *mixed, name="a_mixed.csv")
    world.metrics(DAY, *[("two", "control", place, 0) for place in range(9)], name="b_others.csv")
    world.metrics(DAY, name="c_empty.csv")
    world.drop(f"metrics/{DAY}/d_broken.csv", "experiment\n")
    load_experiments(world.platform)
    return world


def loaded(world, only) -> list[tuple[str, int, str]]:
    load_raw_metrics(world.platform, LOADED, only=only)
    return world.query(
        "select source_file.split('/')[-1], row_number, experiment from raw_metrics order by all"
    )


@pytest.mark.parametrize("rows_at_once", [1, 2, 1 << 16])
def test_own_rows_keep_their_numbers_and_every_file_its_first_row(world, monkeypatch, rows_at_once):
    monkeypatch.setattr(raw_rows, "ROWS_AT_ONCE", rows_at_once)
    assert loaded(world, {"one", experiment_id_of("one")}) == [
        ("a_mixed.csv", 1, "two"),
        ("a_mixed.csv", 2, "one"),
        ("a_mixed.csv", 3, experiment_id_of("one")),
        ("a_mixed.csv", 6, "one"),
        ("b_others.csv", 1, "two"),
        ("d_broken.csv", 0, None),
    ]


def test_the_ledger_counts_all_rows_of_a_file(world):
    loaded(world, {"one"})
    counts = dict(world.query("select source_file, row_count from inbox_files"))
    assert counts[f"metrics/{DAY}/a_mixed.csv"] == 6
    assert counts[f"metrics/{DAY}/b_others.csv"] == 9


def test_verdicts_on_own_rows_are_those_of_the_whole_day(world):
    own = f"select * from validated_metrics where experiment_id = '{experiment_id_of('one')}'"
    loaded(world, {"one", experiment_id_of("one")})
    some = world.query(f"{own} order by all")
    assert len(loaded(world, None)) == 16
    assert world.query(f"{own} order by all") == some
