"""The experiments decided in parts, in runs of their own: the same as in one run."""

import shutil
from datetime import date, datetime

import dagster as dg
import pytest

from mab_pipeline.allocation.sharding import Shard
from mab_pipeline.assets.allocations import allocate
from mab_pipeline.jobs import REFRESHED
from mab_store.days import Days

FIRST, LAST = "2025-03-12", "2025-03-13"
BOTH = Days(date(2025, 3, 12), date(2025, 3, 14))
NAMES = [f"experiment {number}" for number in range(20)]
RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")


def fill(world):
    """20 experiments of 2 and 3 variants, two days; the windows are made, nothing is decided."""
    variants = {name: ("control", "b", "c")[: 2 + place % 2] for place, name in enumerate(NAMES)}
    for name in NAMES:
        world.register(name, *variants[name])
    for shift, day in enumerate((FIRST, LAST)):
        rows = [
            (name, variant, 500 + place, 10 + 3 * position + shift)
            for place, name in enumerate(NAMES)
            for position, variant in enumerate(variants[name])
        ]
        world.metrics(day, *rows)
    world.run(FIRST, LAST, assets=tuple(REFRESHED))
    return world


def run_shard(world, number, count):
    """Materialise `allocations` as the UI does, with a shard in the run's config."""
    config = {"allocations": {"config": {"shard": number, "shards": count}}}
    result = world.job.execute_in_process(
        instance=world.instance,
        tags=dict(zip(RANGE, (FIRST, LAST), strict=True)),
        run_config={"loggers": {"progress": {}}, "ops": config},
        asset_selection=[dg.AssetKey("allocations")],
    )
    assert result.success
    return result


def observed(result):
    return [
        (event.partition, event.asset_observation_data.asset_observation.metadata["shard"].value)
        for event in result.all_events
        if event.event_type_value == "ASSET_OBSERVATION"
    ]


@pytest.fixture(scope="module")
def make_filled(make_world):
    """Make worlds whose windows are made already: copies of one."""
    template = fill(make_world(now="2025-03-14T02:00:00"))

    def make():
        world = make_world(now="2025-03-14T03:00:00")
        shutil.copytree(template.home, world.home, dirs_exist_ok=True)
        return world

    return make


@pytest.fixture(scope="module")
def in_one_run(make_filled):
    world = make_filled()
    world.run(FIRST, LAST)
    return world.tables()


@pytest.mark.parametrize("count", [1, 2, 7])
def test_any_number_of_shards_gives_the_same_tables(make_filled, in_one_run, materialized, count):
    world = make_filled()
    runs = [run_shard(world, number, count) for number in range(count, 0, -1)]
    decided = world.table("allocations")
    assert decided == in_one_run["allocations"]
    assert world.table("publications") == []

    for place, result in enumerate(runs):
        is_whole = count == 1
        assert materialized(result, "allocations") == ([FIRST, LAST] if is_whole else [])
        shard = f"{count - place}/{count}"
        assert observed(result) == ([] if is_whole else [(FIRST, shard), (LAST, shard)])
    if count > 1:
        run_ids = {row["run_id"] for row in world.table("allocations", volatile=True)}
        assert 1 < len(run_ids) <= count

    last = world.run(FIRST, LAST)
    assert world.tables() == in_one_run
    assert materialized(last, "publication") == [FIRST, LAST]
    assert last.run_id not in {row["run_id"] for row in world.table("allocations", volatile=True)}
    journaled = world.platform.journal.read("allocations").to_pylist()
    assert len(journaled) == len(decided)


