"""The ledger of a day that a load leaves as it is, and the last moment that counts as before it."""

import datetime as dt
import time
from dataclasses import replace

import pytest

from mab_pipeline.ingestion.file_ledger import new_content
from mab_store.files.inbox import Inbox, Receiver
from mab_store.files.limits import Limits
from tests.integration.ingestion.test_file_ledger import (
    DAY,
    END,
    FILE,
    NAME,
    START,
    ledger,
    one_day,
)
from tests.integration.steps import load

MICROSECOND = dt.timedelta(microseconds=1)


@pytest.fixture
def loaded(make_world):
    """DAY was loaded with one file; it is the night after the next day."""
    return one_day(make_world)


def submit(world, name, moment, rows):
    """Hand a file in at a moment, as POST does."""
    text = "\n".join(["experiment,variant_name,impressions,clicks", *rows, ""])
    receiver = Receiver("POST", dt.datetime.fromisoformat(moment))
    world.platform.inbox.write(f"metrics/{DAY}/{name}", text.encode(), receiver=receiver)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo"])
def test_a_file_that_came_in_at_the_moment_of_its_loading_is_read_again(loaded, monkeypatch, zone):
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    inbox, moment = loaded.platform.inbox, dt.datetime.fromisoformat("2025-03-19T02:00:00")
    arrival = moment.replace(tzinfo=dt.UTC).timestamp()
    monkeypatch.setattr(Inbox, "arrival", lambda _inbox, _file: arrival)
    (file,) = inbox.metric_files(START, END)
    same = inbox.fingerprint(file)
    assert new_content(inbox, file, "another", moment - MICROSECOND) == same
    assert new_content(inbox, file, "another", moment) == same
    assert new_content(inbox, file, "another", moment + MICROSECOND) is None
    monkeypatch.undo()
    time.tzset()


def test_a_known_file_that_a_new_limit_makes_unreadable_keeps_its_day(loaded):
    """Only reading it shows that: its size and its rows are allowed."""
    before = loaded.table("daily_metrics", volatile=True)
    platform = loaded.platform
    inbox = Inbox(platform.inbox.root, max_file_bytes=1 << 20, limits=Limits(10, 8))
    loaded.platform = replace(platform, inbox=inbox)
    report = load(loaded, DAY)
    assert report.days == []
    assert report.kept[START].startswith(f"waits: {FILE} holds more text than the 0 MB")
    assert report.vanished == {FILE: START}
    assert ledger(loaded)["export.csv"].error is None
    assert loaded.table("daily_metrics", volatile=True) == before


def test_a_new_file_that_is_too_large_is_quarantined_with_its_size(loaded):
    platform = loaded.platform
    limits = platform.inbox.limits
    inbox = Inbox(platform.inbox.root, max_file_bytes=1 << 20, limits=limits)
    loaded.platform = replace(platform, inbox=inbox)
    loaded.drop(f"metrics/{DAY}/large.csv", b"x" * ((1 << 20) + 1))
    report = load(loaded, DAY)
    reason = "has 1048577 bytes; INBOX_MAX_FILE_MB allows 1 MB"
    assert report.unreadable == {f"metrics/{DAY}/large.csv": reason}
    row = ledger(loaded)["large.csv"]
    assert (row.error, row.size_bytes, row.row_count) == (reason, (1 << 20) + 1, 0)


def test_files_that_wait_keep_their_receipts_and_those_that_count_do_not_wait(loaded):
    loaded.metrics(DAY, (NAME, "control", 310, 31), name="a.csv")
    load(loaded, DAY)
    known = ledger(loaded)["a.csv"]
    (loaded.inbox / FILE).unlink()
    loaded.clock.set("2025-03-21T02:00:00")
    submit(loaded, "late.csv", "2025-03-20T23:00:00", [f"{NAME},control,9,9"])
    report = load(loaded, DAY)
    assert set(report.unreadable) == {f"metrics/{DAY}/late.csv"}
    rows = ledger(loaded)
    assert rows["a.csv"] == known
    assert str(rows["late.csv"].received_at) == "2025-03-20 23:00:00"
    assert rows["late.csv"].error == report.kept[START]


def test_a_dropped_file_that_waits_is_not_ordered_by_a_receipt_that_waited_before_it(loaded):
    (loaded.inbox / FILE).unlink()
    # After the real time, by which the file system stamps what is dropped.
    loaded.clock.set("2090-01-02T02:00:00")
    submit(loaded, "post.csv", "2090-01-01T00:00:00", [f"{NAME},control,9,9"])
    load(loaded, DAY)
    assert str(ledger(loaded)["post.csv"].received_at) == "2090-01-01 00:00:00"
    loaded.metrics(DAY, (NAME, "variant_a", 9, 9), name="dropped.csv")
    loaded.clock.set("2090-01-03T02:00:00")
    load(loaded, DAY)
    assert ledger(loaded)["dropped.csv"].received_at.date() == dt.date(2090, 1, 3)
    assert str(ledger(loaded)["post.csv"].received_at) == "2090-01-01 00:00:00"
