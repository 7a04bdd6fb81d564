"""`mab run`: run days to publication."""

from datetime import datetime, timedelta
from typing import Annotated

import typer

from mab_pipeline.cli.console import notes_console, say
from mab_pipeline.cli.options import DAY, AcceptLoss, Day, prepared, to_date
from mab_pipeline.operations.allocations import published_bodies
from mab_store.errors import NotPublishedError, UsageError
from mab_store.settings import Settings, load_settings


def run(
    day: Day = None,
    first: Annotated[
        datetime | None, typer.Option("--from", formats=DAY, help="First day.")
    ] = None,
    last: Annotated[datetime | None, typer.Option("--to", formats=DAY, help="Last day.")] = None,
    republish: Annotated[
        bool, typer.Option("--republish", help="Publish older days again if they changed.")
    ] = False,
    accept_loss: AcceptLoss = False,
    accept_variant_gap: Annotated[
        bool,
        typer.Option(
            "--accept-variant-gap",
            help="Publish experiments whose data lack a variant or a share of their rows.",
        ),
    ] = False,
    windows: Annotated[
        bool, typer.Option("--windows", help="Load and compute the windows; decide nothing.")
    ] = False,
) -> None:
    """Run one day (yesterday, unless --date or --from and --to say otherwise) to publication."""
    from mab_pipeline.cli.progress import check_days_count, run_and_show, show_verdicts
    from mab_pipeline.ingestion.undecided import notes_of_run
    from mab_pipeline.jobs import REFRESHED
    from mab_pipeline.operations.run import check_days
    from mab_pipeline.operations.run_verdicts import verdicts_of_run

    accepts = accept_loss or accept_variant_gap
    _check_options(republish=republish, accepts=accepts, windows=windows)
    _check_range(day, first, last)
    platform = prepared(load_settings())
    yesterday = platform.clock().date() - timedelta(days=1)
    start, end = (to_date(value) or to_date(day) or yesterday for value in (first, last))
    days = check_days(platform, start, end)
    assets = REFRESHED if windows else None
    finished = run_and_show(
        platform,
        days,
        assets=assets,
        republish=republish,
        accept_loss=accept_loss,
        accept_variant_gap=accept_variant_gap,
    )
    notes = notes_console()
    for note in notes_of_run(platform, days, finished.result) if not assets else ():
        say(notes, note)
    if assets:
        say(notes, "Nothing is published yet: run the same days without --windows.")
    if finished.published and not finished.published.is_any:
        _say_why_nothing(platform.settings)
    verdicts = verdicts_of_run(platform, days)
    show_verdicts(verdicts)
    check_days_count(verdicts)


def _check_options(*, republish: bool, accepts: bool, windows: bool) -> None:
    if republish and windows:
        raise UsageError("Give one of --republish and --windows.")
    if accepts and windows:
        raise UsageError(
            "--accept-loss and --accept-variant-gap are about publishing; --windows publishes "
            "nothing."
        )


def _check_range(day: datetime | None, first: datetime | None, last: datetime | None) -> None:
    if day and (first or last):
        raise UsageError("Give --date, or --from and --to, not both.")
    if bool(first) != bool(last):
        raise UsageError("--from and --to go together.")


def _say_why_nothing(settings: Settings) -> None:
    """Print why readers have nothing, if no run ever published anything."""
    try:
        published_bodies(settings, None)
    except NotPublishedError as error:
        say(notes_console(), str(error))
