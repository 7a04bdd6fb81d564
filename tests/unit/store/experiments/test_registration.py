from datetime import UTC, datetime, timedelta

import pytest
from upath import UPath

from mab_store.errors import ConflictError, NotRegisteredError
from mab_store.experiments.registration import change, events_of, register
from mab_store.experiments.schemas import ChangeSpec, ExperimentSpec, VariantSpec
from mab_store.files.inbox import Inbox

NOW = datetime(2025, 3, 1, 12, tzinfo=UTC).replace(tzinfo=None)
NAMES = ("control", "a", "b")


class BusyInbox(Inbox):
    """An inbox where somebody else's change comes in just before ours is written."""

    def __init__(self, root: UPath) -> None:
        super().__init__(root, max_file_bytes=1 << 20)
        self.rival: ChangeSpec | None = None

    def write(self, source_file: str, payload: bytes) -> None:
        rival, self.rival = self.rival, None
        if rival:
            change(self, source_file.split("/")[1], rival, now=NOW)
        super().write(source_file, payload)


@pytest.fixture
def inbox(tmp_path) -> BusyInbox:
    return BusyInbox(UPath(tmp_path / "inbox"))


@pytest.fixture
def experiment_id(inbox) -> str:
    variants = [VariantSpec(name=name, is_control=name == "control") for name in NAMES]
    return register(
        inbox, ExperimentSpec(name="cta", variants=variants), now=NOW
    ).event.experiment_id


def retiring(name: str, by: str) -> ChangeSpec:
    return ChangeSpec(changed_by=by, retire_variants=[name])


def test_of_two_changes_at_the_same_moment_none_is_lost(inbox, experiment_id):
    inbox.rival = retiring("a", "bob")
    made = change(inbox, experiment_id, retiring("b", "ana"), now=NOW)
    assert made.source_file.endswith("changed-0002.json")
    registry = events_of(inbox, experiment_id)
    assert registry.errors == {}
    assert [event.changed_by for event in registry.changes.values()] == ["bob", "ana"]


def test_the_second_is_judged_by_what_the_first_made_of_the_experiment(inbox, experiment_id):
    inbox.rival = retiring("a", "bob")
    with pytest.raises(ConflictError, match="retires the variant 'a', which is not active"):
        change(inbox, experiment_id, retiring("a", "ana"), now=NOW)
    inbox.rival = retiring("b", "bob")
    assert not change(inbox, experiment_id, retiring("b", "bob"), now=NOW).is_new
    assert len(events_of(inbox, experiment_id).changes) == 2


def test_a_change_made_after_the_clock_was_set_back_is_still_the_later_one(inbox, experiment_id):
    late, early = NOW.replace(hour=23), NOW.replace(hour=1)
    change(inbox, experiment_id, ChangeSpec(changed_by="ana", status="paused"), now=late)
    change(inbox, experiment_id, ChangeSpec(changed_by="bob", status="running"), now=early)
    registry = events_of(inbox, experiment_id)
    first, second = (event.created_at_utc for event in registry.changes.values())
    assert (first, second) == (late, late + timedelta(microseconds=1))
    assert [row["status"] for row in registry.experiments] == ["running"]


def test_a_change_that_says_it_is_made_another_day_moves_no_other(inbox, experiment_id):
    ahead = NOW + timedelta(days=9)
    for now, variant in ((ahead, "a"), (NOW, "b")):
        change(inbox, experiment_id, retiring(variant, "ana"), now=now)
    made = [event.created_at_utc for event in events_of(inbox, experiment_id).changes.values()]
    assert made == [NOW, ahead]


def test_an_experiment_that_nobody_registered_cannot_be_changed(inbox):
    with pytest.raises(NotRegisteredError, match="exp_000000000000 is registered"):
        change(inbox, "exp_000000000000", retiring("a", "ana"), now=NOW)
