"""Sources pulled by a real daemon: its run is killed in a pull, the next tick mends it.

PostgreSQL, an S3 server and a web server hold the counts, Dagster keeps its records in PostgreSQL.
While the killed run lies there, all three correct their counts.
"""

import json
import shutil
import subprocess
import threading
from datetime import timedelta
from pathlib import Path

import boto3
import dagster as dg
import pytest
from moto.server import ThreadedMotoServer

from mab_pipeline.resources import build_platform
from mab_store.clock import utc_now
from mab_store.experiments.registration import register
from mab_store.experiments.schemas import ExperimentSpec, VariantSpec
from mab_store.settings import load_settings
from tests.drill.services import PROGRAMS, ROOT, daemon, wait_until
from tests.integration.sources.scenes import TOKEN, Web

DATABASE = "mab_pulls"
DAY = utc_now().date() - timedelta(days=1)
EVE = DAY - timedelta(days=1)
SOURCES = ("ads", "bucket", "crm")
TOML = """
[sources.ads]
kind = "sql"
url_env = "ADS_URL"
query = "select day as date, experiment, variant, impressions, clicks from counts where day = :day"
lookback_days = 0

[sources.bucket]
kind = "files"
path = "s3://exports/{day}.csv"
lookback_days = 0

[sources.crm]
kind = "http"
url = "%s/{day}"
token_env = "CRM_TOKEN"
lookback_days = 1
"""


def rows(experiment: str, clicks: int) -> str:
    return (
        "experiment,variant_name,impressions,clicks\n"
        f"{experiment},control,1000,30\n{experiment},variant_a,1000,{clicks}\n"
    )


class Crm(Web):
    """A web server that answers the day before, and hangs on the day itself until it may answer."""

    def __init__(self) -> None:
        super().__init__()
        self.clicks = {str(EVE): 40, str(DAY): 40}
        self.hangs = threading.Event()
        self.may_answer = threading.Event()

    def answer(self, request) -> None:
        day = request.path.strip("/")
        self.asked.append((day, request.headers["Authorization"]))
        if day == str(DAY) and not self.may_answer.is_set():
            self.hangs.set()
            self.is_over.wait()
            return
        self.body = rows("crm", self.clicks[day]).encode()
        request.send_response(200)
        request.send_header("Content-Type", "text/csv")
        request.end_headers()
        request.wfile.write(self.body)


