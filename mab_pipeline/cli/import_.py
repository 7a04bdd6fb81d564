"""`mab import`: exports as they come, from a look at them to files of the inbox."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mab_pipeline.cli.console import (
    add_row,
    complain,
    new_table,
    note_table,
    notes_console,
    own_name,
    say,
)
from mab_pipeline.cli.ingest import check_day, print_rejections
from mab_pipeline.cli.options import Day, prepared, to_date
from mab_pipeline.operations.text import Side
from mab_store.errors import InboxError, MabError, UsageError
from mab_store.plain_text import plain
from mab_store.settings import Settings, load_settings

if TYPE_CHECKING:
    from mab_pipeline.operations.import_metrics import MetricsImport, Understood
    from mab_pipeline.sources.deposit import Deposited
    from mab_pipeline.sources.mapping import Mapping

ROWS_SHOWN = 5
EXPERIMENTS_SHOWN = 20
FILES_SHOWN = 10
Text = str | None


def import_(  # noqa: PLR0913  # each option is a parameter
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="CSV, Excel, Parquet or JSON.")
    ],
    *,
    day: Day = None,
    mapping: Annotated[
        Text, typer.Option(metavar="NAME", help="Use the mapping kept under this name.")
    ] = None,
    name: Annotated[
        Text, typer.Option(metavar="NAME", help="Keep the mapping under this name.")
    ] = None,
    experiment: Annotated[
        Text, typer.Option(metavar="NAME", help="The experiment of every row.")
    ] = None,
    control: Annotated[
        Text, typer.Option(metavar="NAME", help="Register a new experiment with this control.")
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(metavar="FILTER", help="Take rows with 'COLUMN = VALUE', != or ~ (contains)."),
    ] = None,
    date_column: Annotated[Text, typer.Option(metavar="COLUMN")] = None,
    date_format: Annotated[Text, typer.Option(metavar="FORMAT", help="Such as DD/MM/YYYY.")] = None,
    experiment_column: Annotated[Text, typer.Option(metavar="COLUMN")] = None,
    variant_column: Annotated[Text, typer.Option(metavar="COLUMN")] = None,
    impressions_column: Annotated[Text, typer.Option(metavar="COLUMN")] = None,
    clicks_column: Annotated[Text, typer.Option(metavar="COLUMN")] = None,
    decimal: Annotated[
        Text, typer.Option(metavar="SIGN", help="Decimal sign of counts: point or comma.")
    ] = None,
    delimiter: Annotated[Text, typer.Option(metavar="SIGN", help="Of a CSV.")] = None,
    encoding: Annotated[
        Text, typer.Option(metavar="NAME", help="Of a text file; latin-1 must be named.")
    ] = None,
    sheet: Annotated[Text, typer.Option(metavar="NAME", help="Of a workbook.")] = None,
    add_up: Annotated[
        bool, typer.Option("--sum", help="Add up equal rows, and experiments under one.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Look only; store nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing.")] = False,
) -> None:
    """Import an export of an ad server or analytics tool, whatever its columns are called.

    The rows are shown as they were understood, and those that the run will reject with the reason,
    before anything is stored. A new experiment is registered with its variants. The mapping of the
    columns is kept: each run imports files in inbox/exports/NAME/. See docs/YOUR_DATA.md.
    """
    from mab_pipeline.operations.import_metrics import MetricsImport
    from mab_pipeline.sources.mapping import check_name

    settings = load_settings()
    _require_answers(yes=yes, dry_run=dry_run)
    if name is not None:
        check_name(name)
    given: dict[str, object] = {
        "experiment": experiment,
        "where": where or None,
        "date_column": date_column,
        "date_format": date_format,
        "experiment_column": experiment_column,
        "variant_column": variant_column,
        "impressions_column": impressions_column,
        "clicks_column": clicks_column,
        "decimal": decimal,
        "delimiter": delimiter,
        "encoding": encoding,
        "sheet": sheet,
        "add_up": add_up or None,
    }
    columns = _mapping(settings, mapping, given)
    platform = prepared(settings)
    if (stated := to_date(day)) is not None:
        check_day(stated, settings, platform.clock().date())
    work = MetricsImport(platform, day=stated)
    understood = _understood(work, files, columns, can_ask=_can_ask(yes=yes))
    _register(work, understood, control=control, can_ask=_can_ask(yes=yes))
    _show_rejections(work, understood)
    notes = notes_console()
    if dry_run:
        say(notes, "Nothing was stored (--dry-run).")
        return
    if not yes and not typer.confirm("Store this?", default=True, err=True):
        say(notes, "Nothing was stored.")
        raise typer.Exit(1)
    kept = name or mapping
    _show_stored(work.store(understood, name=kept))
    _keep(settings, understood, name=name, mapping=mapping)
    _show_next(understood)


def _can_ask(*, yes: bool) -> bool:
    return not yes and _is_terminal()


def _is_terminal() -> bool:
    return sys.stdin.isatty()


def _require_answers(*, yes: bool, dry_run: bool) -> None:
    if not (yes or dry_run or _is_terminal()):
        raise UsageError(
            "There is no terminal to ask on: give --dry-run to see what would be stored, and "
            "--yes to store it."
        )


def _mapping(settings: Settings, name: str | None, given: dict[str, object]) -> "Mapping":
    """Return a kept mapping, or an empty one, changed by the options."""
    from mab_pipeline.sources.mapping import load_mapping, parse_mapping

    values = {field: value for field, value in given.items() if value is not None}
    if name is None:
        return parse_mapping(values, subject="The options")
    held = load_mapping(settings, name).model_dump(exclude_defaults=True)
    if "experiment" in values:
        held.pop("experiment_column", None)
    if "experiment_column" in values:
        held.pop("experiment", None)
    return parse_mapping(held | values, subject="The options")


def _understood(
    work: "MetricsImport", files: Sequence[Path], columns: "Mapping", *, can_ask: bool
) -> list["Understood"]:
    """Read all files and show each; if one cannot be understood, none is stored."""
    found, failed = [], False
    for path in files:
        try:
            file = _understand(work, path, columns, can_ask=can_ask)
        except MabError as error:
            complain(error)
            failed = True
            continue
        _show(file)
        found.append(file)
    if failed:
        if len(files) > 1:
            say(notes_console(), "Nothing was stored.")
        raise typer.Exit(1)
    return found


def _understand(
    work: "MetricsImport", path: Path, columns: "Mapping", *, can_ask: bool
) -> "Understood":
    """Read a file; ask which order of day and month it has if both fit."""
    from mab_pipeline.sources.dates import AmbiguousDatesError

    try:
        return work.understand(path, columns)
    except AmbiguousDatesError as error:
        if not can_ask:
            raise InboxError(f"{path} {error}. Nothing of it was stored.") from None
        for form, day in error.formats.items():
            if typer.confirm(plain(f"Is {error.example!r} {day.day} {day:%B %Y}?"), err=True):
                return work.understand(path, columns.model_copy(update={"date_format": form}))
        raise UsageError("Give --date-format, such as DD/MM/YYYY. Nothing was stored.") from None


def _register(
    work: "MetricsImport", files: Sequence["Understood"], *, control: str | None, can_ask: bool
) -> None:
    """Register the experiments that are new, each with its control."""
    new = work.unregistered(files)
    if control is not None and new and not any(control in variants for variants in new.values()):
        shown = ", ".join(repr(name) for variants in new.values() for name in variants)
        raise UsageError(f"--control {control!r} is not among the variants: {shown}.")
    if control is not None and not new:
        say(notes_console(), "Every experiment is registered already: --control changes nothing.")
    for place, (name, variants) in enumerate(new.items()):
        chosen = _control(name, variants, control, can_ask=can_ask)
        work.register(name, variants, chosen)
        if place >= EXPERIMENTS_SHOWN:
            continue
        others = ", ".join(variant for variant in variants if variant != chosen)
        say(
            notes_console(),
            ("will be registered:", "green"),
            f" {name} (control: {chosen}; against: {others})",
        )
    if len(new) > EXPERIMENTS_SHOWN:
        say(notes_console(), f"  and {len(new) - EXPERIMENTS_SHOWN} more experiments")


def _control(name: str, variants: list[str], control: str | None, *, can_ask: bool) -> str:
    from mab_pipeline.operations.import_metrics import usual_control

    if len(variants) == 1:
        raise UsageError(
            f"The experiment {name!r} is not registered, and the file has one variant of it, "
            f"{variants[0]!r}; an experiment has two or more. Export all of them, or choose other "
            "rows with --where. Nothing was stored."
        )
    if control in variants:
        return str(control)
    usual = usual_control(variants)
    if can_ask:
        say(notes_console(), f"{name} is not registered. Its variants: {', '.join(variants)}")
        while (answer := typer.prompt("Control", default=usual, err=True)) not in variants:
            say(notes_console(), f"{answer} is none of them.")
        return str(answer)
    if usual is None:
        raise UsageError(
            f"The experiment {name!r} is not registered, and no name among its variants says "
            f"which is the control: {', '.join(map(repr, variants))}. Give --control NAME. "
            "Nothing was stored."
        )
    return usual


def _show(file: "Understood") -> None:
    """Print how a file was understood."""
    from mab_pipeline.operations.import_metrics import summaries
    from mab_pipeline.sources.dates import spelled

    notes, mapping = notes_console(), file.export.mapping
    say(notes, (f"{file.path}", "bold"), f": {file.export.title}")
    form = f" ({spelled(mapping.date_format)})" if mapping.date_format else ""
    fixed = f"{mapping.experiment} (every row)" if mapping.experiment else None
    for role, text in (
        ("date", f"{mapping.date_column}{form}" if mapping.date_column else "the day of --date"),
        ("experiment", fixed or mapping.experiment_column),
        ("variant", mapping.variant_column),
        ("impressions", mapping.impressions_column),
        ("clicks", mapping.clicks_column),
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
        say(notes, f"  and {len(found) - EXPERIMENTS_SHOWN} more experiments")


def _show_rejections(work: "MetricsImport", files: Sequence["Understood"]) -> None:
    """Print the rows that the run will reject; if it is all of them, nothing is stored."""
    found = work.rejections(files)
    print_rejections(found)
    rejected = sum(rejections.row_count for rejections in found)
    if rejected == sum(len(file.export.counts) for file in files):
        raise InboxError(
            "Every row would be rejected, for the reasons above. Correct the export or name its "
            "columns (see `mab import --help`). Nothing was stored."
        )


def _show_stored(stored: "Deposited") -> None:
    notes = notes_console()
    for name in stored.added[:FILES_SHOWN]:
        say(notes, f"added {name}")
    if len(stored.added) > FILES_SHOWN:
        say(notes, f"added {_files(len(stored.added) - FILES_SHOWN)} more")
    if stored.unchanged:
        say(notes, f"there already, unchanged: {_files(len(stored.unchanged))}")


def _keep(
    settings: Settings, files: Iterable["Understood"], *, name: str | None, mapping: str | None
) -> None:
    """Keep the mapping of the first file for the next export of its kind."""
    from mab_pipeline.operations.import_metrics import default_name
    from mab_pipeline.sources.mapping import load_mapping, mapping_path, save_mapping

    file, notes = next(iter(files)), notes_console()
    kept = name or mapping or default_name(file.export)
    path = mapping_path(settings, kept)
    if path.exists() and name is None:
        if load_mapping(settings, kept) != file.export.mapping and mapping is None:
            say(notes, f"The mapping {path} differs and stays; --name {kept} replaces it.")
        return
    save_mapping(settings, kept, file.export.mapping)
    say(notes, f"The mapping is kept: `{own_name()} import FILE --mapping {kept}`, or put files")
    say(notes, f"into {settings.inbox_root}/exports/{kept}/ and each run takes them in.")


def _show_next(files: Sequence["Understood"]) -> None:
    days = [count.day for file in files for count in file.export.counts]
    first, last = min(days), max(days)
    span = f"--date {first}" if first == last else f"--from {first} --to {last}"
    say(notes_console(), f"Next: `{own_name()} run {span}`, then `{own_name()} allocations`.")


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"
