"""deploy/dagster.yaml: a day of the sample on PostgreSQL, by command and by the daemon."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.run_coordinator import QueuedRunCoordinator
from dagster_postgres import (
    PostgresEventLogStorage,
    PostgresRunStorage,
    PostgresScheduleStorage,
)

from mab_pipeline.definitions import build_defs
from mab_pipeline.operations.demo import place_sample
from mab_pipeline.resources import build_platform
from mab_pipeline.runs.liveness import process_tags
from mab_pipeline.runs.tags import HOST_TAG, PID_TAG, TRIGGER
from mab_store.settings import Settings, load_settings
from tests.integration.alerts.alerting import listening

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 600


class Production:
    """A production home: the sample in the inbox, PostgreSQL behind Dagster."""

    def __init__(self, folder: Path, server, webhook_url: str) -> None:
        self.server = server
        self.dagster_home = folder / "dagster"
        self.dagster_home.mkdir()
        shutil.copy(ROOT / "deploy" / "dagster.yaml", self.dagster_home)
        settings = load_settings(mab_home=folder / "home", _env_file=None)
        platform = build_platform(settings)
        _, self.last = place_sample(platform, None)
        # A day sees 30 days of the sample; the others would wait to be loaded, or be refused.
        start = str(self.last - timedelta(days=29))
        for day in (settings.mab_home / "inbox" / "metrics").iterdir():
            if day.name < start:
                shutil.rmtree(day)
        self.settings = load_settings(
            mab_home=folder / "home", mab_start_date=start, _env_file=None
        )
        ours = {name.upper() for name in Settings.model_fields}
        self.environment = (
            {name: value for name, value in os.environ.items() if name not in ours}
            | server.environment
            | {
                "DAGSTER_HOME": str(self.dagster_home),
                "DAGSTER_LOGS_DIR": str(folder / "logs"),
                "MAB_HOME": str(self.settings.mab_home),
                "MAB_START_DATE": start,
                "ALERT_WEBHOOK_URL": webhook_url,
                "no_proxy": "127.0.0.1",
            }
        )

    def mab(self, *arguments: str) -> tuple[int, str]:
        """Run a command as an operator would; return exit code and what it said."""
        done = subprocess.run(
            [Path(sys.executable).with_name("mab"), *arguments],
            env=self.environment,
            cwd=self.dagster_home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )
        return done.returncode, done.stdout + done.stderr

    def query(self, sql: str) -> list[tuple[object, ...]]:
        """Ask PostgreSQL itself."""
        with self.server.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall()


@pytest.fixture(scope="module")
def webhook():
    with listening() as webhook:
        yield webhook


@pytest.fixture(scope="module")
def production(tmp_path_factory, postgres, webhook):
    folder = tmp_path_factory.mktemp("production")
    production = Production(folder, postgres, webhook.url)
    code, said = production.mab("run", "--date", str(production.last))
    assert code == 0, said
    return production


@pytest.fixture(scope="module")
def instance(production):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in production.environment.items():
            patch.setenv(name, value)
        with dg.DagsterInstance.from_config(str(production.dagster_home)) as instance:
            yield instance


def test_the_settings_are_taken_as_they_are_meant(instance):
    assert isinstance(instance.run_storage, PostgresRunStorage)
    assert isinstance(instance.event_log_storage, PostgresEventLogStorage)
    assert isinstance(instance.schedule_storage, PostgresScheduleStorage)
    assert isinstance(instance.run_coordinator, QueuedRunCoordinator)
    assert instance.get_concurrency_config().run_queue_config.max_concurrent_runs == 2
    assert instance.run_monitoring_enabled
    assert instance.run_monitoring_max_runtime_seconds == 6 * 3600
    assert not instance.run_retries_enabled
    assert not instance.telemetry_enabled
    assert not instance.nux_enabled


def test_a_day_that_was_run_is_in_postgresql_and_nowhere_else(production):
    (run,) = production.query("select status, partition from runs")
    assert run == ("SUCCESS", str(production.last))
    assets = production.query(
        "select distinct asset_key from event_logs where partition is not null and "
        "dagster_event_type = 'ASSET_MATERIALIZATION'"
    )
    names = {json.loads(key)[0] for (key,) in assets}
    assert {"raw_metrics", "windowed_aggregates", "allocations", "publication"} <= names
    assert not list(production.dagster_home.rglob("*.db"))
    assert not (production.settings.mab_home / "dagster" / "dagster.yaml").exists()


def test_the_doctor_finds_everything_well(production):
    code, said = production.mab("doctor", "--no-api")
    assert code == 0, said
    assert "alerts: the daemon posts them" in said


def test_the_doctor_fails_a_run_whose_process_died_with_advice(production, instance):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    tags = process_tags() | {PID_TAG: str(gone.pid), "dagster/partition": str(production.last)}
    gone.wait()
    job = build_defs(settings=production.settings).resolve_job_def("daily_allocation")
    dead, away = (
        instance.create_run_for_job(job, tags=tags | more, status=dg.DagsterRunStatus.STARTED)
        for more in ({}, {HOST_TAG: "another-machine"})
    )

    code, said = production.mab("doctor", "--no-api")

    assert instance.get_run_by_id(dead.run_id).status == dg.DagsterRunStatus.FAILURE
    assert instance.get_run_by_id(away.run_id).status == dg.DagsterRunStatus.STARTED
    last = instance.all_logs(dead.run_id)[-1].message
    assert f"What to do: run `mab run --date {production.last}`" in last
    assert code in {0, 1}, said
    for run in (dead, away):
        instance.delete_run(run.run_id)


def wait_for(what: str, condition: Callable[[], object], daemon, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert daemon.poll() is None, f"the daemon ended: {log.read_text()[-4000:]}"
        assert time.monotonic() < deadline, f"waited for {what}: {log.read_text()[-4000:]}"
        time.sleep(1)


def test_the_daemon_queues_and_runs_late_files_and_tells_of_failures(
    production, instance, webhook, tmp_path
):
    def statuses() -> list[dg.DagsterRunStatus]:
        runs = instance.get_runs(dg.RunsFilter(tags=TRIGGER))
        return [run.status for run in runs]

    def failures() -> list[dict[str, object]]:
        return [alert for alert in webhook.got if alert["kind"] == "run_failure"]

    day = production.settings.mab_home / "inbox" / "metrics" / str(production.last)
    sample = (day / "asos_sample.csv").read_bytes()
    (day / "late.csv").write_bytes(sample)
    log = tmp_path / "daemon.log"
    with (
        log.open("wb") as out,
        subprocess.Popen(
            [
                Path(sys.executable).with_name("dagster-daemon"),
                *("run", "-w", ROOT / "workspace.yaml"),
            ],
            env=production.environment | {"MAB_SCHEDULE_HOUR": "23"},
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as daemon,
    ):
        try:
            wait_for("a run", lambda: statuses() == [dg.DagsterRunStatus.SUCCESS], daemon, log)
            (run,) = instance.get_runs(dg.RunsFilter(tags=TRIGGER))
            kinds = [entry.dagster_event_type for entry in instance.all_logs(run.run_id)]
            assert dg.DagsterEventType.RUN_ENQUEUED in kinds
            assert not failures()

            warehouse = production.settings.warehouse_path
            warehouse.write_bytes(b"no database at all" * 1000)
            (day / "later.csv").write_bytes(sample + b"\n")
            wait_for("an alert", failures, daemon, log)
            (alert,) = failures()
            failed = alert["links"][0].rpartition("/")[2]

            def has_advice() -> bool:
                return "What to do: " in instance.all_logs(failed)[-1].message

            wait_for("the last event", has_advice, daemon, log)
            assert "experiments failed: The warehouse" in instance.all_logs(failed)[-1].message
            assert "mab rebuild" in alert["text"]
        finally:
            os.killpg(daemon.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                daemon.wait(60)
            with contextlib.suppress(ProcessLookupError):  # it took its children along
                os.killpg(daemon.pid, signal.SIGKILL)
