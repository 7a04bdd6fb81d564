"""The inbox sensor: what came in late leads to its effect, and history stays history."""

from datetime import date

import dagster as dg
import pytest
from dagster._core.storage.tags import TagType, get_tag_type

from mab_pipeline.definitions import build_defs
from mab_pipeline.runs.liveness import process_tags
from mab_pipeline.runs.tags import ARRIVALS_TAG, TRIGGER
from mab_pipeline.sensors import inbox_sensor
from mab_store.experiments.schemas import experiment_id_of

NEWEST = "2025-03-19"


def requests(world) -> list[dg.RunRequest]:
    """Return what one tick asks for; nothing where it skips."""
    context = dg.build_sensor_context(
        instance=world.instance,
        resources={"platform": world.platform},
        repository_def=build_defs(platform=world.platform).get_repository_def(),
    )
    data = inbox_sensor.evaluate_tick(context)
    return list(data.run_requests)


def days_of(request: dg.RunRequest) -> tuple[str, str]:
    tags = request.tags
    first = request.partition_key or tags["dagster/asset_partition_range_start"]
    return first, request.partition_key or tags["dagster/asset_partition_range_end"]


def serve(world, request: dg.RunRequest) -> None:
    """Run what was asked for, as the daemon would."""
    job = build_defs(platform=world.platform).resolve_job_def(request.job_name)
    result = job.execute_in_process(
        instance=world.instance, partition_key=request.partition_key, tags=request.tags
    )
    assert result.success


def tick(world) -> dict[str, tuple[str, str]]:
    """Evaluate once and run everything; return the days of each job."""
    asked = requests(world)
    for request in asked:
        serve(world, request)
    return {request.job_name: days_of(request) for request in asked}


@pytest.fixture
def decided(world):
    """One experiment, counts on four days up to the newest, decided and published."""
    world.register("cta")
    for day in ("2025-03-10", "2025-03-17", "2025-03-18", NEWEST):
        world.metrics(day, ("cta", "control", 1000, 30), ("cta", "variant_a", 1000, 40))
    world.run("2025-03-17", NEWEST)
    return world


def test_files_that_were_there_before_the_first_tick_are_run_as_one_range(world):
    world.register("cta")
    for day in ("2025-03-17", NEWEST):
        world.metrics(day, ("cta", "control", 1000, 30), ("cta", "variant_a", 1000, 40))

    assert tick(world) == {"daily_allocation": ("2025-03-17", NEWEST)}
    assert tick(world) == {}
    assert world.bodies()["cta"]["as_of_date"] == NEWEST


def test_nothing_new_asks_for_nothing(decided):
    assert requests(decided) == []


def test_a_late_file_changes_the_newest_decision_and_leaves_history_alone(decided):
    before = {day: decided.bodies(day)["cta"] for day in ("2025-03-18", NEWEST)}
    decided.metrics("2025-03-17", ("cta", "control", 5000, 900), name="late.csv")

    assert tick(decided) == {"daily_allocation": (NEWEST, NEWEST)}
    # control: 1000 of the 10th, 5000 of the 17th in place of 1000, 1000 of the 18th.
    assert decided.windows("cta", "2025-03-18")["control"][2:] == (7000, 960)
    assert decided.bodies("2025-03-18")["cta"] == before["2025-03-18"]
    assert decided.bodies()["cta"]["allocation_id"] != before[NEWEST]["allocation_id"]
    assert tick(decided) == {}


def test_a_file_older_than_every_window_is_loaded_for_audit_alone(decided):
    before = decided.table("allocations"), decided.table("publications")
    decided.metrics("2025-02-01", ("cta", "control", 5000, 900))

    assert tick(decided) == {"refresh_day": ("2025-02-01", "2025-02-01")}
    assert (decided.table("allocations"), decided.table("publications")) == before
    assert len(decided.query("select * from daily_metrics where metric_date = '2025-02-01'")) == 1


