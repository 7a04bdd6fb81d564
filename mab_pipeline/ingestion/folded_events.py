"""Folded events: after a run has published, old event files become a segment if there are many."""

import time

from filelock import FileLock, Timeout

from mab_pipeline.ingestion.loaders import EVENTS
from mab_pipeline.resources import Platform
from mab_store.files.folding import fold

FOLDERS_KEPT = 1_000
"""As long as no more experiments than this have loose files, nothing is folded."""
AGE_SECONDS = 3600.0
"""A younger file stays loose: whoever added it may still be looking at it."""


def fold_old_events(platform: Platform) -> int:
    """Fold event files that a run has loaded; return how many. A folding at work is left alone.

    Raises:
        InboxError: A segment is damaged.
        OSError: The inbox cannot be written.
    """
    if not platform.inbox.has_loose_folders(FOLDERS_KEPT):
        return 0
    try:
        with FileLock(platform.settings.mab_home / ".folding.lock", timeout=0):
            with platform.warehouse.reading() as queries:
                rows = queries.fetch_arrow("ledger/undated_files", EVENTS).to_pylist()
            loaded = {row["source_file"]: row["sha256"] for row in rows if row["error"] is None}
            return fold(platform.inbox, loaded, arrived_before=time.time() - AGE_SECONDS)
    except Timeout:
        return 0
