"""The sample ratio: analyses whose traffic does not follow the published shares."""

import json

from mab_pipeline.allocation.analysis import MISMATCH_P
from mab_pipeline.allocation.gate import Failure
from mab_pipeline.checks.finders import Subject
from mab_store.how_many import how_many


def sample_ratio_mismatches(subject: Subject) -> list[Failure]:
    """Find experiments of these days whose impressions do not fit the shares that were live."""
    parameters = subject.days.parameters | {"least_p_value": MISMATCH_P}
    with subject.platform.warehouse.transaction() as transaction:
        rows = transaction.fetch_arrow("checks/publication_sample_ratio", parameters).to_pylist()
    return [Failure(row["as_of_date"], _detail(row), row["experiment_id"]) for row in rows]


def _detail(row: dict[str, str]) -> str:
    analysis = json.loads(row["analysis"])
    ratio = analysis["sample_ratio"]
    names = [variant["variant_name"] for variant in analysis["variants"]]
    cells = zip(names, ratio["observed"], ratio["expected"], strict=True)
    seen = ", ".join(f"{name} has {got:.0f} and was due {due:.0f}" for name, got, due in cells)
    return (
        f"{row['experiment_id']}: impressions of {how_many(ratio['days'], 'day')} do not fit the "
        f"published shares: {seen} (p = {ratio['p_value']:.1e})"
    )
