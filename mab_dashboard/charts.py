"""Charts: each has title, units and colours by variant; the table behind it is beside it."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, cast

import altair as alt
import pandas as pd

from mab_dashboard.formats import Language
from mab_dashboard.labels import Align, band_labels
from mab_dashboard.sayings import reason_words
from mab_dashboard.series import Rate, Share, held_days
from mab_dashboard.texts import text
from mab_store.plain_text import plain

HEIGHT = 330
MOST_BANDS = 6
"""More variants than this are drawn without bands, which would cover each other."""
BORDER = "#ffffff"
DASHES = ((1, 0), (6, 3), (2, 2), (9, 3, 2, 3), (12, 4), (4, 1), (2, 5))
HALO: tuple[dict[str, Any], ...] = (
    {"stroke": "#ffffff", "strokeWidth": 3.5, "strokeJoin": "round", "fontWeight": 600},
    {"fill": "#1b1e23", "fontWeight": 600},
)
SHIFTS: Mapping[Align, int] = {"left": 6, "center": 0, "right": -6}
DAY_FORMAT: Mapping[Language, str] = {"en": "%d %b", "pt": "%d/%m"}
NUMBERS: Mapping[Language, dict[str, Any]] = {
    "pt": {"decimal": ",", "thousands": ".", "grouping": [3], "currency": ["R$ ", ""]}
}
"""How an axis writes numbers (d3-format's locale), if not as in English."""
BAR_DAY = "yearmonthdate(day):T"
VERDICT_COLOURS = {"accepted": "#0072B2", "superseded": "#7a7f87"}
REJECTED_COLOURS = ("#D55E00", "#E69F00", "#CC79A7", "#773311", "#009E73", "#56B4E9", "#8800DD")


def shares_chart(
    shares: Sequence[Share], colours: Mapping[str, str], language: Language, *, title: str
) -> alt.LayerChart:
    """Return the shares per day, stacked to 100 %; held days have a dashed line."""
    frame = pd.DataFrame(
        {
            "day": [pd.Timestamp(item.day) for item in shares],
            "variant": [plain(item.variant) for item in shares],
            "share": [100 * item.share for item in shares],
        }
    )
    area = (
        alt.Chart(frame)
        .mark_area(
            interpolate="step-after" if len(set(frame["day"])) > 1 else "linear",
            stroke=BORDER,
            strokeWidth=0.8,
        )
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
    rows = [(item.day, plain(item.variant), 100 * item.share) for item in shares]
    return _titled(title, language, *layers, *_labels(rows, "day:T"))


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
    colour = _colour(colours).legend(_legend(**_LINES))
    base = alt.Chart(frame).encode(x=_days(language), color=colour)
    dashes = [list(DASHES[place % len(DASHES)]) for place in range(len(colours))]
    dash = alt.StrokeDash("variant:N", title=None, legend=_legend(**_LINES)).scale(
        domain=[plain(name) for name in colours], range=dashes
    )
    tooltip = ["day:T", "variant:N", *(alt.Tooltip(f"{c}:Q", format=".3f") for c in _BAND)]
    line = base.mark_line(point=alt.OverlayMarkDef(size=18), strokeWidth=1.6).encode(
        y=alt.Y("rate:Q", title=title).scale(zero=False), tooltip=tooltip, strokeDash=dash
    )
    layers: list[alt.Chart] = [line]
    if len(set(frame["variant"])) <= MOST_BANDS:
        band = base.mark_area(opacity=0.16).encode(
            y=alt.Y("low:Q", title=title).scale(zero=False),
            y2="high:Q",
        )
        layers.insert(0, band)
    return _titled(text("chart_rates", language), language, *layers)


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
        .mark_bar(stroke=BORDER, strokeWidth=0.8)
        .encode(
            x=_bars(language),
            y=alt.Y("impressions:Q", title=text("axis_impressions", language)).axis(format=",d"),
            color=_colour(colours),
            order=alt.Order("variant:N", sort="descending"),
            tooltip=["day:T", "variant:N", alt.Tooltip("impressions:Q", format=",d")],
        )
    )
    named = [(row["day"].date(), row["variant"], row["impressions"]) for row in rows]
    return _titled(text("chart_impressions", language), language, bars, *_labels(named, BAR_DAY))


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
    frame = pd.DataFrame(rows, columns=["variant", "rate", "density"])
    lines = (
        alt.Chart(frame)
        .mark_area(opacity=0.25, line=True)
        .encode(
            x=alt.X("rate:Q", title=text("axis_rate", language)).scale(zero=False),
            y=alt.Y("density:Q", title=text("axis_density", language), stack=None),
            color=_colour(colours),
            tooltip=["variant:N", alt.Tooltip("rate:Q", format=".3f")],
        )
    )
    peaks = frame.loc[frame.groupby("variant")["density"].idxmax()]
    labels = [
        alt.Chart(peaks)
        .mark_text(baseline="bottom", dy=-3, **halo)
        .encode(x="rate:Q", y="density:Q", text="variant:N")
        for halo in HALO
    ]
    return _titled(text("chart_density", language), language, lines, *labels)


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
        .mark_bar(stroke=BORDER, strokeWidth=0.8)
        .encode(
            x=_bars(language),
            y=alt.Y("rows:Q", title=text("axis_rows", language)).axis(format=",d", tickMinStep=1),
            color=alt.Color("verdict:N", title=None)
            .scale(domain=list(shown.values()), range=[colours[name] for name in names])
            .legend(_legend()),
            order=alt.Order("verdict:N", sort="descending"),
            tooltip=["day:T", "verdict:N", "rows:Q"],
        )
    )
    named = [
        (date.fromisoformat(row["date"]), shown[row["verdict"]], float(row["rows"])) for row in rows
    ]
    return _titled(text("chart_rows", language), language, bars, *_labels(named, BAR_DAY))


