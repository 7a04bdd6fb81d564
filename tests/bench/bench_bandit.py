"""How fast and how exact the numeric core is: `python tests/bench/bench_bandit.py`.

Every speed is a ratio of medians within one run, its repetitions interleaved with those of what it
is compared with, so that a busy machine slows both. Memory is the peak of a process of its own.
"""

import importlib.util
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime
from functools import partial
from pathlib import Path
from statistics import median
from types import ModuleType

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

from mab_pipeline.allocation.decide import decide, identify  # noqa: E402  # likewise
from mab_pipeline.allocation.rule_settings import RuleSettings  # noqa: E402  # likewise
from mab_pipeline.bandit import (  # noqa: E402 - the script first finds the package
    expected_loss,
    posterior,
    probability_best,
    thompson_shares,
)
from mab_pipeline.bandit.threads import available_cores  # noqa: E402  # likewise
from tests.bench.rows import Row, as_markdown  # noqa: E402  # likewise

FloatArray = NDArray[np.float64]

SAMPLES = 10_000
LOOP = 500
REPETITIONS = 5
SIZES = (1_000, 10_000, 100_000)
# 100,000 experiments with 10,000 draws take minutes; the time per draw is the same.
SAMPLES_AT_SCALE = 1_000
DECISIONS = 5_000
PER = 100_000


def realistic_batch(n: int, *, n_variants: int = 4, seed: int = 5) -> tuple[FloatArray, FloatArray]:
    """Posteriors as they come: 200 to a million impressions, 1 to 10 % CTR, ties, cold arms."""
    rng = np.random.default_rng(seed)
    impressions = np.exp(rng.uniform(np.log(200), np.log(1e6), (n, n_variants)))
    ctr = rng.uniform(0.01, 0.1, (n, 1)) * np.exp(rng.normal(0.0, 0.1, (n, n_variants)))
    tie = rng.random(n) < 0.2
    impressions[tie], ctr[tie] = impressions[tie, :1], ctr[tie, :1]
    impressions[rng.random((n, n_variants)) < 0.05] = 0  # prior only
    shown = impressions.astype(np.int64)
    return posterior(rng.binomial(shown, ctr), shown, prior_alpha=1.0, prior_beta=99.0)


def ragged_batch() -> tuple[FloatArray, FloatArray]:
    """10,000 experiments of 4 variants and 20 of 80, padded to one width."""
    batch = np.full((2, 10_020, 80), np.nan)
    batch[:, :10_000, :4] = realistic_batch(10_000)
    batch[:, 10_000:] = realistic_batch(20, n_variants=80)
    return batch[0], batch[1]


def plain_loop(alpha: FloatArray, beta: FloatArray) -> None:
    """Do what everyone writes first."""
    rng = np.random.default_rng(1)
    for a, b in zip(alpha, beta, strict=True):
        np.bincount(rng.beta(a, b, size=(SAMPLES, len(a))).argmax(1), minlength=len(a))


def thompson(alpha: FloatArray, beta: FloatArray, samples: int) -> None:
    """Draw with seeds 0, 1, 2, ..."""
    thompson_shares(alpha, beta, samples=samples, seeds=np.arange(len(alpha)))


def medians(work: Mapping[str, Callable[[], object]], repetitions: int) -> dict[str, float]:
    """Median seconds of each piece of work, the repetitions of all interleaved."""
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(repetitions):
        for name, function in work.items():
            start = time.perf_counter()
            function()
            seconds[name].append(time.perf_counter() - start)
    return {name: median(values) for name, values in seconds.items()}


