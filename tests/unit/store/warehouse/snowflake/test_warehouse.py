"""The Snowflake adapter against a recording cursor: order of statements, and what breaks when.

No emulator and no connector here: what a statement does is proven in tests/snowflake.
"""

import re
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pyarrow as pa
import pytest
from dagster._utils.error import serializable_error_info_from_exc_info

from mab_store.errors import SettingsError, WarehouseError, WarehouseLockedError
from mab_store.warehouse.snowflake import connection as snowflake_connection
from mab_store.warehouse.snowflake.errors import mab_error
from mab_store.warehouse.snowflake.warehouse import SnowflakeWarehouse
from mab_store.warehouse.table_schema import declared_tables

DDL = re.compile(r"^\s*(create|drop|alter|grant|truncate|use|set)\b", re.IGNORECASE)
SECRETS = {"snowflake_password": "pa$$word-1", "snowflake_token": "token-2"}


class ConnectorError(Exception):
    """An error as the connector raises them."""

    def __init__(self, errno: int, text: str = "said so") -> None:
        super().__init__(f"{errno:06}: {text}")
        self.errno = errno


ConnectorError.__module__ = "snowflake.connector.errors"
BROKEN = 250003


class Server:
    """Remembers every statement of every session, and fails where it is told to."""

    def __init__(self) -> None:
        self.sessions: list[list[str]] = []
        self.opened = self.closed = 0
        self.failing: dict[str, list[Exception]] = {}
        self.holder = "nobody"
        self.copied = 1

    @contextmanager
    def connect(self) -> Iterator[SimpleNamespace]:
        self._fail("connect")
        self.opened += 1
        statements: list[str] = []
        self.sessions.append(statements)
        try:
            yield SimpleNamespace(cursor=lambda: Cursor(self, statements))
        finally:
            self.closed += 1

    def fail(self, statement: str, *errors: Exception) -> None:
        self.failing[statement] = list(errors)

    def _fail(self, text: str) -> None:
        for start, errors in self.failing.items():
            if text.startswith(start) and errors:
                raise errors.pop(0)


class Cursor:
    def __init__(self, server: Server, statements: list[str]) -> None:
        self.server, self.statements = server, statements
        self.options: list[dict[str, object]] = []
        self.rowcount = 1
        self.rows: list[tuple[object, ...]] = []
        self.description = [SimpleNamespace(name="HOLDER", type_code=2, scale=None)]
        self.token = ""

    def execute(self, command: str, params: list[object] | None = None, **options: object) -> None:
        self.options.append(options)
        self.statements.append(command)
        if command.startswith("update writer_lock") and params:
            self.token = str(params[0])
        self.server._fail(command)
        if command == "commit":
            self.server.holder = self.token
        if table := re.match(r"select \* from (\w+) limit 0", command):
            columns = declared_tables()[table[1]].columns
            self.description = [SimpleNamespace(name=column.name.upper()) for column in columns]
        if command.startswith("copy into"):
            self.description = [SimpleNamespace(name="rows_loaded")]
            self.rows = [(self.server.copied,)]

    def fetchone(self) -> tuple[object, ...] | None:
        return self.rows.pop(0) if self.rows else None

    def fetch_arrow_batches(self, *, force_microsecond_precision: bool) -> list[pa.Table]:
        assert force_microsecond_precision
        return [pa.table({"HOLDER": [self.server.holder]})]


@pytest.fixture
def server(monkeypatch) -> Server:
    monkeypatch.setattr(snowflake_connection, "FIRST_WAIT_SECONDS", 0.001)
    return Server()


@pytest.fixture
def settings(make_settings):
    return make_settings(
        mab_engine="snowflake",
        snowflake_account="xy12345",
        snowflake_user="mab",
        snowflake_role="mab_pipeline",
        snowflake_warehouse="mab_wh",
        snowflake_database="mab",
        snowflake_schema="allocation",
        **SECRETS,
    )


@pytest.fixture
def warehouse(settings, server) -> SnowflakeWarehouse:
    return SnowflakeWarehouse(settings, connect=server.connect)


def one_row() -> pa.Table:
    schema = declared_tables()["publications"].arrow_schema
    return pa.Table.from_pylist([dict.fromkeys(schema.names)], schema=schema)


def write_a_day(warehouse: SnowflakeWarehouse) -> None:
    with warehouse.transaction() as transaction:
        transaction.execute("assets/daily_metrics", {"start_date": 1, "end_date": 2})
        transaction.load_arrow("publications", one_row())


