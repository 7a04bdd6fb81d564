"""The client: what the caller's path gives, whatever it is asked and whatever is away."""

import json
import os
import threading

import httpx
import pytest

from mab_client import Assignment, Client, MemorySticky, bucket
from mab_client.document import DocumentError
from tests.unit.client.conftest import RANGES, answer, experiment, listed, wait_until

AWAY = "http://127.0.0.1:9"
BODY = listed(experiment("one"), experiment("two"))


def session_of(variant: str, experiment_id: str = "exp_one") -> str:
    """Return a session whose bucket belongs to this variant."""
    wanted = {number for first, last in RANGES[variant] for number in range(first, last + 1)}
    return next(f"s{n}" for n in range(10_000) if bucket(experiment_id, f"s{n}") in wanted)


@pytest.fixture
def start():
    clients = []

    def starting(url=AWAY, **options):
        clients.append(Client(url, **options))
        return clients[-1]

    yield starting
    for client in clients:
        client.close()


def test_a_session_sees_the_variant_of_its_bucket_by_id_and_by_name(start):
    client = start(bootstrap=BODY)
    for variant in ("control", "variant_a", "variant_b"):
        session = session_of(variant)
        expected = Assignment("exp_one", variant, "allocation", "alc_one")
        assert client.assign("exp_one", session) == expected
        assert client.assign("one", session) == expected


def test_before_the_first_answer_the_default_is_given(start):
    client = start(default="control", defaults={"hero": "plain"})
    assert client.assign("exp_one", "s") == ("exp_one", "control", "default", None)
    assert client.assign("hero", "s").variant == "plain"
    assert client.assign("hero", "s", default="own").variant == "own"
    assert start().assign("exp_one", "s").variant is None
    assert client.status().origin is None
    assert client.status().is_stale


class Hostile(str):
    """A text that cannot be hashed."""

    __slots__ = ()

    def __hash__(self):
        raise RuntimeError("no hash")


@pytest.mark.parametrize("session", ["", None, 7, b"s", "\ud800", [], object()])
def test_a_session_without_a_name_gets_the_control(start, session):
    client = start(bootstrap=BODY)
    assert client.assign("one", session) == ("exp_one", "control", "control", "alc_one")


@pytest.mark.parametrize("asked", [None, 3, [], Hostile("one")])
def test_an_experiment_that_is_no_text_raises_nothing(start, asked):
    assert start(bootstrap=BODY, default="control").assign(asked, "s").variant == "control"


def test_a_bad_address_bootstrap_or_period_is_refused_at_once():
    with pytest.raises(DocumentError):
        Client(AWAY, bootstrap="{}")
    with pytest.raises(httpx.InvalidURL):
        Client("http://host:port")
    for seconds in (0, 0.99, float("nan")):
        with pytest.raises(ValueError, match="poll_seconds"):
            Client(AWAY, poll_seconds=seconds)


def test_the_bootstrap_may_be_a_document_that_was_read(start):
    assert start(bootstrap=json.loads(BODY)).status().experiments == 2


def test_the_file_of_an_earlier_process_comes_before_the_bootstrap(start, server, tmp_path):
    server.answers = [answer(200, listed(experiment("kept")), ETag='"v1"')]
    path = tmp_path / "mab.json"
    first = start(server.url, cache_file=path)
    assert first.wait_until_ready(60)
    first.close()
    second = start(cache_file=path, bootstrap=BODY)
    assert second.status().origin == "file"
    assert second.assign("kept", "s").source == "allocation"
    assert second.assign("one", "s").source == "default"


def test_the_next_process_asks_with_the_name_of_the_kept_list(start, server, tmp_path):
    server.answers = [answer(200, BODY, ETag='"v1"'), answer(304)]
    first = start(server.url, cache_file=tmp_path / "mab.json", clock=lambda: 1000.0)
    assert first.wait_until_ready(60)
    first.close()
    second = start(server.url, cache_file=tmp_path / "mab.json", clock=lambda: 2000.0)
    assert second.status().experiments == 2
    wait_until(lambda: second.status().age_seconds == 0)
    second.close()
    assert server.asked[-1]["If-None-Match"] == '"v1"'
    third = start(cache_file=tmp_path / "mab.json", clock=lambda: 2007.0)
    assert third.status().age_seconds == 7


def test_a_damaged_file_is_passed_over_with_a_warning(start, tmp_path, caplog):
    (tmp_path / "mab.json").write_text("{")
    client = start(cache_file=tmp_path / "mab.json", bootstrap=BODY)
    assert client.status().origin == "bootstrap"
    assert "cannot be used" in caplog.text


def test_a_session_keeps_its_variant_while_that_is_live(start):
    sticky = MemorySticky()
    session = session_of("variant_b")
    assert start(bootstrap=BODY, sticky=sticky).assign("one", session).variant == "variant_b"
    moved = {"control": [[0, 99]], "variant_b": []}
    client = start(bootstrap=listed(experiment("one", moved)), sticky=sticky)
    assert client.assign("one", session) == ("exp_one", "variant_b", "sticky", "alc_one")
    retired = listed(experiment("one", {"control": [[0, 99]], "variant_c": []}))
    assert start(bootstrap=retired, sticky=sticky).assign("one", session).variant == "control"
    assert client.assign("one", session).variant == "control"  # it was kept in its turn


class Broken:
    """A store that is away."""

    def get(self, *_):
        raise ConnectionError("redis is away")

    put = get


def test_a_store_that_fails_leaves_the_bucket_to_decide(start, caplog):
    client = start(bootstrap=BODY, sticky=Broken())
    for _ in range(3):
        assert client.assign("one", session_of("variant_a")).variant == "variant_a"
    assert caplog.text.count("redis is away") == 1


def test_the_memory_of_sessions_is_bounded_and_keeps_those_in_use():
    sticky = MemorySticky(most=2)
    sticky.put("e", "old", "a")
    sticky.put("e", "used", "a")
    assert sticky.get("e", "old") == "a"
    sticky.put("e", "new", "b")
    assert sticky.get("e", "used") is None
    assert (sticky.get("e", "old"), sticky.get("e", "new")) == ("a", "b")


def test_assignments_reach_the_callback_by_the_time_the_client_is_closed(start):
    taken = []
    client = start(bootstrap=BODY, on_exposures=taken.extend)
    session = session_of("variant_a")
    client.assign("one", session)
    client.assign("nothing", "s")
    client.close()
    assert [(one.experiment_id, one.session_id, one.variant, one.source) for one in taken] == [
        ("exp_one", session, "variant_a", "allocation"),
        ("nothing", "s", None, "default"),
    ]


def test_a_child_process_asks_by_itself(start, server):
    server.answers = [answer(200, BODY)]
    client = start(server.url)
    assert client.wait_until_ready(60)
    server.answers = [answer(200, listed(experiment("later")))]
    child = os.fork()
    if child == 0:  # pragma: no cover - another process
        known = threading.Event()
        for _ in range(600):
            if client.assign("later", "s").source == "allocation":
                known.set()
                break
            known.wait(0.1)
        os._exit(0 if known.is_set() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
