"""What `make up` starts, on free ports, and its end.

What belongs here: starting, waiting, stopping every process. What does not: what is asked of them.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import psutil

from mab_store.settings import Settings
from tests.e2e.scene import Scene

ROOT = Path(__file__).parents[2]
TIMEOUT_SECONDS = 600.0  # of a busy machine; what is there is seen at once
STOP_SECONDS = 20.0


class Services:
    """The running services.

    Attributes:
        dagster: Address of the Dagster UI.
        api: Address of the API.
        log: File with what they write.
    """

    def __init__(self, process: subprocess.Popen[bytes], ports: Sequence[int], log: Path) -> None:
        self.dagster, self.api = (f"http://127.0.0.1:{port}" for port in ports)
        self.log = log
        self._process = process

    def wait_for(self, url: str) -> httpx.Response:
        """Ask until the answer is 200."""
        answers: list[httpx.Response] = []

        def is_up() -> bool:
            with suppress(httpx.TransportError):
                answers.append(httpx.get(url, timeout=10))
            return bool(answers) and answers[-1].is_success

        self.wait_until(is_up, url)
        return answers[-1]

    def wait_until(self, holds: Callable[[], bool], what: str) -> None:
        """Look until something holds."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not holds():
            assert self._process.poll() is None, f"make up ended:\n{self.tail(4000)}"
            assert time.monotonic() < deadline, f"{what}: not yet\n{self.tail(4000)}"
            time.sleep(0.2)

    def tail(self, characters: int) -> str:
        """Return the end of the log."""
        return self.log.read_text("utf-8", errors="replace")[-characters:]


@contextmanager
def running(scene: Scene) -> Iterator[Services]:
    """Start what `make up` starts; in the end nothing of it is left, whatever happened."""
    *ports, dashboard = _free_ports()
    ours = {name.upper() for name in Settings.model_fields} | {"DAGSTER_HOME"}
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    environment |= scene.environment
    environment |= {"MAB_DAGSTER_PORT": str(ports[0]), "API_PORT": str(ports[1])}
    environment["MAB_DASHBOARD_PORT"] = str(dashboard)
    log = scene.home.parent / "make-up.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-c", "from mab_pipeline.cli.main import main; main()", "up"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches it through us alone
        )

    def end(*_: object) -> None:
        # A killed CI job leaves nothing either; an exception would be lost in Playwright's loop.
        _stop(process, scene.home)
        os._exit(128 + signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, end)
    try:
        services = Services(process, ports, log)
        services.wait_for(f"{services.dagster}/server_info")
        services.wait_for(f"{services.api}/readyz")
        yield services
    finally:
        _stop(process, scene.home)
        signal.signal(signal.SIGTERM, before)


def _free_ports() -> list[int]:
    """Return three ports that nobody listens on."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(3)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def _stop(process: subprocess.Popen[bytes], home: Path) -> None:
    """Press Ctrl-C; kill what is left after a while, also what lost its parent."""
    process.send_signal(signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    for left in _processes_of(home):
        with suppress(psutil.NoSuchProcess):
            left.kill()
    process.wait()


def _processes_of(home: Path) -> list[psutil.Process]:
    """Return the processes that were started with this MAB_HOME."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("MAB_HOME") == str(home):
                found.append(process)
    return found
