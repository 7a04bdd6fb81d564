"""The ledger: what counts as new, and what one load of a day writes; no Dagster is needed."""

import datetime as dt
from dataclasses import asdict, replace

import pytest

from mab_pipeline.ingestion.file_ledger import (
    GONE,
    LedgerRow,
    arrived_files,
    known_files,
    ledger_row,
    ledger_rows,
    new_content,
    unloaded_files,
)
from mab_pipeline.resources import build_platform
from mab_store.files.inbox import Receiver
from mab_store.warehouse.table_schema import declared_tables
from tests.integration.steps import load

LATE, DAY, NEXT = "2025-03-13", "2025-03-18", "2025-03-19"
NAME = "checkout"
FILE = f"metrics/{DAY}/export.csv"
START, END = dt.date.fromisoformat(DAY), dt.date.fromisoformat(NEXT)
LATER, MUCH_LATER = map(dt.datetime.fromisoformat, ("2100-01-01", "2101-01-01"))


def one_day(make_world):
    world = make_world(now="2025-03-19T02:00:00")
    world.register(NAME)
    world.metrics(DAY, (NAME, "control", 300, 3), (NAME, "variant_a", 300, 6))
    world.report = load(world, DAY)
    world.clock.set("2025-03-20T02:00:00")
    return world


@pytest.fixture
def loaded(make_world):
    """DAY was loaded with one file; it is the night after the next day."""
    return one_day(make_world)


@pytest.fixture(scope="module")
def still(make_world):
    """The same; nothing more is loaded."""
    return one_day(make_world)


def ledger(world):
    """Return the ledger's rows of DAY by the last part of their names."""
    with world.platform.warehouse.reading() as queries:
        found = known_files(queries, START, END)
    assert list(found) == [row.source_file for row in found.values()]
    return {name.rsplit("/", 1)[-1]: row for name, row in found.items()}


# What counts as new


def known_and_present(world, **changes):
    """Return the ledger's row of a file that is in the inbox, changed so."""
    return {FILE: replace(ledger(world)["export.csv"], **changes)}


@pytest.mark.parametrize(
    ("changes", "is_unloaded"),
    [
        ({}, False),
        ({"has_rows": False}, True),  # pruned
        ({"has_rows": False, "row_count": 0}, False),  # an empty file has none
        ({"has_rows": False, "row_count": 0, "error": "bad"}, True),
        ({"error": "bad"}, False),  # the row with the reason
        ({"sha256": "another"}, True),
    ],
)
def test_a_file_is_unloaded_unless_raw_metrics_holds_this_content(still, changes, is_unloaded):
    known = known_and_present(still, **changes)
    found = unloaded_files(still.platform.inbox, known, START, END)
    assert found == ({FILE: START} if is_unloaded else {})


@pytest.mark.parametrize(
    ("changes", "has_arrived"),
    [
        ({}, False),
        ({"has_rows": False}, False),  # pruned rows are not missed
        ({"error": "bad"}, False),
        ({"error": GONE}, True),  # it is back
        ({"error": "waits: for another"}, True),
        ({"sha256": "another"}, True),
        # Its time says that it came in before it was still, so it is not read.
        ({"sha256": "another", "loaded_at": MUCH_LATER}, False),
        ({"error": GONE, "loaded_at": MUCH_LATER}, True),
    ],
)
def test_a_file_has_arrived_if_it_came_back_or_changed_since_it_was_loaded(
    still, changes, has_arrived
):
    found = arrived_files(still.platform.inbox, known_and_present(still, **changes), START, END)
    assert found == ({FILE: START} if has_arrived else {})


@pytest.mark.parametrize("find", [unloaded_files, arrived_files])
def test_a_file_that_the_ledger_lacks_is_new_and_one_that_is_gone_is_too_if_it_has_rows(
    still, find
):
    inbox = still.platform.inbox
    assert find(inbox, {}, START, END) == {FILE: START}
    away = known_and_present(still, source_file="metrics/gone.csv")
    away = {row.source_file: row for row in away.values()} | known_and_present(still)
    assert find(inbox, away, START, END) == {"metrics/gone.csv": START}
    for changes in ({"has_rows": False}, {"metric_date": None}):
        quiet = away | {"metrics/gone.csv": replace(away["metrics/gone.csv"], **changes)}
        assert find(inbox, quiet, START, END) == {}


