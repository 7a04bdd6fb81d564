"""The webhook: one bounded attempt to POST an alert as JSON that Slack takes.

The URL is a secret: its owner can write to the channel. No message here contains it. The standard
library sends it, since httpx and urllib3 (requests) write each URL into their logs.
"""

import http.client
import json
import urllib.error
import urllib.request
from datetime import datetime
from typing import Any

from pydantic import SecretStr

from mab_pipeline.alerts.throttle import Waiting
from mab_store.errors import MabError
from mab_store.plain_text import plain
from mab_store.settings import Settings

TIMEOUT_SECONDS = 3
EXPERIMENTS_SHOWN = 50
# Slack reads these as markup even in plain text: a name must not call a whole channel.
SLACK_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


class WebhookError(MabError):
    """An alert was not sent.

    Attributes:
        is_reachable: Whether the host answered.
    """

    def __init__(self, message: str, *, is_reachable: bool) -> None:
        super().__init__(message)
        self.is_reachable = is_reachable


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirected POST becomes a GET without the alert: a redirect is an error."""

    def redirect_request(self, *_: object, **__: object) -> None:
        """Follow nothing."""


def payload(settings: Settings, waiting: Waiting, now: datetime) -> dict[str, Any]:
    """Return the body of an alert: `text` for Slack, and the same in fields.

    Args:
        settings: The settings, for links to the Dagster UI.
        waiting: The pending notices of one cause.
        now: The time, as naive UTC.
    """
    newest = waiting.notices[-1]
    runs = [n.run_id for n in reversed(waiting.notices) if n.run_id]
    links = [f"{settings.dagster_url}/runs/{run_id}" for run_id in dict.fromkeys(runs)]
    links = links or [settings.dagster_url]
    experiments = sorted({name for notice in waiting.notices for name in notice.experiments})
    count = f"{waiting.count} times, the newest: " if waiting.count > 1 else ""
    lines = [_escaped(f"mab: {count}{newest.text}")]
    lines += [_escaped(f"What to do: {newest.remedy}"), links[0]]
    kind, _, subject = newest.cause.partition("/")
    return {
        "text": "\n".join(lines),
        "mrkdwn": False,  # stars, tildes and backticks are part of a name
        "kind": kind,
        "subject": subject,
        "count": waiting.count,
        "summary": plain(newest.text),
        "what_to_do": plain(newest.remedy),
        "days": list(dict.fromkeys(n.days for n in reversed(waiting.notices) if n.days)),
        "experiments": experiments[:EXPERIMENTS_SHOWN],
        "links": links,
        "sent_at": f"{now:%Y-%m-%dT%H:%M:%SZ}",
    }


def _escaped(text: str) -> str:
    """Return one line without Slack markup."""
    return plain(text).translate(SLACK_ESCAPES)


def post(url: SecretStr, body: dict[str, Any]) -> None:
    """Send an alert.

    Args:
        url: The webhook.
        body: The JSON.

    Raises:
        WebhookError: No answer came in TIMEOUT_SECONDS, or it was not 2xx.
    """
    request = urllib.request.Request(  # noqa: S310  # the settings allow only http and https
        url.get_secret_value(),
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json", "User-Agent": "mab"},
        method="POST",
    )
    try:
        opener = urllib.request.build_opener(_NoRedirect)
        with opener.open(request, timeout=TIMEOUT_SECONDS):
            return
    except urllib.error.HTTPError as error:
        raise WebhookError(f"it answers {error.code}", is_reachable=True) from None
    except (OSError, ValueError, http.client.HTTPException) as error:  # ValueError: a host's name
        cause = error.reason if isinstance(error, urllib.error.URLError) else error
        is_slow = isinstance(cause, TimeoutError)
        detail = f"no answer in {TIMEOUT_SECONDS} s" if is_slow else type(cause).__name__
        raise WebhookError(detail, is_reachable=False) from None
