import hashlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from upath import UPath

from mab_store import atomic_files
from mab_store.errors import FileInInboxError, InboxError
from mab_store.experiments.events import fold_events
from mab_store.experiments.registration import change, events_of, register
from mab_store.experiments.schemas import ChangeSpec, ExperimentSpec, VariantSpec
from mab_store.files import folding
from mab_store.files.folding import fold, unfold
from mab_store.files.inbox import Inbox
from mab_store.files.staged_inbox import StagedInbox

NOW = datetime(2025, 1, 2, 3)  # noqa: DTZ001  # naive UTC by contract
COUNT = 6


class KilledError(BaseException):
    """Stands for SIGKILL: no handler of Exception sees it."""


def spec(name: str) -> ExperimentSpec:
    return ExperimentSpec(
        name=name, variants=[VariantSpec(name="a", is_control=True), VariantSpec(name="b")]
    )


@pytest.fixture(params=["folder", "memory"])
def inbox(request, tmp_path) -> Inbox:
    root = tmp_path / "inbox" if request.param == "folder" else f"memory://{tmp_path.name}"
    return filled(UPath(root))


@pytest.fixture
def local(tmp_path) -> Inbox:
    return filled(UPath(tmp_path / "inbox"))


def filled(root: UPath) -> Inbox:
    inbox = Inbox(root, max_file_bytes=1 << 20)
    for number in range(COUNT):
        registered = register(inbox, spec(f"experiment {number}"), now=NOW)
    change(
        inbox,
        registered.event.experiment_id,
        ChangeSpec(status="paused", changed_by="test"),
        now=NOW,
    )
    return inbox


def state(inbox: Inbox) -> dict[str, tuple[str, bytes | None]]:
    """Return every event file with its hash and bytes."""
    fresh = Inbox(inbox.root, max_file_bytes=1 << 20)
    contents = {file.source_file: fresh.read(file) for file in fresh.experiment_files()}
    registry = fold_events(contents)
    assert registry.errors == {}
    assert len({row["experiment_id"] for row in registry.experiments}) == COUNT
    return {name: (content.sha256, content.payload) for name, content in contents.items()}


def loaded(inbox: Inbox) -> dict[str, str]:
    return {name: sha256 for name, (sha256, _) in state(inbox).items()}


def fold_all(inbox: Inbox, *, of: dict[str, str] | None = None) -> int:
    return fold(inbox, loaded(inbox) if of is None else of, arrived_before=time.time() + 60)


def loose_names(inbox: Inbox) -> list[str]:
    return [file.source_file for file in inbox.loose_event_files()]


def test_folded_files_are_listed_and_read_as_before(inbox):
    before, ids = state(inbox), inbox.experiment_ids()
    assert fold_all(inbox) == COUNT + 1
    assert state(inbox) == before
    assert loose_names(inbox) == []
    assert Inbox(inbox.root, max_file_bytes=1).experiment_ids() == ids
    assert len(inbox.segments.names()) == 1
    for name in before:
        folder = name.split("/")[1]
        mine = {each: held for each, held in before.items() if each.split("/")[1] == folder}
        files = inbox.event_files(folder)
        assert {file.source_file: inbox.fingerprint(file) for file in files} == {
            each: sha256 for each, (sha256, _) in mine.items()
        }
    assert inbox.event_files("exp_000000000000") == []
    assert fold_all(inbox) == 0


def test_only_files_that_were_loaded_as_they_are_and_are_old_enough_are_folded(local):
    files = loaded(local)
    assert fold(local, files, arrived_before=time.time() - 60) == 0
    first, second, *_ = files
    assert fold_all(local, of={first: files[first], second: "another hash"}) == 1
    assert loose_names(local) == sorted(files.keys() - {first})


def test_a_file_in_the_wrong_place_or_of_another_kind_stays_loose(local):
    odd = ["experiments/x.json", "experiments/Exp_1/a.json", "experiments/exp_00000000000a/a.txt"]
    for name in odd:
        path = Path(local.root.path) / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"{}")
    content = hashlib.sha256(b"{}").hexdigest()
    assert fold_all(local, of=dict.fromkeys(odd, content)) == 0
    assert set(odd) <= set(loose_names(local))


