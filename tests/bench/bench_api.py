"""How fast the serving API is: ratios in one run, two processes on two cores.

`python -m tests.bench.bench_api soak [seconds]` runs the soak alone.
"""

import asyncio
import itertools
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import httpx
import orjson
import psutil

from tests.bench.load import Result, load
from tests.bench.rows import Row
from tests.integration.api.homes import YESTERDAY, Home
from tests.integration.api.servers import ROOT, free_port, wait_until_up

EXPERIMENTS = 10_000
ROUNDS = 7
SLICE_SECONDS = 2.0
SOAK_SECONDS = float(os.environ.get("MAB_SOAK_SECONDS", "300"))
PUBLISH_SECONDS = 10.0


def run() -> list[Row]:
    """Measure everything of this module."""
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / "home")
        home.invent(EXPERIMENTS)
        home.publish()
        with (
            _api(Path(folder) / "empty", ready=False) as (_, empty),
            _api(home.settings.mab_home) as (port, api),
        ):
            grown = (_memory(api) - _memory(empty)) / 2**20
            first_byte = [_first_byte(port, encoding) for encoding in ("gzip", "identity")]
            paths = _allocation_paths(home)
            ratio = _ratio_to_bare(port, paths, Path(folder))
            calm, busy = _p99_while_refreshing(port, paths, home)
            after = (_memory(api) - _memory(empty)) / 2**20
    return [
        Row(
            "GET /experiments/{id}/allocation, 10,000 experiments, 32 connections / bare Starlette",
            ">= 0.8",
            f"{ratio:.2f}",
            ratio >= 0.8,
        ),
        Row(
            "its p99 while a refresh of 10,000 x 4 runs / without",
            "<= 2",
            f"{busy / calm:.2f} ({busy * 1e3:.1f} / {calm * 1e3:.1f} ms)",
            busy <= 2 * calm,
        ),
        Row(
            "memory with 10,000 x 4, after the first load and after refreshes, above the empty app",
            "<= 300 MB",
            f"{grown:.0f} MB, {after:.0f} MB",
            max(grown, after) <= 300,
        ),
        Row(
            "first byte of GET /allocations, 10,000 experiments, gzip and plain",
            "< 50 ms",
            ", ".join(f"{seconds * 1e3:.1f} ms" for seconds in first_byte),
            max(first_byte) < 0.05,
        ),
        *soak(),
    ]


def soak(seconds: float = SOAK_SECONDS) -> list[Row]:
    """Read everything at full speed while publications land every 10 s."""
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / "home")
        home.invent(1_000)
        home.publish()
        with _api(home.settings.mab_home) as (port, api), _publisher(home):
            warm = asyncio.run(_mixed(port, home, seconds=min(40.0, seconds / 4)))
            before = _memory(api)
            result = asyncio.run(_mixed(port, home, seconds=seconds))
            after = _memory(api)
            served = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    refreshes = _refresh_failures(served)
    errors, torn = warm.errors + result.errors, warm.torn + result.torn
    name = f"soak, {seconds:.0f} s of mixed reads of 1,000 x 4, a publication every 10 s"
    figures = f"{errors} errors, {torn} torn in {len(result.latencies):,} answers"
    return [
        Row(
            name, "0 errors, 0 torn", f"{figures}, {refreshes} failed refreshes", errors + torn == 0
        ),
        Row(
            "its memory at the end / after the warm-up",
            "<= 1.2",
            f"{after / before:.2f} ({after / 2**20:.0f} / {before / 2**20:.0f} MB)",
            after <= 1.2 * before,
        ),
    ]


def _refresh_failures(metrics: str) -> str:
    name = "mab_refresh_failures_total "
    line = next(line for line in metrics.splitlines() if line.startswith(name))
    return line.removeprefix(name).removesuffix(".0")


@contextmanager
def _process(*command: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, *command],
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


