"""Write folded event files back as single ones: `python -m mab_pipeline.operations.unfold`.

For an older version of mab, which knows no segments (docs/UPGRADE.md).
"""

import sys

from mab_pipeline.resources import build_platform
from mab_store.errors import MabError
from mab_store.files.folding import unfold
from mab_store.how_many import how_many
from mab_store.settings import load_settings


def main() -> int:
    """Unfold the inbox of MAB_HOME while nothing else runs in it; return the exit code."""
    try:
        platform = build_platform(load_settings())
        with platform.lock.alone("unfold"):
            written = unfold(platform.inbox)
    except (MabError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    sys.stdout.write(f"{how_many(written, 'event file')} written; no segment is left.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
