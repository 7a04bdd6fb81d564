"""`python -m mab_api [--dev]`: the server that `mab api` starts."""

import argparse
import gc
import sys

import uvicorn

from mab_api.app import create_app
from mab_api.server.limits import BACKLOG
from mab_api.server.protocol import LimitedProtocol
from mab_api.server.stopping import Watchdog
from mab_api.telemetry import make_log
from mab_store.errors import SettingsError
from mab_store.settings import Settings, load_settings

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def main() -> int:
    """Serve until interrupted; return the exit code."""
    parser = argparse.ArgumentParser(prog="mab api", description=__doc__)
    parser.add_argument(
        "--dev", action="store_true", help="take POSTs without a key; loopback only"
    )
    is_dev = parser.parse_args().dev
    try:
        settings = load_settings()
        _check_address(settings, is_dev=is_dev)
        watchdog = Watchdog(settings.api_shutdown_seconds, make_log(sys.stderr.buffer))
        app = create_app(settings, is_dev=is_dev, on_start=watchdog.listen)
    except SettingsError as error:
        _say(f"mab: {error}")
        return error.exit_code
    host = f"[{settings.api_host}]" if ":" in settings.api_host else settings.api_host
    address, mode = f"http://{host}:{settings.api_port}", _mode(settings, is_dev=is_dev)
    _say(f"mab api: {address} serves {_place(settings)} {mode}")
    most = app.state.serving.turnstile.fit_descriptors()
    if most < settings.api_max_connections:
        _say(f"mab api: takes {most} connections at most; `ulimit -n` allows no more")
    config = uvicorn.Config(
        app,
        host=settings.api_host,
        port=settings.api_port,
        http=LimitedProtocol,
        ws="none",
        backlog=BACKLOG,
        proxy_headers=False,  # no code reads the client's address
        timeout_graceful_shutdown=max(1, int(settings.api_shutdown_seconds * 0.8)),
        access_log=False,
        log_level="warning",
        server_header=False,
    )
    gc.freeze()  # loaded objects stay; scanning them takes the collector 0.1 s
    try:
        uvicorn.Server(config).run()
    except SystemExit:  # the port is taken, and uvicorn has reported it
        return 1
    return 0


def _check_address(settings: Settings, *, is_dev: bool) -> None:
    if is_dev and settings.api_host not in LOOPBACK:
        raise SettingsError(
            f"API_HOST={settings.api_host}: with --dev every client may write, so it listens "
            "on 127.0.0.1 only. Unset API_HOST, or set API_WRITE_KEYS and drop --dev."
        )


def _place(settings: Settings) -> str:
    if settings.mab_engine == "snowflake":
        return f"Snowflake's {settings.snowflake_database}.{settings.snowflake_schema}"
    return str(settings.mab_home)


def _mode(settings: Settings, *, is_dev: bool) -> str:
    if is_dev:
        return "and takes POSTs without a key (--dev); try /docs"
    if settings.api_write_keys:
        return "and takes POSTs with a key"
    return "read-only (no API_WRITE_KEYS)"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
