"""Runs whose process died are marked as failed; those of a living one never."""

import dagster as dg
import psutil
import pytest
from dagster._core.test_utils import create_run_for_test

from mab_pipeline.runs.liveness import PID_TAG, STARTED_TAG, fail_dead_runs


@pytest.mark.parametrize("status", ["NOT_STARTED", "STARTING", "STARTED"])
def test_of_unfinished_runs_those_are_marked_failed_whose_process_is_gone(status):
    me = psutil.Process()
    mine = {PID_TAG: str(me.pid), STARTED_TAG: repr(me.create_time())}
    # A process id is used again: the same number with another birth is another process.
    tags = {"dead": mine | {STARTED_TAG: "1.0"}, "alive": mine, "of the daemon": {}}
    with dg.DagsterInstance.ephemeral() as instance:
        ids = {
            name: create_run_for_test(
                instance, job_name="job", tags=of_run, status=dg.DagsterRunStatus[status]
            ).run_id
            for name, of_run in tags.items()
        }
        assert fail_dead_runs(instance) == [ids["dead"]]
        after = {name: instance.get_run_by_id(run_id).status for name, run_id in ids.items()}
        assert after["dead"] == dg.DagsterRunStatus.FAILURE
        assert after["alive"] == after["of the daemon"] == dg.DagsterRunStatus[status]
        assert fail_dead_runs(instance) == []
