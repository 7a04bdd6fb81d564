"""How the settings become a session: credentials, names, address."""

import base64

import pytest
import snowflake.connector.connection
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from mab_store.errors import SettingsError
from mab_store.warehouse.query_tag import query_tag
from mab_store.warehouse.snowflake.connection import connection_arguments

PLACE = {
    "mab_engine": "snowflake",
    "snowflake_account": "xy12345.eu-west-1",
    "snowflake_user": "mab",
    "snowflake_warehouse": "mab_wh",
    "snowflake_database": "mab",
    "snowflake_schema": "allocation",
}
PASSPHRASE = "open sesame"


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    for name, encryption in (
        ("plain", NoEncryption()),
        ("locked", BestAvailableEncryption(PASSPHRASE.encode())),
    ):
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
        (folder / name).write_bytes(pem)
    (folder / "rubbish").write_bytes(b"-----BEGIN PRIVATE KEY-----\nrubbish\n")
    return folder


def test_a_key_pair_comes_before_a_token_and_a_token_before_a_password(make_settings, keys):
    password = PLACE | {"snowflake_password": "p"}
    token = password | {"snowflake_token": "t"}
    key = token | {"snowflake_private_key_path": keys / "plain"}

    arguments = connection_arguments(make_settings(**password))
    assert (arguments["password"], arguments["authenticator"]) == ("p", "SNOWFLAKE")
    arguments = connection_arguments(make_settings(**token))
    assert (arguments["authenticator"], arguments["token"]) == ("OAUTH", "t")
    assert "password" not in arguments
    arguments = connection_arguments(make_settings(**key))
    assert arguments["authenticator"] == "SNOWFLAKE_JWT"
    assert arguments["private_key_file"] == str(keys / "plain")
    assert not {"password", "token", "private_key_file_pwd"} & set(arguments)


def test_an_encrypted_key_takes_its_passphrase(make_settings, keys):
    settings = make_settings(
        **PLACE,
        snowflake_private_key_path=keys / "locked",
        snowflake_private_key_passphrase=PASSPHRASE,
    )
    assert connection_arguments(settings)["private_key_file_pwd"] == PASSPHRASE


def der(path) -> bytes:
    key = load_pem_private_key(path.read_bytes(), None)
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize("name", ["plain", "locked"])
@pytest.mark.parametrize(
    "write",
    [
        lambda pem: pem.decode(),
        lambda pem: pem.decode().replace("\n", "\\n"),  # one line, as an environment has it
        lambda pem: base64.b64encode(pem).decode(),
    ],
)
def test_a_key_can_be_a_setting_in_itself(make_settings, keys, name, write):
    more = {"snowflake_private_key_passphrase": PASSPHRASE} if name == "locked" else {}
    text = write((keys / name).read_bytes())
    settings = make_settings(**PLACE, snowflake_private_key=text, **more)
    arguments = connection_arguments(settings)
    assert arguments["authenticator"] == "SNOWFLAKE_JWT"
    assert arguments["private_key"] == der(keys / "plain")


def test_a_key_in_base64_of_der_is_read(make_settings, keys):
    text = base64.b64encode(der(keys / "plain")).decode()
    settings = make_settings(**PLACE, snowflake_private_key=text)
    assert connection_arguments(settings)["private_key"] == der(keys / "plain")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("no key", "neither a private key in PEM nor one in base64"),
        ("bm8ga2V5", "is not a private key"),
        ("-----BEGIN PRIVATE KEY-----\nrubbish", "is not a private key"),
    ],
)
def test_a_key_that_is_none_is_named_and_not_repeated(make_settings, text, says):
    with pytest.raises(SettingsError, match="SNOWFLAKE_PRIVATE_KEY ") as caught:
        connection_arguments(make_settings(**PLACE, snowflake_private_key=text))
    assert says in str(caught.value)
    assert text not in str(caught.value)


