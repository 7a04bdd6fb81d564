"""Every past allocation can be computed again, and told."""

import dataclasses
import io

import numpy as np
import pytest
from rich.console import Console

from mab_pipeline.allocation.recorded import find_allocation, find_record
from mab_pipeline.cli.console import rendered
from mab_pipeline.operations.explain import explain
from mab_pipeline.operations.replay import replay
from mab_store.errors import NotPublishedError, ReplayError
from mab_store.warehouse.reader import open_reader
from tests.integration.dashboard.again import decided_again
from tests.integration.steps import load, run

DAYS = ("2025-03-12", "2025-03-13", "2025-03-14")
NAMES = ("checkout", "thin", "unregistered", "predated", "silent")


def record_of(world, name, day):
    with open_reader(world.settings) as copy:
        return find_record(copy, name, world.clock.now.date() if day is None else day)


@pytest.fixture(scope="module")
def world(make_world):
    """Three days; then late files, a correction and a changed registry came, and the days again."""
    world = make_world(now="2025-03-15T02:00:00")
    world.register("checkout", "control", "b", "c")
    world.register("thin")
    world.register("silent")
    # Older than any window, but what the experiment owes its start to: it was registered late.
    world.metrics("2025-01-20", ("unregistered", "control", 500, 5), name="old.csv")
    world.register("unregistered", created="2025-03-14T23:00:00Z")
    # Somebody's file says that it was made in the future.
    world.metrics("2025-01-21", ("predated", "control", 500, 5), name="old.csv")
    world.register("predated", created="2025-06-01T00:00:00Z")
    world.metrics("2025-02-20", ("thin", "control", 250, 5))  # in the 30 days alone
    for place, day in enumerate(DAYS):
        rows = [("checkout", v, 300, 3 + i * place) for i, v in enumerate(("control", "b", "c"))]
        world.metrics(day, *rows, ("thin", "variant_a", 20, 1), ("checkout", "b", "x", 1))
    load(world, "2025-01-20", "2025-01-21")
    run(world, DAYS[0], DAYS[2])
    world.first = {(name, day): record_of(world, name, day) for name in NAMES for day in DAYS}
    world.clock.set("2025-03-15T12:00:00")
    world.metrics(DAYS[0], ("checkout", "b", 900, 90), name="a_late.csv")
    world.metrics(DAYS[1], ("checkout", "c", 5, 5), name="correction.csv")
    world.metrics("2025-03-01", ("thin", "control", 600, 60), name="late.csv")
    world.change("checkout", "2025-03-15T10:00:00Z", retire_variants=["c"], add_variants=["d"])
    run(world, DAYS[0], DAYS[2], republish=True)
    return world


@pytest.mark.parametrize("name", NAMES)
def test_every_decision_is_replayed_bit_for_bit_before_and_after_what_came_late(world, name):
    for day in DAYS:
        for record in (world.first[name, day], record_of(world, name, day)):
            result = replay(world.platform, record)
            assert result.differences == []
            assert result.notes == []
            assert result.files > 0


def test_what_came_late_made_another_decision(world):
    before, after = world.first["checkout", DAYS[1]], record_of(world, "checkout", DAYS[1])
    assert before.head["allocation_id"] != after.head["allocation_id"]
    assert after.versions == 2
    assert (before.rows["b"]["impressions"], after.rows["b"]["impressions"]) == (600, 1200)
    old, new = world.first["thin", DAYS[1]], record_of(world, "thin", DAYS[1])
    assert (old.rows["control"]["data_source"], new.rows["control"]["data_source"]) == (
        "max_window",
        "default_window",
    )


def ids(world) -> set[str]:
    return {name for (name,) in world.query("select distinct allocation_id from allocations")}


