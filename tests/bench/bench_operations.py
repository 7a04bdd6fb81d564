"""How fast operations are: the way of a late file, a backfill of a year, the start of a command.

Run it with `make bench`. All are measured as they happen: with Dagster's daemon, and with the
`mab run` that a person types. Seconds depend on the machine; the shares and ratios say what is
Dagster's own part, and what one run for many days saves.
"""

import csv
import io
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

import dagster as dg
import psutil

from mab_pipeline.operations.demo import sample_rows
from mab_pipeline.resources import Platform, build_platform
from mab_pipeline.runs.tags import TRIGGER
from mab_pipeline.sensors import INTERVAL_SECONDS
from mab_store.clock import utc_now
from mab_store.experiments.registration import register
from mab_store.experiments.schemas import ExperimentSpec, VariantSpec
from mab_store.settings import Settings, load_settings
from tests.bench.rows import Row

PROGRAMS = Path(sys.executable).parent
WORKSPACE = Path(__file__).parents[2] / "workspace.yaml"
ONE_DAY = timedelta(days=1)
SAMPLE_DAYS = 44
LATE_FILES = 3
YEAR, SINGLE_RUNS = 365, 10
DEADLINE_SECONDS = 300.0
TICK = "dagster/tick"
LOOKING = ("--help", "allocations", "explain asos_329386", "experiments list")
STARTS, MOST_OF_IMPORTS = 9, 3.0


class Effect(NamedTuple):
    """How long a late file took, from the beginning of the tick that found it [s].

    Attributes:
        until_step: Until the run's first step began: Dagster's queue, process and imports.
        until_published: Until the decision was published.
    """

    until_step: float
    until_published: float


def run() -> list[Row]:
    """Measure everything of this module."""
    return [*_a_late_file(), _a_year(), *_start_up()]


def _a_late_file() -> list[Row]:
    """Drop files for the newest published day while a daemon runs; each corrects the last."""
    with tempfile.TemporaryDirectory() as folder:
        platform, last = _home(Path(folder), days=SAMPLE_DAYS)
        _mab_run(platform.settings, last, last)
        with _daemon(platform.settings), _instance(platform.settings) as instance:
            effects = [_effect_of_a_file(platform, instance, last) for _ in range(LATE_FILES)]
    total = statistics.median(effect.until_published for effect in effects)
    share = statistics.median(effect.until_step / effect.until_published for effect in effects)
    name = "a late file of the sample: the sensor's tick and the run, until its publication"
    return [
        Row(name, f"reported; a tick is every {INTERVAL_SECONDS} s", f"{total:.1f} s", None),
        Row(
            "its part before the first step: Dagster's own start-up",
            "reported",
            f"{share:.0%}",
            None,
        ),
    ]


def _a_year() -> Row:
    """Compare one run of a year with ten of its days in a run each, all as `mab run`."""
    with tempfile.TemporaryDirectory() as folder:
        platform, last = _home(Path(folder) / "single", days=SAMPLE_DAYS)
        days = [last - n * ONE_DAY for n in reversed(range(SINGLE_RUNS + 1))]
        _mab_run(platform.settings, days[0], days[0])  # loads the days that the windows see
        single = [_mab_run(platform.settings, day, day) for day in days[1:]]
        platform, last = _home(Path(folder) / "year", days=YEAR)
        whole = _mab_run(platform.settings, last - (YEAR - 1) * ONE_DAY, last) / YEAR
    each = statistics.mean(single)
    return Row(
        f"backfill of {YEAR} days of the sample: one run, per day / {YEAR} single runs, per day "
        f"(from {SINGLE_RUNS})",
        "reported",
        f"{whole / each:.3f} ({whole:.2f} / {each:.1f} s)",
        None,
    )


def _start_up() -> list[Row]:
    """Compare commands that only look with the imports that any of them needs, in turns."""
    with tempfile.TemporaryDirectory() as folder:
        platform, last = _home(Path(folder), days=SAMPLE_DAYS)
        _mab_run(platform.settings, last, last)
        python = (str(PROGRAMS / "python"), "-c", "import typer, duckdb, pyarrow")
        mab = [(str(PROGRAMS / "mab"), *verb.split()) for verb in LOOKING]
        seconds: dict[tuple[str, ...], list[float]] = {command: [] for command in (python, *mab)}
        for _ in range(STARTS):
            for command, measured in seconds.items():
                measured.append(_seconds(command, platform.settings))
    medians = {command: statistics.median(measured) for command, measured in seconds.items()}
    base = medians.pop(python)
    return [
        Row(
            f"`mab {' '.join(command[1:])}` / `python -c 'import typer, duckdb, pyarrow'`",
            f"at most {MOST_OF_IMPORTS:g}",
            f"{median / base:.2f} ({median:.2f} / {base:.2f} s)",
            median / base <= MOST_OF_IMPORTS,
        )
        for command, median in medians.items()
    ]


