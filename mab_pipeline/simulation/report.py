"""A report of a simulation as one HTML page: the table, and charts as inline SVG."""

from collections.abc import Sequence
from html import escape
from itertools import groupby

import numpy as np

from mab_pipeline.simulation.outcome import Detail, Outcome
from mab_pipeline.simulation.worlds import World

# Okabe and Ito's colours: told apart with any kind of colour blindness.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums }
th, td { padding: .2rem .6rem; text-align: right; border-bottom: 1px solid #ddd }
td { white-space: nowrap }
th:nth-child(-n+2), td:nth-child(-n+2) { text-align: left }
.worlds { display: grid; grid-template-columns: repeat(auto-fill, minmax(330px, 1fr)); gap: 1rem }
figure { margin: 0 } figcaption { font-size: 13px } figcaption span { color: #555 }
svg { max-width: 100%; height: auto } svg text { font-size: 12px; fill: #333 }
.key span { margin-right: 1.2rem } .key i { display: inline-block; width: 1em; height: .7em;
margin-right: .4em }
"""
HEADERS = (
    ("world", "World"),
    ("policy", "Policy"),
    ("gain", "Gain over equal split"),
    ("below_equal", "Below equal split"),
    ("leader_7", "Best leads, day 7"),
    ("leader_14", "day 14"),
    ("leader_30", "day 30"),
    ("leader_end", "at the end"),
    ("bad_traffic", "Traffic on bad variants"),
    ("days_to_95", "Day of 95 %"),
    ("false_winner", "False winner"),
    ("moved", "Moved per day"),
)
"""Columns of a table for a reader: a field of `Outcome`, and its header."""

_WIDTH, _HEIGHT = 330, 130


def cell(outcome: Outcome, field: str) -> str:
    """Return a figure as a reader sees it."""
    value = getattr(outcome, field)
    if value is None:
        return "-"
    if field == "gain":
        return f"{value:+.2f} %" + ("" if outcome.se is None else f" ± {outcome.se:.2f}")
    if field == "days_to_95":
        return f"{value:g}"
    return value if isinstance(value, str) else f"{100.0 * value:.1f} %"


def html_report(worlds: Sequence[World], details: Sequence[Detail], *, reps: int, seed: int) -> str:
    """Return the page; it loads nothing from elsewhere.

    Args:
        worlds: The worlds.
        details: Their outcomes, world by world.
        reps: Repetitions of each pair.
        seed: The seed.
    """
    policies = list(dict.fromkeys(detail.outcome.policy for detail in details))
    colours = {name: _COLOURS[i % len(_COLOURS)] for i, name in enumerate(policies)}
    key = "".join(
        f'<span><i style="background:{colour}"></i>{escape(name)}</span>'
        for name, colour in colours.items()
    )
    by_name = {world.name: world for world in worlds}
    figures = "".join(
        _figure(by_name[name], list(group), colours)
        for name, group in groupby(details, key=lambda detail: detail.outcome.world)
    )
    note = (
        f"{reps} repetitions of each pair, seed {seed}; ± is one standard error, lines in the "
        "chart are two."
    )
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>mab simulate</title><style>{_STYLE}</style></head><body>\n"
        f"<h1>Simulated policies</h1>\n<p>{note}</p>\n<p class=key>{key}</p>\n"
        f"<h2>Gain over equal split</h2>\n{_gain_chart(details, colours)}\n"
        f"<h2>Share of the best variant by day</h2>\n<div class=worlds>{figures}</div>\n"
        f"<h2>All figures</h2>\n{_table(details)}\n</body></html>\n"
    )


def _table(details: Sequence[Detail]) -> str:
    head = "".join(f"<th>{escape(header)}</th>" for _, header in HEADERS)
    rows = "\n".join(
        "<tr>"
        + "".join(f"<td>{escape(cell(detail.outcome, field))}</td>" for field, _ in HEADERS)
        + "</tr>"
        for detail in details
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{rows}\n</tbody></table>"


def _gain_chart(details: Sequence[Detail], colours: dict[str, str]) -> str:
    """Draw a dot for each gain, with two standard errors on both sides."""
    gains = [detail.outcome.gain for detail in details]
    margins = [2.0 * (detail.outcome.se or 0.0) for detail in details]
    low = min(0.0, *(gain - margin for gain, margin in zip(gains, margins, strict=True)))
    high = max(0.0, *(gain + margin for gain, margin in zip(gains, margins, strict=True)))
    scale = 620.0 / ((high - low) or 1.0)
    left = 40.0 + 7.0 * max(len(detail.outcome.world) for detail in details)

    def x(value: float) -> float:
        return left + (value - low) * scale

    marks, top, last = [], 16, None
    for detail, gain, margin in zip(details, gains, margins, strict=True):
        outcome = detail.outcome
        if outcome.world != last:
            top, last = top + 8, outcome.world
            marks.append(f'<text x="0" y="{top + 4}">{escape(outcome.world)}</text>')
        colour = colours[outcome.policy]
        marks.append(
            f'<line x1="{x(gain - margin):.1f}" x2="{x(gain + margin):.1f}" y1="{top}" y2="{top}" '
            f'stroke="{colour}"/><circle cx="{x(gain):.1f}" cy="{top}" r="4" fill="{colour}">'
            f"<title>{escape(outcome.policy)}: {escape(cell(outcome, 'gain'))}</title></circle>"
        )
        top += 12
    zero = f'<line x1="{x(0):.1f}" x2="{x(0):.1f}" y1="8" y2="{top}" stroke="#999"/>'
    ends = "".join(
        f'<text x="{x(value):.1f}" y="{top + 14}" text-anchor="middle">{value:+.1f} %</text>'
        for value in sorted({low, 0.0, high})
    )
    label, width = "Gain of each policy over equal split, in percent", left + 670.0
    return (
        f'<svg viewBox="0 0 {width:.0f} {top + 20}" width="{width:.0f}" role="img" '
        f'aria-label="{label}">'
        f"{zero}{''.join(marks)}{ends}</svg>"
    )


def _figure(world: World, details: Sequence[Detail], colours: dict[str, str]) -> str:
    """Draw the mean share of the best variant by day, a line for each policy."""
    lines = []
    for detail in details:
        days = np.linspace(30.0, _WIDTH - 5.0, len(detail.best_share))
        points = " ".join(
            f"{day:.1f},{_HEIGHT - 20.0 - share * (_HEIGHT - 30.0):.1f}"
            for day, share in zip(days, detail.best_share, strict=True)
        )
        colour = colours[detail.outcome.policy]
        lines.append(f'<polyline points="{points}" fill="none" stroke="{colour}"/>')
    axis = (
        f'<path d="M30 10V{_HEIGHT - 20}H{_WIDTH - 5}" fill="none" stroke="#999"/>'
        f'<text x="26" y="16" text-anchor="end">1</text>'
        f'<text x="26" y="{_HEIGHT - 18}" text-anchor="end">0</text>'
        f'<text x="30" y="{_HEIGHT - 5}">day 1</text>'
        f'<text x="{_WIDTH - 5}" y="{_HEIGHT - 5}" text-anchor="end">{world.days}</text>'
    )
    label = f"{world.name}: share of the best variant by day"
    return (
        f'<figure><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">'
        f"{axis}{''.join(lines)}</svg><figcaption><b>{escape(world.name)}</b> "
        f"<span>{escape(world.description)}</span></figcaption></figure>\n"
    )
