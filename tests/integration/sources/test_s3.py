"""A files source on S3: a local server that speaks S3, through the store's own package."""

import pytest

from tests.integration.s3 import SECRET, bucket_named
from tests.integration.sources.scenes import DAY, ROWS, Home

STORED = "experiment,variant_name,impressions,clicks\ncta,control,1000,10\ncta,variant_a,1000,20\n"
SOURCE = 'kind = "files"\npath = "s3://exports/{day:%Y/%m/%d}/*.csv"'


@pytest.fixture(scope="module")
def bucket():
    with bucket_named("exports") as client:
        yield client


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


def put(bucket, name, text):
    bucket.put_object(Bucket="exports", Key=f"{DAY:%Y/%m/%d}/{name}", Body=text.encode())


def test_objects_are_pulled_corrected_and_read_again_as_they_are_now(home, bucket):
    put(bucket, "a.csv", ROWS)
    put(bucket, "b.txt", "not matched")
    first = home.pull(SOURCE)
    assert home.text(first.added[0]) == STORED
    assert home.pull(SOURCE).unchanged == first.added
    put(bucket, "a.csv", ROWS.replace("1000,20", "1000,25"))  # as large as before
    second = home.pull(SOURCE)
    assert home.text(second.added[0]) == STORED.replace("1000,20", "1000,25")
    bucket.delete_object(Bucket="exports", Key=f"{DAY:%Y/%m/%d}/a.csv")
    assert home.pull(SOURCE).failed[DAY].startswith(f"it has no rows of {DAY}: no file")


@pytest.mark.usefixtures("bucket")
def test_a_bucket_that_is_missing_and_a_store_that_is_away_are_sentences(home, monkeypatch):
    missing = home.failure(SOURCE.replace("exports", "nowhere"))
    assert "no file matches s3://nowhere/2025/03/19/*.csv" in missing
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    pulled = home.pull(f"{SOURCE}\ntimeout_seconds = 20")
    assert pulled.is_down
    assert "127.0.0.1:9" in pulled.failed[DAY]
    assert SECRET not in str(pulled)
