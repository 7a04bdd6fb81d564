"""JSON rows: walk through `[{"experiment": …, "metrics": [{…}, …]}, …]`, one row at a time.

`json.loads` turns a whole file into objects: 64 MB of `{}` become 2 GB. Here the standard library's
parser sees one row, one key or one value at a time, and each has a size limit.
"""

import codecs
import json
import re
from collections.abc import Iterator
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mab_store.errors import UnreadableFileError
from mab_store.files.limits import COLUMNS, RowCollector

MOST_CHARACTERS = 10_000
MOST_IN_A_VALUE = 1 << 20
MOST_KEYS = 1_000
_CHUNK_BYTES = 1 << 20
_CHUNK_ROWS = 1 << 16
_SPACE = re.compile(r"[ \t\n\r]*")
_USED = ("experiment", "experiment_id", "submission_id", "date")
_COUNTED = ("variant_name", "impressions", "clicks")


def read_submissions(payload: bytes, rows: RowCollector, *, metric_date: date) -> None:
    """Collect the rows of a file's submissions.

    Args:
        payload: The file; it is UTF-8.
        rows: Collects them.
        metric_date: Day that its folder names.

    Raises:
        UnreadableFileError: It is not JSON, has another shape, or exceeds a limit.
    """
    text = _Text(payload)
    pending = _Pending(rows)
    if text.peek() != "[":
        _read_submission(text, pending, number=1, metric_date=metric_date, is_last=True)
    else:
        for number, _ in enumerate(text.elements("[", "]"), start=1):
            _read_submission(text, pending, number=number, metric_date=metric_date)
        text.end()
    pending.finish()


def cell(value: object) -> str | None:
    """Return the text that is stored for a value."""
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value)
    if len(text) > MOST_CHARACTERS:
        text = f"{text[:MOST_CHARACTERS]} [cut: {len(text)} characters were received]"
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode()  # a lone surrogate has no UTF-8


def _read_submission(
    text: "_Text", pending: "_Pending", *, number: int, metric_date: date, is_last: bool = False
) -> None:
    fields, has_metrics = _read_fields(text, pending, number)
    if is_last:
        text.end()  # before it is judged: the file may be cut short
    if not has_metrics:
        raise UnreadableFileError(f"submission {number} is not an object with a list `metrics`")
    stated = fields.get("date", str(metric_date))
    if stated != str(metric_date):
        raise UnreadableFileError(
            f"submission {number} is for {stated!r} but is in the folder of {metric_date}"
        )
    experiment = fields.get("experiment_id", fields.get("experiment"))
    pending.settle(cell(experiment), cell(fields.get("submission_id")))


def _read_fields(text: "_Text", pending: "_Pending", number: int) -> tuple[dict[str, Any], bool]:
    """Collect a submission's rows; return its other fields, and whether it has a list of rows."""
    fields: dict[str, Any] = {}
    has_metrics = False
    if text.peek() != "{":
        text.value()
        return fields, False
    for key in text.members():
        if key in fields:
            raise _named_twice(key)
        if len(fields) >= MOST_KEYS:
            raise UnreadableFileError(f"submission {number} has more than {MOST_KEYS} keys")
        fields[key] = None
        if key == "metrics" and text.peek() == "[":
            has_metrics = True
            _read_metrics(text, pending, number=number)
        else:
            value = text.value()
            fields[key] = value if key in _USED else None
    return fields, has_metrics


def _read_metrics(text: "_Text", pending: "_Pending", *, number: int) -> None:
    for _ in text.elements("[", "]"):
        row = text.value()
        if not isinstance(row, dict):
            raise UnreadableFileError(f"submission {number} has a metric that is not an object")
        pending.add(row)


class _Pending:
    """Rows that are not yet arrays, or whose experiment the file names only after them."""

    def __init__(self, rows: RowCollector) -> None:
        self._rows = rows
        self._settled: list[list[str | None]] = [[] for _ in COLUMNS]
        self._open: list[list[str | None]] = [[] for _ in COLUMNS]  # of one submission
        self._is_own: list[bool] = []  # whether the row itself names its experiment
        self._open_chunks: list[tuple[pa.Array, list[pa.Array]]] = []

    def add(self, row: dict[str, Any]) -> None:
        """Add a row; `settle` completes its submission later."""
        own = "experiment_id" if "experiment_id" in row else "experiment"
        texts = [cell(row.get(name)) for name in (own, *_COUNTED)]
        self._rows.reserve(rows=1, text_bytes=sum(map(_size, texts)))
        for column, text in zip(self._open, (*texts, None), strict=True):
            column.append(text)
        self._is_own.append(own in row)
        if len(self._is_own) >= _CHUNK_ROWS:
            self._open_chunks.append((pa.array(self._is_own), _arrays(self._open)))
            self._clear_open()

    def settle(self, experiment: str | None, submission_id: str | None) -> None:
        """Set the submission's experiment and id on its rows."""
        for is_own, columns in self._open_chunks:
            self._reserve(is_own.to_pylist(), experiment, submission_id)
            columns[0] = pc.if_else(is_own, columns[0], pa.scalar(experiment, pa.string()))
            columns[-1] = pa.repeat(pa.scalar(submission_id, pa.string()), len(is_own))
            self._rows.add(columns)
        self._open_chunks = []
        self._reserve(self._is_own, experiment, submission_id)
        named = zip(self._open[0], self._is_own, strict=True)
        self._open[0] = [text if is_own else experiment for text, is_own in named]
        self._open[-1] = [submission_id] * len(self._is_own)
        for column, texts in zip(self._settled, self._open, strict=True):
            column.extend(texts)
        self._clear_open()
        if len(self._settled[0]) >= _CHUNK_ROWS:
            self.finish()

    def finish(self) -> None:
        """Pass the settled rows on."""
        self._rows.add(_arrays(self._settled))
        self._settled = [[] for _ in COLUMNS]

    def _reserve(self, is_own: list[bool], experiment: str | None, submission: str | None) -> None:
        size = _size(experiment) * is_own.count(False) + _size(submission) * len(is_own)
        self._rows.reserve(rows=0, text_bytes=size)

    def _clear_open(self) -> None:
        self._open = [[] for _ in COLUMNS]
        self._is_own = []


