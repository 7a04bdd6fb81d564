"""`mab explain`: how each variant of an experiment got its share."""

from mab_pipeline.cli.console import print_parts
from mab_pipeline.cli.options import AsOfDate, Experiment, to_date
from mab_pipeline.cli.output import Format, Output, print_csv, print_json
from mab_pipeline.operations.text import Grid, Line
from mab_store.files.receipts import Receipts
from mab_store.settings import load_settings
from mab_store.warehouse.reader import open_reader


def explain(experiment: Experiment, day: AsOfDate = None, output: Output = Format.TABLE) -> None:
    """Explain in words and numbers how each variant of an experiment got its share."""
    from mab_pipeline.allocation.recorded import find_record
    from mab_pipeline.operations.explain import SHARES
    from mab_pipeline.operations.explain import explain as explanation

    settings = load_settings()
    with open_reader(settings) as copy:
        record = find_record(copy, experiment, to_date(day))
        receipts = Receipts(settings.receipts_dir)
        parts = explanation(copy, record, receipts=receipts)
    if output is Format.TABLE:
        print_parts(parts)
        return
    grids = [part for part in parts if isinstance(part, Grid)]
    if output is Format.CSV:
        for grid in grids:
            if grid.title == SHARES:
                print_csv([name for name, _ in grid.columns], _by_column(grid))
        return
    head = record.head
    print_json(
        {
            "experiment_id": record.experiment_id,
            "experiment_name": record.experiment_name,
            "as_of_date": str(record.as_of_date),
            "effective_date": str(head["effective_date"]),
            "allocation_id": head["allocation_id"],
            "text": [part.text for part in parts if isinstance(part, Line) and part.text],
            "tables": [{"title": grid.title, "rows": _by_column(grid)} for grid in grids],
        }
    )


def _by_column(grid: Grid) -> list[dict[str, str]]:
    names = [name for name, _ in grid.columns]
    return [dict(zip(names, row, strict=True)) for row in grid.rows]
