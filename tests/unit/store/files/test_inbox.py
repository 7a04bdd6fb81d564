import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import pytest
from upath import UPath

from mab_store.errors import FileInInboxError, InboxError
from mab_store.files.inbox import Inbox, parse_day
from mab_store.files.inbox_file import OVERSIZE, InboxFile

DAY = date(2025, 1, 2)
NEXT = date(2025, 1, 3)
LIMIT = 1 << 20


@pytest.fixture(params=["folder", "file_url", "memory"])
def inbox(request, tmp_path) -> Inbox:
    roots = {
        "folder": str(tmp_path / "in box"),
        "file_url": f"file://{tmp_path}/inbox",
        "memory": f"memory://{tmp_path.name}",
    }
    return Inbox(UPath(roots[request.param]), max_file_bytes=LIMIT)


@pytest.fixture
def local(tmp_path) -> Inbox:
    return Inbox(UPath(tmp_path / "inbox"), max_file_bytes=LIMIT)


def put(inbox: Inbox, name: str, payload: bytes = b"x") -> None:
    """Drop a file by hand, past our own writer."""
    path = inbox.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(payload)


def names(files: list[InboxFile]) -> list[str]:
    return [file.source_file for file in files]


def test_an_inbox_that_is_not_there_yet_is_empty(inbox):
    assert inbox.metric_files(DAY, NEXT) == []
    assert inbox.metric_days() == []
    assert inbox.experiment_files() == []
    assert inbox.misplaced_files() == []


def test_what_is_written_is_listed_and_read_back_and_leaves_no_temporary_file(inbox):
    inbox.write("metrics/2025-01-02/b.json", b"two")
    inbox.write("metrics/2025-01-02/a.csv", b"one")
    inbox.write("experiments/exp_1/e.json", b"event")
    files = inbox.metric_files(DAY, NEXT)
    assert names(files) == ["metrics/2025-01-02/a.csv", "metrics/2025-01-02/b.json"]
    assert {file.metric_date for file in files} == {DAY}
    content = inbox.read(files[0])
    assert (content.payload, content.size_bytes, content.error) == (b"one", 3, None)
    assert content.sha256 == hashlib.sha256(b"one").hexdigest() == inbox.fingerprint(files[0])
    assert names(inbox.experiment_files()) == ["experiments/exp_1/e.json"]
    everything = [path for path in inbox.root.rglob("*") if path.is_file()]
    assert len(everything) == 3


def test_a_file_is_never_overwritten(inbox):
    inbox.write("metrics/2025-01-02/a.csv", b"one")
    with pytest.raises(FileInInboxError, match="already in the inbox"):
        inbox.write("metrics/2025-01-02/a.csv", b"another")
    (file,) = inbox.metric_files(DAY, NEXT)
    assert inbox.read(file).payload == b"one"


def test_of_many_writers_of_one_name_exactly_one_succeeds(local):
    def attempt(number: int) -> bytes | None:
        payload = f"writer {number}".encode()
        try:
            local.write("metrics/2025-01-02/a.csv", payload)
        except FileInInboxError:
            return None
        return payload

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(attempt, range(32)))
    (written,) = [payload for payload in outcomes if payload is not None]
    (file,) = local.metric_files(DAY, NEXT)
    assert local.read(file).payload == written


def test_a_file_url_is_the_folder_that_it_names(tmp_path):
    Inbox(UPath(f"file://{tmp_path}/inbox"), max_file_bytes=LIMIT).write("metrics/x.csv", b"1")
    assert (tmp_path / "inbox" / "metrics" / "x.csv").read_bytes() == b"1"


def test_files_that_somebody_still_writes_are_not_files_yet(inbox):
    for name in [".a.json", "a.json.part", "a.json.tmp", ".hidden.csv.tmp", "a.csv"]:
        put(inbox, f"metrics/2025-01-02/{name}")
        put(inbox, f"experiments/exp_1/{name}")
        put(inbox, f"experiments/{name}")
        put(inbox, f"metrics/{name}")
    assert names(inbox.metric_files(DAY, NEXT)) == ["metrics/2025-01-02/a.csv"]
    assert names(inbox.experiment_files()) == ["experiments/a.csv", "experiments/exp_1/a.csv"]
    assert names(inbox.misplaced_files()) == ["metrics/a.csv"]


