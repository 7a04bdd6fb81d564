"""`mab load`, `mab rebuild` and `mab prune`: what is done to tables, and decides nothing.

What belongs here: options and what is printed, as in `cli.py`. What does not: work.
"""

from datetime import datetime
from typing import Annotated

import typer

from mab_pipeline.console import notes_console, print_prunable, say
from mab_store.settings import load_settings

app = typer.Typer()

AcceptLoss = Annotated[
    bool,
    typer.Option(
        "--accept-loss", help="Publish although readers lose experiments or days served now."
    ),
]


@app.command()
def load(
    first: Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="First day.")],
    last: Annotated[datetime, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day.")],
) -> None:
    """Load days again and make again the windows that see them; decide and publish nothing."""
    from mab_pipeline.jobs import LOADED
    from mab_pipeline.operations.run import check_days, prepared_platform, run_days

    platform = prepared_platform(load_settings())
    days = check_days(platform, first.date(), last.date())
    run_days(platform, days, console=notes_console(), assets=LOADED)


@app.command()
def rebuild(*, accept_loss: AcceptLoss = False) -> None:
    """Bring a lost warehouse back from inbox and journal; what is there is set aside."""
    from mab_pipeline.operations.run import prepared_platform
    from mab_pipeline.recovery.rebuild import rebuild as rebuild_warehouse

    notes = notes_console()
    platform = prepared_platform(load_settings())
    result = rebuild_warehouse(platform, console=notes, accept_loss=accept_loss)
    say(notes, str(result))


@app.command()
def prune(
    older_than: Annotated[
        str, typer.Option("--older-than", metavar="DAYS", help="Age in days, such as 180d.")
    ],
    apply: Annotated[
        bool, typer.Option("--apply", help="Do it; without this it is only shown.")
    ] = False,
) -> None:
    """Show what is old and needed by nobody any more; with --apply, drop it."""
    from mab_pipeline.operations.prune import parse_age
    from mab_pipeline.operations.prune import prune as prune_home
    from mab_pipeline.operations.run import dagster_instance, prepared_platform

    days = parse_age(older_than)
    platform = prepared_platform(load_settings())
    with dagster_instance() as instance:
        found = prune_home(
            platform,
            instance,
            older_than_days=days,
            apply=apply,
            say=lambda text: say(notes_console(), text),
        )
    print_prunable(found, is_done=apply)
