"""The refresh worker: a process that reads and encodes a version, so that the server need not.

The server sends one pickled order through the worker's stdin and leaves that open; the worker
answers on stdout with pickled parts. stdin is also the leash: it closes when the server ends,
however it ends, and then the worker ends too. No other process holds these pipes.
"""

import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from threading import Event, Thread, Timer

from mab_api.snapshot.loader import Experiments, Order, Part, published_parts
from mab_store.errors import MabError

LIMIT_SECONDS = 300.0
"""How long a worker may take; 10,000 experiments take seconds, on a busy machine a minute."""
GRACE_SECONDS = 5.0
LOOK_SECONDS = 0.2
"""How soon the worker's reader notices that the server stops."""

Read = Callable[[Order, Event], Generator[Part]]


class WorkerError(MabError):
    """The refresh worker did not hand over all parts of its order."""


def read_in_worker(order: Order, stopping: Event) -> Generator[Part]:
    """Start a worker and yield its parts; the last one is `Done` or `Failed`.

    Args:
        order: The version to read.
        stopping: Ends it early when set.

    Raises:
        WorkerError: The worker died, took too long, or was ended early.
    """
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "mab_api.snapshot.worker"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
    ) as process:
        try:
            os.setpriority(os.PRIO_PROCESS, process.pid, order.niceness)
            yield from _answer(process, order, stopping)
        finally:
            process.kill()


def main() -> None:
    """Carry out the order on stdin."""
    output = _connection(1)
    os.dup2(2, 1)  # prints of a library must not get between the parts
    order = pickle.loads(_connection(0).recv_bytes())  # noqa: S301  # from the server
    Thread(target=_end_with_the_server, daemon=True).start()
    for part in published_parts(order):
        output.send_bytes(pickle.dumps(part, protocol=pickle.HIGHEST_PROTOCOL))
    os._exit(0)  # all parts are sent; taking the libraries down would only cost time


def _connection(handle: int) -> Connection:
    return Connection(os.dup(handle))  # a copy, which the connection closes in its own time


def _answer(process: subprocess.Popen[bytes], order: Order, stopping: Event) -> Iterator[Part]:
    assert process.stdin
    assert process.stdout
    watchdog = Timer(LIMIT_SECONDS, process.kill)
    watchdog.daemon = True
    watchdog.start()
    deadline = time.monotonic() + LIMIT_SECONDS
    try:
        _connection(process.stdin.fileno()).send_bytes(pickle.dumps(order))
        with _connection(process.stdout.fileno()) as answers:
            while True:
                part = _unpacked(_next_message(answers, stopping))
                yield part
                if not isinstance(part, Experiments):
                    return
    except (EOFError, OSError):  # between two parts, or in the middle of one
        if time.monotonic() >= deadline:
            raise WorkerError(
                f"The refresh worker takes longer than {LIMIT_SECONDS:g} s; it was given up. Look "
                "what else keeps the machine busy."
            ) from None
        raise WorkerError(
            "The refresh worker ended before it had handed over all of it "
            f"({_how_it_ended(process)})."
        ) from None
    finally:
        watchdog.cancel()


def _next_message(answers: Connection, stopping: Event) -> bytes:
    while not stopping.is_set():
        if answers.poll(LOOK_SECONDS):
            return answers.recv_bytes()
    raise WorkerError("The server stops.")


def _unpacked(content: bytes) -> Part:
    try:
        part: Part = pickle.loads(content)  # noqa: S301  # from a worker of ours
    except Exception as error:  # noqa: BLE001  # objects of another version raise all kinds
        raise WorkerError(
            f"A part from the refresh worker cannot be read ({type(error).__name__}): the program "
            "on the disk is not the one that runs. Restart the API."
        ) from None
    return part


def _how_it_ended(process: subprocess.Popen[bytes]) -> str:
    with suppress(subprocess.TimeoutExpired):
        process.wait(GRACE_SECONDS)
    process.kill()
    code = process.wait()
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _end_with_the_server() -> None:
    os.read(0, 1)  # returns when the server's end is closed
    os._exit(1)


if __name__ == "__main__":
    main()
