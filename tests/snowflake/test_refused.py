"""What Snowflake refuses: one sentence, nothing half-written, no secret; the real connector asks.

The emulator refuses nobody, so a door stands before it (`door.py`).
"""

import logging
from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    PublicFormat,
    load_pem_public_key,
)
from pydantic import SecretStr
from typer.testing import CliRunner

from mab_pipeline.cli.main import app
from mab_pipeline.snowflake_resource import connect_through_dagster
from mab_store.errors import SettingsError, WarehouseError, WarehouseLockedError
from mab_store.warehouse.snowflake.connection import connect_directly
from mab_store.warehouse.snowflake.warehouse import SnowflakeWarehouse
from tests.snowflake.door import TOKEN_PATH, Door, opened
from tests.snowflake.test_adapter import files, ledger_rows
from tests.snowflake.wire import Refusal

pytestmark = pytest.mark.emulator_only(
    "a door refuses in its place: an account locks a user whose logins it refuses"
)

PASSWORD = "correct-horse-battery"  # what tests/snowflake/conftest.py sets
PASSPHRASE = "open sesame"
TOKEN = "an-oauth-token"


@pytest.fixture
def door(emulator) -> Iterator[Door]:
    with opened(emulator) as made:
        yield made


@pytest.fixture(scope="module")
def keys(tmp_path_factory) -> Path:
    """Two encrypted keys, one of a kind that Snowflake does not take, and a public one."""
    folder = tmp_path_factory.mktemp("keys")
    locked = (Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASSPHRASE.encode()))
    made = {name: rsa.generate_private_key(65537, 2048) for name in ("ours", "another")}
    for name, key in made.items():
        (folder / name).write_bytes(key.private_bytes(*locked))
    (folder / "ed25519").write_bytes(ed25519.Ed25519PrivateKey.generate().private_bytes(*locked))
    public = made["ours"].public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (folder / "ours.pub").write_bytes(pem)
    return folder


@pytest.fixture
def behind(door, make_settings, tmp_path):
    """Return a function that makes settings which log in at the door."""
    return lambda **more: make_settings(
        tmp_path / "home", **{"snowflake_url": door.url, "snowflake_account": "xy12345"} | more
    )


def complaint(settings) -> Exception:
    warehouse = SnowflakeWarehouse(settings, connect=connect_directly(settings))
    with pytest.raises((SettingsError, WarehouseError)) as caught, warehouse.transaction():
        pass
    assert caught.value.__cause__ is None
    text = str(caught.value)
    assert "\n" not in text
    assert not [secret for secret in (PASSWORD, PASSPHRASE, TOKEN) if secret in text]
    return caught.value


@pytest.mark.parametrize("connect", [connect_directly, connect_through_dagster])
def test_an_encrypted_key_logs_in_and_proves_who_it_is(door, behind, keys, connect):
    door.public_key = public_key(keys)
    settings = behind(
        snowflake_private_key_path=keys / "ours", snowflake_private_key_passphrase=PASSPHRASE
    )
    with connect(settings)() as connection:
        assert connection.cursor().execute("select 1").fetchone() == (1,)
    (login,) = door.logins
    assert (login["AUTHENTICATOR"], login["LOGIN_NAME"]) == ("SNOWFLAKE_JWT", "fake")
    assert PASSWORD not in str(login)  # the password of the settings stays at home


@pytest.mark.parametrize("connect", [connect_directly, connect_through_dagster])
def test_a_key_that_is_a_setting_in_itself_logs_in(door, behind, keys, connect):
    door.public_key = public_key(keys)
    settings = behind(
        snowflake_private_key=(keys / "ours").read_text().replace("\n", "\\n"),
        snowflake_private_key_passphrase=PASSPHRASE,
    )
    with connect(settings)() as connection:
        assert connection.cursor().execute("select 1").fetchone() == (1,)
    assert [login["AUTHENTICATOR"] for login in door.logins] == ["SNOWFLAKE_JWT"]


@pytest.mark.parametrize("connect", [connect_directly, connect_through_dagster])
@pytest.mark.parametrize(
    ("given", "authenticator"),
    [
        ({}, "OAUTH"),
        ({"snowflake_authenticator": "programmatic_access_token"}, "PROGRAMMATIC_ACCESS_TOKEN"),
        (
            {"snowflake_authenticator": "workload_identity", "snowflake_workload_identity": "oidc"},
            "WORKLOAD_IDENTITY",
        ),
    ],
)
def test_a_token_logs_in(door, behind, connect, given, authenticator, monkeypatch):
    monkeypatch.setenv("SNOWFLAKE_WIF_ALLOWED_HOST_SUFFIXES", "localhost")  # the connector's
    door.token = jwt.encode({"iss": "https://id.example", "sub": "mab"}, "key" * 20)
    with connect(behind(snowflake_token=door.token, **given))() as connection:
        assert connection.cursor().execute("select 1").fetchone() == (1,)
    (login,) = door.logins
    assert login["AUTHENTICATOR"] == authenticator
    assert PASSWORD not in str(login)


