"""`mab ingest`: put files into the inbox."""

from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mab_pipeline.cli.console import complain, notes_console, say
from mab_pipeline.cli.options import Day, prepared, to_date
from mab_store.errors import MabError, UsageError
from mab_store.how_many import how_many
from mab_store.settings import Settings, load_settings

if TYPE_CHECKING:
    from mab_pipeline.operations.ingest_verdicts import Rejections


def ingest(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="JSON, CSV or Parquet.")],
    day: Day = None,
) -> None:
    """Put metrics or experiments files into the inbox, split by their date column.

    Each file goes in as a whole or not at all. Its days are from MAB_START_DATE to today (UTC). It
    has at most INBOX_MAX_FILE_MB and INBOX_MAX_FILE_ROWS, and is refused if it cannot be parsed.
    Rows that the run will reject are shown first, with the reason. They go in with the others,
    since the audit keeps every row that was received.
    """
    from mab_pipeline.operations.ingest import Intake

    settings = load_settings()
    platform = prepared(settings)
    intake = Intake(platform.inbox, settings.mab_start_date, platform.clock(), to_date(day))
    if intake.day is not None:
        check_day(intake.day, settings, platform.clock().date())
    notes, failed = notes_console(), 0
    for path in files:
        try:
            result = intake.add(path, report=print_rejections)
        except MabError as error:
            complain(error)
            failed += 1
            continue
        for name in result.added:
            say(notes, f"added {name}")
        for name in result.unchanged:
            say(notes, f"there already: {name}")
    if failed:
        raise typer.Exit(1)


def check_day(day: date, settings: Settings, today: date) -> None:
    """Refuse a day that no file may be about."""
    if day < settings.mab_start_date:
        raise UsageError(f"--date {day} is before MAB_START_DATE={settings.mab_start_date}.")
    if day > today:
        raise UsageError(f"--date {day} is in the future.")


def print_rejections(found: Iterable["Rejections"]) -> None:
    """Print the rows of a file that the run will reject and the remedy, before they are stored."""
    from mab_pipeline.operations.run_verdicts import REMEDIES

    notes = notes_console()
    for rejections in found:
        rows = how_many(rejections.row_count, "row")
        say(notes, ("will be rejected:", "yellow"), f" {rows} ({rejections.reason})")
        for example in rejections.examples:
            say(notes, f"  {example}")
        if remedy := REMEDIES.get(rejections.reason):
            say(notes, f"  {remedy}")
