"""A SQL source: one query per day, on any database that SQLAlchemy or DuckDB opens.

The day is bound, never written into the statement. The result becomes JSON, which keeps numbers
apart from text; the reader of exports takes it from there. Nothing is committed.
"""

import json
import re
from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import duckdb
import sqlalchemy
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from mab_pipeline.sources.config import SqlSource
from mab_pipeline.sources.fetched import Fetched, SourceDownError, SourceError, too_large
from mab_pipeline.sources.url_secrets import Secrets
from mab_store.errors import UnreadableFileError, UsageError
from mab_store.files.limits import Limits
from mab_store.settings import Settings

CHUNK_ROWS = 1 << 12
DAY = re.compile(r"(?<![:\w\\]):day\b(?!:)")
_NAME = "result.json"


def fetch_sql(
    source: SqlSource,
    day: date,
    *,
    secrets: Secrets,
    settings: Settings,
    limits: Limits,
    most_bytes: int,
) -> list[Fetched]:
    """Run the query of a day; none if it returns no row.

    Args:
        source: The source.
        day: The day, bound to `:day`.
        secrets: Remembers the secrets that are read.
        settings: For MAB_HOME.
        limits: For the number of rows.
        most_bytes: Largest result, as JSON [bytes].

    Raises:
        SourceDownError: The database does not answer, or rejects the query.
        SourceError: The driver is not installed, or the result is too large.
        UsageError: An environment variable is not set, or its URL cannot be used.
    """
    if source.duckdb is not None:
        return _of_duckdb(source, day, settings, limits, most_bytes)
    url = _url(source.url or secrets.read(source.url_env or ""))
    statement = sqlalchemy.text(source.query).bindparams(
        sqlalchemy.bindparam("day", type_=sqlalchemy.Date)
    )
    try:
        engine = sqlalchemy.create_engine(
            url,
            poolclass=NullPool,
            connect_args=_bounded(url, source.timeout_seconds),
            execution_options=_read_only(url),
        )
        with engine.connect() as connection:
            result = connection.execute(statement, {"day": day})
            if not result.returns_rows:
                raise SourceError("its query returns no rows; write a SELECT")
            return fetched_rows(
                list(result.keys()), result.partitions(CHUNK_ROWS), limits, most_bytes
            )
    except (ImportError, NoSuchModuleError) as error:
        raise SourceError(
            f"the driver of {url.drivername} is not installed ({error}); install it next to mab"
        ) from None
    except DBAPIError as error:
        raise SourceDownError(f"the database says: {error.orig}") from None
    except SQLAlchemyError as error:
        raise SourceDownError(f"the query cannot be run: {error}") from None


def _url(text: str) -> URL:
    """Parse a URL; plain `postgresql://` gets the driver that mab[postgres] installs."""
    try:
        url = make_url(text)
        is_plain = url.drivername in {"postgresql", "postgres"}
        return url.set(drivername="postgresql+psycopg2") if is_plain else url
    except ArgumentError:
        raise UsageError(
            "its URL must be DIALECT://USER:PASSWORD@HOST/DATABASE; signs such as @ and / in a "
            "password are written as %40 and %2F"
        ) from None


def _bounded(url: URL, seconds: float) -> dict[str, Any]:
    """Return arguments that make PostgreSQL itself stop in time."""
    if url.drivername not in {"postgresql+psycopg2", "postgresql+psycopg"} or url.query:
        return {}
    return {
        "connect_timeout": max(1, int(seconds)),
        "options": f"-c statement_timeout={max(1, int(seconds * 1000))}",
    }


def _read_only(url: URL) -> dict[str, Any]:
    return {"postgresql_readonly": True} if url.get_backend_name() == "postgresql" else {}


def _of_duckdb(
    source: SqlSource, day: date, settings: Settings, limits: Limits, most_bytes: int
) -> list[Fetched]:
    path = settings.mab_home / str(source.duckdb)
    if not path.is_file():
        raise SourceError(f"the DuckDB file {path} is not there")
    try:
        with duckdb.connect(path, read_only=True) as connection:
            cursor = connection.execute(DAY.sub("$day", source.query), {"day": day})
            names = [str(column[0]) for column in cursor.description or ()]
            chunks = iter(lambda: cursor.fetchmany(CHUNK_ROWS), [])
            return fetched_rows(names, chunks, limits, most_bytes)
    except duckdb.Error as error:
        raise SourceDownError(f"DuckDB says: {error}") from None


def fetched_rows(
    names: Sequence[str],
    chunks: Iterable[Sequence[Sequence[Any]]],
    limits: Limits,
    most_bytes: int,
) -> list[Fetched]:
    """Return rows as JSON, one object a line, within the limits."""
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise SourceError(f"its query returns the column {repeated[0]} twice; name one otherwise")
    lines, size = [], 0
    for chunk in chunks:
        for row in chunk:
            line = json.dumps(dict(zip(names, map(_json, row), strict=True)))
            lines.append(line)
            size += len(line) + 1
        if size > most_bytes:
            raise too_large("the result", most_bytes)
        try:
            limits.check(rows=len(lines), text_bytes=0)
        except UnreadableFileError as error:
            raise SourceError(f"the result {error}") from None
    return [Fetched(_NAME, "\n".join(lines).encode())] if lines else []


def _json(value: object) -> object:
    """Return a value as JSON has it; SUM gives a Decimal, which is a count if it is whole."""
    if isinstance(value, Decimal):
        return (
            int(value) if value.is_finite() and value == value.to_integral_value() else str(value)
        )
    return value if value is None or isinstance(value, (int, float, str)) else str(value)
