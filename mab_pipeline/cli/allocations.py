"""`mab allocations`: print published allocations."""

import json
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Any

import typer

from mab_pipeline.cli.console import add_row, new_table, notes_console, print_table, say
from mab_pipeline.cli.options import AsOfDate, to_date
from mab_pipeline.operations.allocations import published_bodies
from mab_store.settings import Settings, load_settings


class Format(StrEnum):
    """How data is printed."""

    TABLE = "table"
    JSON = "json"


def allocations(
    day: AsOfDate = None,
    output: Annotated[Format, typer.Option("--format", help="Table or JSON.")] = Format.TABLE,
) -> None:
    """Print the newest published allocation of each experiment, or those of an as-of date."""
    settings = load_settings()
    bodies = published_bodies(settings, to_date(day))
    if output is Format.JSON:
        typer.echo(json.dumps(bodies, indent=2, ensure_ascii=False))
    else:
        print_allocations(bodies, settings)


def print_allocations(bodies: Iterable[dict[str, Any]], settings: Settings) -> None:
    """Print a row per variant, with remarks on the experiment in its first row.

    Args:
        bodies: Bodies of `mab_store.allocation_payload`.
        settings: For the title.
    """
    table = new_table(
        f"Published allocations ({settings.mab_home})",
        (
            ("experiment", "left"),
            ("as-of date", "left"),
            ("effective date", "left"),
            ("variant", "left"),
            ("share", "right"),
            ("P(best)", "right"),
            ("clicks / impressions", "right"),
            ("window", "left"),
            ("note", "left"),
        ),
    )
    for body in bodies:
        shared = (body["experiment_name"], body["as_of_date"], body["effective_date"])
        for place, variant in enumerate(body["allocations"]):
            cells = (
                *(shared if place == 0 else ("", "", "")),
                *_cells(variant),
                ", ".join(_marks(body)) if place == 0 else "",
            )
            add_row(table, cells, end_section=place == len(body["allocations"]) - 1)
    print_table(table)
    say(notes_console(), ("* control", "dim"))


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
