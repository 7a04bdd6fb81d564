"""`mab doctor`: ok or fail of each part, with the remedy."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from mab_pipeline.cli.console import data_console, say
from mab_pipeline.cli.options import prepared
from mab_pipeline.cli.output import Format, Output, print_csv, print_json
from mab_store.settings import load_settings

if TYPE_CHECKING:
    from mab_pipeline.operations.doctor import Finding


def doctor(
    with_api: Annotated[
        bool, typer.Option("--api/--no-api", help="Whether an API is expected to run here.")
    ] = True,
    output: Output = Format.TABLE,
) -> None:
    """Report ok or fail of each part, with a remedy; exit code 1 if a person has to act."""
    from mab_pipeline.operations.dagster_home import dagster_instance
    from mab_pipeline.operations.doctor import examine

    platform = prepared(load_settings())
    with dagster_instance() as instance:
        found = list(examine(platform, instance, with_api=with_api))
    if output is Format.TABLE:
        print_findings(found)
    elif output is Format.JSON:
        print_json([asdict(finding) for finding in found])
    else:
        rows = (asdict(finding) for finding in found)
        print_csv(
            ("part", "is_ok", "detail", "remedy", "experiments"),
            (row | {"experiments": " ".join(row["experiments"])} for row in rows),
        )
    if not all(finding.is_ok for finding in found):
        raise typer.Exit(1)


def print_findings(findings: Iterable["Finding"]) -> None:
    """Print a line per finding, and its remedy below."""
    console = data_console()
    for finding in findings:
        mark = ("ok  ", "green") if finding.is_ok else ("fail", "red")
        say(console, mark, f" {finding.part}: {finding.detail}")
        if finding.experiments:
            say(console, f"     experiments: {', '.join(finding.experiments)}")
        if finding.remedy:
            say(console, f"     {finding.remedy}")
