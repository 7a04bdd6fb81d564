"""What unit tests share: settings that look neither at the environment nor at .env."""

from collections.abc import Callable

import pytest

from mab_store.settings import Settings, load_settings


@pytest.fixture
def clean_environment(monkeypatch, tmp_path):
    """No setting in the environment and no `.env` in the working folder."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return monkeypatch


@pytest.fixture
def make_settings(clean_environment, tmp_path) -> Callable[..., Settings]:
    assert clean_environment

    def make(**overrides: object) -> Settings:
        return load_settings(**{"mab_home": tmp_path / "home", **overrides})

    return make
