"""Snowflake's errors as sentences that name the setting or the grant to fix.

Errors are told apart by the connector's classes and by Snowflake's numbers, never by their text.
Nothing here repeats a secret: a message of the server is cut to its first line and every secret of
the settings is struck out of it.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import SecretStr

from mab_store.errors import MabError, SettingsError, WarehouseError, WarehouseLockedError
from mab_store.settings import Settings

# Classes of the connector's errors that pass by themselves; by name, since the connector is
# imported only if the engine is Snowflake.
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
# Sources of the numbers: [c] the connector's errorcode.py, network.py and cursor.py (4.8.1),
# [d] another program, which is named, [r] a message of Snowflake's that was published with it.
# [c] request failed, server failed, timeout, retryable; ID token, session, master token expired;
# [d] session gone (snowflake-connector-nodejs, gs_errors.js).
_TRANSIENT_CODES = {250003, 250005, 251011, 251012, 390110, 390111, 390112, 390114}
# [c] "Could not connect", the connector's own. It passes by itself if there was no answer (then it
# is an OperationalError). A login that Snowflake refuses without a number of its own has this one
# too, and a fifth try locks the user out.
_NO_CONNECTION = 250001
# [c] The connector's class for HTTP 403 at the login: no account answers at this address.
_NO_SUCH_HOST_CLASS = "ForbiddenError"

# [c] The connector's class for every other refused login (auth/by_plugin.py, _handle_failure).
_REFUSED_LOGIN_CLASS = "DatabaseError"

_WRONG_PASSWORD = "the login was refused: correct SNOWFLAKE_USER and SNOWFLAKE_PASSWORD"  # noqa: S105  # a sentence
_WRONG_KEY = (
    "the key was refused: the user of SNOWFLAKE_USER must have the public key of "
    "SNOWFLAKE_PRIVATE_KEY_PATH (ALTER USER ... SET RSA_PUBLIC_KEY)"
)
_WRONG_TOKEN = "the token was refused: give a fresh one in SNOWFLAKE_TOKEN"  # noqa: S105  # a sentence
_EXPIRED = (
    "the token has expired: SNOWFLAKE_TOKEN is a fixed text that mab cannot renew; give a fresh "
    "one, a file that its owner renews (SNOWFLAKE_TOKEN_PATH), or "
    "SNOWFLAKE_AUTHENTICATOR=oauth_client_credentials"
)
_NO_PASSWORDS = (
    "the account does not take this login: give the user a key pair and set "
    "SNOWFLAKE_PRIVATE_KEY_PATH"
)
_NO_ROLE = "the role SNOWFLAKE_ROLE={role} does not exist or is not granted to the user {user}"
_NO_USER = "the user SNOWFLAKE_USER={user} is locked or disabled; an administrator must unlock it"
_NO_LOGIN = (
    "the login failed: check SNOWFLAKE_ACCOUNT={account}, SNOWFLAKE_USER={user} and its credentials"
)
_NO_ACCOUNT = "there is no such account: correct SNOWFLAKE_ACCOUNT={account}"
_NO_WAREHOUSE = (
    "no virtual warehouse: SNOWFLAKE_WAREHOUSE={warehouse} does not exist, is suspended for good, "
    "or the role {role} lacks USAGE on it (sql/schema/03_grants.sql)"
)
_QUOTA = (
    "the virtual warehouse SNOWFLAKE_WAREHOUSE={warehouse} has used up its resource monitor's "
    "quota; its owner must raise it, or name another warehouse"
)
_MISSING = (
    "an object does not exist, or the role {role} may not see it: check SNOWFLAKE_DATABASE="
    "{database} and SNOWFLAKE_SCHEMA={schema}, then run `mab init` with a role that may create "
    "objects, or grant as in sql/schema/03_grants.sql"
)
_OLD_COLUMNS = (
    "a table has other columns than this version: compare it with "
    "sql/schema/02_create_tables.sql, or set SNOWFLAKE_SCHEMA to a new one, then run `mab init` "
    "and `mab rebuild`"
)
_SUSPENDED = "the account SNOWFLAKE_ACCOUNT={account} is suspended; its owner must restore it"

_LOGIN = {
    390100: _WRONG_PASSWORD,  # [c] authorization failure
    390101: _NO_USER,  # [r] "User access disabled"
    390102: _NO_USER,  # [r] "User temporarily locked"
    390144: _WRONG_KEY,  # [c] JWT token invalid; 3943xx say why
    **dict.fromkeys(range(394300, 394307), _WRONG_KEY),  # [c]
    390186: _NO_ROLE,  # [r] "is not granted to this user"
    390189: _NO_ROLE,  # [r] "specified in the connect string does not exist or not authorized"
    390197: _NO_PASSWORDS,  # [r] multi-factor authentication required
    390201: _NO_WAREHOUSE,  # [r] "requested warehouse does not exist or not authorized"
    390303: _WRONG_TOKEN,  # [c] invalid
    390317: _NO_ROLE,  # [r] not among the roles of the OAuth token
    390318: _EXPIRED,  # [c] expired
    390422: "the network policy of the account does not let this address in; ask for it",  # [r]
    251008: "SNOWFLAKE_PRIVATE_KEY_PATH holds another kind of key than RSA: use an RSA key",  # [c]
    290404: _NO_ACCOUNT,  # [c] 290000 + the HTTP status of the login
}
_STATEMENTS = {
    604: "the statement was cancelled, by an administrator or since it took too long",  # [c]
    606: _NO_WAREHOUSE,  # [d] no active warehouse (snowflake-cli, errno.py)
    630: "the statement took longer than it may; use a larger virtual warehouse",  # [r]
    666: _SUSPENDED,  # [r] "Your account is suspended"
    904: _OLD_COLUMNS,  # [r] invalid identifier
    2003: _MISSING,  # [d] does not exist or not authorized (the same)
    2043: _MISSING,  # [d] does not exist or cannot be performed (the same)
    3001: "the role {role} lacks a privilege: grant as in sql/schema/03_grants.sql",  # [r]
    90073: _QUOTA,  # [r] "cannot be resumed because resource monitor has exceeded its quota"
    90105: _MISSING,  # [d] no current database (fakesnow)
    90106: _MISSING,  # [d] no current schema (fakesnow)
    100072: _OLD_COLUMNS,  # [c] null in a non-nullable column: the file has no such column
    390913: _SUSPENDED,  # [r] "Your free trial has ended", at the login
}
# [r] "has locked table ... was aborted": the wait took too long, or 20 statements wait already
_LOCKED = {625}


def is_locked(error: BaseException) -> bool:
    """Return whether Snowflake ended a statement that waited for a lock."""
    return _code(error) in _LOCKED


def is_transient(error: BaseException) -> bool:
    """Return whether the same attempt can succeed a moment later."""
    names = _class_names(error)
    code = _code(error)
    if code in _LOGIN or code in _STATEMENTS:
        return False
    return (
        bool(names & _TRANSIENT_CLASSES)
        or code in _TRANSIENT_CODES
        or (code == _NO_CONNECTION and "OperationalError" in names)
    )


def mab_error(
    error: BaseException, settings: Settings, *, doing: str, holder: str = ""
) -> MabError:
    """Return the sentence for an error of the connector.

    Args:
        error: The connector's error.
        settings: For the names in the sentence, and the secrets to strike out.
        doing: The action that failed, such as the SQL file.
        holder: Who holds the lock that was waited for, as a sentence.
    """
    code = _code(error)
    first = _scrub(str(error).strip(), settings).splitlines()
    said = f"Snowflake, {doing}: {{}} ({first[0][:300] if first else type(error).__name__})."
    names = {
        name: getattr(settings, f"snowflake_{name}") or "(the user's default)"
        for name in ("account", "user", "role", "warehouse", "database", "schema")
    }
    if code in _LOCKED:
        waited = (
            "another run holds the warehouse; waited WAREHOUSE_LOCK_TIMEOUT_SECONDS="
            f"{settings.warehouse_lock_timeout_seconds:g}. Wait for it to end"
        )
        return WarehouseLockedError(f"{said.format(waited)} {holder}".rstrip())
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
    if code == _NO_CONNECTION or type(error).__name__ == _REFUSED_LOGIN_CLASS:
        return SettingsError(said.format(_NO_LOGIN.format(**names)))
    return WarehouseError(said.format("the statement failed and everything was rolled back"))


@contextmanager
def explained(settings: Settings, *, doing: str) -> Iterator[None]:
    """Turn the connector's errors into sentences; the original and its quotes are dropped."""
    try:
        yield
    except Exception as error:
        if not type(error).__module__.startswith("snowflake.connector"):
            raise
        raise mab_error(error, settings, doing=doing) from None


def _code(error: BaseException) -> int:
    """Return Snowflake's number for an error; -1 if it has none."""
    code = getattr(error, "errno", None)
    if code == _NO_CONNECTION and _NO_SUCH_HOST_CLASS in _class_names(error):
        return 290404
    return code if isinstance(code, int) else -1


def _class_names(error: BaseException) -> set[str]:
    return {kind.__name__ for kind in type(error).__mro__}


def _scrub(text: str, settings: Settings) -> str:
    for name in type(settings).model_fields:
        secret = getattr(settings, name)
        if isinstance(secret, SecretStr) and secret.get_secret_value():
            text = text.replace(secret.get_secret_value(), "***")
    return text
