"""Credentials as arguments of the connector; an error names the setting and repeats no secret."""

import base64
import binascii
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from mab_store.errors import SettingsError
from mab_store.settings import Settings
from mab_store.snowflake_login import login_of, missing_for_login

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes


def login_arguments(settings: Settings) -> dict[str, Any]:
    """Return the arguments that say who logs in, and how.

    Raises:
        SettingsError: A setting is missing, or the key or the token cannot be read.
    """
    if missing := missing_for_login(settings):
        raise SettingsError(f"A login to Snowflake also needs {', '.join(missing)}.")
    if settings.snowflake_connection:
        return _of_connections_file(settings.snowflake_connection)
    login = login_of(settings)
    arguments: dict[str, Any] = {
        "account": settings.snowflake_account,
        "user": settings.snowflake_user or "",  # a token says whose it is
        "authenticator": str(login).upper(),
    }
    if login == "snowflake_jwt":
        arguments |= _key(settings)
    elif login in {"oauth", "programmatic_access_token"}:
        arguments["token"] = _token(settings)
    elif login == "workload_identity":
        arguments["workload_identity_provider"] = str(settings.snowflake_workload_identity).upper()
        if settings.snowflake_workload_identity == "oidc":
            arguments["token"] = _token(settings)
    elif login == "oauth_client_credentials":
        arguments |= {
            "oauth_client_id": settings.snowflake_oauth_client_id,
            "oauth_client_secret": _secret(settings.snowflake_oauth_client_secret),
            "oauth_token_request_url": settings.snowflake_oauth_token_url,
        }
    elif login == "snowflake":
        arguments["password"] = _secret(settings.snowflake_password)
    return arguments


def _of_connections_file(name: str) -> dict[str, Any]:
    """Return a connection of the connector's own `connections.toml` or `config.toml`."""
    from snowflake.connector.config_manager import CONFIG_MANAGER  # noqa: PLC0415  # takes seconds
    from snowflake.connector.errors import Error  # noqa: PLC0415  # as above

    try:
        connections: Any = CONFIG_MANAGER["connections"]
    except Error as error:
        said = str(error).splitlines()[0]
        raise SettingsError(f"SNOWFLAKE_CONNECTION={name}: {said}") from None
    if name not in connections:
        known = ", ".join(connections) or "none"
        raise SettingsError(
            f"SNOWFLAKE_CONNECTION={name} is not in connections.toml; it has: {known}."
        )
    found = connections[name]
    arguments = dict(found.unwrap() if hasattr(found, "unwrap") else found)
    arguments.pop("network_timeout", None)  # it would cancel every statement that takes longer
    if "private_key_path" in arguments:
        arguments["private_key_file"] = arguments.pop("private_key_path")
    if "private_key_file" in arguments:
        arguments.setdefault("authenticator", "SNOWFLAKE_JWT")
    return arguments


def _token(settings: Settings) -> str | None:
    """Return the token; a file is read at each login, since its owner renews it."""
    path = settings.snowflake_token_path
    if not path:
        return _secret(settings.snowflake_token)
    try:
        token = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is not text"
        raise SettingsError(f"SNOWFLAKE_TOKEN_PATH={path} cannot be read: {said}.") from None
    if not token:
        raise SettingsError(f"SNOWFLAKE_TOKEN_PATH={path} is empty: it must hold a token.")
    return token


def _key(settings: Settings) -> dict[str, Any]:
    """Return the key pair's private key; read once here, as the connector names no setting."""
    passphrase = _secret(settings.snowflake_private_key_passphrase)
    path = settings.snowflake_private_key_path
    if path:
        named = f"SNOWFLAKE_PRIVATE_KEY_PATH={path}"
        try:
            content = path.read_bytes()
        except OSError as error:
            raise SettingsError(f"{named} cannot be read: {error.strerror}.") from None
        _load(content, passphrase, named)
        return {"private_key_file": str(path), "private_key_file_pwd": passphrase}
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415  # as below
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    named = "SNOWFLAKE_PRIVATE_KEY"
    text = str(_secret(settings.snowflake_private_key)).replace("\\n", "\n")
    key = _load(_pem(text, named), passphrase, named)
    return {"private_key": key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())}


def _pem(text: str, named: str) -> bytes:
    """Return a key's PEM, which may come in base64 since an environment likes one line."""
    if "-----BEGIN" in text:
        return text.encode()
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise SettingsError(
            f"{named} is neither a private key in PEM nor one in base64 (base64 -w0 mab.p8)."
        ) from None


def _load(content: bytes, passphrase: str | None, named: str) -> "PrivateKeyTypes":
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415  # engine on demand
        load_der_private_key,
        load_pem_private_key,
    )

    load = load_pem_private_key if b"-----BEGIN" in content else load_der_private_key
    try:
        return load(content, passphrase.encode() if passphrase else None)
    except TypeError:
        wanted = "takes none; unset" if passphrase else "is needed; set"
        raise SettingsError(
            f"{named}: a passphrase {wanted} SNOWFLAKE_PRIVATE_KEY_PASSPHRASE."
        ) from None
    except ValueError:
        raise SettingsError(
            f"{named} is not a private key in PEM (PKCS #8), or SNOWFLAKE_PRIVATE_KEY_PASSPHRASE "
            "is not its passphrase."
        ) from None


def _secret(value: SecretStr | None) -> str | None:
    return value.get_secret_value() if value else None
