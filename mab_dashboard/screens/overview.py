"""Overview: a verdict for each experiment, tomorrow's shares, leader, lift and evidence."""

from collections.abc import Sequence

import streamlit as st

from mab_dashboard.formats import label, markup, number
from mab_dashboard.look import block, header_row, overview_row, verdict_words
from mab_dashboard.overview import (
    SORTS,
    STATUSES,
    VERDICTS,
    Row,
    counts_by_verdict,
    row_of,
    sorted_rows,
)
from mab_dashboard.view import BLOCK, View, go, show_note

ROWS = 25
"""Experiments on a page."""


def show(view: View) -> None:
    """Show the page.

    Raises:
        ApiError: The API does not answer with a list.
    """
    query = _filters(view)
    scope = (*query.values(), st.session_state.get("sort"))
    if st.session_state.get("listed") != scope:  # another list begins with its first page
        st.session_state["listed"], st.session_state["first"] = scope, 0
        st.session_state["blocks"] = [None]
    blocks: list[str | None] = st.session_state["blocks"]
    answer = view.listed(**query, cursor=blocks[-1])
    rows = [row_of(item, now=view.now) for item in answer["experiments"]]
    if not rows:
        state = "search" if any(query.values()) else "registry"
        show_note(view.say(f"empty_{state}_help"), title=view.say(f"empty_{state}"))
        return
    order = st.session_state.get("sort", "verdict")
    _summary(view, rows)
    _list(view, sorted_rows(rows, order), (len(blocks) - 1) * BLOCK)
    _block_pager(view, blocks, answer["next_cursor"])


def _filters(view: View) -> dict[str, str | None]:
    """Show the search and the filters; return the query that they make."""
    search, verdict, status, sort = st.columns([2.2, 1.4, 1.1, 1.1])
    wanted = search.text_input(
        view.say("search"), key="q", placeholder=view.say("search_hint"), max_chars=200
    )
    advice = verdict.selectbox(
        view.say("filter_verdict"),
        ["", *VERDICTS],
        key="verdict",
        format_func=lambda key: view.say(f"verdict_{key}" if key else "all"),
    )
    state = status.selectbox(
        view.say("filter_status"),
        ["", *STATUSES],
        key="status",
        format_func=lambda key: view.say(f"status_{key}" if key else "all"),
    )
    sort.selectbox(
        view.say("sort"),
        SORTS,
        index=SORTS.index("verdict"),
        key="sort",
        format_func=lambda key: view.say(f"sort_{key}"),
    )
    return {"q": wanted.strip() or None, "verdict": advice or None, "status": state or None}


def _summary(view: View, rows: Sequence[Row]) -> None:
    """Show how many experiments have each verdict, and which are late."""
    language = view.place.language
    counts = counts_by_verdict(rows)
    without = len(rows) - sum(counts.values())
    parts = [f"{verdict_words(name, language)} {number(counts[name], language)}" for name in counts]
    if without:
        parts.append(f"{verdict_words(None, language)} {number(without, language)}")
    spaced = "".join(f'<span style="margin-right:1.4em">{part}</span>' for part in parts)
    st.html(block(f"<div>{spaced}</div>"))
    late = sum("stale" in row.badges for row in rows)
    if late:
        show_note(view.say("stale_list", count=number(late, language)))


def _list(view: View, rows: Sequence[Row], before: int) -> None:
    first = min(st.session_state["first"], (len(rows) - 1) // ROWS * ROWS)
    corner, header = st.columns([1.35, 5])
    corner.html(block(f'<div class="head">{markup(view.say("experiment"))}</div>'))
    header.html(header_row(view.place.language))
    for row in rows[first : first + ROWS]:
        _row(view, row)
    if len(rows) > ROWS:
        _pager(view, first, len(rows), before)


def _row(view: View, row: Row) -> None:
    with st.container(border=False, key=f"row_{row.experiment_id}"):
        name, cells = st.columns([1.35, 5])
        with name:
            pressed = st.button(
                label(row.name) or row.experiment_id,
                key=f"open_{row.experiment_id}",
                type="tertiary",
            )
            effective = view.say("for_day", day=row.effective_date) if row.effective_date else ""
            status = view.say(f"status_{row.status}")
            words = ", ".join(filter(None, (status, effective)))
            st.html(block(f'<div class="dim">{markup(words)}</div>'))
        cells.html(overview_row(row, view.place.language))
    if pressed:
        go(view.place._replace(page="experiment", experiment=row.experiment_id, day=None))


def _block_pager(view: View, blocks: list[str | None], following: str | None) -> None:
    """Lead to the thousand experiments before and after; the API gives no more at a time."""
    if len(blocks) == 1 and following is None:
        return
    count = number(BLOCK, view.place.language)
    before, _, after = st.columns([1.4, 2, 1.4])
    if len(blocks) > 1 and before.button(
        view.say("block_before", count=count), key="block_before", width="stretch"
    ):
        blocks.pop()
        st.session_state["first"] = 0
        st.rerun()
    if following is not None and after.button(
        view.say("block_after", count=count), key="block_after", width="stretch"
    ):
        blocks.append(following)
        st.session_state["first"] = 0
        st.rerun()


def _pager(view: View, first: int, count: int, earlier: int) -> None:
    language = view.place.language
    before, middle, after = st.columns([1, 3, 1])
    if before.button(view.say("previous"), disabled=first == 0, width="stretch"):
        st.session_state["first"] = max(0, first - ROWS)
        st.rerun()
    last = min(first + ROWS, count)
    words = view.say(
        "shown",
        first=number(earlier + first + 1, language),
        last=number(earlier + last, language),
        count=number(earlier + count, language),
    )
    middle.html(block(f'<div style="text-align:center">{markup(words)}</div>'))
    if after.button(view.say("next"), disabled=last == count, width="stretch"):
        st.session_state["first"] = first + ROWS
        st.rerun()
