"""What a schema cannot say, told to Schemathesis: which valid-looking bodies make sense.

Only values that are valid by themselves are changed, so that what it broke on purpose stays broken.
"""

import itertools
import re
from datetime import date
from typing import Any

import schemathesis

from mab_api.openapi import NAME_PATTERN
from mab_store.plain_text import fault_of_new_name

VARIANTS = ("control", "variant_a")  # every experiment here has these


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: Any) -> None:
    """Make a generated body keep the rules that tie its fields together."""
    if not isinstance(case.body, dict):
        return
    if case.operation.label == "POST /experiments":
        _can_be_seen(case.body, "name")
        for variant in _list(case.body.get("variants")):
            if isinstance(variant, dict):
                _can_be_seen(variant, "name")
        _one_control_and_distinct_names(case.body.get("variants"))
        if _is_day(case.body.get("start_date")):
            case.body["start_date"] = "2026-03-09"
    elif case.operation.label == "PATCH /experiments/{experiment_id}":
        _can_be_seen(case.body, "changed_by")
        added = _list(case.body.get("add_variants"))
        for place in range(len(added)):
            _can_be_seen(added, place)
        _asks_for_something_and_names_a_variant_once(case.body)
    elif case.operation.label == "POST /experiments/{experiment_id}/metrics":
        _known_variants_once_and_clicks_that_fit(case.body.get("metrics"))
        if _is_day(case.body.get("date")):
            case.body["date"] = "2026-03-09"


def _can_be_seen(holder: Any, key: Any) -> None:
    """Replace a name that has the right form but characters that nobody can see or tell apart."""
    name = holder[key] if isinstance(holder, list) else holder.get(key)
    if _is_name(name) and re.fullmatch(NAME_PATTERN, name) and fault_of_new_name(name):
        holder[key] = name.encode("ascii", "backslashreplace").decode()[:200]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _one_control_and_distinct_names(variants: Any) -> None:
    if not isinstance(variants, list) or not all(isinstance(v, dict) for v in variants):
        return
    if all(_is_name(variant.get("name")) for variant in variants):
        for variant, name in zip(variants, VARIANTS, strict=False):
            variant["name"] = name
    names: set[str] = set()
    for variant in variants:
        name = variant.get("name")
        if isinstance(name, str) and name in names:
            free = (f"{name[:190]}{number}" for number in itertools.count())
            variant["name"] = next(other for other in free if other not in names)
        names.add(str(variant.get("name")))
    if all(isinstance(variant.get("is_control", False), bool) for variant in variants):
        for place, variant in enumerate(variants):
            variant["is_control"] = place == 0


def _asks_for_something_and_names_a_variant_once(change: dict[str, Any]) -> None:
    lists = [change.get("add_variants"), change.get("retire_variants")]
    if change.get("status") is None and not any(lists):
        change["status"] = "paused"
    seen: set[str] = set()
    for names in lists:
        if isinstance(names, list) and len(names) <= 100:  # longer ones are wrong and stay so
            kept = [name for name in names if not (isinstance(name, str) and name in seen)]
            strings = dict.fromkeys(name for name in kept if isinstance(name, str))
            names[:] = [*strings, *(name for name in kept if not isinstance(name, str))]
            seen |= strings.keys()


def _known_variants_once_and_clicks_that_fit(metrics: Any) -> None:
    if not isinstance(metrics, list) or not all(isinstance(row, dict) for row in metrics):
        return
    for row, key in itertools.product(metrics, ("impressions", "clicks")):
        if isinstance(row.get(key), float) and row[key].is_integer():
            row[key] = int(row[key])  # 1.0 is an integer to JSON Schema, but not to us
    if all(_is_name(row.get("variant_name")) for row in metrics) and _are_counts(metrics):
        del metrics[len(VARIANTS) :]
        for row, name in zip(metrics, VARIANTS, strict=False):
            row["variant_name"] = name
            row["clicks"] = min(row["clicks"], row["impressions"])


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= 200


def _are_counts(metrics: list[dict[str, Any]]) -> bool:
    return all(
        type(row.get(key)) is int and 0 <= row[key] < 2**53
        for row in metrics
        for key in ("impressions", "clicks")
    )


def _is_day(value: Any) -> bool:
    try:
        return isinstance(value, str) and str(date.fromisoformat(value)) == value
    except ValueError:
        return False
