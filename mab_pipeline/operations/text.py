"""Text without a terminal: the lines and tables that an operation returns for printing."""

from dataclasses import dataclass
from typing import Literal

Side = Literal["left", "right"]


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text.

    Attributes:
        text: The text; it may quote names, so it is not plain yet.
        is_heading: Whether it stands out.
    """

    text: str = ""
    is_heading: bool = False


@dataclass(frozen=True, slots=True)
class Grid:
    """A table of text.

    Attributes:
        title: Its title.
        columns: Header and alignment of each column.
        rows: Its cells, row by row.
    """

    title: str
    columns: tuple[tuple[str, Side], ...]
    rows: tuple[tuple[str, ...], ...]
