"""One line of a benchmark's table: what every `bench_*.py` returns, and how it is printed.

What belongs here: the row and its rendering. What does not: measuring.
"""

from collections.abc import Iterable
from typing import NamedTuple


class Row(NamedTuple):
    """A measured figure beside what it must be.

    Attributes:
        name: What was measured, and against what.
        target: What it must be, in words; "reported" where nothing is promised.
        measured: The figure, with its unit.
        passed: Whether the target was met; None where nothing is promised.
    """

    name: str
    target: str
    measured: str
    passed: bool | None


def as_markdown(rows: Iterable[Row]) -> str:
    """Render rows as a Markdown table.

    Args:
        rows: The rows, in order.

    Returns:
        The table, with its header, ending in a newline.
    """
    verdict = {True: "yes", False: "**no**", None: ""}
    lines = ["| what | must | measured | met |", "| --- | --- | --- | --- |"]
    lines += [f"| {r.name} | {r.target} | {r.measured} | {verdict[r.passed]} |" for r in rows]
    return "\n".join(lines) + "\n"
