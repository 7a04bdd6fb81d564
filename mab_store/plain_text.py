"""Plain text: how text from outside is shown, wherever a person reads it.

What belongs here: the one function that text from outside passes on its way to a terminal, a log,
an error, a check's finding or an alert, and the judgement of new names. What does not: data. JSON
keeps every character, and so do tables, keys and files.

A name can hold an escape sequence that rewrites the terminal, a line break that forges a line of a
log, or a character that nobody sees or that turns the text around.
"""

import re
import unicodedata

# Characters without a glyph that Unicode does not count as format characters: joiners, fillers and
# variation selectors. Each makes two names that look the same.
_BLANK = (
    "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\ufe00-\ufe0f\uffa0"
    "\U000e0100-\U000e01ef"
)
_IS_BLANK = re.compile(f"[{_BLANK}]")
# Control, format (zero width, bidirectional, tags), lone surrogates, line and paragraph separators.
_UNSAFE_CATEGORIES = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def plain(text: object) -> str:
    r"""Return text on one line, in which every character can be seen.

    A character that cannot be seen is shown by its escape, such as `\x1b` or `\u202e`. Text that
    was made plain before stays as it is.

    Args:
        text: The text, or anything that `str` turns into text.
    """
    text = str(text)
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escape(character) if _is_unsafe(character) else character for character in text)


def fault_of_new_name(name: str) -> str | None:
    """Say why a new name is refused; None if it is not.

    Names that are there already keep working: only what registers or adds a name asks this.
    """
    unseen = sorted({_escape(character) for character in name if _is_unsafe(character)})
    if unseen:
        return f"must not contain characters that cannot be seen: {', '.join(unseen)}"
    if not unicodedata.is_normalized("NFC", name):
        return (
            "must be in Unicode's normal form C (NFC): it has letters and accents as separate "
            "characters, and looks the same as a name that has not"
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
