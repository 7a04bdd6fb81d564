"""Faults and what is left after them: nothing lost, nothing doubled, and the next run is green.

The table in docs/OPERATIONS.md names for each fault the test that proves it; many are beside the
part that they are about, the others are here. Random kills are in `tests/drill`.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.test_sensors import requests, tick
from tests.python_path import python_path

ROOT = Path(__file__).resolve().parents[3]
DAY, NEXT, AFTER = "2025-03-18", "2025-03-19", "2025-03-20"
NAME = "checkout"


def export(world, day: str, *, clicks: int = 3, name: str = "export.csv") -> None:
    rows = [(NAME, "control", 300, clicks), (NAME, "variant_a", 300, clicks + 4)]
    world.metrics(day, *rows, name=name)


@pytest.fixture(scope="module")
def decided(make_world):
    """A home in which a day was decided; the next day's file lies there."""
    world = make_world(now="2025-03-19T02:00:00")
    world.register(NAME)
    export(world, DAY)
    world.run(DAY)
    export(world, NEXT)
    return world


@pytest.fixture
def world(decided, make_world):
    """A copy of it, a day later."""
    world = make_world(now="2025-03-20T02:00:00")
    shutil.copytree(decided.home, world.home, dirs_exist_ok=True)
    return world


@pytest.fixture(scope="module")
def expected(decided, make_world):
    """The tables after the next day, undisturbed."""
    world = make_world(now="2025-03-20T02:00:00")
    shutil.copytree(decided.home, world.home, dirs_exist_ok=True)
    world.run(NEXT)
    return world.tables()


def without_liveness(tables):
    """Leave out was_live: the processes run by the real clock, for which that day is long past."""
    rows = [{k: v for k, v in row.items() if k != "was_live"} for row in tables["publications"]]
    return tables | {"publications": rows}


# A full disk

QUOTA = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
os.execv(sys.argv[2], sys.argv[2:])
"""


def with_quota(world, largest_file: int, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a program whose files cannot grow beyond a size; any user may ask that of the kernel."""
    return subprocess.run(
        [sys.executable, "-c", QUOTA, str(largest_file), *command],
        env={"MAB_HOME": str(world.home), "PYTHONPATH": python_path(ROOT)},
        cwd=world.home,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.mark.parametrize("share", [0, 0.5])
def test_where_nothing_more_can_be_written_a_run_says_so_and_the_next_one_makes_it_good(
    share, world, expected
):
    before = world.bodies()
    largest = int(world.settings.warehouse_path.stat().st_size * share)
    mab = str(Path(sys.executable).with_name("mab"))
    result = with_quota(world, largest, mab, "run", "--date", NEXT)
    last_lines = result.stderr[result.stderr.rindex("mab: ") :]
    assert result.returncode == 1
    assert "free space" in last_lines
    assert world.bodies() == before
    world.run(NEXT)
    assert without_liveness(world.tables()) == without_liveness(expected)


PUBLISH = """
from mab_pipeline.resources import build_platform
from mab_pipeline.allocation.publish import serve
from mab_store.settings import load_settings
serve(build_platform(load_settings()))
"""


def test_a_copy_that_does_not_fit_leaves_the_old_answer_and_the_next_run_publishes(world, expected):
    before = world.bodies()
    # Nothing is to be written but the copy, which is as large as the warehouse.
    largest = world.settings.warehouse_path.stat().st_size // 2
    result = with_quota(world, largest, sys.executable, "-c", PUBLISH)
    assert result.returncode == 1
    assert "The previous copy is still served; free space" in result.stderr
    assert not list(world.settings.published_dir.glob("*.part"))
    assert world.bodies() == before
    world.run(NEXT)
    assert without_liveness(world.tables()) == without_liveness(expected)
    assert world.bodies()[NAME]["as_of_date"] == NEXT


# Things that were deleted, or came back


def test_a_deleted_publication_is_made_good_by_the_next_run(world):
    served = world.bodies()
    shutil.rmtree(world.settings.published_dir)
    world.run(DAY)
    assert world.bodies() == served


def test_a_backup_of_the_inbox_with_new_file_times_brings_nothing_new(world):
    world.run(NEXT)
    before = world.tables(volatile=True)
    backup = shutil.copytree(world.inbox, world.home / "backup", copy_function=shutil.copyfile)
    shutil.rmtree(world.inbox)
    backup.rename(world.inbox)
    assert requests(world) == []
    world.run(DAY, NEXT)
    assert world.tables(volatile=True) == before


def test_files_that_an_older_backup_lacks_are_taken_up_again_once_they_are_back(world):
    export(world, NEXT, clicks=9, name="later.csv")
    world.run(NEXT)
    before, served = world.tables(volatile=True), world.bodies()
    file = world.inbox / f"metrics/{NEXT}/later.csv"
    file.unlink()
    assert requests(world) == []
    world.run(NEXT)
    assert len(world.find("raw_metrics", "files_never_change", NEXT)) == 1
    export(world, NEXT, clicks=9, name="later.csv")
    world.run(NEXT)
    after = world.tables(volatile=True)
    for table in ("inbox_files", "raw_metrics", "daily_metrics", "windowed_aggregates"):
        assert after[table] == before[table]
    assert world.bodies()[NAME]["allocation_id"] == served[NAME]["allocation_id"]


# Two at once


def test_two_runs_of_the_same_day_at_once_leave_what_one_leaves(world, expected, mab):
    started = [mab(world.home).start("run", "--date", NEXT) for _ in range(2)]
    outcomes = [process.communicate(timeout=600)[1] for process in started]
    assert [process.returncode for process in started] == [0, 0], outcomes
    assert without_liveness(world.tables()) == without_liveness(expected)
    assert set(world.bodies()) == {NAME}


# A clock that jumps


def test_a_clock_that_was_a_day_ahead_doubles_nothing_and_what_comes_after_it_counts(world):
    world.clock.set("2025-03-21T02:00:00")  # it is the 20th
    assert tick(world) == {"daily_allocation": (NEXT, NEXT)}
    ahead = world.tables(volatile=True)
    world.clock.set("2025-03-20T03:00:00")
    assert tick(world) == {}
    export(world, NEXT, clicks=30, name="correction.csv")
    assert tick(world)["daily_allocation"] == (NEXT, NEXT)
    # What was decided and published stays as it was; the correction is what counts now.
    after = world.tables(volatile=True)
    for table in ("allocations", "publications"):
        assert [row for row in ahead[table] if row not in after[table]] == []
        assert len(after[table]) == len(ahead[table]) * 3 // 2
    assert world.windows(NAME, NEXT)["control"] == ("default_window", 2, 600, 33)
    assert world.bodies()[NAME]["allocations"][0]["metrics"]["clicks"] == 33


def test_a_clock_that_falls_a_day_back_and_recovers_doubles_nothing(world, expected):
    world.clock.set("2025-03-19T01:00:00")  # NEXT is not over by this clock
    assert tick(world) == {}
    world.clock.set("2025-03-20T02:00:00")
    assert tick(world) == {"daily_allocation": (NEXT, NEXT)}
    assert tick(world) == {}
    assert world.tables() == expected


# The table


def test_every_test_that_the_table_of_faults_names_exists():
    text = (ROOT / "docs/OPERATIONS.md").read_text("utf-8")
    section = text.split("## Faults and recovery")[1].split("\n## ")[0]
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", section)
    assert len(named) >= 12
    for path, test in named:
        assert f"def {test}(" in (ROOT / path).read_text("utf-8"), f"{path}::{test}"
