"""Put files of any accepted form into the inbox, each as a whole or not at all.

A file that cannot be parsed is refused here, while a person is there to see it. `ingest_parts.py`
cuts a file by its days, `ingest_verdicts.py` judges its rows.
"""

import csv
import hashlib
import json
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from mab_pipeline.operations.ingest_parts import (
    Parts,
    csv_parts,
    csv_rows,
    distinct_names,
    json_bodies,
    json_parts,
    parquet_parts,
)
from mab_pipeline.operations.ingest_verdicts import Rejections, rejections
from mab_store.errors import FileInInboxError, InboxError, UnreadableFileError
from mab_store.experiments.events import is_registration, validation_faults
from mab_store.experiments.registration import change, register
from mab_store.experiments.schemas import ChangeSpec, ExperimentId, ExperimentSpec, experiment_id_of
from mab_store.files.csv_rows import Records
from mab_store.files.inbox import Inbox, Receiver, parse_day
from mab_store.files.inbox_file import InboxFile
from mab_store.files.parsers import read_metrics
from mab_store.files.staged_inbox import StagedInbox

MOST_STEM_BYTES = 150
ATTEMPTS = 5


@dataclass(slots=True)
class Ingested:
    """The outcome for a file.

    Attributes:
        added: Files added to the inbox, or experiments registered.
        unchanged: Files and experiments that existed already.
    """

    added: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)


Report = Callable[[list[Rejections]], None]


def _report_nothing(_found: list[Rejections]) -> None:
    return


@dataclass(frozen=True, slots=True)
class Intake:
    """The inbox, and the days that it takes.

    Attributes:
        inbox: The inbox.
        first_day: MAB_START_DATE.
        now: The time, as naive UTC; no day after it is taken.
        day: Day of files that do not state one.
    """

    inbox: Inbox
    first_day: date
    now: datetime
    day: date | None = None

    def add(self, path: Path, *, report: Report = _report_nothing) -> Ingested:
        """Put one file into the inbox, all of it or nothing.

        If the process is killed while the days of a file get their names, ingesting the file again
        adds the missing days.

        Args:
            path: The file.
            report: Receives the rows that the run will reject, before anything is stored.

        Raises:
            InboxError: The file cannot be read or parsed, or states something impossible; nothing
                of it was added.
            ConflictError: It registers a name that is taken.
        """
        try:
            payload = self._read(path)
            return _KINDS.get(path.suffix.lower(), _unknown)(self, path, payload, report)
        except UnreadableFileError as error:
            raise InboxError(f"{path} {error}. Nothing of it was added.") from None
        except csv.Error as error:
            raise InboxError(f"{path} is not a CSV: {error}. Nothing of it was added.") from None
        except OSError as error:
            raise InboxError(f"{path} cannot be read: {error.strerror}.") from None

    def take_day(self, text: str | None) -> date:
        """Return a stated day, or the day of `--date` if the file does not state one."""
        if text is None:
            if self.day is None:
                raise UnreadableFileError("does not state its day; give --date, or a column `date`")
            return self.day
        day = parse_day(text)
        if day is None:
            raise UnreadableFileError(f"states the date {text!r}; dates are written YYYY-MM-DD")
        if day < self.first_day:
            raise UnreadableFileError(
                f"states the date {day}, before MAB_START_DATE={self.first_day}"
            )
        if day > self.now.date():
            raise UnreadableFileError(f"states the date {day}, which is in the future")
        return day

    def add_metrics(self, path: Path, parts: Parts, report: Report) -> Ingested:
        """Add the days of a file, named by content: the same file twice is one file."""
        named: dict[str, bytes] = {}
        rows: dict[str, tuple[date, pa.Table]] = {}
        for day, payload in parts.items():
            extension = path.suffix.lower()
            digest = hashlib.sha256(payload).hexdigest()[:12]
            name = f"metrics/{day}/{_stem(path)}-{digest}{extension}"
            limits = self.inbox.limits
            parsed = read_metrics(f"x{extension}", payload, metric_date=day, limits=limits)
            named[name], rows[name] = payload, (day, parsed.rows)
        if found := rejections(self.inbox, rows, now=self.now):
            report(found)
        for _ in range(ATTEMPTS):
            waiting = {name: payload for name, payload in named.items() if not self._holds(name)}
            try:
                if waiting:
                    receiver = Receiver("mab ingest", self.now)
                    self.inbox.write_all(waiting, receiver=receiver)
            except FileInInboxError:
                continue  # another process adds the same file at this moment
            self._require_same({name: named[name] for name in named.keys() - waiting.keys()})
            return Ingested(list(waiting), [name for name in named if name not in waiting])
        raise InboxError(f"Other processes keep adding {path}; try again.")

    def _read(self, path: Path) -> bytes:
        """Read a file, unless it is larger than the run accepts."""
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableFileError("is not a regular file")
        if status.st_size > self.inbox.max_file_bytes:
            raise UnreadableFileError(
                f"has {status.st_size} bytes; INBOX_MAX_FILE_MB allows "
                f"{self.inbox.max_file_bytes >> 20} MB. Hand it in as several files"
            )
        return path.read_bytes()

    def _holds(self, name: str) -> bool:
        return (self.inbox.root / name).exists()

    def _require_same(self, held: dict[str, bytes]) -> None:
        """Check that a file was not changed in the inbox since it was added."""
        for name, payload in held.items():
            content = self.inbox.read(InboxFile(self.inbox.root / name, name))
            if content.sha256 != hashlib.sha256(payload).hexdigest():
                raise InboxError(
                    f"{name} is in the inbox with other content: it was changed there. "
                    "Hand the counts in under another file name."
                )


