"""What if: an experiment's own days under other settings, and how long until the advice changes."""

from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import date, timedelta
from typing import Any

import streamlit as st

from mab_dashboard.api import Body
from mab_dashboard.charts import shares_chart
from mab_dashboard.counts import Counts, Decided, counts_of, decided
from mab_dashboard.formats import markup, number, percent, probability
from mab_dashboard.look import block, colours_of, key_mark, verdict_words
from mab_dashboard.series import Share
from mab_dashboard.until import Wait, wait
from mab_dashboard.view import (
    View,
    choose_day,
    choose_experiment,
    file_name,
    show_chart,
    show_heading,
    show_note,
)
from mab_dashboard.what_if import MOST_DAYS, Again, decide_again, rule_of, with_preset
from mab_pipeline.allocation.rule_settings import RuleSettings
from mab_store.settings import Settings

PRESET_NAMES = ("published", "brief", "safe", "robust")
MOST_WINDOW = 90
ONE_DAY = timedelta(days=1)
STOP_LOSS: float = Settings.model_fields["stop_loss"].default


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
    published = decided(view.all_of(key, "/allocations", "publications"))
    st.html(block(f"<h2>{markup(record['name'])}</h2>"))
    if not published:
        show_note(view.say("state_not_published_help"), title=view.say("badge_not_published"))
        return
    with chosen_day:
        day = choose_day(view, [one.day for one in published])
    decisions = [one for one in published if one.day <= day][-MOST_DAYS:]
    recorded = rule_of(view.of(key, "/explanation", date=str(day))["settings"])
    st.html(block(f'<div class="dim">{markup(view.say("what_if_help"))}</div>'))
    rule = _settings(view, f"{key}_{day}", recorded)
    daily = view.all_of(key, "/daily", "days")
    variants = [name for one in decisions for name in one.variants]
    first = decisions[0].day - (rule.max_window_days - 1) * ONE_DAY
    with st.spinner(view.say("computing")):
        counts = counts_of(daily, variants, first=first, last=day)
        found = decide_again(key, decisions, counts, rule)
    _changed(view, recorded, rule)
    _agreement(view, found, is_recorded=rule == recorded)
    st.html(_table(view, found[-1]))
    _charts(view, record, found)
    _until(view, decisions[-1], daily, rule)


def _settings(view: View, scope: str, recorded: RuleSettings) -> RuleSettings:
    """Let the reader choose settings; a preset sets the others to its own."""
    columns = st.columns(4)
    preset = columns[0].selectbox(
        view.say("preset"),
        PRESET_NAMES,
        key=f"preset_{scope}",
        format_func=lambda name: view.say("preset_published") if name == "published" else name,
    )
    rule = recorded if preset == "published" else with_preset(recorded, preset)
    key = f"{scope}_{preset}"
    least = columns[1].number_input(
        view.say("min_impressions"), 1, 10**9, rule.min_impressions, key=f"least_{key}"
    )
    alpha = columns[2].number_input(
        view.say("prior_alpha"), 0.01, 1e9, rule.prior_alpha, key=f"alpha_{key}"
    )
    beta = columns[3].number_input(
        view.say("prior_beta"), 0.01, 1e9, rule.prior_beta, key=f"beta_{key}"
    )
    columns = st.columns(4)
    length = columns[0].slider(
        view.say("default_window"),
        1,
        max(MOST_WINDOW, rule.default_window_days),
        rule.default_window_days,
        key=f"default_{key}",
    )
    longest = columns[1].slider(
        view.say("max_window"),
        1,
        max(MOST_WINDOW, rule.max_window_days),
        rule.max_window_days,
        key=f"max_{key}",
    )
    explored = columns[2].slider(
        view.say("exploration"),
        0,
        100,
        round(100 * rule.exploration),
        key=f"exploration_{key}",
    )
    burn_in = columns[3].toggle(view.say("burn_in"), rule.burn_in == "on", key=f"burn_in_{key}")
    is_kept = explored == round(100 * rule.exploration)  # 1.5 % has no place on the slider
    return replace(
        rule,
        min_impressions=int(least),
        prior_alpha=float(alpha),
        prior_beta=float(beta),
        default_window_days=length,
        max_window_days=max(longest, length),
        exploration=rule.exploration if is_kept else explored / 100,
        burn_in="on" if burn_in else "off",
    )


def _changed(view: View, recorded: RuleSettings, rule: RuleSettings) -> None:
    """Name the settings that differ from the published ones, as `.env` names them."""
    pairs = [
        (field.name, getattr(recorded, field.name), getattr(rule, field.name))
        for field in fields(rule)
    ]
    words = "; ".join(
        f"{name.upper()} {old} → {new}" for name, old, new in pairs if old != new
    ) or view.say("no_setting_changed")
    st.html(block(f'<div class="mono">{markup(words)}</div>'))


def _agreement(view: View, found: Sequence[Again], *, is_recorded: bool) -> None:
    language = view.place.language
    same = sum(one.is_same for one in found)
    most = max(
        abs(new - old)
        for one in found
        for new, old in zip(one.hundredths, one.decided.hundredths, strict=True)
    )
    values = {"same": number(same, language), "days": number(len(found), language)}
    if not is_recorded:
        words = view.say("shares_differ", most=number(most / 100, language, 2), **values)
    elif same == len(found):
        words = view.say("shares_same", **values)
    else:
        words = view.say("shares_not_same", **values)
    show_note(words)