def test_an_event_is_added_once_although_it_is_folded(inbox):
    fold_all(inbox)
    assert not register(inbox, spec("experiment 0"), now=NOW).is_new
    name = next(iter(state(inbox)))
    with pytest.raises(FileInInboxError, match="never change"):
        inbox.write(name, b"{}")
    with pytest.raises(FileInInboxError):
        StagedInbox(inbox).write(name, b"{}")
    experiment_id = name.split("/")[1]
    done = change(inbox, experiment_id, ChangeSpec(status="paused", changed_by="me"), now=NOW)
    assert done.source_file.endswith("/changed-0001.json")
    fold_all(inbox)
    again = ChangeSpec(status="finished", changed_by="me")
    assert change(inbox, experiment_id, again, now=NOW).source_file.endswith("/changed-0002.json")
    assert len(events_of(inbox, experiment_id).changes) == 2


def test_a_registration_that_was_folded_between_look_and_write_is_not_made_twice(
    local, monkeypatch
):
    real = Inbox._refuse_folded
    looks: list[int] = []

    def look_then_fold(self, files):
        real(self, files)
        looks.append(1)
        if len(looks) == 1:  # another process registers it, and a run folds it
            other = Inbox(local.root, max_file_bytes=1 << 20)
            monkeypatch.setattr(Inbox, "_refuse_folded", real)
            register(other, spec("late"), now=NOW)
            fold(
                other,
                {f.source_file: other.fingerprint(f) for f in other.loose_event_files()},
                arrived_before=time.time() + 60,
            )
            monkeypatch.setattr(Inbox, "_refuse_folded", look_then_fold)

    monkeypatch.setattr(Inbox, "_refuse_folded", look_then_fold)
    assert not register(local, spec("late"), now=NOW).is_new
    assert loose_names(local) == []


def test_a_file_that_is_folded_between_listing_and_reading_is_still_read(inbox):
    listed, before = inbox.experiment_files(), state(inbox)
    fold_all(inbox)
    assert {f.source_file: inbox.read(f).payload for f in listed} == {
        name: payload for name, (_, payload) in before.items()
    }
    assert [inbox.fingerprint(f) for f in listed] == [sha256 for sha256, _ in before.values()]


def test_a_loose_file_with_another_content_than_its_folded_copy_does_not_count(local):
    fold_all(local)
    before = state(local)
    name = next(iter(before))
    path = Path(local.root.path) / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b'{"name": "another"}')
    (odd,) = [file for file in local.experiment_files() if file.fault]
    assert odd.source_file == f"{name} (another one)"
    assert "files there never change" in (local.read(odd).error or "")
    fold_all(local, of={name: hashlib.sha256(path.read_bytes()).hexdigest()})
    assert path.exists()
    with pytest.raises(InboxError, match="Move it away and unfold again"):
        unfold(local)
    path.unlink()
    assert state(local) == before


def test_small_segments_are_folded_into_larger_ones(inbox):
    for number in range(COUNT, 40):
        register(inbox, spec(f"experiment {number}"), now=NOW)
        names = {f.source_file: inbox.fingerprint(f) for f in inbox.loose_event_files()}
        fold_all(inbox, of=names)
    assert len(inbox.segments.names()) <= 5
    assert len(inbox.experiment_files()) == 41
    assert len(Inbox(inbox.root, max_file_bytes=1).experiment_ids()) == 40


def test_unfolding_brings_every_file_back(inbox):
    before = state(inbox)
    fold_all(inbox)
    assert unfold(inbox) == COUNT + 1
    assert inbox.segments.names() == []
    assert {name: inbox.payload(name) for name in loose_names(inbox)} == {
        name: payload for name, (_, payload) in before.items()
    }


