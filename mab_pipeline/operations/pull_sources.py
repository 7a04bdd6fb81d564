"""`mab sources`: a look at the rows of each source, and pulls by hand, recorded in Dagster."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import dagster as dg

from mab_pipeline.assets.source_record import missing_days, record_pull
from mab_pipeline.resources import Platform
from mab_pipeline.sources.config import (
    FileSource,
    SnowflakeSource,
    Source,
    find_source,
    load_sources,
    sources_path,
)
from mab_pipeline.sources.pull import Pulled, Puller
from mab_store.errors import MabError, UsageError
from mab_store.how_many import how_many
from mab_store.settings import Settings


@dataclass(frozen=True, slots=True)
class Look:
    """A look at one source.

    Attributes:
        name: Its name.
        place: Its kind and place, without a secret.
        is_ok: Whether a pull would bring rows.
        detail: Its rows in words, or why it cannot be used; empty if nothing was fetched.
        notes: Remarks of the reader.
    """

    name: str
    place: str
    is_ok: bool
    detail: str = ""
    notes: tuple[str, ...] = ()


def look_at(platform: Platform, name: str | None, day: date, *, fetch: bool) -> Iterator[Look]:
    """Fetch a day of one or every source and understand it; store nothing.

    Args:
        platform: The shared resources.
        name: The source; every one if None.
        day: The day.
        fetch: Whether to fetch; otherwise only `sources.toml` is read.

    Raises:
        UsageError: `sources.toml` is not there or cannot be used.
    """
    settings = platform.settings
    sources = load_sources(settings) if name is None else [find_source(settings, name)]
    if not sources:
        raise UsageError(
            f"There is no source in {sources_path(settings)}. docs/SOURCES.md shows how one is "
            "written."
        )
    for source in sources:
        yield _look(platform, source, day) if fetch else Look(source.name, _place(source), True)


def pull_day(platform: Platform, instance: dg.DagsterInstance, name: str, day: date) -> Pulled:
    """Pull a day of one source into the inbox, once, and record it.

    Raises:
        UsageError: There is no such source, or `sources.toml` cannot be used.
    """
    source = find_source(platform.settings, name)
    pulled = Puller(platform, source).pull([day])
    record_pull(instance, source, pulled, day)
    return pulled


def state_of_sources(settings: Settings, instance: dg.DagsterInstance) -> tuple[str, str]:
    """Return the state of all sources in words, and the remedy; that is empty if all is ok.

    Raises:
        UsageError: `sources.toml` cannot be used.
    """
    sources = load_sources(settings)
    missing = {source.name: missing_days(instance, source) for source in sources}
    missing = {name: days for name, days in missing.items() if days}
    if not missing:
        names = ", ".join(source.name for source in sources) or "none"
        return f"no day of {names} is missing", ""
    shown = [f"{name} ({', '.join(sorted(days)[-3:])})" for name, days in missing.items()]
    name, days = next(iter(missing.items()))
    newest = max(days)
    return (
        f"brought nothing: {', '.join(shown)}; {name} of {newest}: {days[newest]}",
        f"See `mab sources check`, then run `mab sources pull {name} --date {newest}`.",
    )


def _look(platform: Platform, source: Source, day: date) -> Look:
    place = _place(source)
    try:
        found = Puller(platform, source).read(day)
    except MabError as error:
        return Look(source.name, place, is_ok=False, detail=str(error))
    if not found.counts:
        more = f"; {found.other_days} of other days" if found.other_days else ""
        detail = f"no rows of {day}{more}"
        return Look(source.name, place, is_ok=source.allow_empty, detail=detail)
    experiments = len({count.experiment for count in found.counts})
    detail = (
        f"{how_many(len(found.counts), 'row')} of {day}, {how_many(experiments, 'experiment')}, "
        f"such as {found.counts[0].experiment} / {found.counts[0].variant}: "
        f"{found.counts[0].impressions} impressions, {found.counts[0].clicks} clicks"
    )
    return Look(source.name, place, is_ok=True, detail=detail, notes=tuple(found.notes))


def _place(source: Source) -> str:
    if isinstance(source, FileSource):
        return f"files {source.path}"
    if isinstance(source, SnowflakeSource):
        return f"snowflake {source.table or 'query'}"
    variable = f"the URL in {source.url_env}" if source.url_env else source.url
    if source.kind == "http":
        return f"http {variable}"
    if source.duckdb:
        return f"sql on DuckDB {source.duckdb}"
    return f"sql on {variable}"
