"""`mab load`: load days again, without a decision."""

from datetime import datetime
from typing import Annotated

import typer

from mab_pipeline.cli.options import DAY, prepared
from mab_store.settings import load_settings


def load(
    first: Annotated[datetime, typer.Option("--from", formats=DAY, help="First day.")],
    last: Annotated[datetime, typer.Option("--to", formats=DAY, help="Last day.")],
) -> None:
    """Load days again and recompute the windows that see them; decide and publish nothing."""
    from mab_pipeline.cli.progress import run_and_show, show_verdicts
    from mab_pipeline.jobs import LOADED
    from mab_pipeline.operations.run import check_days
    from mab_pipeline.operations.run_verdicts import verdicts_of_run

    platform = prepared(load_settings())
    days = check_days(platform, first.date(), last.date())
    run_and_show(platform, days, assets=LOADED)
    show_verdicts(verdicts_of_run(platform, days))
