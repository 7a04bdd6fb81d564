"""The command line: `mab`.

What belongs here: options, what is printed where, exit codes. What does not: work. Text for a
person goes to stderr, data to stdout. Exit codes: 0 done, 1 it failed, 2 wrong usage. Modules that
take long to import are imported by the command that needs them.
"""

import json
import os
import sys
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from mab_pipeline.cli import upkeep as cli_upkeep
from mab_pipeline.cli.upkeep import AcceptLoss
from mab_pipeline.console import (
    complain,
    data_console,
    notes_console,
    own_name,
    print_allocations,
    print_findings,
    print_rejections,
    say,
)
from mab_store.allocation_payload import allocation_bodies
from mab_store.errors import MabError, NotPublishedError, UsageError
from mab_store.files.receipts import Receipts
from mab_store.settings import Settings, load_settings
from mab_store.warehouse.reader import open_reader

app = typer.Typer(
    name="mab",
    help="Batch multi-armed-bandit traffic allocation: tomorrow's shares from today's evidence.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.add_typer(cli_upkeep.app)

Day = Annotated[
    datetime | None, typer.Option("--date", formats=["%Y-%m-%d"], help="Day of the data (UTC).")
]
Experiment = Annotated[str, typer.Argument(help="Experiment id or name.")]


class Format(StrEnum):
    """How data is printed."""

    TABLE = "table"
    JSON = "json"


def main() -> None:
    """Run a command; one sentence on stderr and an exit code where it fails."""
    try:
        app()
    except MabError as error:
        complain(error)
        sys.exit(error.exit_code)


@app.command()
def demo(
    until: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Last day of the sample; default yesterday."),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Begin anew, in a MAB_HOME of its own.")
    ] = False,
) -> None:
    """Run the whole pipeline on 44 days of real experiments and show tomorrow's shares."""
    from mab_pipeline.operations.demo import place_sample
    from mab_pipeline.operations.run import check_days, run_days

    settings = load_settings()
    if fresh:
        stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%S}"
        settings = settings.model_copy(
            update={"mab_home": settings.mab_home.with_name(f"{settings.mab_home.name}-{stamp}")}
        )
    platform = _prepared(settings)
    notes = notes_console()
    first, last = place_sample(platform, _day(until))
    say(notes, f"The sample lies on {first} to {last} in {settings.inbox_root}.")
    run_days(platform, check_days(platform, first, last), console=notes)
    print_allocations(_bodies(settings, None), settings)
    mab = (f"MAB_HOME={settings.mab_home} " if fresh else "") + own_name()
    say(notes)
    say(notes, f"Next: {mab} explain asos_591c2c      how each variant got its share")
    say(notes, f"      {mab} replay asos_329386 --date {last}   the same result, bit for bit")
    say(notes, f"      {mab} allocations --format json")


@app.command()
def init() -> None:
    """Make the folders of MAB_HOME and the tables of the warehouse; run again, it does no harm."""
    settings = load_settings()
    notes = notes_console()
    for line in _prepared(settings).warehouse.create_schema():
        say(notes, line)
    say(
        notes,
        f"MAB_HOME {settings.mab_home} is ready; files for day D go to "
        f"{settings.inbox_root}/metrics/D/.",
    )


@app.command()
def ingest(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="JSON, CSV or Parquet.")],
    day: Day = None,
) -> None:
    """Put metrics or experiments files into the inbox, split by their date column.

    All of a file goes in, or nothing of it. Its days are from MAB_START_DATE to today (UTC); it has
    at most INBOX_MAX_FILE_MB and INBOX_MAX_FILE_ROWS, and is refused if it cannot be parsed. Rows
    that the run will reject are shown first, with the reason; they go in with the others, since
    the audit keeps what was received.
    """
    from mab_pipeline.operations.ingest import Intake

    settings = load_settings()
    platform = _prepared(settings)
    intake = Intake(platform.inbox, settings.mab_start_date, platform.clock(), _day(day))
    if intake.day is not None:
        _check_ingest_day(intake.day, settings, platform.clock().date())
    notes, failed = notes_console(), 0
    for path in files:
        try:
            result = intake.add(path, tell=print_rejections)
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


