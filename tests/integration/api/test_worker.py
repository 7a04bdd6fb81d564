"""The refresh worker, and its failures: killed, hung, of another version, unwanted."""

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from contextlib import closing
from threading import Event, Timer

import psutil
import pytest

from mab_api.snapshot.loader import PART, Done, Experiments, Failed, Order, published_parts
from mab_api.snapshot.worker import LIMIT_SECONDS, WorkerError, read_in_worker
from tests.integration.api.homes import Home
from tests.integration.api.servers import DEADLINE_SECONDS, ROOT, serving
from tests.python_path import python_path

KEEPER = """
import pickle, sys, time
from threading import Event
from mab_api.snapshot.worker import read_in_worker
parts = read_in_worker(pickle.load(sys.stdin.buffer), Event())
if sys.argv[1] == "taking one part":
    next(parts)
else:
    from threading import Thread
    Thread(target=next, args=(parts,), daemon=True).start()
print("ready", flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory) -> Home:
    """More experiments than a pipe holds."""
    home = Home(tmp_path_factory.mktemp("large") / "home")
    home.invent(20 * PART)
    home.publish(counts=False)
    return home


@pytest.fixture
def stuck(large, tmp_path) -> Order:
    """An order that nobody can carry out: opening a pipe waits for somebody who writes into it."""
    settings = large.settings.model_copy(update={"mab_home": tmp_path})
    settings.published_dir.mkdir()
    os.mkfifo(settings.published_dir / "serving-1.duckdb")
    return Order(settings, "serving-1.duckdb", large.clock())


def order_of(home: Home, name: str | None = None) -> Order:
    return Order(home.settings, name or home.copies()[-1].name, home.clock())


def children_of(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


def ours(before: list[psutil.Process]) -> list[psutil.Process]:
    """Return the children of this process that were not there before."""
    return [child for child in children_of(os.getpid()) if child not in before]


@pytest.fixture
def others() -> list[psutil.Process]:
    """The children that this process has already."""
    return children_of(os.getpid())


def flatten(parts) -> tuple[dict, dict, Done]:
    entries, records = {}, {}
    for part in parts:
        if isinstance(part, Experiments):
            entries |= part.entries
            records |= part.records
    return entries, records, part


def test_it_hands_over_what_reading_in_this_process_gives(large, others):
    order = order_of(large)
    entries, records, done = flatten(read_in_worker(order, Event()))
    expected_entries, expected_records, expected_done = flatten(published_parts(order))
    assert records == expected_records
    assert list(records) == list(expected_records)
    assert list(entries) == list(expected_entries)
    for name, entry in entries.items():
        assert entry.at(order.now) == expected_entries[name].at(order.now)
        assert entry.stale_after == expected_entries[name].stale_after
    assert done.published_at == expected_done.published_at
    assert done.listing.gzipped == expected_done.listing.gzipped
    assert done.listing.bodies == ()
    assert ours(others) == []


def test_its_own_reason_comes_back_when_it_cannot_read(large):
    path = large.settings.published_dir / "serving-98.duckdb"
    path.write_bytes(b"garbage" * 5_000)
    (part,) = read_in_worker(order_of(large, path.name), Event())
    path.unlink()
    assert isinstance(part, Failed)
    assert "serving-98.duckdb cannot be opened" in part.reason
    assert "\n" not in part.reason


def test_a_worker_that_is_killed_in_the_middle_is_an_error_and_no_answer(large, others):
    with closing(read_in_worker(order_of(large)._replace(niceness=7), Event())) as parts:
        next(parts)
        (worker,) = ours(others)
        assert worker.nice() == 7
        worker.kill()
        with pytest.raises(WorkerError, match=r"handed over all of it \(signal 9\)"):
            list(parts)
    assert ours(others) == []


def test_parts_of_another_version_of_the_program_are_an_error(large, others, monkeypatch):
    def refuse(_content):
        raise AttributeError

    monkeypatch.setattr("mab_api.snapshot.worker.pickle.loads", refuse)
    with pytest.raises(WorkerError, match="Restart the API"):
        list(read_in_worker(order_of(large), Event()))
    assert ours(others) == []


def test_a_worker_that_hangs_is_given_up_and_ended(stuck, others, monkeypatch):
    monkeypatch.setattr("mab_api.snapshot.worker.LIMIT_SECONDS", 2.0)
    # On a busy machine the watchdog can end it first.
    with pytest.raises(WorkerError, match=r"takes longer than 2 s|\(signal 9\)"):
        list(read_in_worker(stuck, Event()))
    assert ours(others) == []


def test_the_watchdog_ends_a_worker_that_stalls_in_the_middle_of_a_part(large, others, monkeypatch):
    watchdogs: list[Timer] = []

    def watchdog(*arguments) -> Timer:
        watchdogs.append(Timer(*arguments))
        return watchdogs[-1]

    monkeypatch.setattr("mab_api.snapshot.worker.Timer", watchdog)
    parts = read_in_worker(order_of(large), Event())
    next(parts)
    (worker,) = ours(others)
    worker.suspend()
    (started,) = watchdogs
    assert started.interval == LIMIT_SECONDS
    Timer(1.0, started.function).start()  # the limit is over
    with pytest.raises(WorkerError, match=r"handed over all of it \(signal 9\)"):
        list(parts)
    assert ours(others) == []


def test_a_worker_is_ended_when_the_server_stops(stuck, others):
    stopping = Event()
    Timer(1.0, stopping.set).start()
    with pytest.raises(WorkerError, match="The server stops"):
        list(read_in_worker(stuck, stopping))
    assert ours(others) == []


def test_a_worker_whose_answer_nobody_wants_is_ended(large, others):
    parts = read_in_worker(order_of(large), Event())
    next(parts)
    parts.close()
    assert ours(others) == []


@pytest.mark.parametrize("state", ["taking one part", "waiting for a stuck worker"])
def test_no_worker_outlives_a_server_that_is_killed(large, stuck, state):
    order = order_of(large) if state == "taking one part" else stuck
    with subprocess.Popen(
        [sys.executable, "-c", KEEPER, state],
        env=os.environ | {"PYTHONPATH": python_path(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as keeper:
        pickle.dump(order, keeper.stdin)
        keeper.stdin.flush()
        assert keeper.stdout.readline() == b"ready\n"
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not (found := children_of(keeper.pid)):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        keeper.kill()
    _, alive = psutil.wait_procs(found, timeout=DEADLINE_SECONDS)
    assert not alive


def test_a_server_that_cannot_start_a_worker_goes_on(api, monkeypatch):
    refresher = api.app.state.serving.refresher
    refresher._read = read_in_worker
    refresher._version = None
    monkeypatch.setattr("mab_api.snapshot.worker.sys.executable", "/nowhere/python")
    before = api.get("/allocations").content
    assert not api.refresh()
    assert api.get("/allocations").content == before
    assert b"/nowhere/python" in api.log.getvalue()


def test_a_server_keeps_no_worker_and_leaves_none(published):
    with serving(published.settings.mab_home) as server:
        server.wait_for("/readyz")
        assert children_of(server.process.pid) == []
        published.clock.now = published.clock.now.replace(hour=11)
        published.publish()
        pointer = json.loads(published.pointer.read_bytes())["file"]
        while pointer not in server.log.read_text():
            server.wait_for("/readyz")
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(DEADLINE_SECONDS) in {0, -signal.SIGTERM}
    assert '"refresh failed"' not in server.log.read_text()
