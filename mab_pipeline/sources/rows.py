"""Rows of an export below its header: which are data, and which are totals, notes or filtered out.

One pass over a file keeps the columns that a mapping names. `dates.py` and `counts.py` give them
their meaning.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from mab_pipeline.sources.columns import Header
from mab_pipeline.sources.known_exports import NO_NAMES, TOTAL_WORDS, Role, folded
from mab_pipeline.sources.mapping import Mapping
from mab_store.errors import UnreadableFileError

_MOST_VALUES = 8
_SPREADSHEET_ERROR = re.compile(r"#(?:N/A|NAME\?|[A-Z]+(?:/0)?!)")
_PART_TOTAL = re.compile(r"^(?:sub)?totals?\b|\b(?:sub)?totals?$")
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
        event: Name of the event that the impressions count, in a table with a row per event.
    """

    number: int
    date: str
    experiment: str
    variant: str
    impressions: str
    clicks: str
    identity: int
    event: str = ""


@dataclass(slots=True)
class Rows:
    """The rows of a file.

    Attributes:
        data: Rows of counts.
        totals: Rows that add others up.
        notes: Numbers of rows without variant and counts, below or between the others.
        headers: Rows that repeat the header.
        nameless: Rows whose experiment or variant the tool did not know.
        filtered: How many rows a filter left out.
        other_events: How many rows count each event that is neither impression nor click.
        groups: Experiments in the file that a fixed experiment takes together.
        events: The events that the rows name.
    """

    data: list[DataRow] = field(default_factory=list)
    totals: list[DataRow] = field(default_factory=list)
    notes: list[DataRow] = field(default_factory=list)
    headers: list[DataRow] = field(default_factory=list)
    nameless: list[DataRow] = field(default_factory=list)
    filtered: int = 0
    other_events: dict[str, int] = field(default_factory=dict)
    groups: dict[str, None] = field(default_factory=dict)
    events: dict[str, None] = field(default_factory=dict)


def read_rows(header: Header, mapping: Mapping) -> Rows:
    """Read the rows below a header.

    Raises:
        UnreadableFileError: There are none, a row has more cells than the header, or a name is an
            error of a spreadsheet.
    """
    rows = Rows()
    filters = [(header.place(name), operator, text) for name, operator, text in mapping.filters]
    seen: dict[int, dict[str, None]] = {place: {} for place, _, _ in filters}
    names: dict[str, str] = {}
    width = len(header.names)
    listed = ((header.groups, rows.groups), (header.events, rows.events))
    noted = [(place, values) for place, values in listed if place is not None]
    for number, cells in header.sheet.rows():
        if number <= header.row:
            continue
        padded = [*cells, *[""] * (width - len(cells))]
        row = _row(number, padded, header, mapping, names)
        if cells == header.names:
            rows.headers.append(row)
        elif _is_total(row, padded, has_date="date" in header.places):
            rows.totals.append(row)
        elif not (row.variant or row.impressions or row.clicks):
            rows.notes.append(row)
        elif all(_meets(padded[place], operator, text) for place, operator, text in filters):
            _require_width(number, cells, header)
            _take(rows, row, padded, noted)
        else:
            rows.filtered += 1
            _note_values(seen, padded)
    if not rows.data:
        raise _no_rows(header, mapping, seen)
    return rows


def _take(
    rows: Rows,
    row: DataRow,
    cells: Sequence[str],
    noted: Iterable[tuple[int, dict[str, None]]],
) -> None:
    """Take a row of counts, and note its group and event, unless the tool knew no name for it."""
    if {folded(row.experiment), folded(row.variant)} & NO_NAMES:
        rows.nameless.append(row)
        return
    for name in (row.experiment, row.variant):
        if name.startswith("#") and _SPREADSHEET_ERROR.fullmatch(name):
            raise UnreadableFileError(
                f"has {name!r} as a name in row {row.number}, an error of its spreadsheet; correct "
                "the cell"
            )
    rows.data.append(row)
    for place, values in noted:
        values[cells[place]] = None


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
        text("count" if "count" in header.places else "impressions"),
        text("clicks"),
        hash(tuple(cells)),
        names.setdefault(text("event"), text("event")),
    )


def _is_total(row: DataRow, cells: Sequence[str], *, has_date: bool) -> bool:
    """Return whether a row adds others up: a total word in a name, or anywhere beside no day.

    Beside neither day nor variant, it may be part of a name: `Homepage Total`.
    """
    if _says_total(row.variant) or _says_total(row.date, is_part=True):
        return True
    anchor = row.date if has_date else row.variant
    if anchor not in _NO_VALUE:
        return False
    return any(_says_total(text, is_part=row.variant in _NO_VALUE) for text in cells)


def _says_total(text: str, *, is_part: bool = False) -> bool:
    name = folded(text).rstrip(":")
    if name in TOTAL_WORDS:
        return True
    return is_part and "total" in name and bool(_PART_TOTAL.search(name))


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
