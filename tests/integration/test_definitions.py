"""The code location: what is declared, and that Dagster takes it."""

import datetime as dt
import os
import subprocess
import sys
import warnings
from pathlib import Path

import dagster as dg
import pytest
import yaml

from mab_pipeline.checks.definitions import CHECKS
from mab_pipeline.definitions import build_defs, table_assets
from mab_pipeline.operations.dagster_home import DAGSTER_YAML
from mab_store.settings import load_settings
from mab_store.warehouse.table_schema import declared_tables

ROOT = Path(__file__).parents[2]
NAMES = [
    "experiments",
    "raw_metrics",
    "daily_metrics",
    "windowed_aggregates",
    "allocations",
    "publication",
]
INBOX = {"inbox/experiments": "experiments", "inbox/metrics": "raw_metrics"}
TABLE_OF = {name: name for name in NAMES} | {"publication": "publications"}


def definitions(tmp_path_factory, **settings):
    home = tmp_path_factory.mktemp("home")
    return build_defs(settings=load_settings(mab_home=home, _env_file=None, **settings))


@pytest.fixture(scope="module")
def defs(tmp_path_factory):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        made = definitions(tmp_path_factory)
        made.resolve_all_job_defs()
    made_by_us = [str(w.message) for w in caught if "/mab_" in w.filename]
    assert made_by_us == []
    assert not [w for w in caught if issubclass(w.category, (dg.BetaWarning, dg.PreviewWarning))]
    return made


@pytest.fixture(scope="module")
def specs(defs):
    return {spec.key.to_user_string(): spec for spec in defs.resolve_all_asset_specs()}


def test_the_assets_are_those_of_the_design_and_one_partitions_definition_serves_all(defs, specs):
    assert sorted(specs) == sorted([*NAMES, *INBOX])
    assert [asset.name for asset in table_assets()] == sorted(NAMES)
    partitions = {repr(specs[name].partitions_def) for name in NAMES}
    assert len(partitions) == 1
    for name in NAMES:
        asset = defs.resolve_assets_def(name)
        assert asset.backfill_policy == dg.BackfillPolicy.single_run()


@pytest.mark.parametrize("name", NAMES)
def test_every_asset_says_what_whose_and_of_what_kind_it_is(specs, name):
    spec = specs[name]
    assert spec.group_name in {"registry", "metrics", "allocation", "serving"}
    assert list(spec.owners) == ["team:experimentation"]
    assert "duckdb" in spec.kinds
    assert spec.kinds & {"sql", "python"}
    assert spec.description.endswith(".")
    assert spec.code_version


@pytest.mark.parametrize("name", NAMES)
def test_every_asset_links_to_the_function_and_the_sql_that_make_it(specs, name):
    references = specs[name].metadata["dagster/code_references"].code_references
    function, *statements = references
    source = Path(function.file_path)
    assert source == ROOT / "mab_pipeline" / "assets" / f"{name}.py"
    declared = source.read_text("utf-8").splitlines()[function.line_number - 1]
    assert declared.startswith("@table_asset(")
    for statement in statements:
        assert Path(statement.file_path).is_relative_to(ROOT / "sql")
        assert Path(statement.file_path).is_file()


@pytest.mark.parametrize("name", INBOX)
def test_the_lineage_begins_with_the_inbox_as_external_assets(defs, specs, name):
    spec = specs[name]
    assert not defs.resolve_asset_graph().get(spec.key).is_executable
    assert spec.key in {dep.asset_key for dep in specs[INBOX[name]].deps}
    assert (spec.group_name, list(spec.owners)) == ("inbox", ["team:experimentation"])
    assert spec.kinds <= {"json", "csv", "parquet"}
    assert spec.description.endswith(".")
    assert all(c.description for c in spec.metadata["dagster/column_schema"].columns)


def test_a_job_of_all_assets_leaves_the_inbox_to_others(defs):
    job = defs.resolve_job_def("daily_allocation")
    executed = {key.to_user_string() for key in job.asset_layer.executable_asset_keys}
    assert executed == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_column_is_declared_with_meaning_and_unit(specs, name):
    schema = specs[name].metadata["dagster/column_schema"]
    declared = declared_tables()[TABLE_OF[name]]
    assert [(c.name, c.type) for c in schema.columns] == [
        (c.name, c.type) for c in declared.columns
    ]
    for column in schema.columns:
        meaning, unit = column.description.rsplit(" [", 1)
        assert meaning.strip()
        assert unit.removesuffix("]").strip()