def test_only_a_file_that_came_in_at_its_loading_or_later_is_read_again(still):
    inbox = still.platform.inbox
    (file,) = inbox.metric_files(START, END)
    same = inbox.fingerprint(file)
    came_in = dt.datetime.fromtimestamp(inbox.arrival(file), dt.UTC).replace(tzinfo=None)
    second = dt.timedelta(seconds=1)
    assert new_content(inbox, file, "another", came_in - second) == same
    assert new_content(inbox, file, "another", came_in + second) is None
    assert new_content(inbox, file, same, came_in - second) is None


# Its rows


def row_of(world, known, *, error=None, row_count=2, received_at=None):
    inbox = world.platform.inbox
    (file,) = inbox.metric_files(START, END)
    content = inbox.read(file)
    options = {"row_count": row_count, "error": error, "received_at": received_at}
    return content, ledger_row(file, content, known, now=MUCH_LATER, **options)


def test_the_row_of_the_same_content_keeps_its_receipt_and_all_of_it_if_nothing_changed(still):
    known = ledger(still)["export.csv"]
    _, row = row_of(still, known)
    assert row is known
    for changes in ({"error": "too many rows"}, {"row_count": 0}):
        _, row = row_of(still, known, **changes)
        assert row == replace(known, **changes, loaded_at=MUCH_LATER)


def test_the_row_of_new_content_is_received_as_the_receipt_says_or_now(still):
    now, then = MUCH_LATER, LATER
    known = ledger(still)["export.csv"]
    for before in (None, replace(known, sha256="another")):
        for received in (None, then):
            content, row = row_of(still, before, error="bad", row_count=7, received_at=received)
            assert row == LedgerRow(
                FILE, START, content.size_bytes, content.sha256, received or now, 7, "bad", now
            )
            assert not row.has_rows


def test_rows_have_the_columns_of_the_table(still):
    row = ledger(still)["export.csv"]
    table = ledger_rows([row, replace(row, error="bad")])
    assert table.schema == declared_tables()["inbox_files"].arrow_schema
    shown = {name: value for name, value in asdict(row).items() if name != "has_rows"}
    assert table.to_pylist() == [shown, shown | {"error": "bad"}]
    assert (row.row_count, row.error, row.has_rows) == (2, None, True)
    assert row.received_at <= row.loaded_at


# A load


def test_the_report_counts_files_and_rows_and_names_every_day(loaded):
    assert (loaded.report.files, loaded.report.rows) == (1, 2)
    assert loaded.report.days == [START]
    loaded.metrics(LATE, (NAME, "control", 9, 1))
    loaded.drop(f"metrics/{LATE}/bad.csv", "nothing,of,use\n1,2,3\n")
    loaded.drop(f"metrics/{LATE}/worse.csv", "")
    report = load(loaded, DAY)
    assert report.days == [dt.date.fromisoformat(LATE), START]
    assert (report.files, report.rows) == (4, 1 + 1 + 1 + 2)  # a file without rows counts as one
    assert set(report.unreadable) == {f"metrics/{LATE}/bad.csv", f"metrics/{LATE}/worse.csv"}
    assert all(report.unreadable.values())
    assert (report.changed, report.vanished, report.kept) == ({}, {}, {})
    rows = loaded.query(
        "select source_file, error is not null, count(*) from raw_metrics group by all order by 1"
    )
    assert rows == [
        (f"metrics/{LATE}/bad.csv", True, 1),
        (f"metrics/{LATE}/export.csv", False, 1),
        (f"metrics/{LATE}/worse.csv", True, 1),
        (FILE, False, 2),
    ]


