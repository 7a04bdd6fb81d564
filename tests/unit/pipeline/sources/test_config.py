"""sources.toml: what it may say, and one sentence for each mistake."""

import datetime as dt

import pytest

from mab_pipeline.sources.config import filled_in, find_source, load_sources
from mab_pipeline.sources.url_secrets import Secrets, fault_of_url
from mab_store.errors import UsageError
from mab_store.settings import load_settings

DAY = dt.date(2026, 3, 9)
SECRET = "hunter2"
QUERY = 'query = "select * from t where d = :day"'
SQL = f'[sources.ads]\nkind = "sql"\nurl = "sqlite://"\n{QUERY}\n'
FLAKE = '[sources.ads]\nkind = "snowflake"\n'
FILES = '[sources.ads]\nkind = "files"\npath = "exports/{day}.csv"\n'
HTTP = '[sources.ads]\nkind = "http"\nurl = "https://ads.example/{day}"\n'


def loaded(tmp_path, text):
    (tmp_path / "sources.toml").write_text(text, "utf-8")
    return load_sources(load_settings(mab_home=tmp_path, _env_file=None))


def test_without_the_file_there_is_no_source(tmp_path):
    settings = load_settings(mab_home=tmp_path, _env_file=None)
    assert load_sources(settings) == []
    assert load_sources(load_settings(mab_home=tmp_path / "none", _env_file=None)) == []


def test_a_file_of_all_kinds_is_read_with_its_defaults(tmp_path):
    text = SQL + FILES.replace("ads", "exports", 1) + HTTP.replace("ads", "crm", 1)
    ads, crm, exports = loaded(tmp_path, text)
    assert [ads.kind, crm.kind, exports.kind] == ["sql", "http", "files"]
    assert (ads.series, ads.lookback_days, ads.retries, ads.allow_empty) == (
        "source-ads",
        3,
        3,
        False,
    )


def test_a_table_of_snowflake_is_read_by_its_day(tmp_path):
    (source,) = loaded(tmp_path, FLAKE + 'table = "raw.ads.COUNTS"\nday_column = "seen_on"')
    assert source.statement == (
        "select * from raw.ads.COUNTS where seen_on >= cast(:day as date) "
        "and seen_on < cast(:day as date) + 1"
    )
    (source,) = loaded(tmp_path, FLAKE + 'table = "counts"')
    assert "from counts where date >=" in source.statement
    (source,) = loaded(tmp_path, FLAKE + QUERY)
    assert source.statement == source.query


RUBBISH = {
    "": ("[sources.ads", "cannot be read"),
    "unknown table": ("[source.ads]", "source is not known; write [sources.NAME]"),
    "no table": ("sources = 3", "sources must be a table"),
    "a source that is no table": ("[sources]\nads = 3", "ads must be a table"),
    "a name with a capital": (SQL.replace("ads", "Ads"), "'Ads' must be lower-case"),
    "a name with a dash": (SQL.replace("ads", '"a-b"'), "'a-b' must be lower-case"),
    "a name of 51 characters": (SQL.replace("ads", "a" * 51), "at most 50"),
    "no kind": (
        SQL.replace('kind = "sql"', ""),
        "ads.kind: is missing; it is sql, snowflake, files or http",
    ),
    "another kind": (
        SQL.replace('"sql"', '"ftp"'),
        "ads.kind = 'ftp': must be sql, snowflake, files or http",
    ),
    "no query": (SQL.replace(QUERY, ""), "ads.query: is missing"),
    "a query without a day": (SQL.replace(":day", "1"), "ads.query: must contain :day"),
    "a query with more": (SQL.replace(":day", ":day and x = :x"), "must bind :day alone, not :x"),
    "no place": (SQL.replace('url = "sqlite://"', ""), "ads: needs exactly one of url, url_env"),
    "two places": (
        SQL + 'duckdb = "a.duckdb"',
        "needs exactly one of url, url_env and duckdb",
    ),
    "neither table nor query": (FLAKE, "ads: needs exactly one of table and query"),
    "a table and a query": (FLAKE + 'table = "t"\n' + QUERY, "exactly one of table and query"),
    "a table of four names": (
        FLAKE + 'table = "a.b.c.d"',
        "ads.table: must be TABLE, SCHEMA.TABLE",
    ),
    "a table that is a statement": (FLAKE + 'table = "t; drop table t"', "for any other one write"),
    "a quoted table": (FLAKE + "table = '\"t\"'", "ads.table: must be TABLE, SCHEMA.TABLE"),
    "a day that is no column": (FLAKE + 'table = "t"\nday_column = "a b"', "must be a plain name"),
    "a day beside a query": (FLAKE + QUERY + '\nday_column = "d"', "has no day_column beside"),
    "a query without its day": (FLAKE + 'query = "select 1"', "ads.query: must contain :day"),
    "a field of another kind": (FILES + QUERY, "ads.query: is not known here"),
    "a negative lookback": (SQL + "lookback_days = -1", "ads.lookback_days = -1"),
    "a lookback of 91 days": (SQL + "lookback_days = 91", "less than or equal to 90"),
    "a lookback that is text": (SQL + 'lookback_days = "3"', "valid integer"),
    "eleven retries": (SQL + "retries = 11", "ads.retries = 11: input should be less than"),
    "no time at all": (SQL + "timeout_seconds = 0", "ads.timeout_seconds = 0"),
    "not a number": (SQL + "timeout_seconds = nan", "ads.timeout_seconds = nan"),
    "another format": (HTTP + 'format = "xml"', "ads.format = 'xml': input should be 'json' or"),
    "another placeholder": (
        FILES.replace("{day}", "{date}"),
        "may contain {day} or {day:%Y/%m/%d}",
    ),
    "a lonely brace": (FILES.replace("{day}", "{day"), "a brace without its counterpart"),
    "another scheme": (
        FILES.replace("exports", "sftp://host"),
        "ads.path: must be a path, or begin",
    ),
    "an http url that is none": (HTTP.replace("https://", ""), "must begin with https://"),
    "two urls": (HTTP + 'url_env = "URL"', "needs exactly one of url and url_env"),
    "a mapping that is not there": (SQL + 'mapping = "none"', "There is no mapping 'none'"),
    "a mapping with a mistake": (SQL + 'mapping = {datum = "x"}', "datum = 'x'"),
    "a name in the table": (SQL + 'name = "x"', "ads.name is not known; the heading is its name"),
    "a key twice": (SQL + 'kind = "sql"', "cannot be read"),
}


