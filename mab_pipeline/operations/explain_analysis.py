"""The analysis as `mab explain` shows it: lifts, checks and the stop advice."""

import json
from collections.abc import Iterator
from typing import Any

from mab_pipeline.allocation.recorded import Record
from mab_pipeline.operations.text import Grid, Line, Side
from mab_store.how_many import how_many
from mab_store.warehouse.published_analysis import published_analysis
from mab_store.warehouse.reader import Reader

_COLUMNS = ("variant", "beats control", "lift", "95 %", "by day", "over all traffic")


def analysis_parts(copy: Reader, record: Record) -> Iterator[Line | Grid]:
    """Yield the analysis of a decision; nothing if none was made when it was published."""
    row = published_analysis(copy, record.experiment_id, record.head["allocation_id"])
    if row is None:
        return
    analysis = json.loads(row["analysis"])
    columns: list[tuple[str, Side]] = [(name, "right") for name in _COLUMNS]
    columns[0] = (_COLUMNS[0], "left")
    cells = tuple(_cells(variant) for variant in analysis["variants"])
    yield Line()
    yield Grid(f"Against {analysis['control'] or 'no control'}", tuple(columns), cells)
    yield Line(_across_days(analysis))
    if analysis["rate_note"]:
        yield Line(f"The rate over all traffic is {analysis['rate_note']}.")
    yield Line(_sample_ratio(analysis["sample_ratio"]))
    advice = analysis["advice"]
    yield Line(f"Stop advice: {advice['verdict']}. {advice['reason']}", is_heading=True)
    if advice["error_rate"]:
        yield Line(f"How often that rule is wrong: {advice['error_rate']}")


def _cells(variant: dict[str, Any]) -> tuple[str, ...]:
    beats, lift = variant["probability_beats_control"], variant["lift"]
    interval = variant["lift_interval"]
    return (
        variant["variant_name"],
        "-" if beats is None else f"{beats:.6g}",
        "-" if lift is None else f"{100 * lift:+.3g} %",
        "-" if interval is None else " to ".join(f"{100 * end:+.3g} %" for end in interval),
        _with_error(variant["difference"], "+"),
        _with_error(variant["rate_over_all_traffic"], ""),
    )


def _with_error(value: dict[str, float] | None, sign: str) -> str:
    if value is None:
        return "-"
    return f"{100 * value['estimate']:{sign}.3g} +/- {100 * value['standard_error']:.2g} points"


def _across_days(analysis: dict[str, Any]) -> str:
    phi = analysis["overdispersion"]
    return (
        f"Value remaining: {100 * analysis['value_remaining']:.3g} % (95 %). Variation across "
        f"{how_many(analysis['days'], 'day')}: "
        + ("not known" if phi is None else f"{phi:.2f} times that of chance")
        + "."
    )


def _sample_ratio(ratio: dict[str, Any]) -> str:
    if ratio["p_value"] is None:
        return f"Traffic against the published shares: not tested, {ratio['note']}."
    pooled = f"; {ratio['note']}" if ratio["note"] else ""
    return (
        f"Traffic against the published shares: p = {ratio['p_value']:.3g} over "
        f"{how_many(ratio['days'], 'day')}{pooled}."
    )
