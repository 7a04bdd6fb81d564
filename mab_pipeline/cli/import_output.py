"""What `mab import` prints: how each file was understood, what is rejected, stored and next."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mab_pipeline.cli.console import add_row, new_table, note_table, notes_console, own_name, say
from mab_pipeline.cli.ingest import print_rejections
from mab_pipeline.operations.text import Side
from mab_store.errors import InboxError
from mab_store.how_many import how_many

if TYPE_CHECKING:
    from mab_pipeline.operations.import_metrics import MetricsImport, Understood
    from mab_pipeline.sources.deposit import Deposited
    from mab_pipeline.sources.mapping import Mapping

ROWS_SHOWN = 5
EXPERIMENTS_SHOWN = 20
FILES_SHOWN = 10


def show(file: "Understood") -> None:
    """Print how a file was understood."""
    from mab_pipeline.operations.import_metrics import summaries
    from mab_pipeline.sources.dates import spelled

    notes, mapping = notes_console(), file.export.mapping
    say(notes, (f"{file.path}", "bold"), f": {file.export.title}")
    form = f" ({spelled(mapping.date_format)})" if mapping.date_format else ""
    fixed = f"{mapping.experiment} (every row)" if mapping.experiment else None
    impressions, clicks = _counts(mapping)
    for role, text in (
        ("date", f"{mapping.date_column}{form}" if mapping.date_column else "the day of --date"),
        ("experiment", fixed or mapping.experiment_column),
        ("variant", mapping.variant_column),
        ("impressions", impressions),
        ("clicks", clicks),
        *(("where", text) for text in mapping.where),
    ):
        say(notes, f"  {role:<12}", str(text))
    for note in file.export.notes:
        say(notes, ("  note: ", "yellow"), note)
    names: list[tuple[str, Side]] = [("experiment", "left"), ("variant", "left")]
    numbers: list[tuple[str, Side]] = [("impressions", "right"), ("clicks", "right")]
    table = new_table("The first rows", [("day", "left"), *names, *numbers])
    for count in file.export.counts[:ROWS_SHOWN]:
        texts = count.experiment, count.variant, count.impressions, count.clicks
        add_row(table, (str(count.day), *texts))
    note_table(table)
    table = new_table("In all", [*names, ("days", "left"), *numbers])
    found = summaries([file])
    for summary in found[:EXPERIMENTS_SHOWN]:
        days = f"{summary.first_day} to {summary.last_day} ({summary.day_count})"
        for place, (variant, counts) in enumerate(summary.variants.items()):
            head = (summary.experiment, variant, days) if place == 0 else ("", variant, "")
            add_row(table, (*head, *(f"{number:,}" for number in counts)))
    note_table(table)
    if len(found) > EXPERIMENTS_SHOWN:
        more = how_many(len(found) - EXPERIMENTS_SHOWN, "more experiment")
        say(notes, f"  and {more}")


def _counts(mapping: "Mapping") -> tuple[str | None, str | None]:
    """Return which columns hold impressions and clicks, in words."""
    if not mapping.is_per_event:
        return mapping.impressions_column, mapping.clicks_column
    place = f"{mapping.count_column} of {mapping.event_column}"
    events = mapping.impression_events, mapping.click_events
    return f"{place} {', '.join(events[0])}", f"{place} {', '.join(events[1])}"


def show_rejections(work: "MetricsImport", files: Sequence["Understood"]) -> None:
    """Print the rows that the run will reject; if it is all of them, nothing is stored."""
    found = work.rejections(files)
    print_rejections(found)
    rejected = sum(rejections.row_count for rejections in found)
    if rejected == sum(len(file.export.counts) for file in files):
        raise InboxError(
            "Every row would be rejected, for the reasons above. Correct the export or name its "
            "columns (see `mab import --help`). Nothing was stored."
        )


def show_stored(stored: "Deposited") -> None:
    """Print which files of the inbox hold the counts."""
    notes = notes_console()
    for name in stored.added[:FILES_SHOWN]:
        say(notes, f"added {name}")
    if len(stored.added) > FILES_SHOWN:
        say(notes, f"added {how_many(len(stored.added) - FILES_SHOWN, 'file')} more")
    if stored.unchanged:
        say(notes, f"there already, unchanged: {how_many(len(stored.unchanged), 'file')}")


def show_next(files: Sequence["Understood"]) -> None:
    """Print the commands that decide the days."""
    days = [count.day for file in files for count in file.export.counts]
    first, last = min(days), max(days)
    span = f"--date {first}" if first == last else f"--from {first} --to {last}"
    say(notes_console(), f"Next: `{own_name()} run {span}`, then `{own_name()} allocations`.")
