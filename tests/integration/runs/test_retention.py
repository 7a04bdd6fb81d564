"""Old runs, check results and ticks of Dagster go; nothing that checks or doctor read does."""

from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.remote_origin import (
    InProcessCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    TickData,
    TickStatus,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from mab_pipeline.runs.retention import (
    forget,
    forget_check_results,
    forget_ticks,
    give_space_back,
    old_check_results,
    old_runs,
    old_ticks,
    size_of,
)

ORIGIN = RemoteInstigatorOrigin(
    repository_origin=RemoteRepositoryOrigin(
        InProcessCodeLocationOrigin(LoadableTargetOrigin(module_name="m")), "r"
    ),
    instigator_name="inbox_sensor",
)


@dg.asset
def counted() -> None:
    """Stands for any asset; the runs, their events and logs are Dagster's own."""


def test_old_runs_go_with_events_and_logs_but_not_those_that_checks_and_doctor_read(tmp_path):
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        runs = [dg.materialize([counted], instance=instance).run_id for _ in range(3)]
        later = datetime.now(UTC) + timedelta(days=1)
        assert old_runs(instance, before=later - timedelta(days=2)) == []
        old = [run_id for run_id, _ in old_runs(instance, before=later)]
        assert old == runs[:2]  # the third materialised the asset last
        size = size_of(instance, runs[0])
        assert size > 0
        for run_id in runs[:2]:
            forget(instance, run_id)
        assert [run.run_id for run in instance.get_runs()] == runs[2:]
        assert [size_of(instance, run_id) for run_id in runs[:2]] == [0, 0]
        assert not [path for path in tmp_path.rglob("*") if runs[0] in path.name]
        assert instance.get_latest_materialization_event(dg.AssetKey("counted")).run_id == runs[2]
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        forget(instance, runs[0])  # as after a crash
        assert [run.run_id for run in instance.get_runs()] == runs[2:]


@dg.asset_check(asset=counted)
def is_right() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True, metadata={"text": "x" * 200_000})


def test_results_of_checks_and_ticks_do_not_grow_index_db_for_ever(tmp_path):
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        for _ in range(8):
            dg.materialize([counted, is_right], instance=instance)
        index = tmp_path / "history" / "runs" / "index.db"
        grown = index.stat().st_size
        later = datetime.now(UTC) + timedelta(days=1)
        assert old_check_results(instance, before=later - timedelta(days=2)) == []
        runs = old_runs(instance, before=later)
        for run_id, _ in runs:
            forget(instance, run_id)
        results = old_check_results(instance, before=later)
        assert len(results) == 7  # the newest result of the check stays
        assert min(size for size, _ in results) > 200_000

        forget_check_results(instance, before=later)
        give_space_back(instance)

        assert old_check_results(instance, before=later) == []
        assert index.stat().st_size < grown / 4
        key = dg.AssetCheckKey(dg.AssetKey("counted"), "is_right")
        assert instance.event_log_storage.get_latest_asset_check_execution_by_key([key])


def test_old_ticks_go(tmp_path):
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        now = datetime.now(UTC)
        state = InstigatorState(ORIGIN, InstigatorType.SENSOR, InstigatorStatus.RUNNING)
        instance.add_instigator_state(state)
        for age in (100, 1):
            instance.create_tick(
                TickData(
                    instigator_origin_id=state.instigator_origin_id,
                    instigator_name="inbox_sensor",
                    instigator_type=InstigatorType.SENSOR,
                    status=TickStatus.SUCCESS,
                    timestamp=(now - timedelta(days=age)).timestamp(),
                    run_ids=[],
                    selector_id=state.selector_id,
                )
            )
        before = now - timedelta(days=90)

        assert old_ticks(instance, before=before) == [(now - timedelta(days=100)).date()]
        forget_ticks(instance, before=before)

        ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id)
        assert [tick.timestamp for tick in ticks] == [(now - timedelta(days=1)).timestamp()]
