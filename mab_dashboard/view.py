"""All that a page needs: the place, the API, the words, and the parts that pages share."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

import altair as alt
import pandas as pd
import streamlit as st

from mab_dashboard.api import Api, ApiError, Body
from mab_dashboard.csv_text import csv_text
from mab_dashboard.formats import label, markup, sentence
from mab_dashboard.look import block, heading
from mab_dashboard.pictures import png_of
from mab_dashboard.place import Place
from mab_dashboard.texts import text
from mab_store.plain_text import plain

FRESH_SECONDS = 20
"""How long an answer of the API is shown again without a request."""
KEY = "mab_key"
BLOCK = 1000
"""Experiments that the API gives at a time."""
Columns = Mapping[str, str]


class View(NamedTuple):
    """All that a page needs.

    Attributes:
        api: The API, with the session's key.
        place: Where the reader is.
        now: The time.
    """

    api: Api
    place: Place
    now: datetime

    def say(self, key: str, /, **values: object) -> str:
        """Return a string of the catalogue."""
        return text(key, self.place.language, **values)

    def listed(self, **query: str | None) -> Body:
        """Return a thousand experiments that a query admits, from its cursor on."""
        return _read(self.api.url, self.api.key, "/experiments", {**query, "limit": BLOCK})

    def analysis(self, experiment: str) -> Body | None:
        """Return the newest analysis of an experiment; None if there is none."""
        try:
            return self.of(experiment, "/analysis")
        except ApiError as error:
            if error.state != "not_found":
                raise
            return None

    def of(self, experiment: str, part: str = "", **query: str | None) -> Body:
        """Return the record of an experiment."""
        return _read_of(self.api.url, self.api.key, experiment, part, query)

    def all_of(self, experiment: str, part: str, key: str, **query: str | None) -> list[Body]:
        """Return the items of all pages about an experiment."""
        return _read_all(self.api.url, self.api.key, experiment, part, key, query)


@st.cache_data(ttl=FRESH_SECONDS, show_spinner=False, max_entries=200)
def _read(url: str, key: str, path: str, query: dict[str, Any]) -> Body:
    return Api(url, key).get(path, query)


@st.cache_data(ttl=FRESH_SECONDS, show_spinner=False, max_entries=200)
def _read_of(url: str, key: str, experiment: str, part: str, query: dict[str, Any]) -> Body:
    return Api(url, key).of(experiment, part, **query)


@st.cache_data(ttl=FRESH_SECONDS, show_spinner=False, max_entries=50)
def _read_all(  # the cache's key is all of them
    url: str, key: str, experiment: str, part: str, items: str, query: dict[str, Any]
) -> list[Body]:
    return Api(url, key).all_of(experiment, part, items, **query)


def utc_now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


def go(place: Place) -> None:
    """Show another place, and name it in the URL."""
    st.query_params.from_dict(place.query())
    st.rerun()


def choose_experiment(view: View) -> Body | None:
    """Let the reader choose an experiment; return its record, or None and a note of what to do.

    Raises:
        ApiError: The API does not answer.
    """
    items: dict[str, Body] = {item["experiment_id"]: item for item in view.listed()["experiments"]}
    wanted, unknown = view.place.experiment, None
    if wanted and wanted not in items:
        try:
            items = {wanted: view.of(wanted)} | items
        except ApiError as error:
            if error.state != "not_found":
                raise
            unknown = error
    ids = list(items)
    picked = st.selectbox(
        view.say("choose"),
        ids,
        index=ids.index(wanted) if wanted in items else None,
        format_func=lambda key: plain(items[key]["name"]),
        placeholder=view.say("choose"),
        key=f"choice_{view.place.page}_{wanted}",
    )
    if picked and picked != wanted:
        go(view.place._replace(experiment=picked, day=None))
    if picked is None:
        state = "no_choice" if unknown is None else "state_not_found"
        detail = view.say("choose") if unknown is None else view.say("state_not_found_help")
        show_note(detail, title=view.say(state))
        return None
    return items[picked]


def choose_day(view: View, days: Sequence[date]) -> date:
    """Let the reader choose an as-of date; a day that the URL names must be one of them."""
    wanted = view.place.day
    current = wanted if wanted and days[0] <= wanted <= days[-1] else days[-1]
    picked = st.date_input(
        view.say("as_of"),
        current,
        min_value=days[0],
        max_value=days[-1],
        format="YYYY-MM-DD",
        key=f"day_{view.place.page}_{view.place.experiment}_{current}",
    )
    if isinstance(picked, date) and picked != current:
        go(view.place._replace(day=picked))
    return current


def show_note(words: str, *, title: str = "") -> None:
    """Show a sentence about the state of things; names in it are text."""
    strong = f"<b>{markup(title)}</b><br>" if title else ""
    st.html(block(f'<div class="verdict" role="status">{strong}{sentence(words)}</div>'))


def show_problem(view: View, error: ApiError) -> None:
    """Show a failure of the API as a state: what it means, and what to do."""
    if error.state in {"key_required", "key_refused"}:
        _ask_for_key(view, error)
        return
    show_note(
        view.say(f"state_{error.state}_help", url=view.api.url),
        title=view.say(f"state_{error.state}"),
    )
    if view.place.language == "en" or error.state in {"away", "unexpected"}:
        st.html(block(f'<div class="dim mono">{markup(error.detail)}</div>'))
    if st.button(view.say("retry"), key="retry", type="primary"):
        st.cache_data.clear()
        st.rerun()


def _ask_for_key(view: View, error: ApiError) -> None:
    state = "key_refused" if view.api.key else error.state
    show_note(view.say(f"state_{state}_help"), title=view.say(f"state_{state}"))
    with st.form("key", border=False):
        key = st.text_input(view.say("key"), type="password", autocomplete="off")
        if st.form_submit_button(view.say("key_use"), type="primary"):
            st.session_state[KEY] = key.strip()
            st.rerun()


def show_chart(
    view: View,
    chart: alt.LayerChart,
    *,
    title: str,
    rows: Sequence[Mapping[str, Any]],
    columns: Columns,
    name: str,
) -> None:
    """Show a chart, and the table behind it with its CSV.

    Args:
        view: The view.
        chart: The chart.
        title: Its title.
        rows: The rows behind it.
        columns: Words of each column's header, by key.
        name: Base of the CSV's name.
    """
    st.altair_chart(chart, width="stretch", key=f"chart_{name}")
    with st.expander(label(view.say("table_of", title=title))):
        show_table(view, rows, columns, name=name, chart=chart)


def show_table(
    view: View,
    rows: Sequence[Mapping[str, Any]],
    columns: Columns,
    *,
    name: str,
    chart: alt.LayerChart | None = None,
) -> None:
    """Show rows as a table with their CSV, and the chart's PNG; no cell is markup or a formula."""
    frame = pd.DataFrame(
        [{columns[key]: _cell(row.get(key)) for key in columns} for row in rows],
        columns=list(columns.values()),
    )
    st.dataframe(frame, hide_index=True, width="stretch", key=f"table_{name}")
    bar = st.container(horizontal=True)
    bar.download_button(
        view.say("download"),
        csv_text(list(columns), rows).encode("utf-8-sig"),
        file_name=f"{name}.csv",
        mime="text/csv",
        key=f"csv_{name}",
        on_click="ignore",
    )
    if chart is not None:
        bar.download_button(
            view.say("download_png"),
            lambda: png_of(chart),  # drawn when it is asked for
            file_name=f"{name}.png",
            mime="image/png",
            key=f"png_{name}",
            on_click="ignore",
        )


def file_name(*parts: object) -> str:
    """Return a name for a file that every system takes."""
    return "-".join(re.sub(r"[^a-zA-Z0-9_]+", "_", str(part)).strip("_") for part in parts)[:120]


def show_heading(words: str) -> None:
    """Show the heading of a section."""
    st.html(heading(words))


def _cell(value: object) -> object:
    if isinstance(value, date | datetime):
        return str(value)
    return plain(value) if isinstance(value, str) else value
