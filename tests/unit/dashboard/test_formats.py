from datetime import date

import pytest

from mab_dashboard.csv_text import csv_text
from mab_dashboard.formats import (
    NOTHING,
    day_of,
    interval,
    label,
    markup,
    moment,
    number,
    percent,
    probability,
)

HOSTILE = (
    "<img src=x onerror=alert(1)>",
    '=HYPERLINK("http://x","y")',
    "\x1b[31mred",
    "**bold** _it_ `code` [a](b) $x$ ~~s~~ # h :red[x] :smile: :material/home: <b>",
)


@pytest.mark.parametrize(
    ("value", "english", "portuguese"),
    [
        (1234567, "1,234,567", "1.234.567"),
        (0, "0", "0"),
        (-1234, "−1,234", "−1.234"),
        (None, NOTHING, NOTHING),
        (float("nan"), NOTHING, NOTHING),
    ],
)
def test_numbers_have_the_separators_of_the_language(value, english, portuguese):
    assert number(value, "en") == english
    assert number(value, "pt") == portuguese


def test_percentages_have_one_decimal_and_a_sign_if_asked():
    assert percent(0.8854, "en") == "88.5 %"
    assert percent(0.8854, "pt") == "88,5 %"
    assert percent(0.004, "en", sign=True) == "+0.4 %"
    assert percent(-0.004, "pt", sign=True) == "−0,4 %"
    assert percent(None, "en") == NOTHING
    assert interval([-0.01, 0.256], "en") == "−1.0 … +25.6 %"
    assert interval(None, "pt") == NOTHING


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0.0 %"),
        (0.00099, "< 0.1 %"),
        (0.001, "0.1 %"),
        (0.999, "99.9 %"),
        (0.99901, "> 99.9 %"),
        (1.0, "100.0 %"),
        (None, NOTHING),
    ],
)
def test_a_probability_is_never_rounded_to_certainty(value, shown):
    assert probability(value, "en") == shown


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2026-03-10", date(2026, 3, 10)),
        ("2026-02-30", None),
        ("20260310", None),
        ("x", None),
        ("", None),
        (None, None),
    ],
)
def test_a_day_of_the_url_is_a_day_or_nothing(text, day):
    assert day_of(text) == day


def test_a_moment_is_shown_to_the_minute():
    assert moment("2026-03-10T09:31:59.5Z") == "2026-03-10 09:31 UTC"
    assert moment(None) == NOTHING


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_text_in_html(name):
    shown = markup(name)
    assert "<" not in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_text_where_markdown_is_read(name):
    shown = label(name)
    assert "\x1b" not in shown
    for place, character in enumerate(shown):
        if character in "*_`[]<>$~#:":
            assert shown[place - 1] == "\\"
    assert "smile\\:" not in shown or "\u200b" in shown


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-x", "'-x"),
        ("@x", "'@x"),
        (" =1", "' =1"),
        ("＝1", "'＝1"),
        ("a=1", "a=1"),
        (-1, "-1"),
        (0.5, "0.5"),
        (None, '""'),
        (True, "True"),
        ("\x1b[31m", "\\x1b[31m"),
    ],
)
def test_no_cell_of_a_csv_is_a_formula(cell, written):
    assert csv_text(["c"], [{"c": cell}]) == f"c\r\n{written}\r\n"


def test_a_csv_quotes_and_keeps_the_order_of_its_columns():
    rows = [{"b": 'say "x", y', "a": 1}, {"a": 2}]
    assert csv_text(["a", "b"], rows) == 'a,b\r\n1,"say ""x"", y"\r\n2,\r\n'
