"""Cut a metrics file by the days that it states, one part for each day's folder.

Every value stays as it was received. The run's own reader parses the whole file before it is cut,
so every part can be read by the run.
"""

import csv
import io
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mab_store.errors import UnreadableFileError
from mab_store.files.csv_rows import Records
from mab_store.files.json_rows import unique_object
from mab_store.files.limits import COLUMNS, Limits
from mab_store.files.parsers import read_metrics

DATE_COLUMNS = ("metric_date", "date")
Parts = dict[date, bytes]
TakeDay = Callable[[str | None], date]  # takes a stated day, or None if the file states none


def csv_parts(payload: bytes, *, limits: Limits, take_day: TakeDay) -> Parts:
    """Cut a CSV by its date column, if it has one."""
    read_metrics("x.csv", payload, metric_date=date.min, limits=limits)
    records = Records(payload)
    header = next(records)
    place = _date_column([name.strip().lower() for name in header])
    if place is None:
        return {take_day(None): payload}
    texts: dict[str, io.StringIO] = {}
    for record in records:
        stated = record[place] if place < len(record) else ""
        if stated not in texts:
            texts[stated] = io.StringIO()
            _write_row(texts[stated], header, place)
        _write_row(texts[stated], record, place)
    if not texts:
        raise UnreadableFileError("has no rows")
    return _by_day(((stated, text.getvalue()) for stated, text in texts.items()), take_day)


def parquet_parts(payload: bytes, *, limits: Limits, take_day: TakeDay) -> Parts:
    """Cut a Parquet file by its date column, if it has one; keep the columns that the run reads."""
    read_metrics("x.parquet", payload, metric_date=date.min, limits=limits)
    names = pq.read_schema(pa.BufferReader(payload)).names
    place = _date_column([name.strip().lower() for name in names])
    if place is None:
        return {take_day(None): payload}
    kept = [name for name in names if name.strip().lower() in COLUMNS]
    table = pq.read_table(pa.BufferReader(payload), columns=[*kept, names[place]])
    stated = table.column(names[place]).cast(pa.string())
    table = table.select(kept)
    parts: Parts = {}
    for text in sorted(pc.unique(stated).to_pylist(), key=str):
        buffer = pa.BufferOutputStream()
        pq.write_table(table.filter(pc.equal(stated, text)), buffer)
        parts[take_day(str(text))] = buffer.getvalue().to_pybytes()
    if not parts:
        raise UnreadableFileError("has no rows")
    return parts


def json_parts(payload: bytes, bodies: list[dict[str, Any]], *, take_day: TakeDay) -> Parts:
    """Cut a list of submissions by the date that each states."""
    by_day: dict[date, list[dict[str, Any]]] = defaultdict(list)
    for body in bodies:
        by_day[take_day(str(body["date"]) if "date" in body else None)].append(body)
    if len(by_day) == 1:
        return dict.fromkeys(by_day, payload)
    return {day: json.dumps(part, indent=1).encode() for day, part in sorted(by_day.items())}


def json_bodies(payload: bytes) -> list[dict[str, Any]]:
    """Return the objects of a JSON file, numbers as their text.

    Raises:
        UnreadableFileError: It is not JSON, or neither an object nor a list of them.
    """
    try:
        document = json.loads(
            payload.decode("utf-8-sig"),
            parse_int=str,
            parse_float=str,
            object_pairs_hook=unique_object,
        )
    except UnreadableFileError:
        raise
    except (ValueError, RecursionError) as error:
        raise UnreadableFileError(f"is not JSON: {error}") from None
    bodies = document if isinstance(document, list) else [document]
    if not bodies or not all(isinstance(body, dict) for body in bodies):
        raise UnreadableFileError("is neither an object nor a list of objects")
    return bodies


def csv_rows(payload: bytes) -> Iterator[dict[str, str]]:
    """Yield the rows of a CSV by the names of its columns."""
    records = Records(payload)
    header = distinct_names(next(records))
    for record in records:
        yield dict(zip(header, [*record, *[""] * (len(header) - len(record))], strict=True))


def distinct_names(header: Iterable[str]) -> list[str]:
    """Return the names of columns in lower case.

    Raises:
        UnreadableFileError: A name occurs twice.
    """
    names = [name.strip().lower() for name in header]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise UnreadableFileError(f"has the column {', '.join(repeated)} more than once")
    return names


def _date_column(names: list[str]) -> int | None:
    places = [names.index(name) for name in DATE_COLUMNS if name in names]
    if len(places) > 1:
        raise UnreadableFileError("states days in two columns, metric_date and date; keep one")
    return places[0] if places else None


def _write_row(text: io.StringIO, record: list[str], place: int) -> None:
    csv.writer(text, lineterminator="\n").writerow([*record[:place], *record[place + 1 :]])


def _by_day(texts: Iterable[tuple[str, str]], take_day: TakeDay) -> Parts:
    return {take_day(stated): text.encode() for stated, text in sorted(texts)}
