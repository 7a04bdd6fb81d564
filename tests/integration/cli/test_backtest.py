"""`mab backtest` on a published history: table, JSON, and what it refuses."""

import json
from datetime import date

import pytest
from typer.testing import CliRunner

from mab_pipeline.cli.main import app
from mab_store.errors import NotPublishedError, UsageError
from tests.integration.api.homes import Home

DAYS = ("2026-03-07", "2026-03-08", "2026-03-09")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Three experiments of three variants at 0, 1 and 2 %, on three days."""
    home = Home(tmp_path_factory.mktemp("home") / "home")
    home.invent(3, variants=3)
    for day in DAYS:
        home.publish(date.fromisoformat(day))
    return home


@pytest.fixture
def mab(home):
    environment = {"MAB_HOME": str(home.settings.mab_home)}
    return lambda *options: CliRunner().invoke(app, ["backtest", *options], env=environment)


def test_json_has_a_record_for_each_experiment_and_policy_and_for_all(mab):
    options = ("--policy", "brief", "--policy", "MIN_IMPRESSIONS=0")
    result = mab(*options, "--reps", "10", "--format", "json")
    found = json.loads(result.stdout)
    assert len(found) == 4 * 4
    assert list(found[0]) == [
        *("experiment", "name", "policy", "days", "impressions"),
        *("clicks", "gain", "gain_low", "gain_high", "more", "more_low", "more_high"),
    ]
    assert found[-1]["experiment"] == "all"
    assert found[-1]["days"] == 9
    assert found[-1]["impressions"] == 9 * 3003
    assert found[-2]["gain"] > 5.0
    assert "estimated from 9 variants" in " ".join(result.stderr.split())
    assert mab(*options, "--reps", "10", "--format", "json").stdout == result.stdout


def test_a_table_of_one_experiment_and_some_days(mab):
    result = mab("experiment_000001", "--from", DAYS[1], "--reps", "10")
    assert result.exit_code == 0
    assert "experiment_000001" in result.stdout
    assert "experiment_000002" not in result.stdout
    assert "6,006" in result.stdout
    assert "current" not in result.stdout  # the same as brief here


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (("nobody",), NotPublishedError, "nobody: no published counts"),
        (("--from", DAYS[2]), NotPublishedError, "needs two days"),
        (("--from", DAYS[2], "--to", DAYS[0]), UsageError, "is after --to"),
        (("--from", "2027-01-01"), NotPublishedError, "needs two days"),
        (("--policy", "rubbish"), UsageError, "is none of"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_the_remedy(mab, options, error, message):
    result = mab(*options)
    assert isinstance(result.exception, error)
    assert message in str(result.exception)
    assert result.stdout == ""


def test_a_home_without_a_publication_is_refused(tmp_path):
    result = CliRunner().invoke(app, ["backtest"], env={"MAB_HOME": str(tmp_path / "home")})
    assert isinstance(result.exception, NotPublishedError)
