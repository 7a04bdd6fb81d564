"""A pull of each kind of source: what reaches the inbox, and what each failure says."""

import os
import signal
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import duckdb
import fsspec
import pytest

from mab_pipeline.sources.pull import within
from tests.integration.sources.scenes import (
    DAY,
    HEADER,
    ROWS,
    TOKEN,
    Home,
    serving,
    sql_source,
    sqlite_database,
)

BEFORE = date(2025, 3, 18)
STORED = "experiment,variant_name,impressions,clicks\ncta,control,1000,10\ncta,variant_a,1000,20\n"


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home")


@pytest.fixture(autouse=True)
def folder(home):
    home.folder.mkdir()


@pytest.fixture(scope="module")
def web():
    with serving() as web:
        yield web


@pytest.fixture(autouse=True)
def token(monkeypatch, web):
    monkeypatch.setenv("ADS_TOKEN", TOKEN)
    web.reset()


def http(web, more=""):
    return f'kind = "http"\nurl = "{web.url}/v1/{{day}}"\ntoken_env = "ADS_TOKEN"\n{more}'


def exports(home, name, text=ROWS):
    path = home.folder / "exports" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


FILES = 'kind = "files"\npath = "exports/{day}*"'


# What is stored


def test_an_unchanged_pull_adds_nothing_and_a_corrected_one_is_the_later_file(home):
    exports(home, f"{DAY}.csv")
    first = home.pull(FILES)
    assert (first.days, first.rows, first.failed) == ([DAY], 2, {})
    (name,) = first.added
    assert name.startswith(f"metrics/{DAY}/source-ads.")
    assert home.text(name) == STORED
    again = home.pull(FILES)
    assert (again.added, again.unchanged) == ([], [name])
    exports(home, f"{DAY}.csv", ROWS.replace("1000,20", "1000,25"))
    corrected = home.pull(FILES)
    assert len(corrected.added) == 1
    assert home.text(corrected.added[0]) == STORED.replace("1000,20", "1000,25")
    exports(home, f"{DAY}.csv")  # back as it was: the later file must say so
    back = home.pull(FILES)
    assert len(back.added) == 1
    assert home.text(back.added[0]) == STORED
    assert len(home.files()) == 3
    receipts = home.platform.inbox.receipts_of(DAY).values()
    newest = max(receipts, key=lambda receipt: receipt.received_at)
    assert (newest.source_file, newest.by) == (back.added[0], "source ads")


def test_a_file_of_many_days_gives_each_day_its_own_and_no_other(home):
    rows = "\n".join(f"{day},cta,control,10,1" for day in (BEFORE, DAY, "1999-01-01"))
    exports(home, "all.csv", f"date,{HEADER}{rows}\n")
    pulled = home.pull('kind = "files"\npath = "exports/all.csv"', DAY, late=(BEFORE,))
    assert (pulled.days, pulled.rows, pulled.other_days) == ([BEFORE, DAY], 2, 4)
    assert {name.split("/")[1] for name in pulled.added} == {str(BEFORE), str(DAY)}


def test_files_that_are_parts_are_added_up_only_if_the_mapping_says_so(home):
    exports(home, f"{DAY}-1.csv")
    exports(home, f"{DAY}-2.csv")
    exports(home, f"{DAY}-3.csv.part", "half a")
    assert "which" in (said := home.failure(FILES))
    assert "add_up = true" in said
    pulled = home.pull(f"{FILES}\nmapping = {{add_up = true}}")
    assert "2000,40" in home.text(pulled.added[0])


def test_a_mapping_renames_columns_and_fixes_the_experiment(home):
    exports(home, f"{DAY}.csv", "Criativo;Vistas;Cliques\ncontrol;1.000;10\nvariant_a;1.000;20\n")
    mapping = (
        'mapping = {experiment = "cta", variant_column = "Criativo", '
        'impressions_column = "Vistas", clicks_column = "Cliques", decimal = "comma"}'
    )
    pulled = home.pull(f"{FILES}\n{mapping}")
    assert home.text(pulled.added[0]) == STORED


