"""`mab experiments`: register, list and change experiments."""

import getpass
import json
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mab_pipeline.cli.console import (
    add_row,
    data_console,
    new_table,
    notes_console,
    print_table,
    say,
)
from mab_pipeline.cli.options import DAY, Experiment, to_date
from mab_pipeline.cli.output import Format, Output, print_csv, print_json
from mab_store.errors import UsageError
from mab_store.settings import load_settings

if TYPE_CHECKING:
    from mab_pipeline.operations.experiments import Listed

app = typer.Typer(help="Register, list and change experiments.", no_args_is_help=True)
Reason = Annotated[str | None, typer.Option(help="Why; kept with the change.")]
By = Annotated[str | None, typer.Option(metavar="NAME", help="Who; default: your login name.")]
Variants = Annotated[list[str], typer.Argument(metavar="VARIANT...", help="Names of variants.")]
COLUMNS = ("experiment_id", "experiment_name", "status", "start_date", "description")
CSV_COLUMNS = (*COLUMNS, "variant_name", "is_control", "variant_status")


@app.command("list")
def list_(*, output: Output = Format.TABLE) -> None:
    """List the registered experiments, as they are today."""
    from mab_pipeline.operations.experiments import list_experiments

    found = list_experiments(load_settings())
    if output is not Format.TABLE:
        _print_data(found, output)
        return
    if not found:
        text = "No experiment is registered: `mab experiments create`, or `mab import FILE`."
        say(notes_console(), text)
        return
    table = new_table(
        None,
        (("experiment", "left"), ("id", "left"), ("status", "left"), ("variants", "left")),
    )
    for listed in found:
        row = listed.row
        names = ", ".join(_named(variant) for variant in listed.variants)
        add_row(table, (row["experiment_name"], row["experiment_id"], _status(listed), names))
    print_table(table)
    say(notes_console(), ("* control", "dim"))


@app.command()
def show(experiment: Experiment, *, output: Output = Format.TABLE) -> None:
    """Show one experiment, its variants and its changes."""
    from mab_pipeline.operations.experiments import (
        changes_in_words,
        find_experiment,
        options_in_words,
    )

    listed = find_experiment(load_settings(), experiment)
    if output is not Format.TABLE:
        _print_data([listed], output)
        return
    console, row = data_console(), listed.row
    say(console, (row["experiment_name"], "bold"), f" ({row['experiment_id']}): {row['status']}")
    if row["description"]:
        say(console, row["description"])
    start = f"; starts on {row['start_date']}" if row["start_date"] else ""
    say(console, f"registered {row['created_at']:%Y-%m-%d %H:%M:%S} UTC{start}")
    for variant in listed.variants:
        retired = "" if variant["status"] == "active" else f" ({variant['status']})"
        say(console, f"  {_named(variant)}{retired}")
    if row["decision"]:
        say(console, options_in_words(row["decision"]))
    for text in changes_in_words(listed.changes):
        say(console, text)
    for name, error in listed.errors.items():
        say(notes_console(), ("not used:", "yellow"), f" {name} {error}")


@app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Never changes; the id follows.")],
    *,
    control: Annotated[str, typer.Option(metavar="VARIANT", help="The control.")],
    variant: Annotated[
        list[str], typer.Option(metavar="VARIANT", help="Another one; give it again for more.")
    ],
    description: Annotated[str | None, typer.Option(help="For people.")] = None,
    start: Annotated[
        datetime | None,
        typer.Option("--start-date", formats=DAY, help="First day that is decided."),
    ] = None,
) -> None:
    """Register an experiment; the same again changes nothing."""
    from mab_pipeline.operations.experiments import create as register

    variants = [{"name": control, "is_control": True}, *({"name": other} for other in variant)]
    body = {"name": name, "variants": variants, "start_date": to_date(start)}
    made = register(load_settings(), body | {"description": description})
    state = "registered" if made.is_new else "registered already, with the same body"
    say(notes_console(), f"{name} ({made.event.experiment_id}) is {state}.")


@app.command()
def pause(experiment: Experiment, *, reason: Reason = None, by: By = None) -> None:
    """Pause from tomorrow on: what was published last stays, frozen."""
    _change(experiment, reason, by, status="paused")


@app.command()
def resume(experiment: Experiment, *, reason: Reason = None, by: By = None) -> None:
    """Run a paused experiment again, from tomorrow on."""
    _change(experiment, reason, by, status="running")


@app.command()
def finish(experiment: Experiment, *, reason: Reason = None, by: By = None) -> None:
    """Finish for good, from tomorrow on."""
    _change(experiment, reason, by, status="finished")


@app.command()
def add_variant(
    experiment: Experiment, variants: Variants, *, reason: Reason = None, by: By = None
) -> None:
    """Add variants, or take retired ones in again, from tomorrow on."""
    _change(experiment, reason, by, add_variants=variants)


@app.command()
def retire_variant(
    experiment: Experiment, variants: Variants, *, reason: Reason = None, by: By = None
) -> None:
    """Retire variants from tomorrow on: no share, no buckets; their counts stay."""
    _change(experiment, reason, by, retire_variants=variants)


def _change(experiment: str, reason: str | None, by: str | None, **what: object) -> None:
    from mab_pipeline.operations.experiments import change_experiment, changes_in_words

    body = {"reason": reason, "changed_by": by if by is not None else _login_name(), **what}
    made = change_experiment(load_settings(), experiment, body)
    (text,) = changes_in_words([made.event])
    say(notes_console(), f"{experiment} {text}" + ("" if made.is_new else " (stored already)"))


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        raise UsageError("This login has no name; give --by NAME.") from None


def _status(listed: "Listed") -> str:
    from mab_pipeline.operations.experiments import changes_in_words
    from mab_store.clock import utc_now

    ahead = listed.ahead(utc_now().date())
    return "; ".join([listed.row["status"], *changes_in_words(ahead, is_brief=True)])


def _named(variant: dict[str, Any]) -> str:
    return str(variant["variant_name"]) + (" *" if variant["is_control"] else "")


def _print_data(found: list["Listed"], output: Format) -> None:
    if output is Format.CSV:
        print_csv(CSV_COLUMNS, _csv_rows(found))
    else:
        print_json([_document(listed) for listed in found])


def _csv_rows(found: list["Listed"]) -> Iterator[dict[str, Any]]:
    for listed in found:
        for variant in listed.variants:
            yield listed.row | {
                "variant_name": variant["variant_name"],
                "is_control": variant["is_control"],
                "variant_status": variant["status"],
            }


def _document(listed: "Listed") -> dict[str, Any]:
    row = {name: listed.row[name] for name in COLUMNS}
    if row["start_date"]:
        row["start_date"] = str(row["start_date"])
    variants = [
        {"name": v["variant_name"], "is_control": v["is_control"], "status": v["status"]}
        for v in listed.variants
    ]
    changes = [
        event.model_dump(mode="json", exclude={"experiment_id"}, exclude_defaults=True)
        | {"effective_date": str(event.effective_date)}
        for event in listed.changes
    ]
    decision = json.loads(listed.row["decision"] or "null")
    return row | {"variants": variants, "decision": decision, "changes": changes}
