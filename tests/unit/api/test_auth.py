"""Keys: which headers open something, and how the others are answered."""

import hashlib

import pytest
from starlette.requests import Request
from starlette.routing import Route

from mab_api.auth import MAY_WRITE, KeyDoor, Keyring, check_may_write, dev_door
from mab_api.problems import Kind, ProblemError

KEYS = (b"first key", b"second-key")


@pytest.fixture
def ring() -> Keyring:
    return Keyring(hashlib.sha256(key).hexdigest() for key in KEYS)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("form", [b"Bearer %b", b"bearer %b", b"BEARER   %b ", b"bEaReR %b"])
def test_each_key_opens_however_the_scheme_is_written(ring, key, form):
    ring.check(form % key)


@pytest.mark.parametrize(
    "header",
    [None, b"", b"Bearer", b"Bearer ", b"Bearer   ", b"Basic first key", b"first key", b" first"],
)
def test_without_a_bearer_key_the_answer_asks_for_one(ring, header):
    with pytest.raises(ProblemError) as refused:
        ring.check(header)
    assert refused.value.kind == Kind.KEY_REQUIRED
    assert refused.value.detail == "Send the header `Authorization: Bearer <key>`."
    assert refused.value.headers == {"www-authenticate": 'Bearer realm="mab"'}


@pytest.mark.parametrize(
    "key",
    [
        b"First key",
        b"first",
        b"first key2",
        b"key first",
        hashlib.sha256(KEYS[0]).hexdigest().encode(),  # the digest is no key
        hashlib.sha256(KEYS[0]).digest(),
        b"\xff\xfe",
    ],
)
def test_another_key_is_refused_in_a_sentence_that_does_not_repeat_it(ring, key):
    with pytest.raises(ProblemError) as refused:
        ring.check(b"Bearer " + key)
    assert refused.value.kind == Kind.KEY_REFUSED
    assert refused.value.detail == "The key lacks permission."
    assert refused.value.headers == {}


def test_a_ring_without_keys_is_false_and_opens_nothing(ring):
    assert ring
    empty = Keyring(())
    assert not empty
    with pytest.raises(ProblemError):
        empty.check(b"Bearer " + KEYS[0])


def asked(method: str = "GET", *headers: tuple[bytes, bytes], path: str = "/") -> dict[str, object]:
    return {"type": "http", "method": method, "path": path, "headers": list(headers)}


def door_of(*, reads: bool, writes: bool) -> KeyDoor:
    readers, writers = (
        Keyring([hashlib.sha256(key).hexdigest()] if is_on else ())
        for key, is_on in ((READ, reads), (WRITE, writes))
    )
    return KeyDoor(readers=readers, writers=writers, open_routes=[OPEN])


READ, WRITE = KEYS
OPEN = Route("/healthz", lambda _request: None, methods=["GET"])


def headers(key: bytes | None) -> dict[bytes, bytes]:
    return {b"authorization": b"Bearer " + key} if key else {}


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "DELETE", "BREW", "get"])
def test_anything_but_reading_wants_a_write_key(method):
    door = door_of(reads=False, writes=True)
    assert door(asked(method), headers(WRITE)) is True
    for key, kind in ((None, Kind.KEY_REQUIRED), (READ, Kind.KEY_REFUSED)):
        with pytest.raises(ProblemError) as refused:
            door(asked(method), headers(key))
        assert refused.value.kind == kind


def test_without_write_keys_nothing_is_written_whatever_key_is_sent():
    for key in (None, READ, WRITE):
        with pytest.raises(ProblemError, match="Set API_WRITE_KEYS") as refused:
            door_of(reads=True, writes=False)(asked("POST"), headers(key))
        assert refused.value.kind == Kind.READ_ONLY


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_reading_wants_a_read_key_if_there_are_any_and_never_may_write(method):
    assert door_of(reads=False, writes=True)(asked(method), {}) is False
    closed = door_of(reads=True, writes=True)
    assert closed(asked(method), headers(READ)) is False
    for key in (None, WRITE):
        with pytest.raises(ProblemError):
            closed(asked(method), headers(key))


def test_an_open_route_is_read_without_a_key_and_no_other_is():
    closed = door_of(reads=True, writes=True)
    assert closed(asked(path="/healthz"), {}) is False
    for path, method in (("/healthz/", "GET"), ("/allocations", "GET"), ("/healthz", "OPTIONS")):
        with pytest.raises(ProblemError):
            closed(asked(method, path=path), {})


@pytest.mark.parametrize(
    "host", [b"localhost", b"LOCALHOST:8000", b"127.0.0.1:1", b"127.255.3.9", b"[::1]:8000"]
)
def test_a_dev_door_opens_to_this_machine_by_its_own_names(host):
    assert dev_door(asked("POST", (b"host", host)), {}) is True
    assert dev_door(asked("POST", (b"host", host), (b"origin", b"http://" + host)), {}) is True


@pytest.mark.parametrize(
    ("sent", "named"),
    [
        ([], "Host"),
        ([(b"accept", b"localhost")], "Host"),
        ([(b"host", b"evil.example")], "Host"),
        ([(b"host", b"localhost.evil.example")], "Host"),
        ([(b"host", b"http://localhost")], "Host"),
        ([(b"host", b"localhost"), (b"host", b"evil.example")], "Host"),
        ([(b"accept", b"x"), (b"host", b"evil.example")], "Host"),
        ([(b"host", b"localhost"), (b"origin", b"http://evil.example")], "Origin"),
        ([(b"host", b"localhost"), (b"origin", b"localhost")], "Origin"),
        ([(b"host", b"localhost"), (b"origin", b"null")], "Origin"),
        ([(b"host", b"localhost"), (b"accept", b"x"), (b"origin", b"http://a.example")], "Origin"),
        ([(b"origin", b"http://localhost")], "Host"),
    ],
)
def test_a_dev_door_is_closed_to_every_other_name_and_says_which_header(sent, named):
    with pytest.raises(ProblemError, match=f"the {named} header must name localhost") as refused:
        dev_door(asked("GET", *sent), {})
    assert refused.value.kind == Kind.FOREIGN


def test_a_route_that_writes_asks_whether_a_door_checked():
    check_may_write(Request(asked() | {MAY_WRITE: True}))
    for scope in (asked(), asked() | {MAY_WRITE: False}):
        with pytest.raises(ProblemError, match="No write key was checked") as refused:
            check_may_write(Request(scope))
        assert refused.value.kind == Kind.READ_ONLY
