"""`make bench`: run every benchmark, print a table, and write docs/BENCHMARKS.md."""

import importlib
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench.rows import Row, as_markdown

MODULES = {
    "bench_bandit": "The numeric core",
    "bench_analysis": "The analysis of a publication",
    "bench_pipeline": "The pipeline",
    "bench_api": "The serving API",
    "bench_client": "The clients",
    "bench_dashboard": "The dashboard",
    "bench_operations": "Operations",
    "bench_simulation": "Simulation",
}
PAGE = Path(__file__).parents[2] / "docs" / "BENCHMARKS.md"
HEAD = """\
# Benchmarks

This page is for developers and operators. After reading it you know how fast mab is, how much
memory it needs, and which targets it misses.

`make bench` writes this page. Figures are ratios of medians from one run, and peaks of memory.
Seconds are those of this machine, with its other load. "Per core" means that both sides had one
core: our functions use every core, a plain loop uses one.

"""


def main() -> int:
    """Run the modules named on the command line, or all; return 1 if a target was missed."""
    chosen = [name for name in MODULES if not sys.argv[1:] or name in sys.argv[1:]]
    results = {name: importlib.import_module(f"tests.bench.{name}").run() for name in chosen}
    for name, rows in results.items():
        Console().print(_table(MODULES[name], rows))
    if chosen == list(MODULES):
        PAGE.write_text(HEAD + _machine() + "\n".join(map(_section, results.items())), "utf-8")
    return int(any(row.passed is False for rows in results.values() for row in rows))


def _table(title: str, rows: list[Row]) -> Table:
    table = Table("what", "must", "measured", "", title=title, title_justify="left")
    for row in rows:
        table.add_row(row.name, row.target, row.measured, _mark(row))
    return table


def _section(section: tuple[str, list[Row]]) -> str:
    name, rows = section
    return f"## {MODULES[name]}\n\n{as_markdown(rows)}"


def _mark(row: Row) -> str:
    return "reported" if row.passed is None else "met" if row.passed else "missed"


def _machine() -> str:
    now = datetime.now(UTC)
    version = platform.python_version()
    return f"{now:%Y-%m-%d}, {os.cpu_count()} cores, Python {version}.\n\n"


if __name__ == "__main__":
    sys.exit(main())
