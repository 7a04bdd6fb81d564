"""The client and the real API: killed, restarted, republished, large, and over a simulated day."""

import random
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from mab_client import Client, bucket
from mab_client.polling import Poller
from mab_client.updater import Updater
from tests.integration.api.homes import Home
from tests.integration.api.servers import DEADLINE_SECONDS, free_port, serving
from tests.unit.client.conftest import wait_until

SESSIONS = [f"session-{number}" for number in range(300)]
PAGE = Path(__file__).parents[3] / "docs" / "CLIENTS.md"
DAY_SECONDS = 24 * 3600


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Home:
    home = Home(tmp_path_factory.mktemp("client") / "home")
    home.register()
    home.publish()
    return home


def split(body: dict, session: str) -> str:
    """Return the variant of a session as docs/API.md says."""
    number = bucket(body["experiment_id"], session)
    for allocation in body["allocations"]:
        for first, last in allocation["buckets"]:
            if first <= number <= last:
                return allocation["variant_name"]
    raise AssertionError(number)


def bodies(url: str) -> list[dict]:
    return httpx.get(f"{url}/allocations", timeout=DEADLINE_SECONDS).json()["experiments"]


def test_it_follows_publications_and_outlives_the_api(home, tmp_path):
    root, port = home.settings.mab_home, free_port()
    kept = tmp_path / "mab.json"
    with serving(root, port=port) as api:
        api.wait_for("/readyz")
        with Client(api.url, poll_seconds=1, cache_file=kept) as client:
            assert client.wait_until_ready(60)
            first = bodies(api.url)
            for body in first:
                for session in SESSIONS:
                    assigned = client.assign(body["experiment_id"], session)
                    assert assigned.variant == split(body, session)
                    assert assigned.allocation_id == body["allocation_id"]
            home.clock.now += timedelta(minutes=1)
            home.publish()
            names = {body["allocation_id"] for body in first}
            wait_until(lambda: client.assign("experiment_000", "s").allocation_id not in names)
            api.kill()
            wait_until(lambda: client.status().failures > 0)
            assert client.assign("experiment_000", "s").source == "allocation"
            assert client.status().experiments == 3
    with Client(api.url, cache_file=kept) as next_process:
        assert next_process.status().origin == "file"
        assert next_process.assign("experiment_000", "s").source == "allocation"


def test_the_example_of_the_page_runs(home, tmp_path, monkeypatch, capsys):
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    with serving(home.settings.mab_home) as api:
        api.wait_for("/readyz")
        known: dict[str, Any] = {}
        exec(example.replace("http://localhost:8000", api.url), known)
        known["client"].close()
    said = capsys.readouterr().out
    assert said.startswith("control default None\nStatus(experiments=3, origin='api'")
    assert (tmp_path / "mab-allocations.json").exists()


def test_a_key_that_is_refused_is_said_and_the_default_given(home):
    with serving(home.settings.mab_home, API_READ_KEYS="0" * 64) as api:
        api.wait_for("/healthz")
        with Client(api.url, key="wrong", default="control") as client:
            wait_until(lambda: client.status().failures > 0)
            assert client.status().last_error == "HTTP 403"
            assert client.assign("experiment_000", "s").variant == "control"


class Wire(httpx.BaseTransport):
    """The way to the real API, which a test can cut; counts the bodies that come through."""

    def __init__(self) -> None:
        self._real = httpx.HTTPTransport()
        self.is_cut = False
        self.asked = self.bodies = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        if self.is_cut:
            raise httpx.ConnectError("cut")
        response = self._real.handle_request(request)
        self.bodies += response.status_code == httpx.codes.OK
        return response

    def close(self) -> None:
        self._real.close()


def test_a_day_with_an_outage_of_six_hours(home):
    """The delays are added up, not waited for; the API is the real one."""
    wire, now = Wire(), 0.0
    with serving(home.settings.mab_home) as api:
        api.wait_for("/readyz")
        poller = Poller(api.url, None, 60, wire, jitter=random.Random(1).random)
        updater = Updater(None, None, lambda: now)
        counts = {True: 0, False: 0}
        while now < DAY_SECONDS:
            wire.is_cut = 6 * 3600 <= now < 12 * 3600
            counts[wire.is_cut] += 1
            now += updater.ask(poller)
            assert updater.document.experiments == 3
            if wire.is_cut:
                assert updater.last_error == "ConnectError: cut"
        poller.close()
    assert wire.bodies == 1  # everything else is a 304
    assert counts[False] == pytest.approx(18 * 60, rel=0.02)
    assert 6 * 3600 / 300 <= counts[True] <= 6 * 3600 / 150 + 10
    assert updater.failures == 0
    assert now - updater.confirmed_at < 70


def test_ten_thousand_experiments(tmp_path):
    home = Home(tmp_path / "home")
    ids = home.invent(10_000)
    home.publish(counts=False)
    with serving(home.settings.mab_home) as api:
        api.wait_for("/readyz")
        with Client(api.url) as client:
            assert client.wait_until_ready(60)
            assert client.status().experiments == 10_000
            by_id = {body["experiment_id"]: body for body in bodies(api.url)}
            for experiment_id in ids[::997]:
                for session in SESSIONS[:20]:
                    expected = split(by_id[experiment_id], session)
                    assert client.assign(experiment_id, session).variant == expected
