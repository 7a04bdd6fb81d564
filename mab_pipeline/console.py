"""Printing: lines and tables for a terminal.

What belongs here: how what is known is laid out. What does not: knowing it. Data goes to stdout,
text for a person to stderr.

Names, file names and messages come from outside, so nothing that is printed is ever parsed as
markup, and nothing is printed raw: text becomes a line or a cell by `words`, `say` and `add_row`
alone (`tests/abuse/test_names.py` looks for ways around them).
"""

import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from mab_store.plain_text import plain
from mab_store.settings import Settings

if TYPE_CHECKING:
    from mab_pipeline.operations.doctor import Finding
    from mab_pipeline.operations.ingest_verdicts import Rejections
    from mab_pipeline.operations.prune import Prunable

WIDTH_OF_A_PIPE = 200
Side = Literal["left", "right"]
Part = str | tuple[str, str]
_RAW = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")


class PlainConsole(Console):
    """A console that parses nothing and passes no control character on."""

    def __init__(self, *, stderr: bool = False, width: int | None = None) -> None:
        super().__init__(stderr=stderr, width=width, markup=False, emoji=False, highlight=False)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        """Render; a control character that nobody made plain becomes U+FFFD."""
        for segment in super().render(renderable, options):
            is_raw = not segment.is_control and _RAW.search(segment.text)
            yield segment._replace(text=_RAW.sub("\ufffd", segment.text)) if is_raw else segment


def notes_console() -> Console:
    """Return where text for a person goes."""
    return PlainConsole(stderr=True)


def data_console() -> Console:
    """Return where data goes; a pipe or a file gets lines that are not cut."""
    is_cut = sys.stdout.isatty() or "COLUMNS" in os.environ
    return PlainConsole(width=None if is_cut else WIDTH_OF_A_PIPE)


def own_name() -> str:
    """Return how this command is called here: by name where it is on the PATH, else by path."""
    return "mab" if shutil.which("mab") else os.path.relpath(sys.argv[0])


def words(*parts: Part) -> Text:
    """Return one line of text; each part is plain, or text with a style of ours."""
    styled = (part if isinstance(part, tuple) else (part, "") for part in parts)
    return Text.assemble(*((plain(text), style) for text, style in styled))


def say(console: Console, *parts: Part) -> None:
    """Print one line; it is not wrapped."""
    console.print(words(*parts), soft_wrap=True)


def complain(error: Exception) -> None:
    """Print an error as a person should read it."""
    say(notes_console(), ("mab:", "red"), f" {error}")


def new_table(title: str | None, columns: Iterable[tuple[str, Side]]) -> Table:
    """Return an empty table; each column has a header and a side."""
    table = Table(title=words(title) if title else None, title_justify="left")
    for header, side in columns:
        table.add_column(words(header), justify=side)
    return table


def add_row(table: Table, cells: Sequence[str], *, end_section: bool = False) -> None:
    """Add a row of plain text to a table."""
    table.add_row(*map(words, cells), end_section=end_section)


def print_allocations(bodies: Iterable[dict[str, Any]], settings: Settings) -> None:
    """Print a row per variant; what a person should know about an experiment stands beside it.

    Args:
        bodies: Bodies of `mab_store.allocation_payload`.
        settings: For the title.
    """
    table = new_table(
        f"Published allocations ({settings.mab_home})",
        (
            ("experiment", "left"),
            ("for", "left"),
            ("variant", "left"),
            ("share", "right"),
            ("P(best)", "right"),
            ("clicks / impressions", "right"),
            ("window", "left"),
            ("note", "left"),
        ),
    )
    for body in bodies:
        for place, variant in enumerate(body["allocations"]):
            cells = (
                body["experiment_name"] if place == 0 else "",
                body["effective_date"] if place == 0 else "",
                *_cells(variant),
                ", ".join(_marks(body)) if place == 0 else "",
            )
            add_row(table, cells, end_section=place == len(body["allocations"]) - 1)
    data_console().print(table)
    say(notes_console(), ("* control", "dim"))


def print_rejections(found: Iterable["Rejections"]) -> None:
    """Print which rows of a file the run will reject, before they are stored."""
    notes = notes_console()
    for rejections in found:
        rows = "1 row" if rejections.row_count == 1 else f"{rejections.row_count} rows"
        say(notes, ("will be rejected:", "yellow"), f" {rows} ({rejections.reason})")
        for example in rejections.examples:
            say(notes, f"  {example}")


def print_findings(findings: Iterable["Finding"]) -> None:
    """Print what `mab doctor` found, a line each and what to do below it."""
    console = data_console()
    for finding in findings:
        mark = ("ok  ", "green") if finding.is_ok else ("fail", "red")
        say(console, mark, f" {finding.part}: {finding.detail}")
        if finding.experiments:
            say(console, f"     experiments: {', '.join(finding.experiments)}")
        if finding.remedy:
            say(console, f"     {finding.remedy}")


def print_prunable(found: Iterable["Prunable"], *, is_done: bool) -> None:
    """Print what `mab prune` found, a row per kind."""
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
    data_console().print(table)
    note = "Dropped." if is_done else "Nothing was changed; give --apply to drop it."
    say(notes_console(), note)


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
