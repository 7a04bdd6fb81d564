"""Runs whose process died are marked as failed; those of a living one never."""

import dagster as dg
import psutil
import pytest
from dagster._core.test_utils import create_run_for_test

from mab_pipeline.runs.liveness import PARENT_TAG, fail_dead_runs
from mab_pipeline.runs.tags import PID_TAG, STARTED_TAG

EARLIER = "mab/pid", "mab/process_started"  # as earlier versions wrote them


@pytest.mark.parametrize("names", [(PID_TAG, STARTED_TAG), EARLIER], ids=["hidden", "earlier"])
@pytest.mark.parametrize("status", ["NOT_STARTED", "STARTING", "STARTED"])
def test_of_unfinished_runs_those_are_marked_failed_whose_process_is_gone(status, names):
    me = psutil.Process()
    pid, started = names
    mine = {pid: str(me.pid), started: repr(me.create_time())}
    # A process id is used again: the same number with another birth is another process.
    dead = mine | {started: "1.0"}
    tags = {"dead": dead, "alive": mine, "of the daemon": {}}
    tags["a re-execution of the dead one, which inherits tags"] = dead | {PARENT_TAG: "its run"}
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
        assert {after[name] for name in ids if name != "dead"} == {dg.DagsterRunStatus[status]}
        assert fail_dead_runs(instance) == []
