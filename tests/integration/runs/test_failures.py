"""Failed runs: whatever ended a run, its last event says what to do."""

import datetime as dt
import subprocess
import sys

import dagster as dg
import psutil
import pytest

from mab_pipeline.checks.definitions import CHECKS
from mab_pipeline.definitions import build_defs
from mab_pipeline.operations.run import RunFailedError, run_days
from mab_pipeline.runs.failures import cause_of, failed_checks, leave_advice, name_of
from mab_pipeline.runs.liveness import fail_dead_runs, process_tags
from mab_pipeline.runs.tags import HOST_TAG, PID_TAG
from mab_pipeline.sensors import inbox_sensor
from mab_store.days import Days

DAY = "2025-03-19"
AGAIN = f"run `mab run --date {DAY}`, or re-execute the run in the Dagster UI"


@pytest.fixture(scope="module")
def world(make_world):
    world = make_world()
    world.register("cta")
    world.metrics(DAY, ("cta", "control", 1000, 30), ("cta", "variant_a", 1000, 40))
    world.run(DAY)
    return world


def last_event(world, run_id):
    """Return the last event as the UI shows it, once the daemon's sensor has looked."""
    context = dg.build_sensor_context(
        instance=world.instance,
        resources={"platform": world.platform},
        repository_def=build_defs(platform=world.platform).get_repository_def(),
    )
    inbox_sensor.evaluate_tick(context)
    return world.instance.all_logs(run_id)[-1].message


def begun_by(world, tags):
    tags = tags | {"dagster/partition": DAY}
    return world.instance.create_run_for_job(
        world.job, tags=tags, status=dg.DagsterRunStatus.STARTED
    )


def test_an_error_of_ours_is_repeated_without_the_name_of_its_class(make_world):
    world = make_world()
    world.settings.warehouse_path.write_bytes(b"no database at all" * 1000)
    result = world.run(DAY, fails=True)

    last = last_event(world, result.run_id)

    assert last.startswith("experiments failed: The warehouse ")
    assert last.endswith(f"What to do: fix that, then {AGAIN}.")


def test_an_error_that_nobody_foresaw_is_shown_and_asked_for(make_world):
    def stopped_clock():
        raise ZeroDivisionError("the clock has stopped")

    world = make_world(clock=stopped_clock)
    result = world.run(DAY, fails=True)

    leave_advice(world.instance)
    last = world.instance.all_logs(result.run_id)[-1].message

    assert "ZeroDivisionError: the clock has stopped" in last
    assert f"What to do: {AGAIN}; committed data is intact." in last
    assert "report it with the traceback" in last


def test_a_blocking_check_is_named_with_what_it_found(world):
    name = world.metrics("2025-03-15", ("cta", "control", 10, 1), name="late.csv")
    result = world.run(DAY, assets=("windowed_aggregates", "allocations"), fails=True)

    last = last_event(world, result.run_id)

    assert last.startswith("Blocked by windowed_aggregates.window_days_are_loaded: ")
    assert f"{name} is not loaded" in last
    assert f"What to do: fix that, then {AGAIN}." in last


def results_of(world, run_id):
    """Return the newest result of each check that a run planned: by asset, check and day."""
    planned = dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED
    storage = world.instance.event_log_storage
    found = {}
    for entry in world.instance.all_logs(run_id, of_type=planned):
        data = entry.dagster_event.asset_check_planned_data
        for record in storage.get_asset_check_execution_history(data.asset_check_key, limit=99):
            if record.run_id == run_id:
                name = f"{data.asset_key.to_user_string()}.{data.check_name}"
                found[name, record.partition] = record
    return found


def test_checks_behind_a_blocking_one_say_what_they_were_blocked_by(world):
    world.metrics("2025-03-16", ("cta", "control", 10, 1), name="late.csv")
    result = world.run(DAY, assets=("windowed_aggregates", "allocations"), fails=True)
    last_event(world, result.run_id)
    count = len(world.instance.all_logs(result.run_id))
    last_event(world, result.run_id)  # a second look adds nothing
    assert len(world.instance.all_logs(result.run_id)) == count

    found = results_of(world, result.run_id)
    assert {day for _, day in found} == {DAY}
    assert {record.status.value for record in found.values()} == {"SUCCEEDED", "FAILED"}
    blocking = "windowed_aggregates.window_days_are_loaded"
    assert found[blocking, DAY].evaluation.severity == dg.AssetCheckSeverity.ERROR
    for check in CHECKS["allocations"]:
        evaluation = found[f"allocations.{check.name}", DAY].evaluation
        assert evaluation.severity == dg.AssetCheckSeverity.WARN
        assert evaluation.description.startswith(f"Not evaluated: blocked by {blocking}: ")
        assert evaluation.metadata["not_evaluated"].value == evaluation.description
    events = [e.dagster_event for e in world.instance.all_logs(result.run_id) if e.dagster_event]
    assert [name_of(check) for check in failed_checks(events)] == [blocking]


