"""Tables of an export: bytes of a CSV, Excel, Parquet or JSON file as rows of text.

One file may be read in several ways, such as a CSV by each delimiter or a workbook by each sheet;
`columns.py` chooses the one that has the columns. CSV goes through the reader of the inbox: it
knows the line of each row and refuses an open quote, while DuckDB's drops blank lines and fields
beyond the header. Excel is streamed row by row, since a cell far away from the others makes a
reader of whole sheets reserve memory for all cells between them.
"""

import codecs
import csv
import io
import json
import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, time
from pathlib import PurePosixPath
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from openpyxl import load_workbook

from mab_store.errors import UnreadableFileError
from mab_store.files.csv_rows import MOST_COLUMNS, Records, require_short_lines
from mab_store.files.json_rows import cell, unique_object
from mab_store.files.limits import TEXT_PER_FILE_BYTE, Limits

EXTENSIONS = (".csv", ".tsv", ".txt", ".xlsx", ".parquet", ".json", ".jsonl", ".ndjson")
DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
ENCODINGS = ("utf-8", "utf-16", "latin-1", "cp1252")
_CHUNK_ROWS = 1 << 13
_BOMS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_TEXT = (".csv", ".tsv", ".txt")

Row = tuple[int, list[str]]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Sheet:
    """One way to read a file.

    Attributes:
        kind: The way, in words, such as `CSV with semicolons`.
        name: Name of the sheet of a workbook; empty for other files.
        is_comma_separated: Whether it is a CSV with commas, whose counts have no decimal commas.
        rows: Begins to read: yields the number of each row that is not blank, from 1, and its
            cells as text. Raises UnreadableFileError if a row cannot be read.
    """

    kind: str
    name: str
    rows: Callable[[], Iterator[Row]]
    is_comma_separated: bool = False


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
        hint = "; save it as .xlsx or .csv" if extension in {".xls", ".ods", ".xlsm"} else ""
        raise UnreadableFileError(
            f"has the extension {extension!r}; {', '.join(EXTENSIONS)} are read{hint}"
        )
    if not payload.strip():
        raise UnreadableFileError("is empty; export it again")
    if extension in _TEXT:
        return _csv_sheets(payload, reading, limits)
    if extension == ".xlsx":
        return _excel_sheets(payload, reading, limits)
    if extension == ".parquet":
        return [Sheet("Parquet", "", lambda: _parquet_rows(payload, limits))]
    return [_json_sheet(payload, reading, limits)]


def _counted(rows: Iterator[Row], limits: Limits) -> Iterator[Row]:
    """Pass rows on, without blank ones, until there are too many or one is too wide."""
    text_bytes = 0
    for count, (number, cells) in enumerate(rows, start=1):
        text_bytes += sum(map(len, cells))
        limits.check(rows=count, text_bytes=text_bytes)
        if len(cells) > MOST_COLUMNS:
            raise UnreadableFileError(
                f"has {len(cells)} columns in row {number}; at most {MOST_COLUMNS} are read"
            )
        if any(cells):
            yield number, cells


# Text files


