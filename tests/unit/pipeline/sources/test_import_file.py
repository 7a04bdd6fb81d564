"""Exports: how bytes and a mapping become counts, on both sides of each rule."""

import datetime as dt
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from openpyxl import Workbook

from mab_pipeline.sources.counts import whole_number
from mab_pipeline.sources.dates import AmbiguousDatesError, DateFormat, strptime_format
from mab_pipeline.sources.deposit import files_of_days
from mab_pipeline.sources.import_file import Accepted, Export, read_export
from mab_pipeline.sources.mapping import (
    Mapping,
    load_mapping,
    name_of,
    parse_mapping,
    save_mapping,
)
from mab_store.errors import UnreadableFileError, UsageError
from mab_store.files.limits import DEFAULT_LIMITS, Limits
from mab_store.settings import load_settings

TODAY = dt.date(2026, 11, 24)
ACCEPTED = Accepted(DEFAULT_LIMITS, dt.date(2025, 1, 1), TODAY)
HEAD = "date,experiment,variant,impressions,clicks\n"
DAY = dt.date(2026, 11, 22)
PLAIN = HEAD + "2026-11-22,x,a,100,3\n2026-11-22,x,b,200,5\n"
COUNTS = [("x", "a", "100", "3"), ("x", "b", "200", "5")]


def read(content: str | bytes, name: str = "a.csv", *, accepted=ACCEPTED, **fields) -> Export:
    payload = content.encode() if isinstance(content, str) else content
    return read_export(name, payload, parse_mapping(fields, subject="The test"), accepted)


def counts(export: Export) -> list[tuple[str, ...]]:
    return [count[1:5] for count in export.counts]


def parquet(**columns: object) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


def workbook(*rows: tuple[object, ...]) -> bytes:
    book = Workbook()
    for row in rows:
        book.active.append(row)
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


RECORDS = [
    {"date": "2026-11-22", "experiment": "x", "variant": "a", "impressions": 100, "clicks": 3.0},
    {"date": "2026-11-22", "experiment": "x", "variant": "b", "impressions": "200", "clicks": 5},
]
REPORT = {
    "dimensionHeaders": [
        {"name": name} for name in ("date", "itemPromotionName", "itemPromotionCreativeName")
    ],
    "metricHeaders": [{"name": "itemsViewedInPromotion"}, {"name": "itemsClickedInPromotion"}],
    "rows": [
        {
            "dimensionValues": [{"value": "20261122"}, {"value": "x"}, {"value": variant}],
            "metricValues": [{"value": str(views)}, {"value": str(clicks)}],
        }
        for variant, views, clicks in (("a", 100, 3), ("b", 200, 5))
    ],
    "rowCount": 2,
}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", PLAIN),
        ("a.csv", PLAIN.replace(",", ";")),
        ("a.tsv", PLAIN.replace(",", "\t")),
        ("a.txt", PLAIN.replace(",", "|")),
        ("a.csv", PLAIN.replace("\n", "\r\n")),
        ("a.csv", "\ufeff" + PLAIN),
        ("a.csv", PLAIN.encode("utf-16")),
        ("a.csv", "A title\nAnother, with a comma\n\n" + PLAIN + "\nTotal,,,300,8\nMade today\n"),
        ("a.csv", PLAIN.replace("2026-11-22", "2026-11-22T00:00:00Z")),
        ("a.csv", PLAIN.replace("2026-11-22", '"Nov 22, 2026"')),
        ("a.csv", PLAIN.replace("2026-11-22", "20261122")),
        ("a.json", json.dumps(RECORDS)),
        ("a.json", json.dumps({"rows": RECORDS, "count": 2})),
        ("a.json", json.dumps(REPORT)),
        ("a.jsonl", "\n".join(map(json.dumps, RECORDS))),
        (
            "a.parquet",
            parquet(
                date=[DAY, DAY],
                experiment=pa.array(["x", "x"]).dictionary_encode(),
                variant=["a", "b"],
                impressions=[100, 200],
                clicks=[3.0, 5.0],
            ),
        ),
        (
            "a.xlsx",
            workbook(
                ("date", "experiment", "variant", "impressions", "clicks"),
                (DAY, "x", "a", 100, 3),
                (dt.datetime(2026, 11, 22), "x", "b", 200.0, "5"),  # noqa: DTZ001  # Excel has no zones
            ),
        ),
    ],
)
def test_the_same_counts_in_any_file_are_the_same_counts(name, content):
    export = read(content, name)
    assert counts(export) == COUNTS
    assert {count.day for count in export.counts} == {DAY}


def test_latin_1_is_read_only_if_it_is_named():
    payload = PLAIN.replace("a,100", "á,100").encode("latin-1")
    with pytest.raises(UnreadableFileError, match="--encoding latin-1"):
        read(payload)
    assert counts(read(payload, encoding="ISO-8859-1"))[0][1] == "b"
    assert counts(read(payload, encoding="latin-1"))[1][1] == "á"


