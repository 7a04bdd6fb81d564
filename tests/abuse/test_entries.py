"""What somebody leaves in the inbox that is no file: it is quarantined by name and ends nothing."""

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mab_pipeline.allocation.recorded import find_record
from mab_pipeline.ingestion.late_data import find_arrivals
from mab_pipeline.operations.doctor import examine
from mab_pipeline.operations.replay import replay
from mab_store.experiments.schemas import experiment_id_of
from mab_store.warehouse.reader import open_reader

DAY, BEFORE, LINKED, LOOP = "2025-03-19", "2025-03-18", "2025-03-17", "2025-03-16"
NAME = "checkout"
ID = experiment_id_of(NAME)
OUT = "is a link that leads out of the inbox"
NOT_UTF8 = "has a name that is not UTF-8"
MISPLACED = "lies in no folder that names a day"


def link(target: str):
    return lambda path: path.symlink_to(target)


def bind(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(path.parent)  # the name of a socket is short
        try:
            listener.bind(path.name)
        finally:
            os.chdir(here)


def write(path: Path) -> None:
    path.write_text(f"experiment,variant_name,impressions,clicks\n{NAME},control,9999,1\n")


def folder_with_a_file(path: Path) -> None:
    path.mkdir()
    write(path / "x.csv")


# What is put where, and what the ledger says of it; None: it is read.
ENTRIES = {
    f"metrics/{DAY}/loop.csv": (link("loop.csv"), "Too many levels of symbolic links"),
    f"metrics/{DAY}/nowhere.csv": (link("gone"), "No such file or directory"),
    f"metrics/{DAY}/passwd.csv": (link("/etc/passwd"), OUT),
    f"metrics/{DAY}/zero.csv": (link("/dev/zero"), OUT),
    f"metrics/{DAY}/memory.csv": (link("/proc/self/mem"), OUT),
    f"metrics/{DAY}/up.csv": (link("../../../outside/good.csv"), OUT),
    f"metrics/{DAY}/around.csv": (link("../../../outside/back/export.csv"), None),
    f"metrics/{DAY}/inside.csv": (link(f"../{BEFORE}/export.csv"), None),
    f"metrics/{DAY}/pipe.csv": (os.mkfifo, "is not a regular file"),
    f"metrics/{DAY}/socket.csv": (bind, "is not a regular file"),
    f"metrics/{DAY}/folder.csv": (folder_with_a_file, "is a folder"),
    f"metrics/{DAY}/caf\udce9.csv": (write, NOT_UTF8),
    f"metrics/{LINKED}": (link("../../outside"), OUT),
    f"metrics/{LOOP}": (link(LOOP), "Too many levels of symbolic links"),
    "metrics/loop": (link("loop"), "Too many levels of symbolic links"),
    "metrics/out": (link("/etc"), OUT),
    "metrics/pipe": (os.mkfifo, "is not a regular file"),
    "metrics/\udcff": (folder_with_a_file, NOT_UTF8),
    "metrics/2025-03-1\udcff": (folder_with_a_file, NOT_UTF8),
    f"experiments/{ID}/loop.json": (link("loop.json"), "Too many levels of symbolic links"),
    f"experiments/{ID}/out.json": (link("/etc/hostname"), OUT),
    f"experiments/{ID}/pipe.json": (os.mkfifo, "is not a regular file"),
    f"experiments/{ID}/caf\udce9.json": (write, NOT_UTF8),
    "experiments/exp_000000000000": (link("exp_000000000000"), "Too many levels"),
    "experiments/exp_000000000001": (link("../../outside"), OUT),
    "experiments/\udcff": (folder_with_a_file, NOT_UTF8),
    "experiments/pipe": (os.mkfifo, "is not a regular file"),
}


def storable(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode()


@pytest.fixture(scope="module")
def world(make_world):
    world = make_world()
    world.register(NAME)
    for day in (BEFORE, DAY):
        world.metrics(day, (NAME, "control", 300, 3), (NAME, "variant_a", 300, 9))
    (world.home / "outside").mkdir()
    write(world.home / "outside" / "good.csv")
    (world.home / "outside" / "back").symlink_to(world.inbox / f"metrics/{BEFORE}")
    world.run(DAY)
    world.clock.set("2025-03-20T03:00:00")
    for name, (make, _) in ENTRIES.items():
        make(world.inbox / name)
    world.found = find_arrivals(world.platform)
    world.result = world.run(DAY)
    world.errors = dict(world.query("select source_file, error from inbox_files"))
    return world


@pytest.mark.parametrize("name", [pytest.param(name, id=storable(name)) for name in ENTRIES])
def test_it_stands_in_the_ledger_with_its_reason_and_nothing_of_it_counts(world, name):
    expected = ENTRIES[name][1]
    error = world.errors[storable(name)]
    assert error is None if expected is None else expected in error
    counted = world.query("select sum(impressions) from daily_metrics")
    assert counted == [(1200,)]


def test_the_run_was_told_and_its_check_warns(world, evaluations):
    check = evaluations(world.result, "raw_metrics", "files_are_readable")[DAY]
    assert not check.passed
    events = evaluations(world.result, "experiments", "event_files_are_readable")[DAY]
    assert not events.passed


def test_the_sensor_asks_once_and_then_finds_everything_loaded(world):
    assert set(world.found.metrics) >= {f"metrics/{DAY}/loop.csv", f"metrics/{DAY}/pipe.csv"}
    after = find_arrivals(world.platform)
    assert (after.metrics, after.events) == ({}, [])


def test_the_same_again_is_the_same(world):
    before = world.tables(volatile=True)
    world.run(DAY, assets=("experiments", "raw_metrics", "daily_metrics"))
    assert world.tables(volatile=True) == before


def test_doctor_replay_and_explain_go_on(world):
    found = {f.part: f for f in examine(world.platform, world.instance, with_api=False)}
    assert found["inbox"].is_ok
    assert not found["inbox days"].is_ok
    with open_reader(world.settings) as copy:
        record = find_record(copy, NAME, world.clock().date().replace(day=19))
    assert replay(world.platform, record).differences == []


CLOSED = """
import json, os, sys
from datetime import date
from upath import UPath
from mab_store.files.inbox import Inbox
os.setgroups([]); os.setgid(65534); os.setuid(65534)
inbox = Inbox(UPath(sys.argv[1]), max_file_bytes=1 << 20)
day = date(2025, 1, 2)
files = inbox.metric_files(day, date(2025, 1, 4))
files += inbox.misplaced_files() + inbox.experiment_files()
print(json.dumps({file.source_file: inbox.read(file).error for file in files}))
print(json.dumps([inbox.fingerprint(file) for file in files if inbox.read(file).error]))
"""


def closed(inbox: Path) -> list[object]:
    """Look into an inbox as somebody who may open little of it."""
    environment = {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"}
    run = subprocess.run(
        [sys.executable, "-c", CLOSED, str(inbox)],
        capture_output=True, text=True, check=True, env=environment, timeout=120,
    )  # fmt: skip
    return [json.loads(line) for line in run.stdout.splitlines()]


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter, which pytest's own are not."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
@pytest.mark.parametrize(
    ("shut", "expected"),
    [
        ("metrics/2025-01-02/x.csv", {"metrics/2025-01-02/x.csv": "Permission denied"}),
        ("metrics/2025-01-02", {"metrics/2025-01-02": "is a folder that cannot be listed"}),
        ("metrics", {"metrics/": "is a folder that cannot be listed"}),
        ("experiments", {"experiments/": "is a folder that cannot be listed"}),
        ("experiments/exp_1", {"experiments/exp_1": "is a folder that cannot be listed"}),
    ],
)
def test_what_may_not_be_opened_is_named_and_the_rest_is_read(open_folder, shut, expected):
    inbox = open_folder / "inbox"
    for name in (
        "metrics/2025-01-02/x.csv",
        "metrics/2025-01-03/y.csv",
        "experiments/exp_1/e.json",
    ):
        (inbox / name).parent.mkdir(parents=True, exist_ok=True)
        (inbox / name).write_text("x")
    (inbox / shut).chmod(0)
    errors, fingerprints = closed(inbox)
    faulty = {name: error for name, error in errors.items() if error}
    assert faulty.keys() == expected.keys()
    for name, part in expected.items():
        assert part in faulty[name]
    assert set(fingerprints) == {""}
    assert len(errors) >= 2
