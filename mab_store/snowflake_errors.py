"""Snowflake's errors as sentences that name the setting or the grant to fix.

What belongs here: which errors pass by themselves, and what to say of the others. What does not:
waiting and trying again (`snowflake_warehouse.py`).

Nothing here repeats a secret: a message of the server is cut to its first line and every secret of
the settings is struck out of it.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import SecretStr

from mab_store.errors import MabError, SettingsError, WarehouseError, WarehouseLockedError
from mab_store.settings import Settings

# Classes of the connector's errors that pass by themselves; by name, since the connector is
# imported only where the engine is Snowflake.
_TRANSIENT_CLASSES = {
    "BadGatewayError",
    "GatewayTimeoutError",
    "InternalServerError",
    "OtherHTTPRetryableError",
    "RequestExceedMaxRetryError",
    "RequestTimeoutError",
    "ServiceUnavailableError",
    "TokenExpiredError",
    "TooManyRequests",
}
# No connection, request given up, timeout; session or token expired.
_TRANSIENT_CODES = {250001, 250003, 250005, 251011, 251012, 390110, 390111, 390112, 390114}

_WRONG_PASSWORD = "the login was refused: correct SNOWFLAKE_USER and SNOWFLAKE_PASSWORD"  # noqa: S105  # a sentence
_WRONG_KEY = (
    "the key was refused: the user of SNOWFLAKE_USER must have the public key of "
    "SNOWFLAKE_PRIVATE_KEY_PATH (ALTER USER ... SET RSA_PUBLIC_KEY)"
)
_WRONG_TOKEN = "the OAuth token was refused: give a fresh one in SNOWFLAKE_TOKEN"  # noqa: S105  # a sentence
_NO_WAREHOUSE = (
    "no virtual warehouse: SNOWFLAKE_WAREHOUSE={warehouse} does not exist, is suspended for good, "
    "or the role {role} lacks USAGE on it (sql/schema/03_grants.sql)"
)
_MISSING = (
    "something is not there, or the role {role} may not see it: check SNOWFLAKE_DATABASE="
    "{database} and SNOWFLAKE_SCHEMA={schema}, then run `mab init` with a role that may create, "
    "or grant as in sql/schema/03_grants.sql"
)
_OLD_COLUMNS = (
    "a table has other columns than this version: compare it with "
    "sql/schema/02_create_tables.sql, or set SNOWFLAKE_SCHEMA to a new one, then run `mab init` "
    "and `mab rebuild`"
)
_SUSPENDED = "the account SNOWFLAKE_ACCOUNT={account} is suspended; its owner must settle that"

_LOGIN = {
    390100: _WRONG_PASSWORD,
    390101: _WRONG_PASSWORD,
    390144: _WRONG_KEY,
    390145: _WRONG_KEY,
    390146: _WRONG_KEY,
    390303: _WRONG_TOKEN,
    390318: _WRONG_TOKEN,
    390102: "the user SNOWFLAKE_USER={user} is locked or disabled; an administrator must unlock it",
    390186: "the role SNOWFLAKE_ROLE={role} does not exist or is not granted to the user {user}",
    390189: "the role SNOWFLAKE_ROLE={role} does not exist or is not granted to the user {user}",
    390201: _NO_WAREHOUSE,
    390422: "the network policy of the account does not let this address in; ask for it",
    290404: "there is no such account: correct SNOWFLAKE_ACCOUNT={account}",
}
_STATEMENTS = {
    606: _NO_WAREHOUSE,
    666: _SUSPENDED,
    904: _OLD_COLUMNS,
    2003: _MISSING,
    2043: _MISSING,
    3001: "the role {role} lacks a privilege: grant as in sql/schema/03_grants.sql",
    90073: _SUSPENDED,
    90105: _MISSING,
    100072: _OLD_COLUMNS,
}
_LOCKED = {625, 626, 633}


def is_transient(error: BaseException) -> bool:
    """Say whether the same attempt can succeed a moment later."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(names & _TRANSIENT_CLASSES) or _code(error) in _TRANSIENT_CODES


def explain(error: BaseException, settings: Settings, *, doing: str) -> MabError:
    """Return the sentence for an error of the connector.

    Args:
        error: What the connector raised.
        settings: For the names in the sentence, and the secrets to strike out.
        doing: What was being done, such as the SQL file.
    """
    code = _code(error)
    first = _scrub(str(error).strip(), settings).splitlines()
    said = f"Snowflake, {doing}: {{}} ({first[0][:300] if first else type(error).__name__})."
    names = {
        name: getattr(settings, f"snowflake_{name}") or "(the user's default)"
        for name in ("account", "user", "role", "warehouse", "database", "schema")
    }
    if code in _LOCKED:
        return WarehouseLockedError(
            said.format(
                "another run holds the warehouse; waited WAREHOUSE_LOCK_TIMEOUT_SECONDS="
                f"{settings.warehouse_lock_timeout_seconds:g}. Wait for it to end"
            )
        )
    if code in _LOGIN:
        return SettingsError(said.format(_LOGIN[code].format(**names)))
    if code in _STATEMENTS:
        return WarehouseError(said.format(_STATEMENTS[code].format(**names)))
    if is_transient(error):
        return WarehouseError(
            said.format(
                f"cannot be reached: check the network and SNOWFLAKE_ACCOUNT={names['account']}, "
                "then run it again"
            )
        )
    return WarehouseError(said.format("the statement failed and everything was rolled back"))


@contextmanager
def explained(settings: Settings, *, doing: str) -> Iterator[None]:
    """Turn the connector's errors into sentences; the original, and what it quotes, is dropped."""
    try:
        yield
    except Exception as error:
        if not type(error).__module__.startswith("snowflake.connector"):
            raise
        raise explain(error, settings, doing=doing) from None


def _code(error: BaseException) -> int:
    code = getattr(error, "errno", None)
    return code if isinstance(code, int) else -1


def _scrub(text: str, settings: Settings) -> str:
    for name in type(settings).model_fields:
        secret = getattr(settings, name)
        if isinstance(secret, SecretStr) and secret.get_secret_value():
            text = text.replace(secret.get_secret_value(), "***")
    return text
