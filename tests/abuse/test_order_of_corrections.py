"""The order of corrections: whatever comes last counts, however it comes and whatever it is called.

Each scenario is what comes in for one day, in order; the last step brings the count that must win.
`drop z 1` is a person's file z.csv that says it was written in second 1, `ingest a` is `mab ingest`
of a.csv, `post` is POST, `run` loads the day, `back` sets the clock back by an hour.
"""

import io
import json
import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console

from mab_api.submissions import Submissions
from mab_pipeline.allocation.recorded import find_record
from mab_pipeline.cli.console import rendered
from mab_pipeline.ingestion.loaders import load_daily_metrics, load_experiments, load_raw_metrics
from mab_pipeline.operations.explain import explain
from mab_pipeline.operations.ingest import Intake
from mab_pipeline.operations.replay import replay
from mab_pipeline.recovery.rebuild import rebuild
from mab_store.days import Days
from mab_store.experiments.schemas import experiment_id_of
from mab_store.files.receipts import Receipts
from mab_store.warehouse.reader import open_reader

NAME = "checkout"
TODAY = datetime.now(UTC).date()
FUTURE = 4_000_000_000

SCENARIOS = {
    "the correction's name is smaller": ["drop z 1", "drop a 2"],
    "the correction was copied first": ["drop a 1", "drop z 2"],
    "the same modification time: the greater name": ["drop a 1", "drop z 1"],
    "ingest, smaller name": ["ingest z", "ingest a"],
    "ingest, greater name": ["ingest a", "ingest z"],
    "ingest, the same name": ["ingest a", "ingest a", "ingest a"],
    "post": ["post", "post", "post"],
    "ingest, then post": ["ingest z", "post"],
    "post, then ingest": ["post", "ingest a"],
    "by hand, then ingest": ["drop z 1", "ingest a"],
    "by hand from the future, then ingest": [f"drop z {FUTURE}", "ingest a"],
    "by hand, then post": ["drop z 1", "post"],
    "ingest, then by hand": ["ingest z", "drop a 1"],
    "ingest, then two by hand": ["ingest m", "drop z 1", "drop a 2"],
    "two by hand, then ingest, then by hand": ["drop z 1", "drop b 2", "ingest m", "drop a 1"],
    "seen by a run before": [f"drop z {FUTURE}", "run", "drop a 1"],
    "ingest after a run": ["drop z 1", "run", "ingest a"],
    "ingest before a run, by hand after it": ["ingest z", "run", "drop a 1"],
    "overwritten by hand, then ingest": ["drop z 1", "run", "drop z 2", "ingest a"],
    "an edited copy of a post": ["post", "copy post-a"],
    "an edited copy of an ingested file": ["ingest z", "ingest y", "copy a"],
    "a forged stamp, then ingest": ["forge post-z", "ingest a"],
    "the clock was set back": ["ingest z", "back", "ingest a", "post"],
    "the clock was set back after a run": ["drop z 1", "run", "back", "ingest a"],
}


class Clock:
    """The real clock, which the file system shares, and which a test can set back."""

    def __init__(self) -> None:
        self.behind = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC).replace(tzinfo=None) - self.behind


class Day:
    """What comes in for a day."""

    def __init__(self, world, folder: Path, day) -> None:
        self.world, self.folder, self.day = world, folder, day
        self.count = 0

    def do(self, step: str) -> None:
        self._wait_for_the_next_tick()
        action, *arguments = step.split()
        getattr(self, f"_{action}")(*arguments)

    def _wait_for_the_next_tick(self) -> None:
        """Wait until the file system's clock, which moves in steps, shows another time."""
        probe = self.folder / "probe"
        probe.write_bytes(b"")
        before = probe.stat().st_ctime_ns
        while probe.stat().st_ctime_ns == before:
            probe.write_bytes(b"")

    def _csv(self) -> str:
        self.count += 1
        return f"experiment,variant_name,impressions,clicks\n{NAME},control,{300 + self.count},1\n"

    def _drop(self, name: str, second: str) -> None:
        self.world.drop(f"metrics/{self.day}/{name}.csv", self._csv())
        os.utime(self.inbox / f"{name}.csv", (int(second), int(second)))

    def _ingest(self, name: str) -> None:
        path = self.folder / f"{name}.csv"
        path.write_text(self._csv())
        platform = self.world.platform
        Intake(platform.inbox, self.day, platform.clock(), self.day).add(path)

    def _post(self) -> None:
        self.count += 1
        rows = [{"variant_name": "control", "impressions": 300 + self.count, "clicks": 1}]
        api = Submissions(self.world.platform.inbox, start_date=self.day, clock=self.world.clock)
        body = json.dumps({"date": str(self.day), "metrics": rows}).encode()
        api.submit(experiment_id_of(NAME), body, idempotency_key=None)

    def _copy(self, name: str) -> None:
        original = max(self.inbox.iterdir())
        self.count += 1
        text = original.read_text()
        for number in range(301, 300 + self.count):
            text = text.replace(str(number), str(300 + self.count))
        copy = self.inbox / f"{name}{original.suffix}"
        copy.write_text(text)
        os.utime(copy, (1, 1))

    def _forge(self, name: str) -> None:
        self.count += 1
        rows = [{"variant_name": "control", "impressions": 300 + self.count, "clicks": 1}]
        stamp = "2099-01-01T00:00:00Z"
        body = {"experiment": NAME, "received_at": stamp, "metrics": rows}
        self.world.drop(f"metrics/{self.day}/{name}.json", json.dumps(body))

    def _run(self) -> None:
        load(self.world, Days(self.day, self.day + timedelta(1)))

    def _back(self) -> None:
        self.world.clock.behind += timedelta(hours=1)

    @property
    def inbox(self) -> Path:
        return self.world.inbox / f"metrics/{self.day}"


