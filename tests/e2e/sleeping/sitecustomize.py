"""Sleep by select() under a shifted clock; Python imports this by itself where it is on its path.

Python 3.11 and later sleep by clock_nanosleep() until an absolute time, which libfaketime 0.9.10
mistakes for one of the shifted clock: the call fails with EINVAL.
"""

import select
import time


def _sleep(seconds: float) -> None:
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")
    select.select([], [], [], seconds)


time.sleep = _sleep
