"""A files source on S3: a local server that speaks S3, through the store's own package."""

import boto3
import pytest
from moto.server import ThreadedMotoServer

from tests.integration.sources.scenes import DAY, ROWS, Home

STORED = "experiment,variant_name,impressions,clicks\ncta,control,1000,10\ncta,variant_a,1000,20\n"
SECRET = "s3-secret-key"
SOURCE = 'kind = "files"\npath = "s3://exports/{day:%Y/%m/%d}/*.csv"'


@pytest.fixture(scope="module")
def bucket():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "reader")
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("NO_PROXY", "127.0.0.1")
        client = boto3.client("s3")
        client.create_bucket(Bucket="exports")
        yield client
    server.stop()


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
