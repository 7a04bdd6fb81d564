"""Stopping: the watchdog ends the process in time, whatever is still busy."""

import os
import signal
import time
from threading import Event, Thread, current_thread, main_thread
from types import FrameType
from typing import NoReturn

from mab_api.telemetry import Log

SIGNALS = (signal.SIGTERM, signal.SIGINT)
MARGIN = 0.95
"""The share of the time after which the process is ended by force."""


class Watchdog:
    """Ends the process a while after the first signal to stop.

    Its thread waits from the start: it needs neither the event loop nor a worker thread, and either
    may be busy.
    """

    def __init__(self, seconds: float, log: Log) -> None:
        self._seconds = seconds
        self._log = log
        self._signal: int = signal.SIGTERM
        self._signalled = Event()

    def listen(self) -> None:
        """Watch the signals once the server handles them; they arrive in the main thread."""
        if current_thread() is not main_thread():
            return
        Thread(target=self._wait, name="watchdog", daemon=True).start()
        for number in SIGNALS:
            self._precede(number)

    def _precede(self, number: int) -> None:
        """Take note of a signal before the server does."""
        handle = signal.getsignal(number)
        if not callable(handle):
            return  # the process ends at once, or not at all

        def note(received: int, frame: FrameType | None) -> None:
            self._signal = received
            self._signalled.set()
            handle(received, frame)

        signal.signal(number, note)

    def _wait(self) -> NoReturn:
        self._signalled.wait()
        time.sleep(self._seconds * MARGIN)
        self._log.warning("stopped by force", seconds=self._seconds)
        os._exit(128 + self._signal)