def test_every_decision_ever_made_is_replayed_by_its_id_and_not_only_the_last_of_its_day(world):
    first, last = world.first["checkout", DAYS[1]], record_of(world, "checkout", DAYS[1])
    assert set(last.version_ids) == {name.head["allocation_id"] for name in (first, last)}
    with open_reader(world.settings) as copy:
        records = [find_allocation(copy, name) for name in sorted(ids(world))]
        by_name = find_allocation(copy, first.head["allocation_id"], "checkout")
    assert len(records) > len(NAMES) * len(DAYS)
    assert by_name == dataclasses.replace(first, version_ids=by_name.version_ids, rows=by_name.rows)
    for record in (by_name, *(r for r in records if r.experiment_name == "checkout")):
        assert replay(world.platform, record).is_exact


@pytest.mark.parametrize("experiment", [None, "thin"])
def test_an_allocation_that_is_not_there_is_said_in_a_sentence(world, experiment):
    own = world.first["checkout", DAYS[1]].head["allocation_id"]
    with (
        open_reader(world.settings) as copy,
        pytest.raises(NotPublishedError, match="No allocation"),
    ):
        find_allocation(copy, own if experiment else "nothing", experiment)


def changed(record, **columns):
    rows = {name: dict(row) for name, row in record.rows.items()}
    for row in rows.values():
        row.update(columns)
    return dataclasses.replace(record, rows=rows)


def test_a_tampered_share_is_found_and_shown(world):
    record = record_of(world, "checkout", DAYS[1])
    stored = record.rows["b"]["allocation_hundredths"]
    tampered = changed(record)
    tampered.rows["b"]["allocation_hundredths"] = stored + 1
    result = replay(world.platform, tampered)
    assert result.differences == [("b", "allocation_hundredths", stored + 1, stored)]
    assert not result.is_exact


def test_a_row_that_is_missing_or_invented_is_found(world):
    record = record_of(world, "checkout", DAYS[1])
    rows = {"invented" if name == "b" else name: row for name, row in record.rows.items()}
    result = replay(world.platform, dataclasses.replace(record, rows=rows))
    assert ("b", "row", "absent", "present") in result.differences
    assert ("invented", "row", "present", "absent") in result.differences


def test_replay_says_when_code_or_numpy_have_changed(world):
    record = changed(
        record_of(world, "checkout", DAYS[1]), code_version="abc", numpy_version="1.0.0"
    )
    notes = replay(world.platform, record).notes
    assert len(notes) == 2
    assert "the rule's code is " in notes[0]
    assert notes[0].endswith(" now, abc then")
    assert notes[1] == f"numpy is {np.__version__} now, 1.0.0 then"


def test_replay_uses_the_recorded_settings_and_not_those_of_today(world):
    record = record_of(world, "checkout", DAYS[1])
    settings = world.settings.model_copy(update={"min_impressions": 10**9, "prior_alpha": 50.0})
    platform = dataclasses.replace(world.platform, settings=settings)
    assert replay(platform, record).is_exact


def test_replay_says_which_file_is_gone_and_which_changed(world):
    gone = world.inbox / f"metrics/{DAYS[0]}/export.csv"
    other = world.inbox / f"metrics/{DAYS[1]}/export.csv"
    contents = {path: path.read_bytes() for path in (gone, other)}
    gone.unlink()
    other.write_bytes(contents[other].replace(b"300", b"301"))
    try:
        result = replay(world.platform, world.first["checkout", DAYS[1]])
    finally:
        for path, content in contents.items():
            path.write_bytes(content)
    assert result.notes == [
        f"metrics/{DAYS[0]}/export.csv is no longer in the inbox",
        f"metrics/{DAYS[1]}/export.csv has another content than then",
    ]
    # Only the second day is left, with one impression more: 301 instead of 600.
    assert ("b", "impressions", 600, 301) in result.differences


