"""The API on Snowflake, over the wire: the bodies of DuckDB, and what happens when it is away."""

import io
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any

import orjson
import pandas as pd
import pytest
from starlette.testclient import TestClient

from mab_api.app import create_app
from mab_store.experiments.registration import register
from mab_store.experiments.schemas import ExperimentSpec, VariantSpec, experiment_id_of
from mab_store.settings import Settings
from tests.snowflake.conftest import START_SECONDS
from tests.snowflake.door import Door
from tests.snowflake.wire import Refusal, serving
from tests.snowflake.worlds import World

needs_street = pytest.mark.emulator_only("an account cannot be closed, slowed down or listened to")

DAY = "2025-02-20"
HISTORY = "/experiments/{}/history"
ALLOCATION = "/experiments/{}/allocation"


class Street(Door):
    """The way to Snowflake: it can be closed, or be slow for some statements."""

    def again(self) -> None:
        """Forget what was asked, and let everybody through."""
        self.is_closed, self.hung = False, None
        self.refused_login = self.refused_statement = None
        self.logins.clear()
        self.statements.clear()


class Api:
    """A running app, its client and its log."""

    def __init__(self, settings: Settings, clock: Any) -> None:
        self.log = io.BytesIO()
        self.app = create_app(settings, clock=clock, log_stream=self.log)
        self.client = TestClient(self.app)

    @property
    def refresher(self):
        return self.app.state.serving.refresher

    def refresh(self) -> bool:
        return self.refresher.poll()

    def get(self, path: str):
        return self.client.get(path)

    def warnings(self) -> list[dict[str, Any]]:
        lines = [orjson.loads(line) for line in self.log.getvalue().splitlines()]
        return [line for line in lines if line["level"] == "warning"]


@contextmanager
def running(settings: Settings, clock: Any) -> Iterator[Api]:
    """Run the API; it looks for publications only when told to."""
    api = Api(settings.model_copy(update={"api_refresh_seconds": 3600.0}), clock)
    with api.client:
        assert api.refresher.looked.wait(120)
        yield api


@pytest.fixture(scope="module")
def worlds(make_worlds) -> tuple[World, World]:
    """Both engines with five experiments, one of which has no counts yet, after a run."""
    both = make_worlds(mab_start_date=date(2025, 2, 19))
    names = [f'Größe "{number}" ☃' for number in range(5)]
    for world in both:
        for name in names:
            variants = [VariantSpec(name="control", is_control=True), VariantSpec(name="b ☃")]
            spec = ExperimentSpec(name=name, variants=variants, start_date=date(2025, 2, 19))
            register(world.platform.inbox, spec, now=world.clock())
        for day in ("2025-02-19", DAY):
            rows = [
                {"experiment": experiment_id_of(name), "variant_name": variant,
                 "impressions": 1_000 * place + 7, "clicks": 31 * place + len(variant)}
                for place, name in enumerate(names[1:], 1)
                for variant in ("control", "b ☃")
            ]  # fmt: skip
            world.drop(f"metrics/{day}/counts.csv", pd.DataFrame(rows).to_csv(index=False))
        world.run(DAY)
    return both


@pytest.fixture(scope="module")
def street(emulator) -> Iterator[Street]:
    with serving(Street(emulator)) as street:
        yield street
        street.go_on.set()


@pytest.fixture
def flake(worlds, street) -> Iterator[Settings]:
    """Settings by which the API gets to Snowflake through the street."""
    street.again()
    yield worlds[1].settings.model_copy(update={"snowflake_url": street.url})
    street.again()


@pytest.fixture
def api(worlds, flake, street) -> Iterator[Api]:
    now = worlds[1].clock.now
    with running(flake, lambda: now) as api:
        assert api.get("/readyz").status_code == 200
        street.logins.clear()
        street.statements.clear()
        yield api


@pytest.fixture
def seconds(api) -> dict[str, float]:
    """The clock of the line."""
    clock = {"now": api.refresher._source._line._clock()}
    api.refresher._source._line._clock = lambda: clock["now"]
    return clock


def first_of(api: Api) -> str:
    return api.get("/allocations").json()["experiments"][0]["experiment_id"]


def test_every_body_is_that_of_duckdb(worlds):
    now = worlds[0].clock.now
    assert worlds[1].clock.now == now
    duckdb, snowflake = (running(world.settings, lambda: now) for world in worlds)
    with duckdb as duck, snowflake as snow:
        listed = duck.get("/allocations")
        ids = [body["experiment_id"] for body in listed.json()["experiments"]]
        assert len(ids) > 3
        paths = ["/allocations", "/experiments", "/experiments?limit=2"]
        for one in (ALLOCATION, HISTORY, "/experiments/{}", "/experiments/{}/allocations"):
            paths += [one.format(name) for name in ids[:4]]
        for path in paths:
            expected, found = duck.get(path), snow.get(path)
            assert (found.status_code, found.content) == (200, expected.content), path
            assert found.headers.get("etag") == expected.headers.get("etag")
        assert expected.json()["publications"]


