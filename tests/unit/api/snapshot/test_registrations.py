import json
import os
import time
from collections import Counter
from datetime import datetime, timedelta
from threading import Event

import pytest
from upath import UPath

from mab_api.snapshot.experiment_index import ExperimentIndex
from mab_api.snapshot.registrations import Registrations
from mab_store.experiments.registration import change, register
from mab_store.experiments.schemas import ChangeSpec, ExperimentSpec
from mab_store.files.inbox import Inbox

NOW = datetime(2026, 3, 10, 9, 30)  # noqa: DTZ001  # naive UTC
VARIANTS = [{"name": "a", "is_control": True}, {"name": "b"}]


class CountingInbox(Inbox):
    """An inbox that counts how often it is asked."""

    def __init__(self, root) -> None:
        super().__init__(UPath(root), max_file_bytes=1 << 20)
        self.asked = Counter()

    def experiment_ids(self):
        self.asked["listed"] += 1
        return super().experiment_ids()

    def event_files(self, experiment_id):
        self.asked["looked into"] += 1
        return super().event_files(experiment_id)

    def read(self, file):
        self.asked["read"] += 1
        return super().read(file)


class Scene:
    def __init__(self, root) -> None:
        self.now = NOW
        self.inbox = CountingInbox(root)
        self.index = ExperimentIndex()
        self.registrations = Registrations(self.inbox, self.index, lambda: self.now)
        self.folder = root / "experiments"

    def register(self, *names: str) -> list[str]:
        specs = [ExperimentSpec(name=name, variants=VARIANTS) for name in names]
        return [register(self.inbox, spec, now=NOW).event.experiment_id for spec in specs]

    def settle(self) -> None:
        """Make the folder's last change an old one."""
        old = time.time() - 60
        os.utime(self.folder, (old, old))

    def find(self) -> Counter:
        self.inbox.asked.clear()
        self.registrations.find(Event())
        return self.inbox.asked


@pytest.fixture
def scene(tmp_path):
    return Scene(tmp_path)


@pytest.mark.parametrize("count", [1, 10, 40])
def test_each_registration_is_read_once_and_a_look_at_rest_reads_nothing(scene, count):
    scene.register(*(f"experiment {number}" for number in range(count)))
    scene.settle()
    assert scene.find() == {"listed": 1, "looked into": count, "read": count}
    assert len(scene.index) == count
    for _ in range(3):
        assert scene.find() == {}


def test_a_folder_that_changed_a_moment_ago_is_listed_again(scene):
    scene.register("first")
    assert scene.find()["listed"] == 1
    assert scene.find() == {"listed": 1}, "its time may not tell of what came in right after"


def test_a_new_folder_is_found_and_only_it_is_read(scene):
    scene.register("first", "second")
    scene.settle()
    scene.find()
    scene.register("third")
    assert scene.find() == {"listed": 1, "looked into": 1, "read": 1}
    assert len(scene.index) == 3


def test_a_folder_without_a_registration_is_looked_into_until_there_is_one(scene):
    (experiment_id,) = scene.register("first")
    file = scene.folder / experiment_id / "registered.json"
    content = file.read_bytes()
    file.write_text("{")
    scene.settle()
    assert scene.find()["looked into"] == 1
    assert scene.find() == {"looked into": 1, "read": 1}
    file.write_bytes(content)
    scene.find()
    assert experiment_id in scene.index
    assert scene.find() == {}


def test_names_that_are_no_ids_are_not_looked_into(scene):
    for name in ("exp_ABCDEF012345", "notes", "exp_00000000000", "exp_0000000000000"):
        (scene.folder / name).mkdir(parents=True)
    scene.settle()
    assert scene.find() == {"listed": 1}


def test_what_is_published_no_more_is_found_again(scene):
    (experiment_id,) = scene.register("first")
    scene.settle()
    scene.find()
    scene.index.publish({experiment_id: object()})
    scene.index.publish({})
    assert experiment_id not in scene.index
    scene.registrations.forget()
    scene.find()
    assert experiment_id in scene.index


def test_a_change_shows_from_the_day_after_it_was_made(scene):
    (experiment_id,) = scene.register("first")
    scene.settle()
    scene.find()
    change(scene.inbox, experiment_id, ChangeSpec(changed_by="ana", status="finished"), now=NOW)
    scene.find()
    assert scene.index.get(experiment_id)["status"] == "running"
    scene.now += timedelta(days=1)
    assert scene.find() == {"looked into": 1, "read": 2}
    assert scene.index.get(experiment_id)["status"] == "finished"


def test_it_stops_when_it_is_told_to(scene):
    scene.register("first", "second")
    stopping = Event()
    stopping.set()
    scene.registrations.find(stopping)
    assert len(scene.index) == 0
    scene.find()
    assert len(scene.index) == 2


def test_no_inbox_is_no_error(scene):
    assert scene.find() == {"listed": 1}
    assert scene.registrations.look_up("exp_000000000000") is None


def test_a_record_is_what_was_registered(scene):
    (experiment_id,) = scene.register("first")
    record = scene.registrations.look_up(experiment_id)
    assert json.loads(json.dumps(record)) == {
        "experiment_id": experiment_id,
        "name": "first",
        "description": None,
        "start_date": None,
        "variants": [
            {"name": "a", "is_control": True, "status": "active"},
            {"name": "b", "is_control": False, "status": "active"},
        ],
        "status": "running",
        "decision": None,
        "created_at": "2026-03-10T09:30:00Z",
    }
