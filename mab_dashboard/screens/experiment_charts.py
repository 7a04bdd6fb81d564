"""The charts of an experiment: shares, click rates and impressions over time; densities."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import streamlit as st

from mab_dashboard.api import Body
from mab_dashboard.charts import density_chart, impressions_chart, rates_chart, shares_chart
from mab_dashboard.formats import label, markup
from mab_dashboard.look import block
from mab_dashboard.series import Share, density, held_days, rates
from mab_dashboard.view import View, file_name, show_chart, show_heading, show_note

RANGES: Mapping[str, int | None] = {"30": 30, "90": 90, "all": None}
MOST_DAYS_NAMED = 6


def show_over_time(
    view: View, record: Body, shares: Sequence[Share], *, colours: Mapping[str, str]
) -> None:
    """Show the charts over days.

    Args:
        view: The view.
        record: The experiment.
        shares: Its published shares of each day.
        colours: Colours of its variants.
    """
    show_heading(view.say("section_time"))
    chosen = st.segmented_control(
        view.say("range"),
        list(RANGES),
        default="90",
        format_func=lambda name: view.say(f"range_{name}"),
        key="range",
    )
    length = RANGES[chosen or "90"]
    newest = max(share.day for share in shares)
    first = newest - timedelta(days=length) if length else None
    shown = [share for share in shares if first is None or share.day > first]
    _shares(view, record, shown, colours)
    query = {"from_": str(first)} if first else {}
    days = view.all_of(record["experiment_id"], "/daily", "days", **query)
    if not days:
        show_note(view.say("no_chart"), title=view.say("chart_rates"))
        return
    known = [*colours, *(r["variant_name"] for d in days for r in d["variants"])]
    missing = [name for name in dict.fromkeys(known) if name not in colours]
    _rates(view, record, days, {**colours, **dict.fromkeys(missing, "#999999")})


def show_density(view: View, explanation: Body, colours: Mapping[str, str]) -> None:
    """Show the posterior densities of a decision, one click deeper."""
    with st.expander(label(view.say("section_density"))):
        points = {
            row["variant_name"]: density(row["posterior"]["alpha"], row["posterior"]["beta"])
            for row in explanation["variants"]
        }
        shown = {name: colours[name] for name in points}
        st.altair_chart(
            density_chart(points, shown, view.place.language), width="stretch", key="density"
        )


def _shares(view: View, record: Body, shown: Sequence[Share], colours: Mapping[str, str]) -> None:
    names = {share.variant for share in shown}
    kept = {name: colour for name, colour in colours.items() if name in names}
    kept |= dict.fromkeys(sorted(names - set(kept)), "#999999")
    rows = [
        {
            "date": str(item.day),
            "variant_name": item.variant,
            "share": round(100 * item.share, 2),
            "held": item.held,
        }
        for item in shown
    ]
    columns = {
        "date": view.say("table_date"),
        "variant_name": view.say("column_variant"),
        "share": view.say("table_share"),
        "held": view.say("table_held"),
    }
    show_chart(
        view,
        shares_chart(shown, kept, view.place.language, title=view.say("chart_shares")),
        title=view.say("chart_shares"),
        rows=rows,
        columns=columns,
        name=file_name(record["name"], "shares"),
    )
    held = held_days(shown)
    if held:
        words = view.say("held_days", days=named_days(held))
        st.html(block(f'<div class="dim">{markup(words)}</div>'))


def _rates(view: View, record: Body, days: Sequence[Body], colours: Mapping[str, str]) -> None:
    language = view.place.language
    found = rates(days)
    columns = {
        "date": view.say("table_date"),
        "variant_name": view.say("column_variant"),
        "impressions": view.say("table_impressions"),
        "clicks": view.say("table_clicks"),
        "ctr": view.say("table_ctr"),
        "low": view.say("table_low"),
        "high": view.say("table_high"),
    }
    rows = [
        {
            "date": str(item.day),
            "variant_name": item.variant,
            "impressions": item.impressions,
            "clicks": item.clicks,
            "ctr": round(100 * item.rate, 4),
            "low": round(100 * item.low, 4),
            "high": round(100 * item.high, 4),
        }
        for item in found
    ]
    if found:
        show_chart(
            view,
            rates_chart(found, colours, language),
            title=view.say("chart_rates"),
            rows=rows,
            columns=columns,
            name=file_name(record["name"], "rates"),
        )
    columns = {
        name: columns[name] for name in ("date", "variant_name", "impressions", "clicks")
    } | {"source_file": view.say("table_file"), "received_at": view.say("table_received")}
    show_chart(
        view,
        impressions_chart(days, colours, language),
        title=view.say("chart_impressions"),
        rows=[{"date": day["date"], **row} for day in days for row in day["variants"]],
        columns=columns,
        name=file_name(record["name"], "daily"),
    )


def named_days(days: Sequence[date]) -> str:
    """Return days as text: a few by name, more of them by their number."""
    named = ", ".join(str(day) for day in days[:MOST_DAYS_NAMED])
    return named if len(days) <= MOST_DAYS_NAMED else f"{named}, +{len(days) - MOST_DAYS_NAMED}"
