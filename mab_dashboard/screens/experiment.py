"""Experiment: shares, evidence, why they moved, and every number down to its file."""

from collections.abc import Sequence
from datetime import date

import streamlit as st

from mab_dashboard.api import ApiError, Body
from mab_dashboard.experiment_parts import (
    evidence_table,
    fact_words,
    headline,
    other_leader,
    what_changed,
)
from mab_dashboard.formats import label, markup, moment, number
from mab_dashboard.look import block, colours_of
from mab_dashboard.moves import why_moved
from mab_dashboard.sayings import explained, said
from mab_dashboard.screens.evidence import show_rows, show_state
from mab_dashboard.screens.experiment_charts import show_density, show_over_time
from mab_dashboard.series import shares_over_time
from mab_dashboard.view import (
    View,
    choose_day,
    choose_experiment,
    file_name,
    show_heading,
    show_note,
    show_table,
)


def show(view: View) -> None:
    """Show the page.

    Raises:
        ApiError: The API does not answer, or does not know the experiment or the day.
    """
    choice, chosen_day = st.columns([3, 1.2])
    with choice:
        record = choose_experiment(view)
    if record is None:
        return
    key = record["experiment_id"]
    publications = view.all_of(key, "/allocations", "publications")
    days = sorted({date.fromisoformat(item["as_of_date"]) for item in publications})
    analysis = view.analysis(key)
    if not days:
        headline_only = headline(record, analysis, view.place.language)
        st.html(headline_only)
        show_note(view.say("state_not_published_help"), title=view.say("badge_not_published"))
        return
    with chosen_day:
        day = choose_day(view, days)
    _parts(view, record, publications, analysis=analysis, day=day)


def _parts(
    view: View, record: Body, publications: Sequence[Body], *, analysis: Body | None, day: date
) -> None:
    key, language = record["experiment_id"], view.place.language
    now = view.of(key, "/explanation", date=str(day))
    before = _before(view, key, publications, day)
    names = [item["name"] for item in record["variants"]]
    names += [item["variant_name"] for item in now["variants"] if item["variant_name"] not in names]
    control = next((item["name"] for item in record["variants"] if item["is_control"]), None)
    colours = colours_of(names, control)
    st.html(headline(record, analysis, language))
    show_state(view, record)
    likely = None if analysis is None else other_leader(analysis)
    if analysis is not None and likely is not None:
        advised = analysis["advice"]["variant_name"]
        words = view.say("advice_differs", advised=advised, likely=likely)
        st.html(block(f'<div class="dim">{markup(words)}</div>'))
    show_heading(view.say("section_shares"))
    st.html(evidence_table(now, before, analysis, colours=colours, language=language))
    if analysis is not None and analysis["allocation_id"] != now["allocation_id"]:
        words = view.say("newest_only", day=analysis["as_of_date"])
        st.html(block(f'<div class="dim">{markup(words)}</div>'))
    st.html(block(f'<div class="dim">{markup(view.say("loss_help"))}</div>'))
    show_heading(view.say("section_moved"))
    facts = "".join(f"<li>{fact_words(fact, language)}</li>" for fact in why_moved(before, now))
    st.html(block(f"<ul>{facts}</ul>"))
    show_over_time(view, record, shares_over_time(publications), colours=colours)
    _explanation(view, record, now)
    show_density(view, now, colours)
    if analysis is not None:
        _sample_ratio(view, analysis)
    show_rows(view, record, now)
    _changes(view, record)


def _before(view: View, key: str, publications: Sequence[Body], day: date) -> Body | None:
    """Return the explanation of the newest published day before a day."""
    earlier = [item["as_of_date"] for item in publications if item["as_of_date"] < str(day)]
    return view.of(key, "/explanation", date=max(earlier)) if earlier else None


def _explanation(view: View, record: Body, now: Body) -> None:
    language = view.place.language
    show_heading(view.say("section_explanation"))
    words = view.say(
        "explained",
        allocation=now["allocation_id"],
        as_of=now["as_of_date"],
        effective=now["effective_date"],
        computed=moment(now["computed_at"]),
        published=moment(now["published_at"]),
    )
    drawn = (
        view.say("drawn", samples=number(now["samples"], language), seed=now["seed"])
        if now["samples"]
        else view.say("exact")
    )
    lines = explained(now, language)
    for hold in now["holds"]:
        words = said(hold["detail"], hold.get("messages"), language)
        lines.append(f"{moment(hold['held_at'])} {hold['reason']}: {words}")
    items = "".join(f"<li>{markup(line)}</li>" for line in lines)
    st.html(block(f"<div>{markup(words)} {markup(drawn)}</div><ul>{items}</ul>"))
    st.html(block(f'<div class="dim">{markup(view.say("replay"))}</div>'))
    st.code(now["replay_command"], language=None, wrap_lines=True)
    with st.expander(label(view.say("counts_with_files"))):
        rows = [
            {"date": day["date"], **row} for day in reversed(now["days"]) for row in day["variants"]
        ]
        columns = {
            "date": view.say("table_date"),
            "variant_name": view.say("column_variant"),
            "impressions": view.say("table_impressions"),
            "clicks": view.say("table_clicks"),
            "source_file": view.say("table_file"),
            "received_at": view.say("table_received"),
        }
        show_table(view, rows, columns, name=file_name(record["name"], now["as_of_date"], "counts"))
    with st.expander(label(view.say("settings"))):
        st.json(now["settings"])


def _sample_ratio(view: View, analysis: Body) -> None:
    ratio, language = analysis["sample_ratio"], view.place.language
    show_heading(view.say("section_ratio"))
    if ratio["p_value"] is None:
        note = said(ratio["note"], ratio.get("messages"), language)
        words = view.say("ratio_not_tested", note=note)
        st.html(block(f"<div>{markup(words)}</div>"))
        return
    value = f"{ratio['p_value']:.3g}"
    shown = value.replace(".", ",") if language == "pt" else value
    st.html(block(f"<div>{markup(view.say('ratio_tested', p=shown, days=ratio['days']))}</div>"))
    names = [row["variant_name"] for row in analysis["variants"]]
    cells = "".join(
        f"<tr><td>{markup(name)}</td><td>{number(seen, language)}</td>"
        f"<td>{number(due, language)}</td></tr>"
        for name, seen, due in zip(names, ratio["observed"], ratio["expected"], strict=True)
    )
    head = "".join(
        f"<th>{markup(view.say(name))}</th>" for name in ("column_variant", "observed", "expected")
    )
    st.html(block(f'<div class="scroll"><table><tr>{head}</tr>{cells}</table></div>'))


def _changes(view: View, record: Body) -> None:
    show_heading(view.say("section_changes"))
    try:
        changes = view.of(record["experiment_id"], "/changes")["changes"]
    except ApiError as error:
        if error.state in {"away", "key_required", "key_refused"}:
            raise
        show_note(view.say(f"state_{error.state}_help", url=view.api.url))
        return
    if not changes:
        st.html(block(f'<div class="dim">{markup(view.say("no_changes"))}</div>'))
        return
    rows = [{**change, "what": what_changed(change)} for change in reversed(changes)]
    columns = {
        "changed_at": view.say("table_changed"),
        "effective_date": view.say("table_effective"),
        "changed_by": view.say("table_by"),
        "what": view.say("table_what"),
        "reason": view.say("table_reason"),
        "source_file": view.say("table_file"),
    }
    show_table(view, rows, columns, name=file_name(record["name"], "changes"))