@pytest.mark.parametrize("name", NAMES[1:])
def test_column_lineage_names_columns_that_are_there_of_assets_upstream(specs, name):
    lineage = specs[name].metadata["dagster/column_lineage"].deps_by_column
    upstream = {dep.asset_key.to_user_string() for dep in specs[name].deps}
    columns = {n: {c.name for c in declared_tables()[TABLE_OF[n]].columns} for n in NAMES}
    if name == "raw_metrics":
        assert not lineage  # it comes from files
        return
    assert lineage
    for column, sources in lineage.items():
        assert column in columns[name]
        for source in sources:
            asset = source.asset_key.to_user_string()
            assert asset in upstream, f"{name}.{column} comes from {asset}, which is not upstream"
            assert source.column_name in columns[asset]


def test_every_asset_has_checks_with_a_description_and_its_partitions(defs):
    specs = [spec for checks in defs.asset_checks for spec in checks.check_specs]
    found = {(spec.asset_key.to_user_string(), spec.name) for spec in specs}
    assert found == {(asset, check.name) for asset, checks in CHECKS.items() for check in checks}
    assert {asset for asset, _ in found} == set(NAMES)
    assert all(spec.description.endswith(".") and spec.partitions_def for spec in specs)


def test_what_blocks_is_structure_and_what_names_experiments_does_not():
    blocking = {check.name for checks in CHECKS.values() for check in checks if check.blocking}
    assert blocking == {
        "grain_is_unique",
        "columns_as_declared",
        "every_row_is_accounted_for",
        "counts_are_possible",
        "window_days_are_loaded",
        "windows_are_fresh",
        "registrations_are_kept",
    }
    assert not [c for checks in CHECKS.values() for c in checks if c.blocking and c.is_warning]


def test_the_schedule_is_on_and_runs_the_day_that_just_ended(tmp_path_factory):
    defs = definitions(tmp_path_factory, mab_schedule_hour=5)
    schedule = defs.resolve_schedule_def("daily_allocation_schedule")
    assert schedule.cron_schedule == "0 5 * * *"
    assert schedule.execution_timezone == "UTC"
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING
    assert schedule.job.name == "daily_allocation"
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_schedule_context(
            instance=instance,
            repository_def=defs.get_repository_def(),
            scheduled_execution_time=dt.datetime(2025, 3, 20, 5, tzinfo=dt.UTC),
        )
        (request,) = schedule.evaluate_tick(context).run_requests
    assert request.partition_key == "2025-03-19"


def test_the_sensors_are_on(defs):
    assert {
        sensor.name: sensor.default_status == dg.DefaultSensorStatus.RUNNING
        for sensor in defs.sensors
    } == {"inbox_sensor": True, "alert_sensor": True}


def test_sensors_schedule_jobs_and_each_option_of_the_launchpad_say_what_they_do(defs):
    repository = defs.get_repository_def()
    described = [*repository.sensor_defs, *repository.schedule_defs]
    described += [job for job in repository.get_all_jobs() if not job.name.startswith("__")]
    assert len(described) == 2 + 1 + 3
    assert [each.name for each in described if not (each.description or "").endswith(".")] == []

    job = defs.resolve_job_def("daily_allocation")
    options = {}
    for name in NAMES:
        schema = job.graph.node_named(name).definition.config_schema.config_type
        fields = getattr(schema, "fields", {}).items()  # an asset without options takes anything
        options |= {f"{name}.{option}": field.description for option, field in fields}
    assert set(options) == {
        *("publication.republish", "publication.accept_loss", "publication.accept_variant_gap"),
    }
    assert all(text and text.endswith((".", "`.")) for text in options.values())


def test_without_automation_there_is_neither_schedule_nor_sensor(tmp_path_factory):
    defs = definitions(tmp_path_factory, mab_automation="off")
    assert not defs.schedules
    assert not defs.sensors


def test_the_local_settings_of_dagster_keep_everything_in_one_folder_and_call_nobody(tmp_path):
    (tmp_path / "dagster.yaml").write_text(DAGSTER_YAML)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert not instance.telemetry_enabled
        assert not instance.nux_enabled
        assert instance.root_directory == str(tmp_path)


def test_the_code_version_of_an_asset_follows_its_sql(specs):
    versions = {name: specs[name].code_version for name in NAMES}
    assert len(set(versions.values())) == len(versions)


