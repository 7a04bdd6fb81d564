"""Write docs/DATA_DICTIONARY.md and docs/ERD.md from the declared schema.

    python -m tools.schema_docs

`sql/schema/` alone declares tables and columns. Only the facts that DDL cannot express stand here:
relations, the view's extra columns, the meaning of each rejection reason.
"""

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from mab_store.warehouse.sql_loader import SQL_ROOT
from mab_store.warehouse.table_schema import Column, Table, declared_tables

DOCS = SQL_ROOT.parent / "docs"
VIEW_NAME = "validated_metrics"

_GENERATED = (
    "<!-- Generated from sql/schema/ by `python -m tools.schema_docs`; do not edit by hand. -->"
)
_VIEW = re.compile(
    r"-- (?P<description>[^\n]+)\n-- Grain: (?P<grain>[^\n]+)\n"
    rf"create or replace view {VIEW_NAME} as\n"
)

# The columns that the view adds to raw_metrics, in its order; a test compares them with an engine.
_JUDGEMENT = (
    Column("experiment_id", "varchar", True, "Registered experiment that `experiment` names", "id"),
    Column(
        "impressions_count",
        "bigint",
        True,
        "`impressions` as a number",
        "impressions/day",
    ),
    Column("clicks_count", "bigint", True, "`clicks` as a number", "clicks/day"),
    Column("rejection_reason", "varchar", True, "Why the row is rejected; null = good", "reason"),
    Column(
        "is_superseded", "boolean", False, "Good, but a later row of the same grain wins", "flag"
    ),
)

# In the order in which they are tested: a row gets the first one that applies.
REJECTION_REASONS = {
    "unreadable_file": "The file could not be parsed; `error` names the place and the reason.",
    "unknown_experiment": "No experiment of this id or name is registered.",
    "unknown_variant": "The experiment has no variant of this name on that day.",
    "not_an_integer": "A count is not ASCII digits alone: empty, missing, `1.5`, `1e3`, `NaN`.",
    "too_large": "A count is 2^53 (9007199254740992) or more: sums must never overflow.",
    "negative": "A count is digits behind a minus sign.",
    "clicks_exceed_impressions": "More clicks than impressions; often late conversions.",
}


class Relation(NamedTuple):
    """One line of the ERD.

    Attributes:
        one: Table on the one side.
        many: Table on the other.
        columns: Columns that both have and that join them.
        cardinality: As mermaid writes it.
        note: A condition that the columns alone do not show.
    """

    one: str
    many: str
    columns: tuple[str, ...]
    cardinality: str = "||--o{"
    note: str = ""


_VARIANT = ("experiment_id", "variant_name")

RELATIONS = (
    Relation("inbox_files", "raw_metrics", ("metric_date", "source_file")),
    Relation(
        "raw_metrics", VIEW_NAME, ("metric_date", "source_file", "row_number"), "||--||", "judged"
    ),
    Relation("experiments", "variants", ("experiment_id",), note="true on the same day"),
    Relation("experiments", VIEW_NAME, ("experiment_id",), "|o--o{", "by id or name"),
    Relation(VIEW_NAME, "daily_metrics", ("metric_date", *_VARIANT), "||--o|", "last good row"),
    Relation("variants", "daily_metrics", _VARIANT, note="true on metric_date"),
    Relation("daily_metrics", "judged_days", ("metric_date",), "}o--o|", "agrees since"),
    Relation("daily_metrics", "windowed_aggregates", _VARIANT, "}o--o{", "summed to as_of_date"),
    Relation("variants", "windowed_aggregates", _VARIANT, note="true on as_of_date + 1"),
    Relation("windowed_aggregates", "allocations", ("as_of_date", *_VARIANT), note="versions"),
    Relation(
        "allocations", "publications", ("as_of_date", "experiment_id", "allocation_id"), "}|--o{"
    ),
    Relation("allocations", "analysis", ("as_of_date", "experiment_id", "allocation_id"), "}|--o{"),
    Relation("experiments", "publication_holds", ("experiment_id",), note="held back by the gate"),
    Relation("publications", "current_publications", ("experiment_id",), "}|--o|", "the newest"),
    Relation("publication_holds", "current_holds", ("experiment_id",), "}|--o|", "the newest"),
    Relation("analysis", "current_analyses", ("experiment_id",), "}|--o|", "the newest"),
)


