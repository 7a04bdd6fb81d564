"""What only a real account can show; the rest of this folder runs there too."""

import os

import pytest

from mab_store.snowflake_connection import connect_directly

pytestmark = pytest.mark.skipif(
    os.environ.get("MAB_TEST_SNOWFLAKE") != "live",
    reason="no real account: set MAB_TEST_SNOWFLAKE=live and SNOWFLAKE_*",
)


@pytest.mark.usefixtures("warehouse")
def test_the_roles_hold_the_grants_of_the_file(settings):
    with connect_directly(settings)() as connection:
        cursor = connection.cursor()
        cursor.execute(f"show grants on schema {settings.snowflake_schema}")
        names = [column.name for column in cursor.description]
        grants = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    held = {(row["grantee_name"], row["privilege"]) for row in grants}
    roles = {"MAB_PIPELINE", "MAB_API", "MAB_ANALYST"}
    assert {(role, "USAGE") for role in roles} <= held


def test_the_session_is_what_the_adapter_relies_on(connect):
    with connect() as connection:
        cursor = connection.cursor()
        cursor.execute("show parameters in session")
        names = [column.name for column in cursor.description]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    values = {row["key"]: row["value"] for row in rows}
    assert values["TIMEZONE"] == "UTC"
    assert values["TIMESTAMP_TYPE_MAPPING"] == "TIMESTAMP_NTZ"
    assert values["LOCK_TIMEOUT"] == "60"
    assert values["QUERY_TAG"] == "mab"
