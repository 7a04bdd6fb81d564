"""`mab run` names the days of the inbox that no run has decided."""

from datetime import date

import pytest

from mab_pipeline.ingestion.undecided import notes_of_run, undecided_days, undecided_note
from mab_store.days import Days
from tests.integration.steps import run


def test_days_with_files_that_were_never_decided_are_named_with_the_command(make_world):
    world = make_world(now="2025-03-20T02:00:00", mab_start_date="2025-01-02")
    world.register("cta")
    for day in ("2025-01-01", "2025-01-15", "2025-03-10", "2025-03-11", "2025-03-20"):
        world.metrics(day, ("cta", "control", 10, 1))
    (world.inbox / "metrics" / "2025-02-01").mkdir()
    assert undecided_days(world.platform)
    run(world, "2025-03-19")

    days = undecided_days(world.platform)

    # Not the day before MAB_START_DATE, the one that is not over, or the folder without files.
    assert [str(day) for day in days] == ["2025-01-15", "2025-03-10", "2025-03-11"]
    assert undecided_note(days) == (
        "The inbox holds 3 days that no run has decided: 2025-03-10 to 2025-03-11, 2025-01-15. "
        "To decide: `mab run --from 2025-03-10 --to 2025-03-11`, then `mab run --date 2025-01-15`."
    )


def test_when_every_day_is_decided_nothing_is_said():
    assert undecided_note([]) == ""


def test_of_many_ranges_the_newest_are_shown(world):
    for day in range(1, 11, 2):
        world.metrics(f"2025-03-{day:02}", ("cta", "control", 10, 1))
    note = undecided_note(undecided_days(world.platform))
    assert "2025-03-09, 2025-03-07, 2025-03-05, 2 earlier ranges." in note
    assert note.count("mab run") == 3


def test_a_run_of_an_older_day_that_moved_the_newest_windows_says_how_to_decide_them(make_world):
    world = make_world(now="2025-03-20T02:00:00")
    world.register("cta")
    world.metrics("2025-03-18", ("cta", "control", 300, 3), ("cta", "variant_a", 300, 4))
    world.run("2025-03-18", "2025-03-19")
    world.metrics("2025-03-17", ("cta", "control", 300, 90))
    older = Days(date(2025, 3, 18), date(2025, 3, 19))

    notes = [*notes_of_run(world.platform, older, world.run("2025-03-18"))]
    newest = Days(date(2025, 3, 19), date(2025, 3, 20))
    after = [*notes_of_run(world.platform, newest, world.run("2025-03-19"))]

    said = "Late data moved the windows of 2025-03-19"
    assert [note.startswith(said) for note in notes] == [True, False]
    assert "`mab run --date 2025-03-19`" in notes[0]
    assert [note.startswith(said) for note in after] == [False]


@pytest.mark.parametrize(
    "command", [("run",), ("load", "--from", "2025-01-15", "--to", "2025-01-15")]
)
def test_the_example_of_the_source_document_no_longer_ends_without_a_word(mab, tmp_path, command):
    folder = tmp_path / "home" / "inbox" / "metrics" / "2025-01-15"
    folder.mkdir(parents=True)
    (folder / "a.csv").write_text("experiment,variant_name,impressions,clicks\ncta,control,10,1\n")

    code, _, err = mab(tmp_path / "home")(*command)

    assert code == 0, err
    assert ("`mab run --date 2025-01-15`" in err) is (command == ("run",))
