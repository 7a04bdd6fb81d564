"""The registry: every experiment that is known, published or only just registered.

What belongs here: the record that `GET /experiments` shows, from either source, and their order.
What does not: encoding, HTTP, and when they are read.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC
from itertools import groupby
from typing import Any, NamedTuple

import orjson
import pyarrow as pa

from mab_api.encoding import compact
from mab_store.allocation_body import timestamp
from mab_store.contracts import ExperimentRegistered

Record = dict[str, Any]


class Packed(NamedTuple):
    """A record as it is kept: in one piece, which the garbage collector need not look into.

    Attributes:
        name: The experiment's name, by which records are ordered.
        body: The record, encoded.
    """

    name: bytes
    body: bytes

    def unpack(self) -> Record:
        """Return the record."""
        record: Record = orjson.loads(self.body)
        return record


def pack(record: Record) -> Packed:
    """Encode a record."""
    return Packed(record["name"].encode(), compact(record))


def published_records(rows: pa.Table) -> Iterator[Record]:
    """Yield a record per experiment.

    Args:
        rows: Rows of `sql/serving/registry.sql`, in its order.
    """
    for _, group in groupby(rows.to_pylist(), key=lambda row: row["experiment_id"]):
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
            "created_at": timestamp(first["created_at"]),
        }


def registered_record(event: ExperimentRegistered) -> Record:
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
        "created_at": timestamp(event.created_at.astimezone(UTC).replace(tzinfo=None)),
    }


class Registry:
    """Published records, and pending ones: registered since, in the inbox only.

    It is immutable; adding to it makes another one.

    Attributes:
        published: Records of the published copy, by experiment id, by name.
        pending: Records that are not among them.
    """

    def __init__(
        self, published: Mapping[str, Packed], pending: Mapping[str, Packed] | None = None
    ) -> None:
        self.published = published
        kept = (pending or {}).items()
        self.pending = {key: packed for key, packed in kept if key not in published}
        self._ordered: Sequence[Packed] = tuple(published.values())
        if self.pending:
            self._ordered = sorted([*self._ordered, *self.pending.values()], key=_order)

    def __len__(self) -> int:
        return len(self._ordered)

    def get(self, experiment_id: str) -> Record | None:
        """Return an experiment's record, or None."""
        packed = self.published.get(experiment_id) or self.pending.get(experiment_id)
        return None if packed is None else packed.unpack()

    def page(self, after: bytes | None, limit: int) -> list[Record]:
        """Return the records whose name comes after this one, by name, at most `limit` + 1."""
        first = 0 if after is None else bisect_right(self._ordered, after, key=_order)
        return [packed.unpack() for packed in self._ordered[first : first + limit + 1]]

    def adding(self, record: Record) -> "Registry":
        """Return a registry that knows this experiment too."""
        return Registry(self.published, self.pending | {record["experiment_id"]: pack(record)})


def _order(packed: Packed) -> bytes:
    return packed.name
