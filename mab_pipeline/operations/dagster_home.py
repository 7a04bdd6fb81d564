"""The homes of a command: MAB_HOME with its folders, and Dagster's instance."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from filelock import FileLock
from sqlalchemy.exc import DBAPIError
from upath import UPath

from mab_pipeline.resources import Platform, build_platform, inbox_fault
from mab_pipeline.runs.failures import leave_advice
from mab_pipeline.runs.liveness import fail_dead_runs
from mab_store.atomic_files import make_folders
from mab_store.errors import HomeError
from mab_store.files.entries import local_path, store_errors
from mab_store.settings import Settings

DAGSTER_YAML = """\
# Dagster's settings for one machine; `mab init` wrote it and never overwrites it.
telemetry:
  enabled: false
nux:
  enabled: false  # its dialog would cover the lineage
run_monitoring:
  enabled: true  # a run that never began (power cut) fails; otherwise the sensor waits for it
"""


def prepare_home(settings: Settings, *, makes_inbox: bool = False) -> None:
    """Create the folders of MAB_HOME and set DAGSTER_HOME.

    Args:
        settings: The settings.
        makes_inbox: Whether the folder of MAB_INBOX is made if it is missing.

    Raises:
        HomeError: MAB_HOME cannot be written, or the folder of MAB_INBOX is missing.
    """
    if not makes_inbox and (fault := inbox_fault(settings)):
        raise HomeError(fault)
    home = settings.mab_home
    dagster_home = os.environ.setdefault("DAGSTER_HOME", str(home / "dagster"))
    try:
        for folder in ("published", "journal", "dagster"):
            make_folders(home / folder)
        config = home / "dagster" / "dagster.yaml"
        if dagster_home == str(config.parent) and not config.exists():
            config.write_text(DAGSTER_YAML, "utf-8")
        if (inbox := local_path(settings.inbox_root)) is not None:
            make_folders(inbox)
        else:
            _find_bucket(settings.inbox_root)
    except OSError as error:
        raise HomeError(
            f"MAB_HOME {home} cannot be written: {error.strerror or error}. "
            "Set MAB_HOME to a folder that you own, or free space there."
        ) from None


def _find_bucket(inbox: UPath) -> None:
    """Check that the bucket of an inbox is there: one that is missing would look like no files.

    Raises:
        HomeError: It is not, or its store does not answer.
    """
    try:
        with store_errors():
            if inbox.drive:
                inbox.fs.info(inbox.drive)
    except FileNotFoundError:
        raise HomeError(
            f"MAB_INBOX={inbox}: there is no bucket {inbox.drive}, or this login may not list it. "
            "Correct MAB_INBOX, make the bucket, or grant the right."
        ) from None
    except OSError as error:
        raise HomeError(f"MAB_INBOX={inbox} cannot be reached: {error}.") from None


def prepared_platform(settings: Settings, *, makes_inbox: bool = False) -> Platform:
    """Create the folders of MAB_HOME and open the shared resources.

    Raises:
        HomeError: MAB_HOME cannot be written, or the folder of MAB_INBOX is missing.
    """
    prepare_home(settings, makes_inbox=makes_inbox)
    return build_platform(settings)


@contextmanager
def dagster_instance() -> Iterator[dg.DagsterInstance]:
    """Open the instance of DAGSTER_HOME; runs whose process died are marked as failed first.

    Raises:
        HomeError: Dagster's storage cannot be read or written, as on a full disk.
    """
    try:
        with _opened() as instance:
            fail_dead_runs(instance)
            leave_advice(instance)
            yield instance
    except DBAPIError as error:
        raise HomeError(
            f"Dagster's records in {os.environ.get('DAGSTER_HOME')} cannot be used ({error.orig}). "
            "Committed data is intact, and published allocations are still served. Free space "
            "there, or start its database, and run it again."
        ) from None


def _opened() -> dg.DagsterInstance:
    """Open the instance, one process at a time: the first creates Dagster's tables.

    Two processes that create them at once in SQLite fail (`table … already exists`).
    """
    home = Path(os.environ["DAGSTER_HOME"])
    if not home.is_dir():
        raise HomeError(
            f"DAGSTER_HOME={home} is not a folder. Make it and put a dagster.yaml there "
            "(deploy/dagster.yaml is one), or unset it: MAB_HOME/dagster is then used."
        )
    try:
        with FileLock(home / ".opening.lock"):
            return dg.DagsterInstance.get()
    except OSError as error:
        raise HomeError(
            f"DAGSTER_HOME {home} cannot be written: {error.strerror or error}. Set it to a "
            "folder that you own, or free space there."
        ) from None
