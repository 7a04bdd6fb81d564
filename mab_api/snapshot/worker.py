"""The child: the process in which a version is read and encoded, so that the server need not.

What belongs here: starting it, what goes through its pipes, and its end. What does not: what it
does (`parts.py`).

The server writes one pickled order into the child's stdin and leaves that open; the child answers
on stdout with pickled parts, each behind its length. stdin is also the leash: it closes when the
server is gone, however it went, and then the child ends too. Nobody else has hold of these pipes.
"""

import os
import pickle
import selectors
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from threading import Event, Thread
from typing import BinaryIO

from mab_api.snapshot.loader import Experiments, Order, Part, published_parts
from mab_store.errors import MabError

LENGTH_BYTES = 4
LIMIT_SECONDS = 300.0
"""How long a child may take; 10,000 experiments take seconds, on a busy machine a minute."""
GRACE_SECONDS = 5.0
LOOK_SECONDS = 0.2
"""How soon it is noticed that the server stops."""

Read = Callable[[Order, Event], Generator[Part]]


class ChildError(MabError):
    """The child did not hand over all of what it was asked for."""


def read_in_child(order: Order, stopping: Event) -> Generator[Part]:
    """Start a child and yield its parts; the last one is `Done` or `Failed`.

    Args:
        order: What it shall read.
        stopping: Ends it early when set.

    Raises:
        ChildError: It died, took too long, or was ended early.
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
        except (EOFError, BrokenPipeError):
            raise ChildError(
                "The process that reads what is published ended before it had handed over all of "
                f"it ({_how_it_ended(process)})."
            ) from None
        finally:
            process.kill()


def main() -> None:
    """Carry out the order on stdin."""
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not get between the parts
    order = pickle.load(sys.stdin.buffer)  # noqa: S301  # from the server that started this
    Thread(target=_end_with_the_server, daemon=True).start()
    for part in published_parts(order):
        _send(output, part)
    os._exit(0)  # all is handed over; taking the libraries down would only cost time


def _answer(process: subprocess.Popen[bytes], order: Order, stopping: Event) -> Iterator[Part]:
    assert process.stdin
    assert process.stdout
    process.stdin.write(pickle.dumps(order))  # some kilobytes, which a pipe takes at once
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        pipe = _Pipe(selector, process.stdout.fileno(), stopping)
        while True:
            part = _unpacked(pipe.read(int.from_bytes(pipe.read(LENGTH_BYTES))))
            yield part
            if not isinstance(part, Experiments):
                return


def _unpacked(content: bytearray) -> Part:
    try:
        part: Part = pickle.loads(content)  # noqa: S301  # from a child of ours
    except Exception as error:  # noqa: BLE001  # objects of another version raise all kinds
        raise ChildError(
            f"What was read cannot be taken in ({type(error).__name__}): the program on the disk "
            "is not the one that runs. Restart the API."
        ) from None
    return part


class _Pipe:
    """The end of the pipe at which the server reads, but never for ever."""

    def __init__(self, selector: selectors.BaseSelector, handle: int, stopping: Event) -> None:
        self._selector = selector
        self._handle = handle
        self._stopping = stopping
        self._deadline = time.monotonic() + LIMIT_SECONDS

    def read(self, size: int) -> bytearray:
        """Return so many bytes.

        Raises:
            EOFError: The child has ended.
            ChildError: It takes too long, or is not wanted any more.
        """
        content = bytearray()
        while len(content) < size:
            while not self._selector.select(LOOK_SECONDS):
                self._check()
            piece = os.read(self._handle, size - len(content))
            if not piece:
                raise EOFError
            content += piece
        self._check()
        return content

    def _check(self) -> None:
        if self._stopping.is_set():
            raise ChildError("The server stops.")
        if time.monotonic() > self._deadline:
            raise ChildError(
                f"Reading what is published takes longer than {LIMIT_SECONDS:g} s; it was given "
                "up. Look what else keeps the machine busy."
            )


def _send(output: BinaryIO, part: Part) -> None:
    content = pickle.dumps(part, protocol=pickle.HIGHEST_PROTOCOL)
    output.write(len(content).to_bytes(LENGTH_BYTES))
    output.write(content)
    output.flush()


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