def _add_csv(intake: Intake, path: Path, payload: bytes, report: Report) -> Ingested:
    header = next(Records(_utf8(payload)), [])
    if "is_control" in [name.strip().lower() for name in header]:
        return _register_rows(intake, list(csv_rows(payload)))
    limits = intake.inbox.limits
    parts = csv_parts(payload, limits=limits, take_day=intake.take_day)
    return intake.add_metrics(path, parts, report)


def _add_parquet(intake: Intake, path: Path, payload: bytes, report: Report) -> Ingested:
    try:
        schema = pq.read_schema(pa.BufferReader(payload))
        if "is_control" in [name.strip().lower() for name in schema.names]:
            names = distinct_names(schema.names)
            table = pq.read_table(pa.BufferReader(payload)).rename_columns(names)
            return _register_rows(intake, table.to_pylist())
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise UnreadableFileError(f"is not a Parquet file: {error}") from None
    limits = intake.inbox.limits
    parts = parquet_parts(payload, limits=limits, take_day=intake.take_day)
    return intake.add_metrics(path, parts, report)


def _add_json(intake: Intake, path: Path, payload: bytes, report: Report) -> Ingested:
    bodies = json_bodies(payload)
    if any("metrics" in body for body in bodies):
        parts = json_parts(payload, bodies, take_day=intake.take_day)
        return intake.add_metrics(path, parts, report)
    document = json.loads(payload.decode("utf-8-sig"))
    return _add_experiments(intake, document if isinstance(document, list) else [document])


def _register_rows(intake: Intake, rows: list[dict[str, Any]]) -> Ingested:
    """Register experiments from rows of (name, variant_name, is_control[, description, ...])."""
    missing = sorted({"name", "variant_name"} - set(rows[0] if rows else ()))
    if missing:
        raise UnreadableFileError(f"has a column is_control but lacks {', '.join(missing)}")
    by_name: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_name.setdefault(row["name"], []).append(row)
    bodies = []
    for name, group in by_name.items():
        body: dict[str, Any] = {
            "name": name,
            "variants": [
                {"name": row["variant_name"], "is_control": row["is_control"]} for row in group
            ],
        }
        body |= {key: group[0][key] for key in ("description", "start_date") if group[0].get(key)}
        bodies.append(body)
    return _add_experiments(intake, bodies)


def _add_experiments(intake: Intake, bodies: list[dict[str, Any]]) -> Ingested:
    """Register or change all experiments of a file, or none."""
    events = [_event(body) for body in bodies]
    for _ in range(ATTEMPTS):
        staged = StagedInbox(intake.inbox)
        result = Ingested()
        for event in events:
            name, is_new = _stage(staged, event, now=intake.now)
            (result.added if is_new else result.unchanged).append(name)
        try:
            staged.commit()
        except FileInInboxError:
            continue  # another process registered or changed one at this moment
        return result
    raise InboxError("Other processes keep changing these experiments; try again.")


def _stage(
    inbox: Inbox, event: "ExperimentSpec | _NamedChange", *, now: datetime
) -> tuple[str, bool]:
    if isinstance(event, _NamedChange):
        spec = ChangeSpec(**event.model_dump(exclude={"experiment_id"}))
        made = change(inbox, event.experiment_id, spec, now=now)
        return made.source_file, made.is_new
    held, is_new = register(inbox, event, now=now)
    return f"{event.name} ({held.experiment_id})", is_new


class _NamedChange(ChangeSpec):
    """A change, with the experiment that it is for."""

    experiment_id: ExperimentId


def _event(body: dict[str, Any]) -> ExperimentSpec | _NamedChange:
    stated = {key: value for key, value in body.items() if key != "created_at"}
    try:
        if is_registration(body):
            stated.pop("experiment_id", None)
            return ExperimentSpec.model_validate(stated)
        if "experiment" in stated:
            stated["experiment_id"] = experiment_id_of(str(stated.pop("experiment")))
        return _NamedChange.model_validate(stated)
    except ValidationError as error:
        raise UnreadableFileError(
            f"is neither metrics nor an experiment: {validation_faults(error)}"
        ) from None


def _stem(path: Path) -> str:
    """Return a name for the inbox that is not hidden and can be stored."""
    name = "".join(c if c.isprintable() and c not in "/\\" else "_" for c in path.stem)
    name = name.encode("utf-8", "replace")[:MOST_STEM_BYTES].decode("utf-8", "ignore")
    return name.lstrip(".") or "file"


def _utf8(payload: bytes) -> bytes:
    try:
        payload.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableFileError(f"is not UTF-8 at offset {error.start}") from None
    return payload


def _unknown(_intake: Intake, path: Path, _payload: bytes, _report: Report) -> Ingested:
    raise UnreadableFileError(
        f"has the extension {path.suffix!r}; .json, .csv and .parquet are read"
    )


_KINDS: dict[str, Callable[[Intake, Path, bytes, Report], Ingested]] = {
    ".csv": _add_csv,
    ".json": _add_json,
    ".parquet": _add_parquet,
}