def inside_transactions(statements: list[str]) -> Iterator[str]:
    is_inside = False
    for text in statements:
        if text in {"commit", "rollback"}:
            is_inside = False
        if is_inside:
            yield text
        is_inside = is_inside or text == "begin"


def test_no_ddl_is_issued_inside_a_transaction(warehouse, server):
    with warehouse.transaction() as transaction:
        transaction.execute("assets/daily_metrics", {"start_date": 1, "end_date": 2})
        transaction.load_arrow("publications", one_row())
    (statements,) = server.sessions
    assert statements[0] == "begin"
    assert statements[1].startswith("update writer_lock")
    assert statements[-1] == "commit"
    inside = list(inside_transactions(statements))
    assert len(inside) == 6  # the lock, delete, insert, a look at the columns, put, copy
    assert not [text for text in inside if DDL.match(text)]


def test_rows_go_through_the_users_stage_and_no_text_is_taken_for_a_null(warehouse, server):
    """Snowflake's default takes backslash and N for NULL; no emulator shows it."""
    write_a_day(warehouse)
    put, copy = server.sessions[0][-3:-1]
    assert re.match(r"put 'file://\S+' @~/mab_load/\w{32} auto_compress = false$", put)
    assert copy.startswith(f"copy into publications from {put.split()[2]} ")
    assert "null_if = ()" in copy
    assert "purge = true" in copy


def test_the_check_for_ddl_finds_it():
    statements = ["create stage a", "begin", "select 1", "Create table b (c date)", "commit"]
    assert [text for text in inside_transactions(statements) if DDL.match(text)] == [statements[3]]


@pytest.mark.parametrize("error", [ZeroDivisionError(), KeyboardInterrupt(), SystemExit()])
def test_whatever_the_body_raises_it_is_rolled_back_and_closed(warehouse, server, error):
    with pytest.raises(type(error)), warehouse.transaction():
        raise error
    assert server.sessions[0][-1] == "rollback"
    assert "commit" not in server.sessions[0]
    with warehouse.transaction():
        pass
    assert (server.opened, server.closed) == (1, 0)
    warehouse.close()
    assert server.closed == 1


def test_a_session_that_cannot_be_rolled_back_is_not_used_again(warehouse, server):
    server.fail("rollback", ConnectorError(BROKEN))
    with pytest.raises(ZeroDivisionError), warehouse.transaction():
        raise ZeroDivisionError
    assert server.opened == server.closed == 1


def test_a_failed_statement_rolls_back_once_and_is_not_repeated(warehouse, server):
    server.fail("delete from daily_metrics", ConnectorError(BROKEN), ConnectorError(BROKEN))
    with (
        pytest.raises(WarehouseError, match="assets/daily_metrics"),
        warehouse.transaction() as transaction,
    ):
        transaction.execute("assets/daily_metrics", {"start_date": 1, "end_date": 2})
    (statements,) = server.sessions
    assert len([text for text in statements if text.startswith("delete")]) == 1
    assert statements[-1] == "rollback"


@pytest.mark.parametrize("step", ["connect", "begin", "update"])
def test_beginning_is_tried_again_over_a_new_connection_where_the_error_passes(
    warehouse, server, step
):
    server.fail(step, ConnectorError(BROKEN), ConnectorError(BROKEN))
    with warehouse.transaction():
        pass
    assert server.sessions[-1][-1] == "commit"
    warehouse.close()
    assert server.opened == server.closed
    assert [statements[-1] for statements in server.sessions].count("commit") == 1


def test_it_is_tried_a_few_times_and_no_more(warehouse, server):
    server.fail("connect", *[ConnectorError(BROKEN) for _ in range(99)])
    with pytest.raises(WarehouseError, match="cannot be reached"), warehouse.transaction():
        pass
    assert len(server.failing["connect"]) == 99 - snowflake_connection.ATTEMPTS


def test_a_refused_login_is_not_tried_again(warehouse, server):
    server.fail("connect", ConnectorError(390100), ConnectorError(390100))
    with pytest.raises(SettingsError, match="SNOWFLAKE_PASSWORD"), warehouse.transaction():
        pass
    assert len(server.failing["connect"]) == 1


def test_a_commit_whose_answer_is_lost_is_looked_up_and_found(warehouse, server, monkeypatch):
    def commit_and_break(cursor: Cursor, command: str, params=None, **options) -> None:
        execute(cursor, command, params, **options)
        if command == "commit":
            raise ConnectorError(BROKEN)

    execute = Cursor.execute
    monkeypatch.setattr(Cursor, "execute", commit_and_break)
    with warehouse.transaction():
        pass
    assert server.sessions[0].count("commit") == 1
    assert server.sessions[1] == [text for text in server.sessions[1] if "select holder" in text]


