"""`mab backtest`: play policies on one's own past traffic."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from mab_pipeline.cli.console import (
    add_row,
    new_table,
    notes_console,
    print_table,
    progress_bar,
    say,
)
from mab_pipeline.cli.options import DAY, to_date
from mab_pipeline.cli.output import Format, Output, print_records
from mab_pipeline.cli.simulate import Policies, Seed
from mab_store.errors import UsageError
from mab_store.settings import load_settings
from mab_store.warehouse.reader import open_reader

if TYPE_CHECKING:
    from mab_pipeline.simulation.backtest import Backtest


def backtest(
    experiments: Annotated[
        list[str] | None,
        typer.Argument(metavar="EXPERIMENT...", help="Ids or names; default: all."),
    ] = None,
    first: Annotated[
        datetime | None, typer.Option("--from", formats=DAY, help="First day of the data.")
    ] = None,
    last: Annotated[
        datetime | None, typer.Option("--to", formats=DAY, help="Last day of the data.")
    ] = None,
    policy: Policies = None,
    reps: Annotated[
        int, typer.Option(min=10, max=20_000, help="Repetitions, each with its own true rates.")
    ] = 200,
    seed: Seed = 1,
    output: Output = Format.TABLE,
) -> None:
    """Compare the clicks of policies on the published history, day by day.

    Equal split, the served shares, and each policy (default: brief and current) meet the traffic
    that was there and true rates that its counts leave possible. Reads the published copy; writes
    nothing.
    """
    from mab_pipeline.simulation.backtest import backtest as play_past
    from mab_pipeline.simulation.history import read_histories
    from mab_pipeline.simulation.policy import parse_policy

    begin, end = to_date(first), to_date(last)
    if begin and end and begin > end:
        raise UsageError(f"--from {begin} is after --to {end}. Exchange them.")
    settings = load_settings()
    texts = dict.fromkeys(policy or ["brief", "current"])
    policies = [parse_policy(text, settings) for text in texts]
    if not policy and policies[0].rule == policies[1].rule:
        policies = policies[:1]  # this installation runs the brief's rule
    with open_reader(settings) as reader:
        histories = read_histories(reader, experiments or [], begin, end)
    with progress_bar() as show:
        result = play_past(
            histories,
            policies,
            reps=reps,
            seed=seed,
            follow=lambda step: show(step.text, step.done),
        )
    if output is Format.TABLE:
        _print(result, policies[0].name)
    else:
        print_records(result.earned, output)
    count = sum(history.impressions.shape[1] for history in histories)
    say(
        notes_console(),
        f"True rates within an experiment differ by {100.0 * result.spread:.1f} % (standard "
        f"deviation), estimated from {count} variants; see docs/METHOD.md.",
    )


def _print(result: "Backtest", first: str) -> None:
    table = new_table(
        "Policies on past traffic",
        (
            ("Experiment", "left"),
            ("Policy", "left"),
            ("Days", "right"),
            ("Impressions", "right"),
            ("Clicks", "right"),
            ("Gain over equal split", "right"),
            (f"Against {first}", "right"),
        ),
    )
    last = ""
    for one in result.earned:
        is_new = one.experiment != last
        last = one.experiment
        shared = (one.name, one.policy, str(one.days), f"{one.impressions:,}")
        cells = shared if is_new else ("", one.policy, "", "")
        add_row(
            table,
            (
                *cells,
                f"{one.clicks:,.0f}",
                _interval(one.gain, one.gain_low, one.gain_high),
                _interval(one.more, one.more_low, one.more_high),
            ),
        )
    print_table(table)


def _interval(value: float, low: float, high: float) -> str:
    return f"{value:+.2f} % [{low:+.2f}, {high:+.2f}]"
