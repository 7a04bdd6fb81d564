"""`uvicorn mab_api.main:app`: the app of the environment's settings; it takes no writes without
API_WRITE_KEYS.

What belongs here: `app`. What does not: anything else; nobody imports this module.
"""  # noqa: D205  # the first sentence takes two lines

import gc
import logging
import sys

from mab_api.app import create_app
from mab_store.errors import SettingsError
from mab_store.settings import load_settings

try:
    app = create_app(load_settings())
except SettingsError as error:
    print(f"mab: {error}", file=sys.stderr)
    raise SystemExit(error.exit_code) from None

# Our own line says the same and has the request id.
logging.getLogger("uvicorn.access").disabled = True

gc.freeze()  # as in `__main__.py`