def test_a_commit_that_did_not_happen_is_an_error_and_is_not_repeated(warehouse, server):
    server.fail("commit", ConnectorError(BROKEN))
    with pytest.raises(WarehouseError, match="Run the same days again"), warehouse.transaction():
        pass
    assert [text for session in server.sessions for text in session].count("commit") == 1


def test_a_copy_that_loads_fewer_rows_than_were_sent_is_rolled_back(warehouse, server):
    server.copied = 0
    with (
        pytest.raises(WarehouseError, match="0 of 1 rows"),
        warehouse.transaction() as transaction,
    ):
        transaction.load_arrow("publications", one_row())
    assert server.sessions[0][-1] == "rollback"


def test_an_empty_load_sends_nothing(warehouse, server):
    with warehouse.transaction() as transaction:
        transaction.load_arrow("publications", one_row().slice(0, 0))
    assert not [text for text in server.sessions[0] if text.startswith(("put", "copy"))]


@pytest.mark.parametrize(
    ("errno", "kind", "names"),
    [
        (390100, SettingsError, "SNOWFLAKE_USER and SNOWFLAKE_PASSWORD"),
        (390144, SettingsError, "SNOWFLAKE_PRIVATE_KEY_PATH"),
        (390318, SettingsError, "SNOWFLAKE_TOKEN"),
        (390189, SettingsError, "SNOWFLAKE_ROLE=mab_pipeline"),
        (390201, SettingsError, "SNOWFLAKE_WAREHOUSE=mab_wh"),
        (290404, SettingsError, "SNOWFLAKE_ACCOUNT=xy12345"),
        (606, WarehouseError, "SNOWFLAKE_WAREHOUSE=mab_wh"),
        (666, WarehouseError, "SNOWFLAKE_ACCOUNT=xy12345 is suspended"),
        (904, WarehouseError, "02_create_tables.sql"),
        (2003, WarehouseError, "`mab init`"),
        (3001, WarehouseError, "03_grants.sql"),
        (625, WarehouseLockedError, "WAREHOUSE_LOCK_TIMEOUT_SECONDS=660"),
        (BROKEN, WarehouseError, "check the network and SNOWFLAKE_ACCOUNT=xy12345"),
        (1003, WarehouseError, "rolled back"),
    ],
)
def test_an_error_names_the_setting_or_the_grant_and_no_secret(settings, errno, kind, names):
    said = " ".join(["it has", *SECRETS.values(), "in it\nand a second line"])
    error = mab_error(ConnectorError(errno, said), settings, doing="sql/x.sql")
    assert type(error) is kind
    assert names in str(error)
    assert f"{errno:06}" in str(error)
    assert "\n" not in str(error)
    assert not [secret for secret in SECRETS.values() if secret in str(error)]


def test_an_address_that_forbids_the_login_names_the_account(settings):
    class ForbiddenError(ConnectorError): ...

    error = mab_error(ForbiddenError(250001), settings, doing="connecting")
    assert isinstance(error, SettingsError)
    assert "there is no such account: correct SNOWFLAKE_ACCOUNT=xy12345" in str(error)


@pytest.mark.parametrize("statement", ["connect", "begin", "delete", "copy into", "commit"])
def test_no_secret_is_in_what_python_or_dagster_print_of_an_error(warehouse, server, statement):
    server.fail(statement, ConnectorError(1003, SECRETS["snowflake_password"]))
    with pytest.raises(WarehouseError) as caught:
        write_a_day(warehouse)
    printed = "".join(traceback.format_exception(caught.value))
    stored = str(serializable_error_info_from_exc_info(caught._excinfo))
    for secret in SECRETS.values():
        assert secret not in printed
        assert secret not in stored


def test_publishing_moves_the_pointer_in_a_transaction(warehouse, server, monkeypatch):
    monkeypatch.setattr(
        "mab_store.warehouse.snowflake.statements.result_table",
        lambda *_: pa.table({"version": [7]}),
    )
    assert warehouse.publish_copy() == "version-7"
    inside = list(inside_transactions(server.sessions[0]))
    assert inside[1].startswith("insert into published_versions")


def test_no_module_of_ours_imports_the_connector_before_it_connects():
    script = (
        "import sys, mab_pipeline.definitions, mab_pipeline.cli.main\n"
        "import mab_pipeline.snowflake_resource\n"
        "import mab_store.warehouse.snowflake.warehouse, mab_store.warehouse.snowflake.reader\n"
        "print({'snowflake.connector', 'dagster_snowflake'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout.strip() == b"set()"
