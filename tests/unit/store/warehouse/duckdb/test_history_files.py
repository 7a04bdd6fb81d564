import shutil
from contextlib import closing
from datetime import date, timedelta
from itertools import pairwise

import duckdb
import pytest

from mab_store.errors import HomeError, NotPublishedError, PublicationRefusedError
from mab_store.warehouse.duckdb import history_files
from mab_store.warehouse.duckdb.history_files import FOLDER, UNREAD, period_of
from mab_store.warehouse.duckdb.published_copies import current_copy, open_copy
from mab_store.warehouse.duckdb.warehouse import DuckDBWarehouse
from mab_store.warehouse.publication_loss import published_days
from mab_store.warehouse.reader import open_reader
from mab_store.warehouse.table_schema import declared_tables

FIRST, LAST = date(2025, 1, 20), date(2025, 3, 13)  # 53 days: two months closed, two blocks
DAYS = "from range(53) as f (d), range(3) as e (i)"
DAY = f"date '{FIRST}' + d::integer"
ROWS = (
    (
        "insert into experiments select 'exp_' || i, '1900-01-01', 'n' || i, null, 'running', "
        "null, timestamp '2025-01-01', '9999-12-31', null from range(3) as e (i)"
    ),
    f"insert into daily_metrics select {DAY}, 'exp_' || i, 'a', 100 + d, 7, 'f', {DAY} {DAYS}",
    f"insert into raw_metrics select {DAY}, 'f', i, null, {DAY}, 'n' || i, 'a', '1', '0', null "
    + DAYS,
    (
        f"insert into publications select {DAY}, 'exp_' || i, {DAY}, 'alc_' || i || d, '{{}}', "
        f"true, {DAY}, 'run' {DAYS}"
    ),
)


@pytest.fixture
def settings(make_settings):
    return make_settings()


@pytest.fixture
def warehouse(settings):
    made = DuckDBWarehouse(settings)
    with made.transaction():
        pass
    change(made, *ROWS)
    return made


def change(warehouse, *statements: str) -> None:
    with duckdb.connect(warehouse._path) as connection:
        for statement in statements:
            connection.execute(statement)


def files(settings) -> set[str]:
    return {path.name for path in (settings.published_dir / FOLDER).iterdir()}


def tables(path) -> dict[str, list]:
    with closing(open_copy(path)) as copy:
        names = [name for name in declared_tables() if name not in UNREAD]
        names += ["validated_metrics", "served_published_months", "served_observed_months"]
        return {
            name: copy._connection.execute(f"select * from {name} order by all").fetchall()
            for name in names
        }


@pytest.mark.parametrize("newest", [date(2024, 2, 29), date(2025, 1, 31), date(2025, 3, 1)])
def test_each_day_has_one_period_and_periods_follow_each_other(newest):
    days = [newest - timedelta(days=age) for age in range(100)][::-1]
    periods = list(dict.fromkeys(period_of(day, newest) for day in days))
    assert all(before.end == after.first for before, after in pairwise(periods))
    assert all(period_of(day, newest).first <= day < period_of(day, newest).end for day in days)
    sizes = [(one.end - one.first).days for one in periods if one.first.month == newest.month]
    assert sizes == [5] * (len(sizes) - 1) + [(periods[-1].end - periods[-1].first).days]
    assert periods[-1].first <= newest < periods[-1].end
    assert {one.first.day for one in periods if one.end <= newest.replace(day=1)} == {1}


def test_a_copy_with_history_files_has_the_rows_of_the_warehouse(settings, warehouse):
    warehouse.publish_copy()
    copy = current_copy(settings.published_dir)
    assert tables(copy) == tables(settings.warehouse_path)
    with duckdb.connect(copy, read_only=True) as connection:
        held = connection.execute("select min(as_of_date) from recent_publications").fetchall()
    assert held == [(date(2025, 3, 11),)]
    periods = {name.split("-", 1)[1].rsplit("-", 1)[0] for name in files(settings)}
    assert periods == {"20250101-20250131", "20250201-20250228"} | {
        "20250301-20250305",
        "20250306-20250310",
    }


def test_what_did_not_change_is_not_written_again(settings, warehouse):
    warehouse.publish_copy()
    before = {path: path.stat() for path in (settings.published_dir / FOLDER).iterdir()}
    change(warehouse, "update daily_metrics set clicks = 8 where metric_date = '2025-03-12'")
    warehouse.publish_copy()
    after = {path: path.stat() for path in (settings.published_dir / FOLDER).iterdir()}
    assert {path: stat.st_ino for path, stat in after.items()} == {
        path: stat.st_ino for path, stat in before.items()
    }


def test_a_correction_of_an_old_day_writes_the_files_of_its_period_alone(settings, warehouse):
    warehouse.publish_copy()
    before = files(settings)
    change(warehouse, "update daily_metrics set clicks = 8 where metric_date = '2025-02-12'")
    warehouse.publish_copy()
    assert {name.rsplit("-", 1)[0] for name in files(settings) - before} == {
        "daily_metrics-20250201-20250228",
        "served_observed_months-20250201-20250228",
    }
    assert tables(current_copy(settings.published_dir)) == tables(settings.warehouse_path)


