"""Windows of days that were decided follow a change that comes late, whatever run brings it."""

import shutil

import pytest

from mab_store.experiments.schemas import experiment_id_of
from tests.abuse.test_any_order import run_assets, stale_windows
from tests.integration.conftest import World, materialized
from tests.integration.steps import run

NAME = "checkout"
DAYS = ("2025-03-05", "2025-03-06", "2025-03-07", "2025-03-08", "2025-03-09")
SHORT = {"default_window_days": 2, "max_window_days": 3}


def counts(day_number: int) -> tuple[tuple[object, ...], ...]:
    return (NAME, "control", 300, 3 + day_number), (NAME, "variant_a", 300, 6)


@pytest.fixture(scope="module")
def template(make_world) -> World:
    """Five days with counts, each decided; windows of two and three days."""
    world = make_world(now="2025-03-10T02:00:00", mab_start_date="2025-03-01", **SHORT)
    world.register(NAME, created="2025-03-03T00:00:00Z")
    for place, day in enumerate(DAYS):
        world.metrics(day, *counts(place))
    run(world, DAYS[0], DAYS[-1])
    return world


@pytest.fixture
def decided(template, make_world) -> World:
    world = make_world(now="2025-03-10T03:00:00", mab_start_date="2025-03-01", **SHORT)
    shutil.copytree(template.home, world.home, dirs_exist_ok=True)
    return world


def clicks(world: World) -> list[int]:
    """Return the clicks that the windows of each day use of the control."""
    rows = world.query(
        "select clicks from windowed_aggregates where variant_name = 'control' "
        "and experiment_id = ? order by as_of_date",
        experiment_id_of(NAME),
    )
    return [row[0] for row in rows]


# The control's clicks are 3, 4, 5, 6, 7 and windows have two days: 3, 3 + 4, 4 + 5, 5 + 6, 6 + 7.
BEFORE = [3, 7, 9, 11, 13]


@pytest.mark.parametrize("run_of", [DAYS[1], DAYS[3]])
def test_a_late_file_moves_the_windows_from_its_day_to_the_newest_whichever_run_loads_it(
    decided, run_of
):
    assert clicks(decided) == BEFORE
    decisions = decided.table("allocations")
    decided.metrics(DAYS[2], (NAME, "control", 300, 105), name="late.csv")

    result = decided.run(run_of)

    assert clicks(decided) == [3, 7, 109, 111, 13]
    assert stale_windows(decided) == []
    assert set(materialized(result, "windowed_aggregates")) >= {*DAYS[2:4], run_of}
    # A decision of another day stays as it was, and so does its publication.
    added = [row for row in decided.table("allocations") if row not in decisions]
    assert {str(row["as_of_date"]) for row in added} <= {run_of}
    again = decided.run(run_of)
    assert materialized(again, "windowed_aggregates") == [run_of]  # nothing is late any more


@pytest.mark.parametrize(
    ("day", "touched"),
    [("2025-03-02", []), ("2025-03-03", [DAYS[0]]), (DAYS[0], list(DAYS[:3]))],
)
def test_only_windows_that_see_the_changed_day_are_made_again(decided, day, touched):
    decided.metrics(day, (NAME, "control", 50, 1), name="late.csv")

    result = decided.run(day, assets=("experiments", "raw_metrics", "daily_metrics"))

    assert materialized(result, "windowed_aggregates") == touched
    assert stale_windows(decided) == []


def test_an_event_that_comes_late_moves_the_windows_from_the_day_that_it_is_true_of(decided):
    decided.change(NAME, f"{DAYS[1]}T12:00:00Z", add_variants=["late"])

    result = decided.run("2025-03-09")

    # True from the 7th on: the windows of the 6th are the first that decide for that day.
    made = [day for day in materialized(result, "windowed_aggregates") if day != DAYS[-1]]
    assert made == list(DAYS[1:4])
    assert stale_windows(decided) == []
    assert "late" in decided.windows(NAME, DAYS[1])
    assert "late" not in decided.windows(NAME, DAYS[0])


def test_a_registration_makes_rejected_rows_good_however_old_and_moves_their_windows(decided):
    decided.metrics("2025-03-04", ("other", "control", 250, 25), name="other.csv")
    run_assets(decided, *[decided.clock.now.date().replace(day=4)] * 2, decides=False)
    decided.register("other", created="2025-03-07T12:00:00Z")

    decided.run(DAYS[-1])  # its windows see no further back than the 7th

    assert decided.query("select impressions from daily_metrics where variant_name = 'control'"
                         " and metric_date = '2025-03-04'") == [(250,)]  # fmt: skip
    # It began with its data on the 4th, so that every decided day has windows of it.
    assert decided.windows("other", DAYS[0])["control"] == ("default_window", 1, 250, 25)
    assert decided.windows("other", DAYS[-1])["control"] == ("prior", 0, 0, 0)
    assert stale_windows(decided) == []


def test_while_an_event_file_is_gone_nothing_is_made_from_what_is_left(decided):
    path = next(decided.inbox.glob("experiments/*/registered.json"))
    content = path.read_bytes()
    before = decided.tables(volatile=True)
    path.unlink()
    decided.register("new", created=f"{DAYS[1]}T12:00:00Z")

    decided.run(DAYS[-1], fails=True)

    after = decided.tables(volatile=True)
    assert {name for name in before if before[name] != after[name]} == {"inbox_files"}
    path.write_bytes(content)
    decided.run(DAYS[-1])
    assert stale_windows(decided) == []
    assert set(decided.windows("new", DAYS[1])) == {"control", "variant_a"}


def test_days_whose_rows_were_pruned_stay_as_they_are(decided):
    decided.query("delete from raw_metrics where metric_date < '2025-03-08'")
    before = decided.table("daily_metrics"), clicks(decided)
    decided.register("new", created="2025-03-01T00:00:00Z")

    decided.run("2025-03-09")

    assert (decided.table("daily_metrics"), clicks(decided)) == before