_GOOD = ("accepted", "superseded")


def shown_verdict(name: str, language: Language) -> str:
    """Return the verdict on a row in words."""
    return text(f"verdict_{name}", language) if name in _GOOD else reason_words(name, language)


def _days(language: Language) -> alt.X:
    return alt.X("day:T", title=text("axis_day", language)).axis(
        format=DAY_FORMAT[language], tickCount=8, grid=False
    )


def _bars(language: Language) -> alt.X:
    return alt.X(BAR_DAY, title=text("axis_day", language)).axis(
        format=DAY_FORMAT[language], tickCount=8, grid=False
    )


def _labels(rows: Sequence[tuple[date, str, float]], x: str) -> list[alt.Chart]:
    """Return the names of the bands, dark on a white halo: readable on every colour."""
    # Vega stacks in the order of the names; `sort="descending"` has the last one at the bottom.
    names = sorted({name for _, name, _ in rows}, reverse=True)
    labels = band_labels(rows, names)
    layers = []
    for align, shift in SHIFTS.items():
        own = [label for label in labels if label.align == align]
        if not own:
            continue
        frame = pd.DataFrame(
            {
                "day": [pd.Timestamp(label.day) for label in own],
                "name": [label.name for label in own],
                "middle": [label.middle for label in own],
            }
        )
        layers += [
            alt.Chart(frame)
            .mark_text(align=align, dx=shift, baseline="middle", limit=220, **halo)
            .encode(x=x, y="middle:Q", text="name:N")
            for halo in HALO
        ]
    return layers


def _legend(**options: Any) -> alt.Legend:
    return alt.Legend(orient="top", columns=4, labelLimit=220, symbolOpacity=1, **options)


_LINES: Mapping[str, Any] = {"symbolType": "stroke", "symbolSize": 500, "symbolStrokeWidth": 2.5}


def _colour(colours: Mapping[str, str]) -> alt.Color:
    names = [plain(name) for name in colours]
    return (
        alt.Color("variant:N", title=None)
        .scale(domain=names, range=list(colours.values()))
        .legend(_legend())
    )


def _titled(title: str, language: Language, *layers: alt.Chart) -> alt.LayerChart:
    chart = alt.layer(*layers).properties(title=title, height=HEIGHT, width="container")
    if numbers := NUMBERS.get(language):
        chart = chart.configure(locale={"number": numbers})
    return cast("alt.LayerChart", chart)