@app.command()
def run(
    day: Day = None,
    first: Annotated[
        datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="First day.")
    ] = None,
    last: Annotated[
        datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day.")
    ] = None,
    republish: Annotated[
        bool, typer.Option("--republish", help="Publish older days again where they changed.")
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
        bool, typer.Option("--windows", help="Load and make the windows; decide nothing.")
    ] = False,
    shard: Annotated[
        str | None,
        typer.Option(metavar="K/N", help="Decide a part of the experiments; publish nothing."),
    ] = None,
) -> None:
    """Run one day (yesterday, unless --date or --from and --to say otherwise) to publication."""
    from mab_pipeline.allocation.sharding import Shard
    from mab_pipeline.ingestion.undecided import notes_of_run
    from mab_pipeline.jobs import REFRESHED
    from mab_pipeline.operations.run import check_days, run_days

    if republish + windows + (shard is not None) > 1:
        raise UsageError("Give one of --republish, --windows and --shard.")
    if (accept_loss or accept_variant_gap) and (windows or shard is not None):
        raise UsageError(
            "--accept-loss and --accept-variant-gap are about publishing; --windows and --shard "
            "publish nothing."
        )
    part = Shard.parse(shard) if shard is not None else None
    if day and (first or last):
        raise UsageError("Give --date, or --from and --to, not both.")
    if bool(first) != bool(last):
        raise UsageError("--from and --to go together.")
    platform = _prepared(load_settings())
    yesterday = date.fromordinal(platform.clock().date().toordinal() - 1)
    start = _day(first) or _day(day) or yesterday
    days = check_days(platform, start, _day(last) or _day(day) or yesterday)
    assets = REFRESHED if windows else ["allocations"] if part else None
    notes = notes_console()
    result = run_days(
        platform,
        days,
        console=notes,
        assets=assets,
        republish=republish,
        accept_loss=accept_loss,
        accept_variant_gap=accept_variant_gap,
        shard=part,
    )
    for note in notes_of_run(platform, days, result) if not assets else ():
        say(notes, note)
    if assets:
        say(notes, "Nothing is published yet: run the same days without --windows and --shard.")


@app.command()
def allocations(
    day: Day = None,
    output: Annotated[Format, typer.Option("--format", help="Table or JSON.")] = Format.TABLE,
) -> None:
    """Print what is published: the newest allocation of each experiment, or that of a day."""
    settings = load_settings()
    bodies = _bodies(settings, _day(day))
    if output is Format.JSON:
        typer.echo(json.dumps(bodies, indent=2, ensure_ascii=False))
    else:
        print_allocations(bodies, settings)


@app.command()
def explain(experiment: Experiment, day: Day = None) -> None:
    """Say in words and numbers how each variant of an experiment got its share."""
    from mab_pipeline.allocation.recorded import find_record
    from mab_pipeline.operations.explain import explain as explanation

    settings = load_settings()
    with open_reader(settings) as copy:
        record = find_record(copy, experiment, _day(day))
        receipts = Receipts(settings.receipts_dir)
        data_console().print(explanation(copy, record, receipts=receipts))


@app.command()
def replay(
    experiment: Annotated[str | None, typer.Argument(help="Experiment id or name.")] = None,
    day: Annotated[
        datetime | None,
        typer.Option("--date", formats=["%Y-%m-%d"], help="As-of day: the version published last."),
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
            record = find_record(copy, str(experiment), _day(day))
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
    say(notes, ("the same, bit for bit:", "green"), f" {subject}, from {result.files} files")


@app.command()
def api(
    dev: Annotated[
        bool, typer.Option("--dev", help="Take POSTs without a key; on 127.0.0.1 only.")
    ] = False,
) -> None:
    """Serve what is published on API_HOST:API_PORT until it is interrupted."""
    arguments = [sys.executable, "-m", "mab_api", *(["--dev"] if dev else [])]
    os.execv(sys.executable, arguments)  # noqa: S606  # our own interpreter, no shell


@app.command()
def doctor(
    with_api: Annotated[
        bool, typer.Option("--api/--no-api", help="Whether an API should be running here.")
    ] = True,
) -> None:
    """Say ok or fail of each part; exit code 1 if a person should act, with what to do."""
    from mab_pipeline.operations.doctor import examine
    from mab_pipeline.operations.run import dagster_instance

    platform = _prepared(load_settings())
    with dagster_instance() as instance:
        found = list(examine(platform, instance, with_api=with_api))
    print_findings(found)
    if not all(finding.is_ok for finding in found):
        raise typer.Exit(1)


def _prepared(settings: Settings) -> Any:
    """Make the folders and wire the platform (typed Any: its import takes a second)."""
    from mab_pipeline.operations.run import prepared_platform

    return prepared_platform(settings)


def _bodies(settings: Settings, as_of_date: date | None) -> list[dict[str, Any]]:
    now = datetime.now(UTC).replace(tzinfo=None)
    parameters = {"today": now.date(), "as_of_date": as_of_date}
    with open_reader(settings) as copy:
        rows = copy.fetch_arrow("serving/published_allocations", parameters)
    if as_of_date is not None and len(rows) == 0:
        raise NotPublishedError(f"Nothing is published for {as_of_date}. Run that day first.")
    return list(allocation_bodies(rows, settings=settings, now=now))


def _check_ingest_day(day: date, settings: Settings, today: date) -> None:
    if day < settings.mab_start_date:
        raise UsageError(f"--date {day} is before MAB_START_DATE={settings.mab_start_date}.")
    if day > today:
        raise UsageError(f"--date {day} is in the future.")


def _day(value: datetime | None) -> date | None:
    return value.date() if value else None
