"""A bounded cache of encoded pages."""

from collections import OrderedDict
from threading import Lock

from mab_api.snapshot.encoded import Answer

CACHE_BYTES = 32 << 20


class PageCache:
    """The encoded pages of one publication, the least used ones dropped first."""

    def __init__(self, max_bytes: int = CACHE_BYTES) -> None:
        self._pages: OrderedDict[object, Answer] = OrderedDict()
        self._max_bytes = max_bytes
        self._bytes = 0
        self._lock = Lock()

    def get(self, key: object) -> Answer | None:
        """Return a page that was built before, or None."""
        with self._lock:
            if key in self._pages:
                self._pages.move_to_end(key)
            return self._pages.get(key)

    def put(self, key: object, page: Answer) -> None:
        """Keep a page."""
        with self._lock:
            if key in self._pages or len(page.body) > self._max_bytes:
                return
            self._pages[key] = page
            self._bytes += len(page.body)
            while self._bytes > self._max_bytes:
                _, dropped = self._pages.popitem(last=False)
                self._bytes -= len(dropped.body)
