"""The progress of a run on a terminal, and its outcome in lines."""

from typing import Any

from rich.console import Console
from rich.status import Status

from mab_pipeline.cli.console import notes_console, say, words
from mab_pipeline.operations.run import (
    FailedCheck,
    FinishedRun,
    Progress,
    Published,
    RunFailedError,
    run_days,
)
from mab_pipeline.operations.run_verdicts import REMEDIES, RunVerdicts
from mab_pipeline.resources import Platform
from mab_store.days import Days
from mab_store.errors import MabError
from mab_store.how_many import how_many


def run_and_show(platform: Platform, days: Days, **options: Any) -> FinishedRun:
    """Run days as `run_days` does; print progress, failed checks and publications to stderr.

    Raises:
        RunFailedError: A step failed.
    """
    console = notes_console()
    try:
        finished = run_days(platform, days, follow=_Display(console).show, **options)
    except RunFailedError as error:
        _print_failed_checks(error.failed_checks, console)
        raise
    _print_failed_checks(finished.failed_checks, console)
    if finished.published:
        say(console, _summary(finished.published))
    return finished


class _Display:
    """Show the step at work, a line per finished asset, and notes of the run."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status = Status("starting", console=console)

    def show(self, progress: Progress) -> None:
        """Show one report of a run."""
        if progress.kind == "note":
            say(self._console, progress.text)
        elif progress.kind == "started":
            self._status.update(words(f"{progress.text} …"))
            self._status.start()
        elif progress.kind == "ended":
            self._status.stop()
        elif not progress.text.endswith("_checks"):
            seconds = (f"{progress.seconds:.1f} s", "dim")
            say(self._console, ("✓", "green"), f" {progress.text} ", seconds)


def _print_failed_checks(failed: tuple[FailedCheck, ...], console: Console) -> None:
    for check in failed:
        mark = ("warning", "yellow") if check.is_warning else ("check failed", "red")
        text = f" {check.name}: {check.count} found, the newest: {check.newest}"
        say(console, mark, text)


def show_verdicts(verdicts: RunVerdicts) -> None:
    """Print the rejected rows of a run and the remedies to stderr."""
    console = notes_console()
    for found in verdicts.rejections:
        text = f" {how_many(found.row_count, 'row')} ({found.reason}), such as {found.examples[0]}"
        say(console, ("rejected:", "yellow"), text)
        say(console, f"  {REMEDIES[found.reason]}")


def check_days_count(verdicts: RunVerdicts) -> None:
    """Check that each day with rows has one that was not rejected.

    Raises:
        MabError: Every row of a day was rejected.
    """
    if lost := verdicts.lost_days:
        more = f" and {how_many(len(lost) - 1, 'more day')}" if len(lost) > 1 else ""
        raise MabError(f"Every row of {lost[0]}{more} was rejected; see the reasons above.")


def _summary(published: Published) -> str:
    held, accepted = published.held_back, published.accepted_gaps
    before = published.unchanged_count
    return (
        f"Published {how_many(published.row_count, 'allocation')}, "
        f"{before} {'was' if before == 1 else 'were'} published before"
        + (f"; held back now: {', '.join(held)}" if held else "")
        + (f"; with a gap that was accepted: {', '.join(accepted)}" if accepted else "")
        + "."
        + (" `mab allocations` shows the published shares." if published.is_any else "")
    )
