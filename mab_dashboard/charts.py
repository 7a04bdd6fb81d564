"""Charts: each has title, units and colours by variant; the table behind it is beside it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import altair as alt
import pandas as pd

from mab_dashboard.formats import Language
from mab_dashboard.series import Rate, Share, held_days
from mab_dashboard.texts import text
from mab_store.plain_text import plain

HEIGHT = 330
MOST_BANDS = 6
"""More variants than this are drawn without bands, which would cover each other."""
VERDICT_COLOURS = {"accepted": "#0072B2", "superseded": "#7a7f87"}
REJECTED_COLOURS = ("#D55E00", "#E69F00", "#CC79A7", "#B8A800", "#009E73", "#56B4E9", "#000000")


def shares_chart(
    shares: Sequence[Share], colours: Mapping[str, str], language: Language
) -> alt.LayerChart:
    """Return the published shares per day, stacked to 100 %; held days have a dashed line."""
    frame = pd.DataFrame(
        {
            "day": [pd.Timestamp(item.day) for item in shares],
            "variant": [plain(item.variant) for item in shares],
            "share": [100 * item.share for item in shares],
        }
    )
    area = (
        alt.Chart(frame)
        .mark_area(interpolate="step-after" if len(set(frame["day"])) > 1 else "linear")
        .encode(
            x=_days(language),
            y=alt.Y("share:Q", stack="zero", title=text("axis_share", language))
            .scale(domain=[0, 100])
            .axis(tickCount=5),
            color=_colour(colours),
            order=alt.Order("variant:N", sort="descending"),
            tooltip=["day:T", "variant:N", alt.Tooltip("share:Q", format=".1f")],
        )
    )
    layers: list[alt.Chart] = [area]
    held = pd.DataFrame({"day": [pd.Timestamp(day) for day in held_days(shares)]})
    if len(held):
        layers.append(alt.Chart(held).mark_rule(strokeDash=[3, 3], color="#888").encode(x="day:T"))
    return _titled(text("chart_shares", language), *layers)


def rates_chart(
    rates: Sequence[Rate], colours: Mapping[str, str], language: Language
) -> alt.LayerChart:
    """Return the click rate per day and variant with its 95 % band."""
    frame = pd.DataFrame(
        {
            "day": [pd.Timestamp(item.day) for item in rates],
            "variant": [plain(item.variant) for item in rates],
            "rate": [100 * item.rate for item in rates],
            "low": [100 * item.low for item in rates],
            "high": [100 * item.high for item in rates],
        }
    )
    title = text("axis_rate", language)
    base = alt.Chart(frame).encode(x=_days(language), color=_colour(colours))
    tooltip = ["day:T", "variant:N", *(alt.Tooltip(f"{c}:Q", format=".3f") for c in _BAND)]
    line = base.mark_line(point=alt.OverlayMarkDef(size=18), strokeWidth=1.6).encode(
        y=alt.Y("rate:Q", title=title).scale(zero=False), tooltip=tooltip
    )
    layers: list[alt.Chart] = [line]
    if len(set(frame["variant"])) <= MOST_BANDS:
        band = base.mark_area(opacity=0.16).encode(
            y=alt.Y("low:Q", title=title).scale(zero=False),
            y2="high:Q",
        )
        layers.insert(0, band)
    return _titled(text("chart_rates", language), *layers)


_BAND = ("rate", "low", "high")


def impressions_chart(
    days: Iterable[Mapping[str, Any]], colours: Mapping[str, str], language: Language
) -> alt.LayerChart:
    """Return the impressions per day, one stacked bar for each."""
    rows = [
        {
            "day": pd.Timestamp(day["date"]),
            "variant": plain(item["variant_name"]),
            "impressions": item["impressions"],
        }
        for day in days
        for item in day["variants"]
    ]
    bars = (
        alt.Chart(pd.DataFrame(rows, columns=["day", "variant", "impressions"]))
        .mark_bar()
        .encode(
            x=alt.X("yearmonthdate(day):T", title=text("axis_day", language)).axis(
                format="%d %b", tickCount=8, grid=False
            ),
            y=alt.Y("impressions:Q", title=text("axis_impressions", language)).axis(format=",d"),
            color=_colour(colours),
            order=alt.Order("variant:N", sort="descending"),
            tooltip=["day:T", "variant:N", alt.Tooltip("impressions:Q", format=",d")],
        )
    )
    return _titled(text("chart_impressions", language), bars)


def density_chart(
    densities: Mapping[str, Sequence[tuple[float, float]]],
    colours: Mapping[str, str],
    language: Language,
) -> alt.LayerChart:
    """Return the posterior densities of the variants' click rates."""
    rows = [
        {"variant": plain(name), "rate": 100 * rate, "density": height / 100}
        for name, points in densities.items()
        for rate, height in points
    ]
    lines = (
        alt.Chart(pd.DataFrame(rows, columns=["variant", "rate", "density"]))
        .mark_area(opacity=0.25, line=True)
        .encode(
            x=alt.X("rate:Q", title=text("axis_rate", language)).scale(zero=False),
            y=alt.Y("density:Q", title=text("axis_density", language), stack=None),
            color=_colour(colours),
            tooltip=["variant:N", alt.Tooltip("rate:Q", format=".3f")],
        )
    )
    return _titled(text("chart_density", language), lines)


def verdicts_chart(rows: Sequence[Mapping[str, Any]], language: Language) -> alt.LayerChart:
    """Return the received rows per day, stacked by verdict."""
    names = sorted({row["verdict"] for row in rows}, key=lambda name: (name not in _GOOD, name))
    reasons = [name for name in names if name not in _GOOD]
    colours = VERDICT_COLOURS | {
        name: REJECTED_COLOURS[place % len(REJECTED_COLOURS)] for place, name in enumerate(reasons)
    }
    shown = {name: shown_verdict(name, language) for name in names}
    frame = pd.DataFrame(
        {
            "day": [pd.Timestamp(row["date"]) for row in rows],
            "verdict": [shown[row["verdict"]] for row in rows],
            "rows": [row["rows"] for row in rows],
        }
    )
    bars = (
        alt.Chart(frame)
        .mark_bar()
        .encode(
            x=alt.X("yearmonthdate(day):T", title=text("axis_day", language)).axis(
                format="%d %b", tickCount=8, grid=False
            ),
            y=alt.Y("rows:Q", title=text("axis_rows", language)).axis(format=",d", tickMinStep=1),
            color=alt.Color("verdict:N", title=None)
            .scale(domain=list(shown.values()), range=[colours[name] for name in names])
            .legend(orient="top"),
            tooltip=["day:T", "verdict:N", "rows:Q"],
        )
    )
    return _titled(text("chart_rows", language), bars)


_GOOD = ("accepted", "superseded")


def shown_verdict(name: str, language: Language) -> str:
    """Return the verdict on a row in words; a reason for rejection is the pipeline's own name."""
    return text(f"verdict_{name}", language) if name in _GOOD else name


def _days(language: Language) -> alt.X:
    return alt.X("day:T", title=text("axis_day", language)).axis(
        format="%d %b", tickCount=8, grid=False
    )


def _colour(colours: Mapping[str, str]) -> alt.Color:
    names = [plain(name) for name in colours]
    return (
        alt.Color("variant:N", title=None)
        .scale(domain=names, range=list(colours.values()))
        .legend(orient="top", columns=4, labelLimit=220, symbolOpacity=1)
    )


def _titled(title: str, *layers: alt.Chart) -> alt.LayerChart:
    chart = alt.layer(*layers).properties(title=title, height=HEIGHT, width="container")
    return cast("alt.LayerChart", chart)
