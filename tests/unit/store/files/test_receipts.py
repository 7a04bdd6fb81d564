import multiprocessing
import resource
import signal
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from mab_store.files.receipts import Receipt, Receipts

DAY = date(2025, 1, 2)
NOW = datetime(2025, 1, 3, 1)  # noqa: DTZ001  # naive UTC
TICK = timedelta(microseconds=1)
NAME = f"metrics/{DAY}/x.csv"


@pytest.fixture
def receipts(tmp_path) -> Receipts:
    return Receipts(tmp_path / "home" / "receipts")


def note(receipts: Receipts, name: str = NAME, sha256: str = "a", now: datetime = NOW) -> datetime:
    return receipts.note({name: sha256}, day=DAY, now=now, by="POST")


def test_what_is_noted_is_read_back_by_name_and_hash_and_day(receipts):
    assert receipts.of_day(DAY) == {}
    strange = f"metrics/{DAY}/line\nbreak \u2028 é.csv"
    receipts.note({NAME: "a", strange: "b"}, day=DAY, now=NOW, by="mab ingest")
    assert receipts.of_day(DAY) == {
        (NAME, "a"): Receipt(NAME, "a", NOW, "mab ingest"),
        (strange, "b"): Receipt(strange, "b", NOW, "mab ingest"),
    }
    assert receipts.of_day(DAY + timedelta(1)) == {}


def test_of_the_same_file_the_last_receipt_counts(receipts):
    note(receipts)
    later = note(receipts, now=NOW + timedelta(hours=1))
    assert receipts.of_day(DAY)[NAME, "a"].received_at == later


@pytest.mark.parametrize("step", [timedelta(0), -TICK, -timedelta(days=400)])
def test_a_day_never_runs_backwards_although_the_clock_does(receipts, step):
    moments = [note(receipts, sha256=str(n), now=NOW + n * step) for n in range(3)]
    assert moments == [NOW, NOW + TICK, NOW + 2 * TICK]
    assert note(receipts, now=NOW + 3 * TICK) == NOW + 3 * TICK


@pytest.mark.parametrize(
    "torn", [b'["2025-01-03T01:00:00", "POST", "a"', b"\xff\xfe", b"[]", b"7", b'["x", 1, 2, 3]']
)
def test_a_line_that_a_crash_cut_short_stays_alone(receipts, tmp_path, torn):
    note(receipts)
    with (tmp_path / f"home/receipts/{DAY}.jsonl").open("ab") as file:
        file.write(torn)
    note(receipts, sha256="b")
    assert [receipt.sha256 for receipt in receipts.of_day(DAY).values()] == ["a", "b"]


def _note_on_a_full_disk(folder: Path) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    receipts = Receipts(folder)
    size = (folder / f"{DAY}.jsonl").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, size + 20))
    try:
        note(receipts, sha256="b")
    except OSError:
        return
    raise AssertionError("it was noted")


def test_a_disk_that_fills_up_in_the_middle_of_a_line_is_an_error_and_the_next_one_is_whole(
    receipts, tmp_path
):
    note(receipts)
    folder = tmp_path / "home" / "receipts"
    child = multiprocessing.get_context("fork").Process(target=_note_on_a_full_disk, args=[folder])
    child.start()
    child.join(60)
    assert child.exitcode == 0
    note(receipts, sha256="c")
    assert [receipt.sha256 for receipt in receipts.of_day(DAY).values()] == ["a", "c"]


def test_many_writers_at_once_lose_nothing_and_no_two_have_the_same_moment(tmp_path):
    folder = tmp_path / "receipts"

    def work(number: int) -> datetime:
        return note(Receipts(folder), sha256=str(number))  # as in a process of its own

    with ThreadPoolExecutor(8) as pool:
        moments = list(pool.map(work, range(40)))
    assert sorted(moments) == [NOW + n * TICK for n in range(40)]
    assert len(Receipts(folder).of_day(DAY)) == 40
