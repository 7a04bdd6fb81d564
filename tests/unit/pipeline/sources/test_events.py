"""Exports with a row per event: which events are impressions and clicks, and what is refused."""

import json

import pytest

from mab_pipeline.sources.mapping import load_mapping, save_mapping
from mab_store.errors import UnreadableFileError, UsageError
from mab_store.settings import load_settings
from tests.unit.pipeline.sources.test_import_file import counts, read

COUNTS = [("x", "a", "100", "3"), ("x", "b", "200", "5")]
HEAD = "Date,Event name,Item promotion name,Item promotion creative name,Event count\n"
EVENTS = (
    "20261122,view_promotion,x,a,100\n20261122,select_promotion,x,a,3\n"
    "20261122,view_promotion,x,b,200\n20261122,select_promotion,x,b,5\n"
)
REPORT = {
    "dimensionHeaders": [
        {"name": name} for name in ("date", "eventName", "customEvent:experiment_variant")
    ],
    "metricHeaders": [{"name": "eventCount"}],
    "rows": [
        {
            "dimensionValues": [{"value": "20261122"}, {"value": event}, {"value": variant}],
            "metricValues": [{"value": str(count)}],
        }
        for event, variant, count in (
            ("experiment_impression", "a", 100),
            ("experiment_click", "a", 3),
            ("experiment_impression", "b", 200),
            ("experiment_click", "b", 5),
        )
    ],
}


def test_analytics_with_a_row_per_event_maps_by_itself():
    export = read(HEAD + EVENTS + ",,,,308,Grand total\n")
    assert counts(export) == COUNTS
    assert export.title.startswith("a row per event, as of Google Analytics 4")
    assert export.mapping.impression_events == ("view_promotion",)
    assert export.mapping.click_events == ("select_promotion",)
    assert export.notes == ["row 6 left out: a total"]  # and none about a sum that differs


def test_the_data_api_with_a_row_per_event_maps_by_itself():
    assert counts(read(json.dumps(REPORT), "a.json", experiment="x")) == COUNTS


def test_a_plain_table_with_a_row_per_event_maps_by_itself():
    rows = EVENTS.replace("view_promotion", "Impression").replace("select_promotion", "click")
    content = "date;event;experiment;variant;count\n" + rows.replace(",", ";")
    assert counts(read(content)) == COUNTS


def test_other_events_are_left_out_and_named():
    export = read(HEAD + EVENTS + "20261122,scroll,x,a,9\n20261122,click,x,a,9\n")
    assert counts(export) == COUNTS
    assert export.notes == ["2 rows were left out: other events (scroll, click)"]


def test_rows_of_one_event_are_added_up_unless_they_are_equal():
    devices = "20261122,view_promotion,x,a,60,web\n20261122,view_promotion,x,a,40,app\n"
    export = read(HEAD.replace("count", "count,Device") + devices + EVENTS.split("\n", 1)[1])
    assert counts(export) == COUNTS
    assert export.notes == ["1 row was added to others of the same day and variant"]
    with pytest.raises(UnreadableFileError, match="row 6 equal to row 2 in every cell"):
        read(HEAD + EVENTS + EVENTS.splitlines()[0])


def test_events_that_nothing_tells_are_refused_until_they_are_named():
    odd = EVENTS.replace("view_promotion", "banner_seen").replace("select_promotion", "banner_hit")
    with pytest.raises(UnreadableFileError, match="'banner_seen', 'banner_hit'; name them with"):
        read(HEAD + odd)
    named = {"impression_events": ["Banner_Seen"], "click_events": ["banner_hit"]}
    assert counts(read(HEAD + odd, **named)) == COUNTS
    with pytest.raises(UnreadableFileError, match="has no row of Banner_Seen, banner_hit"):
        read(HEAD + EVENTS, **named)


def test_events_of_two_known_pairs_are_refused_until_they_are_named():
    both = EVENTS + "20261122,impression,x,a,9\n20261122,click,x,a,1\n"
    with pytest.raises(UnreadableFileError, match="has 2 pairs of events"):
        read(HEAD + both)
    named = {"impression_events": ["view_promotion"], "click_events": ["select_promotion", "click"]}
    assert counts(read(HEAD + both, **named))[0] == ("x", "a", "100", "4")


def test_sessions_in_a_row_per_event_are_never_added_up():
    content = "Date,Event name,Experiment name,Experiment variant,Sessions,Key events\n"
    content += (
        "20261122,page_view,x,a,100,3\n20261122,scroll,x,a,90,3\n20261122,page_view,x,b,200,5\n"
    )
    with pytest.raises(UnreadableFileError, match="'Sessions' would be added up; choose one with"):
        read(content)
    assert counts(read(content, where=["Event name = page_view"])) == COUNTS


def test_the_kept_mapping_reads_a_day_without_clicks(tmp_path):
    settings = load_settings(mab_home=tmp_path, _env_file=None)
    save_mapping(settings, "x", read(HEAD + EVENTS).mapping)
    held = load_mapping(settings, "x").model_dump(exclude_defaults=True)
    rows = "20261122,view_promotion,x,a,100\n20261122,view_promotion,x,b,200\n"
    assert counts(read(HEAD + rows, **held)) == [("x", "a", "100", "0"), ("x", "b", "200", "0")]


@pytest.mark.parametrize(
    "fields",
    [
        {"event_column": "Event", "clicks_column": "Clicks"},
        {"impression_events": ["view"]},
    ],
)
def test_a_mapping_has_one_form(fields):
    with pytest.raises(UsageError, match="give"):
        read(HEAD + EVENTS, **fields)
