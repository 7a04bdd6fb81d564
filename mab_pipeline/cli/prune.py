"""`mab prune`: drop expired data."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from mab_pipeline.cli.console import add_row, new_table, notes_console, print_table, say
from mab_pipeline.cli.options import prepared
from mab_store.settings import load_settings

if TYPE_CHECKING:
    from mab_pipeline.operations.prune import Prunable


def prune(
    older_than: Annotated[
        str, typer.Option("--older-than", metavar="DAYS", help="Age in days, such as 180d.")
    ],
    apply: Annotated[
        bool, typer.Option("--apply", help="Do it; without this it is only shown.")
    ] = False,
) -> None:
    """Show expired data; with --apply, drop it."""
    from mab_pipeline.operations.dagster_home import dagster_instance
    from mab_pipeline.operations.prune import parse_age
    from mab_pipeline.operations.prune import prune as prune_home

    days = parse_age(older_than)
    platform = prepared(load_settings())
    with dagster_instance() as instance:
        found = prune_home(
            platform,
            instance,
            older_than_days=days,
            apply=apply,
            say=lambda text: say(notes_console(), text),
        )
    print_prunable(found, is_done=apply)


def print_prunable(found: Iterable["Prunable"], *, is_done: bool) -> None:
    """Print a row per kind of expired data."""
    table = new_table(
        None,
        (
            ("what", "left"),
            ("how many", "right"),
            ("bytes", "right"),
            ("oldest", "left"),
            ("newest", "left"),
        ),
    )
    for item in found:
        days = (str(day or "") for day in (item.oldest, item.newest))
        add_row(table, (item.kind, f"{item.amount:,}", f"{item.size_bytes:,}", *days))
    print_table(table)
    note = "Dropped." if is_done else "Nothing was changed; give --apply to drop it."
    say(notes_console(), note)
