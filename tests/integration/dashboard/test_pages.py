"""Every page and every state, in both languages, on a real API over HTTP."""

import html
import re
from datetime import timedelta

import pytest

from mab_dashboard.formats import label, markup, sentence
from mab_dashboard.place import PAGES
from mab_dashboard.screens.overview import ROWS
from mab_dashboard.texts import LANGUAGES, catalogue, text
from mab_store.experiments.schemas import experiment_id_of
from tests.integration.api.homes import NOW, YESTERDAY
from tests.integration.dashboard.conftest import HOSTILE, KEY

FIRST = experiment_id_of("experiment_000000")
REGISTERED = experiment_id_of("experiment_000")
EACH_LANGUAGE = pytest.mark.parametrize("lang", LANGUAGES)


@EACH_LANGUAGE
def test_the_overview_shows_verdict_shares_leader_and_evidence(open_page, lang):
    page = open_page("full", lang=lang)
    assert text("verdict_keep_running", lang) in page.text
    assert text("badge_no_analysis", lang) in page.text
    assert "P(best)" in page.text or "P(melhor)" in page.text
    assert str(YESTERDAY) in page.text
    names = [button for button in page.buttons if button.startswith("experiment")]
    assert len(names) == ROWS


def test_the_overview_is_searched_sorted_and_turned_over(open_page):
    page = open_page("full")
    page.test.button(key="open_" + FIRST)
    page.test.text_input(key="q").set_value("EXPERIMENT_000001")
    page.run()
    assert [b for b in page.buttons if b.startswith("exp")] == [label("experiment_000001")]
    page.test.text_input(key="q").set_value("")
    page.test.selectbox(key="sort").set_value("name")
    page.run()
    before = page.buttons
    page.test.button[-1].click()
    page.run()
    after = [b for b in page.buttons if b.startswith("exp")]
    assert after
    assert not set(after) & set(before)


def test_a_click_on_a_name_opens_the_experiment_and_names_it_in_the_url(open_page):
    page = open_page("full")
    page.test.button(key=f"open_{FIRST}").click()
    page.run()
    assert dict(page.test.query_params) == {"page": "experiment", "experiment": FIRST}
    assert "<h2>experiment_000000</h2>" in page.text


@EACH_LANGUAGE
def test_an_experiment_shows_shares_reasons_charts_and_files(open_page, lang):
    page = open_page("full", page="experiment", experiment=FIRST, lang=lang)
    for key in ("section_shares", "section_moved", "section_time", "section_explanation"):
        assert text(key, lang) in page.text
    assert text("verdict_keep_running", lang) in page.text
    assert page.test.code[0].value == f"mab replay experiment_000000 --date {YESTERDAY}"
    assert len(page.test.get("vega_lite_chart")) == 4
    held = f"{YESTERDAY - timedelta(days=1)}, {YESTERDAY}"
    assert text("held_days", lang, days=held) in page.text
    assert text("section_changes", lang) in page.text


def test_another_day_of_an_experiment_is_that_days_and_stays_in_the_url(open_page):
    day = YESTERDAY - timedelta(days=3)
    page = open_page("full", page="experiment", experiment=FIRST, date=str(day))
    assert page.test.code[0].value.endswith(f"--date {day}")
    assert text("newest_only", "en", day=YESTERDAY) in page.text
    page.test.date_input[0].set_value(YESTERDAY)
    page.run()
    assert page.test.query_params["date"] == str(YESTERDAY)
    assert page.test.code[0].value.endswith(f"--date {YESTERDAY}")


@pytest.mark.parametrize("day", ["1999-01-01", "2999-01-01", "nonsense"])
def test_a_day_outside_the_published_ones_is_the_newest(open_page, day):
    page = open_page("full", page="experiment", experiment=FIRST, date=day)
    assert page.test.code[0].value.endswith(f"--date {YESTERDAY}")


def test_a_day_between_that_was_not_published_is_a_state(open_page):
    day = YESTERDAY - timedelta(days=1)
    page = open_page("full", page="experiment", experiment=FIRST, date=str(day))
    assert text("state_not_found", "en") in page.text
    assert f"There is no allocation for {day}." in page.text


@EACH_LANGUAGE
def test_data_quality_names_missing_days_and_silent_variants(open_page, lang):
    page = open_page("full", page="quality", experiment=FIRST, lang=lang)
    for key in ("section_missing", "section_silent", "section_late", "section_rejected"):
        assert text(key, lang) in page.text
    assert f"{YESTERDAY - timedelta(days=2)}, {YESTERDAY - timedelta(days=1)}" in page.text
    assert text("none_silent", lang, day=YESTERDAY) in page.text


@EACH_LANGUAGE
@pytest.mark.parametrize(
    ("api", "query", "key"),
    [
        ("empty", {}, "empty_registry"),
        ("full", {"page": "experiment"}, "no_choice"),
        ("full", {"page": "quality"}, "no_choice"),
        ("full", {"page": "experiment", "experiment": "exp_000000000000"}, "state_not_found"),
        ("full", {"page": "experiment", "experiment": "../healthz"}, "state_not_found"),
        ("unpublished", {}, "empty_registry"),
        ("unpublished", {"page": "experiment", "experiment": REGISTERED}, "state_not_published"),
        ("away", {}, "state_away"),
        ("away", {"page": "experiment", "experiment": FIRST}, "state_away"),
        ("shut", {}, "state_key_required"),
    ],
)
def test_every_state_is_said_in_words_and_without_a_trace(open_page, lang, api, query, key):
    page = open_page(api, **query, lang=lang)
    assert text(key, lang) in page.text


