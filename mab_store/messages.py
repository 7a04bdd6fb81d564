"""Sentences of the pipeline as codes with parameters, to be said in another language.

Sentences are stored as text, by every version since the first: here they are recognised. A test
gives each function that writes one to `messages_of`.
"""

import re
from collections.abc import Iterator
from typing import Any

Message = dict[str, Any]

_DAY = r"\d{4}-\d\d-\d\d"
_NUMBER = r"[-+.\de]+"
_COSTS = (
    r"(?P<variant>.+) leads after (?P<days>\d+) days; choosing it is expected to cost "
    rf"(?P<loss>{_NUMBER}) % of the clicks, {{}} (?P<stop_loss>{_NUMBER}) %\."
)
_DUE_FEW = r"\(due fewer than (?P<least>\d+) impressions: (?P<variants>.+)\)"
_NAMED = r"""\d+ of (?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*") \(\w+\)"""
_WHOLE = {
    "one_variant": r"There is one variant and nothing to compare\.",
    "few_days": r"There (?:is|are) (?P<days>\d+) days? of data; the advice needs (?P<needed>\d+)\.",
    "winner": (
        r"(?P<variant>.+) beats each other variant day by day over (?P<days>\d+) days with a "
        rf"probability of at least (?P<probability>{_NUMBER})\."
    ),
    "safe_to_stop": _COSTS.format("below"),
    "keep_running": _COSTS.format("at least"),
    "ratio_no_day": r"no day with a live publication has traffic",
    "ratio_one_variant": r"there is one variant",
    "ratio_too_few": rf"fewer than two cells are due enough {_DUE_FEW}",
    "ratio_pooled": rf"counted as one variant: (?P<pooled>.+) {_DUE_FEW}",
}
_PARTS = {
    "data_gap": (
        rf"no accepted impressions since (?P<day>{_DAY}), (?P<allowed>\d+) days are allowed"
    ),
    "no_impressions": rf"no accepted impressions since (?P<day>{_DAY})",
    "rejected_rows": (
        rf"(?P<rejected>\d+) of (?P<received>\d+) rows of (?P<day>{_DAY}) were rejected"
    ),
    "mismatch": (
        rf"the traffic does not follow the published shares \(p = (?P<p>{_NUMBER}) over "
        r"(?P<days>\d+) days?; impressions of those due: (?P<seen>.+?)\)"
    ),
    "variant_silent": (
        r"(?P<variant>.+?) has no accepted impressions, its shares promised (?P<promised>\d+)"
    ),
    "impressions_rejected": (
        rf"(?P<share>{_NUMBER}) % of the impressions were rejected, (?P<allowed>{_NUMBER}) % are "
        rf"allowed: (?P<names>{_NAMED}(?:, {_NAMED})*(?:, …)?)"
    ),
    "missing_rows": rf"no share for (?P<variants>.+?); materialise allocations of (?P<day>{_DAY})",
    "wrong_total": (
        r"shares \[[-\d, ]*\] \(in 0\.01 %\) sum to (?P<sum>-?\d+), not to \d+; `mab rebuild` "
        r"restores the decision"
    ),
    "unlikely_share": (
        rf"(?P<variant>.+?): (?P<share>{_NUMBER}) % of (?P<samples>\d+) draws"
        rf"(?: and options of the rule)?, but the exact probability is (?P<probability>{_NUMBER}) "
        r"\(tail [^)]+\)"
    ),
    "unlikely_probability": (
        rf"(?P<variant>.+?): (?P<wins>\d+) wins in (?P<samples>\d+) literal draws, but P\(best\), "
        rf"which its share was made from, is (?P<probability>{_NUMBER}) \(tail [^)]+\)"
    ),
}
_SPANS = {
    "span": rf"in the (?P<days>\d+) days up to (?P<day>{_DAY}) ",
    "span_day": rf"on (?P<day>{_DAY}) ",
}
_SEPARATOR, _FAULTS = "; ", ("See to the data first: ", ".")


def _compiled(patterns: dict[str, str], end: str = "") -> dict[str, re.Pattern[str]]:
    return {code: re.compile(text + end, re.DOTALL) for code, text in patterns.items()}


_WHOLE_PATTERNS, _SPAN_PATTERNS = _compiled(_WHOLE), _compiled(_SPANS)
_PART_PATTERNS = _compiled(_PARTS, rf"(?={_SEPARATOR}|\Z)")
CODES = (*_WHOLE, "faults", *_SPANS, *_PARTS)


def messages_of(text: str) -> list[Message]:
    """Return the meaning of a sentence.

    Args:
        text: The reason of an advice, a finding of the gate, or a note on the sample ratio.

    Returns:
        Codes of `CODES` with their parameters as the sentence has them, in its order; none if the
        sentence is not known.
    """
    for code, pattern in _WHOLE_PATTERNS.items():
        if found := pattern.fullmatch(text):
            return [_message(code, found)]
    begin, end = _FAULTS
    if text.startswith(begin) and text.endswith(end):
        parts = list(_parts(text[len(begin) : -len(end)]))
        return [] if None in parts else [{"code": "faults", "parameters": {}}, *_known(parts)]
    parts = list(_parts(text))
    return [] if None in parts else _known(parts)


def _parts(text: str) -> Iterator[Message | None]:
    """Yield each finding, and None at one that is not known."""
    place = 0
    while place < len(text):
        for code, pattern in _SPAN_PATTERNS.items():
            if found := pattern.match(text, place):
                yield _message(code, found)
                place = found.end()
        matches = ((code, p.match(text, place)) for code, p in _PART_PATTERNS.items())
        known = next(((code, found) for code, found in matches if found), None)
        if known is None:
            yield None
            return
        yield _message(*known)
        place = known[1].end() + len(_SEPARATOR)


def _message(code: str, found: re.Match[str]) -> Message:
    return {"code": code, "parameters": found.groupdict()}


def _known(parts: list[Message | None]) -> list[Message]:
    return [part for part in parts if part is not None]
