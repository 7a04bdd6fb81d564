"""The writer lock: take it, wait for it, name its holder.

The row of `writer_lock` that a transaction updates is locked until the transaction ends. A run that
was killed leaves its transaction behind, which Snowflake ends by itself once it was idle for five
minutes and another one waits for it. So the usual wait is longer than that.
"""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from mab_store.clock import utc_now
from mab_store.errors import WarehouseError
from mab_store.settings import Settings
from mab_store.warehouse.snowflake.connection import Cursor
from mab_store.warehouse.snowflake.errors import is_locked
from mab_store.warehouse.snowflake.statements import run
from mab_store.warehouse.sql_loader import load_sql

AGAIN_SECONDS = 5.0
"""Pause before another wait, if Snowflake ended one early: 20 statements wait already."""

Begun = TypeVar("Begun")
_LOG = logging.getLogger(__name__)


class LockHeldError(Exception):
    """Snowflake ended the wait for the lock.

    Attributes:
        error: The connector's error.
        holder: Who holds the lock, and how to end that, as sentences.
    """

    def __init__(self, error: Exception, holder: str) -> None:
        super().__init__(str(error))
        self.error = error
        self.holder = holder


def take_lock(cursor: Cursor, token: str, settings: Settings) -> None:
    """Update the row of `writer_lock`, which waits for the transaction that holds it.

    Args:
        cursor: A cursor of a session with an open transaction.
        token: Names this transaction; the row keeps it if it is committed.
        settings: For the longest wait.

    Raises:
        LockHeldError: Snowflake ended the wait.
        WarehouseError: The table is empty.
    """
    (statement,) = load_sql("snowflake/take_lock")
    values = statement.bind({"holder": token, "taken_at": utc_now()})
    try:
        run(cursor, statement.text, values, seconds=settings.warehouse_lock_timeout_seconds + 60)
    except Exception as error:
        if not is_locked(error):
            raise
        roll_back(cursor)
        raise LockHeldError(error, holder(cursor)) from None
    if not cursor.rowcount:
        raise WarehouseError("The table writer_lock is empty. Run `mab init`.")


def waiting_for_lock(begin: Callable[[], Begun], settings: Settings) -> Begun:
    """Begin; if Snowflake ends the wait before its time, wait again.

    Raises:
        LockHeldError: WAREHOUSE_LOCK_TIMEOUT_SECONDS are over.
    """
    end = time.monotonic() + settings.warehouse_lock_timeout_seconds
    while True:
        try:
            return begin()
        except LockHeldError as held:
            left = end - time.monotonic()
            if left <= 0:
                raise
            _LOG.warning("%s Waiting again.", str(held).splitlines()[0])
            time.sleep(min(left, AGAIN_SECONDS))


def holder(cursor: Cursor) -> str:
    """Return sentences about the transaction that holds the lock; SHOW LOCKS names it."""
    (statement,) = load_sql("snowflake/show_locks")
    try:
        run(cursor, statement.text)
        names = [column.name.lower() for column in cursor.description]
        rows = []
        while (row := cursor.fetchone()) is not None:
            rows.append(dict(zip(names, row, strict=True)))
    except Exception as error:  # noqa: BLE001  # the error before it matters; this one is quoted
        return f"SHOW LOCKS could not name its holder ({str(error).splitlines()[0][:200]})."
    for row in rows:
        is_ours = str(row["resource"]).upper().endswith("WRITER_LOCK")
        if is_ours and str(row["status"]).upper() == "HOLDING":
            return (
                f"Transaction {row['transaction']} has held the lock since {row['acquired_on']}. "
                "If its run is dead, Snowflake ends it 5 minutes after its last statement; to end "
                f"it now: SELECT SYSTEM$ABORT_TRANSACTION({row['transaction']});"
            )
    return (
        "It belongs to another user: an ACCOUNTADMIN finds it with SHOW LOCKS IN ACCOUNT and ends "
        "it with SELECT SYSTEM$ABORT_TRANSACTION(...);"
    )


def roll_back(cursor: Cursor) -> bool:
    """Roll back; return whether that succeeded. The error before it matters, not one of its own."""
    try:
        run(cursor, "rollback")
    except Exception:  # noqa: BLE001  # the connection broke, and with it the transaction ends
        return False
    return True
