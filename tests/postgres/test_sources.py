"""A SQL source on a real PostgreSQL: what arrives, what is refused, and what stays secret."""

import time
from urllib.parse import quote

import pytest

from mab_store.clock import utc_now
from tests.integration.conftest import World
from tests.integration.sources.scenes import DAY, Home

QUERY = (
    "select day as date, experiment, variant, sum(views) as impressions, "
    "sum(clicks)::numeric(12, 2) as clicks from counts where day = :day group by 1, 2, 3"
)
STORED = "experiment,variant_name,impressions,clicks\ncta,control,1000,10\ncta,variant_a,1000,20\n"
WRONG = "wr0ng/p@ss"


@pytest.fixture(scope="module")
def cursor(postgres):
    with postgres.cursor() as cursor:
        cursor.execute(
            "create table counts (day date, experiment text, variant text, hour int, "
            "views bigint, clicks int)"
        )
        cursor.execute(
            "insert into counts select date '2025-03-19', 'cta', variant, hour, 500, clicks "
            "from (values ('control', 5), ('variant_a', 10)) as v (variant, clicks), "
            "generate_series(1, 2) as hour"
        )
        yield cursor


@pytest.fixture
def home(tmp_path, postgres, cursor, monkeypatch):
    assert cursor
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("ADS_URL", postgres.url())
    return Home(folder)


def source(query=QUERY, more=""):
    return f'kind = "sql"\nurl_env = "ADS_URL"\nquery = """{query}"""\nretries = 0\n{more}'


def test_counts_arrive_in_raw_rows_and_a_correction_is_the_later_file(home, cursor):
    first = home.pull(source())
    assert home.text(first.added[0]) == STORED
    assert home.pull(source()).unchanged == first.added
    cursor.execute("update counts set clicks = 30 where variant = 'variant_a' and hour = 2")
    second = home.pull(source())
    assert home.text(second.added[0]) == STORED.replace("1000,20", "1000,40")
    world = World(home.folder, clock=utc_now)
    world.register("cta")
    world.run(str(DAY), assets=("source_ads", "experiments", "raw_metrics", "daily_metrics"))
    assert world.query("select count(*) from raw_metrics") == [(4,)]
    counted = world.query(
        "select variant_name, impressions, clicks from daily_metrics order by all"
    )
    assert counted == [("control", 1000, 10), ("variant_a", 1000, 40)]


def test_a_wrong_password_is_told_without_it(home, postgres, monkeypatch):
    monkeypatch.setenv("ADS_URL", postgres.url(password=WRONG))
    pulled = home.pull(source())
    assert pulled.is_down
    assert "password authentication failed" in pulled.failed[DAY]
    for secret in (WRONG, quote(WRONG, safe=""), postgres.password):
        assert secret not in str(pulled)


def test_an_error_that_repeats_the_secret_loses_it(home, postgres):
    query = f"select cast('{postgres.password}' as int) as clicks where :day is not null"
    said = home.failure(source(query))
    assert "invalid input syntax" in said
    assert "***" in said
    assert postgres.password not in said


def test_a_source_cannot_write(home, cursor):
    said = home.failure(source("delete from counts where day = :day returning *"))
    assert "read-only transaction" in said
    cursor.execute("select count(*) from counts")
    assert cursor.fetchone() == (4,)


def test_a_query_that_takes_too_long_is_stopped_on_the_server_too(home, cursor):
    began = time.monotonic()
    said = home.failure(source("select pg_sleep(600), :day as day", "timeout_seconds = 1"))
    assert "statement timeout" in said or "took longer than 1 s" in said
    assert time.monotonic() - began < 60
    for _ in range(600):
        cursor.execute(
            "select count(*) from pg_stat_activity where query like '%pg_sleep(600)%' and "
            "state = 'active' and pid <> pg_backend_pid()"
        )
        if cursor.fetchone() == (0,):
            return
        time.sleep(0.1)
    pytest.fail("the query still runs")


def test_a_server_that_is_not_there_is_a_sentence(home, monkeypatch):
    monkeypatch.setenv("ADS_URL", "postgresql://mab:pw-of-none@127.0.0.1:9/postgres")
    pulled = home.pull(source())
    assert pulled.is_down
    assert "pw-of-none" not in str(pulled)
    assert "onnection refused" in pulled.failed[DAY]
