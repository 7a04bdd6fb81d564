"""Sources as assets: from sources.toml to raw rows and shares; one that is away; secrets."""

import sqlite3
from datetime import date

import dagster as dg
import pytest
from dagster import serialize_value
from typer.testing import CliRunner

from mab_pipeline.alerts.conditions import notices_of_run
from mab_pipeline.allocation.recorded import find_record
from mab_pipeline.assets.source_record import missing_days
from mab_pipeline.cli.main import app
from mab_pipeline.definitions import build_defs
from mab_pipeline.jobs import DAILY_ALLOCATION
from mab_pipeline.operations.doctor import examine
from mab_pipeline.operations.pull_sources import look_at
from mab_pipeline.operations.replay import replay
from mab_pipeline.recovery.rebuild import rebuild
from mab_pipeline.sources.config import find_source
from mab_store.errors import UsageError
from mab_store.warehouse.reader import open_reader
from tests.integration.conftest import silent
from tests.integration.sources.scenes import ROWS, TOKEN, serving, sqlite_database

DAYS = ("2025-03-18", "2025-03-19", "2025-03-20", "2025-03-21")
SOURCES = ("source_ads", "source_exports", "source_crm")
PASSWORD = "pa55w0rd"
TOML = """
[sources.ads]
kind = "sql"
url = "sqlite:///{database}"
query = "select * from counts where day = :day"
lookback_days = 1

[sources.exports]
kind = "files"
path = "exports/{{day}}.csv"
description = "Exports of the ad server."
mapping = {{experiment = "exported"}}
lookback_days = 0
allow_empty = true

[sources.crm]
kind = "http"
url_env = "CRM_URL"
token_env = "CRM_TOKEN"
mapping = {{experiment = "crm"}}
lookback_days = 1
retries = 2
retry_delay_seconds = 0.01
"""


def raw_rows(world, day):
    rows = world.query(
        "select experiment, variant_name, impressions, clicks, source_file from raw_metrics "
        "where metric_date = ? order by all",
        day,
    )
    return [(*row[:4], row[4].split("/")[2].partition(".")[0]) for row in rows]


@pytest.fixture(scope="module")
def web():
    with serving() as web:
        yield web


@pytest.fixture(scope="module")
def world(make_world, clean_environment, web):
    """A home with three sources, run for two days; on the second the CRM is away."""
    world = make_world(now="2025-03-20T02:00:00")
    clean_environment.setenv("CRM_TOKEN", TOKEN)
    clean_environment.setenv("CRM_URL", f"{web.url}/{{day}}?password={PASSWORD}")
    clean_environment.setenv("MAB_HOME", str(world.home))
    database = sqlite_database(world.home / "ads.db", *DAYS)
    (world.home / "sources.toml").write_text(TOML.format(database=database))
    (world.home / "exports").mkdir()
    (world.home / "exports" / f"{DAYS[1]}.csv").write_text(ROWS)
    world.job = build_defs(platform=world.platform, run_logger=silent).resolve_job_def(
        DAILY_ALLOCATION
    )
    for name in ("cta", "exported", "crm"):
        world.register(name)
    world.first = world.run(DAYS[1])
    world.at_first = raw_rows(world, DAYS[1])
    world.clock.set("2025-03-21T02:00:00")
    web.status = 503
    web.asked = []
    world.second = world.run(DAYS[2])
    world.asked_while_away = list(web.asked)
    web.reset()
    return world


def steps(result, kind):
    return [event.step_key for event in result.all_events if event.event_type_value == kind]


def test_each_kind_of_source_arrives_in_raw_rows_and_is_allocated(world):
    assert world.first.success
    assert world.at_first == [
        (name, *counts, f"source-{source}")
        for name, source in (("crm", "crm"), ("cta", "ads"), ("exported", "exports"))
        for counts in (("control", "1000", "10"), ("variant_a", "1000", "20"))
    ]
    for name in ("cta", "exported", "crm"):
        assert world.shares(name, DAYS[1])["variant_a"] > 90
    late = {row[4] for row in raw_rows(world, DAYS[0])}
    assert late == {"source-ads", "source-crm"}  # lookback_days


def test_the_assets_stand_upstream_of_raw_metrics_in_their_group(world):
    specs = {
        s.key.to_user_string(): s
        for s in build_defs(platform=world.platform).resolve_all_asset_specs()
    }
    names = {name for name, spec in specs.items() if spec.group_name == "sources"}
    assert names == set(SOURCES)
    upstream = {dep.asset_key.to_user_string() for dep in specs["raw_metrics"].deps}
    assert upstream == names | {"inbox/metrics"}
    assert specs["source_exports"].description.startswith("Exports of the ad server.")
    assert [specs[f"source_{name}"].kinds for name in ("ads", "exports", "crm")] == [
        {"sql"},
        {"python", "file"},
        {"python", "http"},
    ]


def test_a_source_that_is_away_is_tried_again_and_fails_its_own_check_alone(world):
    assert world.second.success
    assert len(world.asked_while_away) == 3  # once and two retries; the day behind it is not tried
    assert steps(world.second, "STEP_UP_FOR_RETRY") == ["source_crm", "source_crm"]
    assert steps(world.second, "STEP_FAILURE") == []
    failed = [
        (check.asset_key.to_user_string(), check.check_name, check.severity)
        for event in world.second.all_events
        if event.event_type_value == "ASSET_CHECK_EVALUATION"
        and not (check := event.asset_check_evaluation_data).passed
        # The made-up traffic is split equally, whatever was published.
        and check.check_name != "traffic_follows_shares"
    ]
    assert failed == [("source_crm", "is_pulled", dg.AssetCheckSeverity.WARN)]
    assert {row[4] for row in raw_rows(world, DAYS[2])} == {"source-ads"}
    assert world.published("cta")[-1][0] == DAYS[2]