def test_a_shard_that_is_missing_is_not_published_and_the_next_run_decides_it(
    make_filled, in_one_run, evaluations
):
    world = make_filled()
    for number in (1, 2, 4, 5, 6, 7):
        run_shard(world, number, 7)
    published = world.run(LAST, assets=("publication",))  # as somebody in a hurry would
    held = {row["experiment_id"] for row in world.table("publication_holds")}
    served = {row["experiment_id"] for row in world.table("publications")}
    assert held
    assert served
    assert not held & served
    assert held | served == {row["experiment_id"] for row in in_one_run["allocations"]}
    reasons = {row["reason"] for row in world.table("publication_holds")}
    assert reasons == {"every_running_variant_has_a_row"}
    assert published.success

    checked = world.run_checks("allocations", LAST)
    (evaluation,) = evaluations(checked, "allocations", "every_running_variant_has_a_row").values()
    assert not evaluation.passed
    names = {row["experiment_id"]: row["experiment_name"] for row in world.table("experiments")}
    assert set(evaluation.metadata["experiments"].value) == {names[one] for one in held}

    world.run(FIRST, LAST)
    assert world.table("allocations") == in_one_run["allocations"]
    assert {row["experiment_id"] for row in world.table("publications")} == held | served


def test_a_shard_decided_on_older_windows_is_decided_again_by_the_run_that_publishes(make_filled):
    world = make_filled()
    run_shard(world, 1, 2)
    before = {row["allocation_id"] for row in world.table("allocations")}
    rows = [(name, "control", 50, 40) for name in NAMES]
    world.metrics(LAST, *rows, name="late.csv")
    world.run(FIRST, LAST)
    newest = {
        row["allocation_id"]
        for row in world.table("publications")
        if row["as_of_date"] == date(2025, 3, 13)
    }
    assert len(newest) == len(NAMES)
    assert not newest & before


def test_two_runs_at_once_in_processes_of_their_own_add_every_decision_once(
    make_filled, in_one_run, mab
):
    world = make_filled()
    days = ("--from", FIRST, "--to", LAST)
    # The second decides all there is, so that it meets the first on half of it.
    processes = [mab(world.home).start("run", *days, "--shard", part) for part in ("1/2", "1/1")]
    for process in processes:
        _, err = process.communicate(timeout=600)
        assert process.returncode == 0, err
    assert world.table("allocations") == in_one_run["allocations"]


def test_shards_that_read_the_same_time_have_a_journal_entry_each(
    make_filled, in_one_run, monkeypatch
):
    world = make_filled()
    moment = datetime(2025, 3, 14, 4)  # noqa: DTZ001  # the warehouse holds naive UTC
    monkeypatch.setattr("mab_pipeline.assets.allocations.next_stamp", lambda *_: moment)
    for number in (1, 2, 3):
        assert allocate(world.platform, BOTH, run_id="r", shard=Shard(number, 3)).added
        with world.platform.warehouse.transaction() as transaction:
            world.platform.journal.write_missing(transaction)
    journaled = world.platform.journal.read("allocations")
    assert len(journaled) == len(in_one_run["allocations"])
    assert len(set(journaled["computed_at"].to_pylist())) == 3


def test_deciding_again_computes_nothing_and_adds_nothing(make_filled, in_one_run, monkeypatch):
    world = make_filled()
    first = allocate(world.platform, BOTH, run_id="one")
    assert first.row_count == first.added == len(in_one_run["allocations"])
    monkeypatch.setattr("mab_pipeline.assets.allocations.decide", None)  # is not called
    again = allocate(world.platform, BOTH, run_id="two")
    assert (again.row_count, again.added) == (first.row_count, 0)


@pytest.mark.parametrize(("number", "count"), [(0, 7), (8, 7), (1, 0), (1, 1001), (-1, 2)])
def test_a_shard_that_does_not_exist_fails_the_run_and_decides_nothing(make_world, number, count):
    world = make_world(now="2025-03-14T02:00:00")
    result = world.job.execute_in_process(
        instance=world.instance,
        partition_key=LAST,
        run_config={
            "loggers": {"progress": {}},
            "ops": {"allocations": {"config": {"shard": number, "shards": count}}},
        },
        asset_selection=[dg.AssetKey("allocations")],
        raise_on_error=False,
    )
    assert not result.success
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert f"There is no shard {number} of {count}" in failure.step_failure_data.error.cause.message