class _Text:
    """A JSON text that is decoded in chunks, with a current position.

    The decoded text ahead of the position is longer than the longest value, or reaches the end.
    """

    def __init__(self, payload: bytes) -> None:
        self._payload = memoryview(payload)
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._decoded = 0
        self._passed = 0  # characters that were discarded
        self._text = ""
        self._at = 0

    def peek(self) -> str:
        """Return the next character that is not white space; an empty text at the end."""
        while True:
            self._fill()
            match = _SPACE.match(self._text, self._at)
            self._at = match.end() if match else self._at
            if self._at < len(self._text) or self._is_whole:
                return self._text[self._at : self._at + 1]

    def value(self) -> Any:
        """Return the next value, numbers as their text."""
        self.peek()
        try:
            value, end = _DECODER.raw_decode(self._text, self._at)
        except json.JSONDecodeError as error:
            is_cut = error.msg.startswith("Unterminated") or error.pos >= len(self._text) - 8
            if is_cut and not self._is_whole:
                raise self._too_long() from None
            raise self._not_json(error.msg, error.pos) from None
        if end - self._at > MOST_IN_A_VALUE:
            raise self._too_long()
        self._at = end
        return value

    def elements(self, opening: str, closing: str) -> Iterator[None]:
        """Walk through a list or an object; yield before each element for the caller to read it."""
        self._take(opening)
        if self.peek() == closing:
            self._at += 1
            return
        while True:
            yield
            if self.peek() == closing:
                self._at += 1
                return
            self._take(",")

    def members(self) -> Iterator[str]:
        """Walk through an object: yield each key; the caller reads its value next."""
        for _ in self.elements("{", "}"):
            if self.peek() != '"':
                raise self._not_json("Expecting property name enclosed in double quotes", self._at)
            key: str = self.value()
            self._take(":")
            yield key

    def end(self) -> None:
        """Refuse any further text."""
        if self.peek():
            raise self._not_json("Extra data", self._at)

    @property
    def _is_whole(self) -> bool:
        return self._decoded >= len(self._payload)

    def _fill(self) -> None:
        while len(self._text) - self._at <= MOST_IN_A_VALUE and not self._is_whole:
            chunk = self._payload[self._decoded : self._decoded + _CHUNK_BYTES]
            self._decoded += len(chunk)
            self._passed += self._at
            self._text = self._text[self._at :] + self._decoder.decode(chunk, final=self._is_whole)
            self._at = 0

    def _take(self, character: str) -> None:
        if self.peek() != character:
            raise self._not_json(f"Expecting {character!r} delimiter", self._at)
        self._at += 1

    def _not_json(self, reason: str, place: int) -> UnreadableFileError:
        return UnreadableFileError(f"is not JSON: {reason} at character {self._passed + place}")

    def _too_long(self) -> UnreadableFileError:
        return UnreadableFileError(
            f"has a row or a value of more than {MOST_IN_A_VALUE} characters, at character "
            f"{self._passed + self._at}"
        )


def _arrays(columns: list[list[str | None]]) -> list[pa.Array]:
    return [pa.array(texts, pa.string()) for texts in columns]


def _size(text: str | None) -> int:
    """Return the UTF-8 bytes of a text."""
    if text is None:
        return 0
    return len(text) if text.isascii() else len(text.encode())


def unique_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse an object that names a key twice, since its meaning is ambiguous."""
    result = dict(pairs)
    if len(result) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _named_twice(key)
            seen.add(key)
    return result


def _named_twice(key: str) -> UnreadableFileError:
    return UnreadableFileError(f"names the key {key[:100]!r} twice in one object")


_DECODER = json.JSONDecoder(
    parse_int=str, parse_float=str, parse_constant=str, object_pairs_hook=unique_object
)
