"""`mab sources`: check `sources.toml`, and pull a day by hand."""

from datetime import date, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from mab_pipeline.cli.console import complain, data_console, notes_console, own_name, say
from mab_pipeline.cli.options import Day, prepared, to_date
from mab_store.errors import MabError
from mab_store.settings import load_settings

if TYPE_CHECKING:
    from mab_pipeline.resources import Platform

sources = typer.Typer(
    name="sources",
    help="Sources of daily counts: databases, files and HTTP, named in MAB_HOME/sources.toml.",
    no_args_is_help=True,
)
Name = Annotated[str, typer.Argument(metavar="NAME", help="A source of sources.toml.")]


@sources.command()
def check(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="One source; default: all.")
    ] = None,
    day: Day = None,
    fetch: Annotated[
        bool, typer.Option("--fetch/--no-fetch", help="Whether to ask the sources for the day.")
    ] = True,
) -> None:
    """Check sources.toml, and show each source's rows of a day (yesterday); nothing is stored."""
    from mab_pipeline.operations.pull_sources import look_at

    platform = prepared(load_settings())
    console, failed = data_console(), False
    for look in look_at(platform, name, _day(platform, to_date(day)), fetch=fetch):
        mark = ("ok  ", "green") if look.is_ok else ("fail", "red")
        say(console, mark, f" {look.name}: {look.place}")
        for line in filter(None, (look.detail, *look.notes)):
            say(console, f"     {line}")
        failed = failed or not look.is_ok
    if failed:
        raise typer.Exit(1)


@sources.command()
def pull(name: Name, day: Day = None) -> None:
    """Pull a day (yesterday) of one source into the inbox; an unchanged day adds nothing."""
    from mab_pipeline.operations.dagster_home import dagster_instance
    from mab_pipeline.operations.pull_sources import pull_day

    platform = prepared(load_settings())
    chosen = _day(platform, to_date(day))
    with dagster_instance() as instance:
        pulled = pull_day(platform, instance, name, chosen)
    notes = notes_console()
    if pulled.failed:
        complain(MabError(f"{name} brought nothing for {chosen}: {pulled.failed[chosen]}."))
        raise typer.Exit(1)
    for note in pulled.notes:
        say(notes, f"note: {note}")
    for file in pulled.added:
        say(notes, f"added {file}")
    for file in pulled.unchanged:
        say(notes, f"there already, unchanged: {file}")
    if pulled.added:
        say(
            notes, f"Next: `{own_name()} run --date {chosen}`, unless the daemon runs: it takes it."
        )


def _day(platform: "Platform", day: date | None) -> date:
    """Return the day that is meant; it must be over."""
    from mab_pipeline.operations.run import check_days

    chosen = day or platform.clock().date() - timedelta(days=1)
    return check_days(platform, chosen, chosen).start
