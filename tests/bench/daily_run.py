"""The daily run as a command, in CPU seconds: a small one against Dagster, a large by method."""

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

from mab_pipeline.checks.definitions import CHECKS
from mab_pipeline.operations.dagster_home import DAGSTER_YAML
from tests.bench.hand_in import hand_in
from tests.bench.rows import Row

SMALL = 10
REPEATS = 3
EMPTY_JOB = Path(__file__).with_name("empty_job.py")


def rows(prepared: Callable[[Path], object]) -> list[Row]:
    """Measure both.

    Args:
        prepared: Makes a home of 10,000 experiments whose history is loaded.
    """
    with tempfile.TemporaryDirectory() as scratch:
        return [_a_small_run(Path(scratch)), _by_multinomial(Path(scratch), prepared)]


def _a_small_run(scratch: Path) -> Row:
    """Compare `mab run` of 10 experiments with a job of the same shape and empty bodies."""
    home, empty = scratch / "small", scratch / "empty"
    for folder in (home / "dagster", empty):
        folder.mkdir(parents=True)
        (folder / "dagster.yaml").write_text(DAGSTER_YAML)
    hand_in(home, experiments=SMALL)
    days = [
        str(datetime.now(UTC).date() - timedelta(days=back)) for back in range(REPEATS + 1, 0, -1)
    ]
    shape = json.dumps({asset: [check.name for check in own] for asset, own in CHECKS.items()})
    mab = [str(Path(sys.executable).with_name("mab")), "run", "--date"]
    nothing = [sys.executable, str(EMPTY_JOB), shape]
    ours: list[float] = []
    dagsters: list[float] = []
    for repeat, day in enumerate(days):  # the first of both makes Dagster's tables
        took = cpu_seconds([*mab, day], MAB_HOME=home, DAGSTER_HOME=home / "dagster")
        bare = cpu_seconds([*nothing, day], DAGSTER_HOME=empty)
        if repeat:
            ours.append(took)
            dagsters.append(bare)
    ratio = median(ours) / median(dagsters)
    steps = f"{len(CHECKS)} assets and {len(CHECKS)} steps of checks"
    return Row(
        f"`mab run` of {SMALL} experiments / Dagster's own job of the same shape with empty bodies "
        f"({steps}), both as a command, CPU",
        "<= 2",
        f"{ratio:.2f} ({median(ours):.1f} / {median(dagsters):.1f} s)",
        ratio <= 2,
    )


def _by_multinomial(scratch: Path, prepared: Callable[[Path], object]) -> Row:
    """Compare a day of 10,000 x 4 by the multinomial with the same day by literal draws."""
    first = scratch / "monte_carlo"
    prepared(first)
    shutil.copytree(first, scratch / "multinomial")
    took = {
        method: cpu_seconds(
            [sys.executable, "-m", "tests.bench.bench_pipeline", "daily", str(scratch / method)],
            ALLOCATION_METHOD=method,
        )
        for method in ("monte_carlo", "multinomial")
    }
    ratio = took["multinomial"] / took["monte_carlo"]
    return Row(
        "daily run of 10,000 x 4, 30 days of history, CPU: `multinomial` / literal draws",
        "<= 0.35",
        f"{ratio:.2f} ({took['multinomial']:.1f} / {took['monte_carlo']:.1f} s)",
        ratio <= 0.35,
    )


def cpu_seconds(command: Sequence[str], **environment: object) -> float:
    """Run a command; return the CPU seconds of it and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        command,
        check=True,
        capture_output=True,
        env=os.environ | {name: str(value) for name, value in environment.items()},
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
