"""Parse every statement for Snowflake with sqlfluff's dialect, beside sqlglot in the tests.

Two parsers that were written apart rarely miss the same fault. A bound value is parsed as null.

    python -m tools.snowflake_parse  # exit code 1 and a line for each fault
"""

import sys
from collections.abc import Iterator

from sqlfluff.core import FluffConfig, Linter

from mab_store.warehouse.snowflake.schema_setup import keeping_grants
from mab_store.warehouse.sql_loader import SQL_ROOT, load_sql


def faults(text: str) -> list[str]:
    """Return what the parser does not understand in a statement, with the place; usually nothing.

    Args:
        text: One statement, with `?` for each bound value.
    """
    linter = Linter(config=FluffConfig(overrides={"dialect": "snowflake"}))
    parsed = linter.parse_string(f"{text.replace('?', 'null')};\n")
    return [f"line {fault.line_no}: {fault.desc()}" for fault in parsed.violations]


def statements() -> Iterator[tuple[str, str]]:
    """Yield the file and the text of every statement, as it is sent to Snowflake."""
    for path in sorted(SQL_ROOT.rglob("*.sql")):
        name = str(path.relative_to(SQL_ROOT).with_suffix(""))
        for statement in load_sql(name):
            yield name, keeping_grants(statement.text)


def main() -> int:
    """Parse all; return the exit code."""
    count, is_bad = 0, False
    for name, text in statements():
        count += 1
        for fault in faults(text):
            is_bad = True
            print(f"sql/{name}.sql: {text.splitlines()[0]}: {fault}")
    print(f"{count} statements, parsed for Snowflake by sqlfluff")
    return int(is_bad)


if __name__ == "__main__":
    sys.exit(main())
