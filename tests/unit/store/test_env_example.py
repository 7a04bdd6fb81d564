import re
from pathlib import Path

import pytest

from mab_store.rule_options import PRESETS
from mab_store.settings import ENGINES, Settings, load_settings
from mab_store.warehouse.sql_loader import SQL_ROOT

# Empty in the file: a value that is written out would win over that of the preset or the engine.
OF_PRESETS = set().union(*PRESETS.values(), *ENGINES.values())
EXAMPLE = SQL_ROOT.parent / ".env.example"


def lines() -> list[str]:
    return EXAMPLE.read_text("utf-8").splitlines()


def test_it_holds_every_setting_once_and_nothing_else():
    names = [line.partition("=")[0] for line in lines() if line and not line.startswith("#")]
    assert sorted(names) == sorted(name.upper() for name in Settings.model_fields)


def test_its_settings_stand_in_the_order_of_their_declaration():
    names = [line.partition("=")[0] for line in lines() if line and not line.startswith("#")]
    assert names == [name.upper() for name in Settings.model_fields]


def test_every_setting_has_one_comment_line_with_its_unit_above_it():
    text = lines()
    for number, line in enumerate(text):
        if line and not line.startswith("#"):
            assert re.fullmatch(r"# [^-].*\. \[[^\]]+\]", text[number - 1]), line
            assert not text[number - 2].startswith("# ") or text[number - 2].startswith("# ---")


@pytest.mark.usefixtures("clean_environment")
def test_copied_unedited_it_gives_exactly_the_defaults(tmp_path):
    defaults = load_settings()
    (tmp_path / ".env").write_bytes(EXAMPLE.read_bytes())
    assert load_settings() == defaults


@pytest.mark.usefixtures("clean_environment")
def test_every_default_is_written_out():
    written = dict(line.split("=", 1) for line in lines() if line and not line.startswith("#"))
    for name, field in Settings.model_fields.items():
        if field.default is None or name in OF_PRESETS:
            assert written[name.upper()] == ""
        else:
            value = Settings(**{name: written[name.upper()]}, _env_file=None)
            assert getattr(value, name) == field.default


@pytest.mark.usefixtures("clean_environment")
@pytest.mark.parametrize(
    ("setting", "limit"),
    [
        ("thompson_samples", "10000000"),
        ("max_window_days", "365"),
        ("warehouse_lock_timeout_seconds", "86400"),
        ("inbox_max_file_mb", "4096"),
        ("api_port", "65535"),
        ("mab_schedule_hour", "23"),
        ("max_data_gap_days", "365"),
    ],
)
def test_the_limits_in_the_comments_are_those_that_are_enforced(setting, limit):
    text = lines()
    comment = text[[line.partition("=")[0] for line in text].index(setting.upper()) - 1]
    assert f" {limit}. [" in comment
    Settings(**{setting: limit}, _env_file=None)
    with pytest.raises(ValueError, match="less than or equal"):
        Settings(**{setting: str(int(limit) + 1)}, _env_file=None)


def test_the_default_home_is_ignored_by_git():
    ignored = (Path(EXAMPLE).with_name(".gitignore")).read_text("utf-8").splitlines()
    assert {".mab/", ".env"} <= set(ignored)