@pytest.mark.parametrize("connect", [connect_directly, connect_through_dagster])
def test_a_client_fetches_its_own_token(door, behind, connect):
    door.token, door.client = TOKEN, ("mab", PASSPHRASE)
    client: dict[str, object] = {
        "snowflake_authenticator": "oauth_client_credentials",
        "snowflake_oauth_client_id": "mab",
        "snowflake_oauth_client_secret": PASSPHRASE,
        "snowflake_oauth_token_url": f"{door.url}{TOKEN_PATH}",
        "snowflake_role": "mab_api",
    }
    with connect(behind(**client))() as connection:
        assert connection.cursor().execute("select 1").fetchone() == (1,)
    assert [(login["AUTHENTICATOR"], login["TOKEN"]) for login in door.logins] == [("OAUTH", TOKEN)]


def test_a_client_that_the_identity_provider_refuses_is_one_sentence(door, behind):
    door.client = ("mab", "another secret")
    error = complaint(
        behind(
            snowflake_authenticator="oauth_client_credentials",
            snowflake_oauth_client_id="mab",
            snowflake_oauth_client_secret=PASSPHRASE,
            snowflake_oauth_token_url=f"{door.url}{TOKEN_PATH}",
        )
    )
    assert "Snowflake, beginning a transaction" in str(error)
    assert not door.logins


def test_a_fixed_token_that_expired_is_said_to_be_one(door, behind):
    door.refused_login = Refusal("390318", "OAuth access token expired. [0b32]")
    error = complaint(behind(snowflake_token=TOKEN))
    assert "is a fixed text that mab cannot renew" in str(error)
    assert len(door.logins) == 1


def test_a_login_that_is_refused_with_an_unknown_number_is_a_fault_of_the_settings(door, behind):
    door.refused_login = Refusal("394999", "Some new reason.")
    error = complaint(behind())
    assert isinstance(error, SettingsError)
    assert "check SNOWFLAKE_ACCOUNT=xy12345, SNOWFLAKE_USER=fake and its credentials" in str(error)
    assert len(door.logins) == 1


def test_a_key_that_is_not_the_users_names_the_setting_and_is_tried_once(door, behind, keys):
    door.public_key = public_key(keys)
    settings = behind(
        snowflake_private_key_path=keys / "another", snowflake_private_key_passphrase=PASSPHRASE
    )
    error = complaint(settings)
    assert isinstance(error, SettingsError)
    assert "SNOWFLAKE_PRIVATE_KEY_PATH (ALTER USER ... SET RSA_PUBLIC_KEY)" in str(error)
    assert len(door.logins) == 1


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("ours.pub", "is not a private key in PEM"),
        ("ed25519", "another kind of key than RSA"),
        (".", "cannot be read: Is a directory"),
    ],
)
def test_a_file_that_is_no_key_of_ours_is_named_before_anybody_is_asked(
    door, behind, keys, name, says
):
    error = complaint(
        behind(snowflake_private_key_path=keys / name, snowflake_private_key_passphrase=PASSPHRASE)
    )
    assert says in str(error)
    assert "SNOWFLAKE_PRIVATE_KEY_PATH" in str(error)
    assert not door.logins


def test_a_token_that_is_refused_names_the_setting_and_is_tried_once(door, behind):
    door.token = "another"
    error = complaint(behind(snowflake_token=TOKEN))
    assert "fresh one in SNOWFLAKE_TOKEN" in str(error)
    assert len(door.logins) == 1


LOGINS = [
    ("390100", "Incorrect username or password was specified.", "SNOWFLAKE_USER and SNOWFLAKE_PA"),
    ("390101", "User access disabled. Contact", "SNOWFLAKE_USER=fake is locked"),
    ("390102", "User temporarily locked. Try again later.", "SNOWFLAKE_USER=fake is locked"),
    ("390186", "Role 'X' specified in the connect string is not granted", "SNOWFLAKE_ROLE=mab_api"),
    ("390189", "Role 'X' specified in the connect string does not exist", "SNOWFLAKE_ROLE=mab_api"),
    ("390197", "Multi-factor authentication is required", "set SNOWFLAKE_PRIVATE_KEY_PATH"),
    ("390422", "IP 10.0.0.1 is not allowed to access Snowflake.", "network policy"),
    ("390913", "Your free trial has ended and", "SNOWFLAKE_ACCOUNT=xy12345 is suspended"),
    ("390201", "The requested warehouse does not exist or", "SNOWFLAKE_WAREHOUSE=mab_wh"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "message", "names"), LOGINS)
def test_a_refused_login_names_what_to_change_and_is_not_tried_again(
    door, behind, code, message, names
):
    """A fifth wrong password would lock the user out."""
    door.refused_login = Refusal(code, f"{message} ({PASSWORD})")
    error = complaint(behind(snowflake_role="mab_api"))
    assert names in str(error)
    assert len(door.logins) == 1


def test_a_login_that_is_refused_without_a_number_is_quoted_and_is_not_tried_again(door, behind):
    door.refused_login = Refusal(None, f"Not today. ({PASSWORD})")
    error = complaint(behind(snowflake_role="mab_api"))
    assert isinstance(error, SettingsError)
    assert "check SNOWFLAKE_ACCOUNT=xy12345, SNOWFLAKE_USER=fake and its credentials" in str(error)
    assert "Not today. (***)" in str(error)
    assert len(door.logins) == 1