def test_alerts_and_doctor_name_the_source_and_its_remedy(world):
    run = world.instance.get_run_by_id(world.second.run_id)
    (notice,) = [n for n in notices_of_run(world.instance, run) if n.cause.startswith("source/")]
    assert notice.cause == "source/crm"
    assert notice.text.startswith("The source crm brought nothing: 2025-03-20: 127.0.0.1 answers")
    found = {f.part: f for f in examine(world.platform, world.instance, with_api=False)}
    assert not found["sources"].is_ok
    assert (
        "brought nothing: crm (2025-03-20); crm of 2025-03-20: 127.0.0.1 answers 503"
        in found["sources"].detail
    )
    assert "`mab sources pull crm --date 2025-03-20`" in found["sources"].remedy


def test_no_secret_is_in_any_event_of_a_run(world):
    for result in (world.first, world.second):
        entries = world.instance.all_logs(result.run_id)
        text = "".join(map(serialize_value, entries)) + repr(result.all_events)
        assert "source_crm" in text
        assert ("127.0.0.1 answers 503" in text) is (result is world.second)
        for secret in (TOKEN, PASSWORD):
            assert secret not in text


def test_the_next_run_pulls_late_days_again_and_a_correction_is_the_later_file(world, web):
    with sqlite3.connect(world.home / "ads.db") as connection:
        connection.execute(
            "update counts set clicks = 60 where day = ? and variant = 'control'", [DAYS[2]]
        )
    web.body = ROWS.encode()
    world.clock.set("2025-03-22T02:00:00")
    world.run(DAYS[3], assets=(*SOURCES, "experiments", "raw_metrics", "daily_metrics"))
    late = raw_rows(world, DAYS[2])
    assert [row for row in late if row[4] == "source-crm"] == [
        ("crm", "control", "1000", "10", "source-crm"),
        ("crm", "variant_a", "1000", "20", "source-crm"),
    ]
    assert len([row for row in late if row[4] == "source-ads"]) == 4  # both files stay in the audit
    counted = world.query(
        "select clicks from daily_metrics where metric_date = ? and variant_name = 'control' and "
        "experiment_id = (select experiment_id from experiments "
        "where experiment_name = 'cta' limit 1)",
        DAYS[2],
    )
    assert counted == [(60,)]
    source = find_source(world.settings, "crm")
    assert missing_days(world.instance, source) == {}
    before = sorted(path.name for path in (world.inbox / "metrics").rglob("*.csv"))
    world.run(DAYS[3], assets=SOURCES)
    assert sorted(path.name for path in (world.inbox / "metrics").rglob("*.csv")) == before


def test_pulled_days_are_replayed_and_rebuilt_like_any_other(world):
    with open_reader(world.settings) as copy:
        record = find_record(copy, "cta", date.fromisoformat(DAYS[2]))
    assert replay(world.platform, record).is_exact
    before = world.tables(volatile=True)
    for path in world.home.glob("warehouse.duckdb*"):
        path.unlink()
    rebuild(world.platform)
    assert world.tables(volatile=True) == before


@pytest.mark.usefixtures("world")
def test_the_command_checks_pulls_and_refuses_in_sentences(web):
    def mab(*arguments):
        result = CliRunner().invoke(app, ["sources", *arguments])
        error = "" if result.exception is None else str(result.exception)
        return result.exit_code, result.output + error

    code, said = mab("check", "--date", DAYS[2])
    assert code == 0
    assert "ok   ads: sql on sqlite:///" in said
    assert "ok   crm: http the URL in CRM_URL" in said
    assert "2 rows of 2025-03-20, 1 experiment, such as crm / control: 1000 impressions" in said
    assert "ok   exports: files exports/{day}.csv" in said
    web.status = 401
    code, told = mab("check", "crm", "--date", DAYS[2])
    assert (code, "fail crm" in told, "answers 401; see whether" in told) == (1, True, True)
    code, told = mab("pull", "crm", "--date", DAYS[2])
    assert (code, "brought nothing for 2025-03-20: 127.0.0.1 answers 401" in told) == (1, True)
    web.reset()
    code, told = mab("pull", "crm", "--date", DAYS[2])
    assert (code, "there already, unchanged: metrics/2025-03-20/source-crm." in told) == (0, True)
    web.body = ROWS.replace("1000,20", "1000,21").encode()
    code, told = mab("pull", "crm", "--date", DAYS[2])
    assert (code, "added metrics/2025-03-20/source-crm." in told) == (0, True)
    assert "run --date 2025-03-20`, unless the daemon runs" in told
    for arguments, expected in {
        ("pull", "none", "--date", DAYS[2]): "There is no source 'none'",
        ("pull", "crm", "--date", "2999-01-01"): "not over yet",
        ("check", "--date", "2020-01-01"): "before MAB_START_DATE",
    }.items():
        code, more = mab(*arguments)
        assert (code != 0, expected in more) == (True, True)
        told += more
    for secret in (TOKEN, PASSWORD):
        assert secret not in said + told


def test_the_file_may_be_missing_or_broken(make_world):
    world = make_world()
    with pytest.raises(UsageError, match="There is no source in"):
        list(look_at(world.platform, None, world.clock().date(), fetch=False))
    (world.home / "sources.toml").write_text("[sources.ads]")
    with pytest.raises(UsageError, match="kind: is missing"):
        build_defs(platform=world.platform)
    found = {f.part: f for f in examine(world.platform, world.instance, with_api=False)}
    assert (found["sources"].is_ok, "kind: is missing" in found["sources"].detail) == (False, True)
