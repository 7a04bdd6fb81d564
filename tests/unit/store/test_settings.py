from datetime import date
from pathlib import Path

import pytest

from mab_store.errors import SettingsError
from mab_store.settings import Settings, load_settings

pytestmark = pytest.mark.usefixtures("clean_environment")


def refusal(monkeypatch, **variables: str) -> str:
    """Load with these variables and return the one sentence."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_without_environment_the_defaults_are_those_of_the_brief(tmp_path):
    settings = load_settings()
    assert settings.default_window_days == 14
    assert settings.max_window_days == 30
    assert settings.min_impressions == 200
    assert settings.thompson_samples == 10_000
    assert (settings.prior_alpha, settings.prior_beta) == (1, 99)
    assert settings.api_host == "127.0.0.1"
    assert settings.mab_start_date == date(2025, 1, 1)
    assert settings.mab_home == tmp_path / ".mab"


def test_a_variable_wins_over_the_env_file_and_an_argument_over_both(monkeypatch, tmp_path):
    (tmp_path / ".env").write_text("MAB_SEED=1\nMIN_IMPRESSIONS=5\nAPI_PORT=81\n")
    monkeypatch.setenv("MIN_IMPRESSIONS", "6")
    monkeypatch.setenv("API_PORT", "82")
    settings = load_settings(api_port=83)
    assert (settings.mab_seed, settings.min_impressions, settings.api_port) == (1, 6, 83)


def test_an_empty_value_is_an_unset_one(monkeypatch):
    monkeypatch.setenv("MAX_WINDOW_DAYS", "")
    monkeypatch.setenv("SNOWFLAKE_ACCOUNT", "")
    assert load_settings().max_window_days == 30
    assert load_settings().snowflake_account is None


def test_everything_lies_below_the_home_and_the_inbox_may_lie_elsewhere(monkeypatch, tmp_path):
    settings = load_settings(mab_home=tmp_path / "a b")
    assert settings.warehouse_path == tmp_path / "a b" / "warehouse.duckdb"
    assert settings.published_dir == tmp_path / "a b" / "published"
    assert settings.journal_dir == tmp_path / "a b" / "journal"
    assert str(settings.inbox_root) == str(tmp_path / "a b" / "inbox")
    monkeypatch.setenv("MAB_INBOX", "memory://elsewhere")
    assert load_settings().inbox_root.protocol == "memory"


def test_a_relative_home_is_made_absolute_and_a_tilde_is_the_users(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load_settings(mab_home=Path("~/m")).mab_home == tmp_path / "m"
    assert load_settings(mab_home=Path("m")).mab_home == tmp_path / "m"


def test_settings_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        load_settings().mab_seed = 5


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PRIOR_ALPHA", "0"),
        ("PRIOR_ALPHA", "-1"),
        ("PRIOR_ALPHA", "nan"),
        ("PRIOR_BETA", "0"),
        ("PRIOR_BETA", "inf"),
        ("PRIOR_BETA", "ninety-nine"),
        ("DEFAULT_WINDOW_DAYS", "0"),
        ("MAX_WINDOW_DAYS", "366"),
        ("MAX_WINDOW_DAYS", "30.5"),
        ("MIN_IMPRESSIONS", "-1"),
        ("MIN_IMPRESSIONS", str(2**53)),
        ("THOMPSON_SAMPLES", "0"),
        ("THOMPSON_SAMPLES", "1e4"),
        ("MAB_SEED", "-1"),
        ("MAB_SEED", str(2**63)),
        ("MAB_SCHEDULE_HOUR", "24"),
        ("MAB_START_DATE", "yesterday"),
        ("MAB_START_DATE", "1999-12-31"),
        ("MAB_START_DATE", "2025-02-30"),
        ("MAB_ENGINE", "postgres"),
        ("MAB_AUTOMATION", "perhaps"),
        ("ALLOCATION_METHOD", "guess"),
        ("DECISION_PRESET", "bold"),
        ("BURN_IN", "yes"),
        ("EXPLORATION", "-0.01"),
        ("EXPLORATION", "1.01"),
        ("EXPLORATION", "2 %"),
        ("EXPLORATION", "nan"),
        ("CONTROL_MIN_ALLOCATION", "10"),
        ("SHORT_WINDOW", "drop"),
        ("ESTIMATE", "mantel_haenszel"),
        ("PRIOR", "empirical"),
        ("INBOX_MAX_FILE_MB", "0"),
        ("API_PORT", "65536"),
        ("MAX_DATA_GAP_DAYS", "0"),
        ("WAREHOUSE_LOCK_TIMEOUT_SECONDS", "-1"),
        ("MAB_INBOX", "nosuch://bucket"),
    ],
)
def test_a_bad_value_is_refused_in_one_sentence_that_names_it(monkeypatch, name, value):
    message = refusal(monkeypatch, **{name: value})
    assert message.startswith(f"Settings: {name}={value}: ")
    assert message.endswith(". Correct the environment or .env and run it again.")
    assert "\n" not in message
    assert "pydantic" not in message


def test_a_first_window_longer_than_the_second_is_refused_with_both_numbers(monkeypatch):
    message = refusal(monkeypatch, DEFAULT_WINDOW_DAYS="31")
    assert "DEFAULT_WINDOW_DAYS=31 is longer than MAX_WINDOW_DAYS=30" in message
    assert "\n" not in message


def test_a_preset_gives_the_defaults_of_what_is_not_set(monkeypatch):
    def options() -> tuple[object, ...]:
        found = load_settings()
        return (
            found.burn_in, found.exploration, found.short_window,
            found.estimate, found.default_window_days, found.prior,
        )  # fmt: skip

    brief = ("off", 0.0, "prior", "pooled", 14, "fixed")
    assert options() == brief
    for preset, expected in {
        "brief": brief,
        "safe": ("on", 0.02, "keep", "pooled", 14, "fixed"),
        "robust": ("on", 0.02, "keep", "day_effects", 28, "own_rate"),
    }.items():
        monkeypatch.setenv("DECISION_PRESET", preset)
        assert options() == expected
    monkeypatch.setenv("EXPLORATION", "0")
    monkeypatch.setenv("DEFAULT_WINDOW_DAYS", "21")
    monkeypatch.setenv("BURN_IN", "")  # empty is unset
    assert options() == ("on", 0.0, "keep", "day_effects", 21, "own_rate")


def test_a_preset_whose_window_does_not_fit_says_where_it_comes_from(monkeypatch):
    message = refusal(monkeypatch, DECISION_PRESET="robust", MAX_WINDOW_DAYS="27")
    assert "DEFAULT_WINDOW_DAYS=28 is longer than MAX_WINDOW_DAYS=27" in message
    assert "DECISION_PRESET=robust" in message


def test_windows_of_equal_length_are_fine(monkeypatch):
    monkeypatch.setenv("DEFAULT_WINDOW_DAYS", "30")
    assert load_settings().default_window_days == 30


def test_all_bad_values_are_named_at_once(monkeypatch):
    message = refusal(monkeypatch, PRIOR_ALPHA="0", API_PORT="x")
    assert "PRIOR_ALPHA=0" in message
    assert "API_PORT=x" in message


def test_a_secret_is_never_shown(monkeypatch):
    secret = "correct horse"
    assert secret not in refusal(monkeypatch, SNOWFLAKE_PASSWORD=secret, MAB_SEED="x")
    monkeypatch.delenv("MAB_SEED")
    settings = load_settings()
    assert secret not in f"{settings!r} {settings} {settings.model_dump()}"
    assert settings.snowflake_password is not None
    assert settings.snowflake_password.get_secret_value() == secret
    with pytest.raises(SettingsError) as caught:
        load_settings(snowflake_password=[secret])
    assert secret not in str(caught.value)
    assert "SNOWFLAKE_PASSWORD=***" in str(caught.value)


def test_an_env_file_that_is_not_utf8_is_refused_in_one_sentence(monkeypatch, tmp_path):
    (tmp_path / ".env").write_bytes(b"MAB_SEED=\xff\xfe")
    assert ".env is not UTF-8" in refusal(monkeypatch)


def test_a_home_of_a_user_that_does_not_exist_is_refused_in_one_sentence(monkeypatch):
    message = refusal(monkeypatch, MAB_HOME="~nosuchuser/x")
    assert message.startswith("Settings: MAB_HOME=~nosuchuser/x: ")


def test_variables_that_are_none_of_ours_are_nobodys_business(monkeypatch, tmp_path):
    monkeypatch.setenv("MAB_UNHEARD_OF", "1")
    (tmp_path / ".env").write_text("OTHER_TOOL=1\n")
    assert load_settings() == Settings(mab_home=tmp_path / ".mab", _env_file=None)
