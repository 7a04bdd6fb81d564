"""The work of the refresh worker, in a process that stays: its start takes most of a second.

`test_worker.py` has the worker itself, and so has every test that starts a server.
"""

import multiprocessing
from collections.abc import Generator, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from threading import Event

from mab_api.snapshot.loader import Order, Part, published_parts
from mab_api.snapshot.worker import Read


def all_parts(order: Order) -> list[Part]:
    """Read a version, in the other process."""
    return list(published_parts(order))


@contextmanager
def reading_elsewhere() -> Iterator[Read]:
    """Return a reader that uses one process again and again."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:

        def read(order: Order, _stopping: Event) -> Generator[Part]:
            yield from pool.submit(all_parts, order).result()

        yield read
