"""An export, understood: from bytes and a mapping to counts per day, experiment and variant.

Rows of one day, experiment and variant are added up, as an export by device or hour has several.
Nothing is judged: a count that is no whole number stays as it was written, and the run says why it
rejects the row. What cannot be understood as a whole, such as a day, is an error of the file.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from mab_pipeline.sources.columns import Header, find_header
from mab_pipeline.sources.counts import Decimal, find_decimal, whole_number
from mab_pipeline.sources.dates import DateFormat, find_format
from mab_pipeline.sources.events import split_events
from mab_pipeline.sources.mapping import Mapping
from mab_pipeline.sources.notes import notes_on
from mab_pipeline.sources.rows import DataRow, Rows, read_rows
from mab_pipeline.sources.tabular import sheets_of
from mab_store.errors import UnreadableFileError
from mab_store.files.limits import Limits

_MOST_NAMED = 4
_NEAR_DAYS = 731


class Accepted(NamedTuple):
    """Limits of any file, and the days that are accepted.

    Attributes:
        limits: Limits of its content.
        first_day: MAB_START_DATE.
        last_day: Today (UTC).
        day: The day of files without a column of days; None if they are refused.
    """

    limits: Limits
    first_day: date
    last_day: date
    day: date | None = None

    def is_likely(self, day: date) -> bool:
        """Return whether counts of a day are accepted, and near the day of a file that has one."""
        is_near = self.day is None or abs((day - self.day).days) <= _NEAR_DAYS
        return is_near and self.first_day <= day <= self.last_day


class Count(NamedTuple):
    """Counts of one variant on one day; a text that is no whole number stays a text.

    Attributes:
        day: The day (UTC).
        experiment: Id or name of the experiment.
        variant: Name of the variant.
        impressions: Impressions.
        clicks: Clicks.
        row: The first row of the file that it is from.
    """

    day: date
    experiment: str
    variant: str
    impressions: str
    clicks: str
    row: int


@dataclass(frozen=True, slots=True)
class Export:
    """An export that was understood.

    Attributes:
        title: The kind of export, in words.
        mapping: The mapping with everything that was found out: it reads the next such file alone.
        counts: The counts, by day, experiment and variant.
        notes: Remarks for a person: rows that were left out or added up.
    """

    title: str
    mapping: Mapping
    counts: list[Count]
    notes: list[str]


def read_export(name: str, payload: bytes, mapping: Mapping, accepted: Accepted) -> Export:
    """Understand an export.

    Args:
        name: Its file name; the extension selects the reader.
        payload: Its bytes.
        mapping: The known part of its mapping; the file shows the rest.
        accepted: Which days and how much of it are accepted.

    Raises:
        UnreadableFileError: It cannot be understood; the message goes behind the file's name and
            says what to do.
    """
    sheets = sheets_of(name, payload, reading=mapping.reading, limits=accepted.limits)
    header = find_header(sheets, mapping, has_day=accepted.day is not None)
    rows = read_rows(header, mapping)
    _refuse_mixed(rows, header, mapping)
    if "event" in header.places:
        mapping = split_events(rows, mapping)
    else:
        _refuse_mixed_events(rows, header, mapping)
    form = _date_format(rows.data, header, mapping, accepted)
    decimal = _decimal(rows.data, header, mapping)
    counts, added = _counts(rows, form, decimal, mapping, accepted)
    return Export(
        title=f"{header.known.title if header.known else 'an export'}, {header.sheet.kind}, "
        f"header in row {header.row}",
        mapping=_found_out(mapping, header, form, decimal, rows.data),
        counts=counts,
        notes=notes_on(
            rows,
            decimal,
            added,
            is_day_first=bool(
                header.known and header.known.is_day_first and not mapping.date_format
            ),
            is_whole=not mapping.where and "event" not in header.places,
        ),
    )


def _refuse_mixed(rows: Rows, header: Header, mapping: Mapping) -> None:
    """Refuse to count several experiments of a file as one unless a person said so."""
    if len(rows.groups) > 1 and not mapping.add_up:
        column, shown = _named(header, header.groups, rows.groups)
        raise UnreadableFileError(
            f"has {len(rows.groups)} values in the column {column!r} ({shown}), which --experiment "
            f"would add up; choose with --where '{column} = VALUE', leave --experiment out, or "
            "give --sum"
        )


def _refuse_mixed_events(rows: Rows, header: Header, mapping: Mapping) -> None:
    """Refuse to add up a row per event whose columns count sessions or users."""
    is_repeated = header.known is not None and header.known.counts_visits
    if is_repeated and len(rows.events) > 1 and not mapping.add_up:
        column, shown = _named(header, header.events, rows.events)
        raise UnreadableFileError(
            f"has a row per event ({shown}), whose {header.names[header.places['impressions']]!r} "
            f"would be added up; choose one with --where '{column} = VALUE', or export the column "
            "'Event count'"
        )


def _named(header: Header, place: int | None, values: Iterable[str]) -> tuple[str, str]:
    """Return the name of a column that was found, and its first values."""
    assert place is not None
    return header.names[place], ", ".join(repr(name[:60]) for name in list(values)[:_MOST_NAMED])


def _date_format(
    rows: Iterable[DataRow], header: Header, mapping: Mapping, accepted: Accepted
) -> DateFormat | None:
    if "date" not in header.places:
        return None
    first: dict[str, int] = {}
    for row in rows:
        first.setdefault(row.date, row.number)
    return find_format(
        first,
        column=header.names[header.places["date"]],
        form=mapping.date_format,
        is_day_first=bool(header.known and header.known.is_day_first),
        is_likely=accepted.is_likely,
    )


def _decimal(rows: Iterable[DataRow], header: Header, mapping: Mapping) -> Decimal:
    first: dict[str, int] = {}
    for row in rows:
        for text in (row.impressions, row.clicks):
            if not text.isdecimal():
                first.setdefault(text, row.number)
    usual: Decimal | None = header.known.decimal if header.known else None
    if usual is None and header.sheet.is_comma_separated:
        usual = "point"
    return find_decimal(first, decimal=mapping.decimal, usual=usual)


def _counts(
    rows: Rows,
    form: DateFormat | None,
    decimal: Decimal,
    mapping: Mapping,
    accepted: Accepted,
) -> tuple[list[Count], int]:
    """Return the counts in order, and how many rows were added to others."""
    days: dict[str, date] = {}
    numbers: dict[str, int | None] = {}
    found: dict[tuple[date, str, str], Count] = {}
    identities: dict[tuple[date, str, str], dict[int, int]] = {}
    events: set[tuple[date, str, str, str]] = set()
    added = 0
    for row in rows.data:
        if row.date not in days:
            days[row.date] = _day(row, form, accepted)
        key = days[row.date], row.experiment, row.variant
        for text in (row.impressions, row.clicks):
            if text not in numbers:
                numbers[text] = whole_number(text, decimal)
        same = identities.setdefault(key, {})
        if row.identity in same and not mapping.add_up:
            raise UnreadableFileError(
                f"has row {row.number} equal to row {same[row.identity]} in every cell; remove "
                "one, or give --sum if both count"
            )
        same[row.identity] = row.number
        texts = [
            text if numbers[text] is None else str(numbers[text])
            for text in (row.impressions, row.clicks)
        ]
        held = found.get(key)
        added += held is not None and (*key, row.event) in events
        events.add((*key, row.event))
        found[key] = _added(held, texts) if held else Count(*key, texts[0], texts[1], row.number)
    return sorted(found.values(), key=lambda count: count[:3]), added


def _added(held: Count, texts: list[str]) -> Count:
    """Add a row to the counts of its variant; a count that is no number makes the sum none."""
    sums = []
    for before, text in zip((held.impressions, held.clicks), texts, strict=True):
        is_number = before.isdecimal() and text.isdecimal()
        sums.append(str(int(before) + int(text)) if is_number else _bad(before, text))
    return held._replace(impressions=sums[0], clicks=sums[1])


def _bad(*texts: str) -> str:
    return next(text for text in texts if not text.isdecimal())


def _day(row: DataRow, form: DateFormat | None, accepted: Accepted) -> date:
    day = form.parse(row.date) if form else accepted.day
    assert day is not None  # the format fits every row
    if day < accepted.first_day:
        raise UnreadableFileError(
            f"has the day {day} in row {row.number}, before MAB_START_DATE={accepted.first_day}; "
            "leave those days out of the export, or set MAB_START_DATE earlier"
        )
    if day > accepted.last_day:
        raise UnreadableFileError(
            f"has the day {day} in row {row.number}, which is in the future; correct it, or give "
            "another --date-format"
        )
    return day


def _found_out(
    mapping: Mapping,
    header: Header,
    form: DateFormat | None,
    decimal: Decimal,
    rows: Iterable[DataRow],
) -> Mapping:
    """Complete the mapping from the file; a decimal sign that no count has stays open."""
    columns = {f"{role}_column": header.names[place] for role, place in header.places.items()}
    shows = any(not text.isdecimal() for row in rows for text in (row.impressions, row.clicks))
    return mapping.model_copy(
        update=columns
        | {
            "export": header.known.name if header.known else mapping.export,
            "date_format": form.form if form else None,
            "decimal": decimal if shows else mapping.decimal,
        }
    )
