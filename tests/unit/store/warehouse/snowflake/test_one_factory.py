"""Every connection to Snowflake is opened by one function."""

import ast
from pathlib import Path

import mab_api
import mab_dashboard
import mab_pipeline
import mab_store
from mab_store.warehouse.snowflake import connection

PACKAGES = (mab_api, mab_dashboard, mab_pipeline, mab_store)
FACTORY = Path(connection.__file__)
_OPENING = {"connect", "SnowflakeConnection", "connector"}
RESOURCE = FACTORY.parents[3] / "mab_pipeline" / "snowflake_resource.py"


def files_that(name: str) -> set[Path]:
    """Return the files of ours that call a function, or a method, of this name."""
    return {
        path
        for package in PACKAGES
        for path in Path(package.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and name == getattr(node.func, "attr", getattr(node.func, "id", ""))
    }


def connector_calls(path: Path) -> list[str]:
    return [
        ast.unparse(node.func)
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and "snowflake" in ast.unparse(node.func).lower()
        and ast.unparse(node.func).lower().rpartition(".")[2] in {"connect", "snowflakeconnection"}
    ]


def test_one_line_calls_the_connector_and_one_function_takes_the_arguments():
    found = {
        p: calls
        for package in PACKAGES
        for p in Path(package.__file__).parent.rglob("*.py")
        if (calls := connector_calls(p))
    }
    assert found == {FACTORY: ["snowflake.connector.connect"]}
    assert files_that("connection_arguments") == {FACTORY}
    assert files_that("get_connection") == {RESOURCE}
    assert files_that("connected_by") == {FACTORY, RESOURCE}


def test_no_file_takes_connect_out_of_the_connector_under_another_name():
    taken = [
        (path.name, alias.name)
        for package in PACKAGES
        for path in Path(package.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("snowflake")
        for alias in node.names
    ]
    assert taken
    assert not [
        name for name in taken if name[1] in {"connect", "SnowflakeConnection", "connector"}
    ]
