"""How the settings become a session: credentials, names, address."""

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
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
    assert (arguments["password"], "authenticator" in arguments) == ("p", False)
    arguments = connection_arguments(make_settings(**token))
    assert (arguments["authenticator"], arguments["token"]) == ("oauth", "t")
    assert "password" not in arguments
    arguments = connection_arguments(make_settings(**key))
    assert arguments["authenticator"] == "SNOWFLAKE_JWT"
    assert arguments["private_key_path"] == str(keys / "plain")
    assert not {"password", "token", "private_key_password"} & set(arguments)


def test_an_encrypted_key_takes_its_passphrase(make_settings, keys):
    settings = make_settings(
        **PLACE,
        snowflake_private_key_path=keys / "locked",
        snowflake_private_key_passphrase=PASSPHRASE,
    )
    assert connection_arguments(settings)["private_key_password"] == PASSPHRASE


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
        )
    }  # fmt: skip
    settings = make_settings(**PLACE, **secrets)
    for text in (repr(settings), str(settings), settings.model_dump_json()):
        assert not [secret for secret in secrets.values() if secret in text]