@pytest.mark.parametrize(
    ("text", "point", "comma"),
    [
        ("1234", 1234, 1234),
        ("1,234", 1234, None),
        ("1.234", None, 1234),
        ("1,234,567", 1234567, None),
        ("12,34,567", 1234567, None),
        ("1.234,00", None, 1234),
        ("1,234.00", 1234, None),
        ("1,000", 1000, 1),
        ("1 234", 1234, 1234),
        ("1\u202f234", 1234, 1234),
        ("1'234", 1234, 1234),
        ("12 34", None, None),
        ("1,23", None, None),
        ("12.5", None, None),
        ("-5", None, None),
        ("1e3", None, None),
        ("0.012", None, None),
        ("0,012", None, None),
        ("0.0", 0, None),
        ("", None, None),
        ("\u0661", None, None),
        ("9" * 31, None, None),
    ],
)
def test_a_count_is_a_whole_number_or_stays_as_it_is(text, point, comma):
    assert (whole_number(text, "point"), whole_number(text, "comma")) == (point, comma)


def test_the_whole_file_decides_the_decimal_sign():
    semicolons = HEAD.replace(",", ";")
    row = "2026-11-22;x;{};{};1\n"
    with pytest.raises(UnreadableFileError, match="--decimal point or --decimal comma"):
        read(semicolons + row.format("a", "1.000"))
    export = read(semicolons + row.format("a", "1.000") + row.format("b", "1.234"))
    assert export.mapping.decimal == "comma"
    assert [count.impressions for count in export.counts] == ["1000", "1234"]
    export = read(semicolons + row.format("a", "1.000"), decimal="point")
    assert export.counts[0].impressions == "1"


def test_a_typed_number_is_never_read_by_the_rule_of_texts():
    rows = [dict(RECORDS[0], impressions=1.234), dict(RECORDS[1], impressions="2.345")]
    export = read(json.dumps(rows), "a.json", decimal="comma")
    assert [count.impressions for count in export.counts] == ["1.2340", "2345"]


@pytest.mark.parametrize("rates", [(0.01, 0.012), (1.2, 1.23), (0.25, 0.125), (1.234, 12.345)])
def test_rates_in_the_place_of_counts_are_never_whole(rates):
    rows = [dict(RECORDS[0], variant=str(rate), clicks=rate) for rate in rates]
    exports = [read(json.dumps(rows), "a.json")]
    if rates != (1.234, 12.345):  # as text, these are thousands as Germans write them
        content = HEAD + "".join(f"2026-11-22,x,{rate},100,{rate}\n" for rate in rates)
        exports.append(read(content))
    for export in exports:
        assert not [count.clicks for count in export.counts if count.clicks.isdecimal()]


def test_two_orders_of_day_and_month_are_never_guessed():
    with pytest.raises(AmbiguousDatesError) as error:
        read(PLAIN.replace("2026-11-22", "03/04/2026"))
    assert error.value.formats == {
        "%d/%m/%Y": dt.date(2026, 4, 3),
        "%m/%d/%Y": dt.date(2026, 3, 4),
    }
    assert read(PLAIN.replace("2026-11-22", "04/04/2026")).counts[0].day == dt.date(2026, 4, 4)
    both = PLAIN.replace("2026-11-22", "03/04/2026", 1).replace("2026-11-22", "04/13/2026")
    assert [c.day for c in read(both).counts] == [dt.date(2026, 3, 4), dt.date(2026, 4, 13)]
    told = read(PLAIN.replace("2026-11-22", "03/04/2026"), date_format="DD/MM/YYYY")
    assert told.counts[0].day == dt.date(2026, 4, 3)


@pytest.mark.parametrize(
    ("spelled", "form"),
    [("DD/MM/YYYY", "%d/%m/%Y"), ("d", None), ("MM/YYYY", None), ("%d.%m.%y", "%d.%m.%y")],
)
def test_a_date_format_names_day_month_and_year(spelled, form):
    if form is None:
        with pytest.raises(ValueError, match="day, month and year"):
            strptime_format(spelled)
    else:
        assert strptime_format(spelled) == form


def test_a_day_in_another_zone_than_utc_is_no_day():
    assert DateFormat("%Y-%m-%d").parse("2026-11-22 01:00:00+00:00") == DAY
    assert DateFormat("%Y-%m-%d").parse("2026-11-22 01:00:00+02:00") is None


def test_days_are_taken_from_the_first_to_today():
    assert len(read(PLAIN.replace("2026-11-22", "2025-01-01")).counts) == 2
    with pytest.raises(UnreadableFileError, match="before MAB_START_DATE"):
        read(PLAIN.replace("2026-11-22", "2024-12-31"))
    assert len(read(PLAIN.replace("2026-11-22", str(TODAY))).counts) == 2
    with pytest.raises(UnreadableFileError, match="in the future"):
        read(PLAIN.replace("2026-11-22", "2026-11-25"))


