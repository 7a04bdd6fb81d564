"""Write the DuckDB file: locking, transactions, and the copy that readers open."""

import os
import re
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
from filelock import FileLock, Timeout

from mab_store.atomic_files import sync_folder, write_atomically
from mab_store.errors import (
    HomeError,
    NotPublishedError,
    PublicationRefusedError,
    WarehouseError,
    WarehouseLockedError,
    WarehouseLostError,
)
from mab_store.settings import Settings
from mab_store.warehouse.duckdb.history_files import write_copy
from mab_store.warehouse.duckdb.published_copies import (
    PublishedCopy,
    current_copy,
    next_copy_name,
    open_copy,
    point_to,
)
from mab_store.warehouse.publication_loss import Published, publication_loss, published_days
from mab_store.warehouse.sql_loader import load_query, load_sql
from mab_store.warehouse.warehouse import Replacement

SCHEMA_FILES = (
    "schema/02_create_tables",
    "schema/02_add_columns",
    "schema/02_fill_current",
    "schema/02_create_views",
    "schema/02_create_fingerprints",
    "schema/02_create_served_views",
    "schema/02_create_monthly_views",
)


class DuckDBTransaction:
    """A transaction on an open DuckDB connection."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def execute(self, name: str, parameters: Mapping[str, object] | None = None) -> None:
        """Run every statement of `sql/<name>.sql` in order."""
        for statement in load_sql(name):
            self._connection.execute(statement.text, statement.bind(parameters or {}))

    def fetch_arrow(self, name: str, parameters: Mapping[str, object] | None = None) -> pa.Table:
        """Run the one query of `sql/<name>.sql` and return its rows (perhaps none)."""
        statement = load_query(name)
        values = statement.bind(parameters or {})
        return self._connection.sql(statement.text, params=values).to_arrow_table()

    def load_arrow(self, table_name: str, rows: pa.Table) -> None:
        """Append rows in bulk; their columns are those of the table, in its order."""
        self._connection.from_arrow(rows).insert_into(table_name)


class DuckDBWarehouse:
    """The file `MAB_HOME/warehouse.duckdb` under an operating-system lock.

    A second process that opened the file, even to read, would lock this one out or be locked out by
    it. So only the pipeline opens the file, for one transaction or one block of reading at a time.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._path = settings.warehouse_path
        self._published_dir = settings.published_dir
        self._timeout_seconds = settings.warehouse_lock_timeout_seconds
        self._holder_path = self._path.with_name("warehouse.lock.json")
        self._has_schema = False
        self._reading = threading.local()  # the connection of a block of reading

    @contextmanager
    def transaction(self) -> Iterator[DuckDBTransaction]:
        """Begin; commit when the body ends, roll back when it raises, always close.

        Raises:
            WarehouseLockedError: Another process held the file for longer than
                WAREHOUSE_LOCK_TIMEOUT_SECONDS.
            WarehouseError: The file is not a warehouse, or cannot be written.
        """
        with self._connected_once() as connection:
            connection.begin()
            try:
                yield DuckDBTransaction(connection)
            except BaseException:
                connection.rollback()
                raise
            connection.commit()

    @contextmanager
    def reading(self) -> Iterator[DuckDBTransaction]:
        """Open the file once for any number of queries, all of one committed state.

        This takes the lock too: DuckDB cannot open a file, even read-only, that another process has
        open for writing. Transactions within the block share its opening.
        """
        with self._connected_once() as connection:
            is_outermost = getattr(self._reading, "connection", None) is None
            if is_outermost:
                self._reading.connection = connection
            connection.begin()
            try:
                yield DuckDBTransaction(connection)
            finally:
                if is_outermost:
                    self._reading.connection = None
                connection.rollback()

    @contextmanager
    def published(self) -> Iterator[PublishedCopy]:
        """Open the newest published copy, which takes no lock."""
        with closing(open_copy(current_copy(self._published_dir))) as copy:
            yield copy

    def create_schema(self) -> list[str]:
        """Create the tables and views that are missing; run again, it changes nothing."""
        with self._connected():
            return []

    def publish_copy(self, *, accept_loss: bool = False) -> str:
        """Write a copy under a new name, with its history files, and swap the pointer to it.

        Readers never see a half-written file: the copy and its history files are complete before
        they get their names, and the pointer is replaced in one step.

        Raises:
            PublicationRefusedError: The copy lacks data of the served one.
        """
        folder = self._published_dir
        with self._connected() as connection:
            name = next_copy_name(folder)
            temporary = folder / f"{name}.part"
            temporary.unlink(missing_ok=True)  # left by a crash
            try:
                write_copy(connection, folder, temporary)
                if not accept_loss:
                    self._refuse_loss(temporary)
                temporary.replace(folder / name)
                point_to(folder, name, accepts_loss=accept_loss)
            except PublicationRefusedError:
                temporary.unlink(missing_ok=True)
                raise
            except (OSError, duckdb.IOException) as error:
                temporary.unlink(missing_ok=True)
                reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
                raise HomeError(
                    f"The copy {folder / name} cannot be written: {reason}. "
                    "The previous copy is still served; free space and run the day again."
                ) from None
        return name

    def _refuse_loss(self, candidate: Path) -> None:
        """Refuse a copy that lost data of the served one; an unreadable served copy is ignored."""
        try:
            served = current_copy(self._published_dir)
            old = _days_in(served)
        except (NotPublishedError, duckdb.Error):
            return
        if loss := publication_loss(old, _days_in(candidate)):
            raise PublicationRefusedError(
                f"The new copy is not published: it lacks data that {served.name} serves: {loss}. "
                "Run `mab rebuild`: it restores the journaled decisions. If the loss is intended, "
                "`mab run --accept-loss` or `mab rebuild --accept-loss` publishes the copy."
            )

    @contextmanager
    def replacement(self, stamp: str) -> Iterator[Replacement]:
        """Fill an empty file next to this one, then swap them: no process sees a partial file.

        A crash leaves the old file or, between two renames, no file; the next command reports that.
        """
        folder = self._path.with_name("rebuilding")
        shutil.rmtree(folder, ignore_errors=True)  # left by an earlier crash
        made = DuckDBWarehouse(self._settings.model_copy(update={"mab_home": folder}))
        replacement = Replacement(made)
        try:
            yield replacement
            made._settle()
            replacement.set_aside = self._take_over(made._path, stamp)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _settle(self) -> None:
        """Write all committed data into the one file, and onto the disk."""
        with self._connected() as connection:
            connection.execute("checkpoint")
        with self._path.open("rb+") as file:
            os.fsync(file.fileno())

    def _take_over(self, made: Path, stamp: str) -> Path | None:
        with self._locked():
            aside = self._path.with_name(f"{self._path.name}.before-{stamp}")
            for suffix in (".wal", ""):
                path = self._path.with_name(self._path.name + suffix)
                if path.exists():
                    path.replace(aside.with_name(aside.name + suffix))
            made.replace(self._path)
            sync_folder(self._path.parent)
            return aside if aside.exists() else None

    @contextmanager
    def _space_is_left(self) -> Iterator[None]:
        try:
            yield
        except (duckdb.IOException, duckdb.FatalException) as error:
            raise WarehouseError(
                f"The warehouse {self._path} cannot be written ({str(error).splitlines()[0]}). "
                "This transaction was rolled back; free space there and run the same days again."
            ) from None

    @contextmanager
    def _connected_once(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Connect to the file that this thread reads already, or open it."""
        reading: duckdb.DuckDBPyConnection | None = getattr(self._reading, "connection", None)
        if reading is None:
            with self._connected() as connection:
                yield connection
        else:
            with closing(reading.cursor()) as connection:
                yield connection

    @contextmanager
    def _connected(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with self._locked():
            is_new = not self._path.exists()  # the first time, or it was deleted
            if is_new and any(self._settings.journal_dir.glob("*/*.parquet")):
                raise WarehouseLostError(
                    f"The warehouse {self._path} is missing, but the journal holds decisions. Run "
                    "`mab rebuild`: it restores them, and the other tables from the inbox."
                )
            with self._opened() as connection, self._space_is_left():
                if is_new or not self._has_schema:
                    for name in SCHEMA_FILES:
                        for statement in load_sql(name):
                            connection.execute(statement.text)
                    self._has_schema = True
                yield connection

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock file, with a note next to it for waiting processes."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._published_dir.mkdir(exist_ok=True)
            lock = FileLock(self._path.with_name("warehouse.lock"))
            lock.acquire(timeout=self._timeout_seconds)
        except Timeout:
            raise WarehouseLockedError(self._who_holds_it()) from None
        except OSError as error:
            raise self._unwritable(error) from None
        try:
            self._leave_note()
            yield
        finally:
            lock.release()

    @contextmanager
    def _opened(self) -> Iterator[duckdb.DuckDBPyConnection]:
        deadline = time.monotonic() + self._timeout_seconds
        while True:
            try:
                connection = duckdb.connect(self._path)
                break
            except duckdb.IOException as error:
                holder = re.search(r"PID (\d+)", str(error))
                if holder is None:
                    raise _not_a_warehouse(self._path, error) from None
                if time.monotonic() >= deadline:
                    raise WarehouseLockedError(
                        f"The warehouse {self._path} is open in process {holder[1]}, which is not "
                        f"a pipeline; waited {self._timeout_seconds:g} s. Close it, or read the "
                        "published copy instead."
                    ) from None
                time.sleep(0.1)
            except duckdb.Error as error:
                raise _not_a_warehouse(self._path, error) from None
        try:
            yield connection
        finally:
            connection.close()

    def _leave_note(self) -> None:
        note = f'{{"pid": {os.getpid()}, "since": "{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"}}'
        try:
            write_atomically(self._holder_path, note.encode(), durable=False)
        except OSError as error:
            raise self._unwritable(error) from None

    def _unwritable(self, error: OSError) -> HomeError:
        return HomeError(
            f"MAB_HOME {self._path.parent} cannot be written: {error.strerror}. "
            "Set MAB_HOME to a folder that you own, or free space there."
        )

    def _who_holds_it(self) -> str:
        note = self._holder_path.read_text("utf-8") if self._holder_path.exists() else "{}"
        pid = re.search(r'"pid": (\d+)', note)
        since = re.search(r'"since": "([^"]+)"', note)
        holder = f"process {pid[1]} since {since[1]}" if pid and since else "another process"
        return (
            f"The warehouse {self._path} is held by {holder}; waited {self._timeout_seconds:g} s. "
            "Wait for that run to end, or raise WAREHOUSE_LOCK_TIMEOUT_SECONDS."
        )


def _days_in(path: Path) -> dict[str, Published]:
    copy = open_copy(path)
    try:
        return published_days(copy)
    finally:
        copy.close()


def _not_a_warehouse(path: Path, error: duckdb.Error) -> WarehouseError:
    return WarehouseError(
        f"The warehouse {path} cannot be opened ({str(error).splitlines()[0]}). "
        "Run `mab rebuild`: it sets the file aside and restores its data from inbox and journal."
    )