def test_a_range_lists_its_days_in_order_and_stops_before_the_end(inbox):
    for day in ["2025-01-04", "2025-01-01", "2025-01-03", "2025-01-02"]:
        put(inbox, f"metrics/{day}/x.csv")
    listed = [file.metric_date for file in inbox.metric_files(date(2025, 1, 2), date(2025, 1, 4))]
    assert listed == [date(2025, 1, 2), date(2025, 1, 3)]
    assert inbox.metric_files(DAY, DAY) == []
    assert inbox.metric_days() == [date(2025, 1, day) for day in (1, 2, 3, 4)]


def test_what_lies_in_no_days_folder_is_misplaced_and_not_lost(inbox):
    put(inbox, "metrics/2025-1-2/a.csv")
    put(inbox, "metrics/2025-02-30/a.csv")
    put(inbox, "metrics/old/a.csv")
    put(inbox, "metrics/loose.csv")
    put(inbox, "metrics/2025-01-02/fine.csv")
    assert sorted(names(inbox.misplaced_files())) == [
        "metrics/2025-02-30/a.csv",
        "metrics/2025-1-2/a.csv",
        "metrics/loose.csv",
        "metrics/old/a.csv",
    ]
    assert {file.metric_date for file in inbox.misplaced_files()} == {None}
    assert inbox.metric_days() == [DAY]


@pytest.mark.parametrize(
    "name", ["2025-01-2", "20250102", "2025-01-02 ", "2025-13-01", "٢٠٢٥-٠١-٠٢", "", "2025-W01-2"]
)
def test_only_a_full_calendar_day_names_a_day(name):
    assert parse_day(name) is None


def test_ten_thousand_files_of_other_days_are_neither_listed_nor_opened(local, monkeypatch):
    for number in range(10_000):
        day = date.fromordinal(DAY.toordinal() - 1 - number % 100)
        path = Path(local.root.path) / "metrics" / str(day) / f"{number}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT))
    put(local, "metrics/2025-01-02/a.json", b"{}")
    opened: list[str] = []
    listed: list[str] = []
    real_open, real_listdir, real_scandir = Path.open, os.listdir, os.scandir

    def counting_open(self, *arguments, **keywords):
        opened.append(str(self))
        return real_open(self, *arguments, **keywords)

    def counting(real):
        def call(path="."):
            listed.append(str(path))
            return real(path)

        return call

    monkeypatch.setattr(Path, "open", counting_open)
    monkeypatch.setattr(os, "listdir", counting(real_listdir))
    monkeypatch.setattr(os, "scandir", counting(real_scandir))
    (file,) = local.metric_files(DAY, NEXT)
    assert opened == []
    assert local.read(file).payload == b"{}"
    assert [Path(path).name for path in listed] == ["2025-01-02"]
    assert {Path(path).name for path in opened} <= {"a.json"}


@pytest.mark.parametrize(
    "name",
    ["with space.csv", 'it\'s "quoted".csv', "line\nbreak.csv", "ümläut 🙂.csv", "a;b--.csv"],
)
def test_strange_file_names_are_kept_as_they_are(inbox, name):
    inbox.write(f"metrics/2025-01-02/{name}", b"1")
    (file,) = inbox.metric_files(DAY, NEXT)
    assert file.source_file == f"metrics/2025-01-02/{name}"
    assert inbox.read(file).payload == b"1"


def test_a_file_name_that_is_not_utf8_is_listed_under_a_storable_name_and_not_read(local):
    folder = Path(local.root.path) / "metrics" / "2025-01-02"
    folder.mkdir(parents=True)
    (folder / os.fsdecode(b"caf\xe9.csv")).write_bytes(b"1")
    put(local, "metrics/2025-01-02/caf\\udce9.csv", b"2")  # of the storable name itself
    good, bad = local.metric_files(DAY, NEXT)
    assert good.source_file == "metrics/2025-01-02/caf\\udce9.csv"
    assert local.read(good).payload == b"2"
    assert bad.source_file == "metrics/2025-01-02/caf\\udce9.csv (another one)"
    assert local.read(bad).error == "has a name that is not UTF-8; give it another one"
    assert local.fingerprint(bad) == ""


def test_a_folder_among_the_files_is_reported_and_not_read(local):
    put(local, "metrics/2025-01-02/folder.csv/inner.csv")
    (file,) = local.metric_files(DAY, NEXT)
    content = local.read(file)
    assert content.payload is None
    assert content.error == "is a folder; only files are read here"
    assert local.fingerprint(file) == content.sha256


