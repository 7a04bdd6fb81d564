"""Small files that become large: refused with the true reason, in bounded memory, once."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from upath import UPath

from mab_store.errors import UnreadableFileError
from mab_store.experiments.events import fold_events
from mab_store.files.inbox import Inbox
from mab_store.files.inbox_file import OVERSIZE
from mab_store.files.limits import MAX_EVENT_BYTES, Limits
from mab_store.files.parsers import read_metrics
from mab_store.settings import load_settings
from tests.abuse.bombs import BOMBS, HEADER, same_row
from tests.abuse.peak_memory import DAY

ROOT = Path(__file__).parents[2]
MB = 1 << 20
# With a text of 16 MB at most, and chunks of a megabyte: what 100,000 rows of anything take.
MOST_GROWTH_MB = 120


@pytest.fixture(scope="module")
def measured():
    """Size, reason and growth of memory of each bomb, by name."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.abuse.peak_memory"],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_with_the_true_reason_in_bounded_memory(measured, name):
    size, reason, grown = measured[name]
    expected = BOMBS[name][1]
    assert size <= 4 * MB
    if expected:
        assert expected in (reason or "accepted")
    assert reason != "no answer"
    assert grown < MOST_GROWTH_MB


# Both sides of every limit

CSV_ROW = b"e,a,1,1\n"
JSON_ROW = b'{"variant_name":"a","impressions":1,"clicks":1}'
MAKERS = {
    "f.csv": lambda rows: HEADER + CSV_ROW * rows,
    "f.json": lambda rows: b'{"experiment":"e","metrics":[' + b",".join([JSON_ROW] * rows) + b"]}",
    "g.json": lambda rows: (
        b"[" + b",".join([b'{"metrics":[' + JSON_ROW + b'],"experiment":"e"}'] * rows) + b"]"
    ),
    "f.parquet": same_row,
}


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("limit", [1, 7, 70_000])
def test_as_many_rows_as_are_allowed_are_read_and_one_more_is_refused(name, limit):
    limits = Limits(limit, MB * 16)
    read = read_metrics(name, MAKERS[name](limit), metric_date=DAY, limits=limits)
    assert len(read.rows) == limit
    with pytest.raises(UnreadableFileError, match=f"more rows than the {limit} that INBOX_MAX"):
        read_metrics(name, MAKERS[name](limit + 1), metric_date=DAY, limits=limits)


@pytest.mark.parametrize("name", ["f.csv", "f.json", "g.json"])
def test_as_much_text_as_is_allowed_is_read_and_a_byte_more_is_refused(name):
    size = 10 * len("ea11")
    assert read_metrics(name, MAKERS[name](10), metric_date=DAY, limits=Limits(10, size))
    with pytest.raises(UnreadableFileError, match="holds more text"):
        read_metrics(name, MAKERS[name](10), metric_date=DAY, limits=Limits(10, size - 1))


@pytest.mark.parametrize("rows", [1, 65_535, 65_536, 65_537, 131_073])
@pytest.mark.parametrize("key", ["experiment", "experiment_id"])
def test_rows_of_every_chunk_get_the_experiment_that_their_submission_names_last(rows, key):
    own = b'{"variant_name":"b","experiment":"own"}'
    payload = b'{"metrics":[' + b",".join([JSON_ROW] * rows + [own]) + f'],"{key}":"é"}}'.encode()
    parsed = read_metrics("f.json", payload, metric_date=DAY)
    assert parsed.rows["experiment"].to_pylist() == ["é"] * rows + ["own"]


def test_a_value_of_a_megabyte_is_read_and_a_longer_one_is_refused():
    def read(characters):
        payload = b'{"note":"' + b"x" * characters + b'","metrics":[]}' + b" " * 3 * MB
        return read_metrics("f.json", payload, metric_date=DAY)

    assert len(read((1 << 20) - 2).rows) == 0  # with its quotes exactly a megabyte
    with pytest.raises(UnreadableFileError, match="more than 1048576 characters"):
        read((1 << 20) - 1)


def test_what_follows_a_megabyte_of_spaces_is_read():
    spaces = b" " * 3 * MB
    payload = spaces + b'{"experiment":"e",' + spaces + b'"metrics":[' + JSON_ROW + b"]}"
    assert len(read_metrics("f.json", payload, metric_date=DAY).rows) == 1


