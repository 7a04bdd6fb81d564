"""Threads: one function over many independent chunks, on every core."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Chunk = TypeVar("Chunk")


def available_cores() -> int:
    """Count the cores that this process may use.

    Returns:
        At least 1; on Linux the process's affinity mask is respected.
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def for_each(chunks: Sequence[Chunk], work: Callable[[Chunk], None]) -> None:
    """Call `work` once for each chunk, on as many threads as there are cores.

    Threads suffice because numpy releases the interpreter's lock while it computes.

    Args:
        chunks: Independent pieces of work.
        work: Does one piece and stores the result itself.

    Raises:
        Exception: The first one that `work` raised; chunks that have not begun are dropped.
    """
    workers = min(available_cores(), len(chunks))
    if workers <= 1:
        for chunk in chunks:
            work(chunk)
        return
    with ThreadPoolExecutor(workers, thread_name_prefix="bandit") as pool:
        list(pool.map(work, chunks))
