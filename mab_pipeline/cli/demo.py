"""`mab demo`: the whole pipeline on the sample."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from mab_pipeline.cli.allocations import print_allocations
from mab_pipeline.cli.console import notes_console, own_name, say
from mab_pipeline.cli.options import DAY, prepared, to_date
from mab_pipeline.operations.allocations import published_bodies
from mab_store.settings import load_settings


def demo(
    until: Annotated[
        datetime | None,
        typer.Option(formats=DAY, help="Last day of the sample; default yesterday."),
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin again, in a new MAB_HOME.")] = False,
) -> None:
    """Run the whole pipeline on 44 days of real experiments and show tomorrow's shares."""
    from mab_pipeline.cli.progress import run_and_show
    from mab_pipeline.operations.demo import place_sample
    from mab_pipeline.operations.run import check_days

    settings = load_settings()
    if fresh:
        stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%S}"
        settings = settings.model_copy(
            update={"mab_home": settings.mab_home.with_name(f"{settings.mab_home.name}-{stamp}")}
        )
    platform = prepared(settings)
    notes = notes_console()
    first, last = place_sample(platform, to_date(until))
    say(notes, f"The sample lies on {first} to {last} in {settings.inbox_root}.")
    run_and_show(platform, check_days(platform, first, last))
    print_allocations(published_bodies(settings, None), settings)
    mab = (f"MAB_HOME={settings.mab_home} " if fresh else "") + own_name()
    say(notes)
    say(notes, f"Next: {mab} explain asos_591c2c      how each variant got its share")
    say(notes, f"      {mab} replay asos_329386 --date {last}   the same result, bit for bit")
    say(notes, f"      {mab} allocations --format json")
