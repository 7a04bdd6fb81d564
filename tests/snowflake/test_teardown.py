"""The end of a session on an account: every schema is dropped, and one that stays is named."""

from tests.snowflake.conftest import drop_schemas, left_by_others
from tests.snowflake.test_first_hour import one


def test_a_schema_that_cannot_be_dropped_is_named_and_the_others_go(make_settings, tmp_path):
    first, last = (
        make_settings(tmp_path / name, snowflake_schema=f"mab_test_{name}")
        for name in ("first", "last")
    )
    third = make_settings(tmp_path)  # on the emulator a login makes its own schema
    for settings in (first, last):
        one(settings, f"create table if not exists {settings.snowflake_schema}.t (a int)")
    refused = first.model_copy(update={"snowflake_schema": "mab_test_of_nobody.x.y.z"})
    (left,) = drop_schemas([first, refused, last])
    assert left.startswith("mab_test_of_nobody.x.y.z: ")
    names = {name.split(":")[0].lower() for name in left_by_others(third)}
    assert not names & {"mab_test_first", "mab_test_last"}
