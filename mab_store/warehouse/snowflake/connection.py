"""Connections to Snowflake: credentials, session parameters, opening without Dagster, retries."""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

from mab_store.settings import Settings
from mab_store.warehouse.query_tag import current_query_tag
from mab_store.warehouse.snowflake.credentials import login_arguments
from mab_store.warehouse.snowflake.errors import is_transient

LOGIN_TIMEOUT_SECONDS = 20
# Snowflake holds a request for 45 s before it answers that the statement is still at work.
SOCKET_TIMEOUT_SECONDS = 60
# How long one request is repeated while the network or the server fails; a statement takes many.
NETWORK_SECONDS = 120.0
STATEMENT_TIMEOUT_SECONDS = 3600
ATTEMPTS = 4
FIRST_WAIT_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 16.0
_FAILED_REQUEST = 250003  # the connector's number for it


class Cursor(Protocol):
    """The part of the connector's cursor that the adapter uses."""

    description: Any
    rowcount: Any

    def execute(
        self, command: str, params: Sequence[object] | None = None, **options: object
    ) -> Any:
        """Run one statement."""

    def fetchone(self) -> Any:
        """Return the next row, or None."""

    def fetch_arrow_batches(self, *, force_microsecond_precision: bool) -> Any:
        """Return an Arrow table for each chunk of the result."""


class Connection(Protocol):
    """The part of the connector's connection that the adapter uses."""

    def cursor(self) -> Any:
        """Return a `Cursor`."""

    def close(self) -> None:
        """End the session."""


Connect = Callable[[], AbstractContextManager[Connection]]
Open = Callable[[dict[str, Any]], AbstractContextManager[Connection]]
Opened = TypeVar("Opened")


def connection_arguments(settings: Settings, *, query_seconds: int | None = None) -> dict[str, Any]:
    """Return the arguments of `snowflake.connector.connect` for our sessions.

    Only our own statements begin and end a transaction (autocommit is on outside of it). There is
    no `network_timeout`: the connector cancels every statement that takes longer. A statement has
    its own limit (`statements.run`), and `network_pauses` limits the requests.

    Args:
        settings: The settings.
        query_seconds: Limit of a query on the server; None: that of a run [s].

    Raises:
        SettingsError: The credential is missing or cannot be used.
    """
    arguments: dict[str, Any] = {
        "role": settings.snowflake_role,
        "warehouse": settings.snowflake_warehouse,
        "database": settings.snowflake_database,
        "schema": settings.snowflake_schema,
        "autocommit": True,
        "paramstyle": "qmark",
        "login_timeout": LOGIN_TIMEOUT_SECONDS,
        "socket_timeout": SOCKET_TIMEOUT_SECONDS,
        "backoff_policy": network_pauses,
        "session_parameters": session_parameters(settings),
    }
    arguments = {
        **login_arguments(settings),
        **{name: value for name, value in arguments.items() if value is not None},
    }
    if settings.snowflake_url:
        parts = urlsplit(settings.snowflake_url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        arguments |= {"protocol": parts.scheme, "host": parts.hostname, "port": port}
    if query_seconds is not None:
        arguments["session_parameters"]["STATEMENT_TIMEOUT_IN_SECONDS"] = query_seconds
        arguments["socket_timeout"] = min(SOCKET_TIMEOUT_SECONDS, query_seconds)
    return {name: value for name, value in arguments.items() if value is not None}


def session_parameters(settings: Settings) -> dict[str, Any]:
    """Return the parameters that must not depend on the defaults of an account or a user."""
    return {
        "QUERY_TAG": current_query_tag(),
        "TIMEZONE": "UTC",
        "TIMESTAMP_TYPE_MAPPING": "TIMESTAMP_NTZ",  # the meaning of `timestamp` in our DDL
        "TRANSACTION_ABORT_ON_ERROR": True,
        "ABORT_DETACHED_QUERY": True,  # a run that died must not keep writing
        "LOCK_TIMEOUT": int(settings.warehouse_lock_timeout_seconds),  # the default is 12 hours
        "STATEMENT_TIMEOUT_IN_SECONDS": STATEMENT_TIMEOUT_SECONDS,
        "CLIENT_OUT_OF_BAND_TELEMETRY_ENABLED": False,
    }


def connected_by(
    open_one: Open, settings: Settings, *, query_seconds: int | None = None
) -> Connect:
    """Return a function that opens a connection: every one of ours is opened, and closed, here.

    Args:
        open_one: Opens one with these arguments: the connector alone, or Dagster's resource.
        settings: The settings.
        query_seconds: Limit of a query on the server; None: that of a run [s].
    """

    @contextmanager
    def connected() -> Iterator[Connection]:
        arguments = connection_arguments(settings, query_seconds=query_seconds)
        with open_one(arguments) as connection:
            try:
                yield connection
            finally:
                connection.close()

    return connected


def connect_directly(settings: Settings, *, query_seconds: int | None = None) -> Connect:
    """Return a function that opens a connection with the connector alone, for readers.

    Args:
        settings: The settings.
        query_seconds: Limit of a query on the server; None: that of a run [s].
    """

    def open_one(arguments: dict[str, Any]) -> AbstractContextManager[Connection]:
        import snowflake.connector  # noqa: PLC0415  # takes seconds; only this engine needs it

        return nullcontext(snowflake.connector.connect(**arguments))

    return connected_by(open_one, settings, query_seconds=query_seconds)


def network_pauses() -> Iterator[float]:
    """Yield the pauses before one request is repeated, as the connector's `backoff_policy`.

    Without an end the connector repeats a request for as long as its statement may take.

    Raises:
        OperationalError: The request failed for NETWORK_SECONDS.
    """
    end = time.monotonic() + NETWORK_SECONDS
    pause = 1.0
    while True:
        yield min(pause, LONGEST_PAUSE_SECONDS)
        if time.monotonic() >= end:
            from snowflake.connector.errors import OperationalError  # noqa: PLC0415  # as above

            raise OperationalError(
                f"no answer for {NETWORK_SECONDS:g} s, however often the request was repeated",
                errno=_FAILED_REQUEST,
            )
        pause *= 2


def with_retries(attempt: Callable[[], Opened]) -> Opened:
    """Try again after a transient error, a few times, with growing pauses of random length.

    Args:
        attempt: Writes nothing if it fails: a login, a BEGIN, a query.
    """
    for number in range(ATTEMPTS):
        try:
            return attempt()
        except Exception as error:
            if not is_transient(error) or number == ATTEMPTS - 1:
                raise
        pause = FIRST_WAIT_SECONDS * 2**number
        time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311  # spreads clients, hides nothing
    raise AssertionError("unreachable")
