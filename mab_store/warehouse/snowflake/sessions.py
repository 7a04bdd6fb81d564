"""Sessions that a process keeps: the next block takes a free one, so a run logs in once."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from threading import Event, Lock, Thread
from typing import NamedTuple

from mab_store.warehouse.snowflake.connection import Connect, Connection
from mab_store.warehouse.snowflake.statements import run

# Snowflake ends a session after 4 hours without a statement.
KEPT_SECONDS = 3600.0
# Snowflake rolls back a transaction that is idle for 300 s and blocks another one.
BEAT_SECONDS = 60.0
_BEAT_LIMIT_SECONDS = 60.0


class _Kept(NamedTuple):
    connection: Connection
    stack: ExitStack
    since: float


class Sessions:
    """The sessions of one warehouse.

    A block has a session to itself. A session whose block failed is closed, since its state is not
    known; any other one waits for the next block.

    Args:
        connect: Opens a connection, which is closed when its block ends.
        clock: Returns monotonic seconds.
    """

    def __init__(self, connect: Connect, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._connect = connect
        self._clock = clock
        self._free: list[_Kept] = []
        self._lock = Lock()
        self._process = os.getpid()

    @contextmanager
    def session(self) -> Iterator[Connection]:
        """Take a session that is free, or log in."""
        kept = self._take()
        if kept is None:
            stack = ExitStack()
            kept = _Kept(stack.enter_context(self._connect()), stack, 0.0)
        with ExitStack() as closing:
            closing.push(kept.stack)
            yield kept.connection
            closing.pop_all()
        with self._lock:
            self._free.append(kept._replace(since=self._clock()))

    def close(self) -> None:
        """Log out of every session that is free."""
        while (kept := self._take()) is not None:
            kept.stack.close()

    def _take(self) -> _Kept | None:
        old = []
        try:
            with self._lock:
                if self._process != os.getpid():  # a fork: the sessions are the parent's
                    self._free, self._process = [], os.getpid()
                while self._free:
                    kept = self._free.pop()
                    if self._clock() - kept.since < KEPT_SECONDS:
                        return kept
                    old.append(kept)
            return None
        finally:
            for kept in old:
                kept.stack.close()


class Heartbeat:
    """Keeps an open transaction from looking dead while its program computes or uploads.

    Snowflake takes an idle transaction that blocks another one for the rest of a killed program. So
    a thread sends a statement every BEAT_SECONDS, unless the program's own one is at work. The beat
    of a killed program stops, and its lock ends after five minutes.
    """

    def __init__(self, connection: Connection) -> None:
        self.statement = Lock()
        """Held while the program's own statement is at work."""
        self._connection = connection
        self._stop = Event()
        self._thread = Thread(target=self._beat, name="mab-heartbeat", daemon=True)

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Beat until the block ends."""
        self._thread.start()
        try:
            yield
        finally:
            self._stop.set()
            self._thread.join()

    def _beat(self) -> None:
        while not self._stop.wait(BEAT_SECONDS):
            if self.statement.acquire(blocking=False):
                try:
                    # A broken connection is reported by the program's next statement.
                    with suppress(Exception):
                        run(self._connection.cursor(), "select 1", seconds=_BEAT_LIMIT_SECONDS)
                finally:
                    self.statement.release()
