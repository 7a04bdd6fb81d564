"""The allocations that the client has, and how they become newer."""

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any, Literal

from mab_client.cache_file import CacheFile, Kept
from mab_client.document import Document, DocumentError
from mab_client.polling import Poller, PollError

log = logging.getLogger("mab_client")

EMPTY = Document({}, 0, {})


class Updater:
    """Holds the last good list; one thread makes it newer, others read `document`.

    Args:
        cache: Keeps the list for the next process; None to keep nothing.
        bootstrap: A list to begin with if the cache has none.
        clock: Seconds since 1970.

    Attributes:
        document: The list; a new one replaces it whole.
        origin: Where it comes from: `api`, `file`, `bootstrap`, or None if there is none yet.
        confirmed_at: When the API last said that it holds; None if it never did.
        failures: Questions in a row that failed.
        last_error: What went wrong in the last question; None if it was answered.

    Raises:
        DocumentError: `bootstrap` is no list of allocations.
    """

    def __init__(
        self,
        cache: CacheFile | None,
        bootstrap: bytes | str | Mapping[str, Any] | None,
        clock: Callable[[], float],
    ) -> None:
        self._cache = cache
        self._clock = clock
        self._etag: str | None = None
        self.document = EMPTY
        self.origin: Literal["api", "file", "bootstrap"] | None = None
        self.confirmed_at: float | None = None
        self.failures = 0
        self.last_error: str | None = None
        if bootstrap is not None:
            text = json.dumps(bootstrap) if isinstance(bootstrap, Mapping) else bootstrap
            self.document, self.origin = Document.of(text), "bootstrap"
        self._take_kept()

    def ask(self, poller: Poller) -> float:
        """Ask the API once, and take and keep its answer.

        Returns:
            The seconds until the next question.
        """
        try:
            answer = poller.ask(self._etag)
            if answer.body is not None:
                self._take(Document.of(answer.body, self.document), answer.etag)
        except (PollError, DocumentError) as error:
            self.failures += 1
            self.last_error = str(error)
            log.warning("No new allocations: %s (%d in a row)", error, self.failures)
            waits = error.retry_after if isinstance(error, PollError) else 0.0
            return poller.next_delay(self.failures, waits)
        self.failures, self.last_error = 0, None
        self.confirmed_at = self._clock()
        self._keep(answer.body, self.confirmed_at)
        return poller.next_delay(0)

    def _take(self, document: Document, etag: str | None) -> None:
        for name, reason in document.refused.items():
            log.warning("Experiment %r keeps its former shares: %s", name, reason)
        self.document, self._etag, self.origin = document, etag, "api"

    def _take_kept(self) -> None:
        """Take the list that an earlier process kept; a damaged file is no reason not to start."""
        try:
            kept = self._cache.read() if self._cache else None
            if kept is not None:
                self.document, self.origin = Document.of(kept.body), "file"
                self._etag, self.confirmed_at = kept.etag, kept.confirmed_at
        except (OSError, DocumentError) as error:
            log.warning("The kept allocations cannot be used: %s", error)

    def _keep(self, body: str | None, now: float) -> None:
        if self._cache is None:
            return
        try:
            if body is None:
                self._cache.confirm(now)
            else:
                self._cache.write(Kept(self._etag, body, now))
        except OSError as error:
            log.warning("The allocations cannot be kept: %s", error)
