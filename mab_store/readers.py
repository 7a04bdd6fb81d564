"""Readers: turn a metrics file of any accepted form into rows of text.

What belongs here: parsing JSON, CSV and Parquet. What does not: judging values. A count stays the
text that was received until SQL proves it to be an integer; a file that cannot be parsed raises
`UnreadableFileError`, whose message goes into the quarantine.
"""

import csv
import io
import json
from collections.abc import Callable, Iterable
from datetime import date
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mab_store.errors import UnreadableFileError

COLUMNS = ("experiment", "variant_name", "impressions", "clicks")
# A VARCHAR of Snowflake ends at 16 MB; no name and no count of ours comes near this.
MOST_CHARACTERS = 10_000


class MetricsFile(NamedTuple):
    """A parsed file.

    Attributes:
        rows: One row per row received; columns `experiment`, `variant_name`, `impressions`,
            `clicks` and `submission_id`, all text or null; a text of more than 10,000 characters
            is cut and says so, which neither a name nor a count survives.
    """

    rows: pd.DataFrame


def read_metrics(source_file: str, payload: bytes, *, metric_date: date) -> MetricsFile:
    """Parse a metrics file by its extension.

    Args:
        source_file: Its name; the extension says how to parse it.
        payload: Its bytes.
        metric_date: Day that its folder names.

    Raises:
        UnreadableFileError: The file cannot be parsed; says where and why.
    """
    extension = PurePosixPath(source_file).suffix.lower()
    if extension not in _READERS:
        raise UnreadableFileError(
            f"has the extension {extension!r}; .json, .csv and .parquet are read"
        )
    if not payload:
        raise UnreadableFileError("is empty")
    try:
        return _READERS[extension](payload, metric_date)
    except RecursionError:
        raise UnreadableFileError("is not JSON of ours: it is nested too deeply") from None


def _read_csv(payload: bytes, _metric_date: date) -> MetricsFile:
    text = _decode(payload)
    try:
        first_row: list[str] = next(csv.reader(io.StringIO(text, newline="")), [])
    except csv.Error as error:
        raise UnreadableFileError(f"is not a CSV: {error}") from None
    header = [name.strip().lower() for name in first_row]
    _require_columns(header)
    try:
        frame = pd.read_csv(
            io.StringIO(text, newline=""), dtype=str, keep_default_na=False, names=header, header=0
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError) as error:
        raise UnreadableFileError(f"is not a CSV: {str(error).strip()}") from None
    if not isinstance(frame.index, pd.RangeIndex):  # pandas takes surplus fields for an index
        raise UnreadableFileError("has rows with more fields than the header")
    return MetricsFile(_text_frame(frame))


def _read_parquet(payload: bytes, _metric_date: date) -> MetricsFile:
    try:
        table = pq.read_table(pa.BufferReader(payload))
        table = table.rename_columns([name.strip().lower() for name in table.column_names])
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise UnreadableFileError(f"is not a Parquet file: {error}") from None
    _require_columns(table.column_names)
    for name in COLUMNS:
        kind = table.schema.field(name).type
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        if not (pa.types.is_integer(kind) or _is_text(kind) or pa.types.is_null(kind)):
            raise UnreadableFileError(f"has the column {name} as {kind}; text or integer is read")
    wanted = [name for name in (*COLUMNS, "submission_id") if name in table.column_names]
    try:
        columns = {name: table.column(name).cast(pa.string()).to_pylist() for name in wanted}
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise UnreadableFileError(f"holds text that is not UTF-8: {error}") from None
    return MetricsFile(_text_frame(pd.DataFrame(columns, dtype=object)))


def _read_json(payload: bytes, metric_date: date) -> MetricsFile:
    try:
        document = json.loads(
            _decode(payload),
            parse_int=str,
            parse_float=str,
            parse_constant=str,
            object_pairs_hook=_object,
        )
    except json.JSONDecodeError as error:
        raise UnreadableFileError(f"is not JSON: {error}") from None
    submissions = document if isinstance(document, list) else [document]
    rows: list[dict[str, Any]] = []
    for number, submission in enumerate(submissions, start=1):
        rows += _submission_rows(submission, number=number, metric_date=metric_date)
    frame = pd.DataFrame(rows, columns=[*COLUMNS, "submission_id"], dtype=object)
    return MetricsFile(_text_frame(frame))


_READERS: dict[str, Callable[[bytes, date], MetricsFile]] = {
    ".csv": _read_csv,
    ".json": _read_json,
    ".parquet": _read_parquet,
}


def _submission_rows(
    submission: object, *, number: int, metric_date: date
) -> Iterable[dict[str, Any]]:
    """Return the rows of one submission: `{experiment, date?, metrics: [...]}`."""
    if not isinstance(submission, dict) or not isinstance(submission.get("metrics"), list):
        raise UnreadableFileError(f"submission {number} is not an object with a list `metrics`")
    stated = submission.get("date", str(metric_date))
    if stated != str(metric_date):
        raise UnreadableFileError(
            f"submission {number} is for {stated!r} but lies in the folder of {metric_date}"
        )
    experiment = submission.get("experiment_id", submission.get("experiment"))
    for row in submission["metrics"]:
        if not isinstance(row, dict):
            raise UnreadableFileError(f"submission {number} has a metric that is not an object")
        yield {
            "experiment": row.get("experiment_id", row.get("experiment", experiment)),
            "variant_name": row.get("variant_name"),
            "impressions": row.get("impressions"),
            "clicks": row.get("clicks"),
            "submission_id": submission.get("submission_id"),
        }


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse an object that names a key twice: no reading of it is the right one."""
    result = dict(pairs)
    if len(result) < len(pairs):
        twice = next(key for key, _ in pairs if sum(key == other for other, _ in pairs) > 1)
        raise UnreadableFileError(f"names the key {twice!r} twice in one object")
    return result


def _decode(payload: bytes) -> str:
    try:
        text = payload.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableFileError(
            f"is not UTF-8: byte 0x{payload[error.start]:02X} at offset {error.start}"
        ) from None
    if "\0" in text:
        raise UnreadableFileError(f"holds a NUL byte at offset {payload.index(0)}")
    return text


def _require_columns(header: Iterable[str]) -> None:
    names = list(header)
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        raise UnreadableFileError(
            f"lacks the column {', '.join(missing)}; it has {', '.join(names) or 'none'}"
        )
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise UnreadableFileError(f"has the column {', '.join(repeated)} more than once")


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def _text_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the five columns as text or None, whatever the parser made of them."""
    columns = {}
    for name in (*COLUMNS, "submission_id"):
        values = frame[name] if name in frame.columns else [None] * len(frame)
        columns[name] = [_text(value) for value in values]
    return pd.DataFrame(columns, dtype=object)


def _text(value: object) -> str | None:
    if value is None or (isinstance(value, float) and value != value):  # noqa: PLR0124  # NaN
        return None
    text = value if isinstance(value, str) else json.dumps(value)
    if len(text) > MOST_CHARACTERS:
        text = f"{text[:MOST_CHARACTERS]} [cut: {len(text)} characters were received]"
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode()  # a lone surrogate has no UTF-8
