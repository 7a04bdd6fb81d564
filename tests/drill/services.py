"""Dagster's daemon and webserver as real processes, to be killed and started again.

What belongs here: starting, finding and ending processes that a drill started. What does not: what
is expected of them (the drills).

Every service leads a session of its own. What it starts stays in that session even when its parent
was killed, so that nothing is left behind and no other process is ever touched.
"""

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from mab_pipeline.operations.up import environment
from mab_store.settings import Settings

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(sys.executable).parent
PATIENCE_SECONDS = 900


class Service:
    """A program that is started again after it was killed."""

    def __init__(self, settings: Settings, *command: str, **variables: str) -> None:
        self._command = [str(PROGRAMS / command[0]), *command[1:]]
        ours = {name.upper() for name in Settings.model_fields} | {"DAGSTER_HOME"}
        inherited = {name: text for name, text in environment(settings).items() if name not in ours}
        self._environment = inherited | {
            "MAB_HOME": str(settings.mab_home),
            "DAGSTER_HOME": str(settings.mab_home / "dagster"),
            **variables,
        }
        self._log = settings.mab_home / f"{command[0]}.log"
        self._sessions: list[int] = []
        self.process: subprocess.Popen[bytes] | None = None

    def __str__(self) -> str:
        return self._command[0].rsplit("/", 1)[-1]

    def start(self) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command,
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._sessions.append(self.process.pid)

    def start_if_down(self) -> None:
        if self.process is None:
            self.start()

    def kill(self) -> None:
        """End this one process with -9; what it had started lives on."""
        assert self.process is not None
        assert self.process.poll() is None, f"{self._command[0]} died by itself, see {self._log}"
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        """End the service and everything that it ever started."""
        for process in self._processes():
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        if self.process is not None:
            self.process.wait()

    def run_workers(self) -> list[psutil.Process]:
        """Return the processes that work on runs: those that a code server started."""
        return [process for process in self._processes() if _is_run_worker(process)]

    def _processes(self) -> Iterator[psutil.Process]:
        for pid in psutil.pids():
            try:
                if os.getsid(pid) in self._sessions:
                    yield psutil.Process(pid)
            except (ProcessLookupError, psutil.NoSuchProcess):
                continue


def daemon(settings: Settings, **variables: str) -> Service:
    return Service(settings, "dagster-daemon", "run", "-w", "workspace.yaml", **variables)


def webserver(settings: Settings, port: int, **variables: str) -> Service:
    where = ("-h", "127.0.0.1", "-p", str(port))
    return Service(settings, "dagster-webserver", "-w", "workspace.yaml", *where, **variables)


def answers(port: int) -> bool:
    """Return whether a webserver answers on a port of this machine."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/server_info", timeout=5) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


def wait_until(is_so: Callable[[], bool], what: str) -> None:
    """Ask until it is so, for a long time: a busy machine is slow, and that is no failure."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < deadline, f"waited {PATIENCE_SECONDS} s until {what}"
        time.sleep(0.5)


def _is_run_worker(process: psutil.Process) -> bool:
    try:
        parent = process.parent()
        command = " ".join(parent.cmdline()) if parent else ""
        own = " ".join(process.cmdline())
    except psutil.Error:
        return False
    return "api grpc" in command and "resource_tracker" not in own