def test_a_search_without_a_hit_is_said(open_page):
    page = open_page("full")
    page.test.text_input(key="q").set_value("no such experiment")
    page.run()
    assert text("empty_search", "en") in page.text


def test_a_key_is_asked_for_refused_and_kept_in_the_session(open_page):
    page = open_page("shut")
    for key, expected in (("wrong", "state_key_refused"), (KEY, "verdict_keep_running")):
        page.test.text_input[-1].set_value(key)
        page.test.button[0].click()
        page.run()
        assert text(expected, "en") in page.text
    page.test.button(key=f"open_{REGISTERED}").click()
    page.run()
    assert "<h2>experiment_000</h2>" in page.text
    assert KEY not in page.text + str(dict(page.test.query_params))


@EACH_LANGUAGE
def test_a_late_allocation_is_said_on_both_pages_and_a_fresh_one_is_not(open_page, lang):
    for days, is_late in ((0, False), (3, True)):
        page = open_page("full", now=NOW + timedelta(days=days), lang=lang)
        assert (f">{text('badge_stale', lang)}<" in page.text) is is_late
    query = {"page": "experiment", "experiment": FIRST, "lang": lang}
    page = open_page("full", now=NOW + timedelta(days=3), **query)
    late = text("stale_one", lang, moment="2026-03-11 04:00 UTC")
    assert sentence(late) in page.text


def test_the_overview_reaches_experiments_beyond_the_first_answer_of_the_api(
    open_page, monkeypatch
):
    for module in ("view", "screens.overview"):
        monkeypatch.setattr(f"mab_dashboard.{module}.BLOCK", 12)
    page = open_page("full")
    seen = []
    for count in (12, 12, 6):
        names = [button for button in page.buttons if button.startswith("exp")]
        assert len(names) == count
        seen += names
        if count == 12:
            page.test.button(key="block_after").click()
            page.run()
    assert len(set(seen)) == 30
    page.test.button(key="block_before").click()
    page.run()
    assert [button for button in page.buttons if button.startswith("exp")] == seen[12:24]


@pytest.mark.parametrize("name", PAGES)
def test_no_english_sentence_is_left_on_a_portuguese_page(open_page, name):
    page = open_page("full", page=name, experiment=FIRST, lang="pt")
    shown = html.unescape(page.text + "\n".join(page.words))
    english, portuguese = catalogue("en"), catalogue("pt")
    templates = {
        part
        for key, words in english.items()
        if words != portuguese[key]
        for part in re.split(r"\{[a-z_]+\}", words)
        if len(part) > 12 and part not in portuguese[key]
    }
    assert [words for words in sorted(templates) if words in shown] == []
    assert 'lang="en"' not in shown


def test_rejected_rows_are_shown_with_their_text_and_their_badge(open_page):
    assert f">{text('badge_rejected_rows', 'en')}<" in open_page("hostile").text
    page = open_page("hostile", page="experiment", experiment=FIRST)
    cells = "".join(frame.value.to_csv() for frame in page.test.dataframe)
    assert "=1+1" in cells
    assert text("reason_not_an_integer", "en") in cells
    assert "unknown variant" in cells
    page.test.button_group(key=f"rows_{FIRST}_{YESTERDAY}").set_value("all")
    page.run()


@EACH_LANGUAGE
def test_feeds_that_need_a_look_are_listed_before_one_is_chosen(open_page, lang):
    assert text("feeds_fine", lang) in open_page("full", page="quality", lang=lang).text
    page = open_page("full", now=NOW + timedelta(days=3), page="quality", lang=lang)
    assert text("feeds_help", lang) in page.text
    assert len(page.test.dataframe[0].value) == 30
    page = open_page(
        "full", now=NOW + timedelta(days=3), page="quality", experiment=FIRST, lang=lang
    )
    assert sentence(text("stale_one", lang, moment="2026-03-11 04:00 UTC")) in page.text


@EACH_LANGUAGE
def test_what_if_shows_other_shares_beside_the_published_ones_and_simulates(open_page, lang):
    page = open_page("full", page="what_if", experiment=FIRST, lang=lang)
    assert text("no_setting_changed", lang) in page.text
    assert len(page.test.get("vega_lite_chart")) == 2
    page.test.selectbox[1].set_value("safe")
    page.run()
    assert "EXPLORATION 0.0 → 0.02" in page.text
    assert "BURN_IN off → on" in page.text
    page.test.button(key="simulate").click()
    page.run()
    assert markup(text("until_now", lang)) in page.text
    assert page.test.get("progress") == []


@pytest.mark.parametrize("name", PAGES)
def test_names_are_text_on_every_page(open_page, name):
    page = open_page("hostile", page=name, experiment=FIRST)
    assert "<img" not in page.text
    assert "\x1b" not in page.text + str(page.buttons)
    assert markup(HOSTILE[0]) in page.text or label(HOSTILE[0]) in page.buttons
    for frame in page.test.dataframe:
        assert "\x1b" not in frame.value.to_csv()
