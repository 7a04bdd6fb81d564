import pytest

from mab_dashboard.sayings import error_rate, explained, reason_words, said
from mab_dashboard.texts import text
from mab_store.messages import messages_of

FAULTS = (
    "See to the data first: in the 3 days up to 2026-03-09 b has no accepted impressions, its "
    "shares promised 12; 3 of 9 rows of 2026-03-09 were rejected."
)


@pytest.mark.parametrize(
    "sentence",
    [
        FAULTS,
        "b leads after 14 days; choosing it is expected to cost 0.02 % of the clicks, below 0.5 %.",
        "no day with a live publication has traffic",
    ],
)
def test_english_is_what_the_api_says(sentence):
    assert said(sentence, messages_of(sentence), "en") == sentence


def test_portuguese_has_the_same_values_with_its_comma():
    sentence = "b beats each other variant day by day over 14 days with a probability of at least"
    words = said("x", messages_of(f"{sentence} 0.996."), "pt")
    assert words.startswith("b supera")
    assert "0,996" in words
    assert said(FAULTS, messages_of(FAULTS), "pt") == (
        "Primeiro cuide dos dados: nos 3 dias até 2026-03-09 b não tem impressões aceitas, suas "
        "parcelas prometiam 12; 3 de 9 linhas de 2026-03-09 foram rejeitadas."
    )


@pytest.mark.parametrize("messages", [None, [], [{"code": "to_come", "parameters": {}}]])
def test_a_sentence_that_is_not_known_stays_english_or_is_named(messages):
    assert said("A new one.", messages, "en") == "A new one."
    assert said("A new one.", messages, "pt") == text("untold", "pt")
    assert said("", messages, "pt") == ""


def test_a_name_with_braces_is_text():
    sentence = "{0}{x} leads after 14 days; choosing it is expected to cost 1 % of the clicks, "
    assert said("", messages_of(f"{sentence}below 2 %."), "pt").startswith("{0}{x} lidera")


def test_an_error_rate_of_another_version_is_not_translated():
    known = {"verdict": "winner", "error_rate": text("error_rate_winner", "en")}
    assert error_rate(known, "pt") == text("error_rate_winner", "pt")
    other = known | {"error_rate": "in 1 % of runs"}
    assert error_rate(other, "en") == "in 1 % of runs"
    assert error_rate(other, "pt") == text("untold", "pt")
    assert error_rate({"verdict": "keep_running", "error_rate": None}, "pt") == ""


SETTINGS = {"min_impressions": 200, "default_window_days": 14, "max_window_days": 30}


@pytest.mark.parametrize(
    ("short", "long", "more", "key"),
    [
        (200, 200, {}, "enough"),
        (199, 200, {}, "longer"),
        (199, 199, {}, "too_few"),
        (199, 199, {"short_window": "keep"}, "kept"),
        (0, 0, {"short_window": "keep"}, "too_few"),
    ],
)
def test_the_window_that_counts_has_its_reason(short, long, more, key):
    row = {
        "variant_name": "b",
        "data_source": "prior",
        "default_window_impressions": short,
        "max_window_impressions": long,
    }
    body = {"settings": SETTINGS | more, "variants": [row], "not_counted": [], "changes": []}
    values = {"variant": "b", "short": short, "long": long, "least": 200, "days": 14, "most": 30}
    assert explained(body, "en") == [text(f"window_{key}", "en", **values)]
    row["default_window_impressions"] = None
    assert explained(body, "pt") == ["b: só a priori"]


def test_rows_and_changes_are_said():
    lost = {"variant_name": "b", "verdict": "negative", "row_count": 2}
    lost |= {"first_date": "2026-03-01", "last_date": "2026-03-02"}
    change = {"variant_name": None, "status": "paused", "valid_from_date": "2026-03-03"}
    body = {"settings": SETTINGS, "variants": [], "not_counted": [lost], "changes": [change]}
    assert explained(body, "pt") == [
        "não contam: 2 linhas de b (negativo), 2026-03-01 – 2026-03-02",
        "pausado a partir de 2026-03-03: a última alocação publicada fica, congelada",
    ]
    assert reason_words("to_come", "pt") == "to_come"
