"""`mab run` is killed with -9 at a random moment; the next one leaves what one run alone leaves.

Of three kills of a drill (MAB_DRILL_KILLS) one is of a command; the others are in
`test_kill_services.py`.
"""

import math
import os
import random
import shutil
import subprocess
import sys
import time
from datetime import date, timedelta

import dagster as dg
import pytest

from mab_pipeline.operations.run import run_days
from mab_store.clock import utc_now
from mab_store.days import Days
from mab_store.files.journal import JOURNALED, last_of_each_file
from mab_store.warehouse.table_schema import declared_tables

KILLS = math.ceil(int(os.environ.get("MAB_DRILL_KILLS", "3")) / 3)
BEFORE, FIRST, LAST = date(2025, 3, 10), date(2025, 3, 11), date(2025, 3, 12)
COMMAND = ("run", "--from", str(FIRST), "--to", str(LAST))


@pytest.fixture(scope="module")
def template(make_world, mab):
    """A home in which a day ran; files of two more days lie there, and a late one of the first."""
    world = make_world()
    names = [f"experiment {number}" for number in range(6)]
    for name in names:
        world.register(name, "control", "b", "c")

    def export(day, *, name="export.csv", clicks=5):
        rows = [
            (experiment, variant, 300, clicks + place)
            for experiment in names
            for place, variant in enumerate(("control", "b", "c"))
        ]
        world.metrics(str(day), *rows, name=name)

    export(BEFORE)
    code, _, err = mab(world.home)("run", "--date", str(BEFORE))
    assert code == 0, err
    export(BEFORE, name="a_correction.csv", clicks=9)
    for offset in range((LAST - FIRST).days + 1):
        export(FIRST + timedelta(days=offset))
    world.drop(f"metrics/{LAST}/broken.json", "{")
    return world


@pytest.fixture
def copy_of(template, make_world):
    """Make a world of the same content, on the real clock."""

    def copy():
        world = make_world(clock=utc_now)
        shutil.copytree(template.home, world.home, dirs_exist_ok=True)
        return world

    return copy


@pytest.fixture(scope="module")
def undisturbed(template, make_world, mab):
    """The tables that an undisturbed run leaves, when its first word came, and when it ended."""
    world = make_world()
    shutil.copytree(template.home, world.home, dirs_exist_ok=True)
    began = time.monotonic()
    process = mab(world.home).start(*COMMAND)
    process.stderr.readline()
    spoke = time.monotonic() - began
    process.communicate()
    lasted = time.monotonic() - began
    assert process.returncode == 0
    return world.tables(), spoke, lasted


@pytest.mark.drill
@pytest.mark.parametrize("number", range(KILLS))
def test_a_run_that_a_kill_ended_is_made_good_by_the_next_one(
    number, copy_of, undisturbed, mab, monkeypatch, seed
):
    expected, spoke, lasted = undisturbed
    # Importing is the first part of a run's life, in which a kill has nothing to disturb.
    delay = random.Random(seed + number).uniform(0.5 * spoke, lasted)
    sys.stdout.write(f"MAB_DRILL_SEED={seed}: kill {number} after {delay:.3f} of {lasted:.3f} s\n")
    world = copy_of()
    process = mab(world.home).start(*COMMAND)
    try:
        process.wait(timeout=delay)
    except subprocess.TimeoutExpired:
        process.kill()
    process.communicate()
    monkeypatch.setenv("DAGSTER_HOME", str(world.home / "dagster"))
    run_days(world.platform, Days(FIRST, LAST + timedelta(days=1)))
    assert world.tables() == expected
    check_journal(world)
    check_history(was_killed=process.returncode < 0)
    assert set(world.bodies()) == {f"experiment {n}" for n in range(6)}
    assert not list(world.settings.published_dir.glob("*.part"))


def check_journal(world):
    """The journal and the warehouse hold the same rows."""
    for table in JOURNALED:
        journaled = world.platform.journal.read(table)
        if table == "inbox_files":
            journaled = last_of_each_file(journaled)
        names = [column.name for column in declared_tables()[table].columns]
        rows = [tuple(row[name] for name in names) for row in journaled.to_pylist()]
        assert sorted(rows, key=str) == sorted(world.query(f"select * from {table}"), key=str)


def check_history(*, was_killed):
    """Dagster holds no run that seems to be alive; one that began and was killed is a failure."""
    with dg.DagsterInstance.get() as instance:
        newest, *older = [run.status for run in instance.get_runs()]
    assert newest == dg.DagsterRunStatus.SUCCESS
    assert set(older) <= {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE}
    if not was_killed:
        assert dg.DagsterRunStatus.FAILURE not in older
