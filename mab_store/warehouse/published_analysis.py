"""Read the analysis of an experiment from the published data."""

from typing import Any

import duckdb

from mab_store.warehouse.reader import Reader


def published_analysis(
    reader: Reader, experiment_id: str, allocation_id: str | None = None
) -> dict[str, Any] | None:
    """Return the row of `served_analysis`; None if there is none.

    Args:
        reader: The published data.
        experiment_id: The experiment.
        allocation_id: The allocation; None for the newest analysis.
    """
    parameters = {"experiment_id": experiment_id, "allocation_id": allocation_id}
    try:
        rows: list[dict[str, Any]] = reader.fetch_arrow("serving/analysis", parameters).to_pylist()
    except duckdb.CatalogException:  # a copy that was published before there were analyses
        return None
    return rows[0] if rows else None
