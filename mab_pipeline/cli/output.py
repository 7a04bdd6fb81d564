"""The option `--format`: data as a table, JSON or CSV."""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, NamedTuple

import typer

from mab_pipeline.cli.console import print_lines
from mab_store.plain_text import guarded


class Format(StrEnum):
    """How data is printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


Output = Annotated[Format, typer.Option("--format", help="For people, or for programs.")]


def print_json(data: object) -> None:
    """Print data as JSON to stdout."""
    typer.echo(json.dumps(data, indent=2, ensure_ascii=False))


def print_csv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Print rows as CSV to stdout, a header first; a row without a column leaves it empty.

    Control and invisible characters are escaped, so that each row is one line. No text is a
    formula in a spreadsheet (`guarded`).
    """
    records = ([row.get(name) for name in columns] for row in rows)
    print_lines(map(_csv_line, [columns, *records]))


def print_records(records: Sequence[NamedTuple], output: Format) -> None:
    """Print records of one type to stdout as JSON or CSV, numbers rounded to 6 decimals."""
    rows = [
        {
            name: round(value, 6) if isinstance(value, float) else value
            for name, value in record._asdict().items()
        }
        for record in records
    ]
    if output is Format.JSON:
        print_json(rows)
    else:
        print_csv(records[0]._fields if records else (), rows)


def _csv_line(cells: Sequence[object]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="").writerow([_csv_cell(cell) for cell in cells])
    return buffer.getvalue()


def _csv_cell(cell: object) -> object:
    return str(cell).lower() if isinstance(cell, bool) else guarded(cell)
