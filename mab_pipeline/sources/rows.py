"""Rows of an export below its header: which are data, and which are totals, notes or filtered out.

One pass over a file keeps the columns that a mapping names. `dates.py` and `counts.py` give them
their meaning.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from mab_pipeline.sources.columns import Header
from mab_pipeline.sources.known_exports import TOTAL_WORDS, Role, folded
from mab_pipeline.sources.mapping import Mapping
from mab_store.errors import UnreadableFileError

_MOST_VALUES = 8
_NO_VALUE = {"", "-", "--", "\u2013", "\u2014"}


class NoRowsError(UnreadableFileError):
    """An export has its header and no row of counts."""


class DataRow(NamedTuple):
    """A row of counts, as text.

    Attributes:
        number: Its row or line in the file, from 1.
        date: Its day; empty if the file has no column of days.
        experiment: Id or name.
        variant: Name.
        impressions: The count.
        clicks: The count.
        identity: Equal for rows that are equal in every cell.
    """

    number: int
    date: str
    experiment: str
    variant: str
    impressions: str
    clicks: str
    identity: int


@dataclass(slots=True)
class Rows:
    """The rows of a file.

    Attributes:
        data: Rows of counts.
        totals: Rows that add others up.
        notes: Numbers of rows without variant and counts, below or between the others.
        filtered: How many rows a filter left out.
        groups: Experiments in the file that a fixed experiment takes together.
    """

    data: list[DataRow] = field(default_factory=list)
    totals: list[DataRow] = field(default_factory=list)
    notes: list[DataRow] = field(default_factory=list)
    filtered: int = 0
    groups: dict[str, None] = field(default_factory=dict)


def read_rows(header: Header, mapping: Mapping) -> Rows:
    """Read the rows below a header.

    Raises:
        UnreadableFileError: There are none, or a row has more cells than the header.
    """
    rows = Rows()
    filters = [(header.place(name), operator, text) for name, operator, text in mapping.filters]
    seen: dict[int, dict[str, None]] = {place: {} for place, _, _ in filters}
    names: dict[str, str] = {}
    width = len(header.names)
    for number, cells in header.sheet.rows():
        if number <= header.row:
            continue
        padded = [*cells, *[""] * (width - len(cells))]
        row = _row(number, padded, header, mapping, names)
        if _is_total(row, padded, has_date="date" in header.places):
            rows.totals.append(row)
        elif not (row.variant or row.impressions or row.clicks):
            rows.notes.append(row)
        elif all(_meets(padded[place], operator, text) for place, operator, text in filters):
            _require_width(number, cells, header)
            rows.data.append(row)
            if mapping.experiment and header.groups is not None:
                rows.groups[padded[header.groups]] = None
        else:
            rows.filtered += 1
            _note_values(seen, padded)
    if not rows.data:
        raise _no_rows(header, mapping, seen)
    return rows


def _require_width(number: int, cells: Sequence[str], header: Header) -> None:
    width = len(header.names)
    if any(cells[width:]):
        raise UnreadableFileError(
            f"has {len(cells)} cells in row {number} and {width} in its header in row "
            f"{header.row}; a text with the delimiter in it needs quotes"
        )


def _note_values(seen: dict[int, dict[str, None]], cells: Sequence[str]) -> None:
    """Remember some values of the filtered columns, for the message if no row is left."""
    for place, values in seen.items():
        if len(values) < _MOST_VALUES:
            values[cells[place]] = None


def _row(
    number: int, cells: Sequence[str], header: Header, mapping: Mapping, names: dict[str, str]
) -> DataRow:
    """Take the columns of a mapping; equal names share one text."""

    def text(role: Role) -> str:
        place = header.places.get(role)
        return "" if place is None else cells[place]

    def name(role: Role) -> str:
        value = text(role)
        return names.setdefault(value, unicodedata.normalize("NFC", value))

    return DataRow(
        number,
        names.setdefault(text("date"), text("date")),
        mapping.experiment or name("experiment"),
        name("variant"),
        text("impressions"),
        text("clicks"),
        hash(tuple(cells)),
    )


def _is_total(row: DataRow, cells: Sequence[str], *, has_date: bool) -> bool:
    """Return whether a row adds others up: a total word in a name, or anywhere beside no day."""
    if any(folded(text).rstrip(":") in TOTAL_WORDS for text in (row.date, row.variant)):
        return True
    anchor = row.date if has_date else row.variant
    return anchor in _NO_VALUE and any(folded(text).rstrip(":") in TOTAL_WORDS for text in cells)


def _meets(value: str, operator: str, text: str) -> bool:
    if operator == "~":
        return text.casefold() in value.casefold()
    return (value == text) is (operator == "=")


def _no_rows(
    header: Header, mapping: Mapping, seen: dict[int, dict[str, None]]
) -> UnreadableFileError:
    for (column, _, _), (_, values) in zip(mapping.filters, seen.items(), strict=False):
        if values:
            shown = ", ".join(repr(value[:60]) for value in values)
            return UnreadableFileError(
                f"has no row that meets --where {' and '.join(mapping.where)!r}; the column "
                f"{column!r} has {shown}"
            )
    return NoRowsError(
        f"has no rows of counts below its header in row {header.row}; export days that have data"
    )
