"""Lines and tables for a terminal.

Names, file names and messages come from outside. Nothing that is printed is parsed as markup or
printed raw: text becomes a line or a cell only by `words`, `say` and `add_row`
(`tests/abuse/test_names.py` looks for ways around them).
"""

import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from mab_pipeline.operations.text import Grid, Line, Side
from mab_store.plain_text import plain

WIDTH_OF_A_PIPE = 200
Part = str | tuple[str, str]
_RAW = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")


class PlainConsole(Console):
    """A console that parses nothing and passes no control character on."""

    def __init__(self, *, stderr: bool = False, width: int | None = None) -> None:
        super().__init__(stderr=stderr, width=width, markup=False, emoji=False, highlight=False)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        """Render; a control character that was not made plain becomes U+FFFD."""
        for segment in super().render(renderable, options):
            is_raw = not segment.is_control and _RAW.search(segment.text)
            yield segment._replace(text=_RAW.sub("\ufffd", segment.text)) if is_raw else segment


def notes_console() -> Console:
    """Return the console for people, on stderr."""
    return PlainConsole(stderr=True)


def data_console() -> Console:
    """Return the console for data, on stdout; a pipe or a file gets whole lines."""
    is_cut = sys.stdout.isatty() or "COLUMNS" in os.environ
    return PlainConsole(width=None if is_cut else WIDTH_OF_A_PIPE)


def own_name() -> str:
    """Return how this command is called here: by name if it is on the PATH, otherwise by path."""
    return "mab" if shutil.which("mab") else os.path.relpath(sys.argv[0])


def words(*parts: Part) -> Text:
    """Return one line of text; a part is plain text, or text with a style of ours."""
    styled = (part if isinstance(part, tuple) else (part, "") for part in parts)
    return Text.assemble(*((plain(text), style) for text, style in styled))


def say(console: Console, *parts: Part) -> None:
    """Print one line; it is not wrapped."""
    console.print(words(*parts), soft_wrap=True)


def complain(error: Exception) -> None:
    """Print an error as one sentence to stderr."""
    say(notes_console(), ("mab:", "red"), f" {error}")


class FittingTable(Table):
    """A table whose rows are stacked, a line per cell, if it is wider than the terminal.

    So no name is cut or broken into a narrow column.
    """

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render as a table if that fits."""
        if self.fits(options.max_width):
            yield from super().__rich_console__(console, options)
            return
        if self.title:
            yield words((str(self.title), "italic"))
        columns = [(str(column.header), list(column.cells)) for column in self.columns]
        for number in range(self.row_count):
            if number:
                yield Text()
            for header, cells in columns:
                if str(cells[number]):
                    yield words((f"{header}: ", "dim"), str(cells[number]))

    def fits(self, width: int) -> bool:
        """Return whether no cell has to be broken in this width [characters]."""
        console = PlainConsole(width=10_000)
        return bool(self.__rich_measure__(console, console.options).maximum <= width)


def new_table(title: str | None, columns: Iterable[tuple[str, Side]]) -> FittingTable:
    """Return an empty table; each column has a header and a side."""
    table = FittingTable(title=words(title) if title else None, title_justify="left")
    for header, side in columns:
        table.add_column(words(header), justify=side)
    return table


def add_row(table: Table, cells: Sequence[str], *, end_section: bool = False) -> None:
    """Add a row of plain text to a table."""
    table.add_row(*map(words, cells), end_section=end_section)


def note_table(table: Table) -> None:
    """Print a table for people to stderr."""
    notes_console().print(table)


def print_table(table: Table) -> None:
    """Print a table to stdout."""
    data_console().print(table)


def print_lines(lines: Iterable[str]) -> None:
    """Print lines of plain text to stdout, as they are: many, and much faster than `say`."""
    file = data_console().file
    for line in lines:
        file.write(f"{plain(line)}\n")


def print_aligned(columns: Sequence[tuple[str, Side]], rows: Iterable[Sequence[str]]) -> None:
    """Print rows to stdout as lines in columns, below a line of headers, without a frame."""
    cells = [[header for header, _ in columns]]
    cells += [[plain(cell) for cell in row] for row in rows]
    sizes = [[cell_len(cell) for cell in row] for row in cells]
    widths = [max(column) for column in zip(*sizes, strict=True)]
    print_lines(
        _aligned(*line, widths, [side for _, side in columns])
        for line in zip(cells, sizes, strict=True)
    )


def _aligned(
    cells: Sequence[str], sizes: Sequence[int], widths: Sequence[int], sides: Sequence[Side]
) -> str:
    padded = (
        " " * (width - size) + cell if side == "right" else cell + " " * (width - size)
        for cell, size, width, side in zip(cells, sizes, widths, sides, strict=True)
    )
    return "  ".join(padded).rstrip()


@contextmanager
def progress_bar() -> Iterator[Callable[[str, float], None]]:
    """Show a progress bar on stderr while the block runs; only a terminal gets one.

    Yields:
        A function that takes the name of the current step and the share of all work done, 0 to 1.
    """
    console = notes_console()
    bar = Progress(
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}", markup=False),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
    with bar:
        task = bar.add_task("", total=1.0)
        yield lambda text, done: bar.update(task, description=plain(text), completed=done)


def print_parts(parts: Iterable[Line | Grid]) -> None:
    """Print lines and tables to stdout."""
    data_console().print(rendered(parts))


def rendered(parts: Iterable[Line | Grid]) -> Group:
    """Return lines and tables as one text for a terminal."""
    return Group(*map(_rendered, parts))


def _rendered(part: Line | Grid) -> RenderableType:
    if isinstance(part, Line):
        return words((part.text, "bold") if part.is_heading else part.text)
    table = new_table(part.title, part.columns)
    for row in part.rows:
        add_row(table, row)
    return table
