"""The declared schema, parsed from `sql/schema/02_create_tables.sql` without a running engine.

Only this DDL declares columns; Dagster's column schema, the data dictionary, the ERD and the checks
all come from here.
"""

import re
from dataclasses import dataclass
from functools import cache

import pyarrow as pa

from mab_store.warehouse.sql_loader import SQL_ROOT

_TABLE = re.compile(
    r"-- (?P<description>[^\n]+)\n-- Grain: (?P<grain>[^\n]+)\n"
    r"create table if not exists (?P<name>\w+) \(\n(?P<body>.*?)\n\);",
    re.DOTALL,
)
_COLUMN = re.compile(
    r"^\s+(?P<name>\w+) (?P<type>\w+)(?P<required> not null)?,?"
    r"\s+-- (?P<description>.+) \[(?P<unit>[^\]]+)\]$"
)
_ARROW_TYPES = {
    "bigint": pa.int64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "double": pa.float64(),
    "timestamp": pa.timestamp("us"),
    "varchar": pa.string(),
}


@dataclass(frozen=True, slots=True)
class Column:
    """A declared column.

    Attributes:
        name: Column name.
        type: SQL type, lower case.
        nullable: Whether it may be null.
        description: Its meaning.
        unit: Its unit, or the kind of value.
    """

    name: str
    type: str
    nullable: bool
    description: str
    unit: str


@dataclass(frozen=True, slots=True)
class Table:
    """A declared table.

    Attributes:
        name: Table name; also the name of its asset, if there is one.
        description: Meaning of a row.
        grain: Columns that identify a row.
        columns: The columns in their order.
    """

    name: str
    description: str
    grain: tuple[str, ...]
    columns: tuple[Column, ...]

    @property
    def arrow_schema(self) -> pa.Schema:
        """Schema of the Arrow rows that `Transaction.load_arrow` takes."""
        return pa.schema([(column.name, _ARROW_TYPES[column.type]) for column in self.columns])


@cache
def declared_tables() -> dict[str, Table]:
    """Return every declared table by its name, in the order of the file.

    Raises:
        ValueError: A column's line does not end in `-- meaning [unit]`.
    """
    text = (SQL_ROOT / "schema" / "02_create_tables.sql").read_text("utf-8")
    tables = {}
    for match in _TABLE.finditer(text):
        columns = tuple(_parse_column(line) for line in match["body"].splitlines())
        grain = tuple(part.strip() for part in match["grain"].split(","))
        tables[match["name"]] = Table(match["name"], match["description"], grain, columns)
    return tables


def _parse_column(line: str) -> Column:
    match = _COLUMN.match(line)
    if match is None:
        raise ValueError(f"02_create_tables.sql: {line.strip()!r} lacks its `-- meaning [unit]`")
    return Column(
        name=match["name"],
        type=match["type"],
        nullable=match["required"] is None,
        description=match["description"],
        unit=match["unit"],
    )