@contextmanager
def _api(home: Path, *, ready: bool = True) -> Iterator[tuple[int, psutil.Process]]:
    """Serve a home; ready: wait for its first load. An empty home is never ready."""
    port = free_port()
    settings = {"MAB_HOME": str(home), "API_PORT": str(port), "API_REFRESH_SECONDS": "0.5"}
    with _process("-m", "mab_api", **settings) as process:
        wait_until_up(f"http://127.0.0.1:{port}")
        if ready:
            _wait_until_ready(port)
        yield port, psutil.Process(process.pid)


def _wait_until_ready(port: int) -> None:
    """Wait for the first load; a server answers before it."""
    deadline = time.monotonic() + 300
    while httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=60).status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)


@contextmanager
def _bare(folder: Path, port: int) -> Iterator[int]:
    """Serve the very bytes that the API serves."""
    listed = httpx.get(f"http://127.0.0.1:{port}/allocations", timeout=60).json()["experiments"]
    bodies = {body["experiment_id"]: orjson.dumps(body).decode() for body in listed}
    path = folder / "bodies.json"
    path.write_text(json.dumps(bodies), "utf-8")
    own = free_port()
    command = ("-m", "uvicorn", "tests.bench.bare_app:app", "--port", str(own), "--no-access-log")
    with _process(*command, BARE_BODIES=str(path)):
        wait_until_up(f"http://127.0.0.1:{own}")
        yield own


@contextmanager
def _publisher(home: Home) -> Iterator[None]:
    """Publish every 10 s from a process of its own."""
    with _process("-m", "tests.bench.bench_api", "publish", str(home.settings.mab_home)):
        yield


def _publish_for_ever(root: Path) -> None:
    home = Home(root)
    home.invent(1_000)
    for number in itertools.count(1):
        started = time.monotonic()
        home.clock.now += timedelta(minutes=1)
        home.publish(YESTERDAY + timedelta(days=number), counts=number < 30)
        time.sleep(max(0.0, PUBLISH_SECONDS - (time.monotonic() - started)))


def _ratio_to_bare(port: int, paths: list[bytes], folder: Path) -> float:
    """Return the median ratio of the rates, the two measured in turns."""
    with _bare(folder, port) as bare_port:
        ratios = []
        for number in range(ROUNDS + 1):
            ours = _load(port, paths, SLICE_SECONDS)
            bare = _load(bare_port, paths, SLICE_SECONDS)
            assert ours.errors == bare.errors == 0
            if number:  # the first round warms up
                ratios.append(ours.rate / bare.rate)
                _say(f"  {ours.rate:,.0f} / {bare.rate:,.0f} requests/s")
    return statistics.median(ratios)


def _p99_while_refreshing(port: int, paths: list[bytes], home: Home) -> tuple[float, float]:
    """Return the p99 without and with a refresh, each the median of several turns."""
    first = home.copies()[-1].name
    home.clock.now += timedelta(hours=1)
    second = home.publish(YESTERDAY + timedelta(days=1))
    _settle(port)
    calm, busy = [], []
    for number in range(ROUNDS):
        calm.append(_load(port, paths, SLICE_SECONDS).quantile(0.99))
        target = first if number % 2 == 0 else second
        before = _refreshes(port)
        _point(home, target)
        result = asyncio.run(_load_while_refreshing(port, paths))
        assert result.errors == 0
        assert _refreshes(port) != before
        busy.append(result.quantile(0.99))
        took = f"refresh {_refreshes(port):.1f} s"
        _say(f"  p99 {busy[-1] * 1e3:.1f} / {calm[-1] * 1e3:.1f} ms, {took}")
    return statistics.median(calm), statistics.median(busy)


async def _load_while_refreshing(port: int, paths: list[bytes]) -> Result:
    """Load from the change of the pointer until the new bodies are served."""
    seen: set[bytes] = set()

    def check(_head: bytes, body: bytes) -> bool:
        at = body.index(b'"as_of_date":"')
        seen.add(body[at : at + 24])
        return True

    return await load(port, _cycle(paths), seconds=60, check=check, until=lambda: len(seen) > 1)


