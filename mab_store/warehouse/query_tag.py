"""The query tag: names the asset and the run in the query history of an engine that keeps one.

The tag is a context variable, not an argument, which keeps the warehouse protocol small: an asset's
code is the same on an engine without tags. The engine's adapter sends it.
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
    """Return the tag of the current context; `mab` if none is set."""
    return _TAG.get()
