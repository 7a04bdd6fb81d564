"""The API as the dashboard reads it: one GET, and every failure as a state that can be shown."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal
from urllib.parse import quote

import httpx

Body = dict[str, Any]
State = Literal[
    "away", "key_required", "key_refused", "loading", "not_published", "not_found", "unavailable",
    "unexpected",
]  # fmt: skip
SECONDS = 15.0
MOST_PAGES = 40
"""Pages of one question: 40,000 days or experiments."""

_STATES: Mapping[str, State] = {
    "key-required": "key_required",
    "key-refused": "key_refused",
    "loading": "loading",
    "not-published": "not_published",
    "experiment-not-found": "not_found",
    "allocation-not-materialised": "not_found",
    "history-unavailable": "unavailable",
    "too-many-connections": "unavailable",
}
_PREFIX = "urn:mab:problem:"
_EXPERIMENT_ID = re.compile(r"exp_[0-9a-f]{12}", re.ASCII)


class ApiError(Exception):
    """The API did not answer with data.

    Attributes:
        state: What to show.
        detail: The API's own sentence, or what failed.
    """

    def __init__(self, state: State, detail: str) -> None:
        super().__init__(detail)
        self.state = state
        self.detail = detail


class Api:
    """One address of the API, and the key to send."""

    def __init__(self, url: str, key: str = "") -> None:
        self.url = url.rstrip("/")
        self.key = key

    def get(self, path: str, parameters: Mapping[str, str | int | None] | None = None) -> Body:
        """Return the body of a GET.

        Args:
            path: The path; its parts are quoted already.
            parameters: The query; None leaves one out.

        Raises:
            ApiError: There was no such body.
        """
        headers = {"authorization": f"Bearer {self.key}"} if self.key else {}
        query = {name: value for name, value in (parameters or {}).items() if value is not None}
        try:
            answer = httpx.get(
                f"{self.url}{path}",
                params=query,
                headers=headers,
                timeout=SECONDS,
                trust_env=False,
                follow_redirects=False,
            )
        except UnicodeEncodeError:
            raise ApiError("key_refused", "A key consists of ASCII characters.") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ApiError("away", f"{type(error).__name__}: {error}") from None
        return _body(answer)

    def of(self, experiment_id: str, part: str = "", **query: str | int | None) -> Body:
        """Return the record of an experiment.

        Args:
            experiment_id: The experiment; anything that is not an id is not found.
            part: The last part of the path, such as `/daily`.
            **query: The query; `from_` becomes `from`.

        Raises:
            ApiError: There was no such body.
        """
        if not _EXPERIMENT_ID.fullmatch(experiment_id):
            raise ApiError("not_found", "No experiment of this id is registered.")
        query = {name.rstrip("_"): value for name, value in query.items()}
        return self.get(f"/experiments/{quote(experiment_id, safe='')}{part}", query)

    def all_of(
        self, experiment_id: str, part: str, key: str, **query: str | int | None
    ) -> list[Body]:
        """Return the items of all pages.

        Args:
            experiment_id: The experiment.
            part: The last part of the path.
            key: The key of the items.
            **query: The query, without the cursor.
        """
        return [item for page in self._pages(experiment_id, part, query) for item in page[key]]

    def _pages(
        self, experiment_id: str, part: str, query: Mapping[str, str | int | None]
    ) -> Iterator[Body]:
        cursor = None
        for _ in range(MOST_PAGES):
            page = self.of(experiment_id, part, **query, limit=1000, cursor=cursor)
            yield page
            cursor = page["next_cursor"]
            if cursor is None:
                return


def _body(answer: httpx.Response) -> Body:
    try:
        body = answer.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise ApiError("unexpected", f"HTTP {answer.status_code} without a JSON object")
    if answer.is_success:
        return body
    slug = str(body.get("type", "")).removeprefix(_PREFIX)
    detail = str(body.get("detail", f"HTTP {answer.status_code}"))
    raise ApiError(_STATES.get(slug, "unexpected"), detail)
