"""The parts: reads and encodes a version, in pieces that the server takes in quickly."""

from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple, TypeVar

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from mab_api.snapshot.allocation_list import Listing, build_listing
from mab_api.snapshot.encoded import compact
from mab_api.snapshot.experiment_index import Packed, pack, records_of
from mab_api.snapshot.overview import Facts, overview_of, read_facts
from mab_api.snapshot.snapshot import Entry
from mab_api.snapshot.sources import open_source
from mab_store.allocation_payload import allocation_bodies
from mab_store.errors import MabError, NotPublishedError
from mab_store.settings import Settings
from mab_store.warehouse.publication_loss import Published, published_days
from mab_store.warehouse.reader import Reader

SLICE = 256
"""Experiments whose rows are Python objects at a time."""
PART = 50
"""Experiments of one part: well under a millisecond of work for the server."""
READING_SECONDS = 240
"""How long Snowflake may take for one of the queries."""
FAILURES = (MabError, duckdb.Error, pa.ArrowException, OSError, ValueError, KeyError)
"""Errors that reading a broken or missing version can raise."""

Value = TypeVar("Value")


class Order(NamedTuple):
    """The task of a refresh worker.

    Attributes:
        settings: The settings.
        name: The version.
        now: The time, as naive UTC: it decides which day's status is shown, and staleness.
        niceness: How far the worker yields the processor to other processes.
    """

    settings: Settings
    name: str
    now: datetime
    niceness: int = 0


class Experiments(NamedTuple):
    """Some experiments, by id, in the order of the list.

    Attributes:
        entries: Their published allocations.
        records: Their records for the experiment index.
        published: How far their published history reaches.
    """

    entries: dict[str, Entry]
    records: dict[str, Packed]
    published: dict[str, Published]


class Done(NamedTuple):
    """Every part was sent.

    Attributes:
        listing: The body of `GET /allocations`, without the bodies that the entries hold.
        published_at: Moment of the newest publication; None if there is none.
    """

    listing: Listing
    published_at: datetime | None


class Failed(NamedTuple):
    """The version cannot be read.

    Attributes:
        reason: The cause, in one line.
    """

    reason: str


Part = Experiments | Done | Failed


def published_parts(order: Order) -> Generator[Part]:
    """Read a version and yield all of it; the last part is `Done` or `Failed`."""
    try:
        entries, records, published = _read(order)
        listing = build_listing(entries.values(), now=order.now, since=order.now)
    except FAILURES as error:
        yield Failed(reason_of(error))
        return
    for entry_part in _cut(entries):
        reach = {name: published[name] for name in entry_part if name in published}
        yield Experiments(entry_part, {}, reach)
    for record_part in _cut(records):
        yield Experiments({}, record_part, {})
    newest = max((entry.published_at for entry in entries.values()), default=None)
    yield Done(listing.without_bodies(), newest)


def reason_of(error: Exception) -> str:
    """Return the cause of an error in one line."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def slices(rows: pa.Table, size: int = SLICE) -> Iterator[pa.Table]:
    """Cut rows that are grouped by experiment into parts of a few whole experiments each."""
    if len(rows) == 0:
        return
    runs = pc.run_end_encode(rows["experiment_id"].combine_chunks())
    ends = runs.run_ends.to_numpy()
    first = 0
    for index in range(size - 1, len(ends) + size - 1, size):
        end = int(ends[min(index, len(ends) - 1)])
        yield rows.slice(first, end - first)
        first = end


def _read(order: Order) -> tuple[dict[str, Entry], dict[str, Packed], dict[str, Published]]:
    with (
        closing(open_source(order.settings, query_seconds=READING_SECONDS)) as source,
        closing(source.open(order.name)) as reader,
    ):
        facts = read_facts(reader)
        entries, overviews = _entries(reader, order, facts)
        return entries, _records(reader, order, overviews), published_days(reader)


def _entries(
    reader: Reader, order: Order, facts: Facts
) -> tuple[dict[str, Entry], dict[str, bytes]]:
    """Return the entries, and the overview of each, encoded."""
    parameters = {"today": order.now.date(), "as_of_date": None}
    entries: dict[str, Entry] = {}
    overviews: dict[str, bytes] = {}
    for rows in slices(reader.fetch_arrow("serving/published_allocations", parameters)):
        for body in allocation_bodies(rows, settings=order.settings, now=order.now):
            _check(body, order.name)
            key = body["experiment_id"]
            entries[key] = Entry(body, settings=order.settings, now=order.now)
            overviews[key] = compact(overview_of(body, facts, settings=order.settings))
    return entries, overviews


def _records(reader: Reader, order: Order, overviews: Mapping[str, bytes]) -> dict[str, Packed]:
    records: dict[str, Packed] = {}
    today: dict[str, object] = {"today": order.now.date()}
    own = _own_options(reader, today)
    for rows in slices(reader.fetch_arrow("serving/registry", today)):
        found = records_of(rows.to_pylist(), own)
        records |= {
            record["experiment_id"]: pack(record, overviews.get(record["experiment_id"]))
            for record in found
        }
    return records


def _own_options(reader: Reader, today: dict[str, object]) -> dict[str, str]:
    """Return the options that experiments have of their own, as JSON by id."""
    try:
        rows = reader.fetch_arrow("serving/own_options", today).to_pydict()
    except duckdb.BinderException:  # a copy that was published before there were such options
        return {}
    return dict(zip(rows["experiment_id"], rows["decision"], strict=True))


def _cut(values: Mapping[str, Value]) -> Iterator[dict[str, Value]]:
    items = iter(values.items())
    while part := dict(islice(items, PART)):
        yield part


def _check(body: dict[str, Any], name: str) -> None:
    """Refuse shares and buckets that no gate lets through: the copy is damaged."""
    variants = body["allocations"]
    total = sum(round(variant["allocation_percentage"] * 100) for variant in variants)
    buckets = sorted(pair for variant in variants for pair in variant["buckets"])
    covered = [bucket for first, last in buckets for bucket in range(first, last + 1)]
    if total != 10_000 or covered != list(range(100)):
        raise NotPublishedError(
            f"The copy {name} gives {body['experiment_id']} shares of {total / 100} % in all, or "
            "buckets that are not 0 to 99 once each. It is not served; publish again: `mab run`."
        )
