"""`mab simulate`: play policies in simulated worlds."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mab_pipeline.cli.console import (
    add_row,
    data_console,
    new_table,
    notes_console,
    print_table,
    progress_bar,
    say,
)
from mab_pipeline.cli.output import Format, Output, print_records
from mab_store.errors import UsageError
from mab_store.settings import load_settings

if TYPE_CHECKING:
    from mab_pipeline.simulation.outcome import Detail
    from mab_pipeline.simulation.worlds import World


Policies = Annotated[
    list[str] | None,
    typer.Option(
        "--policy",
        metavar="POLICY",
        help="`brief`, `safe`, `robust`, `current` (your settings), or NAME=VALUE,…; repeatable.",
    ),
]
Seed = Annotated[int, typer.Option(min=0, help="The same seed prints the same bytes.")]


def simulate(
    worlds: Annotated[
        Path | None,
        typer.Option("--worlds", metavar="FILE", help="TOML; default: 24 built-in worlds."),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--world", metavar="NAME", help="One world; give it again for another."),
    ] = None,
    policy: Policies = None,
    reps: Annotated[int, typer.Option(min=1, max=20_000, help="Repetitions of each pair.")] = 200,
    seed: Seed = 1,
    output: Output = Format.TABLE,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write an HTML page with charts too.")
    ] = None,
    print_worlds: Annotated[
        bool, typer.Option("--print-worlds", help="Print the built-in worlds as TOML and stop.")
    ] = False,
) -> None:
    """Play policies in worlds whose true rates are known; compare what each earns.

    Reads and writes nothing of MAB_HOME. The rule's own code decides each simulated day.
    """
    from mab_pipeline.simulation.policy import parse_policy
    from mab_pipeline.simulation.report import html_report
    from mab_pipeline.simulation.simulate import simulate as play_all
    from mab_pipeline.simulation.worlds import catalogue_text, load_worlds

    if print_worlds:
        for line in catalogue_text().splitlines():
            say(data_console(), line)
        return
    if report and not report.absolute().parent.is_dir():
        raise UsageError(f"--report {report}: there is no such folder. Make it first.")
    settings = load_settings()
    policies = [parse_policy(text, settings) for text in dict.fromkeys(policy or ["brief"])]
    chosen = _chosen(load_worlds(worlds), only or [])
    with progress_bar() as show:
        details = list(
            play_all(
                chosen,
                policies,
                reps=reps,
                seed=seed,
                follow=lambda step: show(step.text, step.done),
            )
        )
    if output is Format.TABLE:
        _print(details)
    else:
        print_records([detail.outcome for detail in details], output)
    if report:
        page = html_report(chosen, details, reps=reps, seed=seed)
        _write(report, page)


def _chosen(worlds: "Sequence[World]", names: Sequence[str]) -> "Sequence[World]":
    known = {world.name: world for world in worlds}
    for name in names:
        if name not in known:
            raise UsageError(f"--world {name}: no such world. There are {', '.join(known)}.")
    return [known[name] for name in dict.fromkeys(names)] or worlds


def _print(details: "Sequence[Detail]") -> None:
    from mab_pipeline.simulation.report import HEADERS, cell

    sides = [(header, "left" if i < 2 else "right") for i, (_, header) in enumerate(HEADERS)]
    table = new_table("Simulated policies", sides)  # type: ignore[arg-type]  # two literals
    last = ""
    for detail in details:
        outcome = detail.outcome
        cells = [cell(outcome, field) for field, _ in HEADERS]
        cells[0] = "" if outcome.world == last else cells[0]
        last = outcome.world
        add_row(table, cells)
    print_table(table)


def _write(path: Path, page: str) -> None:
    try:
        path.write_text(page, "utf-8")
    except OSError as error:
        raise UsageError(f"--report {path}: {error.strerror}. Choose another file.") from None
    say(notes_console(), f"Wrote {path}.")