STATEMENTS = [
    ("002003", "SQL compilation error:\nTable 'T' does not exist or not authorized.", "`mab init`"),
    ("003001", "SQL access control error:\nInsufficient privileges", "03_grants.sql"),
    ("000904", "SQL compilation error: error line 1\ninvalid identifier 'X'", "02_create_tables"),
    ("000606", "No active warehouse selected", "SNOWFLAKE_WAREHOUSE=mab_wh"),
    ("000666", "Your account is suspended due to lack of payment method.", "is suspended"),
    ("090073", "Warehouse 'W' cannot be resumed because resource monitor", "quota"),
    ("100072", "NULL result in a non-nullable column", "02_create_tables.sql"),
]  # fmt: skip


@pytest.mark.usefixtures("warehouse")
@pytest.mark.parametrize(("code", "message", "names"), STATEMENTS)
def test_a_refused_statement_names_what_to_change_and_leaves_nothing_behind(
    door, settings, warehouse, code, message, names
):
    door.refused_statement = ("copy into", Refusal(code, f"{message} {PASSWORD}"))
    own = through(door, settings)
    with pytest.raises(WarehouseError) as caught, own.transaction() as transaction:
        transaction.load_arrow("inbox_files", ledger_rows("a.csv"))
    assert names in str(caught.value)
    assert PASSWORD not in str(caught.value)
    assert files(warehouse) == []


def test_a_second_writer_that_waits_too_long_says_so(door, settings, warehouse):
    waited = "Statement 'x' has locked table 'WRITER_LOCK'; your statement was aborted"
    door.refused_statement = ("update writer_lock", Refusal("000625", waited))
    own = through(door, settings.model_copy(update={"warehouse_lock_timeout_seconds": 0.0}))
    said = "WAREHOUSE_LOCK_TIMEOUT_SECONDS=0"
    with pytest.raises(WarehouseLockedError, match=said), own.transaction():
        pass
    assert files(warehouse) == []


def test_a_table_with_an_old_column_set_is_named_and_nothing_is_written(warehouse, connect):
    with connect() as connection:
        connection.cursor().execute("alter table inbox_files drop column loaded_at")
    try:
        with pytest.raises(WarehouseError) as caught, warehouse.transaction() as transaction:
            transaction.load_arrow("inbox_files", ledger_rows("a.csv"))
    finally:  # the tables are the module's
        with connect() as connection:
            connection.cursor().execute("alter table inbox_files add column loaded_at timestamp")
    assert "sql/schema/02_create_tables.sql" in str(caught.value)
    assert "inbox_files" in str(caught.value)
    assert "lacks the column loaded_at" in str(caught.value)
    with connect() as connection:
        assert connection.cursor().execute("select count(*) from inbox_files").fetchone() == (0,)


def test_no_secret_reaches_output_logs_or_dagsters_records(
    door, behind, keys, monkeypatch, caplog, tmp_path
):
    """Not where the connector logs all it can, and not where Snowflake's answer repeats them."""
    door.public_key = public_key(keys)
    settings = behind(
        snowflake_private_key_path=keys / "ours",
        snowflake_private_key_passphrase=PASSPHRASE,
        snowflake_token=TOKEN,
    )
    with caplog.at_level(logging.DEBUG), caplog.at_level(logging.DEBUG, logger="snowflake"):
        SnowflakeWarehouse(settings, connect=connect_directly(settings)).create_schema()
    assert "snowflake.connector" in {record.name.rsplit(".", 1)[0] for record in caplog.records}
    repeated = f"Insufficient privileges for {PASSWORD}, {PASSPHRASE} and {TOKEN}"
    door.refused_statement = ("begin", Refusal("003001", repeated))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(settings.mab_home / "dagster"))
    for name, value in settings:
        if value is not None and name.startswith(("mab_home", "mab_engine", "snowflake_")):
            text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
            monkeypatch.setenv(name.upper(), text)
    result = CliRunner().invoke(app, ["run", "--date", "2025-02-20"])

    assert result.exit_code == 1
    assert "03_grants.sql" in str(result.exception)
    records = [path for path in settings.mab_home.rglob("*") if path.is_file()]
    assert [path for path in records if path.suffix == ".db"]  # the failure is among the events
    printed = f"{result.output} {result.exception!r} {caplog.text}"
    pem = (keys / "ours").read_text().splitlines()[1]
    for secret in (PASSWORD, PASSPHRASE, TOKEN, pem):
        assert secret not in printed
        assert not [path for path in records if secret.encode() in path.read_bytes()]


def through(door: Door, settings) -> SnowflakeWarehouse:
    """The warehouse of these settings, reached through the door."""
    own = settings.model_copy(update={"snowflake_url": door.url})
    return SnowflakeWarehouse(own, connect=connect_directly(own))


def public_key(keys: Path):
    return load_pem_public_key((keys / "ours.pub").read_bytes())