def _seconds(command: tuple[str, ...], settings: Settings) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=_environment(settings))
    return time.perf_counter() - began


def _home(home: Path, *, days: int) -> tuple[Platform, date]:
    """Lay the sample on the days up to yesterday, again and again; return the last day."""
    last = utc_now().date() - ONE_DAY
    first = last - (days - 1) * ONE_DAY
    home.mkdir(exist_ok=True)
    settings = load_settings(mab_home=home, mab_start_date=first, _env_file=None)
    platform = build_platform(settings)
    variants, lines = defaultdict(set), defaultdict(list)
    for row in sample_rows():
        variants[row["experiment"]].add(row["variant"])
        counts = row["impressions"], row["clicks"]
        lines[int(row["day"]) - 1].append((row["experiment"], row["variant"], *counts))
    for name, names in variants.items():
        specs = [VariantSpec(name=v, is_control=v == "control") for v in sorted(names)]
        register(platform.inbox, ExperimentSpec(name=name, variants=specs), now=platform.clock())
    for number in range(days):
        day = first + number * ONE_DAY
        platform.inbox.write(f"metrics/{day}/gam.csv", _csv(lines[number % SAMPLE_DAYS]))
    return platform, last


def _csv(rows: list[tuple[str, ...]]) -> bytes:
    buffer = io.StringIO()
    header = ("experiment", "variant_name", "impressions", "clicks")
    csv.writer(buffer, lineterminator="\n").writerows([header, *rows])
    return buffer.getvalue().encode()


def _environment(settings: Settings) -> dict[str, str]:
    ours = {name.upper() for name in Settings.model_fields}
    others = {name: value for name, value in os.environ.items() if name not in ours}
    return others | {
        "MAB_HOME": str(settings.mab_home),
        "MAB_START_DATE": str(settings.mab_start_date),
        "MAB_SCHEDULE_HOUR": str((utc_now().hour + 12) % 24),  # not while this measures
        "DAGSTER_HOME": str(settings.mab_home / "dagster"),
    }


def _mab_run(settings: Settings, first: date, last: date) -> float:
    """Run days as a person does; return the seconds."""
    command = (str(PROGRAMS / "mab"), "run", "--from", str(first), "--to", str(last))
    return _seconds(command, settings)


@contextmanager
def _instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(str(settings.mab_home / "dagster")) as instance:
        yield instance


@contextmanager
def _daemon(settings: Settings) -> Iterator[None]:
    """Run Dagster's daemon on this home."""
    command = [str(PROGRAMS / "dagster-daemon"), "run", "-w", str(WORKSPACE)]
    with (settings.mab_home / "daemon.log").open("wb") as log:
        process = subprocess.Popen(
            command, env=_environment(settings), stdout=log, stderr=subprocess.STDOUT
        )
    try:
        yield
    finally:
        servers = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        process.wait(60)
        for server in psutil.wait_procs(servers, timeout=60)[1]:
            server.kill()


def _effect_of_a_file(platform: Platform, instance: dg.DagsterInstance, day: date) -> Effect:
    """Drop a correction of the newest published day; wait until it is published."""
    before = {run.run_id for run in instance.get_runs(dg.RunsFilter(tags=TRIGGER))}
    counts = 1_000 + len(before), 100
    name = f"metrics/{day}/late-{len(before)}.csv"
    rows = [("asos_329386", "control", *map(str, counts))]
    platform.inbox.write(name, _csv(rows))
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        runs = instance.get_runs(dg.RunsFilter(tags=TRIGGER))
        done = [run for run in runs if run.run_id not in before and run.is_finished]
        if done:
            return _effect(instance, done[0])
        time.sleep(0.5)
    raise TimeoutError(f"No run of the sensor brought {name} to effect.")


def _effect(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Effect:
    if not run.is_success:
        raise RuntimeError(f"The run {run.run_id} of the sensor failed.")
    assert instance.schedule_storage
    tick = instance.schedule_storage.get_tick(int(run.tags[TICK]))
    steps = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_START)
    made = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
    published = [
        entry.timestamp
        for entry in made
        if entry.dagster_event and entry.dagster_event.asset_key == dg.AssetKey("publication")
    ]
    return Effect(steps[0].timestamp - tick.timestamp, published[-1] - tick.timestamp)