def test_a_file_that_vanished_is_gone_in_the_ledger_from_the_load_that_missed_it(loaded):
    """Nothing depends on it: it was unreadable, so its day is complete without it."""
    loaded.drop(f"metrics/{DAY}/bad.csv", "nothing,of,use\n1,2,3\n")
    load(loaded, DAY)
    before = ledger(loaded)["bad.csv"]
    assert before.has_rows
    (loaded.inbox / f"metrics/{DAY}/bad.csv").unlink()
    loaded.clock.set("2025-03-21T02:00:00")
    report = load(loaded, DAY)
    assert report.vanished == {f"metrics/{DAY}/bad.csv": START}
    assert report.kept == {}
    after = ledger(loaded)["bad.csv"]
    assert after == replace(before, error=GONE, loaded_at=after.loaded_at, has_rows=False)
    assert after.loaded_at.date() == dt.date(2025, 3, 21)
    assert ledger(loaded)["export.csv"].has_rows
    assert load(loaded, DAY).vanished == {}  # it is said once
    assert ledger(loaded)["bad.csv"] == after


@pytest.mark.parametrize("content", ["nothing,of,use\n1,2,3\n", "experiment,variant_name\n"])
def test_a_known_file_that_becomes_rubbish_has_changed_and_is_quarantined(loaded, content):
    loaded.drop(FILE, content)
    report = load(loaded, DAY)
    assert report.changed == {FILE: START}
    assert set(report.unreadable) == {FILE}
    assert report.kept == {}
    assert ledger(loaded)["export.csv"].error == report.unreadable[FILE]
    again = load(loaded, DAY)
    assert (again.changed, again.unreadable) == ({}, report.unreadable)


def test_a_known_file_above_a_new_limit_keeps_its_day(loaded):
    before = loaded.table("daily_metrics", volatile=True)
    settings = loaded.settings.model_copy(update={"inbox_max_file_rows": 1})
    loaded.platform = build_platform(settings, clock=loaded.clock)
    report = load(loaded, DAY)
    assert report.days == []
    assert "has 2 rows, and INBOX_MAX_FILE_ROWS allows 1" in report.kept[START]
    assert report.vanished == {FILE: START}
    assert loaded.table("daily_metrics", volatile=True) == before
    assert ledger(loaded)["export.csv"].error is None


def test_new_files_of_a_day_that_stays_as_it_is_wait_in_the_ledger_with_their_receipts(loaded):
    path = loaded.inbox / FILE
    content = path.read_bytes()
    before = ledger(loaded)["export.csv"]
    path.unlink()
    late = f"metrics/{DAY}/late.csv"
    loaded.metrics(DAY, (NAME, "control", 9, 9), name="late.csv")
    report = load(loaded, DAY)
    assert report.days == []
    reason = f"waits: {FILE} was loaded before and is gone."
    assert report.kept[START].startswith(reason)
    assert report.unreadable == {late: report.kept[START]}
    assert report.vanished == {FILE: START}
    waiting = ledger(loaded)["late.csv"]
    assert (waiting.row_count, waiting.has_rows) == (0, False)
    assert waiting.error == report.kept[START]
    assert waiting.received_at.date() == waiting.loaded_at.date() == dt.date(2025, 3, 20)
    assert ledger(loaded)["export.csv"] == before  # with its rows

    loaded.clock.set("2025-03-21T02:00:00")
    load(loaded, DAY)
    assert ledger(loaded)["late.csv"] == waiting

    path.write_bytes(content)
    report = load(loaded, DAY)
    assert report.kept == {}
    assert ledger(loaded)["late.csv"].received_at == waiting.received_at
    assert loaded.query("select sum(impressions) from daily_metrics") == [(300 + 9,)]


