"""Evidence: daily counts, quality and explanations, queried as pages of history are."""

from collections.abc import Iterable
from datetime import date
from itertools import groupby
from typing import Any

from mab_api.problems import Kind, ProblemError
from mab_api.queries.history import PageRequest, narrowed, page_of, parameters_of
from mab_api.snapshot.encoded import Answer, encode
from mab_api.snapshot.experiment_index import ExperimentRecord
from mab_store.allocation_payload import timestamp
from mab_store.explanation import counted, explanation, published_decision
from mab_store.warehouse.reader import Reader

DAY_CURSOR = r"^[1-9][0-9]{0,5}$"
ROW_CURSOR = r"^[1-9][0-9]{0,5}-[0-9]{1,15}-([0-9a-f]{2}){1,4000}$"

Body = dict[str, Any]


def daily_page(copy: Reader, record: ExperimentRecord, wanted: PageRequest) -> Answer:
    """Build a page of `/daily`; see `quality_page`."""
    rows, cursor = _days(copy, "serving/daily", record, wanted)
    days = [{"date": str(day), "variants": [*map(counted, group)]} for day, group in rows]
    return page_of(record, "days", days, cursor)


def quality_page(copy: Reader, record: ExperimentRecord, wanted: PageRequest) -> Answer:
    """Build a page of `/quality`.

    Args:
        copy: The published data.
        record: The experiment.
        wanted: Which page; `limit` counts days. If an experiment has many variants, a page holds
            fewer.
    """
    rows, cursor = _days(copy, "serving/quality", record, wanted)
    days = [_quality_day(day, group) for day, group in rows]
    return page_of(record, "days", days, cursor)


def rows_page(
    copy: Reader, record: ExperimentRecord, wanted: PageRequest, verdict: str | None
) -> Answer:
    """Build a page of `/rows`.

    Args:
        copy: The published data.
        record: The experiment.
        wanted: Which page; `limit` counts rows.
        verdict: Only rows with this verdict; `rejected` names all reasons. None for all.
    """
    day, _, rest = (wanted.cursor or "").partition("-")
    place, _, file = rest.partition("-")
    parameters = parameters_of(record, wanted) | {
        "verdict": verdict,
        "after_date": date.fromordinal(int(day)) if day else None,
        "after_file": bytes.fromhex(file).decode("utf-8", "replace") if file else None,
        "after_row": int(place) if place else None,
    }
    rows = copy.fetch_arrow("serving/rows", parameters).to_pylist()
    page, cursor = rows[: wanted.limit], None
    if len(rows) > wanted.limit:
        last = page[-1]
        file = last["source_file"].encode().hex()
        cursor = f"{last['metric_date'].toordinal()}-{last['row_number']}-{file}"
    return page_of(record, "rows", [_received(row) for row in page], cursor)


def _received(row: Body) -> Body:
    moment = timestamp(row["received_at"])
    return {"date": str(row.pop("metric_date")), **row, "received_at": moment}


def explanation_answer(copy: Reader, record: ExperimentRecord, as_of_date: date | None) -> Answer:
    """Build the answer of `/explanation`.

    Args:
        copy: The published data.
        record: The experiment.
        as_of_date: The day; the newest published one if None.

    Raises:
        ProblemError: 404 if there is no decision for the day.
        NotPublishedError: The data were published by an older version of mab.
    """
    decision = published_decision(copy, record["experiment_id"], record["name"], as_of_date)
    if decision is None:
        day = f"for {as_of_date}" if as_of_date else "yet"
        raise ProblemError(Kind.NOT_MATERIALISED, f"There is no allocation {day}.")
    return encode(explanation(copy, decision))


def _days(
    copy: Reader, name: str, record: ExperimentRecord, wanted: PageRequest
) -> tuple[list[tuple[date, list[Body]]], str | None]:
    """Return the rows of a page by day, and the cursor of the next one."""
    wanted = narrowed(record, wanted)
    after = date.fromordinal(int(wanted.cursor)) if wanted.cursor else None
    parameters = parameters_of(record, wanted) | {"after_date": after}
    rows = copy.fetch_arrow(name, parameters).to_pylist()
    days = [(day, list(group)) for day, group in groupby(rows, lambda row: row["metric_date"])]
    has_more, page = len(days) > wanted.limit, days[: wanted.limit]
    return page, str(page[-1][0].toordinal()) if has_more else None


def _quality_day(day: date, rows: Iterable[Body]) -> Body:
    files = [
        {
            "source_file": row["source_file"],
            "received_at": timestamp(row["received_at"]),
            "verdict": row["verdict"],
            "row_count": row["row_count"],
            "variant_name": row["variant_name"],
        }
        for row in rows
    ]
    received = sum(row["row_count"] for row in files)
    accepted, superseded = (
        sum(row["row_count"] for row in files if row["verdict"] == verdict)
        for verdict in ("accepted", "superseded")
    )
    return {
        "date": str(day),
        "received": received,
        "accepted": accepted,
        "superseded": superseded,
        "rejected": received - accepted - superseded,
        "files": files,
    }
