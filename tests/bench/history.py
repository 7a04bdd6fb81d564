"""A day's run after a long past: the rows of one day that ran, again for each day before it."""

import shutil
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb

from mab_pipeline.allocation.publish import serve
from mab_pipeline.resources import Platform, build_platform
from mab_store.settings import load_settings
from tests.bench.daily_run import cpu_seconds
from tests.bench.rows import Row

SHORT, LONG = 30, 400  # days
REPEATS = 2

FILE = "replace(source_file, '{last}', '{day}')"
ANOTHER_ID = "md5(allocation_id || '{day}')"
ANOTHER_RUN = "run_id || '{day}'"

# For each table the column with its day, and what a row of another day has in other columns; `-` is
# as many days earlier.
COPIED = {
    "raw_metrics": ("metric_date", {"source_file": FILE}),
    "inbox_files": ("metric_date", {"source_file": FILE, "received_at": "-", "loaded_at": "-"}),
    "daily_metrics": ("metric_date", {"source_file": FILE}),
    "windowed_aggregates": ("as_of_date", {"window_start_date": "-"}),
    "allocations": (
        "as_of_date",
        {
            "allocation_id": ANOTHER_ID,
            "effective_date": "-",
            "computed_at": "-",
            "run_id": ANOTHER_RUN,
        },
    ),
    "publications": (
        "as_of_date",
        {
            "allocation_id": ANOTHER_ID,
            "data_through": "-",
            "published_at": "-",
            "run_id": ANOTHER_RUN,
        },
    ),
    "analysis": (
        "as_of_date",
        {"allocation_id": ANOTHER_ID, "analysed_at": "-", "run_id": ANOTHER_RUN},
    ),
}


def rows(prepared: Callable[[Path], object]) -> list[Row]:
    """Compare the CPU of the same day's run, of 1,000 x 4, after 30 and after 400 days.

    Both homes have the newest 31 days in the inbox; files of the days before are archived.

    Args:
        prepared: Makes a home of which the day before yesterday ran.
    """
    seconds: dict[int, float] = {}
    sizes: dict[int, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder) / "base"
        prepared(base)
        last = datetime.now(UTC).date() - timedelta(days=2)
        for days in (SHORT, LONG):
            home = Path(shutil.copytree(base, Path(folder) / str(days)))
            extend(home, last=last, days=days)
            runs = []
            for number in range(REPEATS):
                again = Path(shutil.copytree(home, Path(folder) / f"{days}-{number}"))
                held = {path.relative_to(again) for path in (again / "published").rglob("*")}
                command = [sys.executable, "-m", "tests.bench.bench_pipeline", "daily", str(again)]
                runs.append(cpu_seconds(command))
                sizes[days] = sum(
                    path.stat().st_size
                    for path in (again / "published").rglob("*")
                    if path.relative_to(again) not in held
                )
                shutil.rmtree(again)
            seconds[days] = min(runs)
    ratio = seconds[LONG] / seconds[SHORT]
    return [
        Row(
            f"a day's run of 1,000 x 4 after {LONG} days of history / after {SHORT}, CPU",
            "<= 1.15",
            f"{ratio:.2f} ({seconds[LONG]:.1f} / {seconds[SHORT]:.1f} s)",
            ratio <= 1.15,
        ),
        Row(
            "bytes that its publication writes, the same two",
            "<= 1.2",
            f"{sizes[LONG] / sizes[SHORT]:.2f} "
            f"({sizes[LONG] / 1e6:.1f} / {sizes[SHORT] / 1e6:.1f} MB)",
            sizes[LONG] <= 1.2 * sizes[SHORT],
        ),
    ]


def extend(home: Path, *, last: date, days: int) -> Platform:
    """Give a home a past that ends on a day that ran; write its journal and publish it.

    Args:
        home: The home; days that it holds already stay as they are.
        last: The newest day that ran.
        days: How many days the past is to have, `last` among them.
    """
    platform = build_platform(load_settings(mab_home=home))
    with duckdb.connect(platform.settings.warehouse_path) as connection:
        for table, (column, changes) in COPIED.items():
            days_held = connection.sql(f"select distinct {column} from {table}").fetchall()
            held = {row[0] for row in days_held}
            for offset in range(days - 1, 0, -1):
                day = last - timedelta(days=offset)
                if day not in held:
                    connection.execute(_copy(table, column, changes, last=last, day=day))
    serve(platform)
    return platform


def _copy(table: str, column: str, changes: dict[str, str], *, last: date, day: date) -> str:
    """Return the statement that adds the rows of a day."""
    earlier = f"to_days({(last - day).days})"
    replaced = [f"date '{day}' as {column}"]
    for name, text in changes.items():
        kind = "timestamp" if name.endswith("_at") else "date"
        value = f"cast({name} - {earlier} as {kind})" if text == "-" else text
        replaced.append(f"{value.format(last=last, day=day)} as {name}")
    return (
        f"insert into {table} select * replace ({', '.join(replaced)}) from {table} "
        f"where {column} = date '{last}'"
    )