@pytest.mark.parametrize("case", RUBBISH)
def test_rubbish_is_one_sentence_that_names_the_file_and_the_remedy(tmp_path, case):
    text, expected = RUBBISH[case]
    with pytest.raises(UsageError) as refused:
        loaded(tmp_path, text)
    said = str(refused.value)
    assert expected in said
    assert said.startswith(str(tmp_path / "sources.toml"))
    assert said.endswith("Correct it, then run `mab sources check`.")
    assert "\n" not in said
    assert "pydantic" not in said


def test_every_mistake_is_named_at_once(tmp_path):
    with pytest.raises(UsageError, match=r"ads\.retries.*ads\.lookback_days|lookback.*retries"):
        loaded(tmp_path, SQL + "retries = 11\nlookback_days = -1")


def test_bytes_that_are_no_text_are_one_sentence(tmp_path):
    (tmp_path / "sources.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="cannot be read"):
        load_sources(load_settings(mab_home=tmp_path, _env_file=None))


@pytest.mark.parametrize(
    "text",
    [
        SQL.replace("sqlite://", f"postgresql://u:{SECRET}@db/x"),
        SQL.replace("sqlite://", f"postgresql://u:{SECRET}/?#@db/x"),
        SQL.replace("sqlite://", f"mysql://db/x?password={SECRET}"),
        HTTP.replace("https://ads", f"https://u:{SECRET}@ads"),
        HTTP.replace("https://ads", f"https://{SECRET}@ads"),
        HTTP.replace("{day}", f"{{day}}?api_key={SECRET}"),
        HTTP.replace("{day}", f"{{day}}?X-Amz-Signature={SECRET}"),
        FILES.replace("exports/", f"s3://key:{SECRET}@bucket/"),
        HTTP + f'token = "{SECRET}"',
        HTTP + f'password = "{SECRET}"',
        HTTP + f'token_env = "{SECRET}-{SECRET}"',
    ],
)
def test_a_secret_in_the_file_is_refused_and_not_repeated(tmp_path, text):
    with pytest.raises(UsageError) as refused:
        loaded(tmp_path, text)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///a.db",
        "postgresql://reader@db:5432/x",
        "https://ads.example:8443/v1?day={day}&page=1",
        "s3://bucket/exports/{day}/*.csv",
        "exports/{day}.csv",
        "https://ads.example/?token=",
    ],
)
def test_a_url_without_a_secret_is_taken(url):
    assert fault_of_url(url) is None


def test_the_day_stands_where_and_how_the_template_says():
    assert filled_in("s3://b/{day:%Y/%m/%d}/{day}.csv", DAY) == "s3://b/2026/03/09/2026-03-09.csv"


def test_a_source_that_is_not_there_names_those_that_are(tmp_path):
    loaded(tmp_path, SQL)
    with pytest.raises(UsageError, match=r"no source 'crm'.*there: ads"):
        find_source(load_settings(mab_home=tmp_path, _env_file=None), "crm")


def test_messages_lose_every_form_of_a_secret(monkeypatch):
    monkeypatch.setenv("DB", "postgresql://u:p%40ss%2Fw@db/x?sslpassword=k3y")
    secrets = Secrets()
    secrets.read("DB")
    for told in ("p%40ss%2Fw", "p@ss/w", "k3y", "postgresql://u:p%40ss%2Fw@db/x?sslpassword=k3y"):
        assert secrets.clean(f"login of {told} failed") == "login of *** failed"


def test_a_variable_that_is_not_set_is_named(monkeypatch):
    monkeypatch.delenv("NOT_SET", raising=False)
    with pytest.raises(UsageError, match="environment variable NOT_SET is not set"):
        Secrets().read("NOT_SET")
    monkeypatch.setenv("NOT_SET", "  ")
    with pytest.raises(UsageError, match="NOT_SET"):
        Secrets().read("NOT_SET")
