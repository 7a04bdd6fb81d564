"""Printing: tables for a terminal.

What belongs here: how what is known is laid out. What does not: knowing it. Data goes to stdout,
text for a person to stderr.
"""

import os
import shutil
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from mab_store.settings import Settings

if TYPE_CHECKING:
    from mab_pipeline.doctor import Finding
    from mab_pipeline.prune import Prunable

WIDTH_OF_A_PIPE = 200


def notes_console() -> Console:
    """Return where text for a person goes."""
    return Console(stderr=True)


def data_console() -> Console:
    """Return where data goes; a pipe or a file gets lines that are not cut."""
    is_cut = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(width=None if is_cut else WIDTH_OF_A_PIPE)


def own_name() -> str:
    """Return how this command is called here: by name where it is on the PATH, else by path."""
    return "mab" if shutil.which("mab") else os.path.relpath(sys.argv[0])


def print_allocations(bodies: Iterable[dict[str, Any]], settings: Settings) -> None:
    """Print a row per variant; what a person should know about an experiment stands beside it.

    Args:
        bodies: Bodies of `mab_store.allocation_body`.
        settings: For the title.
    """
    table = Table(title=f"Published allocations ({settings.mab_home})", title_justify="left")
    for column, side in (
        ("experiment", "left"),
        ("for", "left"),
        ("variant", "left"),
        ("share", "right"),
        ("P(best)", "right"),
        ("clicks / impressions", "right"),
        ("window", "left"),
        ("note", "left"),
    ):
        table.add_column(column, justify="right" if side == "right" else "left")
    for body in bodies:
        for place, variant in enumerate(body["allocations"]):
            table.add_row(
                body["experiment_name"] if place == 0 else "",
                body["effective_date"] if place == 0 else "",
                *_cells(variant),
                ", ".join(_marks(body)) if place == 0 else "",
                end_section=place == len(body["allocations"]) - 1,
            )
    data_console().print(table)
    notes_console().print("* control", style="dim")


def print_findings(findings: Iterable["Finding"]) -> None:
    """Print what `mab doctor` found, a line each and what to do below it."""
    console = data_console()
    for finding in findings:
        mark = "[green]ok  [/]" if finding.is_ok else "[red]fail[/]"
        console.print(f"{mark} {finding.part}: ", end="")
        console.print(finding.detail, markup=False, highlight=False, soft_wrap=True)
        if finding.experiments:
            names = f"     experiments: {', '.join(finding.experiments)}"
            console.print(names, markup=False, highlight=False, soft_wrap=True)
        if finding.remedy:
            console.print(f"     {finding.remedy}", markup=False, highlight=False, soft_wrap=True)


def print_prunable(found: Iterable["Prunable"], *, is_done: bool) -> None:
    """Print what `mab prune` found, a row per kind."""
    table = Table()
    for column in ("what", "how many", "bytes", "oldest", "newest"):
        table.add_column(column, justify="right" if column in {"how many", "bytes"} else "left")
    for item in found:
        days = (str(day or "") for day in (item.oldest, item.newest))
        table.add_row(item.kind, f"{item.amount:,}", f"{item.size_bytes:,}", *days)
    data_console().print(table)
    note = "Dropped." if is_done else "Nothing was changed; give --apply to drop it."
    notes_console().print(note, highlight=False)


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
