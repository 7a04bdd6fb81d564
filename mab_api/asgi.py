"""`uvicorn mab_api.asgi:app`: the app, built from the settings of the environment.

Without API_WRITE_KEYS it takes no writes.
"""

import gc
import logging
import sys

from mab_api.app import create_app
from mab_api.server.stopping import Watchdog
from mab_api.telemetry import make_log
from mab_store.errors import SettingsError
from mab_store.settings import load_settings

try:
    settings = load_settings()
    watchdog = Watchdog(settings.api_shutdown_seconds, make_log(sys.stderr.buffer))
    app = create_app(settings, on_start=watchdog.listen)
except SettingsError as error:
    print(f"mab: {error}", file=sys.stderr)
    raise SystemExit(error.exit_code) from None

if "mab_api.server.protocol" not in sys.modules:  # uvicorn loads its protocol first
    print(
        "mab: uvicorn alone has no limits for slow or greedy clients; `mab api` has. See "
        "docs/API.md, Limits.",
        file=sys.stderr,
    )

# Our own log line has the same content and the request id.
logging.getLogger("uvicorn.access").disabled = True

gc.freeze()  # as in `__main__.py`
