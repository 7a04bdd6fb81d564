"""An inbox in a bucket, such as that of a Snowflake external stage: MAB_INBOX=s3://…."""

import pytest

from mab_pipeline.operations.dagster_home import prepare_home
from mab_store.errors import FileInInboxError, HomeError, InboxError
from mab_store.files.inbox import Receiver
from mab_store.settings import load_settings
from tests.integration.conftest import World
from tests.integration.s3 import bucket_named

DAY, NEXT = "2025-03-18", "2025-03-19"
INBOX = "s3://stage/mab/inbox"


@pytest.fixture(scope="module")
def bucket():
    with bucket_named("stage") as client:
        yield client


def unload(bucket, name: str, text: str) -> None:
    """Add a file as Snowflake's COPY INTO @stage does, or any other program."""
    bucket.put_object(Bucket="stage", Key=f"mab/inbox/{name}", Body=text.encode())


class InBucket(World):
    """A world whose files other programs put into the bucket."""

    bucket = None

    def drop(self, source_file: str, content: str | bytes) -> None:
        unload(self.bucket, source_file, content)


def test_files_that_others_add_to_the_bucket_are_decided_and_late_ones_seen(bucket, tmp_path):
    world = InBucket(tmp_path, now="2025-03-19T02:00:00", mab_inbox=INBOX)
    world.bucket = bucket
    prepare_home(world.settings)
    key = world.register("checkout")
    counts = ("checkout", "control", 4000, 40), ("checkout", "variant_a", 4000, 60)
    world.metrics(DAY, *counts)
    world.run(DAY)
    assert set(world.bodies()) == {"checkout"}
    before = world.table("daily_metrics")
    assert {row["source_file"] for row in before} == {f"metrics/{DAY}/export.csv"}

    world.metrics(DAY, ("checkout", "variant_a", 4000, 90), name="late.csv")
    world.metrics(NEXT, *counts)
    world.clock.set("2025-03-20T02:00:00")
    world.run(NEXT)
    clicks = {
        (str(r["metric_date"]), r["variant_name"]): r["clicks"]
        for r in world.table("daily_metrics")
    }
    assert clicks[DAY, "variant_a"] == 90
    assert len(clicks) == 4
    assert world.platform.inbox.experiment_ids() == [key]
    assert world.run(NEXT)  # the same files add nothing
    assert len(world.table("raw_metrics")) == 5


def test_what_mab_itself_writes_never_replaces_an_object(bucket, tmp_path, monkeypatch):
    world = World(tmp_path, mab_inbox=INBOX)
    inbox, receiver = world.platform.inbox, Receiver("mab ingest", world.clock())
    name = f"metrics/{DAY}/submitted.json"
    inbox.write(name, b"first", receiver=receiver)
    with pytest.raises(FileInInboxError, match="files there never change"):
        inbox.write(name, b"second", receiver=receiver)
    answers = [False, False]  # another program adds the object after both looks
    exists = type(inbox.root).exists
    monkeypatch.setattr(
        type(inbox.root), "exists", lambda path: answers.pop() if answers else exists(path)
    )
    with pytest.raises(FileInInboxError):
        inbox.write_all({f"metrics/{DAY}/other.json": b"other", name: b"third"}, receiver=receiver)
    assert inbox.payload(name) == b"first"
    bucket.delete_object(Bucket="stage", Key=f"mab/inbox/{name}")
    assert inbox.payload(f"metrics/{DAY}/other.json") is None  # all or none


@pytest.mark.usefixtures("bucket")
def test_a_bucket_that_is_missing_or_away_is_a_sentence(tmp_path, monkeypatch):
    with pytest.raises(HomeError, match="there is no bucket nowhere"):
        prepare_home(
            load_settings(mab_home=tmp_path, mab_inbox="s3://nowhere/inbox", _env_file=None)
        )
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    World(tmp_path, mab_inbox=INBOX).settings.inbox_root.fs.clear_instance_cache()
    away = World(tmp_path, mab_inbox="s3://away/inbox")
    with pytest.raises(HomeError, match=r"s3://away/inbox cannot be reached: .*127\.0\.0\.1:9"):
        prepare_home(away.settings)
    with pytest.raises(InboxError, match="cannot be written"):
        away.platform.inbox.write(f"metrics/{DAY}/a.json", b"1")
    with pytest.raises(OSError, match=r"127\.0\.0\.1:9"):
        away.platform.inbox.metric_days()
