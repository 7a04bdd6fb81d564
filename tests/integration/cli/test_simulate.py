"""`mab simulate` as a user runs it: table, JSON, report, and what it refuses."""

import json

import pytest
from typer.testing import CliRunner

from mab_pipeline.cli.main import app
from mab_store.errors import UsageError

KEYS = [
    *("world", "policy", "gain", "se", "below_equal"),
    *("leader_7", "leader_14", "leader_30", "leader_end"),
    *("bad_traffic", "days_to_95", "false_winner", "moved"),
]
WORLD = '[[world]]\nname = "mine"\ndays = 20\ntraffic = 500\nrates = [0.05, 0.08]\n'


def mab(*arguments):
    return CliRunner().invoke(app, ["simulate", *arguments])


@pytest.fixture(scope="module")
def worlds(tmp_path_factory):
    path = tmp_path_factory.mktemp("worlds") / "worlds.toml"
    path.write_text(WORLD, "utf-8")
    return str(path)


def test_json_is_a_list_of_objects_and_the_same_bytes_for_the_same_seed(worlds):
    options = ("--worlds", worlds, "--policy", "brief", "--policy", "MIN_IMPRESSIONS=0")
    options += ("--reps", "20", "--seed", "1", "--format", "json")
    first = mab(*options)
    found = json.loads(first.stdout)
    assert [list(outcome) for outcome in found] == [KEYS] * 2
    assert [outcome["policy"] for outcome in found] == ["brief", "MIN_IMPRESSIONS=0"]
    assert found[0]["leader_30"] is None
    assert 0.0 < found[0]["gain"] < 24.0
    assert first.stderr == ""
    assert mab(*options).stdout == first.stdout
    head, *lines = mab(*options[:-1], "csv").stdout.splitlines()
    assert head.split(",") == KEYS
    assert [line.split(",")[2] for line in lines] == [str(outcome["gain"]) for outcome in found]


def test_a_table_and_a_report_of_the_built_in_worlds(tmp_path):
    report = tmp_path / "report.html"
    result = mab("--world", "three_5", "--reps", "2", "--report", str(report))
    assert result.exit_code == 0
    assert "three_5" in result.stdout
    assert "brief" in result.stdout
    assert f"Wrote {report}." in " ".join(result.stderr.split())
    assert report.read_text("utf-8").startswith("<!doctype html>")


def test_the_built_in_worlds_are_printed_as_a_file_that_can_be_used(tmp_path):
    path = tmp_path / "worlds.toml"
    path.write_text(mab("--print-worlds").stdout, "utf-8")
    result = mab("--worlds", str(path), "--world", "large_gap", "--reps", "1", "--format", "json")
    assert json.loads(result.stdout)[0]["se"] is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--policy", "rubbish"), "'rubbish' is none of"),
        (("--worlds", "no-such-file.toml"), "cannot be read"),
        (("--world", "nowhere"), "no such world"),
        (("--report", "no-such-folder/report.html"), "no such folder"),
    ],
)
def test_bad_options_are_refused_before_anything_is_simulated(options, message):
    result = mab(*options)
    assert isinstance(result.exception, UsageError)
    assert message in str(result.exception)
    assert result.stdout == ""


def test_a_report_that_cannot_be_written_is_refused(tmp_path):
    result = mab("--world", "large_gap", "--reps", "1", "--report", str(tmp_path))
    assert isinstance(result.exception, UsageError)
    assert "Choose another file" in str(result.exception)


@pytest.mark.parametrize("reps", ["0", "20001", "many"])
def test_repetitions_have_a_range(reps):
    assert mab("--reps", reps).exit_code == 2