def test_a_file_for_today_waits_until_the_day_is_over(decided):
    decided.metrics("2025-03-20", ("cta", "control", 10, 1), ("cta", "variant_a", 10, 1))
    assert tick(decided) == {}

    decided.clock.set("2025-03-21T00:00:30")
    assert tick(decided) == {"daily_allocation": ("2025-03-20", "2025-03-20")}


def test_a_new_experiment_is_allocated_within_one_tick(decided):
    decided.register("fresh", created="2025-03-20T01:00:00Z")

    assert tick(decided) == {"daily_allocation": (NEWEST, NEWEST)}
    shares = decided.shares("fresh", NEWEST)
    # Two arms with the prior alone: 50 % each but for the noise of 10,000 draws (sd 0.5 points).
    assert sum(shares.values()) == 100
    assert all(abs(share - 50) < 3 for share in shares.values())


def test_a_late_registration_runs_the_days_that_had_rejected_its_rows(decided):
    decided.metrics("2025-03-18", ("other", "control", 400, 4), name="other.csv")
    tick(decided)
    assert decided.query("select count(*) from daily_metrics where source_file like '%other%'") == [
        (0,)
    ]
    decided.register("other", created="2025-03-20T01:00:00Z")

    assert tick(decided) == {"daily_allocation": (NEWEST, NEWEST)}
    assert decided.windows("other", "2025-03-18")["control"][2:] == (400, 4)
    assert decided.windows("other", NEWEST)["control"][2:] == (400, 4)


def test_a_thousand_files_are_a_handful_of_runs(decided):
    for number in range(1000):
        day = date(2025, 3, 1 + number % 19)
        decided.metrics(str(day), ("cta", "control", 1, 0), name=f"part-{number:04}.csv")

    assert len(requests(decided)) == 1


def test_a_daemon_that_starts_again_asks_for_the_same_runs_under_the_same_keys(decided):
    decided.metrics("2025-03-17", ("cta", "control", 5000, 900), name="late.csv")
    decided.metrics("2025-02-01", ("cta", "control", 5000, 900))
    first, second = requests(decided), requests(decided)

    assert [request.run_key for request in first] == [request.run_key for request in second]
    serve(decided, first[0])  # the daemon dies between the two runs that it asked for
    # What decides came first: the newest decision is there, and the windows before it.
    assert decided.windows("cta", NEWEST)["control"][2:] == (8000, 990)
    assert decided.windows("cta", "2025-03-18")["control"][2:] == (7000, 960)
    # Dagster keeps a tick's requests and takes up the other one when the daemon is back.
    serve(decided, second[1])
    assert len(decided.query("select * from daily_metrics where metric_date = '2025-02-01'")) == 1
    assert requests(decided) == []


def test_a_correction_that_a_run_of_old_days_loads_still_decides_the_newest_day(decided):
    decided.metrics("2025-02-01", ("cta", "control", 5000, 900))
    asked = requests(decided)
    assert [request.job_name for request in asked] == ["refresh_day"]
    decided.metrics(NEWEST, ("cta", "control", 5000, 900), name="late.csv")
    before = decided.bodies()["cta"]["allocation_id"]
    serve(decided, asked[0])  # it also loads the correction, and decides nothing
    assert decided.windows("cta", NEWEST)["control"][2:] == (8000, 990)

    assert tick(decided) == {"daily_allocation": (NEWEST, NEWEST)}
    assert decided.bodies()["cta"]["allocation_id"] != before
    assert tick(decided) == {}


def test_a_tick_without_arrivals_asks_no_warehouse(decided, monkeypatch):
    """It comes every 30 seconds; on Snowflake each question is a statement over the network."""
    warehouse = type(decided.platform.warehouse)
    for opening in ("published", "reading", "transaction"):
        monkeypatch.setattr(warehouse, opening, lambda _self: pytest.fail("the warehouse is asked"))
    assert requests(decided) == []