def test_a_run_while_a_file_is_gone_keeps_the_decision_and_its_replay_is_the_same(make_world):
    world = make_world(now="2025-03-15T02:00:00")
    world.register("checkout")
    for number, name in enumerate(("here.csv", "gone.csv")):
        variant = ("control", "variant_a")[number]
        world.metrics(DAYS[0], ("checkout", variant, 300 + number, 3), name=name)
    path = world.inbox / f"metrics/{DAYS[0]}/gone.csv"
    content = path.read_bytes()
    moments = []
    for present in (True, False, True):
        path.write_bytes(content) if present else path.unlink()
        world.clock.set(f"2025-03-15T0{3 + len(moments)}:00:00")
        run(world, DAYS[0])
        moments.append(record_of(world, "checkout", DAYS[0]).head["allocation_id"])
    assert len(set(moments)) == 1  # a day whose files are not all there stays as it is (adr/0017)

    with open_reader(world.settings) as copy:
        result = replay(world.platform, find_allocation(copy, moments[0]))

    assert result.differences == []
    assert result.notes == []


def test_replay_writes_nothing(world):
    def listing():
        return {p: p.stat().st_mtime_ns for p in world.home.rglob("*") if p.is_file()}

    before = listing()
    replay(world.platform, world.first["checkout", DAYS[1]])
    assert listing() == before


def test_without_a_ledger_of_that_time_nothing_can_be_replayed(world):
    record = changed(world.first["checkout", DAYS[1]])
    for row in record.rows.values():
        row["computed_at"] = row["computed_at"].replace(year=2020)
    with pytest.raises(ReplayError, match="holds no ledger entry up to 2020"):
        replay(world.platform, record)


def test_an_unknown_experiment_or_day_is_said_in_a_sentence(world):
    with pytest.raises(NotPublishedError, match=r"No experiment 'nobody' is known"):
        record_of(world, "nobody", DAYS[0])
    with pytest.raises(NotPublishedError, match=r"has no allocation for 2025-02-01"):
        record_of(world, "checkout", "2025-02-01")


def told(world, name, day):
    out = io.StringIO()
    with open_reader(world.settings) as copy:
        record = find_record(copy, name, day)
        Console(file=out, width=200).print(rendered(explain(copy, record)))
    return out.getvalue()


def test_explain_tells_files_days_window_posterior_and_share(world):
    record = record_of(world, "checkout", DAYS[2])
    text = told(world, "checkout", DAYS[2])
    for part in (
        "checkout (exp_",
        "traffic of 2025-03-15, decided from data up to 2025-03-14",
        record.head["allocation_id"],
        "the day has 2 versions",
        "mab replay --allocation ID",
        "a_late.csv",
        "export.csv",
        "14 d 30 d",
        # b: 900 late, then 300 and 300 impressions; 90, 4 and 5 clicks.
        "b: 1500 impressions in 14 days, at least 200: these count",
        "99 / 1500",
        "Beta(100, 1500)",
        "not counted: 3 rows of b (not_an_integer), 2025-03-12 to 2025-03-14",
        f"{record.rows['b']['allocation_hundredths'] / 100:.2f} %",
        "10000 draws",
        "mab replay checkout --date 2025-03-14",
    ):
        assert part in text, part
    assert all(day in text for day in DAYS)


def test_explain_tells_why_the_longer_window_or_the_prior_counts(world):
    text = told(world, "thin", DAYS[0])
    # control: 250 on 20 February and 600 on 1 March; of these 14 days hold the second.
    assert "control: 600 impressions in 14 days, at least 200: these count" in text
    assert (
        "variant_a: 20 impressions in 14 days, fewer than 200; 20 in 30 days, too few again: "
        "the prior alone counts" in text
    )
    silent = told(world, "silent", DAYS[0])
    assert "No accepted counts in the 30 days up to then." in silent


@pytest.mark.parametrize("name", ["checkout", "thin", "silent"])
def test_what_if_with_the_recorded_settings_is_what_was_published_bit_for_bit(world, name):
    found = decided_again(world.settings, name)
    assert [one.hundredths for one in found] == [one.decided.hundredths for one in found]
    assert len(found) >= 2
