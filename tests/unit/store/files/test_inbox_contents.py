"""The inbox's files one by one: limits, times, payloads, and the receipts of our own writers."""

import hashlib
import os
from dataclasses import replace
from datetime import date, datetime
from types import SimpleNamespace

import pytest
from upath import UPath

from mab_store.errors import FileInInboxError
from mab_store.files.inbox import DEFAULT_LIMITS, MAX_EVENT_BYTES, Inbox, Receiver
from mab_store.files.inbox_file import OVERSIZE, InboxFile
from mab_store.files.receipts import Receipt, Receipts

DAY, NEXT = date(2025, 1, 2), date(2025, 1, 3)
NOW = datetime(2025, 1, 3, 1)  # noqa: DTZ001  # naive UTC
LIMIT = 1 << 20
METRICS = f"metrics/{DAY}/a.csv"
EVENT = "experiments/exp_1/e.json"


@pytest.fixture(params=["folder", "memory"])
def inbox(request, tmp_path) -> Inbox:
    root = {"folder": str(tmp_path / "inbox"), "memory": f"memory://{tmp_path.name}"}
    return Inbox(UPath(root[request.param]), max_file_bytes=LIMIT)


@pytest.fixture
def noting(tmp_path) -> Inbox:
    """Return an inbox that keeps receipts."""
    receipts = Receipts(tmp_path / "receipts")
    return Inbox(UPath(tmp_path / "inbox"), max_file_bytes=LIMIT, receipts=receipts)


def sha256(payload: bytes) -> str:
    return hashlib.sha256(payload).hexdigest()


def test_a_file_at_the_limit_has_a_fingerprint_and_one_over_it_has_its_size_alone(inbox):
    inbox.write(METRICS, b"x" * LIMIT)
    inbox.write(f"metrics/{DAY}/b.csv", b"x" * (LIMIT + 1))
    fits, too_large = inbox.metric_files(DAY, NEXT)
    assert inbox.fingerprint(fits) == sha256(b"x" * LIMIT)
    assert inbox.fingerprint(too_large) == OVERSIZE
    assert inbox.read(too_large).size_bytes == LIMIT + 1


def test_an_event_has_a_limit_of_its_own(inbox):
    inbox.write(EVENT, b"x" * (MAX_EVENT_BYTES + 1))
    inbox.write("experiments/exp_1/f.json", b"x" * MAX_EVENT_BYTES)
    too_large, fits = inbox.experiment_files()
    assert inbox.read(too_large).error == (
        f"has {MAX_EVENT_BYTES + 1} bytes; an event has at most {MAX_EVENT_BYTES >> 20} MB"
    )
    assert inbox.read(fits).error is None


def test_payloads_are_read_by_name_and_a_missing_one_is_none(inbox):
    inbox.write(METRICS, b"one")
    assert inbox.payload(METRICS) == b"one"
    assert inbox.payload(EVENT) is None


def test_folders_of_experiments_are_listed_without_those_still_written(inbox):
    for name in ("exp_2", "exp_1", ".exp_3", "exp_4.part", "exp_5.tmp"):
        inbox.write(f"experiments/{name}/e.json", b"{}")
    assert inbox.experiment_ids() == ["exp_1", "exp_2"]


def test_the_status_of_a_folder_is_known_on_a_file_system_alone(inbox, tmp_path):
    assert inbox.folder_status("experiments") is None
    inbox.write(EVENT, b"{}")
    folder = tmp_path / "inbox" / "experiments"
    assert inbox.folder_status("experiments") == (folder.stat() if folder.exists() else None)


def test_a_modification_time_has_nanoseconds_or_comes_from_seconds(noting):
    noting.write(METRICS, b"one")
    (file,) = noting.metric_files(DAY, NEXT)
    os.utime(str(file.path), ns=(1, 1_234_567_890_123_456_789))
    assert noting.modified(file) == 1_234_567_890_123_456_789
    bucket = SimpleNamespace(stat=lambda: SimpleNamespace(st_mtime=2.5))  # as of an object store
    assert noting.modified(replace(file, path=bucket)) == 2_500_000_000
    gone = InboxFile(noting.root / "metrics" / "gone.csv", "gone.csv", DAY)
    assert noting.modified(gone) == 0


def test_metrics_with_a_receiver_have_a_receipt_and_nothing_else_has(noting):
    receiver = Receiver("mab ingest", NOW)
    noting.write(METRICS, b"one", receiver=receiver)
    noting.write(f"metrics/{DAY}/dropped.csv", b"two")
    noting.write(EVENT, b"{}", receiver=receiver)
    receipt = Receipt(METRICS, sha256(b"one"), NOW, "mab ingest")
    assert noting.receipts_of(DAY) == {(METRICS, sha256(b"one")): receipt}
    assert noting.receipts_of(NEXT) == {}


def test_a_refused_file_has_no_receipt(noting):
    noting.write(METRICS, b"one")
    with pytest.raises(FileInInboxError):
        noting.write(METRICS, b"another", receiver=Receiver("mab ingest", NOW))
    assert noting.receipts_of(DAY) == {}


def test_an_inbox_without_receipts_takes_a_receiver_and_notes_nothing(inbox):
    inbox.write(METRICS, b"one", receiver=Receiver("mab ingest", NOW))
    assert inbox.receipts_of(DAY) == {}


def test_a_closed_folder_is_one_entry_of_its_day(noting, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    metrics = tmp_path / "inbox" / "metrics"
    metrics.mkdir(parents=True)
    (metrics / str(DAY)).symlink_to(outside)
    (entry,) = noting.files_of_day(DAY)
    assert (entry.source_file, entry.metric_date) == (f"metrics/{DAY}", DAY)
    assert entry.path == noting.root / "metrics" / str(DAY)
    assert entry.fault
    assert noting.limits == DEFAULT_LIMITS
