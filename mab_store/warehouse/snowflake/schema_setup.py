"""Create the missing objects and grants of a Snowflake database, by running `sql/schema/`.

ACCOUNTADMIN takes the roles SYSADMIN and USERADMIN for it and owns nothing; any other role of
SNOWFLAKE_ROLE makes and owns everything itself.

An object's name cannot be bound like a value. The files write IDENTIFIER($mab_database) and so on,
and Snowflake resolves these from session variables. Only this module puts a name into a statement,
to set the variables, and only after it was found to be a plain identifier.
"""

import re

from mab_store.errors import SettingsError
from mab_store.settings import Settings
from mab_store.warehouse.snowflake.connection import Cursor
from mab_store.warehouse.snowflake.errors import explained
from mab_store.warehouse.snowflake.statements import run
from mab_store.warehouse.sql_loader import load_sql

SCHEMA_FILES = (
    "schema/01_create_schema",
    "schema/02_create_tables",
    "schema/02_add_columns",
    "schema/02_create_tables_snowflake",
    "schema/02_fill_current",
    "schema/02_create_views",
    "schema/02_create_fingerprints",
    "schema/02_create_served_views",
    "schema/02_create_monthly_views",
    "schema/03_grants",
)


def create_objects(cursor: Cursor, settings: Settings) -> list[str]:
    """Create missing objects; return a line per statement with its beginning and the reply.

    Args:
        cursor: A cursor of a session whose role may create these objects.
        settings: For the names.
    """
    names = {
        "mab_database": settings.snowflake_database,
        "mab_schema": settings.snowflake_schema,
        "mab_warehouse": settings.snowflake_warehouse,
        **_owners(_role(cursor, settings)),
    }
    for variable, name in names.items():
        run(cursor, f"set {variable} = '{name}'")
    done = []
    for file in SCHEMA_FILES:
        for statement in load_sql(file):
            with explained(settings, doing=f"sql/{file}.sql"):
                run(cursor, keeping_grants(statement.text))
                row = cursor.fetchone()
            text = " ".join(statement.text.split("(")[0].split())
            done.append(f"{file.split('/')[1]}: {text[:70]}: {row[0] if row else 'done'}")
    return done


def keeping_grants(text: str) -> str:
    """Return a statement that replaces a view so that what others were granted on it stays.

    DuckDB does not know `copy grants`, so the files cannot have it.
    """
    return re.sub(r"^(create or replace view \w+) as\b", r"\1 copy grants as", text)


def _role(cursor: Cursor, settings: Settings) -> str:
    if settings.snowflake_role:
        return settings.snowflake_role
    run(cursor, "select current_role()")
    (role,) = cursor.fetchone()
    if not re.fullmatch(r"\w+", str(role)):
        raise SettingsError(f"Set SNOWFLAKE_ROLE: the user's default role {role} cannot be used.")
    return str(role)


def _owners(role: str) -> dict[str, str]:
    is_account_admin = role.upper() == "ACCOUNTADMIN"
    return {
        "mab_owner": "SYSADMIN" if is_account_admin else role,
        "mab_role_admin": "USERADMIN" if is_account_admin else role,
    }
