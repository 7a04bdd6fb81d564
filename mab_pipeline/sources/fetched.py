"""The result of one fetch, and the two ways in which a source fails."""

from typing import NamedTuple

from mab_store.errors import MabError


class SourceError(MabError):
    """A source brought nothing usable for a day; another attempt within minutes brings no more."""


class SourceDownError(SourceError):
    """A source does not answer, or not in time; a later attempt may succeed."""


class Fetched(NamedTuple):
    """One file, answer or result.

    Attributes:
        name: Its name for messages; the extension selects the reader.
        payload: Its bytes.
    """

    name: str
    payload: bytes


def too_large(name: str, most_bytes: int) -> SourceError:
    """Return the error of a payload above the limit of a file of the inbox."""
    return SourceError(
        f"{name} has more than the {most_bytes >> 20} MB that INBOX_MAX_FILE_MB allows; fetch less "
        "per day, or raise it"
    )
