"""Plain text: make external text safe to display, and judge new names.

External text passes `plain` on its way to a terminal, a log, an error, a finding or an alert. Data
stay as they are: JSON, tables, keys and files keep every character.

A name can hold an escape sequence that rewrites the terminal, a line break that forges a line of a
log, or a character that is invisible or reverses the text.
"""

import re
import unicodedata

# Characters without a glyph that Unicode does not count as format characters: joiners, fillers and
# variation selectors. With each of them, two different names look the same.
_BLANK = (
    "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\ufe00-\ufe0f\uffa0"
    "\U000e0100-\U000e01ef"
)
_IS_BLANK = re.compile(f"[{_BLANK}]")
# Also the full-width forms, which some spreadsheets take for the same.
_FORMULA_STARTS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
# Control, format (zero width, bidirectional, tags), lone surrogates, line and paragraph separators.
_UNSAFE_CATEGORIES = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def plain(text: object) -> str:
    r"""Return text on one line in which every character is visible.

    An invisible character is replaced by its escape, such as `\x1b` or `\u202e`. Text that is
    already plain stays unchanged.

    Args:
        text: The text, or anything that `str` turns into text.
    """
    text = str(text)
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escape(character) if _is_unsafe(character) else character for character in text)


def guarded(value: object) -> object:
    """Return a cell of a CSV: text that a spreadsheet would run as a formula begins with `'`.

    Text is plain; None is empty; any other value stays as it is, a negative number too.
    """
    if not isinstance(value, str):
        return "" if value is None else value
    text = plain(value)
    return f"'{text}" if text.lstrip().startswith(_FORMULA_STARTS) else text


def fault_of_new_name(name: str) -> str | None:
    """Return why a new name is refused; None if it is acceptable.

    Existing names keep working: this is called only when a name is registered or added.
    """
    unseen = sorted({_escape(character) for character in name if _is_unsafe(character)})
    if unseen:
        return f"must not contain characters that cannot be seen: {', '.join(unseen)}"
    if not unicodedata.is_normalized("NFC", name):
        return (
            "must be in Unicode's normal form C (NFC): its accents are separate characters, and "
            "it looks the same as a name whose accents are not"
        )
    return None


def _is_unsafe(character: str) -> bool:
    return unicodedata.category(character) in _UNSAFE_CATEGORIES or bool(_IS_BLANK.match(character))


def _escape(character: str) -> str:
    """Return the escape of a character, as Python and JSON write it."""
    known = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}.get(character)
    code = ord(character)
    if known:
        return known
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
