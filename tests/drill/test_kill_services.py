"""Run worker, daemon and webserver are killed with -9 during a day's work; nothing is lost.

A real daemon with its sensor works on a home; a second home takes the same files in process and
undisturbed. In every round a file comes in and each of the three is killed at a random moment;
both homes must come to the same tables, row by row. `make drill` does that in 10 rounds
(MAB_DRILL_KILLS / 3); MAB_DRILL_SEED repeats the moments.
"""

import math
import os
import random
import sys
import time
from datetime import UTC, date, datetime, timedelta

import dagster as dg
import psutil
import pytest

from mab_pipeline.ingestion.late_data import find_arrivals
from mab_pipeline.operations.dagster_home import prepare_home
from mab_pipeline.sensors import UNFINISHED
from mab_store.clock import utc_now
from mab_store.errors import NotPublishedError
from mab_store.warehouse.table_schema import declared_tables
from tests.drill.services import answers, daemon, wait_until, webserver
from tests.integration.api.servers import free_port
from tests.integration.conftest import VOLATILE
from tests.integration.test_sensors import tick

ROUNDS = math.ceil(int(os.environ.get("MAB_DRILL_KILLS", "3")) / 3)
NAMES = [f"experiment {number}" for number in range(3)]
FIRST = date(2025, 3, 10)
# A file is noticed within a tick (30 s) and loaded soon after; a run worker lives for about 8 s.
WORK_SECONDS, WORKER_SECONDS = 40, 8


@pytest.fixture(scope="module")
def worlds(make_world):
    """The home that the daemon works on, and the undisturbed one; the registry is in both."""
    disturbed, undisturbed = make_world(clock=utc_now), make_world(clock=utc_now)
    for world in (disturbed, undisturbed):
        for name in NAMES:
            world.register(name, "control", "b")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DAGSTER_HOME")
        prepare_home(disturbed.settings)
        with dg.DagsterInstance.get() as instance:
            disturbed.instance = instance
            yield disturbed, undisturbed


@pytest.fixture(scope="module")
def services(worlds):
    settings, port = worlds[0].settings, free_port()
    # The schedule is on; its hour is the one that is farthest away.
    hour = str((datetime.now(UTC).hour + 12) % 24)
    started = (
        daemon(settings, MAB_SCHEDULE_HOUR=hour),
        webserver(settings, port, MAB_SCHEDULE_HOUR=hour),
    )
    try:
        yield *started, port
    finally:
        for service in started:
            service.end()


@pytest.mark.drill
@pytest.mark.parametrize("number", range(ROUNDS))
def test_a_day_s_work_comes_to_the_same_end_whatever_was_killed_in_it(
    number, worlds, services, seed
):
    disturbed, undisturbed = worlds
    come_in(worlds, number)
    tick(undisturbed)
    expected = tables_of(undisturbed)

    kill_each_once(services, random.Random(seed + number), label=f"MAB_DRILL_SEED={seed} {number}")

    # A run that was killed after it had loaded its files is asked for again a tick later.
    wait_until(lambda: tables_of(disturbed) == expected, "the tables are the undisturbed ones")
    wait_until(lambda: serves_what(disturbed, undisturbed), "what is served is the same")
    wait_until(lambda: is_idle(disturbed), "every file is loaded and no run is at work")
    wait_until(lambda: answers(services[2]), "the webserver answers again")
    assert tables_of(disturbed) == expected
    assert serves_what(disturbed, undisturbed)


@pytest.mark.drill
@pytest.mark.usefixtures("services")
def test_after_the_drill_the_next_run_is_green_and_changes_nothing(worlds, mab):
    disturbed, _ = worlds
    before = tables_of(disturbed)
    code, _, err = mab(disturbed.home)("run", "--date", str(newest_day(ROUNDS - 1)))
    assert code == 0, err
    assert tables_of(disturbed) == before
    wait_until(lambda: is_idle(disturbed), "no run is at work")
    statuses = {run.status for run in disturbed.instance.get_runs()}
    assert statuses <= {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE}


def newest_day(number: int) -> date:
    return FIRST + timedelta(days=(number + 1) // 2)


def come_in(worlds, number: int) -> None:
    """Let a file come in, whole at once: a day's export, or a late one for the day before."""
    is_late = number > 0 and number % 2 == 0
    day = newest_day(number) - timedelta(days=1 if is_late else 0)
    lines = ["experiment,variant_name,impressions,clicks"]
    clicks = {"control": 5 + number, "b": 9 + number}
    lines += [f"{name},{variant},300,{clicks[variant]}" for name in NAMES for variant in clicks]
    for world in worlds:
        world.platform.inbox.write(f"metrics/{day}/{number:02}.csv", "\n".join(lines).encode())


def kill_each_once(services, moments: random.Random, *, label: str) -> None:
    """Kill run worker, daemon and webserver once each; start the latter two again at once."""
    began = time.monotonic()
    due = {service: moments.uniform(0, WORK_SECONDS) for service in services[:2]}
    worker, life = None, moments.uniform(0, WORKER_SECONDS)
    for service in due:
        service.start_if_down()
    while due or worker is None or worker.is_running():
        elapsed = time.monotonic() - began
        assert elapsed < 300, "no run worker came"
        for service in [service for service, moment in due.items() if moment <= elapsed]:
            sys.stdout.write(f"{label}: {service} after {elapsed:.2f} s\n")
            service.kill()
            service.start()
            del due[service]
        if worker is None and (workers := services[0].run_workers()):
            worker, life = workers[0], elapsed + life
        if worker is not None and worker.is_running() and elapsed >= life:
            sys.stdout.write(f"{label}: run worker after {elapsed:.2f} s\n")
            end(worker)
        time.sleep(0.05)


def end(process: psutil.Process) -> None:
    try:
        process.kill()
        process.wait(30)
    except psutil.NoSuchProcess:
        return


def is_idle(world) -> bool:
    arrivals = find_arrivals(world.platform)
    unfinished = world.instance.get_runs_count(dg.RunsFilter(statuses=UNFINISHED))
    return not (arrivals.metrics or arrivals.events or unfinished)


def tables_of(world) -> dict[str, list[tuple[object, ...]]]:
    """Return every table, read in a transaction as the pipeline does: never beside a run."""
    found = {}
    with world.platform.warehouse.transaction() as transaction:
        for name, table in declared_tables().items():
            if name == "judged_days":  # it only saves time, and hashes times of receipt
                continue
            columns = ", ".join(c.name for c in table.columns if c.name not in VOLATILE)
            rows = transaction._connection.sql(f"select {columns} from {name}").fetchall()
            found[name] = sorted(rows, key=str)
    return found


def serves_what(world, other) -> bool:
    """Say whether both homes serve the same decisions, of all experiments."""
    try:
        found = served(world)
    except NotPublishedError:
        return False
    return set(found) == set(NAMES) and found == served(other)


def served(world) -> dict[str, object]:
    """Return which decision each experiment is served, by name."""
    return {
        name: (body["as_of_date"], body["allocation_id"], body["allocations"])
        for name, body in world.bodies().items()
    }