def reference_module() -> ModuleType:
    """Load the test data's generator, whose oracle shares no formula with the package."""
    path = ROOT / "tests/unit/pipeline/bandit/data/make_reference.py"
    spec = importlib.util.spec_from_file_location("make_reference", path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def largest_error(alpha: FloatArray, beta: FloatArray) -> float:
    """Largest absolute error of probability_best on a batch, against the oracle."""
    oracle = reference_module().quantile
    best = probability_best(alpha, beta)
    truth = [oracle(list(zip(a, b, strict=True)))[0] for a, b in zip(alpha, beta, strict=True)]
    return float(np.abs(best - truth).max())


def peak_mb(what: str) -> float:
    """Peak resident memory of `work_in_process(what)` in a process of its own, in MB."""
    command = [sys.executable, str(Path(__file__).resolve()), what]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    return float(done.stdout)


def own_peak_mb() -> float:
    """Peak resident memory of this process in MB."""
    status = Path("/proc/self/status")
    if status.exists():
        # On Linux ru_maxrss survives exec, so it would report the parent's peak if that is larger.
        lines = status.read_text(encoding="ascii").splitlines()
        return next(float(line.split()[1]) / 2**10 for line in lines if line.startswith("VmHWM"))
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def work_in_process(what: str) -> None:
    """Do one thing and print this process's peak resident memory in MB."""
    batch = ragged_batch() if what == "ragged" else realistic_batch(SIZES[-1])
    if what == "thompson":
        thompson(*batch, SAMPLES_AT_SCALE)
    else:
        probability_best(*batch)
    sys.stdout.write(f"{own_peak_mb()}\n")


@contextmanager
def one_core() -> Iterator[None]:
    """Let this process use a single core: the functions then use a single thread, as the loop."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def against_the_loop() -> list[Row]:
    """Compare both functions with the plain loop, and the exact one with the truth.

    The loop has one thread. Per core is the fair comparison; on all cores is what a run gains.
    """
    alpha, beta = realistic_batch(10_000)
    some = alpha[:LOOP], beta[:LOOP]
    work: dict[str, Callable[[], object]] = {
        "loop": lambda: plain_loop(*some),
        "exact": lambda: probability_best(alpha, beta),
        "loss": lambda: expected_loss(alpha, beta),
        "thompson": lambda: thompson(*some, SAMPLES),
    }
    with one_core():
        single = _times_faster(medians(work, REPETITIONS), len(alpha))
    threaded = _times_faster(medians(work, REPETITIONS), len(alpha))
    error = largest_error(alpha[:50], beta[:50])
    cores = f"on {available_cores()} cores"
    return [
        Row(
            "`probability_best`, 10,000 x 4, against the plain loop, per experiment and core",
            ">= 60 times faster",
            f"{single['exact']:.0f} times",
            single["exact"] >= 60,
        ),
        Row(f"the same {cores}; the loop has one thread", "reported", *_times(threaded["exact"])),
        Row(
            "its largest error on 50 of them, against an independent oracle good to 1e-11",
            "<= 1e-9",
            f"{error:.1e}",
            error <= 1e-9,
        ),
        Row(
            "`expected_loss`, against its plain loop, per core", "reported", *_times(single["loss"])
        ),
        Row(
            f"`thompson_shares`, {LOOP} x 4, {SAMPLES:,} samples, against the loop, per core",
            "reported: it draws as many numbers as the loop",
            *_times(single["thompson"]),
        ),
        Row(
            f"the same {cores}; the loop has one thread",
            ">= 1.6 times faster",
            f"{threaded['thompson']:.2f} times",
            threaded["thompson"] >= 1.6,
        ),
    ]


def _times_faster(took: Mapping[str, float], batch: int) -> dict[str, float]:
    """Return how many times faster than the loop each function is, per experiment."""
    sizes = {"exact": batch, "loss": batch, "thompson": LOOP}
    loop = took["loop"] / LOOP
    return {name: loop / (took[name] / size) for name, size in sizes.items()}


def _times(ratio: float) -> tuple[str, None]:
    return (f"{ratio:.0f} times" if ratio >= 10 else f"{ratio:.2f} times"), None


def warm_cpu_seconds(function: Callable[[], object], n: int) -> float:
    """CPU seconds per experiment of a call that follows one of its own kind.

    The first call after one of another size pays for fresh memory; a small one is repeated, since
    a clock is too coarse for it.
    """
    if n < SIZES[-1]:
        function()
    calls = max(1, SIZES[1] // n)
    start = time.process_time()
    for _ in range(calls):
        function()
    return (time.process_time() - start) / (n * calls)


def at_scale() -> list[Row]:
    """Compare the CPU time per experiment at several sizes."""
    batches = {n: realistic_batch(n) for n in SIZES}
    functions: dict[str, Callable[[FloatArray, FloatArray], object]] = {
        "probability_best": probability_best,
        "thompson_shares": lambda a, b: thompson(a, b, SAMPLES_AT_SCALE),
    }
    rows = []
    for name, function in functions.items():
        took: dict[int, list[float]] = {n: [] for n in SIZES}
        for _ in range(3):
            for n, batch in batches.items():
                took[n].append(warm_cpu_seconds(partial(function, *batch), n))
        each = [median(took[n]) * 1e6 for n in SIZES]
        spread = max(each) / min(each)
        figures = " / ".join(f"{micro:.0f}" for micro in each)
        rows.append(
            Row(
                f"`{name}`, CPU per experiment, at {' / '.join(f'{n:,}' for n in SIZES)} x 4, warm",
                "flat within 1.5 times",
                f"{spread:.2f} times ({figures} us)",
                spread <= 1.5,
            )
        )
    return rows


def decision_inputs(n: int) -> pa.Table:
    """Rows of `sql/assets/allocations_inputs.sql`: n experiments of 4 variants of one day."""
    alpha, beta = realistic_batch(n)
    clicks, shown = (alpha - 1).astype(np.int64), (alpha + beta - 100).astype(np.int64)
    counts = {"impressions": shown.ravel(), "clicks": clicks.ravel()}
    both = {f"{w}_window_{name}": v for w in ("default", "max") for name, v in counts.items()}
    names = np.char.add("exp_", np.char.zfill(np.arange(n).astype(str), 12))
    return pa.table(
        {
            "as_of_date": pa.array([date(2025, 3, 1)] * (4 * n)),
            "experiment_id": np.repeat(names, 4),
            "variant_name": np.tile(["control", "a", "b", "c"], n),
            "window_days": np.full(4 * n, 14),
            "data_source": np.where(shown.ravel() > 0, "default_window", "prior"),
            **counts,
            **both,
            "impressions_since_joined": pa.nulls(4 * n, pa.int64()),
        }
    )


def decisions_at_scale() -> list[Row]:
    """Measure naming and deciding, which is what the asset `allocations` does beside SQL."""
    inputs = decision_inputs(DECISIONS)
    exact = RuleSettings(14, 30, 200, 1.0, 99.0, "exact", SAMPLES, 0)
    others = {
        name: replace(exact, allocation_method=name) for name in ("multinomial", "monte_carlo")
    }
    moment = datetime(2025, 3, 2)  # noqa: DTZ001  # the warehouse holds naive UTC

    def decided(rule: RuleSettings) -> None:
        decide(identify(inputs, rule, version="v"), version="v", now=moment, run_id="r")

    work: dict[str, Callable[[], object]] = {
        "name": lambda: identify(inputs, exact, version="v"),
        "exact": lambda: decided(exact),
        **{name: partial(decided, rule) for name, rule in others.items()},
    }
    took = {name: s / DECISIONS * PER for name, s in medians(work, 3).items()}
    return [
        Row(
            f"{PER:,} decisions of 4 variants, from {DECISIONS:,}: their ids alone / exact / "
            f"multinomial / {SAMPLES:,} literal draws",
            "reported",
            f"{took['name']:.1f} / {took['exact']:.1f} / {took['multinomial']:.1f} / "
            f"{took['monte_carlo']:.0f} s",
            None,
        )
    ]


def in_memory() -> list[Row]:
    """Measure peak memory, each in a process of its own."""
    names = {
        "exact": f"`probability_best`, {SIZES[-1]:,} x 4: peak memory of the process",
        "thompson": f"`thompson_shares`, {SIZES[-1]:,} x 4: peak memory of the process",
        "ragged": "`probability_best`, 10,000 x 4 and 20 x 80: peak memory of the process",
    }
    peaks = {what: peak_mb(what) for what in names}
    return [
        Row(names[what], "< 1 GB", f"{peak:.0f} MB", peak < 1_000) for what, peak in peaks.items()
    ]


def ragged() -> list[Row]:
    """Measure what 20 wide experiments cost among 10,000 narrow ones."""
    narrow, wide = realistic_batch(10_000), ragged_batch()
    took = medians(
        {
            "narrow": lambda: probability_best(*narrow),
            "ragged": lambda: probability_best(*wide),
        },
        REPETITIONS,
    )
    ratio = took["ragged"] / took["narrow"]
    name = "`probability_best`, 10,000 x 4 and 20 x 80 padded, against 10,000 x 4"
    return [Row(name, "reported", f"{ratio:.2f} times the time", None)]


def run() -> list[Row]:
    """Measure everything; takes a minute or two."""
    return [*against_the_loop(), *at_scale(), *ragged(), *decisions_at_scale(), *in_memory()]


if __name__ == "__main__":
    if sys.argv[1:]:
        work_in_process(sys.argv[1])
    else:
        sys.stdout.write(as_markdown(run()))
