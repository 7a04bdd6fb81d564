"""`mab ingest`: put files of any accepted form into the inbox.

What belongs here: telling metrics from experiments, splitting by date, naming. What does not:
judging counts (the pipeline quarantines bad rows; a file that cannot be parsed at all is refused
here, while somebody is looking).
"""

import hashlib
import io
import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
from pydantic import ValidationError

from mab_store.contracts import ChangeSpec, ExperimentId, ExperimentSpec, experiment_id_of
from mab_store.errors import FileInInboxError, InboxError, UnreadableFileError
from mab_store.experiment_events import explain, is_registration
from mab_store.inbox import Inbox, Receiver, parse_day
from mab_store.readers import read_metrics
from mab_store.registration import change, register

DATE_COLUMNS = ("metric_date", "date")


@dataclass(slots=True)
class Ingested:
    """What became of a file.

    Attributes:
        added: Files added to the inbox, or experiments registered.
        unchanged: Those that were there already.
    """

    added: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Intake:
    """Where files go, and which days are taken.

    Attributes:
        inbox: The inbox.
        first_day: MAB_START_DATE.
        now: The time, as naive UTC; no day after it is taken.
        day: Day of files that state none.
    """

    inbox: Inbox
    first_day: date
    now: datetime
    day: date | None = None

    def add(self, path: Path) -> Ingested:
        """Put one file into the inbox.

        Raises:
            InboxError: The file cannot be read or parsed, or says something impossible; nothing
                of it was added.
            ConflictError: It registers a name that is taken.
        """
        try:
            payload = path.read_bytes()
        except OSError as error:
            raise InboxError(f"{path} cannot be read: {error.strerror}.") from None
        try:
            return _KINDS.get(path.suffix.lower(), _unknown)(self, path, payload)
        except UnreadableFileError as error:
            raise InboxError(f"{path} {error}. Nothing of it was added.") from None

    def check_day(self, text: str) -> date:
        """Return a stated day, or say why it is not taken."""
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

    def write_metrics(self, day: date, stem: str, extension: str, payload: bytes) -> Ingested:
        """Add a day's metrics, named by content: the same file twice is one file."""
        read_metrics(f"x{extension}", payload, metric_date=day, limits=self.inbox.limits)
        digest = hashlib.sha256(payload).hexdigest()[:12]
        name = f"metrics/{day}/{stem}-{digest}{extension}"
        try:
            self.inbox.write(name, payload, receiver=Receiver("mab ingest", self.now))
        except FileInInboxError:
            return Ingested(unchanged=[name])
        return Ingested(added=[name])


def _add_csv(intake: Intake, path: Path, payload: bytes) -> Ingested:
    try:
        frame = pd.read_csv(io.BytesIO(payload), dtype=str, keep_default_na=False)
    except (ValueError, pd.errors.ParserError) as error:
        raise UnreadableFileError(f"is not a CSV: {str(error).strip()}") from None

    def encode(part: pd.DataFrame) -> bytes:
        return part.to_csv(index=False).encode()

    return _add_frame(intake, path, payload, frame=frame, encode=encode)


def _add_parquet(intake: Intake, path: Path, payload: bytes) -> Ingested:
    try:
        frame = pq.read_table(io.BytesIO(payload)).to_pandas(types_mapper=pd.ArrowDtype)
    except (OSError, ValueError) as error:
        raise UnreadableFileError(f"is not a Parquet file: {error}") from None

    def encode(part: pd.DataFrame) -> bytes:
        buffer = io.BytesIO()
        part.to_parquet(buffer, index=False)
        return buffer.getvalue()

    return _add_frame(intake, path, payload, frame=frame, encode=encode)


