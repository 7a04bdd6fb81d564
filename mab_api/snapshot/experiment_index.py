"""The experiment index: every experiment that the API knows, published or pending."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC
from heapq import merge, nsmallest
from itertools import groupby, islice
from threading import Lock
from typing import Any, NamedTuple

import orjson

from mab_api.snapshot.encoded import compact
from mab_store.allocation_payload import timestamp
from mab_store.experiments.schemas import ExperimentRegistered

ExperimentRecord = dict[str, Any]


class Packed(NamedTuple):
    """A stored record: one object, which the garbage collector need not scan.

    Attributes:
        name: The experiment's name, by which records are ordered.
        body: The record, encoded.
        overview: Its summary in a list, encoded; empty if nothing of it is published.
        status: Its status.
        verdict: The verdict of its stop advice; empty without one.
    """

    name: bytes
    body: bytes
    overview: bytes = b""
    status: str = ""
    verdict: str = ""

    def unpack(self) -> ExperimentRecord:
        """Return the record."""
        record: ExperimentRecord = orjson.loads(self.body)
        return record

    def listed(self) -> bytes:
        """Return the record with its overview, encoded, as lists show it."""
        return b'%s,"overview":%s}' % (self.body[:-1], self.overview or b"null")


class Filter(NamedTuple):
    """Which experiments a list holds; None leaves a condition out.

    Attributes:
        text: Part of the name or of the id, whatever its capitals.
        status: The status.
        verdict: The verdict of the stop advice.
    """

    text: str | None = None
    status: str | None = None
    verdict: str | None = None

    def admits(self, experiment_id: str, packed: Packed) -> bool:
        """Return whether the list holds an experiment."""
        if self.status is not None and packed.status != self.status:
            return False
        if self.verdict is not None and packed.verdict != self.verdict:
            return False
        if self.text is None:
            return True
        wanted = self.text.casefold()
        return wanted in packed.name.decode().casefold() or wanted in experiment_id


def pack(record: ExperimentRecord, overview: bytes | None = None) -> Packed:
    """Encode a record.

    Args:
        record: The record.
        overview: Its overview, encoded; None if nothing of it is published.
    """
    verdict = ""
    if overview:
        verdict = (orjson.loads(overview)["advice"] or {"verdict": ""})["verdict"]
    return Packed(
        record["name"].encode(), compact(record), overview or b"", record["status"], verdict
    )


def records_of(
    rows: Iterable[Mapping[str, Any]], own_options: Mapping[str, str]
) -> Iterator[ExperimentRecord]:
    """Yield a record per experiment.

    Args:
        rows: Rows of `sql/serving/registry.sql`, in its order.
        own_options: Options of the rule that experiments have of their own, as JSON by id.
    """
    for _, group in groupby(rows, key=lambda row: row["experiment_id"]):
        variants = list(group)
        first = variants[0]
        yield {
            "experiment_id": first["experiment_id"],
            "name": first["experiment_name"],
            "description": first["description"],
            "start_date": None if first["start_date"] is None else str(first["start_date"]),
            "variants": [
                {
                    "name": row["variant_name"],
                    "is_control": row["is_control"],
                    "status": row["variant_status"],
                }
                for row in variants
            ],
            "status": first["status"],
            "decision": orjson.loads(own_options.get(first["experiment_id"]) or "null"),
            "created_at": timestamp(first["created_at"]),
        }


def registered_record(event: ExperimentRegistered) -> ExperimentRecord:
    """Return the record of an experiment that the pipeline has not seen yet."""
    return {
        "experiment_id": event.experiment_id,
        "name": event.name,
        "description": event.description,
        "start_date": None if event.start_date is None else str(event.start_date),
        "variants": [
            {"name": variant.name, "is_control": variant.is_control, "status": "active"}
            for variant in event.variants
        ],
        "status": "running",
        "decision": orjson.loads((event.decision and event.decision.to_json()) or "null"),
        "created_at": timestamp(event.created_at.astimezone(UTC).replace(tzinfo=None)),
    }


class ExperimentIndex:
    """Published records, and pending ones, which are only in the inbox.

    Adding a record, finding one and reading a page take the same time however many there are,
    because the event loop waits for them. Only `publish`, which the refresher calls, goes through
    all records.
    """

    def __init__(self) -> None:
        self._published = _Published({}, ())
        self._pending: dict[str, Packed] = {}
        self._order: list[tuple[bytes, str]] = []  # name and id of each pending one, by name
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._published.records) + len(self._pending)

    def __contains__(self, experiment_id: object) -> bool:
        return experiment_id in self._published.records or experiment_id in self._pending

    def get(self, experiment_id: str) -> ExperimentRecord | None:
        """Return an experiment's record, or None."""
        packed = self._published.records.get(experiment_id) or self._pending.get(experiment_id)
        return None if packed is None else packed.unpack()

    def page(self, after: bytes | None, limit: int) -> list[Packed]:
        """Return the records whose name comes after this one, by name, at most `limit` + 1."""
        with self._lock:
            published, waiting = self._published, list(self._pending_after(after, limit + 1))
        first = 0 if after is None else bisect_right(published.ordered, after, key=_name)
        pages = merge(published.ordered[first : first + limit + 1], waiting, key=_name)
        return list(islice(pages, limit + 1))

    def filtered(self, wanted: Filter, after: bytes | None, limit: int) -> list[Packed]:
        """Return the records that a filter admits as `page` does; it goes through all of them."""
        with self._lock:
            published, pending = self._published, dict(self._pending)
        known = pending | dict(published.records)
        found = (packed for key, packed in known.items() if wanted.admits(key, packed))
        rest = (packed for packed in found if after is None or packed.name > after)
        return nsmallest(limit + 1, rest, key=_name)

    def add(self, record: ExperimentRecord) -> None:
        """Add or replace a pending experiment; a published one does not change."""
        key, packed = record["experiment_id"], pack(record)
        with self._lock:
            if key in self._published.records:
                return
            if key not in self._pending:
                insort(self._order, (packed.name, key))
            self._pending[key] = packed

    def pending_ids(self) -> list[str]:
        """Return the ids of the pending experiments."""
        return list(self._pending)

    def publish(self, records: Mapping[str, Packed]) -> None:
        """Replace the published records, and drop their experiments from the pending ones.

        Args:
            records: Records of the published copy, by experiment id, by name.
        """
        published = _Published(records, tuple(records.values()))
        with self._lock:
            self._published = published
        for key in filter(records.__contains__, self.pending_ids()):
            with self._lock:  # one at a time: the event loop may be waiting for it
                place = (self._pending.pop(key).name, key)
                del self._order[bisect_left(self._order, place)]

    def _pending_after(self, after: bytes | None, count: int) -> Iterator[Packed]:
        first = 0 if after is None else bisect_right(self._order, after, key=lambda item: item[0])
        keys = (self._order[place][1] for place in range(first, len(self._order)))
        waiting = (key for key in keys if key not in self._published.records)
        return (self._pending[key] for key in islice(waiting, count))


class _Published(NamedTuple):
    """Records of the published copy: by id, and by name."""

    records: Mapping[str, Packed]
    ordered: Sequence[Packed]


def _name(packed: Packed) -> bytes:
    return packed.name
