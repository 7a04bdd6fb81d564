"""The `mab` command: assembles the verbs."""

import sys
from typing import Annotated

import typer

from mab_pipeline.cli.allocations import allocations
from mab_pipeline.cli.api import api
from mab_pipeline.cli.backtest import backtest
from mab_pipeline.cli.console import complain, data_console, say
from mab_pipeline.cli.dashboard import dashboard
from mab_pipeline.cli.demo import demo
from mab_pipeline.cli.doctor import doctor
from mab_pipeline.cli.experiments import app as experiments
from mab_pipeline.cli.explain import explain
from mab_pipeline.cli.import_ import import_
from mab_pipeline.cli.ingest import ingest
from mab_pipeline.cli.init import init
from mab_pipeline.cli.load import load
from mab_pipeline.cli.prune import prune
from mab_pipeline.cli.rebuild import rebuild
from mab_pipeline.cli.replay import replay
from mab_pipeline.cli.run import run
from mab_pipeline.cli.simulate import simulate
from mab_pipeline.cli.sources import sources
from mab_pipeline.cli.up import up
from mab_store.errors import MabError
from mab_store.version import mab_version


def _print_version(asked: bool) -> None:
    if asked:
        say(data_console(), f"mab {mab_version()}")
        raise typer.Exit


app = typer.Typer(
    name="mab",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
VERBS = (
    *(demo, up, init, import_, ingest, run, allocations, explain, replay),
    *(api, dashboard, doctor, load, rebuild, prune),
    *(simulate, backtest),
)


@app.callback()
def options(
    *,
    version: Annotated[  # its callback prints it
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print it, stop."),
    ] = False,
) -> None:
    """Batch multi-armed-bandit traffic allocation: tomorrow's shares from today's evidence."""


app.add_typer(experiments, name="experiments")
for verb in VERBS:
    app.command(verb.__name__.rstrip("_"))(verb)  # `import` is a word of Python
app.add_typer(sources)


def main() -> None:
    """Run a command; if it fails, print one sentence to stderr and end with its exit code."""
    try:
        app()
    except MabError as error:
        complain(error)
        sys.exit(error.exit_code)
