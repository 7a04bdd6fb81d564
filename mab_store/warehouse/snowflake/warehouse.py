"""Write to Snowflake: transactions, bulk loading and publishing, one writer at a time.

DDL commits implicitly on Snowflake, so none runs inside a transaction: rows are loaded through the
stage that every user has. A statement that may have been committed is never repeated blindly: only
opening a transaction is retried, and the outcome of a COMMIT without an answer is looked up.
"""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import pyarrow as pa

from mab_store.clock import utc_now
from mab_store.errors import WarehouseError
from mab_store.settings import Settings
from mab_store.warehouse.snowflake.arrow import write_files
from mab_store.warehouse.snowflake.connection import Connect, Connection, Cursor, with_retries
from mab_store.warehouse.snowflake.errors import explained, is_transient, mab_error
from mab_store.warehouse.snowflake.locks import (
    LockHeldError,
    roll_back,
    take_lock,
    waiting_for_lock,
)
from mab_store.warehouse.snowflake.reader import SnowflakeReader, open_snowflake
from mab_store.warehouse.snowflake.schema_setup import create_objects
from mab_store.warehouse.snowflake.sessions import Heartbeat, Sessions
from mab_store.warehouse.snowflake.statements import fetch, run
from mab_store.warehouse.sql_loader import load_sql
from mab_store.warehouse.warehouse import Replacement

# The folder in the user's own stage, `@~`: it needs no grant, and no DDL makes it.
LOAD_FOLDER = "@~/mab_load"


class _Begun(NamedTuple):
    """A transaction that holds the lock."""

    connection: Connection
    cursor: Cursor


class SnowflakeTransaction:
    """A transaction on an open connection."""

    def __init__(self, cursor: Cursor, heartbeat: Heartbeat, settings: Settings) -> None:
        self._cursor = cursor
        self._heartbeat = heartbeat
        self._settings = settings
        self._checked: set[str] = set()  # tables whose columns were looked at

    def execute(self, name: str, parameters: Mapping[str, object] | None = None) -> None:
        """Run every statement of `sql/<name>.sql` in order."""
        with explained(self._settings, doing=f"sql/{name}.sql"):
            for statement in load_sql(name):
                self._run(statement.text, statement.bind(parameters or {}))

    def fetch_arrow(self, name: str, parameters: Mapping[str, object] | None = None) -> pa.Table:
        """Run the one query of `sql/<name>.sql` and return its rows (perhaps none)."""
        with explained(self._settings, doing=f"sql/{name}.sql"), self._heartbeat.statement:
            return fetch(self._cursor, name, parameters)

    def load_arrow(self, table_name: str, rows: pa.Table) -> None:
        """Append rows in bulk; their columns are those of the table, in its order."""
        if len(rows) == 0:
            return
        folder = f"{LOAD_FOLDER}/{uuid4().hex}"
        with (
            explained(self._settings, doing=f"loading {len(rows)} rows into {table_name}"),
            tempfile.TemporaryDirectory(prefix="mab-load-") as local,
        ):
            self._check_columns(table_name, rows.column_names)
            for path in write_files(rows, Path(local)):
                # Not under the heartbeat's lock: an upload is no statement, and can take long.
                run(
                    self._cursor,
                    f"put 'file://{path.as_posix()}' {folder} auto_compress = false",
                )
            # Without null_if a text of backslash and N would be loaded as NULL.
            self._run(
                f"copy into {table_name} from {folder} "
                "file_format = (type = parquet use_logical_type = true null_if = ()) "
                "match_by_column_name = case_insensitive on_error = abort_statement purge = true"
            )
            self._check_loaded(table_name, len(rows))

    def _run(self, text: str, values: list[object] | None = None) -> None:
        with self._heartbeat.statement:
            run(self._cursor, text, values)

    def _check_columns(self, table_name: str, names: list[str]) -> None:
        """Refuse an older table: COPY by name silently skips a column that the table lacks.

        Once in a transaction: a range of 100 days would ask 300 times.
        """
        if table_name in self._checked:
            return
        self._run(f"select * from {table_name} limit 0")  # noqa: S608  # a name of ours
        present = {column.name.lower() for column in self._cursor.description}
        if missing := [name for name in names if name not in present]:
            raise WarehouseError(
                f"The table {table_name} in {self._settings.snowflake_database}."
                f"{self._settings.snowflake_schema} lacks the column {', '.join(missing)}; nothing "
                "was loaded. Compare it with sql/schema/02_create_tables.sql, or set "
                "SNOWFLAKE_SCHEMA to a new one, then run `mab init` and `mab rebuild`."
            )
        self._checked.add(table_name)

    def _check_loaded(self, table_name: str, expected: int) -> None:
        """Compare the rows that COPY reports with the rows that were sent."""
        names = [column.name.lower() for column in self._cursor.description]
        loaded = 0
        while (file := self._cursor.fetchone()) is not None:
            loaded += int(dict(zip(names, file, strict=True)).get("rows_loaded") or 0)
        if loaded != expected:
            raise WarehouseError(
                f"Snowflake loaded {loaded} of {expected} rows into {table_name}; everything was "
                "rolled back. Run it again."
            )