def damages(path: Path) -> Iterator[bytes]:
    payload = path.read_bytes()
    yield payload[:-1]
    yield payload[: len(payload) // 2] + b"\0" + payload[len(payload) // 2 + 1 :]
    yield b""


def test_a_damaged_segment_is_an_error_and_never_fewer_experiments(local):
    fold_all(local)
    (name,) = local.segments.names()
    path = Path(local.root.path) / "folded" / name
    whole = path.read_bytes()
    for damaged in damages(path):
        path.write_bytes(damaged)
        fresh = Inbox(local.root, max_file_bytes=1 << 20)
        for read in (
            fresh.experiment_files,
            fresh.experiment_ids,
            fresh.loose_and_folded,
            lambda inbox=fresh: inbox.event_files("exp_000000000000"),
            lambda inbox=fresh: register(inbox, spec("new"), now=NOW),
        ):
            with pytest.raises(InboxError, match=r"is damaged.*Restore it from a backup"):
                read()
    path.write_bytes(whole)
    (path.parent / "notes.txt").write_text("mine")
    with pytest.raises(InboxError, match=r"notes\.txt is no segment"):
        local.experiment_files()


@pytest.mark.parametrize("step", range(12))
def test_a_kill_at_any_step_leaves_a_state_that_reads_the_same(local, monkeypatch, step):
    fold_all(local, of=dict(list(loaded(local).items())[:2]))  # a segment that is replaced
    before, steps = state(local), []

    def counted(real):
        def call(*arguments, **keywords):
            steps.append(real)
            if len(steps) > step:
                raise KilledError
            return real(*arguments, **keywords)

        return call

    with monkeypatch.context() as patched:
        for name in ("unlink", "rmdir", "replace"):
            patched.setattr(Path, name, counted(getattr(Path, name)))
        with pytest.raises(KilledError):
            fold_all(local, of={name: sha256 for name, (sha256, _) in before.items()})
    assert state(local) == before
    fold_all(local)
    assert state(local) == before
    assert loose_names(local) == []


def test_after_sigkill_the_next_folding_finishes(local):
    before = state(local)
    code = (
        "import os, signal, sys, time\n"
        "from pathlib import Path\n"
        "from upath import UPath\n"
        "from mab_store.files import folding\n"
        "from mab_store.files.inbox import Inbox\n"
        "real, removed = folding._remove, []\n"
        "def remove(*given):\n"
        "    removed.append(real(*given))\n"
        "    if len(removed) == 3: os.kill(os.getpid(), signal.SIGKILL)\n"
        "folding._remove = remove\n"
        "inbox = Inbox(UPath(sys.argv[1]), max_file_bytes=1 << 20)\n"
        "files = {f.source_file: inbox.fingerprint(f) for f in inbox.loose_event_files()}\n"
        "folding.fold(inbox, files, arrived_before=time.time() + 60)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, local.root.path], check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(loose_names(local)) == COUNT - 2
    assert state(local) == before
    assert fold_all(local) == 0
    assert loose_names(local) == []
    assert state(local) == before


def test_two_foldings_at_once_lose_nothing(local, monkeypatch):
    before = state(local)
    real, began = folding._write, []

    def write(inbox, new):
        new = list(new)
        if not began:  # the other one does all of its work first
            began.append(1)
            fold_all(Inbox(local.root, max_file_bytes=1 << 20), of=loaded(local))
        real(inbox, new)

    monkeypatch.setattr(folding, "_write", write)
    fold_all(local)
    assert state(local) == before
    assert loose_names(local) == []


def test_a_writer_whose_folder_is_removed_under_it_makes_it_again(local, monkeypatch):
    removed = []
    folder = Path(local.root.path) / "experiments" / "exp_00000000000a"
    folder.mkdir()

    real_make = atomic_files.make_folders

    def make(*arguments, **keywords):
        real_make(*arguments, **keywords)
        if not removed:
            removed.append(folder)
            folder.rmdir()

    monkeypatch.setattr(atomic_files, "make_folders", make)
    local.write("experiments/exp_00000000000a/a.json", b"{}")
    assert (folder / "a.json").read_bytes() == b"{}"
