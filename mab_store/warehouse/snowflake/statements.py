"""Run one statement on an open connection, with its limit of time and its query tag."""

from collections.abc import Mapping, Sequence

import pyarrow as pa

from mab_store.warehouse.query_tag import current_query_tag
from mab_store.warehouse.snowflake.arrow import result_table
from mab_store.warehouse.snowflake.connection import STATEMENT_TIMEOUT_SECONDS, Cursor
from mab_store.warehouse.sql_loader import load_query

# The client waits a little longer than the server, whose message says more.
GRACE_SECONDS = 5


def run(
    cursor: Cursor,
    text: str,
    values: Sequence[object] | None = None,
    *,
    seconds: float | None = None,
) -> None:
    """Run one statement.

    Args:
        cursor: A cursor of the session.
        text: The statement, with `?` for each value.
        values: The values.
        seconds: The time after which the client has it cancelled; None for that of a run.
    """
    limit = STATEMENT_TIMEOUT_SECONDS if seconds is None else seconds
    cursor.execute(
        text,
        values,
        timeout=int(limit) + GRACE_SECONDS,
        _statement_params={"QUERY_TAG": current_query_tag()},
    )


def fetch(
    cursor: Cursor,
    name: str,
    parameters: Mapping[str, object] | None = None,
    *,
    seconds: float | None = None,
) -> pa.Table:
    """Run the one query of `sql/<name>.sql` and return its rows (perhaps none)."""
    statement = load_query(name)
    run(cursor, statement.text, statement.bind(parameters or {}), seconds=seconds)
    return fetched(cursor)


def fetched(cursor: Cursor) -> pa.Table:
    """Return the rows of the query that the cursor ran."""
    # Microseconds: nanoseconds cannot hold the year 9999.
    batches = cursor.fetch_arrow_batches(force_microsecond_precision=True)
    return result_table(batches, cursor.description)
