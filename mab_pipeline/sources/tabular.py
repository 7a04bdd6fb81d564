"""Tables of an export: bytes of a CSV, Excel, Parquet or JSON file as rows of text.

One file may be read in several ways, such as a CSV by each delimiter or a workbook by each sheet;
`columns.py` chooses the one that has the columns. CSV goes through the reader of the inbox: it
knows the line of each row and refuses an open quote, while DuckDB's drops blank lines and fields
beyond the header.
"""

import codecs
import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mab_pipeline.sources.cells import Row, Sheet, counted, number_text, text_of
from mab_pipeline.sources.excel import excel_sheets
from mab_store.errors import UnreadableFileError
from mab_store.files.csv_rows import Records, require_short_lines
from mab_store.files.json_rows import unique_object
from mab_store.files.limits import Limits

EXTENSIONS = (".csv", ".tsv", ".txt", ".xlsx", ".parquet", ".json", ".jsonl", ".ndjson")
DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
ENCODINGS = ("utf-8", "utf-16", "latin-1", "cp1252")
_CHUNK_ROWS = 1 << 13
_BOMS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_TEXT = (".csv", ".tsv", ".txt")
_HINTS = dict.fromkeys((".xls", ".ods", ".xlsm", ".xlsb"), "; save it as .xlsx or .csv")
_HINTS |= dict.fromkeys((".gz", ".zip", ".bz2", ".zst"), "; unpack it first")


@dataclass(frozen=True, slots=True)
class Reading:
    """How to read a file whose bytes do not say it.

    Attributes:
        encoding: Of a text file: one of ENCODINGS; None for UTF-8, or UTF-16 with its mark.
        delimiter: Of a CSV: one of DELIMITERS; None for the one that shows the columns.
        sheet: Of a workbook: the sheet; None for the one that has the columns.
    """

    encoding: str | None = None
    delimiter: str | None = None
    sheet: str | None = None


def sheets_of(name: str, payload: bytes, *, reading: Reading, limits: Limits) -> list[Sheet]:
    """Return each way to read a file.

    Args:
        name: Its name; the extension selects the reader.
        payload: Its bytes.
        reading: How a person said to read it.
        limits: Limits of its content.

    Raises:
        UnreadableFileError: It is none of the files that are read, or empty.
    """
    extension = PurePosixPath(name).suffix.lower()
    if extension not in EXTENSIONS:
        hint = _HINTS.get(extension, "")
        raise UnreadableFileError(
            f"has the extension {extension!r}; {', '.join(EXTENSIONS)} are read{hint}"
        )
    if not payload.strip():
        raise UnreadableFileError("is empty; export it again")
    if extension in _TEXT:
        return _csv_sheets(payload, reading, limits)
    if extension == ".xlsx":
        return excel_sheets(payload, reading.sheet, limits)
    if extension == ".parquet":
        return [Sheet("Parquet", "", lambda: _parquet_rows(payload, limits))]
    return [_json_sheet(payload, reading, limits)]


# Text files


def _counted_csv_rows(text: bytes, delimiter: str, limits: Limits) -> Iterator[Row]:
    return counted(_csv_rows(text, delimiter), limits)


def _csv_sheets(payload: bytes, reading: Reading, limits: Limits) -> list[Sheet]:
    text = decoded(payload, reading.encoding)
    require_short_lines(text)
    chosen = [reading.delimiter] if reading.delimiter else list(DELIMITERS)
    return [
        Sheet(
            f"CSV with {DELIMITERS.get(delimiter, repr(delimiter))}",
            "",
            partial(_counted_csv_rows, text, delimiter, limits),
            is_comma_separated=delimiter == ",",
        )
        for delimiter in chosen
    ]


def _csv_rows(text: bytes, delimiter: str) -> Iterator[Row]:
    records = Records(text, delimiter=delimiter, is_ragged=True)
    try:
        for record in records:
            yield records.line, [value.strip() for value in record]
    except csv.Error as error:
        raise UnreadableFileError(
            f"is not a CSV: {error} in line {records.line}; export it again"
        ) from None