WAYS = [
    (
        {"snowflake_authenticator": "programmatic_access_token", "snowflake_token": "t"},
        {"authenticator": "PROGRAMMATIC_ACCESS_TOKEN", "token": "t"},
    ),
    (
        {"snowflake_authenticator": "workload_identity", "snowflake_workload_identity": "AWS"},
        {"authenticator": "WORKLOAD_IDENTITY", "workload_identity_provider": "AWS"},
    ),
    (
        {"snowflake_authenticator": "workload_identity", "snowflake_workload_identity": "oidc",
         "snowflake_token": "t"},
        {"authenticator": "WORKLOAD_IDENTITY", "workload_identity_provider": "OIDC", "token": "t"},
    ),
    (
        {"snowflake_authenticator": "oauth_client_credentials", "snowflake_oauth_client_id": "i",
         "snowflake_oauth_client_secret": "s", "snowflake_oauth_token_url": "https://id.example"},
        {"authenticator": "OAUTH_CLIENT_CREDENTIALS", "oauth_client_id": "i",
         "oauth_client_secret": "s", "oauth_token_request_url": "https://id.example"},
    ),
    ({"snowflake_authenticator": "EXTERNALBROWSER"}, {"authenticator": "EXTERNALBROWSER"}),
]  # fmt: skip


@pytest.mark.parametrize(("given", "expected"), WAYS)
def test_another_way_to_log_in_is_named(make_settings, given, expected):
    password = {"snowflake_password": "stays at home"}
    arguments = connection_arguments(make_settings(**PLACE, **password, **given))
    assert {name: arguments.get(name) for name in expected} == expected
    assert "password" not in arguments
    known = snowflake.connector.connection.DEFAULT_CONFIGURATION
    assert set(arguments) <= set(known)
    for name in expected:
        assert isinstance(expected[name], known[name][1]) or name == "workload_identity_provider"


@pytest.mark.parametrize(
    ("given", "needs"),
    [
        ({"snowflake_authenticator": "snowflake_jwt"}, "SNOWFLAKE_PRIVATE_KEY_PATH or SNOWFLAKE_P"),
        ({"snowflake_authenticator": "oauth"}, "SNOWFLAKE_TOKEN_PATH or SNOWFLAKE_TOKEN"),
        ({"snowflake_authenticator": "workload_identity"}, "SNOWFLAKE_WORKLOAD_IDENTITY"),
        (
            {"snowflake_authenticator": "workload_identity", "snowflake_workload_identity": "oidc"},
            "SNOWFLAKE_TOKEN_PATH or SNOWFLAKE_TOKEN",
        ),
        (
            {"snowflake_authenticator": "oauth_client_credentials"},
            "SNOWFLAKE_OAUTH_CLIENT_ID, SNOWFLAKE_OAUTH_CLIENT_SECRET, SNOWFLAKE_OAUTH_TOKEN_URL",
        ),
        ({"snowflake_authenticator": "snowflake"}, "SNOWFLAKE_PASSWORD"),
    ],
)
def test_what_a_login_lacks_is_named(make_settings, given, needs):
    with pytest.raises(SettingsError, match=needs):
        make_settings(**PLACE, **given)


def test_an_unknown_way_to_log_in_is_refused_with_the_known_ones(make_settings):
    with pytest.raises(SettingsError, match=r"SNOWFLAKE_AUTHENTICATOR=jwt.*workload_identity"):
        make_settings(**PLACE, snowflake_authenticator="jwt", snowflake_password="p")


def test_a_token_of_a_file_is_read_at_each_login(make_settings, tmp_path):
    path = tmp_path / "token"
    settings = make_settings(**PLACE, snowflake_token_path=path)
    with pytest.raises(SettingsError, match=f"SNOWFLAKE_TOKEN_PATH={path} cannot be read: No such"):
        connection_arguments(settings)
    path.write_text("\n")
    with pytest.raises(SettingsError, match="is empty"):
        connection_arguments(settings)
    for token in ("first", "second"):
        path.write_text(f"{token}\n")
        assert connection_arguments(settings)["token"] == token


CONNECTIONS = """
[analytics]
account = "ab12345"
user = "robot"
private_key_file = "/keys/robot.p8"
role = "of_the_file"
network_timeout = 10
"""


def test_a_connection_of_connections_toml_is_named(make_settings, monkeypatch):
    monkeypatch.setenv("SNOWFLAKE_CONNECTIONS", CONNECTIONS)  # the connector reads it as the file
    place = {f"snowflake_{name}": name for name in ("warehouse", "database", "schema")}
    settings = make_settings(mab_engine="snowflake", snowflake_connection="analytics", **place)
    arguments = connection_arguments(settings)
    assert (arguments["account"], arguments["user"]) == ("ab12345", "robot")
    assert arguments["authenticator"] == "SNOWFLAKE_JWT"
    assert (arguments["role"], arguments["database"]) == ("of_the_file", "database")
    assert "network_timeout" not in arguments  # it would cancel every longer statement
    own = settings.model_copy(update={"snowflake_role": "mab_api"})
    assert connection_arguments(own)["role"] == "mab_api"
    other = settings.model_copy(update={"snowflake_connection": "other"})
    with pytest.raises(
        SettingsError, match=r"other is not in connections\.toml; it has: analytics"
    ):
        connection_arguments(other)