def load(world, days: Days) -> None:
    load_experiments(world.platform)
    load_raw_metrics(world.platform, days)
    load_daily_metrics(world.platform, days)


def winners(world) -> dict[object, int]:
    return dict(world.query("select metric_date, impressions from daily_metrics"))


@pytest.fixture(scope="module")
def told(make_world, tmp_path_factory):
    """Play every scenario on a day of its own; return the world and each scenario's day."""
    world = make_world(clock=Clock())
    world.register(NAME)
    days = {}
    for place, (name, steps) in enumerate(SCENARIOS.items(), start=2):
        day = Day(world, tmp_path_factory.mktemp("files"), TODAY - timedelta(place))
        world.clock.behind = timedelta(0)
        for step in steps:
            day.do(step)
        days[name] = day
    world.clock.behind = timedelta(0)
    first = TODAY - timedelta(len(SCENARIOS) + 1)
    load(world, Days(first, TODAY - timedelta(1)))
    return world, days


@pytest.mark.parametrize("name", SCENARIOS)
def test_what_came_last_counts(told, name):
    world, days = told
    assert winners(world)[days[name].day] == 300 + days[name].count


def test_every_file_of_a_day_has_a_moment_of_its_own(told):
    world, _ = told
    moments = "count(*), count(distinct received_at)"
    for _, files, distinct in world.query(
        f"select metric_date, {moments} from inbox_files where metric_date is not null group by 1"
    ):
        assert files == distinct


def test_a_rebuild_gives_the_same_order_whatever_the_files_say_by_then(told):
    world, _ = told
    before = world.query("select * from daily_metrics order by all")
    ledger = "select source_file, sha256, received_at from inbox_files order by all"
    moments = world.query(ledger)
    for place, path in enumerate(sorted(world.inbox.rglob("*.*"), reverse=True)):
        os.utime(path, (place, place))
    for path in (world.home / "receipts").iterdir():
        path.unlink()  # the ledger's journal has them
    rebuild(world.platform)
    assert world.query("select * from daily_metrics order by all") == before
    assert world.query(ledger) == moments


def test_a_decision_is_replayed_and_explained_by_the_order_of_then(make_world, tmp_path):
    world = make_world(clock=Clock())
    world.register(NAME)
    day = Day(world, tmp_path, TODAY - timedelta(1))
    for step in ("drop z 1", "drop b 2", "ingest m", "post", "drop a 1"):
        day.do(step)
    world.run(str(day.day))
    for place, name in enumerate(("a", "b", "z")):
        os.utime(day.inbox / f"{name}.csv", (place, place))
    with open_reader(world.settings) as copy:
        record = find_record(copy, NAME, day.day)
        out = io.StringIO()
        explanation = explain(copy, record, receipts=Receipts(world.settings.receipts_dir))
        Console(file=out, width=400).print(rendered(explanation))
    (line,) = [line for line in out.getvalue().splitlines() if "oldest first" in line]
    told = [re.sub(r"(post|m)-\S+|( at|before) [-0-9]+ [0-9:]+", r"\1\2", part).strip(" )")
            for part in line.split(": ", 1)[1].split("),")]  # fmt: skip
    assert told == [
        "z.csv (dropped by hand, there before",
        "b.csv (dropped by hand, there before",
        "m (received by mab ingest at",
        "post (received by POST at",
        "a.csv (dropped by hand, first seen at",
    ]
    assert record.rows["control"]["impressions"] == 300 + day.count
    assert replay(world.platform, record).differences == []