def documented_tables() -> dict[str, Table]:
    """Return the declared tables, and the view after the table that it judges."""
    tables: dict[str, Table] = {}
    for name, table in declared_tables().items():
        tables[name] = table
        if name == "raw_metrics":
            tables[VIEW_NAME] = _view(table)
    return tables


def data_dictionary() -> str:
    """Return the text of docs/DATA_DICTIONARY.md."""
    return "\n".join(
        [
            "# Data dictionary",
            "",
            _GENERATED,
            "",
            "This page is for analysts and developers. After reading it you know the meaning, type",
            "and unit of every column, and can query the warehouse.",
            "",
            "Times are UTC. No primary keys are declared (docs/adr/0003): the grain identifies",
            "a row, and a check proves it unique. [ERD.md](ERD.md) shows the tables' relations.",
            "",
            *(line for table in documented_tables().values() for line in _section(table)),
        ]
    )


def erd() -> str:
    """Return the text of docs/ERD.md."""
    tables = documented_tables()
    return "\n".join(
        [
            "# Entities and relations",
            "",
            _GENERATED,
            "",
            "This page is for analysts and developers. After reading it you can join the tables.",
            "",
            f"`PK` marks the grain; the engine declares no key. `{VIEW_NAME}` is a view.",
            "[DATA_DICTIONARY.md](DATA_DICTIONARY.md) explains each column.",
            "",
            "```mermaid",
            "erDiagram",
            *(_relation_line(relation) for relation in RELATIONS),
            *(line for table in tables.values() for line in _entity(table)),
            "```",
            "",
        ]
    )


def pages() -> dict[Path, str]:
    """Return each generated page's path and text."""
    return {DOCS / "DATA_DICTIONARY.md": data_dictionary(), DOCS / "ERD.md": erd()}


def main() -> int:
    """Write both pages; return the exit code."""
    for path, text in pages().items():
        path.write_text(text, "utf-8", newline="\n")
        sys.stderr.write(f"wrote {path}\n")
    return 0


def _view(raw_metrics: Table) -> Table:
    text = (SQL_ROOT / "schema" / "02_create_views.sql").read_text("utf-8")
    match = _VIEW.search(text)
    if match is None:
        raise ValueError(f"02_create_views.sql: {VIEW_NAME} lacks its meaning or its `Grain:`")
    grain = tuple(part.strip() for part in match["grain"].split(","))
    columns = (*raw_metrics.columns, *_JUDGEMENT)
    return Table(VIEW_NAME, match["description"], grain, columns)


def _section(table: Table) -> Iterator[str]:
    kind = " (view)" if table.name == VIEW_NAME else ""
    yield from (f"## {table.name}{kind}", "", _cell(table.description), "")
    yield from (f"Grain: {', '.join(f'`{name}`' for name in table.grain)}", "")
    yield from _markdown_table(
        ("column", "type", "null", "meaning", "unit or kind"),
        (
            (
                f"`{column.name}`",
                column.type,
                "yes" if column.nullable else "no",
                column.description,
                column.unit,
            )
            for column in table.columns
        ),
    )
    if table.name == VIEW_NAME:
        yield from ("Rejection reasons; a row gets the first that applies:", "")
        yield from _markdown_table(
            ("reason", "meaning"),
            ((f"`{reason}`", meaning) for reason, meaning in REJECTION_REASONS.items()),
        )


def _markdown_table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(header)} |"
    yield f"|{' --- |' * len(header)}"
    for row in rows:
        yield f"| {' | '.join(_cell(value) for value in row)} |"
    yield ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _relation_line(relation: Relation) -> str:
    label = ", ".join(relation.columns) + (f"; {relation.note}" if relation.note else "")
    return f'    {relation.one} {relation.cardinality} {relation.many} : "{label}"'


def _entity(table: Table) -> Iterator[str]:
    yield f"    {table.name} {{"
    for column in table.columns:
        key = " PK" if column.name in table.grain else ""
        yield f"        {column.type} {column.name}{key}"
    yield "    }"


if __name__ == "__main__":
    sys.exit(main())
