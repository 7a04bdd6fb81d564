"""What no emulator shows: slow statements, networks that break, chunks, locks; the double does.

Each wait of reality is scaled down; `wire.py` names the sources of the protocol.
"""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime

import pyarrow as pa
import pytest

from mab_store.errors import WarehouseError, WarehouseLockedError
from mab_store.warehouse.snowflake import connection as snowflake_connection
from mab_store.warehouse.snowflake import locks, sessions, statements
from mab_store.warehouse.snowflake.connection import connect_directly
from mab_store.warehouse.snowflake.warehouse import SnowflakeWarehouse
from mab_store.warehouse.table_schema import declared_tables
from tests.snowflake import account as snowflake_account
from tests.snowflake.test_adapter import DAY, files, ledger_rows
from tests.snowflake.wire import Refusal, Wire, serving

pytestmark = pytest.mark.emulator_only("an account cannot be slowed down, cut off or killed")

QUERY = "from inbox_files"


@pytest.fixture
def wire(emulator) -> Iterator[Wire]:
    with serving(Wire(emulator)) as wire:
        yield wire


@pytest.fixture(scope="module")
def settings(make_settings, tmp_path_factory):
    """One place for all of these tests, with its tables."""
    made = make_settings(tmp_path_factory.mktemp("home"))
    SnowflakeWarehouse(made, connect=connect_directly(made)).create_schema()
    return made


@pytest.fixture
def near(settings) -> Iterator[SnowflakeWarehouse]:
    """The warehouse on this side of the wire, with one row."""
    made = at(settings.snowflake_url, settings)
    with made.connected(doing="emptying it") as connection:
        for table in ("inbox_files", "raw_metrics"):
            connection.cursor().execute(f"delete from {table}")
    with made.transaction() as transaction:
        transaction.load_arrow("inbox_files", ledger_rows("a.csv"))
    yield made
    made.close()


@pytest.fixture
def far(near, settings, wire) -> Iterator[SnowflakeWarehouse]:
    """The same at the other end of the wire."""
    assert near
    made = at(wire.url, settings)
    yield made
    made.close()


def at(url: str, settings, **more: object) -> SnowflakeWarehouse:
    own = settings.model_copy(update={"snowflake_url": url, **more})
    return SnowflakeWarehouse(own, connect=connect_directly(own))


def read(warehouse: SnowflakeWarehouse) -> list[str]:
    with warehouse.reading() as queries:
        return queries.fetch_arrow("ledger/files_of_days", DAY)["source_file"].to_pylist()


def test_a_statement_may_take_longer_than_every_limit_of_the_network(far, wire, monkeypatch):
    for name in ("SOCKET_TIMEOUT_SECONDS", "NETWORK_SECONDS", "LOGIN_TIMEOUT_SECONDS"):
        monkeypatch.setattr(snowflake_connection, name, 3)
    wire.slow, wire.seconds = QUERY, 4.0
    assert read(far) == ["a.csv"]
    assert wire.canceled == []


def test_a_statement_that_takes_longer_than_its_own_limit_is_cancelled(far, wire, monkeypatch):
    monkeypatch.setattr(statements, "GRACE_SECONDS", 0)
    monkeypatch.setattr(statements, "STATEMENT_TIMEOUT_SECONDS", 1)
    wire.slow, wire.seconds = QUERY, 30.0
    with pytest.raises(WarehouseError, match="was cancelled, by an administrator or since"):
        read(far)
    assert len(wire.canceled) == 1


def test_a_network_that_is_gone_is_given_up_long_before_the_limit_of_a_statement(
    far, wire, monkeypatch
):
    monkeypatch.setattr(snowflake_connection, "NETWORK_SECONDS", 1)
    monkeypatch.setattr(snowflake_connection, "ATTEMPTS", 1)
    assert read(far) == ["a.csv"]
    wire.is_closed = True
    with pytest.raises(WarehouseError, match="cannot be reached"):
        read(far)
    wire.is_closed = False
    assert read(far) == ["a.csv"]


@pytest.mark.parametrize("statement", ["begin", "update writer_lock", "put", "copy into", "commit"])
def test_a_lost_answer_is_asked_for_again_and_nothing_is_done_twice(far, wire, statement):
    wire.lost = [statement]
    with far.transaction() as transaction:
        transaction.load_arrow("inbox_files", ledger_rows("b.csv"))
    assert wire.lost == []
    assert read(far) == ["a.csv", "b.csv"]


CHUNKED = pa.Table.from_pylist(
    [
        {"metric_date": date(2025, 3, 1), "source_file": f"{number}", "row_number": number,
         "received_at": moment, "impressions": "1", "clicks": None}
        for number, moment in (
            (1, datetime(2025, 3, 1, 2, 0, 0, 1)),  # noqa: DTZ001  # the warehouse holds naive UTC
            (300, datetime(9999, 12, 31)),  # noqa: DTZ001  # naive UTC
            (70_000, datetime(1970, 1, 1)),  # noqa: DTZ001  # naive UTC
            (2**62, datetime(2025, 3, 1)),  # noqa: DTZ001  # naive UTC
        )
    ],
    schema=declared_tables()["raw_metrics"].arrow_schema,
)  # fmt: skip