def test_rows_of_one_day_and_variant_are_added_up_unless_they_are_equal():
    head = "date,experiment,variant,device,impressions,clicks\n"
    rows = "2026-11-22,x,a,web,10,1\n2026-11-22,x,a,app,20,2\n"
    export = read(head + rows)
    assert counts(export) == [("x", "a", "30", "3")]
    assert "1 row was added to others of the same day and variant" in export.notes
    with pytest.raises(UnreadableFileError, match="row 4 equal to row 2 in every cell"):
        read(head + rows + rows.splitlines()[0])
    twice = read(head + rows + rows.splitlines()[0], add_up=True)
    assert counts(twice) == [("x", "a", "40", "4")]
    bad = read(head + rows + "2026-11-22,x,a,tv,n/a,2\n")
    assert counts(bad) == [("x", "a", "n/a", "5")]  # the sum of the others would be too small


def test_a_total_is_left_out_and_compared_with_its_rows():
    assert read(PLAIN + "Total,,,300,8\n").notes == ["row 4 left out: a total"]
    cut = read(PLAIN + "Total,,,400,8\n").notes
    assert cut[1] == (
        "the total in row 4 says 400 impressions, and the rows add up to 300: the export may be "
        "cut short"
    )
    daily = read(PLAIN + "2026-11-22,x,Subtotal,300,8\n")
    assert counts(daily) == COUNTS


def test_filters_choose_rows():
    assert counts(read(PLAIN, where=["variant = b"])) == COUNTS[1:]
    assert counts(read(PLAIN, where=["Variant != 'b'"])) == COUNTS[:1]
    assert counts(read(PLAIN, where=["variant ~ B", "experiment = x"])) == COUNTS[1:]


def test_one_experiment_for_the_whole_file():
    content = PLAIN.replace("date,experiment,", "date,").replace(",x,", ",")
    assert counts(read(content, experiment="x")) == COUNTS
    mixed = PLAIN + "2026-11-22,y,a,100,3\n"
    with pytest.raises(UnreadableFileError, match="has 2 values in the column 'experiment'"):
        read(mixed, experiment="x")
    assert counts(read(mixed, experiment="x", where=["experiment = x"])) == COUNTS
    assert counts(read(mixed, experiment="x", add_up=True))[0] == ("x", "a", "200", "6")


def test_the_mapping_that_comes_out_reads_the_next_file_the_same_way(tmp_path):
    settings = load_settings(mab_home=tmp_path, _env_file=None)
    first = read(PLAIN.replace("2026-11-22", "22/11/2026"), where=["experiment = x"])
    save_mapping(settings, "x", first.mapping)
    held = load_mapping(settings, "x")
    assert held == first.mapping
    alone = PLAIN.replace("2026-11-22", "03/04/2026")  # ambiguous without the mapping
    assert read_export("b.csv", alone.encode(), held, ACCEPTED).counts[0].day == dt.date(2026, 4, 3)


@pytest.mark.parametrize(
    "fields",
    [
        {"encoding": "klingon"},
        {"delimiter": "#"},
        {"decimal": "dot"},
        {"where": ["variant"]},
        {"experiment": "x", "experiment_column": "y"},
        {"date_format": "someday"},
        {"columns": "date"},
    ],
)
def test_a_mapping_that_cannot_be_used_says_which_field(fields):
    with pytest.raises(UsageError, match=next(reversed(fields))):
        parse_mapping(fields, subject="The mapping")


@pytest.mark.parametrize(
    ("experiment", "name"),
    [("home page/CTA", "home-page-CTA"), ("../..", "mapping"), ("Ü", "mapping")],
)
def test_a_mapping_of_an_experiment_has_a_name_that_a_folder_can_have(experiment, name):
    assert name_of(experiment) == name


def test_equal_counts_are_equal_bytes_in_any_order():
    lines = PLAIN.splitlines(keepends=True)
    other = read(lines[0] + lines[2] + lines[1])
    assert files_of_days(read(PLAIN).counts) == files_of_days(other.counts)
    assert files_of_days(other.counts) == {
        DAY: b"experiment,variant_name,impressions,clicks\nx,a,100,3\nx,b,200,5\n"
    }


def test_limits_of_rows_and_text_hold_for_every_reader():
    exact, short = Limits(3, 1000), Limits(2, 1000)
    for name, content in (("a.csv", PLAIN), ("a.json", json.dumps(RECORDS))):
        assert read(content, name, accepted=ACCEPTED._replace(limits=exact))
        with pytest.raises(UnreadableFileError, match="INBOX_MAX_FILE_ROWS"):
            read(content, name, accepted=ACCEPTED._replace(limits=short))


def test_no_mapping_is_needed_to_know_that_it_is_empty():
    assert Mapping() == parse_mapping({}, subject="The test")
