"""A load generator: raw HTTP/1.1 over a fixed number of connections, one request in flight on each.

What belongs here: sending, receiving, timing. What does not: servers, and what is measured.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

Check = Callable[[bytes, bytes], bool]


@dataclass(slots=True)
class Result:
    """What came of a load.

    Attributes:
        seconds: How long it ran.
        latencies: Of every answer, in order [s].
        errors: Answers other than 200, and lost connections.
        torn: Answers that failed the check.
    """

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    errors: int = 0
    torn: int = 0

    @property
    def rate(self) -> float:
        """Return the answers per second."""
        return len(self.latencies) / self.seconds

    def quantile(self, q: float) -> float:
        """Return a quantile of the latency [s]."""
        return sorted(self.latencies)[int(q * (len(self.latencies) - 1))]


class _Connection(asyncio.Protocol):
    """Sends the next request as soon as the answer to the last one is whole."""

    def __init__(self, paths: Iterator[bytes], result: Result, check: Check | None) -> None:
        self._paths = paths
        self._result = result
        self._check = check
        self._buffer = bytearray()
        self._needed = 0
        self._head = 0
        self._transport: asyncio.Transport | None = None
        self.is_stopping = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._result.errors += not self.is_stopping

    def _send(self) -> None:
        assert self._transport
        self._started = time.perf_counter()
        self._transport.write(b"GET %b HTTP/1.1\r\nhost: x\r\n\r\n" % next(self._paths))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._needed:
            head = self._buffer.find(b"\r\n\r\n")
            if head < 0:
                return
            at = self._buffer.find(b"content-length: ") + 16
            length = int(self._buffer[at : self._buffer.find(b"\r", at)])
            self._head, self._needed = head + 4, head + 4 + length
        if len(self._buffer) >= self._needed:
            self._finish()

    def _finish(self) -> None:
        assert self._transport
        self._result.latencies.append(time.perf_counter() - self._started)
        if not self._buffer.startswith(b"HTTP/1.1 200"):
            self._result.errors += 1
        elif self._check and not self._check(
            bytes(self._buffer[: self._head]), bytes(self._buffer[self._head : self._needed])
        ):
            self._result.torn += 1
        self._buffer.clear()
        self._needed = 0
        if not self.is_stopping:
            self._send()


async def load(
    port: int,
    paths: Iterator[bytes],
    *,
    seconds: float,
    connections: int = 32,
    check: Check | None = None,
    until: Callable[[], bool] | None = None,
) -> Result:
    """Ask as fast as the server answers.

    Args:
        port: Port on 127.0.0.1.
        paths: What to ask for, without end.
        seconds: How long, at most.
        connections: How many requests are in flight.
        check: Judges the head and body of every good answer.
        until: Ends the load early once it is true.
    """
    loop, result = asyncio.get_running_loop(), Result()
    started = time.perf_counter()
    made = [
        await loop.create_connection(lambda: _Connection(paths, result, check), "127.0.0.1", port)
        for _ in range(connections)
    ]
    while time.perf_counter() - started < seconds and not (until and until()):  # noqa: ASYNC110  # the clock
        await asyncio.sleep(0.05)
    result.seconds = time.perf_counter() - started
    for transport, protocol in made:
        protocol.is_stopping = True
        transport.close()
    return result