def test_an_event_of_more_than_a_megabyte_is_never_read(tmp_path):
    inbox = Inbox(UPath(tmp_path), max_file_bytes=64 * MB)
    folder = tmp_path / "experiments" / "exp_000000000000"
    folder.mkdir(parents=True)
    for name, size in (("fits.json", MAX_EVENT_BYTES), ("large.json", MAX_EVENT_BYTES + 1)):
        (folder / name).write_bytes(b"[" * size)
    contents = {file.source_file: inbox.read(file) for file in inbox.experiment_files()}
    errors = fold_events(contents).errors
    assert [content.sha256 == OVERSIZE for content in contents.values()] == [False, True]
    assert ["an event has at most 1 MB" in error for error in errors.values()] == [False, True]


def test_the_limits_follow_the_settings(tmp_path):
    settings = load_settings(
        mab_home=tmp_path, inbox_max_file_mb=3, inbox_max_file_rows=9, _env_file=None
    )
    assert Limits.of(settings) == Limits(9, 12 * MB)
    assert Limits.of(load_settings(_env_file=None)) == Limits(5_000_000, 256 * MB)


# A day in the pipeline

RUN = "2025-03-19"
LOADING = ("experiments", "raw_metrics", "daily_metrics")


def test_a_bomb_in_a_day_is_quarantined_once_and_the_day_goes_on(make_world, materialized):
    world = make_world(inbox_max_file_rows=100)
    world.register("checkout")
    good = [("checkout", "control", 300, 3), ("checkout", "variant_a", 300, 6)]
    world.metrics(RUN, *good)
    world.drop(f"metrics/{RUN}/bomb.parquet", same_row(101))
    world.drop(f"metrics/{RUN}/fits.parquet", same_row(100))
    result = world.run(RUN)
    assert materialized(result, "publication") == [RUN]
    bomb = "select row_count, error from inbox_files where source_file like '%bomb%'"
    ((rows, error),) = world.query(bomb)
    assert rows == 0
    assert error.startswith("has more rows than the 100 that INBOX_MAX_FILE_ROWS allows")
    assert world.query("select count(*) from raw_metrics") == [(2 + 100 + 1,)]
    assert world.query("select count(*) from daily_metrics") == [(2,)]
    before = world.tables(volatile=True)
    world.clock.set("2025-03-21T02:00:00")
    assert materialized(world.run("2025-03-20", assets=LOADING), "raw_metrics") == ["2025-03-20"]
    assert {**world.tables(volatile=True), "raw_metrics": 0} == {**before, "raw_metrics": 0}


def test_a_file_that_a_raised_limit_takes_keeps_its_first_sighting(make_world):
    world = make_world(inbox_max_file_rows=2)
    world.register("checkout")
    world.metrics(RUN, *[("checkout", "control", 300, 3)] * 3)
    world.run(RUN, assets=LOADING)
    ledger = "select received_at, row_count, error is null from inbox_files where metric_date = ?"
    ((first, rows, is_read),) = world.query(ledger, RUN)
    assert (rows, is_read) == (0, False)
    later = type(world)(world.home, now="2025-03-20T03:00:00", inbox_max_file_rows=3)
    later.run(RUN, assets=LOADING)
    assert later.query(ledger, RUN) == [(first, 3, True)]
    journaled = later.platform.journal.read("inbox_files").to_pylist()
    assert [row["row_count"] for row in journaled if row["metric_date"]] == [0, 3]


def test_a_day_of_many_files_is_loaded_in_chunks_with_every_row_in_its_place(make_world):
    world = make_world()
    world.register("checkout")
    for name, rows in (("a.parquet", 65_536), ("b.parquet", 65_537), ("c.parquet", 3)):
        world.drop(f"metrics/{RUN}/{name}", same_row(rows))
    world.drop(f"metrics/{RUN}/d.csv", "no header\n")
    world.run(RUN, assets=("experiments", "raw_metrics"))
    numbers = world.query(
        "select source_file, count(*), min(row_number), max(row_number), count(distinct row_number)"
        " from raw_metrics group by 1 order by 1"
    )
    assert [row[1:] for row in numbers] == [
        (65_536, 1, 65_536, 65_536),
        (65_537, 1, 65_537, 65_537),
        (3, 1, 3, 3),
        (1, 0, 0, 1),
    ]
