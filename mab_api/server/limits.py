"""The limits of the server: what a client may take of it before its connection ends.

What belongs here: the limits, how many connections the process can hold, and a note of each
refusal. What does not: bytes on a connection (`protocol.py`).
"""

import resource
from dataclasses import dataclass
from typing import NamedTuple

from mab_api.problems import Kind
from mab_api.telemetry import RequestLines, ServerMetrics
from mab_store.settings import Settings

BACKLOG = 128
"""Connections that the kernel accepts before the server does."""
SPARE_DESCRIPTORS = 64 + BACKLOG
"""For everything but connections: copies, the child's pipes, those that are about to be refused."""
FEWEST_CONNECTIONS = 8
MOST_HEADERS = 100
MOST_PIPELINED = 64
"""Requests that a client may send before their answers."""
LINGER_SECONDS = 1.0
"""How long a refused client may take to read why."""
MOST_LINGERING = 64


class Limits(NamedTuple):
    """What one client may take.

    Attributes:
        connections: Connections that are open at a time.
        head_bytes: Request line, headers and trailers of a request [bytes].
        read_seconds: From the first byte of a request to its last.
        idle_seconds: Between an answer and the next request.
        write_seconds: Without taking any more of an answer.
        drain_seconds: From the moment the server stops, for what is under way.
    """

    connections: int
    head_bytes: int
    read_seconds: float
    idle_seconds: float
    write_seconds: float
    drain_seconds: float

    @property
    def look_seconds(self) -> float:
        """How often a connection is looked at."""
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
    """What all connections of a server share.

    Attributes:
        limits: The limits.
        metrics: Where refusals are counted.
        lines: Where refusals that were answered are logged, as any request is.
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
        """Make room for the connections; return how many there may be.

        The process raises its own soft limit as far as it may. If that is not enough, there are
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
