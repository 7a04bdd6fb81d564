"""Metrics files: what is read, and what is refused as unreadable."""

import bisect
import io
import json
from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mab_store.errors import UnreadableFileError
from mab_store.files.parsers import COLUMNS, read_metrics

DAY = date(2025, 1, 2)
HEADER = "experiment,variant_name,impressions,clicks\n"

# Issue A, point 5: texts that no reader may turn into a number.
NUMBER_TEXTS = [
    "1.5", "1e3", "", " 7 ", "-3", "NaN", "9223372036854775808", "9007199254740992", "٣",
    "007", "+7", "1_000", "0x10", "1.0", "inf", "null", "true", "NA", "７", "12\u00a0",
]  # fmt: skip


def read(name: str, payload: bytes | str) -> list[tuple[str | None, ...]]:
    payload = payload.encode() if isinstance(payload, str) else payload
    rows = read_metrics(name, payload, metric_date=DAY).rows
    assert rows.schema == pa.schema([(name, pa.string()) for name in (*COLUMNS, "submission_id")])
    return [tuple(row[name] for name in COLUMNS) for row in rows.to_pylist()]


def parquet(row: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([row]), buffer)
    return buffer.getvalue()


def complaint(name: str, payload: bytes | str) -> str:
    with pytest.raises(UnreadableFileError) as caught:
        read(name, payload)
    message = str(caught.value)
    assert message.encode()  # can be stored
    assert message == message.strip()
    return message


def submission(**changes: object) -> dict[str, object]:
    metric = {"variant_name": "a", "impressions": 10, "clicks": 1}
    return {"experiment": "e", "metrics": [metric]} | changes


@pytest.mark.parametrize("text", NUMBER_TEXTS)
def test_a_count_in_a_csv_stays_the_text_that_it_is(text):
    assert read("f.csv", f"{HEADER}e,a,{text},{text}\n") == [("e", "a", text, text)]


@pytest.mark.parametrize("text", NUMBER_TEXTS)
def test_a_count_in_a_json_string_stays_the_text_that_it_is(text):
    metric = {"variant_name": "a", "impressions": text, "clicks": text}
    assert read("f.json", json.dumps(submission(metrics=[metric]))) == [("e", "a", text, text)]


@pytest.mark.parametrize(
    "token", ["1", "-0", "1.50", "1e3", "NaN", "-Infinity", "9" * 5000, "true", "0.1E-2"]
)
def test_a_json_number_is_kept_digit_for_digit(token):
    metric = f'{{"variant_name": "a", "impressions": {token}, "clicks": {token}}}'
    rows = read("f.json", f'{{"experiment": "e", "metrics": [{metric}]}}')
    assert rows == [("e", "a", token, token)]


def test_a_json_value_of_another_kind_is_kept_as_json_text_and_null_as_null():
    metric = {"variant_name": None, "impressions": [1, {"a": None}], "clicks": False}
    rows = read("f.json", json.dumps(submission(metrics=[metric, {}])))
    assert rows == [("e", None, '["1", {"a": null}]', "false"), ("e", None, None, None)]


def test_csv_columns_may_come_in_any_order_and_case_with_others_between():
    text = "Clicks, variant_name ,note,EXPERIMENT,impressions\n1,a,x,e,10\n"
    assert read("f.CSV", text) == [("e", "a", "10", "1")]


def test_csv_quotes_commas_and_line_breaks_in_values_are_kept():
    text = HEADER + '"e, ""x""","a\nb",1,2\n'
    assert read("f.csv", text) == [('e, "x"', "a\nb", "1", "2")]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_convention_of_line_ends_is_read(end):
    text = (HEADER + "e,a,10,1\n\ne,b,20,2\n").replace("\n", end)
    assert read("f.csv", text) == [("e", "a", "10", "1"), ("e", "b", "20", "2")]


def test_a_byte_order_mark_is_not_part_of_the_first_name():
    assert read("f.csv", b"\xef\xbb\xbf" + HEADER.encode() + b"e,a,1,2") == [("e", "a", "1", "2")]
    assert read("f.json", b"\xef\xbb\xbf" + json.dumps(submission()).encode())


def test_a_csv_with_a_header_alone_holds_no_rows():
    assert read("f.csv", HEADER) == []


