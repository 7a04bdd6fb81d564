"""The objects of a Snowflake database: created where they are missing, granted, and reported.

What belongs here: running `sql/schema/` with the names of the settings. What does not: the
statements.

An object's name cannot be bound like a value. The files write IDENTIFIER($mab_database) and so on,
which Snowflake resolves from session variables; this module sets them, the one place where a name
becomes part of a statement, and only after the settings have proven it to be a plain identifier.
"""

from mab_store.settings import Settings
from mab_store.warehouse.snowflake.connection import Cursor
from mab_store.warehouse.snowflake.errors import explained
from mab_store.warehouse.sql_loader import load_sql

SCHEMA_FILES = (
    "schema/01_create_schema",
    "schema/02_create_tables",
    "schema/02_create_tables_snowflake",
    "schema/02_create_views",
    "schema/02_create_served_views",
    "schema/03_grants",
)


def create_objects(cursor: Cursor, settings: Settings) -> list[str]:
    """Create what is missing; return a line for each statement: what it was, what Snowflake said.

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
