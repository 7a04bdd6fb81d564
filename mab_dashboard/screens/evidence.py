"""Parts of pages about an experiment: the state of its newest allocation, its received rows."""

from datetime import date, timedelta

import streamlit as st

from mab_dashboard.api import ApiError, Body
from mab_dashboard.charts import shown_verdict
from mab_dashboard.formats import label, moment, number
from mab_dashboard.overview import is_stale
from mab_dashboard.sayings import said
from mab_dashboard.view import View, file_name, show_note, show_table

MOST_ROWS = 500


def show_state(view: View, record: Body) -> None:
    """Say what else is true of the newest allocation: late, held back or frozen."""
    overview = record.get("overview")
    if not overview:
        return
    if is_stale(overview, view.now):
        show_note(view.say("stale_one", moment=moment(overview["fresh_until"])))
    if held := overview["held_back"]:
        words = said(held["detail"], held.get("messages"), view.place.language)
        show_note(view.say("held_back_note", reason=held["reason"], detail=words))
    if record["status"] != "running":
        show_note(view.say("frozen_note", status=view.say(f"status_{record['status']}")))


def show_rows(view: View, record: Body, explanation: Body) -> None:
    """Show the rows behind the counts as they were received: the rejected ones, or all of a day.

    Raises:
        ApiError: The API does not answer.
    """
    day = date.fromisoformat(explanation["as_of_date"])
    first = day - timedelta(days=explanation["settings"]["max_window_days"] - 1)
    with st.expander(label(view.say("section_rows"))):
        which = st.segmented_control(
            view.say("rows_shown"),
            ["rejected", "all"],
            default="rejected",
            format_func=lambda name: view.say(f"rows_{name}"),
            key=f"rows_{record['experiment_id']}_{day}",
        )
        is_rejected = which != "all"
        try:
            found = view.of(
                record["experiment_id"],
                "/rows",
                from_=str(first if is_rejected else day),
                to=str(day),
                verdict="rejected" if is_rejected else None,
                limit=str(MOST_ROWS),
            )
        except ApiError as error:  # published by an older version: the rest of the page stays
            if error.state not in {"unavailable", "unexpected"}:
                raise
            show_note(view.say("state_unavailable_help"), title=view.say("state_unavailable"))
            return
        if not found["rows"]:
            show_note(view.say("none_rejected" if is_rejected else "no_chart"))
            return
        if found["next_cursor"]:
            show_note(view.say("rows_more", count=number(MOST_ROWS, view.place.language)))
        columns = {
            "date": view.say("table_date"),
            "verdict": view.say("table_verdict"),
            "experiment": view.say("table_experiment"),
            "variant_name": view.say("column_variant"),
            "impressions": view.say("table_impressions"),
            "clicks": view.say("table_clicks"),
            "error": view.say("table_error"),
            "source_file": view.say("table_file"),
            "row_number": view.say("table_row"),
        }
        rows = [
            row | {"verdict": shown_verdict(row["verdict"], view.place.language)}
            for row in found["rows"]
        ]
        show_table(view, rows, columns, name=file_name(record["name"], day, which or "rejected"))