class Scene:
    """The three servers, and a home whose sources they are."""

    def __init__(self, folder: Path, postgres, crm: Crm, s3, s3_address: str) -> None:
        self.crm, self._s3, self._postgres = crm, s3, postgres
        with postgres.cursor() as cursor:
            cursor.execute(f"create database {DATABASE}")
        self.settings = load_settings(mab_home=folder / "home", mab_start_date=EVE, _env_file=None)
        self.settings.mab_home.mkdir()
        (self.settings.mab_home / "sources.toml").write_text(TOML % crm.url)
        self.dagster_home = folder / "dagster"
        self.dagster_home.mkdir()
        shutil.copy(ROOT / "deploy" / "dagster.yaml", self.dagster_home)
        self.variables = postgres.environment | {
            "DAGSTER_HOME": str(self.dagster_home),
            "DAGSTER_POSTGRES_DB": DATABASE,
            "DAGSTER_LOGS_DIR": str(folder / "logs"),
            "MAB_START_DATE": str(EVE),
            "MAB_SCHEDULE_HOUR": str((utc_now().hour + 12) % 24),
            "ADS_URL": postgres.url(DATABASE),
            "CRM_TOKEN": TOKEN,
            "AWS_ENDPOINT_URL": s3_address,
            "AWS_ACCESS_KEY_ID": "reader",
            "AWS_SECRET_ACCESS_KEY": "s3-secret-key",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }
        self.daemon = daemon(self.settings, **self.variables)
        platform = build_platform(self.settings)
        variants = [VariantSpec(name="control", is_control=True), VariantSpec(name="variant_a")]
        for name in (*SOURCES, "dropped"):
            spec = ExperimentSpec(name=name, variants=variants)
            register(platform.inbox, spec, now=platform.clock())
        self.sql("create table counts (day date, experiment text, variant text, impressions int, "
                 "clicks int)")  # fmt: skip
        self.sql("insert into counts values (%s, 'ads', 'control', 1000, 30), "
                 "(%s, 'ads', 'variant_a', 1000, 40)", DAY, DAY)  # fmt: skip
        s3.create_bucket(Bucket="exports")
        self.put(40)

    def sql(self, statement: str, *values: object) -> None:
        with self._postgres.cursor(DATABASE) as cursor:
            cursor.execute(statement, values)

    def put(self, clicks: int) -> None:
        body = rows("bucket", clicks).encode()
        self._s3.put_object(Bucket="exports", Key=f"{DAY}.csv", Body=body)

    def drop(self, clicks: int) -> None:
        """Drop a file as a person would: the sensor asks for a run of its day."""
        folder = self.settings.mab_home / "inbox" / "metrics" / str(DAY)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{clicks}.csv.part").write_text(rows("dropped", clicks))
        (folder / f"{clicks}.csv.part").rename(folder / f"{clicks}.csv")

    def pulled(self, name: str) -> dict[str, list[str]]:
        """Return what the inbox holds of a source: the content of each day's files."""
        inbox = self.settings.mab_home / "inbox" / "metrics"
        found: dict[str, list[str]] = {}
        for path in sorted(inbox.glob(f"*/source-{name}.*"), key=lambda path: path.stat().st_mtime):
            assert path.suffix == ".csv", path
            found.setdefault(path.parent.name, []).append(path.read_text())
        return found

    def mab(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [PROGRAMS / "mab", *arguments],
            env=self.daemon._environment,
            cwd=self.dagster_home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def served(self) -> dict[str, tuple[int, str]]:
        """Return the clicks of variant_a and the id of each experiment's allocation."""
        bodies = json.loads(self.mab("allocations", "--format", "json").stdout)
        return {
            body["experiment_name"]: (
                body["allocations"][1]["metrics"]["clicks"],
                body["allocation_id"],
            )
            for body in bodies
        }


@pytest.fixture(scope="module")
def scene(postgres, tmp_path_factory):
    crm = Crm()
    thread = threading.Thread(target=crm.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    store = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    store.start()
    host, port = store.get_host_and_port()
    client = boto3.client(
        "s3",
        endpoint_url=f"http://{host}:{port}",
        aws_access_key_id="reader",
        aws_secret_access_key="s3-secret-key",  # of a server of this test
        region_name="us-east-1",
    )
    scene = Scene(tmp_path_factory.mktemp("pulls"), postgres, crm, client, f"http://{host}:{port}")
    try:
        yield scene
    finally:
        scene.daemon.end()
        crm.is_over.set()
        crm.shutdown()
        crm.server_close()
        thread.join()
        store.stop()


@pytest.fixture(scope="module")
def instance(scene):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in scene.variables.items():
            patch.setenv(name, value)
        with dg.DagsterInstance.from_config(str(scene.dagster_home)) as instance:
            yield instance


def statuses(instance) -> list[dg.DagsterRunStatus]:
    return [run.status for run in instance.get_runs()]


def test_a_pull_that_is_killed_leaves_whole_files_and_the_next_tick_pulls_the_corrections(
    scene, instance
):
    scene.drop(40)
    scene.daemon.start()
    wait_until(scene.crm.hangs.is_set, "the run pulls the source that hangs")
    (worker,) = scene.daemon.run_workers()
    worker.kill()
    worker.wait(30)
    assert scene.pulled("ads") == {str(DAY): [rows("ads", 40)]}
    assert scene.pulled("bucket") == {str(DAY): [rows("bucket", 40)]}
    assert scene.pulled("crm") == {str(EVE): [rows("crm", 40)]}

    scene.sql("update counts set clicks = 50 where variant = 'variant_a'")
    scene.put(50)
    scene.crm.clicks |= {str(EVE): 50}
    scene.crm.may_answer.set()
    wait_until(
        lambda: dg.DagsterRunStatus.SUCCESS in statuses(instance), "a run of the day succeeds"
    )

    assert dg.DagsterRunStatus.FAILURE in statuses(instance)  # the one that was killed
    assert scene.pulled("ads") == {str(DAY): [rows("ads", 40), rows("ads", 50)]}
    assert scene.pulled("bucket") == {str(DAY): [rows("bucket", 40), rows("bucket", 50)]}
    assert scene.pulled("crm") == {
        str(EVE): [rows("crm", 40), rows("crm", 50)],
        str(DAY): [rows("crm", 40)],
    }
    assert {token for _, token in scene.crm.asked} == {f"Bearer {TOKEN}"}
    clicks = {name: clicks for name, (clicks, _) in scene.served().items()}
    assert clicks == {"ads": 50, "bucket": 50, "crm": 90, "dropped": 40}


def test_a_later_correction_is_pulled_and_every_decision_is_replayed_bit_for_bit(scene, instance):
    assert instance.get_runs_count()
    scene.daemon.end()
    before = scene.served()
    scene.crm.clicks |= {str(DAY): 60}
    scene.mab("run", "--date", str(DAY))
    after = scene.served()
    assert after["crm"][0] == 110
    assert before["ads"] == after["ads"]  # nothing changed, so the decision stays
    assert before["crm"][1] != after["crm"][1]
    for allocation_id in (before["crm"][1], after["ads"][1], after["bucket"][1]):
        said = scene.mab("replay", "--allocation", allocation_id)
        assert "the same, bit for bit" in said.stderr
