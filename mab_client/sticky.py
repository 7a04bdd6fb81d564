"""Stickiness: a session keeps its variant while the variant is live."""

from collections import OrderedDict
from contextlib import suppress
from typing import Protocol


class StickyStore(Protocol):
    """Where sessions' variants are kept, such as a cookie, a profile or Redis.

    Both methods run on the caller's path. If one raises, the session gets its bucket's variant.
    """

    def get(self, experiment_id: str, session_id: str) -> str | None:
        """Return the variant that this session had, or None."""

    def put(self, experiment_id: str, session_id: str, variant: str) -> None:
        """Keep the variant of this session."""


class MemorySticky:
    """The variants of the sessions seen last, in this process alone.

    Threads may share it. It has no lock, so that a fork cannot leave one locked: each step is
    atomic by itself.

    Args:
        most: How many are kept; the one unused longest goes first.
    """

    def __init__(self, most: int = 100_000) -> None:
        self._most = most
        self._held: OrderedDict[tuple[str, str], str] = OrderedDict()

    def get(self, experiment_id: str, session_id: str) -> str | None:
        """Return the variant that this session had, or None."""
        key = (experiment_id, session_id)
        variant = self._held.get(key)
        with suppress(KeyError):  # it was never there, or another thread has just dropped it
            self._held.move_to_end(key)
        return variant

    def put(self, experiment_id: str, session_id: str, variant: str) -> None:
        """Keep the variant of this session."""
        key = (experiment_id, session_id)
        self._held[key] = variant
        with suppress(KeyError):
            self._held.move_to_end(key)
            while len(self._held) > self._most:
                self._held.popitem(last=False)
