"""Bad use of the command line: one sentence on stderr with what to do, exit code 1 or 2."""

import datetime as dt
import socket
import subprocess
import sys

import pytest

HOLD = """
import sys
from mab_store.settings import load_settings
from mab_store.warehouse.warehouse import open_warehouse
with open_warehouse(load_settings()).transaction():
    print("held", flush=True)
    sys.stdin.read()
"""
HOLD_BY_ANOTHER_PROGRAM = """
import duckdb, sys
connection = duckdb.connect(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""
TOMORROW = str(dt.datetime.now(dt.UTC).date() + dt.timedelta(days=1))


def complaint(result):
    """Return the sentence on stderr, which is all that there is."""
    code, out, err = result
    assert code in {1, 2}
    assert out == ""
    assert "Traceback" not in err
    text = " ".join(err.split())
    assert text.startswith("mab: ")
    return code, text.removeprefix("mab: ")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("run", "--dat", "2025-03-01"), "No such option"),
        (("run", "--date", "yesterday"), "does not match"),
        (("walk",), "No such command"),
        (("allocations", "--format", "xml"), "'xml' is not one of"),
    ],
)
def test_what_the_command_line_does_not_know_is_wrong_usage(mab, tmp_path, arguments, expected):
    code, out, err = mab(tmp_path / "home")(*arguments)
    assert (code, out) == (2, "")
    assert expected in " ".join(err.split())
    assert "Traceback" not in err
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            ("run", "--date", "2024-12-31"),
            "2024-12-31 is before MAB_START_DATE=2025-01-01; choose a later day",
        ),
        (("run", "--date", TOMORROW), f"{TOMORROW} is not over yet (UTC); the newest day"),
        (
            ("run", "--from", "2025-03-02", "--to", "2025-03-01"),
            "--from 2025-03-02 is after --to 2025-03-01; swap them.",
        ),
        (("run", "--from", "2025-03-02"), "--from and --to go together."),
        (
            ("run", "--date", "2025-03-01", "--from", "2025-03-01", "--to", "2025-03-01"),
            "Give --date, or --from and --to, not both.",
        ),
        (("demo", "--until", TOMORROW), "is not over yet (UTC)"),
    ],
)
def test_days_that_cannot_be_run_are_wrong_usage(mab, tmp_path, arguments, expected):
    code, text = complaint(mab(tmp_path / "home")(*arguments))
    assert code == 2
    assert expected in text


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"PRIOR_ALPHA": "0"}, "PRIOR_ALPHA=0: input should be greater than 0"),
        (
            {"DEFAULT_WINDOW_DAYS": "31"},
            "DEFAULT_WINDOW_DAYS=31 is longer than MAX_WINDOW_DAYS=30",
        ),
        ({"MAB_ENGINE": "oracle"}, "MAB_ENGINE=oracle"),
        ({"MAB_START_DATE": "soon"}, "MAB_START_DATE=soon"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named_with_its_value(mab, tmp_path, settings, expected):
    code, text = complaint(mab(tmp_path / "home", **settings)("allocations"))
    assert code == 2
    assert expected in text
    assert "Correct the environment or .env and run it again." in text


@pytest.mark.parametrize("command", [("init",), ("run", "--date", "2025-03-01"), ("demo",)])
def test_a_home_that_cannot_be_written_is_said(mab, tmp_path, command):
    (tmp_path / "file").write_text("in the way")
    code, text = complaint(mab(tmp_path / "file" / "home")(*command))
    assert code == 1
    assert f"MAB_HOME {tmp_path}/file/home cannot be written: Not a directory." in text
    assert "Set MAB_HOME to a folder that you own" in text


def test_a_dagster_home_that_is_not_there_is_said_and_not_made(mab, tmp_path):
    command = mab(tmp_path / "home", DAGSTER_HOME=str(tmp_path / "typo"))
    code, text = complaint(command("run", "--date", "2025-03-01"))
    assert code == 1
    assert text.startswith(f"DAGSTER_HOME={tmp_path}/typo is not a folder. Make it")
    assert not (tmp_path / "typo").exists()


def test_a_published_folder_that_vanished_is_said(mab, tmp_path):
    for command in (("explain", "x"), ("replay", "x", "--date", "2025-03-01")):
        code, text = complaint(mab(tmp_path / "home")(*command))
        assert code == 1
        assert text == (
            f"Nothing is published in {tmp_path}/home/published. Run `mab run` or `mab demo` first."
        )


def held_by(program, *arguments, home):
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        env={"MAB_HOME": str(home), "PATH": ""},
        cwd=home,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    return process


def test_a_locked_warehouse_is_said_with_its_holder_and_how_long_it_waited(mab, tmp_path):
    with held_by(HOLD, home=tmp_path) as holder:
        command = mab(tmp_path, WAREHOUSE_LOCK_TIMEOUT_SECONDS="0.2")
        code, text = complaint(command("init"))
        holder.communicate()
    assert code == 1
    assert f"is held by process {holder.pid} since " in text
    assert "; waited 0.2 s. Wait for that run to end" in text


def test_a_run_that_finds_the_warehouse_locked_fails_in_a_sentence(mab, tmp_path):
    with held_by(HOLD, home=tmp_path) as holder:
        command = mab(tmp_path, WAREHOUSE_LOCK_TIMEOUT_SECONDS="0.2")
        code, out, err = command("run", "--date", "2025-03-01")
        holder.communicate()
    text = " ".join(err.split())
    assert (code, out) == (1, "")
    assert "Traceback" not in err
    assert "mab: experiments failed: The warehouse " in text
    assert f"is held by process {holder.pid} since " in text


def test_another_program_that_has_the_warehouse_open_is_named(mab, tmp_path):
    path = tmp_path / "warehouse.duckdb"
    with held_by(HOLD_BY_ANOTHER_PROGRAM, str(path), home=tmp_path) as holder:
        command = mab(tmp_path, WAREHOUSE_LOCK_TIMEOUT_SECONDS="0.2")
        code, text = complaint(command("init"))
        holder.communicate()
    assert code == 1
    assert f"is open in process {holder.pid}, which is not a pipeline; waited 0.2 s." in text


def test_a_file_that_is_no_warehouse_is_said(mab, tmp_path):
    (tmp_path / "warehouse.duckdb").write_text("rubbish " * 1000)
    code, text = complaint(mab(tmp_path)("init"))
    assert code == 1
    assert "cannot be opened" in text
    assert "Run `mab rebuild`" in text


@pytest.mark.parametrize("options", [(), ("--read-only",)])
def test_up_says_which_port_is_taken_and_starts_nothing(mab, tmp_path, options):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = mab(tmp_path / "home", MAB_DAGSTER_PORT=str(port))("up", *options)
    code, text = complaint(result)
    assert code == 2
    assert f"Dagster cannot listen on 127.0.0.1:{port}" in text
    assert "set MAB_DAGSTER_PORT to another port" in text
