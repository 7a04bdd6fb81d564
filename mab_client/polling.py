"""One question to the API: its answer or its failure, and when to ask again."""

import random
import time
from collections.abc import Callable
from typing import NamedTuple

import httpx

PATH = "/allocations"
READ_SECONDS = 10.0  # between two pieces of an answer
ANSWER_SECONDS = (
    60.0  # for the whole of it: a server that sends a byte now and then must not hold us
)
MOST_BYTES = 512 * 1024 * 1024  # unpacked
FIRST_RETRY_SECONDS = 1.0
LAST_RETRY_SECONDS = 300.0


class Answer(NamedTuple):
    """An answer of the API.

    Attributes:
        body: The list; None if it still is the one that we have.
        etag: Its name; None if it has none.
    """

    body: str | None
    etag: str | None


class PollError(Exception):
    """The API gave no list.

    Attributes:
        retry_after: The seconds that it asked us to wait; 0 if it did not say.
    """

    def __init__(self, said: str, retry_after: float = 0.0) -> None:
        super().__init__(said)
        self.retry_after = retry_after


class Poller:
    """Asks for the list, with the ETag of the last one.

    Args:
        url: Address of the API, with its root path if it has one.
        key: A read key, or None.
        poll_seconds: How long to wait after an answer.
        transport: How to connect; None for the network.
        jitter: Draws from [0, 1): many clients must not ask in the same second.
    """

    def __init__(
        self,
        url: str,
        key: str | None,
        poll_seconds: float,
        transport: httpx.BaseTransport | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        headers = {"Accept": "application/json", "User-Agent": "mab-client"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        # A redirect is an error: the key must not go to another server.
        self._http = httpx.Client(
            base_url=url.rstrip("/"),
            headers=headers,
            timeout=httpx.Timeout(READ_SECONDS),
            follow_redirects=False,
            transport=transport,
        )
        self._poll_seconds = poll_seconds
        self._jitter = jitter

    def ask(self, etag: str | None) -> Answer:
        """Ask for the list.

        Args:
            etag: The name of the list that we have, or None.

        Raises:
            PollError: No answer, a broken one, or a refusal.
        """
        try:
            return self._ask(etag)
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, UnicodeDecodeError) as error:
            raise PollError(f"{type(error).__name__}: {error}") from error

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def next_delay(self, failures: int, retry_after: float = 0.0) -> float:
        """Return how long to wait [s].

        Args:
            failures: How many questions in a row have failed; 0 after an answer.
            retry_after: How long the API asked us to wait [s].
        """
        if failures == 0:
            return self._poll_seconds * (0.9 + 0.2 * self._jitter())
        longest = min(FIRST_RETRY_SECONDS * 2.0 ** min(failures - 1, 30), LAST_RETRY_SECONDS)
        waited = min(max(longest, retry_after), LAST_RETRY_SECONDS)
        return waited * (0.5 + 0.5 * self._jitter())

    def _ask(self, etag: str | None) -> Answer:
        named = {"If-None-Match": etag} if etag else {}
        with self._http.stream("GET", PATH, headers=named) as response:
            if response.status_code == httpx.codes.NOT_MODIFIED:
                return Answer(None, etag)
            if response.status_code != httpx.codes.OK:
                raise PollError(f"HTTP {response.status_code}", _retry_after(response))
            return Answer(_body(response), response.headers.get("ETag"))


def _body(response: httpx.Response) -> str:
    until = time.monotonic() + ANSWER_SECONDS
    pieces, size = [], 0
    for piece in response.iter_bytes():
        size += len(piece)
        if size > MOST_BYTES:
            raise PollError(f"the list has more than {MOST_BYTES} bytes")
        if time.monotonic() > until:
            raise PollError(f"the list did not arrive within {ANSWER_SECONDS:g} s")
        pieces.append(piece)
    return b"".join(pieces).decode()


def _retry_after(response: httpx.Response) -> float:
    try:
        return max(float(response.headers.get("Retry-After", "0")), 0.0)
    except ValueError:  # a date: the back-off will do
        return 0.0
