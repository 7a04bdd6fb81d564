"""Keys: which headers open something, and how the others are answered."""

import hashlib

import pytest

from mab_api.auth import Keyring
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
    assert refused.value.detail == "The key that was sent is not among those."
    assert refused.value.headers == {}


def test_a_ring_without_keys_is_false_and_opens_nothing(ring):
    assert ring
    empty = Keyring(())
    assert not empty
    with pytest.raises(ProblemError):
        empty.check(b"Bearer " + KEYS[0])