def _table(view: View, one: Again) -> str:
    """Return the newest decision as published and under the settings."""
    language = view.place.language
    colours = colours_of(list(one.decided.variants), one.decided.control)
    rows = ""
    for place, name in enumerate(one.decided.variants):
        old, new = one.decided.hundredths[place] / 100, one.hundredths[place] / 100
        cells = (
            f"{number(old, language, 2)} %",
            f"<b>{number(new, language, 2)} %</b>",
            number(new - old, language, 2, sign=True),
            probability(one.probability_best[place], language),
            f"{number(one.clicks[place], language)} / {number(one.impressions[place], language)}",
            markup(view.say(f"source_{one.sources[place]}")),
        )
        mark = key_mark(name, colours)
        cell = "".join(f"<td>{text}</td>" for text in cells)
        rows += f"<tr><td>{mark}{markup(name)}</td>{cell}</tr>"
    heads = (
        "column_variant", "column_published", "column_what_if", "column_change", "column_best",
        "column_counts", "column_window",
    )  # fmt: skip
    head = "".join(f"<th>{markup(view.say(name))}</th>" for name in heads)
    day = view.say("for_day", day=one.decided.day + ONE_DAY)
    return block(
        f'<h3>{markup(view.say("section_what_if"))} {markup(day)}</h3><div class="scroll">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _charts(view: View, record: Body, found: Sequence[Again]) -> None:
    """Show the shares of all days, as published and under the settings."""
    names = list(dict.fromkeys(name for one in found for name in one.decided.variants))
    colours = colours_of(names, found[-1].decided.control)
    rows: list[dict[str, Any]] = [
        {
            "date": str(one.decided.day + ONE_DAY),
            "variant_name": name,
            "share": old / 100,
            "what_if": new / 100,
        }
        for one in found
        for name, old, new in zip(
            one.decided.variants, one.decided.hundredths, one.hundredths, strict=True
        )
    ]
    columns = {
        "date": view.say("table_date"),
        "variant_name": view.say("column_variant"),
        "share": view.say("column_published"),
        "what_if": view.say("column_what_if"),
    }
    for title, key in (("chart_shares", "share"), ("chart_what_if", "what_if")):
        shares = [
            Share(date.fromisoformat(row["date"]), row["variant_name"], row[key] / 100, held=False)
            for row in rows
        ]
        show_chart(
            view,
            shares_chart(shares, colours, view.place.language, title=view.say(title)),
            title=view.say(title),
            rows=rows,
            columns=columns,
            name=file_name(record["name"], "what_if", key),
        )


def _until(view: View, newest: Decided, daily: Sequence[Body], rule: RuleSettings) -> None:
    """Simulate, when asked, how long until the advice changes."""
    show_heading(view.say("section_until"))
    st.html(block(f"<div>{markup(view.say('until_help'))}</div>"))
    seen = [item for item in daily if any(row["impressions"] for row in item["variants"])]
    first = date.fromisoformat(seen[0]["date"]) if seen else newest.day
    counts = counts_of(seen, newest.variants, first=first, last=newest.day)
    totals = f"{counts.impressions.sum()} {counts.clicks.sum()}"
    scope = (view.place.experiment, str(newest.day), rule.to_json(), totals)
    if st.button(view.say("simulate"), key="simulate", type="primary"):
        st.session_state["simulated"] = scope
    if st.session_state.get("simulated") != scope:
        return
    analysis = view.analysis(view.place.experiment)
    bar = st.progress(0.0, text=view.say("computing"))
    result = _simulated(scope, _stop_loss(analysis), _counts=counts, _rule=rule, _bar=bar)
    bar.empty()
    if result is None:
        show_note(view.say("until_nothing"))
        return
    if analysis and analysis["advice"]["verdict"] == "data_problem":
        show_note(view.say("until_fault"))
    st.html(_waited(view, result, newest))


def _stop_loss(analysis: Body | None) -> float:
    """Return the loss below which stopping is safe: the advice names it, else the default."""
    message = (analysis or {"advice": {}})["advice"].get("message") or {"parameters": {}}
    percentage = message["parameters"].get("stop_loss")
    return STOP_LOSS if percentage is None else float(percentage) / 100


@st.cache_data(show_spinner=False, max_entries=20)
def _simulated(
    scope: tuple[str, ...], loss: float, *, _counts: Counts, _rule: RuleSettings, _bar: Any
) -> Wait | None:
    """Simulate, or return the result for the same experiment, day, counts and settings."""
    _ = scope
    return wait(_counts, _rule, stop_loss=loss, follow=_bar.progress)


def _waited(view: View, result: Wait, newest: Decided) -> str:
    """Return the result of the simulation in words."""
    language = view.place.language

    def advised(verdict: str, variant: str | None) -> str:
        return verdict_words(verdict, language) + (f" ({markup(variant)})" if variant else "")

    rates = ", ".join(
        f"{name} {percent(rate, language, 2)}"
        for name, rate in zip(newest.variants, result.rates, strict=True)
    )
    numbers = {
        "reps": number(result.reps, language),
        "changed": number(result.changed, language),
        "horizon": number(result.horizon, language),
        "traffic": number(result.traffic, language),
        "rates": rates,
    }
    low, middle, high = (
        view.say("until_later", days=result.horizon)
        if day is None
        else view.say("until_days", days=day)
        for day in result.days
    )
    lines = [
        f"{markup(view.say('until_now'))} {advised(result.now.verdict, result.now.variant_name)}",
        markup(view.say("until_changed", **numbers)),
        markup(view.say("until_percentiles", low=low, middle=middle, high=high)),
        *(
            f"{advised(verdict, variant)}: {number(count, language)}"
            for verdict, variant, count in result.verdicts
        ),
        markup(view.say("until_assumed", **numbers)),
    ]
    items = "".join(f"<li>{line}</li>" for line in lines)
    return block(f'<ul class="until">{items}</ul>')
