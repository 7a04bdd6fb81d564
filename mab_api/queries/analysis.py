"""Analyses: the answer of `GET /experiments/{id}/analysis`, as it was stored at publication."""

from typing import Any

import orjson

from mab_api.problems import Kind, ProblemError
from mab_api.snapshot.encoded import Answer, encode
from mab_api.snapshot.experiment_index import ExperimentRecord
from mab_store.allocation_payload import timestamp
from mab_store.messages import messages_of
from mab_store.warehouse.published_analysis import published_analysis
from mab_store.warehouse.reader import Reader


def analysis_answer(copy: Reader, record: ExperimentRecord) -> Answer:
    """Build the answer; nothing is computed, sentences are given as codes too.

    Args:
        copy: The published data.
        record: The experiment.

    Raises:
        ProblemError: 404 if no analysis of the experiment is published.
    """
    row = published_analysis(copy, record["experiment_id"])
    if row is None:
        raise ProblemError(
            Kind.NOT_MATERIALISED,
            "No analysis of this experiment is published; its next publication brings one.",
        )
    stored: dict[str, Any] = orjson.loads(row["analysis"])
    head = {
        "experiment_id": record["experiment_id"],
        "experiment_name": record["name"],
        "as_of_date": str(row["as_of_date"]),
        "analysed_at": timestamp(row["analysed_at"]),
        "allocation_id": row["allocation_id"],
        "is_published": row["is_published"],
    }
    stored["advice"]["messages"] = messages_of(stored["advice"]["reason"])
    stored["sample_ratio"]["messages"] = messages_of(stored["sample_ratio"]["note"])
    stored.setdefault("rejected_rows", None)
    return encode(head | stored)