@needs_street
def test_nothing_is_asked_but_the_version_while_nothing_is_published(api, street):
    for _ in range(5):
        assert api.refresh()
    assert street.logins == []
    assert {" ".join(text.split()) for text in street.statements} == {
        "select max(version) as version from served_versions"
    }


@needs_street
def test_a_publication_is_read_over_a_second_connection_that_is_closed_again(api, street, worlds):
    before = api.refresher._version
    worlds[1].platform.warehouse.publish_copy()
    street.logins.clear()
    assert api.refresh()
    assert api.refresher._version != before
    assert len(street.logins) == 1
    assert api.get("/readyz").status_code == 200


@needs_street
def test_snowflake_away_means_old_answers_and_one_login_a_pause(api, street, seconds):
    name = first_of(api)
    good = api.get(ALLOCATION.format(name))
    connected = api.refresher._source._line._connect
    attempts = []
    api.refresher._source._line._connect = lambda: attempts.append(1) or connected()
    street.is_closed = True
    for _ in range(6):
        assert not api.refresh()
        assert api.get(ALLOCATION.format(name)).content == good.content
        assert api.get(HISTORY.format(name)).status_code == 503
    assert len(attempts) == 1  # the first look broke the open connection, the history tried anew
    (warning,) = [line for line in api.warnings() if line["event"] == "refresh failed"]
    assert "cannot be reached" in str(warning["reason"])

    street.is_closed = False
    assert not api.refresh()  # not yet
    seconds["now"] += 3601
    assert api.refresh()
    assert api.get(HISTORY.format(name)).status_code == 200
    assert len(attempts) == 2


@needs_street
def test_a_slow_history_is_503_and_delays_no_allocation(api, street):
    api.refresher._source._line._open.connection._socket_timeout = 2
    name = first_of(api)
    street.hung = "served_metrics"
    answers = []
    asking = threading.Thread(target=lambda: answers.append(api.get(HISTORY.format(name))))
    asking.start()
    deadline = time.monotonic() + START_SECONDS
    while asking.is_alive():
        assert time.monotonic() < deadline, "the history is not given up"
        assert api.get(ALLOCATION.format(name)).status_code == 200
        asking.join(0.2)
    assert answers[0].status_code == 503
    assert answers[0].json()["type"] == "urn:mab:problem:history-unavailable"
    assert answers[0].headers["retry-after"]


@needs_street
def test_refused_credentials_are_one_sentence_and_one_login(worlds, flake, street):
    street.refused_login = Refusal("390100", "Incorrect username or password was specified.")
    with running(flake, lambda: worlds[1].clock.now) as api:
        for _ in range(3):
            assert not api.refresh()
        assert api.get("/allocations").status_code == 503
        assert api.get("/healthz").status_code == 200
    (warning,) = api.warnings()
    assert "correct SNOWFLAKE_USER and SNOWFLAKE_PASSWORD" in str(warning["reason"])
    assert len(street.logins) == 1
    assert b"correct-horse-battery" not in api.log.getvalue()


@needs_street
def test_a_missing_grant_is_the_childs_sentence_and_the_old_answers_go_on(api, street, worlds):
    name = first_of(api)
    good = api.get(ALLOCATION.format(name)).content
    street.refused_statement = ("with chosen", Refusal("003001", "Insufficient privileges"))
    worlds[1].platform.warehouse.publish_copy()
    assert not api.refresh()
    assert api.get(ALLOCATION.format(name)).content == good
    (warning,) = api.warnings()
    assert "grant as in sql/schema/03_grants.sql" in str(warning["reason"])
    street.refused_statement = None
    assert api.refresh()


@needs_street
def test_no_secret_is_logged(worlds, flake, street):
    secret = flake.snowflake_password.get_secret_value()
    with running(flake, lambda: worlds[1].clock.now) as api:
        street.is_closed = True
        api.refresh()
        api.get(HISTORY.format(first_of(api)))
    assert api.log.getvalue()
    assert secret.encode() not in api.log.getvalue()


def test_before_the_first_publication_it_says_so(make_settings, tmp_path, worlds):
    settings = make_settings(tmp_path)
    World(settings)  # its tables
    with running(settings, lambda: worlds[1].clock.now + timedelta(days=1)) as api:
        assert api.get("/readyz").status_code == 503
    assert re.match(r"Nothing is published in mab_test_\w+\.", str(api.warnings()[0]["reason"]))