def test_chunks_of_different_widths_become_one_table(far, wire):
    with far.transaction() as transaction:
        transaction.load_arrow("raw_metrics", CHUNKED)
    wire.split = "from raw_metrics"
    with far.connected(doing="reading") as connection:
        cursor = connection.cursor()
        cursor.execute("select * from raw_metrics order by row_number")
        narrow = {str(b.schema.field("ROW_NUMBER").type) for b in cursor.fetch_arrow_batches()}
        assert narrow == {"int8", "int16", "int32", "int64"}
        statements.run(cursor, "select * from raw_metrics order by row_number")
        found = statements.fetched(cursor)
        statements.run(cursor, "select * from raw_metrics where row_number < 0")
        none = statements.fetched(cursor)
    assert found == CHUNKED
    assert none == CHUNKED.slice(0, 0)


def test_a_process_logs_in_once(far, wire):
    for name in ("b.csv", "c.csv"):
        with far.transaction() as transaction:
            transaction.load_arrow("inbox_files", ledger_rows(name))
    with pytest.raises(ZeroDivisionError), far.transaction():
        raise ZeroDivisionError
    far.publish_copy()
    assert read(far) == ["a.csv", "b.csv", "c.csv"]
    assert len(wire.logins) == 1


@pytest.mark.parametrize("number", ["390111", "390114"])
def test_a_kept_session_that_ended_meanwhile_is_replaced(far, wire, number):
    """Snowflake ends a session after four hours without a statement."""
    gone = Refusal(number, "Session no longer exists.  New login required.")
    assert read(far) == ["a.csv"]
    wire.refused_once = [("", gone)]
    assert read(far) == ["a.csv"]
    wire.refused_once = [("begin", gone)]
    with far.transaction() as transaction:
        transaction.load_arrow("inbox_files", ledger_rows("b.csv"))
    assert wire.refused_once == []
    assert len(wire.logins) == 3


@contextmanager
def killed_run(settings) -> Iterator[str]:
    """A run that was killed in its transaction: its session stays, and says nothing more."""
    with connect_directly(settings)() as connection:
        cursor = connection.cursor()
        cursor.execute("begin")
        cursor.execute("update writer_lock set holder = 'killed' where true")
        cursor.execute("delete from inbox_files")
        yield "killed"


def test_a_killed_run_is_waited_for_and_leaves_nothing_behind(far, settings, account, monkeypatch):
    monkeypatch.setattr(account, "idle_seconds", 1.0)
    with killed_run(settings):
        with far.transaction() as transaction:
            transaction.load_arrow("inbox_files", ledger_rows("b.csv"))
        assert read(far) == ["a.csv", "b.csv"]


def test_the_usual_wait_is_longer_than_the_lock_of_a_killed_run(settings):
    assert settings.warehouse_lock_timeout_seconds >= 660


def test_whoever_holds_the_lock_too_long_is_named_with_the_statement_that_ends_it(
    far, wire, settings
):
    hasty = at(wire.url, settings, warehouse_lock_timeout_seconds=1.0)
    with killed_run(settings):
        with pytest.raises(WarehouseLockedError) as caught, hasty.transaction():
            pass
        assert "WAREHOUSE_LOCK_TIMEOUT_SECONDS=1" in str(caught.value)
        assert "has held the lock since 2025-03-01" in str(caught.value)
        (statement,) = re.findall(r"SELECT SYSTEM\$ABORT_TRANSACTION\(\d+\);", str(caught.value))
        with hasty.connected(doing="ending it") as connection:
            connection.cursor().execute(statement)
        with hasty.transaction() as transaction:
            transaction.load_arrow("inbox_files", ledger_rows("b.csv"))
    assert read(far) == ["a.csv", "b.csv"]


def test_a_live_transaction_is_never_idle_while_its_program_computes(
    far, near, account, monkeypatch
):
    """Else a second run would end it, and its later statements would be no transaction."""
    monkeypatch.setattr(account, "idle_seconds", 1.0)
    monkeypatch.setattr(sessions, "BEAT_SECONDS", 0.2)
    order = []

    def second() -> None:
        with far.transaction():
            order.append("second")

    with near.transaction() as transaction:
        waiting = threading.Thread(target=second)
        waiting.start()
        time.sleep(2.5)
        order.append("first")
        transaction.load_arrow("inbox_files", ledger_rows("b.csv"))
    waiting.join()
    assert order == ["first", "second"]
    assert files(near) == ["a.csv", "b.csv"]


def test_one_waiter_too_many_says_so_and_waits_again(far, monkeypatch):
    said: list[str] = []
    monkeypatch.setattr(snowflake_account, "MOST_WAITERS", 0)
    monkeypatch.setattr(locks, "AGAIN_SECONDS", 0.1)

    def note(text: str, *values: object) -> None:
        said.append(text % values)
        monkeypatch.setattr(snowflake_account, "MOST_WAITERS", 20)

    monkeypatch.setattr(locks._LOG, "warning", note)
    with far.transaction():
        pass
    assert len(said) == 1
    assert said[0].endswith("exceeds the 20 statements limit. Waiting again.")
