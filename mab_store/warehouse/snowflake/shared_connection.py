"""The shared connection to Snowflake: one for all threads of a program that runs for months.

No thread repeats a failed login at once: the pause doubles from failure to failure. After a refused
login the pause is the longest from the start, since a few refused logins lock the user out.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from threading import Lock
from typing import NamedTuple

import pyarrow as pa

from mab_store.errors import MabError, SettingsError, WarehouseError
from mab_store.settings import Settings
from mab_store.warehouse.snowflake.connection import Connect, Connection
from mab_store.warehouse.snowflake.errors import explained, is_transient
from mab_store.warehouse.snowflake.statements import fetch

LONGEST_PAUSE_SECONDS = 300.0


def pause_seconds(first: float, failures: int) -> float:
    """Return the pause after a number of consecutive failures; each failure doubles it.

    Args:
        first: The usual pause [s].
        failures: Consecutive failures; 0 gives the usual pause.
    """
    return min(max(first, LONGEST_PAUSE_SECONDS), first * 2.0 ** min(failures, 60))


class _Open(NamedTuple):
    connection: Connection
    stack: ExitStack


class Line:
    """The connection; the first query opens it.

    Args:
        settings: The settings.
        connect: Opens a connection, which is closed when its block ends.
        query_seconds: Limit of a query; None for that of a run [s].
        clock: Returns monotonic seconds.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        connect: Connect,
        query_seconds: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._connect = connect
        self._query_seconds = query_seconds
        self._clock = clock
        self._open: _Open | None = None
        self._lock = Lock()
        self._failures = 0
        self._not_before = clock()
        self._reason = ""

    def fetch_arrow(self, name: str, parameters: Mapping[str, object] | None = None) -> pa.Table:
        """Run the one query of `sql/<name>.sql` once and return its rows (perhaps none).

        Raises:
            WarehouseError: Snowflake is unreachable, refuses the query, or the pause is not over.
            SettingsError: The login was refused.
        """
        opened = self._opened()
        with explained(self._settings, doing=f"sql/{name}.sql"):
            try:
                cursor = opened.connection.cursor()
                return fetch(cursor, name, parameters, seconds=self._query_seconds)
            except Exception as error:
                if type(error).__name__ != "ProgrammingError" or is_transient(error):
                    self._drop(opened)  # not the query's fault
                raise

    def close(self) -> None:
        """Log out; the next query opens it again."""
        with self._lock:
            opened, self._open = self._open, None
        if opened:
            opened.stack.close()

    def _opened(self) -> _Open:
        with self._lock:
            if self._open is None:
                self._open = self._log_in()
            return self._open

    def _log_in(self) -> _Open:
        wait = self._not_before - self._clock()
        if wait > 0:
            raise WarehouseError(f"{self._reason} The next try is in {wait:.0f} s.")
        stack = ExitStack()
        try:
            with explained(self._settings, doing="connecting"):
                opened = _Open(stack.enter_context(self._connect()), stack)
        except MabError as error:
            first = self._settings.api_refresh_seconds
            is_refused = isinstance(error, SettingsError)
            pause = LONGEST_PAUSE_SECONDS if is_refused else pause_seconds(first, self._failures)
            self._failures += 1
            self._not_before = self._clock() + pause
            self._reason = str(error)
            raise
        self._failures = 0
        return opened

    def _drop(self, opened: _Open) -> None:
        with self._lock:
            if self._open is opened:
                self._open = None
        opened.stack.close()
