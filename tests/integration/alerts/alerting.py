"""What the tests of alerts share: a webhook that really listens, and what the daemon does."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import dagster as dg

from mab_pipeline.alerts.throttle import Memory
from mab_pipeline.definitions import build_defs
from mab_pipeline.sensors import alert_sensor

DAY = "2025-03-19"
SECRET = "T0PSECRET"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        self.server.heard(self)

    def log_message(self, *_):
        """Say nothing."""


class Webhook(ThreadingHTTPServer):
    """A webhook that keeps what it gets and answers what the test says; None: nothing."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.is_over = threading.Event()
        self.reset()

    def reset(self) -> None:
        self.got: list[dict[str, object]] = []
        self.asked = 0
        self.status: int | None = 200

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/services/{SECRET}"

    def heard(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["Content-Length"]))
        status = self.status
        self.asked += 1
        if status is None:
            self.is_over.wait(60)
            return
        if status == 200:
            assert request.headers["Content-Type"] == "application/json"
            self.got.append(json.loads(body))
        request.send_response(status)
        if status == 302:
            request.send_header("Location", "/elsewhere")
        request.end_headers()


@contextmanager
def listening() -> Iterator[Webhook]:
    with Webhook() as webhook:
        threading.Thread(target=webhook.serve_forever, daemon=True).start()
        try:
            yield webhook
        finally:
            webhook.is_over.set()
            webhook.shutdown()


class Daemon:
    """What the daemon does with the alert sensor, on the instance of a world."""

    def __init__(self, world) -> None:
        self.world = world
        self.cursor = None
        self.defs = build_defs(platform=world.platform)

    def tick(self) -> str:
        context = dg.build_sensor_context(
            instance=self.world.instance,
            cursor=self.cursor,
            resources={"platform": self.world.platform},
        )
        data = alert_sensor.evaluate_tick(context)
        assert not data.run_requests
        self.cursor = data.cursor
        return data.skip_message

    @property
    def memory(self) -> Memory:
        return Memory.read(self.cursor)

    def settle(self) -> None:
        """Look at what there is and tell it, then begin as if nobody had been told lately."""
        self.tick()
        memory = self.memory
        memory.told, memory.waiting = {}, {}
        self.cursor = memory.model_dump_json()


def fail_run(world, *, day: str = DAY, message: str = "It was ended.", job=None) -> str:
    """Enter a failed run in Dagster's records."""
    run = world.instance.create_run_for_job(job or world.job, tags={"dagster/partition": day})
    world.instance.report_run_failed(run, message)
    return run.run_id
