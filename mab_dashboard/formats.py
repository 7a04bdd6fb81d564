"""Numbers and names as people read them, in the two languages; text is never markup."""

import html
import re
from datetime import date, datetime
from typing import Literal

from mab_store.plain_text import plain

Language = Literal["en", "pt"]
NOTHING = "–"

_SWAPPED = str.maketrans({",": ".", ".": ","})
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~$:@&^=])")
_ISO_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_COMMAND = re.compile("`([^`]*)`")
_SHORTCODE = re.compile(r":(?=[\w+-]+\\?:)")


def number(value: float | None, language: Language, digits: int = 0, *, sign: bool = False) -> str:
    """Return a number with thousands separators.

    Args:
        value: The number; None is shown as a dash.
        language: Portuguese swaps point and comma.
        digits: Decimals.
        sign: Whether a plus is shown too.
    """
    if value is None or value != value:  # noqa: PLR0124  # NaN
        return NOTHING
    text = f"{value:{'+' if sign else ''},.{digits}f}".replace("-", "−")
    return text.translate(_SWAPPED) if language == "pt" else text


def percent(share: float | None, language: Language, digits: int = 1, *, sign: bool = False) -> str:
    """Return a share from 0 to 1 as a percentage."""
    if share is None or share != share:  # noqa: PLR0124  # NaN
        return NOTHING
    return f"{number(100 * share, language, digits, sign=sign)} %"


def probability(value: float | None, language: Language) -> str:
    """Return a probability; one that only rounds to 0 or 1 is shown as beyond the last digit."""
    if value is None:
        return NOTHING
    if 0 < value < 0.001:
        return f"< {percent(0.001, language)}"
    if 0.999 < value < 1:
        return f"> {percent(0.999, language)}"
    return percent(value, language)


def interval(ends: list[float] | None, language: Language, *, sign: bool = True) -> str:
    """Return an interval of shares as percentages."""
    if ends is None:
        return NOTHING
    low, high = (number(100 * end, language, 1, sign=sign) for end in ends)
    return f"{low} … {high} %"


def moment(text: str | None) -> str:
    """Return an RFC 3339 time to the minute."""
    if text is None:
        return NOTHING
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M} UTC"


def day_of(text: str | None) -> date | None:
    """Return a day that a URL or a body names; None if it is none."""
    try:
        return date.fromisoformat(text) if text and len(text) == 10 else None
    except ValueError:
        return None


def markup(text: object) -> str:
    """Return text for HTML: no tag, every character visible."""
    return html.escape(plain(text), quote=True)


def sentence(text: object) -> str:
    """Return a sentence for HTML: days and percentages stay on one line, `x` is code."""
    shown = _COMMAND.sub(r"<code>\1</code>", markup(text).replace(" %", "\u00a0%"))
    return _ISO_DAY.sub(r'<span style="white-space:nowrap">\g<0></span>', shown)


def label(text: object) -> str:
    """Return text for a place that reads Markdown: it is shown as it is."""
    escaped = _MARKDOWN.sub(r"\\\1", plain(text))
    return _SHORTCODE.sub(":\u200b", escaped)  # or Streamlit shows :smile: as a picture
