"""A home at work: who may be in it beside whom, and what a kill leaves."""

import os
import shutil
import signal
import threading

import pytest

from mab_pipeline.operations.prune import prune
from mab_pipeline.recovery.rebuild import rebuild
from mab_store.errors import HomeError, HomeLockedError
from mab_store.home_lock import HomeLock
from mab_store.settings import load_settings
from tests.abuse.homes import CONTEXT, hold

DAY = "2025-03-18"
BOUND_SECONDS = 300


@pytest.fixture
def held():
    """Let a process hold a home: `held(home, "alone")` returns it."""
    started = []

    def start(home, how: str):
        is_held = CONTEXT.Event()
        process = CONTEXT.Process(target=hold, args=(home, how, is_held), daemon=True)
        process.start()
        started.append(process)
        assert is_held.wait(BOUND_SECONDS)
        return process

    yield start
    for process in started:
        process.kill()
        process.join()


def lock_of(home, *, seconds: float = 0) -> HomeLock:
    return HomeLock(load_settings(mab_home=home, home_lock_timeout_seconds=seconds, _env_file=None))


@pytest.mark.parametrize(
    ("first", "second", "may"),
    [
        ("shared", "shared", True),
        ("shared", "alone", False),
        ("alone", "shared", False),
        ("alone", "alone", False),
    ],
)
def test_runs_may_be_beside_each_other_and_nothing_beside_a_rebuild(
    first, second, may, held, tmp_path
):
    process = held(tmp_path, first)
    told: list[str] = []
    take = getattr(lock_of(tmp_path), second)
    if may:
        with take("a second", say=told.append):
            assert told == []
    else:
        with pytest.raises(HomeLockedError, match=f"process {process.pid} ") as refused:
            take("a second", say=told.append).__enter__()
        assert f"(a test that is {first}) since 20" in str(refused.value)
    process.kill()
    process.join()
    with take("a second", say=told.append):  # what was killed holds nothing
        assert told == []
    assert lock_of(tmp_path).holders() == "another process"  # and left no word


def test_who_waits_is_told_once_for_whom_and_goes_on_after_a_kill(held, tmp_path):
    process = held(tmp_path, "alone")
    told: list[str] = []

    def say(text: str) -> None:
        told.append(text)
        os.kill(process.pid, signal.SIGKILL)

    with lock_of(tmp_path, seconds=BOUND_SECONDS).shared("a run", say=say):
        assert len(told) == 1
    assert told[0].startswith(f"Waiting for process {process.pid} (a test that is alone) since")


def test_a_rebuild_that_waits_lets_no_new_run_begin(held, tmp_path):
    process = held(tmp_path, "shared")
    is_waiting, is_done = threading.Event(), threading.Event()

    def rebuild_later() -> None:
        waiting = lock_of(tmp_path, seconds=BOUND_SECONDS)
        with waiting.alone("a rebuild", say=lambda _: is_waiting.set()):
            is_done.set()

    thread = threading.Thread(target=rebuild_later)
    thread.start()
    assert is_waiting.wait(BOUND_SECONDS)
    with pytest.raises(HomeLockedError):
        lock_of(tmp_path).shared("a run").__enter__()
    process.kill()
    assert is_done.wait(BOUND_SECONDS)
    thread.join()
    with lock_of(tmp_path).shared("a run"):
        pass


def test_a_home_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "home").write_text("in the way")
    with pytest.raises(HomeError, match="cannot be written"):
        lock_of(tmp_path / "home").shared("a run").__enter__()


@pytest.fixture(scope="module")
def decided(make_world):
    world = make_world(now="2025-03-19T02:00:00", home_lock_timeout_seconds=0)
    world.register("checkout")
    world.metrics(DAY, ("checkout", "control", 300, 3), ("checkout", "variant_a", 300, 9))
    world.run(DAY)
    return world


def test_a_rebuild_and_a_prune_wait_for_a_run_and_change_nothing_before(decided, held):
    held(decided.home, "shared")
    before = decided.tables(volatile=True)
    with pytest.raises(HomeLockedError, match="a test that is shared"):
        rebuild(decided.platform)
    with pytest.raises(HomeLockedError, match="a test that is shared"):
        prune(decided.platform, decided.instance, older_than_days=120, apply=True)
    prune(decided.platform, decided.instance, older_than_days=120, apply=False)
    assert decided.tables(volatile=True) == before
    assert not list(decided.home.glob("*.before-*"))


def test_every_step_of_a_run_waits_for_a_rebuild(decided, held):
    held(decided.home, "alone")
    for asset in (
        "experiments",
        "raw_metrics",
        "daily_metrics",
        "windowed_aggregates",
        "allocations",
        "publication",
    ):
        result = decided.run(DAY, assets=(asset,), fails=True)
        (failure, *_) = [event for event in result.all_events if event.is_step_failure]
        assert "a test that is alone" in str(failure.step_failure_data.error)
    failed = decided.run_checks("raw_metrics", DAY, fails=True)
    assert any(event.is_step_failure for event in failed.all_events)


def test_a_run_lets_go_of_the_home_when_it_ends_well_or_badly(decided, monkeypatch):
    decided.run(DAY)
    with lock_of(decided.home).alone("a rebuild"):
        pass
    monkeypatch.setattr(type(decided.platform.warehouse), "publish_copy", _fail)
    decided.run(DAY, fails=True)
    with lock_of(decided.home).alone("a rebuild"):
        pass


def _fail(*_arguments, **_options):
    raise RuntimeError


def test_a_command_beside_a_rebuild_says_for_whom_it_waits_and_then_runs(
    decided, held, mab, make_world
):
    world = make_world()
    shutil.copytree(decided.home, world.home, dirs_exist_ok=True)
    process = held(world.home, "alone")
    command = mab(world.home).start("run", "--date", DAY)
    line = ""
    for line in command.stderr:
        if "Waiting for" in line:
            break
    assert f"process {process.pid} (a test that is alone)" in line
    process.kill()
    _, rest = command.communicate(timeout=BOUND_SECONDS)
    assert command.returncode == 0, rest