def test_a_pipe_among_the_files_is_reported_and_does_not_block(local):
    folder = Path(local.root.path) / "metrics" / "2025-01-02"
    folder.mkdir(parents=True)
    os.mkfifo(folder / "pipe.csv")
    (file,) = local.metric_files(DAY, NEXT)
    assert local.read(file).error == "is not a regular file; only files are read here"
    assert local.fingerprint(file) == ""


def test_a_link_that_leads_nowhere_is_reported(local):
    folder = Path(local.root.path) / "metrics" / "2025-01-02"
    folder.mkdir(parents=True)
    (folder / "dangling.csv").symlink_to(folder / "gone")
    (file,) = local.metric_files(DAY, NEXT)
    assert local.read(file).error == "cannot be read: No such file or directory"
    assert local.fingerprint(file) == ""


def test_a_file_that_vanishes_between_listing_and_reading_is_reported(inbox):
    put(inbox, "metrics/2025-01-02/a.csv")
    (file,) = inbox.metric_files(DAY, NEXT)
    file.path.unlink()
    content = inbox.read(file)
    assert content.payload is None
    assert content.error
    assert content.error.startswith("cannot be read: ")
    assert inbox.fingerprint(file) == ""


def test_a_file_over_the_limit_is_not_read_and_one_at_the_limit_is(inbox):
    put(inbox, "metrics/2025-01-02/a.csv", b"x" * LIMIT)
    put(inbox, "metrics/2025-01-02/b.csv", b"x" * (LIMIT + 1))
    fits, too_large = inbox.metric_files(DAY, NEXT)
    assert inbox.read(fits).size_bytes == LIMIT
    content = inbox.read(too_large)
    assert (content.payload, content.sha256) == (None, OVERSIZE)
    assert content.error == "has 1048577 bytes; INBOX_MAX_FILE_MB allows 1 MB"
    assert inbox.fingerprint(too_large) == OVERSIZE


def test_a_days_folder_that_is_a_file_is_misplaced_and_stops_nothing(inbox):
    put(inbox, "metrics/2025-01-02", b"not a folder")
    assert inbox.metric_files(DAY, NEXT) == []
    assert names(inbox.misplaced_files()) == ["metrics/2025-01-02"]
    assert inbox.metric_days() == []


def test_an_inbox_that_cannot_be_written_is_one_sentence_that_says_what_to_do(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    below = Inbox(UPath(tmp_path / "file" / "inbox"), max_file_bytes=LIMIT)
    with pytest.raises(InboxError, match=r"cannot be written: .*set MAB_INBOX or MAB_HOME"):
        below.write("metrics/2025-01-02/a.csv", b"1")


def test_a_file_where_a_days_folder_should_be_is_not_mistaken_for_the_file_itself(local):
    put(local, "metrics/2025-01-02", b"not a folder")
    with pytest.raises(InboxError, match="cannot be written: Not a directory"):
        local.write("metrics/2025-01-02/a.csv", b"1")


def test_a_write_that_fails_half_way_leaves_nothing_behind(local, monkeypatch):
    put(local, "metrics/2025-01-02/before.csv")

    def full_disk(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mab_store.atomic_files.os.fsync", full_disk)
    with pytest.raises(InboxError, match="No space left on device"):
        local.write("metrics/2025-01-02/a.csv", b"1")
    (left,) = Path(local.root / "metrics/2025-01-02").iterdir()
    assert left.name == "before.csv"


def test_a_reader_sees_a_file_whole_or_not_at_all(local, monkeypatch):
    seen: list[list[str]] = []
    monkeypatch.setattr(
        "mab_store.atomic_files.os.fsync",
        lambda _: seen.append(names(local.metric_files(DAY, NEXT))),
    )
    local.write("metrics/2025-01-02/a.csv", b"1")
    file = ["metrics/2025-01-02/a.csv"]
    # Folders, then bytes on disk, under the temporary name; name on disk.
    assert [len(files) for files in seen] == sorted(len(files) for files in seen)
    assert seen[-2:] == [[], file]


def test_of_several_files_all_are_added_or_none(inbox):
    inbox.write("metrics/2025-01-02/b.csv", b"before")
    several = {f"metrics/2025-01-02/{name}.csv": b"1" for name in "abc"}
    with pytest.raises(FileInInboxError, match=r"b\.csv is already in the inbox"):
        inbox.write_all(several)
    assert names(inbox.metric_files(DAY, NEXT)) == ["metrics/2025-01-02/b.csv"]
    del several["metrics/2025-01-02/b.csv"]
    inbox.write_all(several)
    assert len(inbox.metric_files(DAY, NEXT)) == 3
