"""The ways to log in to Snowflake, and the settings that each needs."""

from typing import Any, Literal

Login = Literal[
    "snowflake_jwt",
    "oauth",
    "programmatic_access_token",
    "workload_identity",
    "oauth_client_credentials",
    "externalbrowser",
    "snowflake",
]
"""The connector's names of authenticators, in small letters; `snowflake` is a password."""

Provider = Literal["aws", "azure", "gcp", "oidc"]

_KEY = ("snowflake_private_key_path", "snowflake_private_key")
_TOKEN = ("snowflake_token_path", "snowflake_token")
_USER = ("snowflake_user",)

# One setting of each group is needed.
NEEDED: dict[Login, tuple[tuple[str, ...], ...]] = {
    "snowflake_jwt": (_USER, _KEY),
    "oauth": (_TOKEN,),
    "programmatic_access_token": (_TOKEN,),
    "workload_identity": (("snowflake_workload_identity",),),
    "oauth_client_credentials": (
        ("snowflake_oauth_client_id",),
        ("snowflake_oauth_client_secret",),
        ("snowflake_oauth_token_url",),
    ),
    "externalbrowser": (_USER,),
    "snowflake": (_USER, ("snowflake_password",)),
}
_BEST_FIRST: tuple[tuple[tuple[str, ...], Login], ...] = (
    (_KEY, "snowflake_jwt"),
    (_TOKEN, "oauth"),
    (("snowflake_password",), "snowflake"),
)


def login_of(settings: Any) -> Login | None:
    """Return the way to log in: the one that is named, or that of the best credential that is set.

    Args:
        settings: The settings.
    """
    named: Login | None = settings.snowflake_authenticator
    found = (login for names, login in _BEST_FIRST if any(getattr(settings, n) for n in names))
    return named or next(found, None)


def missing_for_login(settings: Any) -> list[str]:
    """Return the settings that the login lacks, in words; none if SNOWFLAKE_CONNECTION has them.

    Args:
        settings: The settings.
    """
    if settings.snowflake_connection:
        return []
    missing = [] if settings.snowflake_account else ["SNOWFLAKE_ACCOUNT"]
    login = login_of(settings)
    if login is None:
        needed: list[tuple[str, ...]] = [_USER]
        missing_login = [
            "one of SNOWFLAKE_PRIVATE_KEY_PATH, SNOWFLAKE_TOKEN and SNOWFLAKE_PASSWORD"
        ]
    else:
        needed, missing_login = list(NEEDED[login]), []
        if login == "workload_identity" and settings.snowflake_workload_identity == "oidc":
            needed.append(_TOKEN)
    missing += [
        " or ".join(name.upper() for name in names)
        for names in needed
        if not any(getattr(settings, name) for name in names)
    ]
    return missing + missing_login
