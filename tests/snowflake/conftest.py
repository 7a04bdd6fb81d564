"""Snowflake's tests: the real connector over HTTP to an emulator, or to a real account.

One suite, two targets. `make test-snowflake` starts `fakesnow` on a free port, once; a world gets a
database of its own. With MAB_TEST_SNOWFLAKE=live the SNOWFLAKE_* settings of the environment are
used in its place, and each world gets a schema of its own, which is dropped at the end.

A test that only one target can run says so with a reason: `emulator_only` (an account would have to
be closed, slowed down or made to refuse), `account_only` (the emulator has no roles). The others
run on both. What is left out is named at the end of the report.

The emulator is DuckDB inside. It has no roles, grants and virtual warehouses, and knows no
IDENTIFIER($variable) as the name of a schema (a login makes its schema): these statements are sent,
and answered with nothing done.
"""

import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mab_store.settings import Settings, load_settings
from mab_store.warehouse.snowflake import connection as snowflake_connection
from mab_store.warehouse.snowflake.connection import Connect, connect_directly
from mab_store.warehouse.snowflake.warehouse import SnowflakeWarehouse
from mab_store.warehouse.table_schema import declared_tables
from tests.integration.api.servers import free_port
from tests.snowflake.account import Account
from tests.snowflake.wire import serving
from tests.snowflake.worlds import World

LEFT_OUT = pytest.StashKey[dict[str, None]]()
SHOWS_LESS = pytest.StashKey[dict[str, None]]()
LEFT_BEHIND = pytest.StashKey[list[str]]()
SCHEMA = "mab_test_"
IS_LIVE = os.environ.get("MAB_TEST_SNOWFLAKE") == "live"
NOT_EMULATED = [
    r"\s*create\s+(warehouse|role|schema)\b.*",
    r"\s*(grant|revoke)\b.*",
    r"\s*use\s+(role|warehouse)\b.*",
]
START_SECONDS = 300