def _add_frame(
    intake: Intake,
    path: Path,
    payload: bytes,
    *,
    frame: pd.DataFrame,
    encode: Callable[[pd.DataFrame], bytes],
) -> Ingested:
    frame = frame.rename(columns=lambda name: str(name).strip().lower())
    if "is_control" in frame.columns:
        return _register_frame(intake, frame)
    stated = [name for name in DATE_COLUMNS if name in frame.columns]
    if not stated:
        if intake.day is None:
            raise UnreadableFileError("has no column `date` or `metric_date`; give --date")
        return intake.write_metrics(intake.day, path.stem, path.suffix.lower(), payload)
    days = {text: intake.check_day(str(text)) for text in frame[stated[0]].unique()}
    parts = {
        day: encode(frame[frame[stated[0]] == text].drop(columns=stated))
        for text, day in sorted(days.items())
    }
    result = Ingested()
    for day, part in parts.items():
        _merge(result, intake.write_metrics(day, path.stem, path.suffix.lower(), part))
    return result


def _register_frame(intake: Intake, frame: pd.DataFrame) -> Ingested:
    """Register experiments from rows of (name, variant_name, is_control[, description, ...])."""
    missing = sorted({"name", "variant_name"} - set(frame.columns))
    if missing:
        raise UnreadableFileError(f"has a column is_control but lacks {', '.join(missing)}")
    bodies = []
    for name, rows in frame.groupby("name", sort=False):
        body: dict[str, Any] = {
            "name": name,
            "variants": [
                {"name": row["variant_name"], "is_control": row["is_control"]}
                for row in rows.to_dict("records")
            ],
        }
        for key in ("description", "start_date"):
            if key in rows.columns and rows[key].iloc[0]:
                body[key] = rows[key].iloc[0]
        bodies.append(body)
    return _add_experiments(intake, bodies)


def _add_json(intake: Intake, path: Path, payload: bytes) -> Ingested:
    try:
        document = json.loads(payload.decode("utf-8-sig"), parse_float=str)
    except (ValueError, RecursionError) as error:
        raise UnreadableFileError(f"is not JSON: {error}") from None
    bodies = document if isinstance(document, list) else [document]
    if not bodies or not all(isinstance(body, dict) for body in bodies):
        raise UnreadableFileError("is neither an object nor a list of objects")
    if not any("metrics" in body for body in bodies):
        return _add_experiments(intake, bodies)
    by_day: dict[date, list[dict[str, Any]]] = defaultdict(list)
    for body in bodies:
        stated = body.get("date", str(intake.day) if intake.day else None)
        if stated is None:
            raise UnreadableFileError("has a submission without `date`; give --date")
        by_day[intake.check_day(str(stated))].append(body)
    result = Ingested()
    for day, part in sorted(by_day.items()):
        whole = payload if len(by_day) == 1 else json.dumps(part, indent=1).encode()
        _merge(result, intake.write_metrics(day, path.stem, ".json", whole))
    return result


def _add_experiments(intake: Intake, bodies: list[dict[str, Any]]) -> Ingested:
    """Register or change experiments; every body is validated before the first is added."""
    result = Ingested()
    for event in [_event(body) for body in bodies]:
        if isinstance(event, _NamedChange):
            spec = ChangeSpec(**event.model_dump(exclude={"experiment_id"}))
            made = change(intake.inbox, event.experiment_id, spec, now=intake.now)
            (result.added if made.is_new else result.unchanged).append(made.source_file)
            continue
        held, is_new = register(intake.inbox, event, now=intake.now)
        name = f"{event.name} ({held.experiment_id})"
        (result.added if is_new else result.unchanged).append(name)
    return result


class _NamedChange(ChangeSpec):
    """A change, and of which experiment."""

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
            f"is neither metrics nor an experiment: {explain(error)}"
        ) from None


def _merge(result: Ingested, part: Ingested) -> None:
    result.added += part.added
    result.unchanged += part.unchanged


def _unknown(_intake: Intake, path: Path, _payload: bytes) -> Ingested:
    raise UnreadableFileError(
        f"has the extension {path.suffix!r}; .json, .csv and .parquet are read"
    )


_KINDS: dict[str, Callable[[Intake, Path, bytes], Ingested]] = {
    ".csv": _add_csv,
    ".json": _add_json,
    ".parquet": _add_parquet,
}
