"""`sources.toml`: each source of daily counts, how it is reached and how often it is tried.

A secret never stands in the file: it names the environment variable that holds it. No message here
repeats a text that may be one.
"""

import re
import tomllib
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from mab_pipeline.sources.field_types import (
    PLACE,
    Identifier,
    LiteralUrl,
    PathTemplate,
    Query,
    TableName,
    Text,
    UrlTemplate,
    Variable,
)
from mab_pipeline.sources.mapping import Mapping, check_name, load_mapping, parse_mapping
from mab_store.errors import UsageError
from mab_store.settings import Settings

SOURCES_FILE = "sources.toml"
MOST_SOURCES = 100
_NAME = re.compile(r"[a-z][a-z0-9_]{0,49}")
# Values of these fields help to find a mistake and are no secrets; those of others are not shown.
_SHOWN = {"kind", "format", "lookback_days", "retries", "retry_delay_seconds", "timeout_seconds"}


def _mapping(value: object) -> object:
    """Check a mapping that stands in the file itself, or the name of a kept one."""
    try:
        if isinstance(value, str):
            return check_name(value)
        if isinstance(value, dict):
            return parse_mapping(value, subject="mapping")
    except UsageError as error:
        raise ValueError(str(error)) from None
    return value


class _Source(BaseModel):
    """Fields of every source.

    Attributes:
        name: Its name: the heading in the file; the asset is `source_<name>`.
        description: Text for the asset's page.
        mapping: The name of a kept mapping, or a mapping; empty: the columns' names show it.
        lookback_days: Earlier days that each run pulls again, for late data [days].
        retries: Further attempts while the source is away.
        retry_delay_seconds: Pause before the first of them; each later one is twice as long [s].
        timeout_seconds: Longest time for one day [s].
        allow_empty: Whether a day without rows is ok.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    name: str
    description: Annotated[str, Field(max_length=2000)] = ""
    mapping: Annotated[Mapping | str, BeforeValidator(_mapping)] = Mapping()
    lookback_days: Annotated[int, Field(ge=0, le=90, strict=True)] = 3
    retries: Annotated[int, Field(ge=0, le=10, strict=True)] = 3
    retry_delay_seconds: Annotated[float, Field(ge=0, le=3600)] = 10.0
    timeout_seconds: Annotated[float, Field(gt=0, le=3600)] = 120.0
    allow_empty: bool = False

    @property
    def series(self) -> str:
        """The beginning of its files' names in the inbox."""
        return f"source-{self.name}"

    def columns(self, settings: Settings) -> Mapping:
        """Return its mapping.

        Raises:
            UsageError: There is no mapping of that name, or it cannot be used.
        """
        return (
            load_mapping(settings, self.mapping) if isinstance(self.mapping, str) else self.mapping
        )


class SqlSource(_Source):
    """A query; exactly one of `url`, `url_env` and `duckdb` names its place.

    Attributes:
        url: SQLAlchemy URL without a password.
        url_env: Environment variable that holds the SQLAlchemy URL.
        duckdb: A DuckDB file, relative to MAB_HOME.
        query: The statement; `:day` is bound to the day.
    """

    kind: Literal["sql"]
    url: LiteralUrl | None = None
    url_env: Variable | None = None
    duckdb: Text | None = None
    query: Query

    @model_validator(mode="after")
    def _has_one_place(self) -> Self:
        given = [self.url, self.url_env, self.duckdb]
        if sum(value is not None for value in given) != 1:
            raise ValueError("needs exactly one of url, url_env and duckdb")
        return self


class SnowflakeSource(_Source):
    """Daily counts in Snowflake, reached by the SNOWFLAKE_* settings; a table or a query.

    Attributes:
        table: A table or view: NAME, SCHEMA.NAME or DATABASE.SCHEMA.NAME.
        day_column: Its column with the day, a date or a time in UTC.
        query: A statement instead; `:day` is bound to the day.
    """

    kind: Literal["snowflake"]
    table: TableName | None = None
    day_column: Identifier | None = None
    query: Query | None = None

    @model_validator(mode="after")
    def _has_one_place(self) -> Self:
        if (self.table is None) == (self.query is None):
            raise ValueError("needs exactly one of table and query")
        if self.query is not None and self.day_column is not None:
            raise ValueError("has no day_column beside a query, which names its days itself")
        return self

    @property
    def statement(self) -> str:
        """The query of a day. The bounds suit a date and a time, and skip other partitions."""
        if self.query is not None:
            return self.query
        column = self.day_column or "date"
        day = "cast(:day as date)"
        return f"select * from {self.table} where {column} >= {day} and {column} < {day} + 1"  # noqa: S608  # names that were checked


class FileSource(_Source):
    """Files under a path or in an object store.

    Attributes:
        path: A path or glob; `{day}` is the day, `{day:%Y/%m/%d}` the day in another form.
            Credentials of an object store come from its usual environment variables.
    """

    kind: Literal["files"]
    path: PathTemplate