def decoded(payload: bytes, encoding: str | None) -> bytes:
    """Return a text file as UTF-8 without a byte order mark.

    Args:
        payload: The file.
        encoding: Its encoding; None for UTF-8, or UTF-16 if it begins with that mark.

    Raises:
        UnreadableFileError: It has another encoding; says where and what to do.
    """
    named = encoding or ("utf-16" if payload.startswith(_BOMS) else "utf-8")
    if encoding is None and named == "utf-8" and b"\0" in payload[:200]:
        raise UnreadableFileError(
            "holds NUL bytes: it is UTF-16 without its mark, or no text; give --encoding utf-16"
        )
    try:
        text = payload.decode("utf-8-sig" if named == "utf-8" else named)
    except UnicodeDecodeError as error:
        hint = (
            "save it as UTF-8, or give --encoding latin-1 if it is Latin-1"
            if encoding is None
            else f"it is not {encoding}; give another --encoding"
        )
        raise UnreadableFileError(f"is not {named.upper()} at byte {error.start}; {hint}") from None
    if "\0" in text:
        raise UnreadableFileError(
            f"holds a NUL character at offset {text.index(chr(0))}; export it again as UTF-8 text"
        )
    # Files that were joined have a mark at the start of each; inside a text it has no meaning.
    return text.replace("\ufeff", "").encode()


# Parquet and JSON


def _parquet_rows(payload: bytes, limits: Limits) -> Iterator[Row]:
    try:
        file = pq.ParquetFile(pa.BufferReader(payload))
        names = file.schema_arrow.names
        limits.check(rows=file.metadata.num_rows, text_bytes=0)
        yield from counted(_parquet_records(file, names), limits)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise UnreadableFileError(f"is not a Parquet file: {error}; write it again") from None


def _parquet_records(file: "pq.ParquetFile", names: list[str]) -> Iterator[Row]:
    yield 0, names
    number = 0
    for batch in file.iter_batches(_CHUNK_ROWS, use_threads=False):
        columns = [column.to_pylist() for column in batch.columns]
        for values in zip(*columns, strict=True):
            number += 1
            yield number, list(map(text_of, values))


def _json_sheet(payload: bytes, reading: Reading, limits: Limits) -> Sheet:
    text = decoded(payload, reading.encoding).decode()
    records = _json_records(text)
    names = list(dict.fromkeys(name for record in records for name in record))

    def rows() -> Iterator[Row]:
        yield 0, names
        for number, record in enumerate(records, start=1):
            yield number, [text_of(record.get(name)) for name in names]

    return Sheet("JSON", "", lambda: counted(rows(), limits))


def _json_records(text: str) -> list[dict[str, object]]:
    """Return the objects of a JSON list, of an object's only list, or one object per line."""
    try:
        document = _parsed(text)
    except ValueError as error:
        try:
            document = [_parsed(line) for line in text.splitlines() if line.strip()]
        except ValueError:
            raise UnreadableFileError(f"is not JSON: {error}; export it again") from None
    except RecursionError:
        raise UnreadableFileError("is not usable JSON: it is nested too deeply") from None
    if isinstance(document, dict) and {"dimensionHeaders", "metricHeaders"} <= document.keys():
        document = _analytics_report(document)
    if isinstance(document, dict):
        lists = [value for value in document.values() if isinstance(value, list)]
        document = lists[0] if len(lists) == 1 else [document]
    if not isinstance(document, list) or not all(isinstance(row, dict) for row in document):
        raise UnreadableFileError(
            "is JSON, but no list of objects; write one object with its columns per row"
        )
    return document


def _analytics_report(report: dict[str, Any]) -> list[dict[str, object]]:
    """Return the rows of a report as the Google Analytics Data API answers it."""
    try:
        names = [h["name"] for h in (*report["dimensionHeaders"], *report["metricHeaders"])]
        return [
            dict(
                zip(
                    names,
                    [v["value"] for v in (*row["dimensionValues"], *row["metricValues"])],
                    strict=True,
                )
            )
            for row in report.get("rows", [])
        ]
    except (KeyError, TypeError, ValueError):
        raise UnreadableFileError(
            "is no complete report of the Google Analytics Data API; export it again"
        ) from None


def _parsed(text: str) -> object:
    return json.loads(
        text,
        parse_int=str,
        parse_float=number_text,
        parse_constant=str,
        object_pairs_hook=unique_object,
    )