def python(*arguments, home):
    """Run a module of this environment where a user would: in the project's folder."""
    environment = {name: value for name, value in os.environ.items() if name != "DAGSTER_HOME"}
    return subprocess.run(
        [sys.executable, *arguments],
        env=environment
        | {"MAB_HOME": str(home), "DAGSTER_HOME": os.environ["DAGSTER_HOME"]}
        | {"PATH": f"{Path(sys.executable).parent}:{environment['PATH']}"},
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def test_workspace_yaml_loads_without_a_warning_of_ours(tmp_path):
    workspace = yaml.safe_load((ROOT / "workspace.yaml").read_text())
    (location,) = workspace["load_from"]
    assert location["python_module"]["module_name"] == "mab_pipeline.definitions"
    done = python(
        *("-W", "error:::mab_", "-m", "dagster", "definitions", "validate"),
        *("-w", "workspace.yaml"),
        home=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    said = done.stdout + done.stderr
    assert "Validation successful for code location mab." in said
    assert not [line for line in said.splitlines() if "Warning" in line and "mab_" in line]


def test_dg_check_defs_passes(tmp_path):
    dg_command = Path(sys.executable).with_name("dg")
    done = python(str(dg_command), "check", "defs", home=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout + done.stderr
    assert not [line for line in said.splitlines() if "Warning" in line and "mab_" in line]


ACCOUNT = {
    "mab_engine": "snowflake",
    "snowflake_account": "xy12345",
    "snowflake_user": "robot",
    "snowflake_warehouse": "mab_wh",
    "snowflake_database": "mab",
    "snowflake_schema": "allocation",
    "snowflake_password": "correct-horse",
}


def test_on_snowflake_assets_have_the_full_name_of_their_table_and_its_engine(
    tmp_path_factory, specs
):
    flake = definitions(tmp_path_factory, **ACCOUNT).resolve_all_asset_specs()
    named = {spec.key.to_user_string(): spec.metadata for spec in flake}
    for name in NAMES:
        assert named[name]["dagster/table_name"] == f"mab.allocation.{TABLE_OF[name]}"
        assert named[name]["dagster/storage_kind"] == "snowflake"
        assert specs[name].metadata["dagster/table_name"] == TABLE_OF[name]
        assert specs[name].metadata["dagster/storage_kind"] == "duckdb"


LOGINS = [
    ({}, {"SNOWFLAKE_PASSWORD"}),
    (
        {"snowflake_private_key": "k", "snowflake_private_key_passphrase": "p",
         "snowflake_role": "mab_pipeline"},
        {"SNOWFLAKE_PRIVATE_KEY", "SNOWFLAKE_PRIVATE_KEY_PASSPHRASE", "SNOWFLAKE_ROLE"},
    ),
    ({"snowflake_token": "t"}, set()),
]  # fmt: skip


@pytest.mark.parametrize(("login", "names"), LOGINS)
def test_on_snowflake_the_ui_shows_the_resource_by_the_names_of_its_variables(
    tmp_path_factory, login, names
):
    made = definitions(tmp_path_factory, **ACCOUNT, **login)
    shown = made.get_repository_def().get_env_vars_by_top_level_resource()
    place = {f"SNOWFLAKE_{n}" for n in ("ACCOUNT", "USER", "WAREHOUSE", "DATABASE", "SCHEMA")}
    assert {name for name, used in shown.items() if used == {"snowflake"}} == place | names
    fields = str(made.resources["snowflake"].model_dump())
    for secret in ("correct-horse", "'k'", "'p'", "'t'"):
        assert secret not in fields


def test_on_duckdb_there_is_no_such_resource(defs):
    assert set(defs.resources) == {"platform"}


def test_a_publication_has_the_deadline_of_the_settings(tmp_path_factory, specs):
    policy = specs["publication"].freshness_policy
    window = policy.serializable_lower_bound_delta.to_timedelta()
    assert (policy.deadline_cron, window) == ("0 4 * * *", dt.timedelta(hours=2))
    late = {"mab_schedule_hour": 23, "publication_deadline_hours": 24}
    for settings, deadline in ((late, "0 23 * * *"), ({"mab_automation": "off"}, None)):
        (spec,) = [
            spec
            for spec in definitions(tmp_path_factory, **settings).resolve_all_asset_specs()
            if spec.key.to_user_string() == "publication"
        ]
        assert (spec.freshness_policy and spec.freshness_policy.deadline_cron) == deadline
