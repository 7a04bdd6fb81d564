"""A mapping: which column of an export is what, as `MAB_HOME/mappings/<name>.toml` keeps it."""

import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal, Self

import tomlkit
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from mab_pipeline.sources.dates import strptime_format
from mab_pipeline.sources.tabular import DELIMITERS, ENCODINGS, Reading
from mab_store.atomic_files import write_atomically
from mab_store.errors import HomeError, UsageError
from mab_store.experiments.schemas import Name
from mab_store.settings import Settings

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_FILTER = re.compile(r"\s*(.+?)\s*(!=|=|~)\s*(.*?)\s*", re.DOTALL)
_HEADER = (
    "How mab reads an export; written by `mab import`. See docs/YOUR_DATA.md.\n"
    "Files in inbox/exports/{name}/ are read with it."
)

Column = Annotated[str, Field(min_length=1, max_length=1000)]


def _encoding(value: str) -> str:
    known = value.lower().replace("_", "-")
    known = {"utf8": "utf-8", "utf16": "utf-16", "latin1": "latin-1", "iso-8859-1": "latin-1"}.get(
        known, known
    )
    if known not in ENCODINGS:
        raise ValueError(f"must be one of {', '.join(ENCODINGS)}")
    return known


def _delimiter(value: str) -> str:
    known = {"tab": "\t", "\\t": "\t"}.get(value, value)
    if known not in DELIMITERS:
        raise ValueError("must be one of , ; | and tab")
    return known


def _filter(value: str) -> str:
    if not _FILTER.fullmatch(value):
        raise ValueError("must be 'COLUMN = VALUE', 'COLUMN != VALUE' or 'COLUMN ~ TEXT'")
    return value


class Mapping(BaseModel):
    """Which column of an export is what; a field that is None is found out from the file.

    Attributes:
        export: Name of the known export whose columns it has.
        date_column: Column of the day.
        date_format: How days are written, as strptime takes it; `DD/MM/YYYY` is understood too.
        experiment: The experiment, if every row is about one.
        experiment_column: Column of the experiment's id or name.
        variant_column: Column of the variant.
        impressions_column: Column of the impressions.
        clicks_column: Column of the clicks.
        event_column: Column of the event's name, if each row is about one kind of event.
        count_column: Column of how many of it there were.
        impression_events: The events that are impressions.
        click_events: The events that are clicks.
        where: Filters; a row counts if it meets all of them.
        decimal: The decimal sign of counts: point or comma.
        add_up: Whether equal rows, and rows of several experiments under one, are added up.
        encoding: Encoding of a text file.
        delimiter: Delimiter of a CSV.
        sheet: Sheet of a workbook.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    export: Annotated[str, Field(max_length=100)] | None = None
    date_column: Column | None = None
    date_format: Annotated[str, AfterValidator(strptime_format)] | None = None
    experiment: Name | None = None
    experiment_column: Column | None = None
    variant_column: Column | None = None
    impressions_column: Column | None = None
    clicks_column: Column | None = None
    event_column: Column | None = None
    count_column: Column | None = None
    impression_events: tuple[Column, ...] = ()
    click_events: tuple[Column, ...] = ()
    where: tuple[Annotated[str, AfterValidator(_filter)], ...] = ()
    decimal: Literal["point", "comma"] | None = None
    add_up: bool = False
    encoding: Annotated[str, AfterValidator(_encoding)] | None = None
    delimiter: Annotated[str, AfterValidator(_delimiter)] | None = None
    sheet: str | None = None

    @model_validator(mode="after")
    def _has_one_experiment(self) -> Self:
        if self.experiment is not None and self.experiment_column is not None:
            raise ValueError("give experiment or experiment_column, not both")
        return self

    @model_validator(mode="after")
    def _has_one_form(self) -> Self:
        if self.is_per_event and (self.impressions_column or self.clicks_column):
            raise ValueError(
                "give impressions_column and clicks_column, or event_column and count_column"
            )
        if bool(self.impression_events) != bool(self.click_events):
            raise ValueError("give both impression_events and click_events")
        return self

    @property
    def is_per_event(self) -> bool:
        """Whether a row counts one kind of event."""
        return bool(self.event_column or self.count_column or self.impression_events)

    @property
    def reading(self) -> Reading:
        """How to read the bytes."""
        return Reading(self.encoding, self.delimiter, self.sheet)

    @property
    def filters(self) -> list[tuple[str, str, str]]:
        """The filters as column, operator and value."""
        found = (_FILTER.fullmatch(text) for text in self.where)
        parts = (match.groups() for match in found if match)
        return [(column, operator, _unquoted(value)) for column, operator, value in parts]


def _unquoted(value: str) -> str:
    is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    return value[1:-1] if is_quoted else value


def parse_mapping(values: dict[str, object], *, subject: str) -> Mapping:
    """Check a mapping that a person wrote.

    Args:
        values: The fields.
        subject: Where they stand, for the message.

    Raises:
        UsageError: One cannot be used; names each with its value.
    """
    try:
        return Mapping.model_validate(values)
    except ValidationError as error:
        faults = []
        for fault in error.errors():
            place = ".".join(map(str, fault["loc"]))
            text = fault["msg"].removeprefix("Value error, ")
            named = f"{place} = {str(fault['input'])[:100]!r} " if place else ""
            faults.append(f"{named}{text[0].lower()}{text[1:]}")
        raise UsageError(f"{subject}: {'; '.join(faults)}. Correct it and try again.") from None


def is_name(text: str) -> bool:
    """Return whether a mapping can have this name, which is also that of a folder."""
    return _NAME.fullmatch(text) is not None


def check_name(name: str) -> str:
    """Return the name of a mapping.

    Raises:
        UsageError: It cannot be one.
    """
    if not is_name(name):
        raise UsageError(
            f"A mapping cannot be called {name[:200]!r}: use letters, digits, _ and -, at most 100."
        )
    return name


def name_of(experiment: str) -> str:
    """Return the name under which the mapping of an experiment is kept."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", experiment).strip("-_")[:100]
    return name or "mapping"


def mapping_path(settings: Settings, name: str) -> Path:
    """Return the file of a mapping."""
    return settings.mab_home / "mappings" / f"{check_name(name)}.toml"


def load_mapping(settings: Settings, name: str) -> Mapping:
    """Read a mapping.

    Raises:
        UsageError: There is none of that name, or it cannot be used.
    """
    path = mapping_path(settings, name)
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        held = ", ".join(sorted(file.stem for file in path.parent.glob("*.toml"))) or "none"
        raise UsageError(
            f"There is no mapping {name!r} in {path.parent} (there: {held}). Make it with "
            f"`mab import FILE --name {name}`."
        ) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(
            f"The mapping {path} cannot be read: {error}. Correct it, or delete it and import a "
            "file again."
        ) from None
    return parse_mapping(values, subject=f"The mapping {path}")


def save_mapping(settings: Settings, name: str, mapping: Mapping) -> Path:
    """Write a mapping in the place of one of that name.

    Raises:
        HomeError: MAB_HOME cannot be written.
    """
    document = tomlkit.document()
    for line in _HEADER.format(name=name).splitlines():
        document.add(tomlkit.comment(line))
    for field, value in mapping.model_dump(exclude_defaults=True).items():
        document.add(field, list(value) if isinstance(value, tuple) else value)
    path = mapping_path(settings, name)
    try:
        write_atomically(path, tomlkit.dumps(document).encode(), root=settings.mab_home)
    except OSError as error:
        raise HomeError(
            f"The mapping {path} cannot be written: {error.strerror}. Correct that and import "
            "the file again."
        ) from None
    return path
