"""The command line as a user meets it: `mab demo`, and what he tries next."""

import csv
import datetime as dt
import io
import json
import os
import re
import subprocess
import sys

import pytest

from mab_pipeline.cli import allocations as allocations_module
from mab_pipeline.cli.main import main
from mab_pipeline.operations.demo import place_sample, sample_rows
from mab_store.clock import utc_now
from mab_store.errors import UsageError

BRIEF_KEYS = [
    "experiment_id",
    "experiment_name",
    "computed_at",
    "algorithm",
    "window_days",
    "allocations",
]
UNTIL = "2025-06-30"


@pytest.fixture(scope="module")
def demo(mab, tmp_path_factory):
    """One `mab demo --fresh`, and the home that it made."""
    home = tmp_path_factory.mktemp("user") / "home"
    code, out, err = mab(home, COLUMNS="160")("demo", "--fresh", "--until", UNTIL)
    assert code == 0, err
    (made,) = home.parent.glob("home-*")
    assert not home.exists()
    return mab(made), out, err


def test_the_demo_shows_a_share_for_every_variant_of_every_experiment(demo):
    _, out, err = demo
    for experiment in {row["experiment"] for row in sample_rows()}:
        assert experiment in out
    assert "variant_1" in out
    assert "%" in out
    assert "Traceback" not in err


def test_the_demo_shows_progress_and_the_next_commands_on_stderr(demo):
    mab, _, err = demo
    first = dt.date.fromisoformat(UNTIL) - dt.timedelta(days=43)
    assert f"The sample lies on {first} to {UNTIL}" in err
    for asset in ("experiments", "raw_metrics", "windowed_aggregates", "publication"):
        assert f"✓ {asset}" in err
    assert f"MAB_HOME={mab.home}" in err
    for command in ("explain", "replay", "allocations --format json"):
        assert command in err


def test_the_demo_keeps_its_place_and_refuses_another(demo):
    mab, _, _ = demo
    code, out, err = mab("demo", "--until", "2025-07-01")
    assert (code, out) == (2, "")
    assert "lies on 2025-06-30 already, not on 2025-07-01. Start again with --fresh." in err


def test_allocations_as_json_is_an_array_of_bodies_and_nothing_else(demo):
    mab, _, _ = demo
    code, out, err = mab("allocations", "--format", "json")
    assert (code, err) == (0, "")
    bodies = json.loads(out)
    assert {body["experiment_name"] for body in bodies} == {
        row["experiment"] for row in sample_rows()
    }
    for body in bodies:
        assert list(body)[:6] == BRIEF_KEYS
        assert sum(round(100 * v["allocation_percentage"]) for v in body["allocations"]) == 10_000
    # A dead export job, one that brings zeros and one whose rows are rejected keep their last
    # publication, and one of which a negative count took a sixth of three days.
    held = {b["experiment_name"]: b["held_back"]["reason"] for b in bodies if b["held_back"]}
    assert held == {
        "asos_4509ec": "data_gap",
        "asos_47a23b": "data_gap",
        "asos_b3280a": "variant_gap",
        "asos_df31d1": "data_gap",
    }


def test_explain_and_replay_work_as_the_demo_says(demo):
    mab, _, err = demo
    for line in re.findall(r"mab (explain|replay) (\S+)(?: --date (\S+))?", err):
        command, experiment, day = line
        code, out, notes = mab(command, experiment, *(["--date", day] if day else []))
        assert code == 0, notes
        if command == "explain":
            assert "asos_591c2c" in out
            assert "control: 175 impressions in 14 days, fewer than 200" in out
        else:
            assert out == ""
            assert "the same, bit for bit" in notes


