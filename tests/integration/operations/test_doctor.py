"""`mab doctor`: each part is looked at, and a remedy stands beside what failed."""

import time
from dataclasses import replace

import dagster as dg
import pytest
from dagster._daemon.types import DaemonHeartbeat

from mab_pipeline.cli.doctor import print_findings
from mab_pipeline.ingestion.late_data import find_arrivals
from mab_pipeline.jobs import LOADED
from mab_pipeline.operations.doctor import Finding, examine
from mab_pipeline.recovery.rebuild import rebuild
from mab_pipeline.runs.tags import ARRIVALS_TAG
from mab_pipeline.sensors import ATTEMPTS
from mab_store.experiments.schemas import experiment_id_of


def findings(world):
    found = examine(world.platform, world.instance, with_api=False)
    return {finding.part: finding for finding in found}


@pytest.fixture(scope="module")
def decided(make_world):
    return decide(make_world())


def decide(world):
    world.register("cta")
    world.metrics("2025-03-19", ("cta", "control", 1000, 30), ("cta", "variant_a", 1000, 40))
    world.run("2025-03-19")
    return world


def test_a_new_home_is_told_what_to_do_first(world):
    found = findings(world)

    assert "mab run" in found["runs"].remedy
    assert "Nothing is published" in found["publication"].detail


def test_all_is_ok_after_a_run(decided):
    assert all(finding.is_ok for finding in findings(decided).values())


def test_a_file_that_is_not_loaded_is_named(decided):
    name = decided.metrics("2025-03-18", ("cta", "control", 10, 1), name="late.csv")

    finding = findings(decided)["inbox"]

    assert not finding.is_ok
    assert name in finding.detail


@pytest.mark.parametrize(
    ("day", "command"),
    [
        ("2025-03-17", "`mab run --date 2025-03-19`"),
        ("2025-02-01", "`mab load --from 2025-02-01 --to 2025-02-01`"),
    ],
)
def test_the_remedy_for_a_file_that_waits_loads_it_however_old_it_is(make_world, day, command):
    world = decide(make_world())
    world.metrics(day, ("cta", "control", 10, 1), name="late.csv")

    finding = findings(world)["inbox"]

    assert command in finding.remedy
    world.run(command.strip("`").split()[-1], assets=tuple(LOADED) if "load" in command else ())
    assert findings(world)["inbox"].is_ok


def test_files_that_a_daemon_s_sensor_takes_are_nothing_to_act_on_until_it_gives_up(
    make_world, tmp_path
):
    world = decide(make_world())
    world.instance = dg.DagsterInstance.local_temp(str(tmp_path))
    world.metrics("2025-03-17", ("cta", "control", 10, 1), name="late.csv")
    world.instance.add_daemon_heartbeat(DaemonHeartbeat(time.time(), "SENSOR", "here"))
    assert findings(world)["inbox"].is_ok

    tags = {ARRIVALS_TAG: find_arrivals(world.platform).key}
    for _ in range(ATTEMPTS):
        run = world.instance.create_run_for_job(world.job, tags=tags)
        world.instance.report_run_failed(run)
    assert not findings(world)["inbox"].is_ok


def test_checks_are_reported_as_the_next_run_would_after_a_rebuild_too(make_world):
    world = decide(make_world(now="2025-03-20T02:00:00"))
    world.clock.set("2025-03-24T02:00:00")
    world.run("2025-03-23")

    before = findings(world)["checks"]
    rebuild(world.platform)
    after = findings(world)["checks"]

    assert not before.is_ok
    assert "publication.feeds_are_alive" in before.detail
    assert before.experiments == (experiment_id_of("cta"),)
    assert after == before
    assert "finish the experiment" in before.remedy.lower() or "Finish one" in before.remedy


def test_a_publication_that_is_late_is_told_with_the_day_that_is_due(decided):
    now = decided.clock.now
    decided.clock.set("2025-03-25T09:00:00")
    finding = findings(decided)["publication"]
    decided.clock.now = now

    assert not finding.is_ok
    assert "mab run --date 2025-03-24" in finding.remedy


def test_a_failed_run_is_told(decided):
    run = decided.instance.create_run_for_job(decided.job)
    decided.instance.report_run_failed(run)
    finding = findings(decided)["runs"]
    decided.instance.delete_run(run.run_id)

    assert not finding.is_ok
    assert run.run_id in finding.detail


def test_a_broken_warehouse_is_a_finding_and_no_traceback(make_world):
    world = make_world()
    world.settings.warehouse_path.write_bytes(b"no database at all" * 1000)

    assert "mab rebuild" in findings(world)["warehouse"].detail


def test_an_api_that_nobody_runs_is_told(world, free_port):
    platform = world.platform
    settings = world.settings.model_copy(update={"api_port": free_port})
    found = examine(
        replace(platform, settings=settings),
        dg.DagsterInstance.ephemeral(),
    )
    (finding,) = [finding for finding in found if finding.part == "api"]

    assert not finding.is_ok
    assert str(free_port) in finding.detail


def test_each_part_is_printed_as_ok_or_fail_with_experiments_and_remedy(capsys):
    print_findings(
        [
            Finding("runs", is_ok=True, detail="the last one is success"),
            Finding("gate", is_ok=False, detail="held", remedy="Mend it.", experiments=("exp_1",)),
        ]
    )

    lines = capsys.readouterr().out.splitlines()

    assert lines == [
        "ok   runs: the last one is success",
        "fail gate: held",
        "     experiments: exp_1",
        "     Mend it.",
    ]