@pytest.mark.parametrize(
    ("name", "passphrase", "says"),
    [
        ("absent", None, "cannot be read: No such file"),
        ("rubbish", None, "is not a private key in PEM"),
        ("locked", None, "a passphrase is needed; set SNOWFLAKE_PRIVATE_KEY_PASSPHRASE"),
        ("locked", "wrong one", "SNOWFLAKE_PRIVATE_KEY_PASSPHRASE is not its passphrase"),
        ("plain", "too much", "unset SNOWFLAKE_PRIVATE_KEY_PASSPHRASE"),
    ],
)
def test_a_key_that_cannot_be_used_is_named_with_its_setting(
    make_settings, keys, name, passphrase, says
):
    settings = make_settings(
        **PLACE,
        snowflake_private_key_path=keys / name,
        snowflake_private_key_passphrase=passphrase,
    )
    with pytest.raises(SettingsError) as caught:
        connection_arguments(settings)
    assert f"SNOWFLAKE_PRIVATE_KEY_PATH={keys / name}" in str(caught.value)
    assert says in str(caught.value)
    assert passphrase is None or passphrase not in str(caught.value)
    assert caught.value.__cause__ is None


def test_everything_that_is_missing_is_named_at_once(make_settings):
    with pytest.raises(SettingsError) as caught:
        make_settings(mab_engine="snowflake", snowflake_user="mab", snowflake_schema="s")
    for name in ("ACCOUNT", "WAREHOUSE", "DATABASE", "PRIVATE_KEY_PATH", "TOKEN", "PASSWORD"):
        assert f"SNOWFLAKE_{name}" in str(caught.value)
    assert "SNOWFLAKE_USER" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["snowflake_role", "snowflake_warehouse", "snowflake_database", "snowflake_schema"]
)
@pytest.mark.parametrize(
    "value", ["a b", "1a", "a;drop table t", "a'", '"a"', "a.b", "a$b", "é", "a\n", "a" * 256]
)
def test_a_name_that_would_need_quotes_is_refused(make_settings, name, value):
    with pytest.raises(SettingsError, match=name.upper()):
        make_settings(**{name: value})


@pytest.mark.parametrize("value", ["ftp://x", "http://example.com", "localhost:80", "https://"])
def test_an_address_that_would_carry_secrets_in_the_clear_is_refused(make_settings, value):
    with pytest.raises(SettingsError, match="SNOWFLAKE_URL"):
        make_settings(snowflake_url=value)


def test_another_address_is_taken_apart(make_settings):
    settings = make_settings(
        **PLACE, snowflake_password="p", snowflake_url="https://x.privatelink.example"
    )
    arguments = connection_arguments(settings)
    assert (arguments["host"], arguments["port"], arguments["protocol"]) == (
        "x.privatelink.example", 443, "https",
    )  # fmt: skip


def test_a_session_is_tagged_in_utc_and_takes_no_default_of_the_account(make_settings):
    settings = make_settings(**PLACE, snowflake_password="p")
    with query_tag("allocations", "run-1"):
        session = connection_arguments(settings)["session_parameters"]
    assert session["QUERY_TAG"] == "mab:allocations:run-1"
    assert (session["TIMEZONE"], session["TIMESTAMP_TYPE_MAPPING"]) == ("UTC", "TIMESTAMP_NTZ")
    assert connection_arguments(settings)["session_parameters"]["QUERY_TAG"] == "mab"


def test_a_secret_is_in_no_printed_form_of_the_settings(make_settings):
    secrets = {
        name: f"secret-{name}"
        for name in (
            "snowflake_password", "snowflake_token", "snowflake_private_key_passphrase",
            "snowflake_private_key", "snowflake_oauth_client_secret",
        )
    }  # fmt: skip
    settings = make_settings(**PLACE, **secrets)
    for text in (repr(settings), str(settings), settings.model_dump_json()):
        assert not [secret for secret in secrets.values() if secret in text]
