"""The catalogue: every string of the dashboard, in English and Portuguese, one file each."""

import json
from functools import cache
from pathlib import Path

from mab_dashboard.formats import Language

LANGUAGES: dict[Language, str] = {"en": "English", "pt": "Português"}


@cache
def catalogue(language: Language) -> dict[str, str]:
    """Return the strings of a language by key."""
    path = Path(__file__).with_name(f"texts_{language}.json")
    strings: dict[str, str] = json.loads(path.read_text("utf-8"))
    return strings


def text(key: str, language: Language, /, **values: object) -> str:
    """Return a string of the catalogue with its values put in."""
    string = catalogue(language)[key]
    return string.format(**values) if values else string