def test_any_file_system_of_fsspec_is_read(home):
    memory = fsspec.filesystem("memory")
    memory.pipe(f"/bucket/{DAY:%Y/%m/%d}/a.csv", ROWS.encode())
    pulled = home.pull('kind = "files"\npath = "memory://bucket/{day:%Y/%m/%d}/*.csv"')
    assert home.text(pulled.added[0]) == STORED
    memory.rm("/bucket", recursive=True)


def test_duckdb_and_sqlalchemy_bind_the_day_and_store_the_same(home, tmp_path):
    database = sqlite_database(tmp_path / "a.db", str(DAY), str(BEFORE))
    pulled = home.pull(sql_source(database))
    assert home.text(pulled.added[0]) == STORED
    with duckdb.connect(home.folder / "ads.duckdb") as connection:
        connection.execute(
            "create table counts as select date '2025-03-19' as day, 'cta' as experiment, "
            "unnest(['control', 'variant_a']) as variant, 1000::hugeint as impressions, "
            "unnest([10.0, 20.0]::decimal(9, 1)[]) as clicks"
        )
    query = "select * exclude (day), day::text as date from counts where day = :day and :day = day"
    duck = home.pull(f'kind = "sql"\nduckdb = "ads.duckdb"\nquery = "{query}"')
    assert (duck.added, duck.unchanged) == ([], pulled.added)


def test_an_answer_in_json_or_csv_is_stored_and_the_token_is_sent(home, web):
    pulled = home.pull(http(web))
    assert home.text(pulled.added[0]) == STORED
    assert web.asked == [(f"/v1/{DAY}", f"Bearer {TOKEN}")]
    web.body = (
        b'{"rows": [{"experiment": "cta", "variant": "control", "impressions": 1000, "clicks": 10},'
        b'{"experiment": "cta", "variant": "variant_a", "impressions": 1e3, "clicks": "20"}]}'
    )
    web.headers = {"Content-Type": "application/vnd.ads+json; charset=utf-8"}
    assert home.pull(http(web)).unchanged == pulled.added


def test_a_day_without_rows_fails_unless_it_is_late_or_may_be_empty(home, web):
    for body in (b"", HEADER.encode(), b"\n"):
        web.body = body
        assert home.failure(http(web)) == f"it has no rows of {DAY}"
    pulled = home.pull(http(web), late=(BEFORE,))
    assert list(pulled.failed) == [DAY]
    assert home.pull(http(web, "allow_empty = true")).failed == {}
    web.body = f"date,{HEADER}{BEFORE},cta,control,1,1\n".encode()
    assert home.failure(http(web)) == f"it has no rows of {DAY}, but 1 of other days"


# What goes wrong


@pytest.mark.parametrize(
    ("status", "is_down"), [(500, True), (503, True), (429, True), (404, False), (401, False)]
)
def test_a_status_says_whether_it_is_worth_to_try_again(home, web, status, is_down):
    web.status = status
    pulled = home.pull(http(web))
    assert pulled.failed[DAY].startswith(f"127.0.0.1 answers {status}")
    assert pulled.is_down is is_down


def test_a_redirect_is_followed_on_the_same_host_only(home, web):
    web.status, web.headers = 302, {"Location": "http://localhost:1/elsewhere"}
    assert "redirects to another host (localhost)" in home.failure(http(web))
    assert len(web.asked) == 1
    web.headers = {"Location": "file:///etc/passwd"}
    assert "answers 302" in home.failure(http(web))
    web.headers = {"Location": f"{web.url}/again"}
    assert "answer" in home.failure(http(web))  # it ends by itself
    assert {path for path, _ in web.asked} == {f"/v1/{DAY}", "/again"}


def test_a_server_that_drips_or_hangs_is_left_in_time(home, web):
    web.drip = 0.2
    began = time.monotonic()
    assert "timeout_seconds" in home.failure(http(web, "timeout_seconds = 0.5"))
    assert time.monotonic() - began < 5


