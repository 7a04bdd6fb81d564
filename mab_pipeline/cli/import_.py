"""`mab import`: exports as they come, from a look at them to files of the inbox."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mab_pipeline.cli.console import complain, notes_console, own_name, say
from mab_pipeline.cli.import_output import (
    EXPERIMENTS_SHOWN,
    show,
    show_next,
    show_rejections,
    show_stored,
)
from mab_pipeline.cli.ingest import check_day
from mab_pipeline.cli.options import Day, prepared, to_date
from mab_store.errors import InboxError, MabError, UsageError
from mab_store.how_many import how_many
from mab_store.plain_text import plain
from mab_store.settings import Settings, load_settings

if TYPE_CHECKING:
    from mab_pipeline.operations.import_metrics import MetricsImport, Understood
    from mab_pipeline.sources.mapping import Mapping

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
    event_column: Annotated[
        Text, typer.Option(metavar="COLUMN", help="Of the event's name, with a row per event.")
    ] = None,
    count_column: Annotated[Text, typer.Option(metavar="COLUMN", help="Of its count.")] = None,
    impression_event: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="An event that is an impression.")
    ] = None,
    click_event: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="An event that is a click.")
    ] = None,
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
        "event_column": event_column,
        "count_column": count_column,
        "impression_events": impression_event or None,
        "click_events": click_event or None,
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
    work.require_apart(understood)
    _register(work, understood, control=control, can_ask=_can_ask(yes=yes))
    show_rejections(work, understood)
    notes = notes_console()
    if dry_run:
        say(notes, "Nothing was stored (--dry-run).")
        return
    if not yes and not typer.confirm("Store this?", default=True, err=True):
        say(notes, "Nothing was stored.")
        raise typer.Exit(1)
    kept = name or mapping
    show_stored(work.store(understood, name=kept))
    _keep(settings, understood, name=name, mapping=mapping)
    show_next(understood)


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
        show(file)
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
        more = how_many(len(new) - EXPERIMENTS_SHOWN, "more experiment")
        say(notes_console(), f"  and {more}")


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
