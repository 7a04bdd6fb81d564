"""Data quality: received and rejected rows, missing days, late files, silent variants."""

from collections.abc import Sequence
from datetime import date, timedelta

import streamlit as st

from mab_dashboard.api import Body
from mab_dashboard.charts import verdicts_chart
from mab_dashboard.formats import label, markup, number, sentence
from mab_dashboard.look import block
from mab_dashboard.quality import (
    feeds,
    late_files,
    missing_days,
    rejections,
    silent_since,
    verdict_counts,
)
from mab_dashboard.sayings import reason_words
from mab_dashboard.screens.evidence import show_state
from mab_dashboard.screens.experiment_charts import named_days
from mab_dashboard.view import (
    View,
    choose_experiment,
    file_name,
    show_chart,
    show_heading,
    show_note,
    show_table,
)

LENGTH = timedelta(days=29)


def show(view: View) -> None:
    """Show the page.

    Raises:
        ApiError: The API does not answer, or does not know the experiment.
    """
    choice, start, end = st.columns([2.4, 1, 1])
    with choice:
        record = choose_experiment(view)
    if record is None:
        _feeds(view)
        return
    key = record["experiment_id"]
    through = _through(view, record)
    first = start.date_input(
        view.say("quality_from"), through - LENGTH, format="YYYY-MM-DD", key=f"from_{key}"
    )
    last = end.date_input(view.say("quality_to"), through, format="YYYY-MM-DD", key=f"to_{key}")
    if not isinstance(first, date) or not isinstance(last, date):
        return
    bounds = {"from_": str(first), "to": str(last)}
    quality = view.all_of(key, "/quality", "days", **bounds)
    daily = view.all_of(key, "/daily", "days", **bounds)
    st.html(block(f"<h2>{markup(record['name'])}</h2>"))
    show_state(view, record)
    if not quality and not daily:
        show_note(view.say("no_chart"), title=view.say("chart_rows"))
        return
    _received(view, record, quality)
    _missing(view, daily, min(last, through))
    _silent(view, record, daily, min(last, through))
    _late(view, record, quality)
    _rejected(view, record, quality)


def _feeds(view: View) -> None:
    """Show which experiments need a look: silent, late, held back or with rejected rows."""
    items = view.listed()["experiments"]
    show_heading(view.say("section_feeds"))
    found = feeds(items, now=view.now)
    if not found:
        _say(view.say("feeds_fine"))
        return
    _say(view.say("feeds_help"))
    rows = [
        {
            "name": feed.name,
            "through": str(feed.data_through or view.say("never")),
            "silent": feed.days_silent,
            "state": ", ".join(view.say(f"badge_{name}") for name in feed.badges),
        }
        for feed in found
    ]
    columns = {
        "name": view.say("experiment"),
        "through": view.say("table_through"),
        "silent": view.say("table_days_silent"),
        "state": view.say("table_state"),
    }
    show_table(view, rows, columns, name="feeds")


def _through(view: View, record: Body) -> date:
    """Return the last day that counts were expected for: the newest that was decided.

    An experiment that is held back has decisions of newer days, which are not served.
    """
    items = [record] if record["status"] != "running" else view.listed()["experiments"]
    newest = [item["overview"]["as_of_date"] for item in items if item.get("overview")]
    return date.fromisoformat(max(newest)) if newest else view.now.date() - timedelta(days=1)


def _received(view: View, record: Body, quality: Sequence[Body]) -> None:
    columns = {
        "date": view.say("table_date"),
        "received": view.say("table_received"),
        "accepted": view.say("table_accepted"),
        "superseded": view.say("table_superseded"),
        "rejected": view.say("table_rejected"),
    }
    counts = verdict_counts(quality)
    if counts:
        show_chart(
            view,
            verdicts_chart(counts, view.place.language),
            title=view.say("chart_rows"),
            rows=quality,
            columns=columns,
            name=file_name(record["name"], "rows"),
        )


def _missing(view: View, daily: Sequence[Body], through: date) -> None:
    show_heading(view.say("section_missing"))
    days = missing_days((date.fromisoformat(day["date"]) for day in daily), through=through)
    _say(named_days(days) if days else view.say("none_missing"))


def _silent(view: View, record: Body, daily: Sequence[Body], through: date) -> None:
    show_heading(view.say("section_silent"))
    active = [item["name"] for item in record["variants"] if item["status"] == "active"]
    silent = silent_since(daily, active, through=through)
    if not silent:
        _say(view.say("none_silent", day=through))
        return
    rows = [
        {"variant_name": name, "last": str(day) if day else view.say("never")}
        for name, day in silent.items()
    ]
    columns = {"variant_name": view.say("column_variant"), "last": view.say("table_last")}
    show_table(view, rows, columns, name=file_name(record["name"], "silent"))


def _late(view: View, record: Body, quality: Sequence[Body]) -> None:
    show_heading(view.say("section_late"))
    rows = [file._asdict() for file in late_files(quality)]
    if not rows:
        _say(view.say("none_late"))
        return
    language = view.place.language
    most = max(row["days_late"] for row in rows)
    count = number(len(rows), language)
    _say(view.say("late_count", count=count, most=number(most, language)))
    columns = {
        "day": view.say("table_date"),
        "source_file": view.say("table_file"),
        "days_late": view.say("table_days_late"),
    }
    with st.expander(label(view.say("table_of", title=view.say("section_late")))):
        show_table(view, rows, columns, name=file_name(record["name"], "late"))


def _rejected(view: View, record: Body, quality: Sequence[Body]) -> None:
    show_heading(view.say("section_rejected"))
    rows = [
        row | {"reason": reason_words(row["reason"], view.place.language)}
        for row in rejections(quality)
    ]
    if rows:
        columns = {
            "date": view.say("table_date"),
            "reason": view.say("table_reason"),
            "rows": view.say("table_rows"),
            "variant": view.say("column_variant"),
            "source_file": view.say("table_file"),
        }
        show_table(view, rows, columns, name=file_name(record["name"], "rejected"))
    else:
        _say(view.say("none_rejected"))
    st.html(block(f'<div class="dim">{sentence(view.say("unnamed_rows"))}</div>'))


def _say(words: str) -> None:
    st.html(block(f"<div>{markup(words)}</div>"))
