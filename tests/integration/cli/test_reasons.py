"""What a command says when nothing came of it: the reason, an example, and what to do next."""

import datetime as dt

import pytest

from mab_pipeline.cli.progress import check_days_count, show_verdicts
from mab_pipeline.operations.allocations import published_bodies
from mab_pipeline.operations.doctor import examine
from mab_pipeline.operations.run_verdicts import REMEDIES, verdicts_of_run
from mab_pipeline.recovery.home import RunHome
from mab_pipeline.resources import build_platform
from mab_store.days import Days
from mab_store.errors import HomeError, MabError, NotPublishedError
from mab_store.settings import load_settings
from mab_store.warehouse.sql_loader import SQL_ROOT

DAYS = [f"2025-03-{day:02}" for day in range(1, 20)]
GOOD = (("checkout", "control", 300, 3), ("checkout", "variant_a", 300, 4))


def _date(day):
    return dt.date.fromisoformat(day)


def _days(first, last):
    return Days(_date(DAYS[first]), _date(DAYS[last + 1]))


@pytest.fixture(scope="module")
def forgotten(mab, tmp_path_factory):
    """A home whose experiment was never registered, its day run by the command."""
    home = tmp_path_factory.mktemp("forgotten")
    folder = home / "inbox" / "metrics" / DAYS[0]
    folder.mkdir(parents=True)
    header = "experiment,variant_name,impressions,clicks"
    (folder / "a.csv").write_text(f"{header}\nnope,a,100,3\nnope,b,100,4\n")
    (folder / "b.json").write_text("{rubbish")
    return mab(home), mab(home)("run", "--date", DAYS[0])


def test_a_run_whose_rows_are_all_rejected_fails_and_says_why_and_what_to_do(forgotten):
    _, (code, out, err) = forgotten
    assert (code, out) == (1, "")
    assert (
        "rejected: 2 rows (unknown_experiment), such as row 1 of "
        f"metrics/{DAYS[0]}/a.csv: 'nope', 'a', '100', '3'\n"
        "  Register it: `mab import FILE`, or `mab experiments create NAME"
    ) in err
    assert f"rejected: 1 row (unreadable_file), such as metrics/{DAYS[0]}/b.json is not JSON" in err
    assert err.endswith(f"mab: Every row of {DAYS[0]} was rejected; see the reasons above.\n")


def test_the_day_that_was_just_run_is_not_due(forgotten):
    _, (_, _, err) = forgotten
    assert "no run has decided" not in err
    assert "shows the published shares" not in err


def test_allocations_of_a_home_without_experiment_name_the_next_command(forgotten):
    command, _ = forgotten
    code, out, err = command("allocations")
    assert (code, out) == (1, "")
    assert "inbox holds metrics of 1 day, but no experiment. Register one with `mab import" in err
    assert f"`mab run --date {DAYS[0]}`" in err


def test_allocations_tell_an_unrun_home_from_one_without_a_decision(make_world):
    world = make_world()
    with pytest.raises(NotPublishedError, match=r"holds no experiment\. Register one"):
        published_bodies(world.settings, None)
    world.register("checkout", start_date="2030-01-01")
    world.metrics(DAYS[0], *GOOD)
    held = "holds 1 experiment and metrics of 1 day, but no"
    with pytest.raises(NotPublishedError, match=f"{held} day was run yet. Try `mab run --date"):
        published_bodies(world.settings, None)
    with pytest.raises(NotPublishedError, match=r"for 2025-03-01\. Run it"):
        published_bodies(world.settings, _date(DAYS[0]))


@pytest.fixture(scope="module")
def mixed(make_world):
    """A good day, one with a row of each fault, and one on which only the faults came."""
    world = make_world()
    world.register("checkout")
    faults = (
        ("checkout", "new", 5, 1),
        ("checkout", "control", "1,5", 1),
        ("checkout", "control", 2**53, 1),
        ("checkout", "control", -5, 1),
        ("checkout", "control", 5, 6),
    )
    quoted = [tuple(f'"{cell}"' for cell in row) for row in faults]
    world.metrics(DAYS[0], *GOOD)
    world.metrics(DAYS[1], *GOOD, *quoted)
    world.metrics(DAYS[2], *quoted)
    world.run(DAYS[0], DAYS[2])
    return world


def test_each_reason_has_its_count_one_example_and_a_remedy(mixed, capsys):
    show_verdicts(verdicts_of_run(mixed.platform, _days(0, 1)))
    err = capsys.readouterr().err
    for reason in ("unknown_variant", "not_an_integer", "too_large", "negative"):
        assert f"rejected: 1 row ({reason}), such as row " in err
        assert REMEDIES[reason] in err
    assert "clicks_exceed_impressions" in err
    show_verdicts(verdicts_of_run(mixed.platform, _days(0, 0)))
    assert capsys.readouterr().err == ""


def test_a_day_is_lost_only_if_every_row_of_it_is_rejected(mixed, capsys):
    assert verdicts_of_run(mixed.platform, _days(0, 2)).lost_days == [_date(DAYS[2])]
    with pytest.raises(MabError, match=f"^Every row of {DAYS[2]} was rejected"):
        check_days_count(verdicts_of_run(mixed.platform, _days(0, 2)))
    show_verdicts(verdicts_of_run(mixed.platform, _days(0, 2)))
    assert "rejected: 2 rows (negative)" in capsys.readouterr().err


def test_every_reason_of_the_view_has_a_remedy():
    view = (SQL_ROOT / "schema" / "02_create_views.sql").read_text()
    reasons = view.partition("then 'unreadable_file'")[2].partition("as rejection_reason")[0]
    named = {part.partition("'")[0] for part in reasons.split("then '")[1:]}
    assert named | {"unreadable_file"} == set(REMEDIES)


def test_the_summary_of_a_range_names_only_those_held_back_after_it(make_world):
    world = make_world(max_data_gap_days=3)
    world.register("checkout")
    world.metrics(DAYS[0], *GOOD)
    world.metrics(DAYS[5], *GOOD)

    def held(first, last):
        result = world.run(first, last)
        (event,) = [
            event.materialization
            for event in result.get_asset_materialization_events()
            if event.asset_key.to_user_string() == "publication"
        ][-1:]
        return event.metadata["held_back"].value, event.metadata["held_back_now"].value

    assert held(DAYS[0], DAYS[4]) == (["checkout"], ["checkout"])
    assert held(DAYS[0], DAYS[5]) == (["checkout"], [])


def test_a_mab_inbox_that_is_not_there_is_said_and_not_made(mab, tmp_path):
    inbox = tmp_path / "typo"
    command = mab(tmp_path / "home", MAB_INBOX=str(inbox))
    code, out, err = command("ingest", "x.csv")
    said = f"MAB_INBOX={inbox} is not a folder"
    assert (code, out) == (1, "")
    assert err.startswith(f"mab: {said}. Correct MAB_INBOX, mount the disk, or make the folder")
    assert not inbox.exists()
    settings = load_settings(mab_home=tmp_path, mab_inbox=str(inbox), _env_file=None)
    platform = build_platform(settings)
    with pytest.raises(HomeError, match=said):
        RunHome(platform).enter("a run of the daemon", print)
    finding = next(f for f in examine(platform, None, with_api=False) if f.part == "inbox")
    assert (finding.is_ok, finding.detail) == (False, said)
    assert command("init")[0] == 0
    assert inbox.is_dir()
