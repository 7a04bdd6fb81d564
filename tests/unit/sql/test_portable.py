"""Every file of sql/ parses in both dialects and stays inside the portable subset.

Much of this is what no test on the emulator could find, since it is DuckDB inside.
"""

import re
from collections import defaultdict

import duckdb
import pyarrow as pa
import pytest
import sqlglot
from sqlglot import exp

from mab_store.warehouse.duckdb.warehouse import SCHEMA_FILES
from mab_store.warehouse.snowflake.schema_setup import SCHEMA_FILES as SNOWFLAKE_SCHEMA_FILES
from mab_store.warehouse.snowflake.schema_setup import keeping_grants
from mab_store.warehouse.sql_loader import SQL_ROOT, load_sql
from mab_store.warehouse.table_schema import declared_tables

# Objects and rights that only Snowflake has; never run on DuckDB.
SNOWFLAKE_ONLY = {
    "schema/00_names",
    "schema/01_create_schema",
    "schema/02_create_tables_snowflake",
    "schema/03_grants",
    "schema/04_resource_monitor",
    "snowflake/show_locks",
}
ALL_FILES = {str(path.relative_to(SQL_ROOT).with_suffix("")) for path in SQL_ROOT.rglob("*.sql")}
FILES = sorted(ALL_FILES - SNOWFLAKE_ONLY)
QUERIES = [name for name in FILES if load_sql(name)[0].text.lower().startswith(("select", "with"))]
PORTABLE_TYPES = {
    pa.int64(), pa.int32(), pa.float64(), pa.string(), pa.date32(), pa.timestamp("us"), pa.bool_(),
}  # fmt: skip
FORBIDDEN_WORDS = re.compile(
    r"\b(iff|nvl|dateadd|to_date|filter\s*\(|on\s+conflict|generate_series|insert\s+overwrite"
    r"|timestamp_ntz|timestamp_tz|interval|strftime|epoch|list_|struct_"
    r"|greatest|least|concat|as\s+integer|as\s+int)\b",  # nulls differ; 38 digits on Snowflake
    re.IGNORECASE,
)


def trees(name: str, dialect: str) -> list[exp.Expression]:
    return [
        tree
        for statement in load_sql(name)
        for tree in sqlglot.parse(statement.text, dialect=dialect)
        if tree is not None
    ]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("dialect", ["duckdb", "snowflake"])
def test_every_statement_parses(name, dialect):
    parsed = trees(name, dialect)

    assert len(parsed) == len(load_sql(name)) > 0
    assert not any(isinstance(tree, exp.Command) for tree in parsed), "not understood"


@pytest.mark.parametrize("name", FILES)
def test_no_statement_leaves_the_portable_subset(name):
    for statement in load_sql(name):
        outside_strings = re.sub(r"'[^']*'", "''", statement.text)
        assert not FORBIDDEN_WORDS.search(outside_strings)
    for tree in trees(name, "duckdb"):
        assert not [node for node in tree.find_all(exp.Identifier) if node.quoted]
        assert not list(tree.find_all(exp.Merge))  # it raises there on duplicate keys in its source
        assert not unguarded_divisions(tree)


def unguarded_divisions(tree: exp.Expression) -> list[str]:
    """Find x / y where y can be 0: DuckDB gives null, Snowflake raises."""
    return [
        division.sql()
        for division in tree.find_all(exp.Div, exp.Mod, exp.IntDiv)
        if not isinstance(division.expression, exp.Nullif)
        and not (isinstance(division.expression, exp.Literal) and division.expression.this != "0")
    ]


def bare_sums(tree: exp.Expression) -> list[str]:
    """Find sums whose type gets out: HUGEINT or DECIMAL here, NUMBER(38, 0) there."""
    return [
        node.sql()
        for node in tree.find_all(exp.Sum)
        if node.find_ancestor(exp.Cast, exp.CTE) is None
    ]


@pytest.mark.parametrize("name", FILES)
def test_every_sum_that_leaves_a_statement_is_cast(name):
    for tree in trees(name, "snowflake"):
        assert not bare_sums(tree)


