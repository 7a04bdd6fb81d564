"""How fast the SQL and the daily run are: ratios of medians in one run.

Run it with `make bench`. Every figure is a ratio against something that ran beside it, since the
absolute times of a shared machine mean nothing.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import duckdb

from mab_pipeline.allocation.publish import serve
from mab_pipeline.allocation.rule_settings import RuleSettings
from mab_pipeline.checks.definitions import CHECKS
from mab_pipeline.definitions import build_defs
from mab_pipeline.ingestion.loaders import load_daily_metrics, load_experiments, load_raw_metrics
from mab_pipeline.jobs import DAILY_ALLOCATION
from mab_pipeline.resources import Platform, build_platform
from mab_store.days import Days
from mab_store.settings import load_settings
from tests.bench import daily_run, history, nights
from tests.bench.empty_job import empty_job
from tests.bench.hand_in import HISTORY_DAYS, VARIANTS, hand_in
from tests.bench.rows import Row

START = date(2025, 6, 1)
EXPERIMENTS = 10_000

REGISTRY = """
insert into experiments (
    experiment_id, valid_from_date, experiment_name, description, status, start_date, created_at,
    valid_to_date
)
select 'exp_' || lpad(i::varchar, 12, '0'), date '1900-01-01', 'experiment ' || i, null, 'running',
    null, timestamp '2025-01-01', date '9999-12-31'
from range({experiments}) as e (i);
insert into variants (
    experiment_id, variant_name, valid_from_date, is_control, position, status, valid_to_date
)
select 'exp_' || lpad(i::varchar, 12, '0'), 'variant_' || v, date '1900-01-01', v = 0, v,
    'active', date '9999-12-31'
from range({experiments}) as e (i), range({variants}) as w (v);
"""
HISTORY = """
insert into daily_metrics (
    metric_date, experiment_id, variant_name, impressions, clicks, source_file, received_at
)
select date '{start}' + d::integer, 'exp_' || lpad(i::varchar, 12, '0'), 'variant_' || v,
    1000 + (hash(i, v, d) % 1000)::bigint, (hash(i, v, d) % 50)::bigint, 'metrics/x.csv',
    timestamp '2025-01-01'
