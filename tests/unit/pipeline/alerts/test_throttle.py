"""What the alert sensor remembers: one alert per cause and hour, each run looked at once."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test

from mab_pipeline.alerts.conditions import Notice
from mab_pipeline.alerts.throttle import (
    LOOK_BACK,
    NOTICES_KEPT,
    OVERLAP,
    QUIET,
    RUNS_PER_LOOK,
    Memory,
)

NOW = datetime(2025, 3, 20, 3, tzinfo=UTC).replace(tzinfo=None)
INSTANT = timedelta(microseconds=1)


def notice(text: str = "x", cause: str = "a") -> Notice:
    return Notice(cause=cause, text=text, remedy="do")


@pytest.mark.parametrize(
    ("since", "is_due"),
    [
        (timedelta(0), False),
        (QUIET - INSTANT, False),
        (QUIET, True),
        (-QUIET + INSTANT, False),  # the clock was set back
        (-QUIET, True),  # by so much that the time of telling is no use
    ],
)
def test_a_cause_is_told_again_after_an_hour_and_not_before(since, is_due):
    memory = Memory()
    memory.mark_told("a", NOW)
    memory.note([notice(), notice(cause="b")])
    assert sorted(memory.due(NOW + since)) == (["a", "b"] if is_due else ["b"])
    assert ("a" in memory.told) is not is_due


def test_of_many_notices_all_are_counted_and_the_newest_ten_kept():
    memory = Memory()
    for number in range(NOTICES_KEPT):
        memory.note([notice(str(number))])
    waiting = memory.waiting["a"]
    assert (waiting.count, len(waiting.notices)) == (10, 10)
    memory.note([notice("last")])
    waiting = memory.waiting["a"]
    assert waiting.count == 11
    assert [n.text for n in waiting.notices] == [*map(str, range(1, 10)), "last"]


def test_what_was_told_is_forgotten_and_the_rest_waits():
    memory = Memory()
    memory.note([notice(), notice(cause="b")])
    memory.mark_told("a", NOW)
    assert memory.waiting.keys() == {"b"}
    assert memory.told == {"a": NOW}


def test_a_state_replaces_what_was_noted_of_it_and_ends_with_it():
    memory = Memory()
    memory.note([notice("old"), notice("older")])
    memory.note_state("a", notice("now"))
    assert (memory.waiting["a"].count, memory.waiting["a"].notices) == (1, [notice("now")])
    memory.note_state("a", None)
    memory.note_state("never there", None)
    assert memory.waiting == {}


@pytest.mark.parametrize("cursor", [None, "", "what is this", '{"told": 3}'])
def test_without_a_readable_cursor_the_memory_begins_anew(cursor):
    assert Memory.read(cursor) == Memory()


def test_the_memory_survives_the_cursor():
    memory = Memory(looked_until=3.5, looked_at=["r"], is_webhook_down=True)
    memory.note([notice()])
    memory.mark_told("b", NOW)
    assert Memory.read(memory.model_dump_json()) == memory


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def end_run(instance: dg.DagsterInstance, status: str = "SUCCESS") -> dg.RunRecord:
    """Let a run begin and end now; return its record."""
    run = create_run_for_test(instance, job_name="job")
    instance.report_dagster_event(
        dg.DagsterEvent(f"PIPELINE_{status}", "job", message=status), run.run_id
    )
    return instance.get_run_record_by_id(run.run_id)


def look(memory: Memory, instance: dg.DagsterInstance, now: datetime) -> list[str]:
    return [run.run_id for run in memory.finished_runs(instance, now)]


def moment(record: dg.RunRecord, past: timedelta) -> datetime:
    """Return the time so long after the end of a run."""
    return datetime.fromtimestamp(record.end_time, UTC).replace(tzinfo=None) + past


def test_each_run_that_ended_is_seen_once_oldest_first(instance):
    records = [end_run(instance, status) for status in ("SUCCESS", "FAILURE")]
    create_run_for_test(instance, job_name="job", status=dg.DagsterRunStatus.STARTED)
    memory, now = Memory(), moment(records[1], timedelta(seconds=1))

    assert look(memory, instance, now) == [record.dagster_run.run_id for record in records]
    assert memory.looked_until == records[1].end_time
    assert look(memory, instance, now) == []
    third = end_run(instance)
    assert look(memory, instance, now) == [third.dagster_run.run_id]


def test_the_first_look_goes_a_day_back_and_no_further(instance):
    record = end_run(instance)
    millisecond = timedelta(milliseconds=1)
    assert look(Memory(), instance, moment(record, LOOK_BACK + millisecond)) == []
    assert look(Memory(), instance, moment(record, LOOK_BACK - millisecond)) != []


def test_a_run_that_enters_the_records_late_is_seen_if_it_ended_within_ten_minutes(instance):
    record = end_run(instance)
    now = moment(record, timedelta(seconds=1))
    beyond = OVERLAP.total_seconds()
    for offset, is_seen in ((beyond - 0.001, True), (beyond + 0.001, False)):
        memory = Memory(looked_until=record.end_time + offset)
        assert (look(memory, instance, now) != []) is is_seen
        # What was seen is not forgotten as long as a look finds it again.
        assert (memory.looked_at != []) is is_seen


def test_runs_that_no_look_can_find_again_are_forgotten(instance):
    record = end_run(instance)
    memory = Memory(looked_at=["gone"], looked_until=record.end_time)
    assert look(memory, instance, moment(record, timedelta(seconds=1)))
    assert memory.looked_at == [record.dagster_run.run_id]


def test_a_look_takes_a_hundred_runs_and_the_next_takes_the_rest(instance):
    records = [end_run(instance) for _ in range(RUNS_PER_LOOK + 1)]
    memory, now = Memory(), moment(records[-1], timedelta(seconds=1))
    assert len(look(memory, instance, now)) == 100
    assert look(memory, instance, now) == [records[-1].dagster_run.run_id]