def test_a_row_with_too_few_fields_is_a_row_without_these_counts():
    rows = read("f.csv", HEADER + "e,a,10\ne,b,20,2\n")
    assert rows == [("e", "a", "10", ""), ("e", "b", "20", "2")]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (HEADER + "e,a,1,2,3\n", "has more fields in line 2 than the header: 5, not 4"),
        (HEADER + "e,a,1,2\ne,a,1,2,3\n", "in line 3 than the header: 5, not 4"),
        (HEADER + '"e,a,1,2\n', "is not a CSV"),
        ("experiment,variant_name,clicks\ne,a,1\n", "lacks the column impressions; it has exper"),
        ("experiment;variant_name;impressions;clicks\n", "lacks the column experiment"),
        ("e,a,1,2\n", "lacks the column"),
        ("\n" + HEADER, "it has none"),
        (HEADER.strip() + ",clicks\ne,a,1,2,3\n", "has the column clicks more than once"),
        ('"' + "x" * 2_000_000 + '"\n', "has a line of more than 1048576 bytes"),
    ],
)
def test_a_csv_of_another_shape_is_unreadable(text, reason):
    assert reason in complaint("f.csv", text)


@pytest.mark.parametrize("name", ["f.csv", "f.json", "f.parquet"])
def test_an_empty_file_is_unreadable(name):
    assert complaint(name, b"") == "is empty"


@pytest.mark.parametrize("name", ["f.csv", "f.json"])
def test_a_byte_that_is_not_utf8_is_named_with_its_place(name):
    assert complaint(name, b"ab\xffc") == "is not UTF-8: byte 0xFF at offset 2"
    assert complaint(name, "é".encode()[:1]) == "is not UTF-8: byte 0xC3 at offset 0"


@pytest.mark.parametrize("name", ["f.csv", "f.json"])
def test_a_nul_byte_is_named_with_its_place(name):
    assert complaint(name, "é\0".encode()) == "holds a NUL byte at offset 2"


