"""Secrets of sources: read from the environment, and kept out of every message.

A driver or a server may repeat its input in an error. So each message of a source passes
`Secrets.clean`, which replaces every secret that this pull has read.
"""

import os
from contextlib import suppress
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

from dotenv import dotenv_values

from mab_store.errors import UsageError
from mab_store.plain_text import plain

MASK = "***"
MOST_CHARACTERS = 400
_SECRET_WORDS = ("password", "passwd", "pwd", "secret", "token", "signature", "apikey", "api_key")
_SECRET_NAMES = {"key", "sig", "auth", "access_key", "pass", "passphrase"}


class Secrets:
    """The secrets that one pull has read."""

    def __init__(self) -> None:
        self._values: set[str] = set()

    def read(self, variable: str) -> str:
        """Return the value of an environment variable, or of its line in `.env`.

        Raises:
            UsageError: It is not set.
        """
        value = (os.environ.get(variable) or dotenv_values(".env").get(variable) or "").strip()
        if not value:
            raise UsageError(
                f"the environment variable {variable} is not set; set it for mab, or in .env"
            )
        self._keep(value)
        if "://" in value:
            self._keep_parts(value)
        return value

    def clean(self, message: object) -> str:
        """Return a message as one short line without any of the secrets."""
        text = str(message)
        for value in sorted(self._values, key=len, reverse=True):
            text = text.replace(value, MASK)
        text = plain(" ".join(text.split()))
        return f"{text[:MOST_CHARACTERS]} [cut]" if len(text) > MOST_CHARACTERS else text

    def _keep(self, value: str) -> None:
        self._values |= {value, quote(value), quote(value, safe=""), quote_plus(value)}

    def _keep_parts(self, url: str) -> None:
        """Keep the secrets of a URL: its password, and values of its query."""
        with suppress(ValueError):  # then only the whole of it is known
            parts = urlsplit(url)
            if parts.password:
                self._keep(parts.password)
                self._keep(unquote(parts.password))
            for name, value in parse_qsl(parts.query):
                if value and _is_secret(name):
                    self._keep(value)


def fault_of_url(url: str) -> str | None:
    """Return why a URL may not stand in a file: it holds a secret; None if it holds none."""
    scheme, _, rest = url.partition("://")
    remedy = "put the whole URL into an environment variable and name that in url_env"
    user, at, _ = rest.rpartition("@")  # a password may hold any character, as people write it
    if at and ":" in user:
        return f"holds a password; {remedy}"
    if at and scheme in {"http", "https"} and "/" not in user:
        return f"holds a user's name; {remedy}"
    query = rest.partition("?")[2].partition("#")[0]
    for name, value in parse_qsl(query, keep_blank_values=True):
        if value and _is_secret(name):
            return f"holds a secret in its parameter {name}; {remedy}"
    return None


def _is_secret(name: str) -> bool:
    folded = name.lower().replace("-", "_")
    return folded in _SECRET_NAMES or any(word in folded for word in _SECRET_WORDS)