def test_an_answer_that_breaks_off_or_is_too_large_is_not_stored(home, web):
    web.headers |= {"Content-Length": "1000"}
    assert "broke off" in home.failure(http(web, "timeout_seconds = 5"))
    web.reset()
    web.body = b"x" * ((1 << 20) + 1)
    assert "INBOX_MAX_FILE_MB" in Home(home.folder, inbox_max_file_mb=1).failure(http(web))


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ('kind = "http"\nurl = "http://127.0.0.1:9/"', "127.0.0.1 does not answer"),
        ('kind = "http"\nurl = "http://ads.example/"\ntoken_env = "ADS_TOKEN"', "https://"),
        ('kind = "http"\nurl_env = "NOT_SET"', "variable NOT_SET is not set"),
        ('kind = "files"\npath = "none/{day}.csv"', "it has no rows"),
        ('kind = "sql"\nurl = "postgresql:/db"\nquery = ":day"', "its URL must be DIALECT"),
        ('kind = "sql"\nurl = "nosuch://db"\nquery = ":day"', "driver of nosuch is not installed"),
        ('kind = "sql"\nurl = "sqlite://"\nquery = "select :day from t"', "no such table: t"),
        ('kind = "sql"\nurl = "sqlite://"\nquery = "select 1 as a, 2 as a, :day as d"', "twice"),
        ('kind = "sql"\nurl = "sqlite://"\nquery = "select :day as day"', "experiment"),
        ('kind = "sql"\nduckdb = "none.duckdb"\nquery = ":day"', "none.duckdb is not there"),
        ('kind = "snowflake"\nquery = "select :day"', "SNOWFLAKE_*"),
    ],
)
def test_each_failure_is_a_sentence_and_stores_nothing(home, table, expected):
    assert expected in home.failure(table)


def test_a_file_that_cannot_be_understood_names_itself_and_the_field_of_the_mapping(home):
    exports(
        home, f"{DAY}.csv", "date,experiment,variant,impressions,clicks\n01/02/2025,cta,a,1,1\n"
    )
    said = home.failure(FILES)
    assert f"exports/{DAY}.csv has dates in the column 'date'" in said
    assert "date_format in the mapping" in said
    assert "--" not in said


def test_a_database_that_is_away_leaves_the_days_behind_it_untried(home):
    pulled = home.pull('kind = "sql"\nurl = "sqlite:////nowhere/x"\nquery = ":day"', BEFORE, DAY)
    assert pulled.is_down
    assert list(pulled.failed) == [BEFORE, DAY]


def test_a_driver_that_hangs_is_left_at_the_deadline():
    began = time.monotonic()
    with pytest.raises(Exception, match=r"took longer than 0\.05 s"):
        within(0.05, lambda: time.sleep(2))
    assert time.monotonic() - began < 1.5


KILLED = """
import os, signal, sys
from datetime import date
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.integration.sources.scenes import Home
link, left = Path.hardlink_to, [{before}]
def killed(self, target):
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    link(self, target)
Path.hardlink_to = killed
Home(Path({home!r})).pull({table!r}, date(2025, 3, 18), date(2025, 3, 19))
"""


@pytest.mark.parametrize("before", [0, 1])
def test_a_pull_that_is_killed_leaves_whole_files_only_and_the_next_one_ends_it(home, before):
    for day in (BEFORE, DAY):
        exports(home, f"{day}.csv")
    script = KILLED.format(
        root=str(Path(__file__).parents[3]), home=str(home.folder), table=FILES, before=before
    )
    done = subprocess.run([sys.executable, "-c", script], env=dict(os.environ), check=False)
    assert done.returncode == -signal.SIGKILL
    days = (BEFORE, DAY)
    listed = [file for day in days for file in home.platform.inbox.files_of_day(day)]
    assert len(listed) == before
    assert all(home.text(file.source_file) == STORED for file in listed)
    pulled = home.pull(FILES, *days)
    assert (len(pulled.added), len(pulled.unchanged)) == (2 - before, before)
    assert [home.text(name) for name in pulled.added] == [STORED] * (2 - before)
