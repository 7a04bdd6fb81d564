"""Old data are dropped; what a replay, a rebuild, a check or the sensor needs stays."""

import os
import shutil
from datetime import UTC, date, datetime, timedelta

import pytest

from mab_pipeline.allocation.recorded import find_record
from mab_pipeline.operations import prune as prune_module
from mab_pipeline.operations.doctor import examine
from mab_pipeline.operations.prune import parse_age, prune
from mab_pipeline.operations.replay import replay
from mab_pipeline.recovery.rebuild import rebuild
from mab_store.errors import UsageError, WarehouseLostError
from mab_store.files.journal import Journal
from mab_store.warehouse.duckdb.published_copies import current_copy
from mab_store.warehouse.reader import open_reader
from tests.integration.test_sensors import requests

# MAX_WINDOW_DAYS is 2 here: 32 days can be replayed, and the first of them looks 2 days back.
AGE = 34


NEWEST = "2025-05-31"


CUTOFF = date(2025, 4, 28)  # 34 days before the day after the newest


FIRST_PROTECTED = "2025-04-30"  # 32 days before it


OLD = ("2025-04-25", "2025-04-26")


EDGE = ("2025-04-28", "2025-05-01")


PROTECTED = (FIRST_PROTECTED, EDGE[1], NEWEST)


NAME = "checkout"


OPTIONS = {"default_window_days": 1, "max_window_days": 2, "max_data_gap_days": 365}


def days(first: str, last: str) -> list[str]:
    start, end = date.fromisoformat(first), date.fromisoformat(last)
    return [str(start + timedelta(days=offset)) for offset in range((end - start).days + 1)]


def fill(make_world):
    """Days on both sides of the cutoff; of an old and a protected one there are three decisions."""
    world = make_world(now="2025-04-27T02:00:00", **OPTIONS)
    world.register(NAME, start_date="2025-04-01")
    for place, day in enumerate([*days(*OLD), *days(*EDGE), NEWEST]):
        rows = [(NAME, "control", 300, 3 + place), (NAME, "variant_a", 300, 6)]
        world.metrics(day, *rows, (NAME, "control", "x", 1))
    world.run(*OLD)
    decide_again(world, *OLD)
    world.clock.set("2025-05-02T02:00:00")
    world.run(*EDGE)
    decide_again(world, FIRST_PROTECTED, EDGE[1])
    world.clock.set("2025-06-01T02:00:00")
    world.run(NEWEST)
    return world


def decide_again(world, day: str, last: str) -> None:
    """Let two corrections come in for a day that is history, and decide it anew each time."""
    for clicks in (50, 60):
        world.metrics(day, (NAME, "variant_a", 300, clicks), name=f"late-{clicks}.csv")
        world.run(day)
    world.run(last, assets=("windowed_aggregates",))  # its window sees the day before


@pytest.fixture(scope="module")
def full(make_world):
    return fill(make_world)


@pytest.fixture(scope="module")
def before(full):
    """What there was before anything was pruned."""
    return {"tables": full.tables(volatile=True), "ill": ill_parts(full), "bodies": full.bodies()}


@pytest.fixture(scope="module")
def unpruned(full, tmp_path_factory):
    """A copy of that home as it was before anything was pruned."""
    return shutil.copytree(full.home, tmp_path_factory.mktemp("unpruned"), dirs_exist_ok=True)


@pytest.fixture
def restored(unpruned, make_world):
    """A world of its own with that content, an hour later."""
    world = make_world(now="2025-06-01T03:00:00", **OPTIONS)
    shutil.copytree(unpruned, world.home, dirs_exist_ok=True)
    return world


@pytest.fixture(scope="module")
def pruned(full, before, unpruned):
    """The same home, pruned; what was found and dropped, and what was left."""
    assert before
    assert unpruned
    found = prune(full.platform, full.instance, older_than_days=AGE, apply=True)
    return full, found, full.tables(volatile=True)


def ill_parts(world) -> list[str]:
    found = examine(world.platform, world.instance, with_api=False)
    return [f"{finding.part}: {finding.detail}" for finding in found if not finding.is_ok]


def without_days(rows, column: str, *, before_day: date):
    return [row for row in rows if row[column] >= before_day]