def test_replay_shows_a_tampered_share_and_rebuild_brings_the_true_one_back(mab, make_world):
    world = make_world(clock=utc_now)
    world.register("checkout")
    world.metrics(UNTIL, ("checkout", "control", 300, 3), ("checkout", "variant_a", 300, 4))
    world.run(UNTIL)
    world.query(
        "update allocations set allocation_hundredths = allocation_hundredths + 1 "
        "where variant_name = 'control'"
    )
    world.platform.warehouse.publish_copy()
    command = mab(world.home)
    code, out, err = command("replay", "checkout", "--date", UNTIL)
    assert code == 1
    assert re.fullmatch(r"control\.allocation_hundredths: recorded \d+, replayed \d+\n", out)
    assert "different: checkout of 2025-06-30" in err
    code, out, err = command("rebuild")
    assert (code, out) == (0, "")
    assert f"The old warehouse is {world.settings.warehouse_path}.before-" in err
    assert "2 rows of allocations, 1 row of publications" in err
    assert "loaded 1 day, computed the windows of 1." in err
    code, out, _ = command("replay", "checkout", "--date", UNTIL)
    assert (code, out) == (0, "")


def test_a_second_demo_a_day_later_neither_doubles_nor_shifts_what_is_there(make_world):
    world = make_world(now="2025-07-01T10:00:00")

    def listing():
        return {p.relative_to(world.inbox): p.read_bytes() for p in world.inbox.rglob("*.*")}

    placed = place_sample(world.platform, None)
    assert [str(day) for day in placed] == ["2025-05-18", "2025-06-30"]  # yesterday
    before = listing()
    world.clock.set("2025-07-02T10:00:00")
    assert place_sample(world.platform, None) == placed
    assert place_sample(world.platform, placed[1]) == placed
    assert listing() == before
    with pytest.raises(UsageError, match="lies on 2025-06-30 already, not on 2025-06-29"):
        place_sample(world.platform, dt.date(2025, 6, 29))
    with pytest.raises(UsageError, match="is not over yet"):
        place_sample(world.platform, dt.date(2025, 7, 2))


def test_a_demo_that_was_stopped_half_way_is_completed_in_its_place(make_world):
    world, whole = make_world(now="2025-07-01T10:00:00"), make_world(now="2025-07-01T10:00:00")
    placed = place_sample(whole.platform, None)
    last = f"metrics/{placed[1]}/asos_sample.csv"
    world.drop(last, (whole.inbox / last).read_bytes())  # the last day is placed first
    world.clock.set("2025-07-05T10:00:00")
    assert place_sample(world.platform, None) == placed
    assert len(list((world.inbox / "metrics").iterdir())) == 44


def test_the_sample_must_fit_after_the_start_date(make_world):
    world = make_world(now="2025-07-01T10:00:00")
    with pytest.raises(UsageError, match="the earliest is 2025-02-13"):
        place_sample(world.platform, dt.date(2025, 2, 12))


def test_what_the_demo_places_are_the_rows_of_the_sample(make_world):
    world = make_world(now="2025-07-01T10:00:00")
    first, _ = place_sample(world.platform, None)
    placed = []
    for path in sorted((world.inbox / "metrics").glob("*/*.csv")):
        day = (dt.date.fromisoformat(path.parent.name) - first).days + 1
        placed += [
            (row["experiment"], row["variant_name"], str(day), row["impressions"], row["clicks"])
            for row in csv.DictReader(io.StringIO(path.read_text()))
        ]
    assert sorted(placed) == sorted(tuple(row.values()) for row in sample_rows())


LIGHT = """
import sys
from mab_pipeline.cli.main import main
for arguments in ("--help", "allocations", "explain asos_591c2c", "experiments list"):
    sys.argv = ["mab", *arguments.split()]
    try:
        main()
    except SystemExit as end:
        assert not end.code, (arguments, end.code)
    for name in ("dagster", "scipy.stats"):
        assert name not in sys.modules, (arguments, name)
"""


