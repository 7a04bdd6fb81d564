"""A night of many experiments with a past made in the tables: its CPU by size, and its memory."""

import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa

from mab_pipeline.ingestion.loaders import load_daily_metrics, load_experiments, load_raw_metrics
from mab_pipeline.resources import build_platform
from mab_store.days import Days
from mab_store.experiments.schemas import experiment_id_of
from mab_store.files.folding import MOST_IN_A_SEGMENT
from mab_store.files.segments import SCHEMA
from mab_store.settings import load_settings
from tests.bench import history
from tests.bench.rows import Row

SIZES = (1_000, 10_000, 100_000)
PAST_DAYS = 30
MOST_GIGABYTES = {10_000: 0.6, 100_000: 3.0}
VARIANTS = ("control", "b", "c", "d")
LARGE = {"INBOX_MAX_FILE_MB": "1000", "INBOX_MAX_FILE_ROWS": "100000000"}


def rows() -> list[Row]:
    """Run a day of each size by the multinomial, after 30 days, in a process of its own."""
    seconds, peaks = {}, {}
    for size in (0, *SIZES):
        with tempfile.TemporaryDirectory() as folder:
            _run("tests.bench.nights", str(size), folder)
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            printed = _run("tests.bench.bench_pipeline", "daily", folder)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            seconds[size] = sum(after[:2]) - sum(before[:2])
            peaks[size] = int(printed.split()[-1]) / 2**20
    own = {size: (seconds[size] - seconds[0]) / size * 1e3 for size in SIZES}
    spread = max(own.values()) / min(own.values())
    figures = " / ".join(f"{own[size]:.2f}" for size in SIZES)
    return [
        Row(
            "a day by `multinomial` after 30 days, CPU per experiment of 4 variants at "
            f"{' / '.join(f'{size:,}' for size in SIZES)}, each less that of a day of none",
            "flat within 1.5 times",
            f"{spread:.2f} times ({figures} ms)",
            spread <= 1.5,
        ),
        *(
            Row(
                f"peak memory of the day of {size:,} x 4, with 30 days of history",
                f"<= {most} GB",
                f"{peaks[size]:.2f} GB",
                peaks[size] <= most,
            )
            for size, most in MOST_GIGABYTES.items()
        ),
    ]


def _run(*command: str) -> str:
    """Run a module in a process of its own; return its output."""
    environment = os.environ | {"ALLOCATION_METHOD": "multinomial"} | LARGE
    done = subprocess.run(
        [sys.executable, "-m", *command],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
    )
    return done.stdout


def prepare(home: Path, experiments: int) -> None:
    """Make a home whose newest 30 days are loaded, and hand in yesterday's counts.

    All days have the same counts: one is loaded from its file, the others are copied in the tables.
    """
    platform = build_platform(load_settings(mab_home=home))
    platform.warehouse.create_schema()
    names = [f"experiment {number}" for number in range(experiments)]
    for start in range(0, experiments, MOST_IN_A_SEGMENT):
        events = [_registration(name) for name in names[start : start + MOST_IN_A_SEGMENT]]
        platform.inbox.segments.write(pa.Table.from_pylist(events, schema=SCHEMA))
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    last = yesterday - timedelta(days=1)
    _hand_in(home, names, [yesterday - timedelta(days=back) for back in range(PAST_DAYS + 1)])
    load_experiments(platform)
    load_raw_metrics(platform, Days(last, yesterday))
    load_daily_metrics(platform, Days(last, yesterday))
    history.extend(home, last=last, days=PAST_DAYS)


def _registration(name: str) -> dict[str, object]:
    experiment_id = experiment_id_of(name)
    body = {
        "name": name,
        "variants": [{"name": each, "is_control": each == VARIANTS[0]} for each in VARIANTS],
        "experiment_id": experiment_id,
        "created_at": "2025-01-01T00:00:00Z",
    }
    payload = json.dumps(body, indent=2).encode()
    return {
        "source_file": f"experiments/{experiment_id}/registered.json",
        "sha256": hashlib.sha256(payload).hexdigest(),
        "payload": payload,
    }


def _hand_in(home: Path, names: list[str], days: list[date]) -> None:
    """Write the same counts for each day."""
    lines = ["experiment,variant_name,impressions,clicks"]
    for number, name in enumerate(names):
        lines += [
            f"{name},{variant},{1000 + number % 977},{10 + (number + place) % 17}"
            for place, variant in enumerate(VARIANTS)
        ]
    first = home / "counts.csv"
    first.write_text("\n".join(lines))
    for day in days:
        folder = home / "inbox" / "metrics" / str(day)
        folder.mkdir(parents=True)
        (folder / "gam.csv").hardlink_to(first)


if __name__ == "__main__":
    prepare(Path(sys.argv[2]), int(sys.argv[1]))
