"""Dates of an export: one format for a whole column, decided by all of its values.

`03/11/2026` fits two formats. If every value of a column does, nothing here guesses: a person
says which it is, or the language of a known export does.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from itertools import islice

from mab_store.errors import UnreadableFileError

_ISO_TIME = re.compile(
    r"(\d{4}-\d{2}-\d{2})[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]00:?00)?", re.ASCII
)
_SPELLED = {"YYYY": "%Y", "YY": "%y", "MMMM": "%B", "MMM": "%b", "MM": "%m", "DD": "%d"}
_PARTS = {"Y": "year", "y": "year", "m": "month", "b": "month", "B": "month", "d": "day"}
_DAY_FIRST = ("%d/%m/%Y", "%d-%m-%Y", "%d.%m.%Y", "%d/%m/%y", "%d-%m-%y", "%d.%m.%y")
_MONTH_FIRST = ("%m/%d/%Y", "%m-%d-%Y", "%m.%d.%Y", "%m/%d/%y", "%m-%d-%y", "%m.%d.%y")
_NAMED = ("%b %d, %Y", "%B %d, %Y", "%d %b %Y", "%d %B %Y", "%d-%b-%Y", "%d-%b-%y")
# 25-10-26 fits these, too; they are compared only if all of their days are likely.
_YEAR_FIRST = ("%y-%m-%d", "%y/%m/%d", "%y.%m.%d")
FORMATS = ("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d", *_DAY_FIRST, *_MONTH_FIRST, *_NAMED)
_MOST_SHOWN = 60
_MOST_COMPARED = 1_000


class AmbiguousDatesError(UnreadableFileError):
    """Every value of the date column fits two formats.

    Attributes:
        example: A value that the two read differently.
        formats: The formats with the day that each reads in it.
    """

    def __init__(self, column: str, example: str, formats: Mapping[str, date]) -> None:
        self.example, self.formats = example, dict(formats)
        readings = " or ".join(
            f"{day.day} {day:%B %Y} (--date-format {spelled(form)})"
            for form, day in self.formats.items()
        )
        super().__init__(
            f"has dates in the column {column!r} that can be read in two ways: {example!r} is "
            f"{readings}; say which"
        )


@dataclass(frozen=True, slots=True)
class DateFormat:
    """How a column writes days.

    Attributes:
        form: As strptime takes it.
    """

    form: str

    def parse(self, text: str) -> date | None:
        """Return the day that a text names, or None; a time of day in UTC is cut off."""
        if self.form == "%Y-%m-%d" and (stamp := _ISO_TIME.fullmatch(text)):
            text = stamp[1]
        is_short = self.form == "%Y%m%d" and len(text) != len("YYYYMMDD")
        if text.isascii() and not is_short:
            try:
                return datetime.strptime(text, self.form).date()  # noqa: DTZ007  # a day has no zone
            except ValueError:
                return None
        return None


def strptime_format(text: str) -> str:
    """Return a date format as strptime takes it; `DD/MM/YYYY` is understood too.

    Raises:
        ValueError: It does not name day, month and year.
    """
    form = text
    if "%" not in form:
        form = re.sub("Y{4}|Y{2}|M{2,4}|D{2}", lambda found: _SPELLED[found[0]], text.upper())
    codes = re.findall(r"%(.)", form)
    if sorted(_PARTS.get(code, code) for code in codes) != ["day", "month", "year"]:
        raise ValueError("must name day, month and year once each, such as DD/MM/YYYY")
    return form


def spelled(form: str) -> str:
    """Return a date format as a person writes it, without spaces so that it needs no quotes."""
    for letters, code in _SPELLED.items():
        form = form.replace(code, letters)
    return f"'{form}'" if " " in form else form


def find_format(
    rows: Mapping[str, int],
    *,
    column: str,
    form: str | None,
    is_day_first: bool,
    is_likely: Callable[[date], bool],
) -> DateFormat:
    """Return the one format that fits every value of a column.

    Args:
        rows: The distinct values, with the first row of each.
        column: The column's name, for messages.
        form: The format that a person or a mapping said.
        is_day_first: Whether the day comes first if both orders fit.
        is_likely: Whether the file can hold counts of a day.

    Raises:
        AmbiguousDatesError: Two formats fit and read different days.
        UnreadableFileError: None fits; names a row and its value.
    """
    if form is not None:
        bad = _misfit(DateFormat(form), rows)
        if bad == "":
            raise _no_date(rows, column)
        if bad is not None:
            raise UnreadableFileError(
                f"has {bad[:_MOST_SHOWN]!r} in the column {column!r} of row {rows[bad]}, "
                f"which is no date of the form {spelled(form)}; correct it, or give another "
                "--date-format"
            )
        return DateFormat(form)
    fitting = [DateFormat(form) for form in FORMATS if _misfit(DateFormat(form), rows) is None]
    if not fitting:
        raise _no_date(rows, column) if "" in rows else _no_format(rows, column)
    fitting += [
        DateFormat(form)
        for form in _YEAR_FIRST
        if all((day := DateFormat(form).parse(text)) and is_likely(day) for text in rows)
    ]
    for text in rows:
        read = {form.form: day for form in fitting if (day := form.parse(text))}
        if len(set(read.values())) > 1:
            if is_day_first:
                return fitting[0]
            raise AmbiguousDatesError(column, text, read)
    return fitting[0]


def _misfit(form: DateFormat, texts: Iterable[str]) -> str | None:
    return next((text for text in texts if form.parse(text) is None), None)


def _no_date(rows: Mapping[str, int], column: str) -> UnreadableFileError:
    return UnreadableFileError(
        f"has no date in the column {column!r} of row {rows['']}; fill the cell (of merged cells "
        f"only the first has the value), or leave such rows out with --where '{column} != '"
    )


def _no_format(rows: Mapping[str, int], column: str) -> UnreadableFileError:
    """Say which value keeps the column from having a format."""
    some = list(islice(rows, _MOST_COMPARED))
    misfits = {form: sum(DateFormat(form).parse(text) is None for text in some) for form in FORMATS}
    best = min(FORMATS, key=misfits.__getitem__)
    bad = _misfit(DateFormat(best), rows) or ""
    place = f"in the column {column!r} of row {rows[bad]}"
    if any(DateFormat(form).parse(bad) for form in FORMATS):
        return UnreadableFileError(
            f"has {bad!r} {place}, while other dates are written {spelled(best)}; export it with "
            "one form"
        )
    shown = repr(bad[:_MOST_SHOWN])
    if re.fullmatch(r"[34-6]\d{4}", bad):
        return UnreadableFileError(
            f"has {shown} {place}, which is Excel's number of a day; format the column as a date"
        )
    return UnreadableFileError(
        f"has {shown} {place}, which is no date; correct it, or give --date-format DD/MM/YYYY or "
        "the like"
    )