def test_the_verbs_that_only_look_import_neither_dagster_nor_scipy_stats(demo):
    command = [sys.executable, "-c", LIGHT]
    environment = os.environ | {"MAB_HOME": str(demo[0].home)}
    done = subprocess.run(
        command,
        check=False,
        env=environment,
        cwd=demo[0].home,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture
def look(demo, monkeypatch, capsys):
    """Run a verb on the demo's home in this process, at a width; return stdout."""
    monkeypatch.setenv("MAB_HOME", str(demo[0].home))
    monkeypatch.chdir(demo[0].home)

    def both(*arguments, width=80):
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setattr(sys, "argv", ["mab", *arguments])
        with pytest.raises(SystemExit):
            main()
        return capsys.readouterr()

    def run(*arguments, width=80):
        out, err = both(*arguments, width=width)
        return out or err

    run.both = both
    return run


def test_a_narrow_terminal_gets_whole_names_and_lines(look):
    experiments = {row["experiment"] for row in sample_rows()}
    out = look("allocations")
    assert experiments <= set(out.splitlines())
    title, *lines = out.splitlines()
    assert title.endswith(")")  # the path of the home is never cut, however long
    assert max(map(len, lines)) <= 80
    assert "│ experiment" not in out
    assert "┃ experiment" in look("allocations", width=160)
    out = look("explain", "asos_591c2c")
    assert "Posterior and share\nvariant: control\ncounts: 0 / 0\n" in out
    assert "┃ variant   ┃   counts ┃" in look("explain", "asos_591c2c", width=160)


def test_a_long_table_is_cut_and_says_how_to_see_all(look, monkeypatch):
    monkeypatch.setattr(allocations_module, "MOST_ROWS", 5)
    complete = list(csv.DictReader(io.StringIO(look("allocations", "--format", "csv"))))
    monkeypatch.setenv("COLUMNS", "200")
    out, err = look.both("allocations", width=200)
    shown = [row for row in complete if f" {row['experiment_name']} " in out]
    assert 1 <= len(shown) <= 5
    names = len({row["experiment_name"] for row in complete})
    assert (
        f"cut: {len({row['experiment_name'] for row in shown})} of {names} experiments are shown, "
        f"of {len(complete)} rows in all. `--experiment NAME` shows one, `--all`" in err
    )
    out, err = look.both("allocations", "--all")
    header, *lines = out.splitlines()
    assert header.split()[:2] == ["experiment", "as-of"]
    assert len(lines) == len(complete)
    for line, row in zip(lines, complete, strict=True):
        assert line.startswith(row["experiment_name"])
        assert f" {row['variant_name']} " in line
        assert f"{float(row['allocation_percentage']):.2f} %" in line
    assert "cut:" not in err
    monkeypatch.setattr(allocations_module, "MOST_ROWS", len(complete))
    assert "cut:" not in look.both("allocations", width=200)[1]  # the limit itself is not cut
    assert "┃ experiment" in look("allocations", "--all", width=200)


def test_allocations_can_be_narrowed_to_some_experiments(look):
    out = look("allocations", "--experiment", "asos_591c2c", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["variant_name"] for row in rows] == ["control", "variant_1"]
    assert sum(float(row["allocation_percentage"]) for row in rows) == 100
    (body,) = json.loads(
        look("allocations", "--experiment", rows[0]["experiment_id"], "--format", "json")
    )
    assert body["experiment_name"] == "asos_591c2c"
    err = look("allocations", "--experiment", "asos_591c2c", "--experiment", "nope")
    assert "Nothing is published of an experiment 'nope'." in err


def test_explain_says_the_share_and_its_reason_first_and_as_data(look):
    out = look("explain", "asos_591c2c", width=200)
    first = out.splitlines()[0]
    assert re.match(r"asos_591c2c on 2025-07-01: variant_1 9\d\.\d\d %, control \d", first)
    assert "because variant_1 is the most likely to have the highest click rate (P(best) " in first
    document = json.loads(look("explain", "asos_591c2c", "--format", "json"))
    assert document["text"][0] == first
    assert document["tables"][-1]["rows"][0]["variant"] == "control"
    rows = list(csv.DictReader(io.StringIO(look("explain", "asos_591c2c", "--format", "csv"))))
    assert [row["counts"] for row in rows] == ["0 / 0", "11 / 203"]


def test_doctor_gives_its_findings_as_data(look):
    text = look("doctor", "--no-api", "--format", "json")
    (settings,) = [found for found in json.loads(text) if found["part"] == "settings"]
    assert settings["is_ok"] is True