def test_a_file_goes_with_the_last_copy_that_has_it(settings, warehouse):
    warehouse.publish_copy()
    stale = [name for name in files(settings) if name.startswith("daily_metrics-202502")]
    change(warehouse, "update daily_metrics set clicks = 8 where metric_date = '2025-02-12'")
    for _ in range(2):
        warehouse.publish_copy()
        assert set(stale) <= files(settings)
    (settings.published_dir / FOLDER / "x.parquet.part").write_bytes(b"half")
    warehouse.publish_copy()
    assert not (set(stale) | {"x.parquet.part"}) & files(settings)
    assert tables(current_copy(settings.published_dir)) == tables(settings.warehouse_path)


def test_a_copy_that_cannot_be_read_keeps_all_files(settings, warehouse):
    warehouse.publish_copy()
    current_copy(settings.published_dir).write_bytes(b"x" * 100)
    before = files(settings)
    change(warehouse, "update daily_metrics set clicks = 8 where metric_date = '2025-02-12'")
    warehouse.publish_copy()
    assert before < files(settings)


@pytest.mark.parametrize("content", [None, b"", b"x" * 300])
def test_a_file_that_is_gone_or_damaged_is_one_sentence_and_comes_back(
    settings, warehouse, content
):
    warehouse.publish_copy()
    (path,) = (settings.published_dir / FOLDER).glob("publications-202502*")
    path.unlink() if content is None else path.write_bytes(content)
    with open_reader(settings) as copy, pytest.raises(NotPublishedError) as caught:
        copy.fetch_arrow("serving/newest_published_day")
    assert "gone or damaged" in str(caught.value)
    assert "\n" not in str(caught.value)
    warehouse.publish_copy()
    assert tables(current_copy(settings.published_dir)) == tables(settings.warehouse_path)


def test_a_loss_in_a_closed_month_is_refused(settings, warehouse):
    warehouse.publish_copy()
    change(warehouse, "delete from publications where as_of_date = '2025-02-12'")
    with pytest.raises(PublicationRefusedError, match="published history shorter: 3"):
        warehouse.publish_copy()
    warehouse.publish_copy(accept_loss=True)
    with open_reader(settings) as copy:
        assert {extent.day_count for extent in published_days(copy).values()} == {52}


class Killed(BaseException):
    pass


def test_a_kill_at_any_moment_leaves_the_old_copy_readable(settings, warehouse, monkeypatch):
    warehouse.publish_copy()
    old = tables(current_copy(settings.published_dir))
    change(warehouse, "update daily_metrics set clicks = 8 where metric_date <= '2025-03-12'")
    real, moment = history_files.os.fsync, 0
    while True:
        moment += 1
        left = moment

        def fsync(descriptor):
            nonlocal left
            left -= 1
            if left == 0:
                raise Killed
            real(descriptor)

        with monkeypatch.context() as patch:
            patch.setattr(history_files.os, "fsync", fsync)
            try:
                warehouse.publish_copy()
                break
            except Killed:
                pass
        if current_copy(settings.published_dir).name == "serving-1.duckdb":
            assert tables(current_copy(settings.published_dir)) == old
    assert moment > 5  # files that were complete are not written again
    assert tables(current_copy(settings.published_dir)) == tables(settings.warehouse_path)
    assert not list(settings.published_dir.rglob("*.part"))


def test_a_full_disk_is_one_sentence(warehouse, monkeypatch):
    def full(*_):
        raise duckdb.IOException("IO Error: No space left on device")

    monkeypatch.setattr(history_files, "_write_history", full)
    with pytest.raises(HomeError, match="No space left on device"):
        warehouse.publish_copy()


def test_a_home_may_move_and_may_have_a_comma_in_its_name(make_settings, tmp_path, warehouse):
    warehouse.publish_copy()
    for name in ("it's moved [1]", "with, comma"):
        home = tmp_path / name
        shutil.copytree(warehouse._path.parent, home)
        moved = make_settings(mab_home=home)
        if "," in name:
            DuckDBWarehouse(moved).publish_copy()
            assert duckdb.connect(current_copy(moved.published_dir)).execute(
                "select count(*) from history_files"
            ).fetchall() == [(0,)]
        assert tables(current_copy(moved.published_dir)) == tables(moved.warehouse_path)


def test_a_whole_copy_of_an_older_version_is_read(settings, warehouse):
    change(warehouse, "drop view served_published_months", "drop view served_observed_months")
    with closing(open_copy(settings.warehouse_path)) as copy:
        assert {extent.day_count for extent in published_days(copy).values()} == {53}
        (branch := copy.branch()).fetch_arrow("serving/observed")
        branch.close()