def test_nothing_is_changed_unless_it_is_asked_for(full, before):
    journal = sorted((full.home / "journal").glob("*/*"))
    items = prune(full.platform, full.instance, older_than_days=AGE, apply=False)
    found = {item.kind: item for item in items}
    assert full.tables(volatile=True) == before["tables"]
    assert sorted((full.home / "journal").glob("*/*")) == journal
    raw = found["rows of raw_metrics"]
    assert (raw.amount, str(raw.oldest), str(raw.newest)) == (2 * 3 + 2, *OLD)
    versions = found["rows of allocations, superseded and never published"]
    assert (versions.amount, str(versions.oldest)) == (2, OLD[0])
    assert raw.size_bytes > 0
    assert versions.size_bytes > 0


def test_what_is_dropped_is_what_was_shown_and_nothing_else(pruned, before):
    world, found, after = pruned
    amounts = {item.kind: item.amount for item in found}
    assert list(amounts.values()) == [8, 2, 0, 0, 0, 0, 0]
    tables = before["tables"]
    kept = without_days(tables["raw_metrics"], "metric_date", before_day=CUTOFF)
    assert after["raw_metrics"] == kept
    gone = [row for row in tables["allocations"] if row not in after["allocations"]]
    assert len(tables["allocations"]) - len(after["allocations"]) == len(gone) == 2
    # The first version of that day was published and the third is the newest: both stay.
    (dropped,) = {row["allocation_id"] for row in gone}
    of_day = {
        row["allocation_id"]: row["computed_at"]
        for row in tables["allocations"]
        if str(row["as_of_date"]) == OLD[0]
    }
    assert sorted(of_day, key=of_day.__getitem__).index(dropped) == 1
    others = set(tables) - {"raw_metrics", "allocations"}
    assert {name: after[name] for name in others} == {name: tables[name] for name in others}
    assert world.bodies() == before["bodies"]


def test_every_protected_day_is_replayed_bit_for_bit(pruned):
    world, *_ = pruned
    for day in PROTECTED:
        with open_reader(world.settings) as reader:
            record = find_record(reader, NAME, date.fromisoformat(day))
        result = replay(world.platform, record)
        assert (result.differences, result.notes) == ([], [])


def test_a_protected_day_runs_again_without_loading_anything_that_was_dropped(pruned, materialized):
    world, *_ = pruned
    before = world.tables(volatile=True)
    result = world.run(FIRST_PROTECTED)
    assert materialized(result, "raw_metrics") == [FIRST_PROTECTED]
    assert world.tables(volatile=True) == before


def test_sensor_checks_and_doctor_find_nothing_new(pruned, before):
    world, *_ = pruned
    assert requests(world) == []
    assert ill_parts(world) == before["ill"]
    assert world.find("daily_metrics", "every_row_is_accounted_for", *OLD) == []
    for asset in ("raw_metrics", "daily_metrics", "windowed_aggregates", "allocations"):
        world.run_checks(asset, FIRST_PROTECTED, EDGE[1])


def test_pruning_again_drops_nothing_and_journal_and_warehouse_agree(pruned):
    world, *_ = pruned
    again = prune(world.platform, world.instance, older_than_days=AGE, apply=True)
    assert [item.amount for item in again] == [0] * 7
    journaled = world.platform.journal.read("allocations").to_pylist()
    assert sorted(journaled, key=str) == world.table("allocations", volatile=True)


def test_a_rebuild_brings_the_rows_back_from_the_inbox_but_no_dropped_version(pruned, before):
    world, *_ = pruned
    allocations = world.table("allocations", volatile=True)
    for path in world.home.glob("warehouse.duckdb*"):
        path.unlink()
    rebuild(world.platform)
    assert world.tables(volatile=True) == before["tables"] | {"allocations": allocations}
    dropped = prune(world.platform, world.instance, older_than_days=AGE, apply=True)
    assert [item.amount for item in dropped] == [8, 0, 0, 0, 0, 0, 0]


def test_running_a_dropped_day_loads_it_from_the_inbox_again(pruned, before):
    world, *_ = pruned
    allocations = world.table("allocations", volatile=True)
    world.run(*OLD, assets=("raw_metrics", "daily_metrics"))
    after = world.tables(volatile=True)
    old = [row for row in before["tables"]["raw_metrics"] if str(row["metric_date"]) <= OLD[1]]
    assert [row for row in after["raw_metrics"] if str(row["metric_date"]) <= OLD[1]] == old
    assert after["daily_metrics"] == before["tables"]["daily_metrics"]
    assert after["allocations"] == allocations


def test_days_that_were_archived_by_hand_are_not_missed_by_run_or_sensor(pruned):
    world, *_ = pruned
    archive = world.home / "archive"
    archive.mkdir()
    for day in days(*OLD):
        (world.inbox / "metrics" / day).rename(archive / day)
    assert requests(world) == []
    before = world.tables(volatile=True)
    world.run(NEWEST)
    assert world.tables(volatile=True) == before