def test_a_check_that_blocks_a_range_names_the_range(world):
    world.metrics("2025-03-14", ("cta", "control", 10, 1), name="later.csv")
    assets = ("windowed_aggregates", "allocations")
    result = world.run("2025-03-18", DAY, assets=assets, fails=True)

    last = last_event(world, result.run_id)

    assert "window_days_are_loaded" in last
    assert f"mab run --from 2025-03-18 --to {DAY}" in last
    found = results_of(world, result.run_id)
    for day in ("2025-03-18", DAY):
        evaluation = found["allocations.windows_are_fresh", day].evaluation
        assert evaluation.description.startswith("Not evaluated: blocked by ")


def test_checks_of_a_run_whose_step_failed_say_that_it_did(make_world):
    world = make_world()
    world.settings.warehouse_path.write_bytes(b"no database at all" * 1000)
    result = world.run(DAY, fails=True)
    last_event(world, result.run_id)

    found = results_of(world, result.run_id)
    assert len(found) == sum(map(len, CHECKS.values()))
    for record in found.values():
        text = record.evaluation.description
        assert text.startswith("Not evaluated. experiments failed: The warehouse ")


def test_a_process_that_died_is_told_by_the_last_event(world):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    tags = process_tags() | {PID_TAG: str(gone.pid)}
    gone.wait()
    run = begun_by(world, tags)

    last = last_event(world, run.run_id)

    assert last == (
        f"Process {gone.pid} died in mid-run; committed data is intact. What to do: {AGAIN}."
    )


def test_a_process_of_another_machine_is_not_taken_for_dead(world):
    run = begun_by(world, process_tags() | {HOST_TAG: "elsewhere", PID_TAG: "1"})

    assert run.run_id not in fail_dead_runs(world.instance)
    world.instance.report_run_failed(run)


@pytest.mark.parametrize(
    "message",
    [
        "Exceeded maximum runtime of 3600 seconds.",  # run monitoring's words
        "Run timed out due to taking longer than 180 seconds to start.",
        "[DagsterApiServer] Pipeline execution process for abc unexpectedly exited.",
    ],
)
def test_a_run_that_was_ended_from_outside_gets_its_advice_from_the_sensor(world, message):
    run = begun_by(world, {})
    world.instance.report_run_failed(run, message)

    last = last_event(world, run.run_id)

    assert last.startswith(f"{message} What to do: {AGAIN}; committed data is intact.")


def test_a_run_whose_worker_crashed_says_how_and_not_that_it_failed_from_outside(world):
    run = begun_by(world, {})
    world.instance.report_engine_event(
        "[DagsterApiServer] Run execution process for it was terminated by signal 9 (SIGKILL). "
        "This usually indicates much.",
        run,
    )
    world.instance.report_run_failed(run)

    assert last_event(world, run.run_id).startswith(
        f"Run execution process for it was terminated by signal 9 (SIGKILL). What to do: {AGAIN};"
    )


def test_advice_is_given_once_and_again_where_something_was_written_after_it(world):
    run = begun_by(world, {})
    world.instance.report_run_failed(run, "It was ended.")
    last_event(world, run.run_id)
    count = len(world.instance.all_logs(run.run_id))
    assert last_event(world, run.run_id).startswith("It was ended. What to do: ")
    assert len(world.instance.all_logs(run.run_id)) == count

    world.instance.report_engine_event("Process for run exited (pid: 4711).", run)
    assert last_event(world, run.run_id).startswith("It was ended. What to do: ")


def test_a_run_of_another_job_is_to_be_executed_again(world):
    job = build_defs(platform=world.platform).resolve_job_def("refresh_day")
    run = world.instance.create_run_for_job(job, tags={"dagster/partition": DAY})
    world.instance.report_run_failed(run, "It was ended.")

    assert "What to do: re-execute the run in the Dagster UI;" in last_event(world, run.run_id)


def test_mab_run_leaves_the_same_words_in_the_log_that_it_prints(make_world):
    world = make_world()
    world.settings.warehouse_path.write_bytes(b"no database at all" * 1000)
    day = dt.date.fromisoformat(DAY)

    with pytest.raises(RunFailedError) as raised:
        run_days(world.platform, Days(day, day + dt.timedelta(1)))

    with dg.DagsterInstance.get() as instance:
        (run,) = instance.get_runs()
        last = instance.all_logs(run.run_id)[-1].message
    assert str(raised.value) == f"{last} (Run {run.run_id}.)"
    assert f"mab run --date {DAY}" in last
    assert psutil.pid_exists(int(run.tags[PID_TAG]))


def test_the_remedy_in_the_log_is_data_of_its_event_and_read_back_from_there(world):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    tags = process_tags() | {PID_TAG: str(gone.pid)}
    gone.wait()
    run = begun_by(world, tags)
    last_event(world, run.run_id)

    cause = cause_of(world.instance, run)

    assert cause.reason == f"Process {gone.pid} died in mid-run; committed data is intact."
    assert cause.remedy == f"{AGAIN}."
