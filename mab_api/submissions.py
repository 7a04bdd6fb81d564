"""Submissions: from the body of a POST or PATCH to a file in the inbox that is safe on the disk."""

import hashlib
import json
import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import date, datetime
from threading import Lock
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from mab_api.idempotency import Body, Keys
from mab_api.problems import Kind, ProblemError, from_validation
from mab_api.schemas import MetricsSubmission, NewExperiment
from mab_store.allocation_payload import timestamp
from mab_store.errors import (
    ConflictError,
    FileInInboxError,
    InboxError,
    NewNameError,
    NotRegisteredError,
)
from mab_store.experiments.events import Registry
from mab_store.experiments.registration import Change, Registration, change, events_of, register
from mab_store.experiments.schemas import ChangeSpec, ExperimentSpec
from mab_store.files.inbox import Inbox, Receiver

MAX_BODY_BYTES = 1 << 20
MAX_KEY_LENGTH = 255
NAMES_SHOWN = 5
NOT_THERE = "The inbox holds no registration of this experiment any more."

Model = TypeVar("Model", bound=BaseModel)


async def read_body(request: Request) -> bytes:
    """Read a JSON body of at most 1 MiB.

    Raises:
        ProblemError: 415 if it is not declared as plain JSON, 413 if it is too large.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise ProblemError(Kind.NOT_JSON, "Send the header `Content-Type: application/json`.")
    coding = request.headers.get("content-encoding", "").strip().lower()
    if coding not in {"", "identity"}:
        raise ProblemError(
            Kind.NOT_JSON,
            "Send the body as it is, without Content-Encoding: nothing is decompressed here.",
            headers={"accept-encoding": "identity"},
        )
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise ProblemError(Kind.TOO_LARGE, f"{MAX_BODY_BYTES} bytes are taken at most.")
    return bytes(body)


def parse_body(body: bytes, model: type[Model]) -> Model:
    """Validate a body strictly: an integer is an integer, not 1.0, "1" or true.

    FastAPI's own parsing takes the last of two equal keys, reads a body of any size, and in strict
    mode refuses dates, which JSON has only as strings.

    Raises:
        ProblemError: 400 if it is not JSON, 422 if it does not fit the model.
    """
    try:
        json.loads(body.decode(), object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise ProblemError(Kind.MALFORMED_REQUEST, f"The body is not JSON: {reason}.") from None
    try:
        return model.model_validate_json(body, strict=True)
    except ValidationError as error:
        raise from_validation(error.errors(include_url=False, include_input=False)) from None


def _unique(pairs: list[tuple[str, Any]]) -> Body:
    result = dict(pairs)
    if len(result) < len(pairs):
        raise ValueError("an object names a key twice")
    return result


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


class Submissions:
    """Writes posted experiments, changes and counts into the inbox."""

    def __init__(self, inbox: Inbox, *, start_date: date, clock: Callable[[], datetime]) -> None:
        self._inbox = inbox
        self._start_date = start_date
        self._clock = clock
        self._keys = Keys(inbox)
        self._keyed = Lock()
        self._changing = Lock()

    def register(self, body: bytes) -> Registration:
        """Register an experiment; the file is on the disk when this returns.

        Raises:
            ProblemError: 4xx if the body is refused, 503 if the inbox is unavailable.
        """
        spec = ExperimentSpec(**parse_body(body, NewExperiment).model_dump())
        try:
            return register(self._inbox, spec, now=self._clock())
        except NewNameError as error:
            raise _name_problem(error) from None
        except ConflictError as error:
            raise ProblemError(Kind.CONFLICT, str(error)) from None
        except (InboxError, OSError) as error:
            raise _inbox_problem(error) from None

    def change(self, experiment_id: str, body: bytes) -> Change:
        """Change an experiment; the file is on the disk when this returns.

        Raises:
            ProblemError: 4xx if the body is refused, 503 if the inbox is unavailable.
        """
        spec = parse_body(body, ChangeSpec)
        try:
            with self._changing:
                return change(self._inbox, experiment_id, spec, now=self._clock())
        except NewNameError as error:
            raise _name_problem(error) from None
        except NotRegisteredError:  # although it is published
            raise _inbox_problem(InboxError(NOT_THERE)) from None
        except ConflictError as error:
            raise ProblemError(Kind.CHANGE_REFUSED, str(error)) from None
        except (InboxError, OSError) as error:
            raise _inbox_problem(error) from None

    def events(self, experiment_id: str) -> Registry:
        """Return the registry that the events of one experiment give.

        Raises:
            ProblemError: 503 if the inbox or the registration in it cannot be read.
        """
        try:
            registry = events_of(self._inbox, experiment_id)
        except OSError as error:
            raise _inbox_problem(error) from None
        if not registry.experiments:
            raise _inbox_problem(InboxError(NOT_THERE))
        return registry

    def submit(self, experiment_id: str, body: bytes, *, idempotency_key: str | None) -> Body:
        """Store the counts of a day; the file is on the disk when this returns the receipt.

        Raises:
            ProblemError: 4xx if the body is refused, 503 if the inbox is unavailable.
        """
        submission = parse_body(body, MetricsSubmission)
        now = self._clock()
        try:
            self._check(experiment_id, submission, today=now.date())
            document: Body = {
                "submission_id": f"sub_{uuid.uuid4().hex}",
                "received_at": timestamp(now),
                "experiment_id": experiment_id,
                **submission.model_dump(mode="json"),
            }
            if idempotency_key is None:
                return self._write(document, document["submission_id"], now=now)
            digest = hashlib.sha256(idempotency_key.encode()).hexdigest()
            with self._keyed:
                return self._write_once(document, digest, now=now)
        except (InboxError, OSError) as error:
            raise _inbox_problem(error) from None

    def _check(self, experiment_id: str, submission: MetricsSubmission, *, today: date) -> None:
        """Refuse rows that the pipeline would reject."""
        variants = self._variants(experiment_id, submission.date)
        errors = []
        if submission.date > today:
            errors.append(("/date", f"is in the future; today is {today} (UTC)"))
        if submission.date < self._start_date:
            errors.append(("/date", f"is before MAB_START_DATE={self._start_date}"))
        known = ", ".join(sorted(variants)[:NAMES_SHOWN])
        more = f" and {len(variants) - NAMES_SHOWN} more" if len(variants) > NAMES_SHOWN else ""
        errors += [
            (f"/metrics/{place}/variant_name", f"is none of {known}{more}")
            for place, counts in enumerate(submission.metrics)
            if counts.variant_name not in variants
        ]
        if errors:
            raise from_validation(
                {"loc": pointer.split("/")[1:], "msg": message} for pointer, message in errors
            )

    def _variants(self, experiment_id: str, day: date) -> set[str]:
        """Return the variants of an experiment on a day, from its events in the inbox."""
        return {
            row["variant_name"]
            for row in self.events(experiment_id).variants
            if row["valid_from_date"] <= day < row["valid_to_date"]
        }

    def _write_once(self, document: Body, digest: str, *, now: datetime) -> Body:
        """Write a submission under its key, or return the receipt of the first one again."""
        first = self._keys.first(document, digest)
        if any(first.get(field) != document[field] for field in _SAME):
            raise ProblemError(
                Kind.KEY_REUSED,
                f"It came with another submission, received at {first.get('received_at')}. "
                "Use a new key for a correction.",
            )
        return self._write(first, digest, now=now)

    def _write(self, document: Body, name: str, *, now: datetime) -> Body:
        source_file = f"metrics/{document['date']}/post-{name}.json"
        if self._inbox.payload(source_file) is None:
            payload = orjson.dumps(document, option=orjson.OPT_INDENT_2)
            with suppress(FileInInboxError):  # another process has just written the same
                self._inbox.write(source_file, payload, receiver=Receiver("POST", now))
        return _receipt(document)


_SAME = ("experiment_id", "date", "metrics")


def _receipt(document: Body) -> Body:
    return {
        name: document[name] for name in ("submission_id", "received_at", "experiment_id", "date")
    }


def _name_problem(error: NewNameError) -> ProblemError:
    return from_validation({"loc": place, "msg": fault} for place, fault in error.faults.items())


def _inbox_problem(error: Exception) -> ProblemError:
    reason = str(error) if isinstance(error, InboxError) else "It cannot be read."
    return ProblemError(Kind.INBOX_UNAVAILABLE, reason, headers={"retry-after": "30"})
