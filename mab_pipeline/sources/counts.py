"""Counts of an export: one decimal sign for a whole file, decided by all of its counts.

A count that is no whole number stays as it was written, and the run rejects its row.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Literal

from mab_store.errors import UnreadableFileError

Decimal = Literal["point", "comma"]
# Thousands in threes, or in twos before the last three as in India; zeros behind the decimal sign.
# Nothing with a zero in front has thousands: 0.012 is a rate.
_WHOLE: dict[Decimal, re.Pattern[str]] = {
    "point": re.compile(r"(\d+|[1-9]\d{0,2}(,\d{2})*(,\d{3})+)(\.0+)?", re.ASCII),
    "comma": re.compile(r"(\d+|[1-9]\d{0,2}(\.\d{3})+)(,0+)?", re.ASCII),
}
_SIGNS = {"point": ".", "comma": ","}
_SPACES = re.compile(r"(?<=\d)[ \u00a0\u2009\u202f'\u2019](?=\d{3}(?!\d))")


def whole_number(text: str, decimal: Decimal) -> int | None:
    """Return the number that a text writes, or None if it writes no whole one."""
    text = _SPACES.sub("", text)
    found = _WHOLE[decimal].fullmatch(text)
    if found is None or len(text) > 30:
        return None
    return int(re.sub("[.,]", "", found[1]))


def find_decimal(
    rows: Mapping[str, int], *, decimal: Decimal | None, usual: Decimal | None
) -> Decimal:
    """Return the decimal sign of a file's counts.

    Args:
        rows: The distinct counts, with the first row of each.
        decimal: The sign that a person or a mapping said.
        usual: The sign that such a file has if its counts fit both.

    Raises:
        UnreadableFileError: Both signs fit equally well and read different numbers.
    """
    if decimal is not None:
        return decimal
    point, comma = _misfits(rows, "point"), _misfits(rows, "comma")
    if point != comma:
        return "point" if point < comma else "comma"
    if usual is not None:
        return usual
    for text, row in rows.items():
        read = whole_number(text, "point"), whole_number(text, "comma")
        if read[0] != read[1]:
            raise UnreadableFileError(
                f"has the count {text!r} in row {row}, and nothing tells whether its sign stands "
                "for thousands or for decimals; give --decimal point or --decimal comma"
            )
    return "point"


def _misfits(texts: Iterable[str], decimal: Decimal) -> int:
    return sum(whole_number(text, decimal) is None for text in texts)
