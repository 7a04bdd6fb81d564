"""`mab` with MAB_ENGINE=snowflake, as a user calls it."""

import itertools
import json
import re

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner, Result

from mab_pipeline.cli.main import app
from mab_store.errors import WarehouseError

DAYS = ("--from", "2025-02-20", "--to", "2025-02-21")
METRICS = "experiment,variant_name,impressions,clicks,date\ncta,control,10000,320,2025-02-20\n"


@pytest.fixture
def mab(settings, monkeypatch, tmp_path):
    """Return a function that runs a command in this process: the emulator needs its patches."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(settings.mab_home / "dagster"))
    for name, value in settings:
        if name == "mab_home" or name.startswith(("snowflake_", "mab_engine")):
            text = value.get_secret_value() if isinstance(value, SecretStr) else str(value or "")
            monkeypatch.setenv(name.upper(), text)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, arguments)

    return run


def test_from_init_to_published_allocations(mab, tmp_path):
    experiments = [
        {"name": "cta", "variants": [{"name": "control", "is_control": True}, {"name": "a"}],
         "start_date": "2025-02-01"},
    ]  # fmt: skip
    (tmp_path / "experiments.json").write_text(json.dumps(experiments))
    (tmp_path / "metrics.csv").write_text(METRICS)

    first, second = mab("init"), mab("init")
    assert (first.exit_code, second.exit_code) == (0, 0), first.output
    assert re.search("01_create_schema: create database if not exists", first.stderr)
    assert mab("ingest", "experiments.json", "metrics.csv").exit_code == 0
    run = mab("run", *DAYS)
    assert run.exit_code == 0, run.output
    assert "Published 2 allocations" in run.stderr
    (body,) = json.loads(mab("allocations", "--format", "json").stdout)
    assert (body["experiment_name"], body["as_of_date"]) == ("cta", "2025-02-21")
    assert "10000 impressions in 14 days" in mab("explain", "cta").stdout
    replay = mab("replay", "cta", "--date", "2025-02-21")
    assert replay.exit_code == 0, replay.output
    with pytest.raises(WarehouseError, match="holds"):
        raise mab("rebuild").exception


def test_before_init_it_says_what_to_do(mab):
    result = mab("run", *DAYS)
    assert result.exit_code == 1
    assert "mab init" in result.output + str(result.exception)


def test_no_secret_is_printed_or_kept_by_dagster(mab, settings):
    outputs = [mab("run", *DAYS), mab("init"), mab("run", *DAYS)]
    assert [result.exit_code for result in outputs] == [1, 0, 0]
    secrets = [value.get_secret_value() for _, value in settings if isinstance(value, SecretStr)]
    if settings.snowflake_private_key_path:
        secrets.append(settings.snowflake_private_key_path.read_text().splitlines()[1])
    assert secrets
    for secret, result in itertools.product(secrets, outputs):
        assert secret not in result.output + str(result.exception)
    kept = [path for path in settings.mab_home.rglob("*") if path.is_file()]
    assert [path for path in kept if path.suffix == ".db"]  # Dagster's events, the failure's too
    for secret, path in itertools.product(secrets, kept):
        assert secret.encode() not in path.read_bytes()