from range({days}) as f (d), range({experiments}) as e (i), range({variants}) as w (v)
order by 1, 2, 3
"""
BARE_SUM = """
create or replace table bare as
select experiment_id, variant_name, sum(impressions) as impressions, sum(clicks) as clicks
from daily_metrics
where metric_date >= ? and metric_date <= ?
group by experiment_id, variant_name
"""


def run() -> list[Row]:
    """Measure everything of this module."""
    return [
        *_one_day_over_16m_rows(),
        _a_year_in_one_range(),
        *_the_daily_run(),
        *daily_run.rows(lambda home: _in_process("prepare", home)),
        *history.rows(lambda home: _in_process("past", home)),
        *nights.rows(),
    ]


def _one_day_over_16m_rows() -> list[Row]:
    """Compare one as-of day with the least that any such statement must do."""
    with tempfile.TemporaryDirectory() as folder:
        platform = filled(Path(folder), experiments=10_000, days=400)
        day = START + timedelta(days=399)
        path = platform.settings.warehouse_path

        def bare() -> None:
            with duckdb.connect(path) as connection:
                connection.begin()
                connection.execute(BARE_SUM, [day - timedelta(days=29), day])
                connection.commit()

        def ours() -> None:
            aggregate(platform, Days(day, day + timedelta(days=1)))

        ratio = _ratio(ours, bare, repeats=9)
        name = "windowed_aggregates of one day over 16M rows / bare 30-day sum, each a transaction"
        return [Row(name, "<= 3", f"{ratio:.2f}", ratio <= 3)]


def _a_year_in_one_range() -> Row:
    """Compare one statement for a year with a statement and a transaction for each day."""
    with tempfile.TemporaryDirectory() as folder:
        platform = filled(Path(folder), experiments=1_000, days=400)
        first = START + timedelta(days=35)
        days = [first + timedelta(days=offset) for offset in range(365)]

        def whole() -> None:
            aggregate(platform, Days(first, first + timedelta(days=365)))

        def singly() -> None:
            for day in days:
                aggregate(platform, Days(day, day + timedelta(days=1)))

        ratio = _ratio(whole, singly, repeats=3)
        name = "windowed_aggregates of 365 days in one range / 365 single days (1,000 x 4)"
        return Row(name, "<= 0.2", f"{ratio:.3f}", ratio <= 0.2)


def _the_daily_run() -> list[Row]:
    """Compare a whole day of 10,000 x 4 with the same job doing nothing; in a process each.

    The days that the window sees are loaded before, as on any day but the first. The first run,
    which loads them all, needs the most memory.
    """
    times, peaks = {}, {}
    with tempfile.TemporaryDirectory() as scratch:
        for kind in ("first", "empty", "prepare", "daily"):
            home = Path(scratch) / ("later" if kind in {"prepare", "daily"} else kind)
            times[kind], peaks[kind] = _in_process(kind, home)
    ratio = times["daily"] / times["empty"]
    steps = f"{len(CHECKS)} assets and {len(CHECKS)} steps of checks"
    return [
        Row(
            f"daily run of 10,000 x 4 / the same job with empty bodies ({steps})",
            "reported",
            f"{ratio:.1f} ({times['daily']:.0f} / {times['empty']:.1f} s)",
            None,
        ),
        Row(
            f"its peak memory, with {HISTORY_DAYS} days of history",
            "< 2 GB",
            f"{peaks['daily']:.2f} GB",
            peaks["daily"] < 2,
        ),
        Row(
            f"peak memory of the first run, which loads {HISTORY_DAYS} days",
            "< 2 GB",
            f"{peaks['first']:.2f} GB",
            peaks["first"] < 2,
        ),
    ]


def _in_process(kind: str, home: Path) -> tuple[float, float]:
    """Do one thing of `main` in a process of its own; return its seconds and its peak [GB]."""
    command = [sys.executable, "-m", "tests.bench.bench_pipeline", kind, str(home)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds, peak = done.stdout.split()[-2:]
    return float(seconds), int(peak) / 2**20


def filled(home: Path, *, experiments: int, days: int) -> Platform:
    """Return a home whose warehouse holds a generated registry and history."""
    platform = build_platform(load_settings(mab_home=home))
    platform.warehouse.create_schema()
    with duckdb.connect(platform.settings.warehouse_path) as connection:
        sizes = {"experiments": experiments, "variants": VARIANTS}
        connection.execute(REGISTRY.format(**sizes))
        connection.execute(HISTORY.format(**sizes, days=days, start=START))
    return platform


def aggregate(platform: Platform, days: Days) -> None:
    """Compute the windows of a range of days in a transaction of its own."""
    parameters = days.parameters | RuleSettings.of(platform.settings).window_parameters
    with platform.warehouse.transaction() as transaction:
        transaction.execute("assets/windowed_aggregates", parameters)


def _ratio(ours: Callable[[], None], other: Callable[[], None], *, repeats: int) -> float:
    """Return the ratio of medians, the two measured in turn after a warm-up each."""
    times: dict[str, list[float]] = {"ours": [], "other": []}
    for repeat in range(repeats + 1):
        for name, call in (("ours", ours), ("other", other)):
            began = time.perf_counter()
            call()
            if repeat:
                times[name].append(time.perf_counter() - began)
    return statistics.median(times["ours"]) / statistics.median(times["other"])


def _run_a_day(home: Path, *, days_ago: int = 1) -> float:
    """Run yesterday, or an earlier day; return the seconds of the run."""
    platform = build_platform(load_settings(mab_home=home))
    day = platform.clock().date() - timedelta(days=days_ago)
    return _timed(build_defs(platform=platform).resolve_job_def(DAILY_ALLOCATION), str(day))


def _load_history(platform: Platform) -> None:
    """Load every day but yesterday, as the runs before did."""
    yesterday = platform.clock().date() - timedelta(days=1)
    days = Days(yesterday - timedelta(days=HISTORY_DAYS - 1), yesterday)
    load_experiments(platform)
    load_raw_metrics(platform, days)
    load_daily_metrics(platform, days)
    serve(platform)


def _run_nothing() -> float:
    """Run a job of the same assets and checks, one behind the other, whose bodies are empty."""
    shape = {asset: [check.name for check in own] for asset, own in CHECKS.items()}
    return _timed(empty_job(shape), "2025-06-01")


def _timed(job: dg.JobDefinition, partition: str) -> float:
    with dg.instance_for_test() as instance:
        began = time.perf_counter()
        result = job.execute_in_process(instance=instance, partition_key=partition)
        assert result.success
        return time.perf_counter() - began


def _peak_kilobytes() -> int:
    """Return the peak of this process; getrusage would count the parent's, up to the exec."""
    status = Path("/proc/self/status").read_text("ascii")
    return int(status.split("VmHWM:")[1].split()[0])


def main(kind: str, home: Path) -> None:
    """Do one thing; print its seconds and this process's peak memory [kB]."""
    elapsed = 0.0
    if kind in {"first", "prepare", "past"}:
        platform = hand_in(home, experiments=1_000 if kind == "past" else EXPERIMENTS)
    if kind in {"prepare", "past"}:
        _load_history(platform)
    if kind == "past":
        _run_a_day(home, days_ago=2)
    elif kind == "empty":
        elapsed = _run_nothing()
    elif kind != "prepare":
        elapsed = _run_a_day(home)
    print(elapsed, _peak_kilobytes())  # noqa: T201  # the parent reads it


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