class CutShortError(Exception):
    """Stands for a kill: what is on the disk stays as it is."""


@pytest.mark.parametrize(
    ("owner", "step"),
    [
        (Journal, "write_missing"),
        (prune_module, "_prune_journal"),
        (Journal, "forget"),
        (prune_module, "_prune_files"),
        (prune_module, "_prune_dagster"),
    ],
)
def test_a_prune_that_was_cut_short_is_completed_by_the_next(
    owner, step, restored, pruned, monkeypatch
):

    def cut_short(*_arguments, **_options):
        raise CutShortError

    with monkeypatch.context() as patch:
        patch.setattr(owner, step, cut_short)
        with pytest.raises(CutShortError):
            prune(restored.platform, restored.instance, older_than_days=AGE, apply=True)
    prune(restored.platform, restored.instance, older_than_days=AGE, apply=True)
    assert restored.tables(volatile=True) == pruned[2]
    journaled = restored.platform.journal.read("allocations").to_pylist()
    assert sorted(journaled, key=str) == pruned[2]["allocations"]


def test_an_empty_warehouse_in_place_of_a_lost_one_takes_nothing_from_the_journal(restored):
    for path in restored.home.glob("warehouse.duckdb*"):
        path.unlink()
    journal = restored.platform.journal.read("allocations")
    with pytest.raises(WarehouseLostError, match="`mab rebuild`"):
        prune(restored.platform, restored.instance, older_than_days=AGE, apply=True)
    assert restored.platform.journal.read("allocations") == journal


def test_a_clock_that_jumped_ahead_makes_nothing_old(restored):
    restored.clock.set("2027-01-01T02:00:00")
    found = prune(restored.platform, restored.instance, older_than_days=AGE, apply=False)
    assert [item.amount for item in found] == [8, 2, 0, 0, 0, 0, 0]


def test_old_files_go_but_never_the_copy_that_is_served(restored):
    served = current_copy(restored.settings.published_dir)
    others = [path for path in served.parent.glob("serving-*") if path != served]
    aside = restored.home / "warehouse.duckdb.before-20250101T000000"
    unfinished = served.with_name("serving-99.duckdb.part")
    young = restored.home / "warehouse.duckdb.before-20250530T000000"
    for path in (aside, unfinished, young):
        path.write_bytes(b"old")
    for path in (served, *others, aside, unfinished):
        os.utime(path, (0, datetime(2025, 3, 1, tzinfo=UTC).timestamp()))
    copies, set_aside = prune(
        restored.platform, restored.instance, older_than_days=AGE, apply=True
    )[2:4]
    assert (copies.amount, str(copies.oldest)) == (len(others) + 1, "2025-03-01")
    assert (set_aside.amount, set_aside.size_bytes) == (1, 3)
    assert list(served.parent.glob("serving-*")) == [served]
    assert young.exists()
    assert set(restored.bodies()) == {NAME}


@pytest.mark.parametrize(("text", "age"), [("180d", 180), ("90", 90), (" 365 days ", 365)])
def test_an_age_is_a_number_of_days(text, age):
    assert parse_age(text) == age


@pytest.mark.parametrize("text", ["", "6m", "-90d", "1.5d", "ninety", "٩٠d", "9" * 9])
def test_what_is_no_age_is_refused_with_an_example(text):
    with pytest.raises(UsageError, match="write it as 180d"):
        parse_age(text)


def test_an_age_inside_the_protected_span_is_refused_with_the_least_one(full):
    with pytest.raises(UsageError, match=r"33d .* the last 32 days .* Give 34d or more"):
        prune(full.platform, full.instance, older_than_days=33, apply=False)


def test_the_command_shows_a_table_and_changes_nothing_until_it_is_told_to(restored, mab):
    command = mab(restored.home, DEFAULT_WINDOW_DAYS="1", MAX_WINDOW_DAYS="2", COLUMNS="200")
    code, out, err = command("prune", "--older-than", "34d")
    assert (code, "Nothing was changed; give --apply" in err) == (0, True)
    (row,) = [line for line in out.splitlines() if "raw_metrics" in line]
    assert " 8 " in row
    assert OLD[0] in row
    code, again, err = command("prune", "--older-than", "34d", "--apply")
    assert (code, again, "Dropped." in err) == (0, out, True)
    assert restored.query("select min(metric_date) from raw_metrics") == [(CUTOFF,)]
    code, out, err = command("prune", "--older-than", "1d")
    assert (code, out) == (2, "")
    assert "reaches into the protected days" in err