def test_a_known_file_beside_the_missing_one_does_not_wait(loaded):
    loaded.metrics(DAY, (NAME, "control", 310, 31), name="a.csv")
    loaded.drop(f"metrics/{DAY}/empty.csv", "experiment,variant_name,impressions,clicks\n")
    load(loaded, DAY)
    before = ledger(loaded)
    (loaded.inbox / FILE).unlink()
    loaded.query("delete from raw_metrics")  # pruned, as the archived days of docs/OPERATIONS.md
    load(loaded, DAY)
    after = ledger(loaded)
    assert after["a.csv"] == replace(before["a.csv"], has_rows=False)
    assert after["export.csv"] == replace(before["export.csv"], has_rows=False)


def test_a_late_file_outside_the_longest_window_is_left_alone(loaded):
    loaded.metrics("2025-02-16", (NAME, "control", 9, 9))  # 31 days before the 19th
    loaded.metrics("2025-02-18", (NAME, "control", 8, 8))  # the 30-day window's first day
    assert [str(day) for day in load(loaded, NEXT).days] == ["2025-02-18", NEXT]


def test_a_correction_file_that_comes_later_wins_whatever_its_name(loaded):
    loaded.metrics(DAY, (NAME, "control", 310, 31), name="a_correction.csv")
    load(loaded, DAY)
    # The correction says nothing of variant_a, which stays as it was.
    rows = loaded.query("select variant_name, impressions, clicks, source_file from daily_metrics")
    assert sorted(rows) == [
        ("control", 310, 31, f"metrics/{DAY}/a_correction.csv"),
        ("variant_a", 300, 6, f"metrics/{DAY}/export.csv"),
    ]


def test_a_row_that_was_received_earlier_never_wins_even_when_its_day_is_loaded_again(loaded):
    loaded.metrics(DAY, (NAME, "control", 310, 31), name="a.csv")
    load(loaded, DAY)
    stamps = loaded.query("select source_file, received_at from inbox_files order by 1")
    loaded.clock.set("2025-03-25T02:00:00")
    load(loaded, DAY)
    assert loaded.query("select source_file, received_at from inbox_files order by 1") == stamps
    received = {name.rsplit("/", 1)[-1]: moment for name, moment in stamps}
    assert received["export.csv"].date() == dt.date(2025, 3, 19)
    assert received["a.csv"].date() == dt.date(2025, 3, 20)
    assert loaded.query("select impressions from daily_metrics where variant_name = 'control'") == [
        (310,)
    ]


def test_a_receipt_counts_but_never_from_the_future_and_no_stamp_inside_a_file_does(loaded):
    post = '{"experiment": "checkout", "received_at": "2025-03-19T23:00:00Z", "metrics": []}'
    for name, now in (("early", "2025-03-19T23:00:00"), ("future", "2099-01-01T00:00:00")):
        receiver = Receiver("POST", dt.datetime.fromisoformat(now))
        loaded.platform.inbox.write(
            f"metrics/{NEXT}/post-{name}.json", post.encode(), receiver=receiver
        )
    loaded.drop(f"metrics/{NEXT}/post-by-hand.json", post)
    load(loaded, NEXT)
    stamps = dict(
        loaded.query("select source_file, received_at from inbox_files where metric_date = ?", NEXT)
    )
    names = ("early", "future", "by-hand")
    early, future, by_hand = (stamps[f"metrics/{NEXT}/post-{name}.json"] for name in names)
    assert str(early) == "2025-03-19 23:00:00"
    assert future.date() == by_hand.date() == dt.date(2025, 3, 20)


def test_a_file_that_comes_back_unchanged_keeps_its_first_sighting(loaded):
    path = loaded.inbox / f"metrics/{DAY}/export.csv"
    content = path.read_bytes()
    before = loaded.table("daily_metrics", volatile=True)
    path.unlink()
    load(loaded, NEXT)
    path.write_bytes(content)
    loaded.clock.set("2025-03-21T02:00:00")
    load(loaded, NEXT)
    assert loaded.table("daily_metrics", volatile=True) == before


def test_a_file_that_lost_all_its_rows_has_changed_and_not_vanished(loaded):
    name = loaded.metrics(DAY)
    report = load(loaded, NEXT)
    assert (report.changed, report.vanished) == ({name: START}, {})
