"""`mab explain`: how each variant of an experiment got its share."""

from mab_pipeline.cli.console import print_parts
from mab_pipeline.cli.options import AsOfDate, Experiment, to_date
from mab_store.files.receipts import Receipts
from mab_store.settings import load_settings
from mab_store.warehouse.reader import open_reader


def explain(experiment: Experiment, day: AsOfDate = None) -> None:
    """Explain in words and numbers how each variant of an experiment got its share."""
    from mab_pipeline.allocation.recorded import find_record
    from mab_pipeline.operations.explain import explain as explanation

    settings = load_settings()
    with open_reader(settings) as copy:
        record = find_record(copy, experiment, to_date(day))
        receipts = Receipts(settings.receipts_dir)
        print_parts(explanation(copy, record, receipts=receipts))