class SnowflakeWarehouse:
    """A schema of a Snowflake database.

    Args:
        settings: The settings.
        connect: Opens a connection, which is closed when its block ends.
    """

    def __init__(self, settings: Settings, *, connect: Connect) -> None:
        self._settings = settings
        self._sessions = Sessions(connect)

    @contextmanager
    def transaction(self) -> Iterator[SnowflakeTransaction]:
        """Begin; commit when the body ends, roll back when it raises, always close.

        Raises:
            WarehouseLockedError: Another run held the lock for longer than
                WAREHOUSE_LOCK_TIMEOUT_SECONDS.
            WarehouseError: Snowflake cannot be reached, or lacks an object that is needed.
            SettingsError: The login was refused.
        """
        token = uuid4().hex
        failure: BaseException | None = None
        with ExitStack() as stack:
            begun = self._begin(stack, token)
            heartbeat = Heartbeat(begun.connection)
            try:
                with heartbeat.beating():
                    yield SnowflakeTransaction(begun.cursor, heartbeat, self._settings)
            except BaseException as error:
                if not roll_back(begun.cursor):
                    raise
                failure = error  # the session is as good as new, so it is kept
            else:
                self._commit(begun.cursor, token)
        if failure is not None:
            raise failure

    @contextmanager
    def reading(self) -> Iterator[SnowflakeReader]:
        """Read with any number of queries, without the writer lock.

        There is no transaction: each query sees what is committed when it starts. One whose
        connection broke is run again over another session.
        """
        yield SnowflakeReader(self._settings, "tables", self._sessions)

    @contextmanager
    def published(self) -> Iterator[SnowflakeReader]:
        """Open the newest published version over the kept sessions."""
        yield open_snowflake(self._settings, sessions=self._sessions)

    def session(self) -> AbstractContextManager[Connection]:
        """Take a kept session for a query on other tables than ours; errors come as they are."""
        return self._sessions.session()

    def close(self) -> None:
        """Log out; the next use logs in again."""
        self._sessions.close()

    def create_schema(self) -> list[str]:
        """Create missing databases, schemas, tables, views, roles and grants."""
        with self.connected(doing="creating missing objects") as connection:
            return create_objects(connection.cursor(), self._settings)

    def publish_copy(self, *, accept_loss: bool = False) -> str:
        """Point readers to the committed data; return the version's name.

        Nothing is copied: the tables of decisions are append-only, and readers query them directly
        (docs/adr/0010). So there is no older copy to compare with. The API holds the answers that
        it served, and itself refuses a loss.
        """
        del accept_loss
        with self.transaction() as transaction:
            transaction.execute("snowflake/publish", {"published_at": utc_now()})
            (row,) = transaction.fetch_arrow("snowflake/newest_version").to_pylist()
        return f"version-{row['version']}"

    @contextmanager
    def replacement(self, stamp: str) -> Iterator[Replacement]:
        """Accept an empty schema; refuse one that holds rows, which only the user may give up.

        Raises:
            WarehouseError: The schema holds rows.
        """
        with self.transaction() as transaction:
            (row,) = transaction.fetch_arrow("snowflake/rows_held").to_pylist()
        if row["row_count"]:
            settings = self._settings
            raise WarehouseError(
                f"The schema {settings.snowflake_database}.{settings.snowflake_schema} holds "
                f"{row['row_count']} rows and was not changed. Set SNOWFLAKE_SCHEMA to a new name "
                f"such as {settings.snowflake_schema}_{stamp}, then run `mab init` and "
                "`mab rebuild`."
            )
        yield Replacement(self)

    @contextmanager
    def connected(self, *, doing: str) -> Iterator[Connection]:
        """Take a session; only logging in is retried."""
        with ExitStack() as stack:
            with explained(self._settings, doing="connecting"):
                connection = with_retries(lambda: stack.enter_context(self._sessions.session()))
            with explained(self._settings, doing=doing):
                yield connection

    def _begin(self, stack: ExitStack, token: str) -> _Begun:
        """Take a session, begin, take the lock; retry all of it if needed."""

        def attempt() -> _Begun:
            with ExitStack() as opened:
                connection = opened.enter_context(self._sessions.session())
                cursor: Cursor = connection.cursor()
                run(cursor, "begin")
                try:
                    take_lock(cursor, token, self._settings)
                except BaseException:
                    roll_back(cursor)
                    raise
                stack.push(opened.pop_all())
                return _Begun(connection, cursor)

        doing = "beginning a transaction"
        with explained(self._settings, doing=doing):
            try:
                return waiting_for_lock(lambda: with_retries(attempt), self._settings)
            except LockHeldError as held:
                raise mab_error(
                    held.error, self._settings, doing=doing, holder=held.holder
                ) from None

    def _commit(self, cursor: Cursor, token: str) -> None:
        """Commit; if the answer is lost, look up whether the commit succeeded."""
        try:
            run(cursor, "commit")
        except Exception as error:  # noqa: BLE001  # judged in the next line
            if not is_transient(error):
                raise mab_error(error, self._settings, doing="committing") from None
        else:
            return
        with self.reading() as queries:
            (row,) = queries.fetch_arrow("snowflake/lock_holder").to_pylist()
        if row["holder"] != token:
            raise WarehouseError(
                "The connection to Snowflake broke during a commit, and the transaction was not "
                "found there. Run the same days again: rows that exist are not added twice."
            )