def _csv_sheets(payload: bytes, reading: Reading, limits: Limits) -> list[Sheet]:
    text = decoded(payload, reading.encoding)
    require_short_lines(text)
    chosen = [reading.delimiter] if reading.delimiter else list(DELIMITERS)
    return [
        Sheet(
            f"CSV with {DELIMITERS.get(delimiter, repr(delimiter))}",
            "",
            lambda delimiter=delimiter: _counted(_csv_rows(text, delimiter), limits),  # type: ignore[misc]
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
    return text.encode()


# Excel


def _excel_sheets(payload: bytes, reading: Reading, limits: Limits) -> list[Sheet]:
    try:
        with zipfile.ZipFile(io.BytesIO(payload)) as archive:
            size = sum(part.file_size for part in archive.infolist())
            is_locked = any(part.flag_bits & 1 for part in archive.infolist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        raise UnreadableFileError(
            "is not an .xlsx workbook, or has a password; save it as .xlsx without one"
        ) from None
    if is_locked:
        raise UnreadableFileError("has a password; save it without one")
    most = limits.max_text_bytes * TEXT_PER_FILE_BYTE  # its XML says little with many characters
    if size > most:
        raise UnreadableFileError(
            f"unpacks to {size >> 20} MB; at most {most >> 20} MB are read. Save it as several "
            "files"
        )
    names = _with_excel(lambda: _open_workbook(payload).sheetnames)
    if reading.sheet is not None and reading.sheet not in names:
        raise UnreadableFileError(
            f"has no sheet {reading.sheet!r}; it has {', '.join(map(repr, names))}"
        )
    chosen = [reading.sheet] if reading.sheet is not None else names
    return [
        Sheet(f"Excel, sheet {name!r}", name, lambda name=name: _excel_rows(payload, name, limits))  # type: ignore[misc]
        for name in chosen
    ]


def _open_workbook(payload: bytes) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about styles and drawings, which are not read
        return load_workbook(io.BytesIO(payload), read_only=True, data_only=True)


def _with_excel(work: Callable[[], T]) -> T:
    """Run a step of the Excel reader; whatever the workbook makes it raise is one error."""
    try:
        return work()
    except UnreadableFileError:
        raise
    except Exception as error:  # noqa: BLE001  # a damaged part makes it raise anything
        raise UnreadableFileError(
            f"is not a usable .xlsx workbook ({error}); open it in Excel and save it again"
        ) from None


def _excel_rows(payload: bytes, name: str, limits: Limits) -> Iterator[Row]:
    sheet = _with_excel(lambda: _open_workbook(payload)[name])
    if not hasattr(sheet, "reset_dimensions"):
        return  # a sheet that holds only a chart
    sheet.reset_dimensions()  # the size that a workbook states is often wrong
    rows = iter(sheet.iter_rows(values_only=True))
    numbered = enumerate(iter(lambda: _with_excel(lambda: next(rows, None)), None), start=1)
    yield from _counted(((number, list(map(_text, cells))) for number, cells in numbered), limits)


# Parquet and JSON


def _parquet_rows(payload: bytes, limits: Limits) -> Iterator[Row]:
    try:
        file = pq.ParquetFile(pa.BufferReader(payload))
        names = file.schema_arrow.names
        limits.check(rows=file.metadata.num_rows, text_bytes=0)
        yield from _counted(_parquet_records(file, names), limits)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise UnreadableFileError(f"is not a Parquet file: {error}; write it again") from None


def _parquet_records(file: "pq.ParquetFile", names: list[str]) -> Iterator[Row]:
    yield 0, names
    number = 0
    for batch in file.iter_batches(_CHUNK_ROWS, use_threads=False):
        columns = [column.to_pylist() for column in batch.columns]
        for values in zip(*columns, strict=True):
            number += 1
            yield number, list(map(_text, values))


def _json_sheet(payload: bytes, reading: Reading, limits: Limits) -> Sheet:
    text = decoded(payload, reading.encoding).decode()
    records = _json_records(text)
    names = list(dict.fromkeys(name for record in records for name in record))

    def rows() -> Iterator[Row]:
        yield 0, names
        for number, record in enumerate(records, start=1):
            yield number, [_text(record.get(name)) for name in names]

    return Sheet("JSON", "", lambda: _counted(rows(), limits))


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
    if isinstance(document, dict):
        lists = [value for value in document.values() if isinstance(value, list)]
        document = lists[0] if len(lists) == 1 else [document]
    if not isinstance(document, list) or not all(isinstance(row, dict) for row in document):
        raise UnreadableFileError(
            "is JSON, but no list of objects; write one object with its columns per row"
        )
    return document


def _parsed(text: str) -> object:
    return json.loads(
        text,
        parse_int=str,
        parse_float=_number,
        parse_constant=str,
        object_pairs_hook=unique_object,
    )


def _text(value: object) -> str:
    """Return a cell as text: dates as ISO, whole numbers without a decimal point."""
    if isinstance(value, datetime):
        is_day = value.time() == time() and value.tzinfo is None
        return value.date().isoformat() if is_day else value.isoformat(sep=" ")
    if isinstance(value, float):
        return _number(repr(value))
    text = "" if value is None else value if isinstance(value, str) else str(value)
    return (cell(text) or "").strip()


def _number(text: str) -> str:
    """Return a typed number as text that no rule about thousands and decimals can misread."""
    try:
        number = float(text)
    except ValueError:
        return text
    if number.is_integer() and abs(number) < 2**53:
        return str(int(number))
    return f"{text}0" if "." in text and "e" not in text.lower() else text
