"""Write docs/openapi.json, the committed OpenAPI document.

python -m tools.write_openapi
"""

from pathlib import Path

import orjson

from mab_api.app import create_app
from mab_store.settings import Settings

TARGET = Path(__file__).resolve().parent.parent / "docs" / "openapi.json"


def main() -> None:
    """Write the document of the app with default settings."""
    document = create_app(Settings(_env_file=None)).openapi()
    options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    TARGET.write_bytes(orjson.dumps(document, option=options))


if __name__ == "__main__":
    main()
