"""Lists of keys that name no key."""

import pytest

from mab_store.errors import SettingsError
from mab_store.settings import load_settings

DIGEST = "ab" * 32


@pytest.fixture(autouse=True)
def no_environment(monkeypatch, tmp_path):
    """No `.env` in the working folder."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", ["API_READ_KEYS", "API_WRITE_KEYS"])
@pytest.mark.parametrize(
    "value", [",", ",,", " ", " , ", "\t", ";", "none", DIGEST[1:], f"{DIGEST},x"]
)
def test_a_list_without_a_key_is_an_error_and_not_everybody(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=rf"{name}=\*\*\*: must be the SHA-256"):
        load_settings()


@pytest.mark.parametrize("name", ["API_READ_KEYS", "API_WRITE_KEYS"])
@pytest.mark.parametrize(
    ("value", "count"),
    [("", 0), (DIGEST, 1), (f" {DIGEST.upper()} ,", 1), (f"{DIGEST},{DIGEST}", 2)],
)
def test_an_empty_setting_is_none_and_keys_are_keys(monkeypatch, name, value, count):
    monkeypatch.setenv(name, value)
    assert getattr(load_settings(), name.lower()) == (DIGEST,) * count
