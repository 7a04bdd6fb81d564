"""`mab replay`: compute a past decision again and compare."""

from datetime import datetime
from typing import Annotated

import typer

from mab_pipeline.cli.console import data_console, notes_console, say
from mab_pipeline.cli.options import DAY, to_date
from mab_store.errors import UsageError
from mab_store.how_many import how_many
from mab_store.settings import load_settings
from mab_store.warehouse.reader import open_reader


def replay(
    experiment: Annotated[str | None, typer.Argument(help="Experiment id or name.")] = None,
    day: Annotated[
        datetime | None,
        typer.Option("--date", formats=DAY, help="As-of date: the decision published last."),
    ] = None,
    allocation: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Any decision ever made, by its allocation_id."),
    ] = None,
) -> None:
    """Compute a past allocation again from the files of that time; compare it bit for bit."""
    from mab_pipeline.allocation.recorded import find_allocation, find_record
    from mab_pipeline.operations.replay import replay as replay_record
    from mab_pipeline.resources import build_platform

    if (day is None) == (allocation is None) or (day and not experiment):
        raise UsageError("Give an experiment with --date, or --allocation with an allocation_id.")
    settings = load_settings()
    with open_reader(settings) as copy:
        if allocation is not None:
            record = find_allocation(copy, allocation, experiment)
        else:
            record = find_record(copy, str(experiment), to_date(day))
    result = replay_record(build_platform(settings), record)
    notes = notes_console()
    for note in result.notes:
        say(notes, ("note:", "yellow"), f" {note}")
    for name, column, recorded, replayed in result.differences:
        say(data_console(), f"{name}.{column}: recorded {recorded!r}, replayed {replayed!r}")
    subject = f"{record.experiment_name} of {record.as_of_date} ({record.head['allocation_id']})"
    if not result.is_exact:
        say(notes, ("different:", "red"), f" {subject}")
        raise typer.Exit(1)
    say(
        notes,
        ("the same, bit for bit:", "green"),
        f" {subject}, from {how_many(result.files, 'file')}",
    )