@pytest.mark.parametrize("name", FILES)
def test_every_descending_order_says_where_nulls_go(name):
    for statement in load_sql(name):
        text = " ".join(statement.text.lower().split())
        assert len(re.findall(r"\bdesc\b", text)) == len(re.findall(r"\bdesc nulls last\b", text))


@pytest.fixture(scope="module")
def engine():
    with duckdb.connect() as connection:
        tables = "schema/02_create_tables_snowflake"  # its tables, for the files of sql/snowflake
        for name in (*SCHEMA_FILES, tables):
            for statement in load_sql(name):
                if statement.text.startswith("create"):
                    connection.execute(statement.text)
        yield connection


@pytest.mark.parametrize("name", QUERIES)
def test_a_result_has_only_types_that_both_engines_have(engine, name):
    """A SUM over integers that is not cast comes out as a decimal here, and otherwise there."""
    (statement,) = load_sql(name)
    values = statement.bind(defaultdict(lambda: None))
    schema = engine.sql(statement.text, params=values or None).to_arrow_table().schema
    assert not [field for field in schema if field.type not in PORTABLE_TYPES]


@pytest.mark.parametrize("name", FILES)
def test_no_text_is_cut_to_a_length(name):
    """Only Snowflake enforces VARCHAR(n)."""
    for tree in trees(name, "snowflake"):
        for kind in tree.find_all(exp.DataType):
            assert not (kind.is_type(*exp.DataType.TEXT_TYPES) and kind.expressions), kind.sql()


@pytest.mark.parametrize("name", sorted(SNOWFLAKE_ONLY))
def test_snowflakes_own_files_name_no_object_but_by_a_variable_and_quote_nothing(name):
    text = (SQL_ROOT / f"{name}.sql").read_text("utf-8")
    assert '"' not in re.sub(r"--[^\n]*", "", text)
    for statement in load_sql(name):
        for kind in ("database", "warehouse", "schema"):
            named = re.search(rf"\b{kind}\s+(if not exists\s+)?(\S+)", statement.text)
            if named and not statement.text.startswith("set "):
                assert named[2].startswith("identifier($mab_"), statement.text


@pytest.mark.parametrize("name", sorted(SNOWFLAKE_ONLY))
def test_snowflakes_own_files_parse_in_its_dialect(name):
    """All but roles, monitors, locks and rights on all objects, which the parser does not know."""
    unknown = re.compile(
        r"create role if not exists \w+|grant role \w+ to|grant .+ on all (table|view)s"
        r"|create resource monitor if not exists|alter warehouse \S+ set resource_monitor"
        r"|show locks$"
    )
    for statement in load_sql(name):
        for tree in sqlglot.parse(statement.text, dialect="snowflake"):
            assert not isinstance(tree, exp.Command) or unknown.match(statement.text)
            assert not unguarded_divisions(tree)
            assert not bare_sums(tree)


def test_every_file_of_every_folder_is_looked_at():
    assert ALL_FILES >= SNOWFLAKE_ONLY
    assert set(FILES) == ALL_FILES - SNOWFLAKE_ONLY
    folders = {path.name for path in SQL_ROOT.iterdir()}
    assert {name.split("/")[0] for name in FILES} == folders


def test_no_table_has_a_time_that_may_be_null():
    """The emulator answers a null timestamp as 1970: it could not be told from a time there."""
    for table in declared_tables().values():
        assert not [c.name for c in table.columns if c.type == "timestamp" and c.nullable]


def test_snowflakes_own_files_can_be_run_twice():
    for name in SNOWFLAKE_ONLY:
        for statement in load_sql(name):
            create = statement.text.startswith("create")
            assert not create or " if not exists " in statement.text, statement.text
            assert not statement.text.startswith(("drop", "truncate", "delete"))


