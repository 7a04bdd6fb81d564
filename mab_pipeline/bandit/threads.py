"""Work on every core: one function over many independent chunks.

What belongs here: the only place of the package that knows about threads. What does not: anything
that depends on which chunk is done when; chunks write to places of their own.
"""

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
        Exception: The first one that `work` raised; what has not begun then is not begun.
    """
    workers = min(available_cores(), len(chunks))
    if workers <= 1:
        for chunk in chunks:
            work(chunk)
        return
    with ThreadPoolExecutor(workers, thread_name_prefix="bandit") as pool:
        futures = [pool.submit(work, chunk) for chunk in chunks]
        try:
            for future in futures:
                future.result()
        finally:
            pool.shutdown(cancel_futures=True)
