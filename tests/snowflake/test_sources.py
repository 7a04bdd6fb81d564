"""A source in Snowflake, while mab's own engine is another, and while it is Snowflake too."""

from datetime import date

import pytest
from typer.testing import CliRunner

from mab_pipeline.cli.main import app
from mab_store.warehouse.snowflake.connection import connect_directly
from tests.integration.sources.scenes import DAY, Home

STORED = "experiment,variant_name,impressions,clicks\ncta,control,1000,10\ncta,variant_a,1000,20\n"
EARLIER = "experiment,variant_name,impressions,clicks\ncta,control,1,1\n"
BEFORE = date(2025, 3, 18)
FLAKE = 'kind = "snowflake"\nretries = 0\n'
QUERY = f'{FLAKE}query = "select * from ad_counts where date = :day and date <= :day"'
TABLE = f'{FLAKE}table = "ad_counts"'
VIEW = (
    f'{FLAKE}table = "allocation.ad_events"\nday_column = "seen_at"\n'
    'mapping = {date_column = "seen_at", experiment_column = "test", variant_column = "arm", '
    'impressions_column = "views", clicks_column = "hits"}'
)
COUNTS = """create table ad_counts (
    date date, experiment varchar, variant varchar, impressions number(38, 0), clicks number(38, 0)
)"""
ROWS = """insert into ad_counts values
    ('2025-03-19', 'cta', 'control', 1000, 10),
    ('2025-03-19', 'cta', 'variant_a', 1000, 20),
    ('2025-03-18', 'cta', 'control', 1, 1)"""
EVENTS = """create view ad_events as
    select cast(date as timestamp) as seen_at, experiment as test, variant as arm,
        impressions as views, clicks as hits
    from ad_counts"""


def change(settings, *statements: str) -> None:
    with connect_directly(settings)() as connection:
        for statement in statements:
            connection.cursor().execute(statement)


@pytest.fixture(scope="module")
def place(make_worlds):
    """Settings of a Snowflake that holds counts beside mab's own tables."""
    _, flake = make_worlds()
    change(flake.settings, COUNTS, ROWS, EVENTS)
    return flake.settings


@pytest.fixture(params=["duckdb", "snowflake"])
def home(place, request, tmp_path):
    names = [name for name in type(place).model_fields if name.startswith("snowflake_")]
    own = {name: getattr(place, name) for name in names}
    made = Home(tmp_path, mab_engine=request.param, **own)
    assert made.settings.mab_engine == request.param
    return made


@pytest.mark.parametrize("source", [QUERY, TABLE, VIEW], ids=["query", "table", "view"])
def test_counts_of_snowflake_become_files_of_the_inbox(home, source):
    pulled = home.pull(source)
    assert pulled.failed == {}
    assert home.text(pulled.added[0]) == STORED
    assert home.pull(source).unchanged == pulled.added


def test_days_that_were_corrected_are_pulled_again_by_lookback(home, place):
    first = home.pull(TABLE, late=(BEFORE,))
    assert home.text(first.added[0]) == EARLIER
    change(place, "update ad_counts set clicks = 0 where date = '2025-03-18'")
    try:
        second = home.pull(TABLE, late=(BEFORE,))
    finally:
        change(place, "update ad_counts set clicks = 1 where date = '2025-03-18'")
    (added,) = second.added
    assert home.text(added) == EARLIER.replace(",1,1", ",1,0")
    assert second.unchanged == first.added[1:]
    assert len(home.files()) == 3


def test_a_day_without_rows_and_a_table_that_is_missing_are_sentences_without_the_password(home):
    assert home.pull(TABLE, date(2025, 1, 1)).failed[date(2025, 1, 1)].startswith("it has no rows")
    pulled = home.pull(TABLE.replace("ad_counts", "no_such_table"))
    said = pulled.failed[DAY]
    assert "NO_SUCH_TABLE" in said.upper()
    assert pulled.is_down
    assert home.settings.snowflake_password.get_secret_value() not in said
    assert home.files() == []


def test_the_warehouses_own_session_reads_the_source(place, tmp_path, monkeypatch):
    names = [name for name in type(place).model_fields if name.startswith("snowflake_")]
    home = Home(tmp_path, mab_engine="snowflake", **{name: getattr(place, name) for name in names})
    logins = []
    opened = home.platform.warehouse._sessions._connect
    monkeypatch.setattr(
        home.platform.warehouse._sessions, "_connect", lambda: logins.append(1) or opened()
    )
    for source in (TABLE, QUERY):
        assert home.pull(source).failed == {}
    with home.platform.warehouse.reading() as queries:
        queries.fetch_arrow("ledger/newest_stamp")
    assert len(logins) == 1


def test_the_commands_check_and_pull_it(place, tmp_path, monkeypatch):
    for name in type(place).model_fields:
        value = getattr(place, name)
        if name.startswith("snowflake_") and value is not None:
            text = value.get_secret_value() if name == "snowflake_password" else str(value)
            monkeypatch.setenv(name.upper(), text)
    monkeypatch.setenv("MAB_HOME", str(tmp_path))
    (tmp_path / "sources.toml").write_text(f"[sources.ads]\n{TABLE}\n")
    checked = CliRunner().invoke(app, ["sources", "check", "--date", str(DAY)])
    assert "2 rows of 2025-03-19, 1 experiment" in checked.output, checked.output
    pulled = CliRunner().invoke(app, ["sources", "pull", "ads", "--date", str(DAY)])
    assert pulled.exit_code == 0, pulled.output
    assert len(list((tmp_path / "inbox" / "metrics" / str(DAY)).iterdir())) == 1
