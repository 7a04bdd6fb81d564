"""Create the missing objects and grants of a Snowflake database, by running `sql/schema/`.

An object's name cannot be bound like a value. The files write IDENTIFIER($mab_database) and so on,
and Snowflake resolves these from session variables. Only this module puts a name into a statement,
to set the variables, and only after the settings have checked that it is a plain identifier.
"""

from mab_store.settings import Settings
from mab_store.warehouse.snowflake.connection import Cursor
from mab_store.warehouse.snowflake.errors import explained
from mab_store.warehouse.sql_loader import load_sql

SCHEMA_FILES = (
    "schema/01_create_schema",
    "schema/02_create_tables",
    "schema/02_add_columns",
    "schema/02_create_tables_snowflake",
    "schema/02_create_views",
    "schema/02_create_served_views",
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
    }
    for variable, name in names.items():
        cursor.execute(f"set {variable} = '{name}'")
    done = []
    for file in SCHEMA_FILES:
        for statement in load_sql(file):
            with explained(settings, doing=f"sql/{file}.sql"):
                cursor.execute(statement.text)
                row = cursor.fetchone()
            text = " ".join(statement.text.split("(")[0].split())
            done.append(f"{file.split('/')[1]}: {text[:70]}: {row[0] if row else 'done'}")
    return done