def _settle(port: int) -> None:
    """Wait until the refresh that is due has ended."""
    before = _refreshes(port)
    deadline = time.monotonic() + 60
    while _refreshes(port) == before and time.monotonic() < deadline:
        time.sleep(0.2)


def _refreshes(port: int) -> float:
    """Return how long the last refresh took; it tells one refresh from the next."""
    text = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=60).text
    line = next(line for line in text.splitlines() if line.startswith("mab_refresh_seconds "))
    return float(line.split()[1])


def _point(home: Home, name: str) -> None:
    temporary = home.pointer.with_suffix(".tmp")
    temporary.write_text(
        json.dumps({"file": name, "accepts_loss": True})
    )  # one of the two is older
    temporary.replace(home.pointer)


def _first_byte(port: int, encoding: str) -> float:
    """Return the median time to the first byte of the list's body."""
    times = []
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        for _ in range(9):
            started = time.perf_counter()
            headers = {"accept-encoding": encoding}
            with client.stream("GET", "/allocations", headers=headers) as answer:
                parts = answer.iter_raw()
                next(parts)
                times.append(time.perf_counter() - started)
                for _ in parts:
                    pass
    return statistics.median(times)


def _memory(process: psutil.Process) -> int:
    return int(process.memory_info().rss)


def _allocation_paths(home: Home) -> list[bytes]:
    paths = [f"/experiments/{name}/allocation".encode() for name in home.variants]
    random.Random(1).shuffle(paths)  # an order, not a secret
    return paths


def _cycle(paths: list[bytes]) -> Iterator[bytes]:
    return itertools.cycle(paths)


def _load(port: int, paths: list[bytes], seconds: float) -> Result:
    return asyncio.run(load(port, _cycle(paths), seconds=seconds))


async def _mixed(port: int, home: Home, *, seconds: float) -> Result:
    """Read allocations, lists, histories and the registry; every body must be whole."""
    names = list(home.variants)
    rest = [b"/allocations", b"/experiments?limit=50", b"/readyz"]
    rest += [f"/experiments/{name}/history".encode() for name in names[:50]]
    rest += [f"/experiments/{name}/allocations?limit=5".encode() for name in names[50:100]]
    rest += [f"/experiments/{name}/assignment?session_id=s".encode() for name in names[:20]]
    draw = random.Random(2)  # a mixture, not a secret
    hot = _allocation_paths(home)

    def paths() -> Iterator[bytes]:
        while True:
            yield draw.choice(hot if draw.random() < 0.97 else rest)

    return await load(port, paths(), seconds=seconds, check=_is_whole)


def _is_whole(_head: bytes, body: bytes) -> bool:
    document = orjson.loads(body)
    if "allocation_id" in document and "allocations" in document:
        return _sums_up(document)
    listed = document.get("experiments")
    if isinstance(listed, list) and listed and "allocations" in listed[0]:
        days = {one["as_of_date"] for one in listed}
        return len(days) == 1 and all(map(_sums_up, listed))
    return True


def _sums_up(body: dict[str, object]) -> bool:
    variants = body["allocations"]
    assert isinstance(variants, list)
    total = sum(round(variant["allocation_percentage"] * 100) for variant in variants)
    return total == 10_000 and str(body["allocation_id"]).startswith("alc_")


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


def main() -> int:
    """Run a part alone: `publish HOME` for ever, or `soak [SECONDS]`."""
    if sys.argv[1:2] == ["publish"]:
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
        _publish_for_ever(Path(sys.argv[2]))
    rows = soak(*map(float, sys.argv[2:])) if sys.argv[1:2] == ["soak"] else run()
    for row in rows:
        _say(f"{row.name}: {row.measured} (must {row.target}): {row.passed}")
    return int(any(row.passed is False for row in rows))


if __name__ == "__main__":
    sys.exit(main())