@pytest.mark.parametrize("name", ["f.txt", "f", "f.csv.gz", "f.\udcff", ".csv"])
def test_another_extension_is_unreadable(name):
    assert complaint(name, HEADER).startswith("has the extension")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (json.dumps(submission())[:-3], "is not JSON"),
        ("", "is empty"),
        (" ", "is not JSON"),
        ("{}{}", "is not JSON: Extra data"),
        ("null", "submission 1 is not an object with a list `metrics`"),
        ("7", "submission 1 is not an object"),
        ('"metrics"', "submission 1 is not an object"),
        ("{}", "submission 1 is not an object"),
        ('{"metrics": {}}', "submission 1 is not an object"),
        ('{"metrics": [1]}', "submission 1 has a metric that is not an object"),
        ('[{"metrics": []}, []]', "submission 2 is not an object"),
        ('{"metrics": [], "metrics": []}', "names the key 'metrics' twice"),
        ('{"metrics": [{"clicks": 1, "a": 2, "clicks": 1}]}', "names the key 'clicks' twice"),
        ('{"metrics": [{"\\ud800": 1, "\\ud800": 2}]}', "twice in one object"),
        ('{"date": "2025-01-03", "metrics": []}', "for '2025-01-03' but is in the folder of"),
        ('{"date": null, "metrics": []}', "is for None but is in the folder of 2025-01-02"),
        ('{"date": "\\ud800", "metrics": []}', "but is in the folder of 2025-01-02"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_json_of_another_shape_is_unreadable(text, reason):
    assert reason in complaint("f.json", text)


def test_no_depth_of_nesting_escapes_as_another_error():
    def is_readable(depth: int) -> bool:
        nested = "[" * depth + "]" * depth
        try:
            read("f.json", f'{{"experiment": {nested}, "metrics": [{{}}]}}')
        except UnreadableFileError:
            return False
        return True

    # How deep it may be depends on the version of Python.
    edge = bisect.bisect(range(100_000), False, key=lambda depth: not is_readable(depth))
    assert edge > 100
    assert {is_readable(depth) for depth in range(edge - 10, edge + 10)} == {True, False}


def test_a_list_of_submissions_is_read_in_order_with_each_ones_experiment():
    metric = {"variant_name": "b", "impressions": 2, "clicks": 0, "experiment": "own"}
    both = [
        submission(submission_id="s1", date="2025-01-02"),
        submission(experiment_id="exp_0", metrics=[metric, {**metric, "experiment_id": "exp_1"}]),
    ]
    parsed = read_metrics("f.json", json.dumps(both).encode(), metric_date=DAY)
    assert parsed.rows["experiment"].to_pylist() == ["e", "own", "exp_1"]
    assert parsed.rows["submission_id"].to_pylist() == ["s1", None, None]
    assert read("f.json", "[]") == []


def test_a_lone_surrogate_is_kept_as_an_escape_that_can_be_stored():
    ((experiment, *_),) = read("f.json", '{"experiment": "a\\ud800b", "metrics": [{}]}')
    assert experiment == "a\\ud800b"
    ((experiment, *_),) = read("f.json", '{"experiment": "\\ud83d\\ude42", "metrics": [{}]}')
    assert experiment == "🙂"


@example(payload=b'"a\rb,c\n')
@example(payload=b"a\rb\n")
@example(payload=b"experiment,variant_name,impressions,clicks\n\x1a,,,\r\n,")
@example(payload=b'[{"metrics":[]}')
@example(payload=b"PAR1PAR1PAR1")
@given(payload=st.binary(max_size=300))
@pytest.mark.parametrize("name", ["f.csv", "f.json", "f.parquet"])
def test_any_bytes_parse_or_are_unreadable(name, payload):
    parses_or_is_unreadable(name, payload)


CSV_BITS = st.sampled_from([*',"\r\n \t;#\\x0é\u2028', "experiment", HEADER, "1", '""', "\x1a"])
JSON_BITS = st.sampled_from(
    ["{", "}", "[", "]", ",", ":", "1", "NaN", "null", '"metrics"', '"clicks"', '"\\ud800"', '"'],
)


@given(text=st.lists(CSV_BITS, max_size=25).map("".join))
def test_any_text_that_looks_like_a_csv_parses_or_is_unreadable(text):
    parses_or_is_unreadable("f.csv", (HEADER + text).encode())
    parses_or_is_unreadable("f.csv", text.encode())


@given(text=st.lists(JSON_BITS, max_size=25).map("".join))
def test_any_text_that_looks_like_json_parses_or_is_unreadable(text):
    parses_or_is_unreadable("f.json", text.encode())
    parses_or_is_unreadable("f.json", f'{{"metrics": [{text}]}}'.encode())


def parses_or_is_unreadable(name: str, payload: bytes) -> None:
    try:
        texts = [value for row in read(name, payload) for value in row if value is not None]
    except UnreadableFileError as error:
        texts = [str(error)]
    assert all(text.encode() is not None for text in texts)  # all of it can be stored


@pytest.mark.parametrize("field", [*COLUMNS, "submission_id"])
def test_a_text_that_is_no_name_and_no_count_is_cut_and_says_so(field):
    long = "7" * (1 << 19)
    row = dict.fromkeys((*COLUMNS, "submission_id"), "1") | {field: long}
    metric = {name: row[name] for name in COLUMNS}
    files = {
        "f.json": json.dumps({"submission_id": row["submission_id"], "metrics": [metric]}).encode(),
        "f.parquet": parquet(row),
    }
    if field in COLUMNS:
        files["f.csv"] = (HEADER + ",".join(metric.values())).encode()
    for name, payload in files.items():
        rows = read_metrics(name, payload, metric_date=DAY).rows
        (text,) = rows[field].to_pylist()
        assert text == "7" * 10_000 + " [cut: 524288 characters were received]", name


def test_a_text_of_ten_thousand_characters_is_kept():
    text = "é" * 10_000
    assert read("f.csv", f"{HEADER}{text},a,1,1\n") == [(text, "a", "1", "1")]


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("f.json", '{"metrics": [], "date": "' + "x" * 2_000_000 + '"}'),
        ("f.json", "{" + ('"' + "k" * 2_000_000 + '": 1,') * 2 + '"metrics": []}'),
        ("f.csv", ",".join(["c" * 100_000] * 20) + "\n"),
    ],
)
def test_a_complaint_quotes_no_more_than_a_thousand_characters(name, payload):
    assert len(complaint(name, payload)) <= 1_010
