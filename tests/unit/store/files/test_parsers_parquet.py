"""Parquet files: which column types are text, which are refused."""

import io
from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mab_store.errors import UnreadableFileError
from mab_store.files.parsers import read_metrics

DAY = date(2025, 1, 2)
COLUMNS = {
    "experiment": ["e", "f"],
    "variant_name": ["a", "b"],
    "impressions": [10, 2**62],
    "clicks": [1, 2],
}
ROWS = [("e", "a", "10", "1"), ("f", "b", str(2**62), "2")]


def to_bytes(table: pa.Table, **options: object) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def with_columns(**columns: object) -> bytes:
    return to_bytes(pa.table(COLUMNS | columns))


def read(payload: bytes) -> list[tuple[str | None, ...]]:
    rows = read_metrics("f.parquet", payload, metric_date=DAY).rows
    assert set(rows.schema.types) == {pa.string()}
    return [tuple(row[name] for name in COLUMNS) for row in rows.to_pylist()]


def complaint(payload: bytes) -> str:
    with pytest.raises(UnreadableFileError) as caught:
        read(payload)
    return str(caught.value)


def test_integers_and_text_become_text():
    assert read(with_columns()) == ROWS


@pytest.mark.parametrize("kind", [pa.int8(), pa.int32(), pa.uint16(), pa.uint64(), pa.string()])
def test_every_integer_type_and_text_is_read(kind):
    assert [row[3] for row in read(with_columns(clicks=pa.array([1, 2]).cast(kind)))] == ["1", "2"]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()])
def test_every_text_type_is_read_and_kept_as_it_is(kind):
    counts = pa.array([" 7 ", "٣"], kind)
    assert [row[2] for row in read(with_columns(impressions=counts))] == [" 7 ", "٣"]


def test_dictionary_columns_are_read_as_their_values():
    payload = with_columns(
        experiment=pa.array(["e", None]).dictionary_encode(),
        clicks=pa.array([1, 2]).dictionary_encode(),
    )
    assert read(payload) == [ROWS[0], (None, *ROWS[1][1:])]


def test_nulls_stay_nulls_and_make_no_floats_of_integers():
    payload = with_columns(impressions=[10, None], clicks=pa.array([None, None]))
    assert read(payload) == [("e", "a", "10", None), ("f", "b", None, None)]


def test_names_are_compared_without_case_and_others_are_ignored():
    renamed = {name.upper(): values for name, values in COLUMNS.items()}
    assert read(to_bytes(pa.table(renamed | {"note": [[1], [2]]}))) == ROWS


def test_submission_ids_come_along():
    payload = with_columns(submission_id=["s", None])
    rows = read_metrics("f.parquet", payload, metric_date=DAY).rows
    assert rows["submission_id"].to_pylist() == ["s", None]


def test_a_file_without_rows_holds_none():
    assert read(to_bytes(pa.table(COLUMNS).slice(0, 0))) == []


@pytest.mark.parametrize(
    "column",
    [
        pa.array([1.0, 2.0]),
        pa.array([True, False]),
        pa.array([b"1", b"2"]),
        pa.array([[1], [2]]),
        pa.array([1, 2], pa.date32()),
        pa.array([1, 2], pa.timestamp("us")),
        pa.array([1, 2]).cast(pa.decimal128(20, 0)),
        pa.array([1.0, 2.0]).dictionary_encode(),
    ],
    ids=lambda column: str(column.type),
)
def test_a_column_of_another_type_is_unreadable_and_named(column):
    message = complaint(with_columns(clicks=column))
    assert message.startswith("has the column clicks as ")
    assert message.endswith("; it must be text or integer")


def test_a_missing_column_is_named_with_those_that_are_there():
    message = complaint(to_bytes(pa.table({"a": [1], "experiment": ["e"]})))
    assert message == "lacks the column variant_name, impressions, clicks; it has a, experiment"


def test_columns_that_differ_by_case_alone_are_ambiguous():
    assert "experiment more than once" in complaint(with_columns(Experiment=["x", "y"]))
    twice = pa.table([[1], [2]], names=["clicks", "clicks"])
    assert complaint(to_bytes(twice))


def test_a_submission_id_that_cannot_be_text_is_unreadable():
    assert complaint(with_columns(submission_id=[{"a": 1}, None]))


@pytest.mark.parametrize("length", [1, 4, 12, 100, -1, -9, -100])
def test_a_truncated_file_is_unreadable(length):
    assert complaint(with_columns()[:length]).startswith("is not a Parquet file: ")


def test_text_that_is_not_utf8_is_unreadable():
    plain = to_bytes(
        pa.table(COLUMNS | {"experiment": ["eeeeee", "ffffff"]}),
        compression="none",
        use_dictionary=False,
    )
    assert "not UTF-8" in complaint(plain.replace(b"eeeeee", b"e\xff\xfeeee"))


def test_a_column_name_that_is_not_utf8_is_unreadable():
    assert complaint(with_columns().replace(b"clicks", b"click\xff"))


def test_a_csv_with_the_wrong_extension_is_unreadable():
    assert complaint(b"experiment,variant_name,impressions,clicks\n")