def test_the_pipeline_may_do_what_its_statements_do_and_no_more():
    granted = {
        (match[1], match[2])
        for statement in load_sql("schema/03_grants")
        if (
            match := re.fullmatch(
                r"grant (\w+) on table (\w+) to role mab_pipeline", statement.text
            )
        )
    }
    loaded = {("insert", name) for name in declared_tables()}
    done = {
        (match[1].split()[0], match[2])
        for name in ALL_FILES
        if not name.startswith("schema/")
        for statement in load_sql(name)
        if (match := re.match(r"(delete from|insert into|update) (\w+)", statement.text))
    }
    assert granted == loaded | done
    updated = {table for right, table in granted if right == "update"}
    assert updated == {"writer_lock", "judged_days"}  # a lock, and what only saves time
    kept = {"publications", "publication_holds", "analysis", "published_versions"}
    assert not [table for right, table in granted if right == "delete" and table in kept]


def test_a_view_that_is_replaced_on_snowflake_keeps_the_grants_of_others():
    views = [
        statement.text
        for name in SNOWFLAKE_SCHEMA_FILES
        for statement in load_sql(name)
        if statement.text.startswith("create or replace view")
    ]
    assert len(views) > 5
    for text in views:
        assert re.match(r"create or replace view \w+ copy grants as\b", keeping_grants(text))
        assert len(keeping_grants(text)) == len(text) + len(" copy grants")
    assert keeping_grants("create table if not exists a (b date)").endswith("(b date)")


def test_the_files_to_run_by_hand_are_those_that_init_runs():
    listed = re.findall(r"-f (\w+)\.sql", (SQL_ROOT / "schema" / "00_names.sql").read_text("utf-8"))
    assert [f"schema/{name}" for name in listed] == ["schema/00_names", *SNOWFLAKE_SCHEMA_FILES]


def test_the_api_may_read_what_it_serves_and_nothing_else():
    granted = [
        match[1]
        for statement in load_sql("schema/03_grants")
        if (match := re.fullmatch(r"grant select on (.+) to role mab_api", statement.text))
    ]
    store = SQL_ROOT.parent / "mab_store"
    warehouse = store / "warehouse"
    shared = [warehouse / "published_analysis.py", warehouse / "publication_loss.py"]
    shared.append(store / "explanation.py")
    sources = [*shared, *(SQL_ROOT.parent / "mab_api").rglob("*.py")]
    asked = r'"((?:serving|snowflake)/\w+)"'
    served = {name for path in sources for name in re.findall(asked, path.read_text("utf-8"))}
    read = {
        f"view {table.name}"
        for name in served
        for tree in trees(name, "snowflake")
        for table in tree.find_all(exp.Table)
        if table.name not in {cte.alias for cte in tree.find_all(exp.CTE)}
    }
    assert served > {"snowflake/newest_version"}
    assert sorted(read) == sorted(granted)


@pytest.mark.parametrize("name", FILES)
def test_a_file_begins_with_its_purpose(name):
    assert (SQL_ROOT / f"{name}.sql").read_text("utf-8").startswith("-- Purpose: ")


def test_the_lint_finds_what_it_shall_find():
    assert FORBIDDEN_WORDS.search("select iff(a, b, c)")
    assert FORBIDDEN_WORDS.search("date '2025-01-01' - interval 1 day")
    assert FORBIDDEN_WORDS.search("cast(a as integer)")
    assert FORBIDDEN_WORDS.search("greatest(a, b)")
    assert not FORBIDDEN_WORDS.search("select coalesce(a, b)")
    for text, faults in (
        ("sum(a)", 1),
        ("coalesce(sum(a), 0)", 1),
        ("cast(coalesce(sum(a), 0) as bigint)", 0),
        ("cast(sum(a) over (order by b) as bigint)", 0),
        ("cast(b as bigint) from (select sum(a) as b)", 1),
        ("cast(b as bigint) from c", 0),
    ):
        with_cte = f"with c as (select sum(a) as b) select {text}"
        assert len(bare_sums(sqlglot.parse_one(with_cte))) == faults
    for text, faults in (
        ("a / b", 1),
        ("a % b", 1),
        ("a / 0", 1),
        ("a / nullif(b, 0)", 0),
        ("a / 2", 0),
    ):
        assert len(unguarded_divisions(sqlglot.parse_one(f"select {text}"))) == faults
