"""A SQL source on the Snowflake of the settings, while mab's own engine may be another."""

import pytest

from mab_store.warehouse.snowflake.connection import connect_directly
from tests.integration.sources.scenes import Home

STORED = "experiment,variant_name,impressions,clicks\ncta,control,1000,10\ncta,variant_a,1000,20\n"
SOURCE = (
    'kind = "sql"\nsnowflake = true\nretries = 0\n'
    'query = "select * from ad_counts where day = :day and day <= :day"'
)


@pytest.fixture
def home(warehouse, settings):
    assert warehouse
    with connect_directly(settings)() as connection:
        cursor = connection.cursor()
        cursor.execute(
            "create table ad_counts (day date, experiment varchar, variant varchar, "
            "impressions number(38, 0), clicks number(38, 0))"
        )
        cursor.execute(
            "insert into ad_counts values ('2025-03-19', 'cta', 'control', 1000, 10), "
            "('2025-03-19', 'cta', 'variant_a', 1000, 20), ('2025-03-18', 'cta', 'control', 1, 1)"
        )
    settings.mab_home.mkdir(exist_ok=True)
    names = [name for name in type(settings).model_fields if name.startswith("snowflake_")]
    return Home(settings.mab_home, **{name: getattr(settings, name) for name in names})


def test_counts_of_snowflake_become_files_of_the_inbox(home):
    assert home.settings.mab_engine == "duckdb"
    pulled = home.pull(SOURCE)
    assert pulled.failed == {}
    assert home.text(pulled.added[0]) == STORED
    assert home.pull(SOURCE).unchanged == pulled.added


def test_an_error_of_snowflake_is_a_sentence_without_the_password(home):
    pulled = home.pull(SOURCE.replace("ad_counts", "no_such_table"))
    (said,) = pulled.failed.values()
    assert "NO_SUCH_TABLE" in said.upper()
    assert home.settings.snowflake_password.get_secret_value() not in said
