"""The limits of the server: how much a client may use before its connection ends."""

import resource
from dataclasses import dataclass
from typing import NamedTuple

from mab_api.problems import Kind
from mab_api.telemetry import RequestLines, ServerMetrics
from mab_store.settings import Settings

BACKLOG = 128
"""Connections that the kernel accepts before the server does."""
SPARE_DESCRIPTORS = 64 + BACKLOG
"""For copies, the refresh worker's pipes, and connections that are about to be refused."""
FEWEST_CONNECTIONS = 8
MOST_HEADERS = 100
MOST_PIPELINED = 64
"""Requests that a client may send before their answers."""
LINGER_SECONDS = 1.0
"""How long a refused client may take to read the reason."""
MOST_LINGERING = 64


class Limits(NamedTuple):
    """How much one client may use.

    Attributes:
        connections: Connections that are open at a time.
        head_bytes: Request line, headers and trailers of a request [bytes].
        read_seconds: From the first byte of a request to its last.
        idle_seconds: Between an answer and the next request.
        write_seconds: Without taking any more of an answer.
        drain_seconds: From the moment the server stops, for requests under way.
    """

    connections: int
    head_bytes: int
    read_seconds: float
    idle_seconds: float
    write_seconds: float
    drain_seconds: float

    @property
    def look_seconds(self) -> float:
        """How often a connection is checked."""
        return min(self.read_seconds, self.idle_seconds, self.write_seconds) / 4


def limits_of(settings: Settings) -> Limits:
    """Return the limits that the settings state."""
    return Limits(
        connections=settings.api_max_connections,
        head_bytes=settings.api_max_header_kb << 10,
        read_seconds=settings.api_read_seconds,
        idle_seconds=settings.api_idle_seconds,
        write_seconds=settings.api_write_seconds,
        drain_seconds=settings.api_shutdown_seconds * 0.6,
    )


@dataclass(slots=True)
class Turnstile:
    """The limits and counters that all connections of a server share.

    Attributes:
        limits: The limits.
        metrics: Count refusals.
        lines: Log the refusals that were answered, like any request.
        lingering: Refused connections that are still open.
    """

    limits: Limits
    metrics: ServerMetrics
    lines: RequestLines
    lingering: int = 0

    def note(self, kind: Kind, request_id: str) -> None:
        """Count and log a refusal."""
        self.metrics.refused.labels(kind.slug).inc()
        self.lines.add(request_id=request_id, method="-", path="-", status=kind.status, seconds=0)

    def fit_descriptors(self) -> int:
        """Allow enough open files; return how many connections fit.

        The process raises its own soft limit as far as it may. If that is not enough, it accepts
        fewer connections: the one too many must get its 503, and the refresher its files.
        """
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        needed = self.limits.connections + SPARE_DESCRIPTORS
        if soft != resource.RLIM_INFINITY and soft < needed:
            soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            fitting = max(FEWEST_CONNECTIONS, soft - SPARE_DESCRIPTORS)
            self.limits = self.limits._replace(connections=min(fitting, self.limits.connections))
        return self.limits.connections
