"""Logs and metrics: the log format, and the Prometheus metrics of one app."""

import asyncio
import itertools
import secrets
from bisect import bisect_left
from collections.abc import Callable, Iterator, MutableMapping
from datetime import UTC, datetime
from itertools import accumulate
from typing import Any, BinaryIO

import orjson
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Metric, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from mab_store.plain_text import plain

BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
FLUSH_SECONDS = 0.2
LINE = orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z
Log = structlog.typing.FilteringBoundLogger


def make_log(stream: BinaryIO) -> Log:
    """Return a logger that writes one JSON object a line."""
    log: Log = structlog.wrap_logger(
        structlog.BytesLogger(stream),
        processors=[
            structlog.processors.add_log_level,
            _plain_values,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(serializer=orjson.dumps),
        ],
        wrapper_class=structlog.make_filtering_bound_logger("info"),
        cache_logger_on_first_use=True,
    )
    return log


def _plain_values(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Show values as plain text: JSON keeps characters that reverse the text of a terminal."""
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = plain(value)
    return event


class RequestLines:
    """One JSON object a line for each request, written a few times a second.

    The lines look like the logger's, at a fifth of the cost: a request takes 40 µs in all. They
    wait as bytes, which the garbage collector does not scan.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._lines: list[bytes] = []

    def add(self, *, request_id: str, method: str, path: str, status: int, seconds: float) -> None:
        """Add a line; it is written within FLUSH_SECONDS."""
        if not self._lines:
            asyncio.get_running_loop().call_later(FLUSH_SECONDS, self.flush)
        line = {
            "event": "request",
            "request_id": request_id,
            "method": method,
            "path": plain(path),
            "status": status,
            "ms": int(seconds * 1e5) / 100,
            "level": "info",
            "timestamp": datetime.now(UTC),
        }
        self._lines.append(orjson.dumps(line, option=LINE))

    def flush(self) -> None:
        """Write the waiting lines."""
        lines, self._lines = self._lines, []
        if lines:
            self._stream.write(b"".join(lines))
            self._stream.flush()


class RequestTimes(Collector):
    """Number and duration of the requests of each kind.

    It replaces Prometheus' counter and histogram, which take 1.2 µs a request, locks
    included; only the event loop adds here.
    """

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, str, int], _Times] = {}

    def add(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one request."""
        kind = (route, method, status)
        times = self._kinds.get(kind)
        if times is None:
            times = self._kinds[kind] = _Times()
        times.counts[bisect_left(BUCKETS, seconds)] += 1
        times.seconds += seconds

    def collect(self) -> Iterator[Metric]:
        """Return the metrics of this moment."""
        requests = CounterMetricFamily(
            "mab_http_requests", "Requests answered.", labels=["route", "method", "status"]
        )
        seconds = HistogramMetricFamily(
            "mab_http_request_seconds",
            "Time from a request to the end of its answer.",
            labels=["route"],
        )
        routes: dict[str, _Times] = {}
        for (route, method, status), times in list(self._kinds.items()):
            requests.add_metric([route, method, str(status)], sum(times.counts))
            whole = routes.setdefault(route, _Times())
            whole.counts = [a + b for a, b in zip(whole.counts, times.counts, strict=True)]
            whole.seconds += times.seconds
        for route, times in routes.items():
            bounds = [*map(str, BUCKETS), "+Inf"]
            reached = zip(bounds, accumulate(times.counts), strict=True)
            seconds.add_metric([route], list(reached), times.seconds)
        yield requests
        yield seconds


class _Times:
    """Requests of one kind: their number per bucket of duration, and seconds in all."""

    __slots__ = ("counts", "seconds")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.seconds = 0.0


class ServerMetrics:
    """The metrics of one app, in a registry of their own."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # an unused second series for each
        self.registry = CollectorRegistry()
        self.refresh_failures = Counter(
            "mab_refresh_failures",
            "Looks for a publication that failed.",
            registry=self.registry,
        )
        self.refresh_seconds = Gauge(
            "mab_refresh_seconds", "How long the last refresh took.", registry=self.registry
        )
        self.refused = Counter(
            "mab_http_refused",
            "Connections that were ended for what their client took, by reason.",
            ["reason"],
            registry=self.registry,
        )
        self.requests = RequestTimes()
        self.registry.register(self.requests)

    def gauge(self, name: str, description: str, read: Callable[[], float]) -> None:
        """Add a gauge that is computed when the metrics are read."""
        Gauge(name, description, registry=self.registry).set_function(read)


_PREFIX, _NUMBERS = secrets.token_hex(10), itertools.count()


def new_request_id() -> str:
    """Return an id that no other request of any process has."""
    return f"{_PREFIX}{next(_NUMBERS):012x}"