class HttpSource(_Source):
    """An answer to GET; exactly one of `url` and `url_env` names the address.

    Attributes:
        url: The URL, with `{day}`, and without a secret.
        url_env: Environment variable that holds the URL.
        token_env: Environment variable that holds the bearer token.
        format: Format of the answer; None: its Content-Type says it.
    """

    kind: Literal["http"]
    url: UrlTemplate | None = None
    url_env: Variable | None = None
    token_env: Variable | None = None
    format: Literal["json", "csv"] | None = None

    @model_validator(mode="after")
    def _has_one_url(self) -> Self:
        if (self.url is None) == (self.url_env is None):
            raise ValueError("needs exactly one of url and url_env")
        return self


Source = SqlSource | FileSource | HttpSource | SnowflakeSource
_KINDS = {"sql", "files", "http", "snowflake"}
_SOURCE: TypeAdapter[Source] = TypeAdapter(Annotated[Source, Field(discriminator="kind")])


def sources_path(settings: Settings) -> Path:
    """Return the place of the file that names the sources."""
    return settings.mab_home / SOURCES_FILE


def load_sources(settings: Settings) -> list[Source]:
    """Read `sources.toml`.

    Returns:
        The sources by name; none if there is no such file.

    Raises:
        UsageError: It cannot be used; the message names each mistake.
    """
    path = sources_path(settings)
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(
            f"{path} cannot be read: {error}. Correct it, then run `mab sources check`."
        ) from None
    return _parsed(document, path, settings)


def find_source(settings: Settings, name: str) -> Source:
    """Return one source.

    Raises:
        UsageError: There is none of that name, or the file cannot be used.
    """
    sources = load_sources(settings)
    for source in sources:
        if source.name == name:
            return source
    held = ", ".join(source.name for source in sources) or "none"
    raise UsageError(
        f"There is no source {name[:200]!r} in {sources_path(settings)} (there: {held})."
    )


def filled_in(template: str, day: date) -> str:
    """Return a path or URL with the day in its place."""

    def form(match: re.Match[str]) -> str:
        return day.strftime(match[1].partition(":")[2] or "%Y-%m-%d")

    return PLACE.sub(form, template)


def _parsed(document: dict[str, Any], path: Path, settings: Settings) -> list[Source]:
    faults = [f"{key} is not known; write [sources.NAME]" for key in document if key != "sources"]
    tables = document.get("sources", {})
    if not isinstance(tables, dict):
        faults, tables = ["sources must be a table; write [sources.NAME]"], {}
    if len(tables) > MOST_SOURCES:
        faults.append(f"has {len(tables)} sources; at most {MOST_SOURCES} are taken")
    sources: list[Source] = []
    for name, table in sorted(tables.items()):
        found, wrong = _source(name, table)
        faults += wrong
        if found is not None:
            sources.append(found)
            faults += _fault_of_mapping(found, settings)
    if faults:
        raise UsageError(f"{path}: {'; '.join(faults)}. Correct it, then run `mab sources check`.")
    return sources


def _source(name: str, table: object) -> tuple[Source | None, list[str]]:
    if not _NAME.fullmatch(name):
        wanted = "lower-case letters, digits and _, begin with a letter and have at most 50"
        return None, [f"the name {name[:100]!r} must be {wanted}"]
    if not isinstance(table, dict):
        return None, [f"{name} must be a table; write [sources.{name}]"]
    if "name" in table:
        return None, [f"{name}.name is not known; the heading is its name"]
    try:
        return _SOURCE.validate_python({**table, "name": name}), []
    except ValidationError as error:
        return None, [_sentence(name, fault) for fault in error.errors()]


def _sentence(name: str, fault: Any) -> str:
    """Name the fault of a field, with its value only if that cannot be a secret."""
    loc = [str(part) for part in fault["loc"]]
    place = loc[1:] if loc and loc[0] in _KINDS else loc  # the union's member
    text = str(fault["msg"]).removeprefix("Value error, ").rstrip(".")
    if fault["type"] == "extra_forbidden":
        text = "is not known here"
    elif fault["type"] == "union_tag_not_found":
        place, text = ["kind"], "is missing; it is sql, snowflake, files or http"
    elif fault["type"] == "union_tag_invalid":
        place, text = ["kind"], "must be sql, snowflake, files or http"
    elif fault["type"] == "missing":
        text = "is missing"
    is_shown = place and place[-1] in _SHOWN and fault["type"] not in {"missing", "extra_forbidden"}
    given = fault["input"]
    if isinstance(given, dict):
        given = given.get(place[-1]) if place else None
    value = f" = {given!r:.60}" if is_shown and given is not None else ""
    return f"{'.'.join([name, *place])}{value}: {text[0].lower()}{text[1:]}"


def _fault_of_mapping(source: Source, settings: Settings) -> list[str]:
    try:
        source.columns(settings)
    except UsageError as error:
        return [f"{source.name}.mapping: {str(error).rstrip('.')}"]
    return []
