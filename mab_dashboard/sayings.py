"""The API's sentences in the reader's language, from their codes or their data; pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mab_dashboard.formats import Language, number
from mab_dashboard.texts import catalogue, text

Body = Mapping[str, Any]

_DECIMAL = re.compile(r"-?\d+\.\d+(e[-+]?\d+)?", re.ASCII)
_COUNT_OF = re.compile(r"(?<!\S)(\d+) of ", re.ASCII)
SPANS = ("span", "span_day")
CHANGES = ("running", "frozen", "retired", "active")
WINDOWS = ("enough", "longer", "kept", "too_few")
REASONS = (
    "unreadable_file", "unknown_experiment", "unknown_variant", "not_an_integer", "too_large",
    "negative", "clicks_exceed_impressions",
)  # fmt: skip


def said(sentence: str, messages: Sequence[Body] | None, language: Language) -> str:
    """Return a sentence of the API.

    Args:
        sentence: As the API says it, in English.
        messages: The same as codes; none if it is not known.
        language: The language.
    """
    parts = [_part(message, language) for message in messages or ()]
    if not parts or None in parts:
        return sentence if language == "en" or not sentence else text("untold", language)
    codes = [message["code"] for message in messages or ()]
    words = ""
    for place, (code, part) in enumerate(zip(codes, parts, strict=True)):
        follows = place > 0 and codes[place - 1] not in (*SPANS, "faults")
        words += f"{'; ' if follows else ''}{part}{' ' if code in (*SPANS, 'faults') else ''}"
    return f"{words}." if codes[0] == "faults" else words


def error_rate(advice: Body, language: Language) -> str:
    """Return how often the rule of an advice is wrong; empty if it names no rate."""
    given = advice.get("error_rate") or ""
    key = f"error_rate_{advice.get('verdict')}"
    if given and catalogue("en").get(key) == given:
        return text(key, language)
    return given if language == "en" or not given else text("untold", language)


def reason_words(verdict: str, language: Language) -> str:
    """Return why a row does not count, or the name of a reason that is not known."""
    return text(f"reason_{verdict}", language) if verdict in REASONS else verdict


def explained(explanation: Body, language: Language) -> list[str]:
    """Return the sentences of an explanation: windows, rows that do not count, changes, holds."""
    settings = explanation["settings"]
    return [
        *(_window(row, settings, language) for row in explanation["variants"]),
        *_not_counted(explanation["not_counted"], language),
        *(_change(row, language) for row in explanation["changes"]),
    ]


def _part(message: Body, language: Language) -> str | None:
    key = f"message_{message['code']}"
    if key not in catalogue(language):
        return None
    values = {
        name: _in_portuguese(value) if language == "pt" else value
        for name, value in message["parameters"].items()
    }
    return text(key, language, **values)


def _in_portuguese(value: str) -> str:
    """Return a value with a decimal comma, and lists of counts with `de`."""
    if _DECIMAL.fullmatch(value):
        return value.replace(".", ",")
    return _COUNT_OF.sub(r"\1 de ", value)


def _window(row: Body, settings: Body, language: Language) -> str:
    """Say which window of a variant counts, and why."""
    name, least = row["variant_name"], settings["min_impressions"]
    short, long = row["default_window_impressions"], row["max_window_impressions"]
    if short is None:
        source = row["data_source"]
        return f"{name}: {text(f'source_{source}', language)}"
    kept = settings.get("short_window") == "keep" and long
    which = "kept" if kept else "too_few"
    which = "enough" if short >= least else "longer" if long >= least else which
    return text(
        f"window_{which}",
        language,
        variant=name,
        short=number(short, language),
        long=number(long, language),
        least=number(least, language),
        days=settings["default_window_days"],
        most=settings["max_window_days"],
    )


def _not_counted(rows: Iterable[Body], language: Language) -> Iterable[str]:
    for row in rows:
        first, last = row["first_date"], row["last_date"]
        verdict = row["verdict"]
        yield text(
            "not_counted",
            language,
            rows=number(row["row_count"], language),
            variant=row["variant_name"],
            verdict=text("verdict_superseded", language)
            if verdict == "superseded"
            else reason_words(verdict, language),
            days=first if first == last else f"{first} – {last}",
        )


def _change(row: Body, language: Language) -> str:
    name, status = row["variant_name"], row["status"]
    if name is None:
        key = "running" if status == "running" else "frozen"
        status = text(f"status_{status}", language)
    else:
        key = "retired" if status == "retired" else "active"
    day = row["valid_from_date"]
    return text(f"change_{key}", language, variant=name, status=status, day=day)
