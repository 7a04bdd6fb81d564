"""`mab allocations`: print published allocations."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, takewhile
from typing import Annotated, Any

import typer

from mab_pipeline.cli.console import (
    FittingTable,
    add_row,
    data_console,
    new_table,
    notes_console,
    print_aligned,
    print_table,
    say,
)
from mab_pipeline.cli.options import AsOfDate, to_date
from mab_pipeline.cli.output import Format, Output, print_csv, print_json
from mab_pipeline.operations.allocations import published_bodies
from mab_pipeline.operations.text import Side
from mab_store.settings import Settings, load_settings

MOST_ROWS = 200
"""Rows that are printed as a table; a longer one is cut, unless all are asked for."""

FIRST_COLUMNS: tuple[tuple[str, Side], ...] = (
    ("experiment", "left"),
    ("as-of date", "left"),
    ("effective date", "left"),
)
VARIANT_COLUMNS: tuple[tuple[str, Side], ...] = (
    ("variant", "left"),
    ("share", "right"),
    ("P(best)", "right"),
    ("clicks / impressions", "right"),
    ("window", "left"),
)
NOTE_COLUMN: tuple[str, Side] = ("note", "left")
CSV_COLUMNS = (
    *("experiment_id", "experiment_name", "as_of_date", "effective_date", "allocation_id"),
    *("variant_name", "is_control", "allocation_percentage", "probability_best"),
    *("impressions", "clicks", "data_source", "window_days", "status", "is_stale", "held_back"),
)


def allocations(
    day: AsOfDate = None,
    experiment: Annotated[
        list[str] | None,
        typer.Option("--experiment", metavar="NAME", help="Only this one; may be given again."),
    ] = None,
    is_whole: Annotated[
        bool, typer.Option("--all", help="Print a long table whole; JSON and CSV always are.")
    ] = False,
    output: Output = Format.TABLE,
) -> None:
    """Print the newest published allocation of each experiment, or those of an as-of date."""
    settings = load_settings()
    bodies = published_bodies(settings, to_date(day), only=experiment or ())
    if output is Format.JSON:
        print_json(bodies)
    elif output is Format.CSV:
        print_csv(CSV_COLUMNS, _csv_rows(bodies))
    else:
        print_allocations(bodies, settings, is_whole=is_whole)


def print_allocations(
    bodies: Sequence[dict[str, Any]], settings: Settings, *, is_whole: bool = False
) -> None:
    """Print a row per variant, with remarks on the experiment in its first row.

    A terminal that is too narrow gets a heading and a small table for each experiment. Of more than
    `MOST_ROWS` rows the first experiments are printed, and how to see all.

    Args:
        bodies: Bodies of `mab_store.allocation_payload`.
        settings: For the title.
        is_whole: Whether to print all of them; many get a line per variant instead of a table.
    """
    title = f"Published allocations ({settings.mab_home})"
    shown = _first(bodies)
    is_long = len(shown) < len(bodies)
    if is_long and is_whole:
        say(notes_console(), (title, "italic"))
        columns = (*FIRST_COLUMNS, *VARIANT_COLUMNS, NOTE_COLUMN)
        print_aligned(columns, (line for body in bodies for line in _lines(body)))
    else:
        _print_tables(title, shown)
    say(notes_console(), ("* control", "dim"))
    if is_long and not is_whole:
        rows = sum(len(body["allocations"]) for body in bodies)
        text = (
            f" {len(shown):,} of {len(bodies):,} experiments are shown, of {rows:,} rows in all. "
            "`--experiment NAME` shows one, `--all` all of them; `--format csv` and `--format "
            "json` are always complete."
        )
        say(notes_console(), ("cut:", "yellow"), text)


def _first(bodies: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
    """Return the first experiments, with at most `MOST_ROWS` rows in all; at least one."""
    totals = accumulate(len(body["allocations"]) for body in bodies)
    return bodies[: max(1, sum(1 for _ in takewhile(lambda total: total <= MOST_ROWS, totals)))]


def _print_tables(title: str, bodies: Sequence[dict[str, Any]]) -> None:
    table = _wide_table(title, bodies)
    console = data_console()
    if table.fits(console.width):
        print_table(table)
        return
    say(console, (title, "italic"))
    for body in bodies:
        _print_narrow(body)


def _lines(body: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """Yield a line per variant that names its experiment, for people who search."""
    for variant in body["allocations"]:
        yield (*_shared(body), *_cells(variant), ", ".join(_marks(body)))


def _shared(body: dict[str, Any]) -> tuple[str, str, str]:
    return body["experiment_name"], body["as_of_date"], body["effective_date"]


def _wide_table(title: str, bodies: Iterable[dict[str, Any]]) -> FittingTable:
    table = new_table(title, (*FIRST_COLUMNS, *VARIANT_COLUMNS, NOTE_COLUMN))
    for body in bodies:
        shared = _shared(body)
        for place, variant in enumerate(body["allocations"]):
            cells = (
                *(shared if place == 0 else ("", "", "")),
                *_cells(variant),
                ", ".join(_marks(body)) if place == 0 else "",
            )
            add_row(table, cells, end_section=place == len(body["allocations"]) - 1)
    return table


def _print_narrow(body: dict[str, Any]) -> None:
    console = data_console()
    say(console)
    say(console, (body["experiment_name"], "bold"))
    days = f"traffic of {body['effective_date']}, evidence up to {body['as_of_date']}"
    say(console, "; ".join([days, *_marks(body)]))
    table = new_table(None, VARIANT_COLUMNS)
    for variant in body["allocations"]:
        add_row(table, _cells(variant))
    print_table(table)


def _csv_rows(bodies: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for body in bodies:
        held = body["held_back"]
        shared = body | {"held_back": held["reason"] if held else None}
        for variant in body["allocations"]:
            yield shared | variant | variant["metrics"]


def _cells(variant: dict[str, Any]) -> tuple[str, ...]:
    metrics = variant["metrics"]
    is_prior = variant["data_source"] == "prior"
    return (
        variant["variant_name"] + (" *" if variant["is_control"] else ""),
        f"{variant['allocation_percentage']:.2f} %",
        f"{variant['probability_best']:.4f}",
        f"{metrics['clicks']} / {metrics['impressions']}",
        "prior" if is_prior else f"{variant['window_days']} d",
    )


def _marks(body: dict[str, Any]) -> list[str]:
    marks = [f"{body['status']}, frozen"] if body["is_frozen"] else []
    marks += ["held back: " + body["held_back"]["reason"]] if body["held_back"] else []
    return marks + (["stale"] if body["is_stale"] else [])
