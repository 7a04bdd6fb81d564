"""The query tag: who asks, for whoever looks into the history of an engine that keeps one.

What belongs here: the tag of the current context. What does not: sending it (the adapter does).

It travels beside the calls and not through them, so that the warehouse protocol stays as small as
it is: an asset's code is the same on an engine that has no tags.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_TAG: ContextVar[str] = ContextVar("mab_query_tag", default="mab")


@contextmanager
def query_tag(asset: str, run_id: str) -> Iterator[None]:
    """Tag every statement of this block `mab:<asset>:<run_id>`."""
    token = _TAG.set(f"mab:{asset}:{run_id}")
    try:
        yield
    finally:
        _TAG.reset(token)


def current_query_tag() -> str:
    """Return the tag of the current context; `mab` where nobody set one."""
    return _TAG.get()
