"""The header of an export: the row, and in it the columns, that a mapping or a known export names.

Title rows may stand above it, so the first rows are compared until one has every column.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from mab_pipeline.sources.cells import Row, Sheet
from mab_pipeline.sources.known_exports import (
    EVENT_NAMES,
    EVENT_ROLES,
    KNOWN_EXPORTS,
    ROLES,
    KnownExport,
    Role,
    folded,
)
from mab_pipeline.sources.mapping import Mapping
from mab_store.errors import UnreadableFileError

HEADER_ROWS = 100
_MOST_NAMED = 12


@dataclass(frozen=True, slots=True)
class Header:
    """A header that was found.

    Attributes:
        sheet: The way to read the file in which it was found.
        row: Its row.
        names: All of its cells.
        places: Place of each role's column in a row, from 0.
        known: The known export that named its columns; None if the mapping named all of them.
    """

    sheet: Sheet
    row: int
    names: Sequence[str]
    places: dict[Role, int]
    known: KnownExport | None

    @property
    def groups(self) -> int | None:
        """Place of the column that a fixed experiment stands in for; None if there is none."""
        if "experiment" in self.places or self.known is None:
            return None
        return self._place_of_any(self.known.columns["experiment"])

    @property
    def events(self) -> int | None:
        """Place of the column that names the event of a row; None if there is none."""
        if "event" in self.places:
            return self.places["event"]
        return self._place_of_any(EVENT_NAMES)

    def _place_of_any(self, aliases: Sequence[str]) -> int | None:
        names = [folded(name) for name in self.names]
        return next((names.index(alias) for alias in aliases if alias in names), None)

    def place(self, column: str) -> int:
        """Return the place of any column by its name.

        Raises:
            UnreadableFileError: It is not there, or twice.
        """
        return _place(self.names, column)


@dataclass(slots=True)
class _Search:
    """The nearest miss of a header, for the message if none is found."""

    missing: list[str] = field(default_factory=lambda: list(ROLES))
    names: Sequence[str] = ()
    fault: UnreadableFileError | None = None


def find_header(sheets: Sequence[Sheet], mapping: Mapping, *, has_day: bool) -> Header:
    """Return the header of a file.

    Args:
        sheets: Each way to read it.
        mapping: The columns that a person named.
        has_day: Whether the day is known without a column.

    Raises:
        UnreadableFileError: There is none, or more than one; names what is missing and a remedy.
    """
    search = _Search()
    found: list[Header] = []
    faults: list[UnreadableFileError] = []
    for sheet in sheets:
        try:
            header = _in_sheet(sheet, mapping, search, has_day=has_day)
        except UnreadableFileError as error:
            faults.append(error)
            continue
        found += [header] if header else []
    if not found:
        if search.fault or (faults and len(faults) == len(sheets)):
            raise search.fault or faults[0]
        raise _no_header(search)
    if len({header.sheet.name for header in found}) > 1:
        names = " and ".join(repr(header.sheet.name) for header in found)
        raise UnreadableFileError(f"has the columns in the sheets {names}; choose with --sheet")
    return max(found, key=lambda header: len(header.names))


def _in_sheet(sheet: Sheet, mapping: Mapping, search: _Search, *, has_day: bool) -> Header | None:
    exports: Sequence[KnownExport | None] = KNOWN_EXPORTS
    if mapping.export is not None:
        exports = [known for known in KNOWN_EXPORTS if known.name == mapping.export] or [None]
    for number, cells in _first_rows(sheet):
        for known in exports:
            try:
                places, missing = _places(cells, mapping, known, has_day=has_day)
            except UnreadableFileError as error:
                search.fault = search.fault or error
                continue
            if not missing:
                is_named = mapping.export or any(
                    getattr(mapping, f"{role}_column") is None for role in places
                )
                return Header(sheet, number, cells, places, known if is_named else None)
            if places and len(missing) < len(search.missing):
                search.missing, search.names = missing, cells
    return None


def _first_rows(sheet: Sheet) -> Iterator[Row]:
    return islice(sheet.rows(), HEADER_ROWS)


def _places(
    cells: Sequence[str], mapping: Mapping, known: KnownExport | None, *, has_day: bool
) -> tuple[dict[Role, int], list[str]]:
    """Return the place of each role in a row, and the roles and named columns that it lacks."""
    names = [folded(cell) for cell in cells]
    places: dict[Role, int] = {}
    missing: list[str] = []
    for role in _roles(mapping, known):
        column = getattr(mapping, f"{role}_column")
        if column is not None:
            if cells.count(column) == 1:  # another one may differ in case or accents alone
                places[role] = cells.index(column)
            elif folded(column) in names:
                places[role] = _place(cells, column)
            else:
                missing.append(column)
            continue
        place = _known_place(cells, names, role, known) if known else None
        if place is not None and not (role == "experiment" and mapping.experiment):
            places[role] = place
        elif role not in _optional(mapping, has_day=has_day):
            missing.append(role)
    named = [column for column, _, _ in mapping.filters]
    missing += [column for column in named if folded(column) not in names]
    if len(set(places.values())) < len(places):
        missing.append("a column of its own for each of date, experiment, variant and counts")
    return places, missing


def _roles(mapping: Mapping, known: KnownExport | None) -> tuple[Role, ...]:
    """Return the roles that a header needs: those of a row per event, or of a row with both counts.

    The same file can have both; a person who names columns of counts means those.
    """
    is_known = known is not None and "event" in known.columns
    has_counts = mapping.impressions_column or mapping.clicks_column
    return EVENT_ROLES if mapping.is_per_event or (is_known and not has_counts) else ROLES


def _optional(mapping: Mapping, *, has_day: bool) -> set[str]:
    """Return the roles that need no column."""
    return ({"experiment"} if mapping.experiment else set()) | ({"date"} if has_day else set())


def _known_place(
    cells: Sequence[str], names: Sequence[str], role: Role, known: KnownExport
) -> int | None:
    candidates = [alias for alias in known.columns.get(role, ()) if alias in names]
    if not candidates:
        return None
    is_clear = not known.is_strict or candidates[0] == known.columns[role][0]
    if len(candidates) > 1 and not is_clear:
        shown = " and ".join(repr(cells[names.index(alias)]) for alias in candidates)
        raise UnreadableFileError(
            f"has more than one column that may be the {role}: {shown}; say which with "
            f"--{role}-column"
        )
    return _place(cells, candidates[0])


def _place(cells: Sequence[str], column: str) -> int:
    names = [folded(cell) for cell in cells]
    if names.count(folded(column)) > 1:
        raise UnreadableFileError(f"has the column {column!r} more than once; rename or remove one")
    try:
        return names.index(folded(column))
    except ValueError:
        raise UnreadableFileError(f"has no column {column!r}; it has {_listed(cells)}") from None


def _no_header(search: _Search) -> UnreadableFileError:
    if not search.names:
        return UnreadableFileError(
            f"has no header in its first {HEADER_ROWS} rows with columns for date, experiment, "
            "variant, impressions and clicks; name them with --date-column, --variant-column and "
            "so on"
        )
    options = []
    for name in search.missing:
        if name in {*ROLES, *EVENT_ROLES}:
            options.append(f"--{name}-column")
        if name == "experiment":
            options[-1] += " or --experiment NAME"
        if name == "date":
            options[-1] += " or --date DAY"
    remedy = f"; name it with {', '.join(options)}" if options else "; correct its name"
    return UnreadableFileError(
        f"has no column for {', '.join(map(str, search.missing))}; it has "
        f"{_listed(search.names)}{remedy}"
    )


def _listed(cells: Sequence[str]) -> str:
    shown = [repr(cell[:60]) for cell in cells if cell]
    more = f" and {len(shown) - _MOST_NAMED} more" if len(shown) > _MOST_NAMED else ""
    return ", ".join(shown[:_MOST_NAMED]) + more