def test_nothing_is_asked_for_while_a_run_for_arrivals_is_at_work(decided):
    decided.metrics("2025-03-17", ("cta", "control", 5000, 900), name="late.csv")
    job = build_defs(platform=decided.platform).resolve_job_def("daily_allocation")
    run = decided.instance.create_run_for_job(job, tags=TRIGGER)
    assert requests(decided) == []

    decided.instance.report_run_failed(run)
    assert len(requests(decided)) == 1


def test_no_tag_of_ours_is_shown_and_runs_of_earlier_versions_are_known_by_theirs(decided):
    tags = process_tags() | TRIGGER | {ARRIVALS_TAG: "0123"}
    assert {get_tag_type(tag) for tag in tags} == {TagType.HIDDEN}

    decided.metrics("2025-03-17", ("cta", "control", 5000, 900), name="late.csv")
    (request,) = requests(decided)
    job = build_defs(platform=decided.platform).resolve_job_def("daily_allocation")
    earlier = {"mab/trigger": "inbox", "mab/arrivals": request.tags[ARRIVALS_TAG]}
    run = decided.instance.create_run_for_job(job, tags=earlier)
    assert requests(decided) == []
    decided.instance.report_run_failed(run)
    assert requests(decided)[0].run_key == request.run_key.replace("-0-", "-1-")


def test_a_run_that_failed_after_it_had_loaded_its_files_is_asked_for_again(decided):
    decided.metrics("2025-03-17", ("cta", "control", 5000, 900), name="late.csv")
    (decide,) = requests(decided)
    job = build_defs(platform=decided.platform).resolve_job_def(decide.job_name)
    job.execute_in_process(
        instance=decided.instance,
        partition_key=decide.partition_key,
        tags=decide.tags,
        asset_selection=[dg.AssetKey(name) for name in ("raw_metrics", "daily_metrics")],
    )
    (loaded,) = decided.instance.get_runs(limit=1)
    decided.instance.report_run_failed(loaded, "killed")  # before it had decided anything
    before = decided.bodies()["cta"]["allocation_id"]

    assert tick(decided) == {"daily_allocation": (NEWEST, NEWEST)}
    assert decided.bodies()["cta"]["allocation_id"] != before
    assert tick(decided) == {}


def test_the_sensor_gives_up_on_files_whose_runs_keep_failing_until_others_come(decided):
    decided.metrics("2025-03-17", ("cta", "control", 5000, 900), name="late.csv")
    key = requests(decided)[0].tags[ARRIVALS_TAG]
    job = build_defs(platform=decided.platform).resolve_job_def("daily_allocation")
    for attempt in range(3):
        assert requests(decided)[0].run_key.startswith(f"{key}-{attempt}-")
        run = decided.instance.create_run_for_job(job, tags=TRIGGER | {ARRIVALS_TAG: key})
        decided.instance.report_run_failed(run)
    assert requests(decided) == []

    decided.metrics("2025-03-18", ("cta", "control", 5000, 900), name="later.csv")
    assert len(requests(decided)) == 1


def test_a_file_that_changed_is_taken_again(decided):
    decided.metrics("2025-03-18", ("cta", "control", 1000, 31), ("cta", "variant_a", 1000, 40))

    assert tick(decided)["daily_allocation"] == (NEWEST, NEWEST)
    clicks = "select clicks from daily_metrics where variant_name = 'control' and metric_date = ?"
    assert decided.query(clicks, "2025-03-18") == [(31,)]


def test_rubbish_among_event_files_is_quarantined_and_asked_for_once(decided):
    folder = f"experiments/{experiment_id_of('cta')}"
    decided.drop(f"{folder}/rubbish.json", '{"experiment_id": ')

    assert tick(decided) == {"daily_allocation": (NEWEST, NEWEST)}
    assert tick(decided) == {}