@pytest.fixture(scope="session")
def account() -> Iterator[Account | None]:
    """The emulator behind a stand-in for the account's locks; None where a real one is used."""
    if IS_LIVE:
        yield None
        return
    port = free_port()
    program = Path(sys.executable).with_name("fakesnow")
    with subprocess.Popen(
        [program, "-s", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            _wait_for(port, process)
            with serving(Account(f"http://localhost:{port}")) as account:
                yield account
        finally:
            process.terminate()


@pytest.fixture(scope="session")
def emulator(account) -> str | None:
    """Return the emulator's URL; None where a real account is used."""
    return account.url if account else None


@pytest.fixture(scope="session", autouse=True)
def quick_connections() -> Iterator[None]:
    """The connector repeats what the emulator answers with 500 until a timeout: keep it short."""
    with pytest.MonkeyPatch.context() as patch:
        if not IS_LIVE:
            patch.setattr(snowflake_connection, "NETWORK_SECONDS", 3)
            patch.setattr(snowflake_connection, "LOGIN_TIMEOUT_SECONDS", 5)
            patch.setattr(snowflake_connection, "FIRST_WAIT_SECONDS", 0.05)
            emulated = _skip_what_is_not_emulated(snowflake_connection.session_parameters)
            patch.setattr(snowflake_connection, "session_parameters", emulated)
        yield


@pytest.fixture(scope="session")
def make_settings(emulator, request) -> Iterator[Callable[..., Settings]]:
    """Return a function that makes settings for a place of their own; it is dropped at the end."""
    made: list[Settings] = []

    def make(home: Path, **more: object) -> Settings:
        name = f"{SCHEMA}{uuid.uuid4().hex[:12]}"
        place: dict[str, object] = {"snowflake_schema": name}
        if emulator:
            place = {
                "snowflake_account": "fakesnow",
                "snowflake_user": "fake",
                "snowflake_password": "correct-horse-battery",  # any will do
                "snowflake_warehouse": "mab_wh",
                "snowflake_database": name,
                "snowflake_schema": "allocation",
                "snowflake_url": emulator,
            }
        options = {"mab_home": home, "mab_engine": "snowflake", "_env_file": None}
        settings = load_settings(**options | place | more)
        made.append(settings)
        return settings

    yield make
    if not emulator and made:
        left = drop_schemas(made)
        request.config.stash[LEFT_BEHIND] = left + left_by_others(made[0])
        assert not left, "schemas were not dropped; the report names them"


@pytest.fixture(scope="module")
def prepared(make_settings, tmp_path_factory) -> Settings:
    """A place with its tables, made once for the module: that takes over a hundred statements."""
    made = make_settings(tmp_path_factory.mktemp("prepared"))
    SnowflakeWarehouse(made, connect=connect_directly(made)).create_schema()
    return made


@pytest.fixture
def settings(request, make_settings, tmp_path) -> Settings:
    """A place of its own; if the test asks for its tables too, that of the module."""
    if "warehouse" not in request.fixturenames:
        return make_settings(tmp_path / "home")
    shared: Settings = request.getfixturevalue("prepared")
    return shared.model_copy(update={"mab_home": tmp_path / "home"})


@pytest.fixture
def connect(settings) -> Connect:
    return connect_directly(settings)


@pytest.fixture
def warehouse(settings, connect) -> SnowflakeWarehouse:
    """A warehouse with its tables, all empty; a test leaves their columns as they are."""
    with connect() as connection:
        cursor = connection.cursor()
        for table in (*declared_tables(), "published_versions"):
            cursor.execute(f"delete from {table}")
    return SnowflakeWarehouse(settings, connect=connect)


@pytest.fixture(scope="module")
def make_worlds(make_settings, tmp_path_factory) -> Callable[..., tuple[World, World]]:
    """Make two worlds that differ in their engine alone: DuckDB and Snowflake."""

    def make(**settings: object) -> tuple[World, World]:
        duck = load_settings(mab_home=tmp_path_factory.mktemp("duck"), _env_file=None, **settings)
        flake = make_settings(tmp_path_factory.mktemp("flake"), **settings)
        return World(duck), World(flake)

    return make


@pytest.fixture(autouse=True, scope="session")
def clean_environment(tmp_path_factory) -> Iterator[None]:
    """No setting of ours comes from the environment, but those of a real account."""
    with pytest.MonkeyPatch.context() as patch:
        for name in Settings.model_fields:
            if not (IS_LIVE and name.startswith("snowflake_")):
                patch.delenv(name.upper(), raising=False)
        patch.setenv("DAGSTER_HOME", str(tmp_path_factory.mktemp("dagster")))
        yield


def drop_schemas(made: list[Settings]) -> list[str]:
    """Drop each schema, whatever becomes of the others; return those that stay, and why."""
    left = []
    for settings in made:
        try:
            with connect_directly(settings)() as connection:
                # A transaction of a killed run must not hold the drop up.
                connection.cursor().execute(f"drop schema if exists {settings.snowflake_schema}")
        except Exception as error:  # noqa: BLE001  # each is reported, and the others still dropped
            left.append(f"{settings.snowflake_schema}: {error}")
    return left


def left_by_others(settings: Settings) -> list[str]:
    """Name the schemas of earlier sessions that were killed before they could drop them."""
    with connect_directly(settings)() as connection:
        cursor = connection.cursor()
        cursor.execute(f"show schemas like '{SCHEMA}%' in database {settings.snowflake_database}")
        place = [column[0].lower() for column in cursor.description].index("name")
        return [f"{row[place]}: of an earlier session" for row in cursor.fetchall()]


def pytest_report_header() -> str:
    place = "a real account" if IS_LIVE else "the emulator; a real one with MAB_TEST_SNOWFLAKE=live"
    return f"snowflake: {place}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what this target cannot run, and remember it for the report."""
    marker = "emulator_only" if IS_LIVE else "account_only"
    left_out = {item: mark for item in items if (mark := item.get_closest_marker(marker))}
    if not IS_LIVE:
        config.stash[SHOWS_LESS] = {
            f"{item.nodeid.split('[')[0]}: {mark.args[0]}": None
            for item in items
            if (mark := item.get_closest_marker("shows_less"))
        }
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=list(left_out))
    config.stash[LEFT_OUT] = {
        f"{item.nodeid.split('[')[0]}: {mark.args[0]}": None for item, mark in left_out.items()
    }


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    left_out = config.stash.get(LEFT_OUT, {})
    if left_out:
        terminalreporter.section(f"not run on {'an account' if IS_LIVE else 'the emulator'}")
        terminalreporter.write_line("\n".join(left_out))
    if shows_less := config.stash.get(SHOWS_LESS, {}):
        terminalreporter.section("run on the emulator, but shown by an account only")
        terminalreporter.write_line("\n".join(shows_less))
    if left_behind := config.stash.get(LEFT_BEHIND, []):
        terminalreporter.section("schemas that are still there: DROP SCHEMA each")
        terminalreporter.write_line("\n".join(left_behind))


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, "fakesnow ended at once"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError("fakesnow did not start")


def _skip_what_is_not_emulated(
    original: Callable[[Settings], dict[str, object]],
) -> Callable[[Settings], dict[str, object]]:
    return lambda settings: original(settings) | {"nop_regexes": NOT_EMULATED}
